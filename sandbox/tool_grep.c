#define PCRE2_CODE_UNIT_WIDTH 8
#include "sandbox/tool.h"
#include "sandbox/tool_common.h"
#include "sandbox/tool_walk.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN_LINE 2000
#define SHOWN_TOTAL (100 * 1024)
#define LINE_BUFFER (256 * 1024) /* of a longer line only so much is searched */
#define MATCH_STEPS 500000       /* of one line, against patterns that try everything */
#define MATCH_KIB 32768

struct search {
  pcre2_code *code;
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
  struct tool_walk walk;
  const char *prefix; /* what stands before the walk's path, or NULL */
  size_t shown, matches, given_up;
  bool full;
  char buffer[LINE_BUFFER];
};

static int prepare(struct search *search, const char *pattern)
{
  int number = 0;
  size_t place = 0;
  uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
#ifdef PCRE2_MATCH_INVALID_UTF
  options |= PCRE2_MATCH_INVALID_UTF;
#endif
  search->code = pcre2_compile((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED, options, &number, &place, NULL);
  if (!search->code) {
    unsigned char text[160] = "";
    pcre2_get_error_message(number, text, sizeof(text));
    return tool_fail("the pattern is no valid regular expression: %s (at byte %zu)", (const char *) text, place);
  }
  (void) pcre2_jit_compile(search->code, PCRE2_JIT_COMPLETE); /* without it, only slower */
  search->data = pcre2_match_data_create_from_pattern(search->code, NULL);
  search->context = pcre2_match_context_create(NULL);
  search->stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, NULL);
  if (!search->data || !search->context)
    return tool_fail("no memory for the search");
  pcre2_set_match_limit(search->context, MATCH_STEPS);
  pcre2_set_heap_limit(search->context, MATCH_KIB);
  if (search->stack)
    pcre2_jit_stack_assign(search->context, NULL, search->stack);
  return 0;
}

static void finish(struct search *search)
{
  pcre2_jit_stack_free(search->stack);
  pcre2_match_context_free(search->context);
  pcre2_match_data_free(search->data);
  pcre2_code_free(search->code);
}

static bool matches(struct search *search, const char *line, size_t len)
{
  int r = pcre2_match(search->code, (PCRE2_SPTR) line, len, 0, 0, search->data, search->context);
  if (r < 0 && r != PCRE2_ERROR_NOMATCH)
    search->given_up++;
  return r >= 0;
}

static void show(struct search *search, long long number, const char *line, size_t len)
{
  char place[32];
  bool cut = len > SHOWN_LINE;
  int n = snprintf(place, sizeof(place), ":%lld:", number);
  size_t shown = cut ? tool_cut(line, SHOWN_LINE) : len;
  size_t prefix = search->prefix ? strlen(search->prefix) : 0;
  size_t total = prefix + search->walk.path_len + (size_t) n + shown + 1;
  if (search->shown + total > SHOWN_TOTAL) {
    search->full = true;
    return;
  }
  search->shown += total;
  search->matches++;
  if (prefix)
    tool_print(search->prefix, prefix);
  tool_print(search->walk.path, search->walk.path_len);
  (void) fputs(place, stdout);
  tool_print(line, shown);
  (void) puts(cut ? " [cut]" : "");
}

/* The whole lines at the start of the buffer; returns the number of bytes that were used up. */
static size_t search_lines(struct search *search, size_t len, long long *number)
{
  const char *at = search->buffer, *end = at + len, *newline;
  while (!search->full && !tool_walk_late(&search->walk) &&
         (newline = memchr(at, '\n', (size_t) (end - at)))) {
    size_t n = (size_t) (newline - at);
    (*number)++;
    if (n && at[n - 1] == '\r')
      n--;
    if (matches(search, at, n))
      show(search, *number, at, n);
    at = newline + 1;
  }
  return (size_t) (at - search->buffer);
}

