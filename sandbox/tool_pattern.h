/* tool_pattern.h - patterns of paths: * ? [a-z] [!a-z] {a,b} and ** for any number of directories. A name that begins
 * with a dot is a name like others. Matching takes time in proportion to pattern and text, whatever the pattern. */
#ifndef MAG_SANDBOX_TOOL_PATTERN_H
#define MAG_SANDBOX_TOOL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_ALTERNATIVES 32 /* after {a,b} has been written out */
#define PATTERN_PARTS 31        /* between slashes */
#define PATTERN_BYTES 1024

struct tool_pattern {
  struct pattern_path {
    char text[PATTERN_BYTES];
    const char *parts[PATTERN_PARTS];
    size_t n;
  } paths[PATTERN_ALTERNATIVES];
  size_t n;
};

/* How far a directory's path matches: for each alternative a set of part numbers. */
struct tool_progress {
  uint32_t sets[PATTERN_ALTERNATIVES];
};

/* NULL, or what is wrong with the text; static. */
const char *tool_pattern_parse(struct tool_pattern *pattern, const char *text);
void tool_pattern_begin(const struct tool_pattern *pattern, struct tool_progress *progress);
/* One more name of the path; false if nothing below it can match. `ret_match`: all of the pattern is matched. */
bool tool_pattern_step(const struct tool_pattern *pattern, const struct tool_progress *from, const char *name,
                       struct tool_progress *to, bool *ret_match);

#endif
