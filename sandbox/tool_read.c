#include "sandbox/tool.h"
#include "sandbox/tool_common.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define READ_LIMIT (256u * 1024)

/* The selected lines of a file, collected while it is read once. */
struct selection {
  long long from, to; /* to: 0 = end of the file */
  long long line;     /* number of the line that the next byte belongs to */
  char text[READ_LIMIT];
  size_t len;
  bool full; /* there was more */
  bool any;  /* the last byte seen did not end a line */
};

/* false: enough. */
static bool select_from(struct selection *selection, const char *data, size_t len)
{
  while (len) {
    const char *newline = memchr(data, '\n', len);
    size_t n = newline ? (size_t) (newline - data) + 1 : len;
    if (selection->to > 0 && selection->line > selection->to)
      return false;
    if (selection->line >= selection->from) {
      size_t room = READ_LIMIT - selection->len, take = n < room ? n : room;
      memcpy(selection->text + selection->len, data, take);
      selection->len += take;
      if (take < n) {
        selection->full = true;
        return false;
      }
    }
    selection->line += newline != NULL;
    selection->any = !newline;
    data += n;
    len -= n;
  }
  return true;
}

static void print_cut(struct selection *selection, long long size)
{
  const char *newline = memrchr(selection->text, '\n', selection->len);
  if (!newline) {
    tool_print(selection->text, tool_cut(selection->text, selection->len));
    (void) printf("\n[cut: line %lld is longer than %u bytes; the file has %lld bytes]\n", selection->from, READ_LIMIT,
                  size);
    return;
  }
  size_t len = (size_t) (newline - selection->text) + 1;
  long long lines = 0;
  for (size_t i = 0; i < len; i++)
    lines += selection->text[i] == '\n';
  tool_print(selection->text, len);
  long long last = selection->from + lines - 1;
  (void) printf("[cut: these are lines %lld to %lld of a file of %lld bytes; read on with view_range [%lld, 0]]\n",
                selection->from, last, size, last + 1);
}

int mag_tool_read(int argc, char **argv)
{
  static struct selection selection; /* large: not on the stack */
  struct tool_options options;
  struct stat st;
  int r = tool_options(&options, argc, argv);
  if (r)
    return r;
  const char *path = options.argument;
  if (options.from < 1 || (options.to > 0 && options.to < options.from))
    return tool_fail("view_range [%lld, %lld] holds no line: lines are counted from 1", options.from, options.to);
  selection = (struct selection){.from = options.from, .to = options.to, .line = 1};
  mag_autoclose int fd = tool_open_file(&options.roots, path, &st);
  if (fd < 0)
    return 1;
  static char data[65536];
  bool first = true;
  ssize_t n;
  while ((n = read(fd, data, sizeof(data))) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tool_fail_errno(path, errno);
    if (first && tool_is_binary(data, (size_t) n))
      return tool_fail("%s is a binary file of %lld byte%s, not text", path, (long long) st.st_size,
                       st.st_size == 1 ? "" : "s");
    first = false;
    if (!select_from(&selection, data, (size_t) n))
      break;
  }
  long long lines = selection.line - 1 + selection.any;
  if (n == 0 && selection.from > lines && selection.from > 1)
    return tool_fail("%s has only %lld line%s", path, lines, lines == 1 ? "" : "s");
  if (selection.full)
    print_cut(&selection, (long long) st.st_size);
  else
    tool_print(selection.text, selection.len);
  return tool_finish();
}