/* One open regular file. */
static void search_file(struct search *search, int fd)
{
  size_t len = 0;
  long long number = 0;
  bool first = true, skip = false; /* skip: the rest of a line that was longer than the buffer */
  while (!search->full && !tool_walk_late(&search->walk)) {
    ssize_t n = read(fd, search->buffer + len, LINE_BUFFER - len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    len += (size_t) n;
    if (first && tool_is_binary(search->buffer, len))
      return;
    first = false;
    if (skip) {
      const char *newline = memchr(search->buffer, '\n', len);
      size_t gone = newline ? (size_t) (newline - search->buffer) + 1 : len;
      memmove(search->buffer, search->buffer + gone, len -= gone);
      skip = !newline;
    }
    size_t used = search_lines(search, len, &number);
    memmove(search->buffer, search->buffer + used, len -= used);
    if (len == LINE_BUFFER) {
      number++;
      if (matches(search, search->buffer, len))
        show(search, number, search->buffer, len);
      len = 0;
      skip = true;
    }
  }
  if (len && !search->full && matches(search, search->buffer, len))
    show(search, number + 1, search->buffer, len);
}

static bool enter(void *ctx, int dir, const char *name, int depth)
{
  (void) ctx;
  (void) dir;
  (void) name;
  (void) depth;
  return true;
}

static bool visit(void *ctx, int dir, const char *name, unsigned char type, int depth)
{
  struct search *search = ctx;
  struct stat st;
  (void) depth;
  if (type != DT_REG)
    return true;
  mag_autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
    search_file(search, fd);
  return !search->full;
}

static int search_place(struct search *search, const struct tool_options *options)
{
  static char prefix[PATH_MAX + 1];
  char canonical[PATH_MAX];
  struct stat st;
  const char *in = options->in ? options->in : ".";
  mag_autoclose int look = tool_open(&options->roots, in, O_PATH, canonical);
  if (look < 0)
    return 1;
  search->walk.enter = enter;
  search->walk.visit = visit;
  search->walk.ctx = search;
  search->walk.skip_top = strcmp(canonical, "/") == 0;
  if (fstat(look, &st) == 0 && !S_ISDIR(st.st_mode)) {
    mag_autoclose int fd = tool_open_file(&options->roots, in, &st);
    if (fd < 0)
      return 1;
    search->prefix = in;
    search->walk.until_ms = tool_now_ms() + WALK_MS;
    search_file(search, fd);
    return 0;
  }
  int fd = tool_open(&options->roots, in, O_RDONLY | O_DIRECTORY, NULL);
  if (fd < 0)
    return 1;
  size_t n = strlen(in);
  if (strcmp(in, ".") != 0 && n < PATH_MAX) {
    (void) snprintf(prefix, sizeof(prefix), "%s%s", in, in[n - 1] == '/' ? "" : "/");
    search->prefix = prefix;
  }
  tool_walk(&search->walk, fd);
  return 0;
}

int mag_tool_grep(int argc, char **argv)
{
  static struct search search; /* large: not on the stack */
  struct tool_options options;
  int r = tool_options(&options, argc, argv);
  if (r)
    return r;
  r = prepare(&search, options.argument);
  if (r == 0)
    r = search_place(&search, &options);
  finish(&search);
  if (r)
    return r;
  if (search.matches == 0 && !search.full)
    (void) puts("no matches");
  if (search.full)
    (void) printf("[cut: there are more matches; narrow the pattern or give a path]\n");
  if (search.walk.late)
    (void) printf("[the search ended after %d s: give a path]\n", WALK_MS / 1000);
  if (search.walk.cut)
    (void) printf("[the tree is too large: only a part of it was searched; give a path]\n");
  if (search.given_up)
    (void) printf("[%zu line%s could not be searched: the pattern takes too many steps there]\n", search.given_up,
                  search.given_up == 1 ? "" : "s");
  return tool_finish();
}
