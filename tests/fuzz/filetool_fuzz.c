/* What reaches the file tools from outside: the blocks of an edit, and patterns with the names that they are held
 * against. The input is both: blocks as a whole; up to the first line end a pattern, behind it a path. */
#include "sandbox/tool_common.h"
#include "sandbox/tool_pattern.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct tool_pattern pattern;
  struct tool_progress progress;
  struct tool_block blocks[2];
  bool match;
  if (tool_blocks((const char *) data, size, blocks) == 0 &&
      (blocks[0].ptr + blocks[0].len > blocks[1].ptr || blocks[1].ptr + blocks[1].len != (const char *) data + size))
    abort();
  char *text = malloc(size + 1);
  if (!text)
    return 0;
  if (size)
    memcpy(text, data, size);
  text[size] = 0;
  char *rest = strchr(text, '\n');
  if (rest)
    *rest++ = 0;
  if (!tool_pattern_parse(&pattern, text)) {
    tool_pattern_begin(&pattern, &progress);
    for (char *name; (name = strsep(&rest, "/"));)
      (void) tool_pattern_step(&pattern, &progress, name, &progress, &match);
  }
  free(text);
  return 0;
}
