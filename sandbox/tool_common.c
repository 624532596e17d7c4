#include "sandbox/tool_common.h"

#include "base/text.h"
#include "sandbox/tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

mag_tool_main mag_tool_find(const char *name)
{
  static const struct {
    const char *name;
    mag_tool_main run;
  } tools[] = {{"read", mag_tool_read},
               {"write", mag_tool_write},
               {"edit", mag_tool_edit},
               {"glob", mag_tool_glob},
               {"grep", mag_tool_grep}};
  for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
    if (strcmp(tools[i].name, name) == 0)
      return tools[i].run;
  return NULL;
}

int tool_fail(const char *format, ...)
{
  char line[4096 + 512];
  va_list args;
  va_start(args, format);
  (void) vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  for (char *p = line; *p; p++)
    if ((unsigned char) *p < ' ')
      *p = ' ';
  (void) fprintf(stderr, "%s\n", line);
  return 1;
}

int tool_fail_errno(const char *path, int number)
{
  char text[128];
  switch (number) {
  case ENOENT:
    return tool_fail("%s does not exist", path);
  case EISDIR:
    return tool_fail("%s is a directory", path);
  case ENOTDIR:
    return tool_fail("a part of the path %s is not a directory", path);
  case EACCES:
  case EPERM:
    return tool_fail("no permission for %s", path);
  case EROFS:
    return tool_fail("%s is on a read-only file system", path);
  case ENOSPC:
  case EDQUOT:
    return tool_fail("no space left for %s", path);
  case ELOOP:
  case EXDEV:
    return tool_fail("%s changed while it was looked at, or its links go in circles", path);
  default:
    return tool_fail("%s: %s", path, strerror_r(number, text, sizeof(text)));
  }
}

static int add_root(struct tool_roots *roots, const char *path)
{
  if (roots->n == TOOL_ROOTS) {
    tool_fail("too many --root");
    return 2;
  }
  static char places[TOOL_ROOTS][PATH_MAX];
  roots->paths[roots->n] = realpath(path, places[roots->n]);
  if (!roots->paths[roots->n])
    return tool_fail_errno(path, errno);
  roots->n++;
  return 0;
}

static bool parse_number(const char *text, long long *ret_number)
{
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (errno || end == text || *end)
    return false;
  *ret_number = number;
  return true;
}

int tool_options(struct tool_options *options, int argc, char **argv)
{
  static const struct option known[] = {{"root", required_argument, NULL, 'r'}, {"from", required_argument, NULL, 'f'},
                                        {"to", required_argument, NULL, 't'},   {"bytes", required_argument, NULL, 'b'},
                                        {"in", required_argument, NULL, 'i'},   {"all", no_argument, NULL, 'a'},
                                        {NULL, 0, NULL, 0}};
  int c, r = 0;
  bool right = true;
  *options = (struct tool_options){.from = 1, .bytes = -1};
  optind = 1;
  while (right && r == 0 && (c = getopt_long(argc, argv, "+", known, NULL)) != -1) {
    if (c == 'r')
      r = add_root(&options->roots, optarg);
    else if (c == 'i')
      options->in = optarg;
    else if (c == 'a')
      options->all = true;
    else
      right = c != '?' && parse_number(optarg, c == 'f' ? &options->from : c == 't' ? &options->to : &options->bytes);
  }
  if (r == 0 && (!right || optind != argc - 1)) {
    tool_fail("wrong use of %s", argv[0]);
    return 2;
  }
  if (r == 0)
    options->argument = argv[optind];
  return r;
}

void tool_print(const char *text, size_t len)
{
  while (len) {
    size_t good = mag_utf8_valid_prefix(text, len);
    const char *zero = memchr(text, 0, good);
    if (zero)
      good = (size_t) (zero - text);
    (void) fwrite(text, 1, good, stdout);
    text += good;
    len -= good;
    if (len) {
      (void) fputs("\xef\xbf\xbd", stdout);
      text++;
      len--;
    }
  }
}

int tool_finish(void)
{
  if (fflush(stdout) || ferror(stdout))
    return tool_fail("the answer could not be written");
  return 0;
}

char *tool_stdin(size_t limit, size_t *ret_len)
{
  size_t len = 0, cap = 0;
  char *text = NULL;
  for (;;) {
    if (len == cap) {
      cap = cap ? cap * 2 : 65536;
      char *more = realloc(text, cap);
      if (!more) {
        free(text);
        tool_fail("no memory for the input");
        return NULL;
      }
      text = more;
    }
    ssize_t n = read(STDIN_FILENO, text + len, cap - len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      break;
    if (n < 0 || (len += (size_t) n) > limit) {
      free(text);
      tool_fail(n < 0 ? "the input could not be read" : "the input is too large");
      return NULL;
    }
  }
  *ret_len = len;
  return text;
}

size_t tool_cut(const char *text, size_t len)
{
  size_t begin = len;
  while (begin > 0 && len - begin < 3 && ((unsigned char) text[begin - 1] & 0xC0) == 0x80)
    begin--;
  if (begin == 0 || (unsigned char) text[begin - 1] < 0xC0)
    return len; /* ASCII before the cut, or bytes that are no UTF-8 anyway */
  unsigned char first = (unsigned char) text[begin - 1];
  size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  return len - (begin - 1) < wanted ? begin - 1 : len;
}

bool tool_is_binary(const char *text, size_t len)
{
  return len && memchr(text, 0, len < 8192 ? len : 8192) != NULL;
}

int64_t tool_now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
