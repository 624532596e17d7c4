#include "sandbox/tool.h"
#include "sandbox/tool_common.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define EDIT_LIMIT (64u * 1024 * 1024) /* of a file that is edited, and of the input of an edit */

/* Copies stdin; a connection that broke looks like its end, so the length is told beforehand. */
static int copy_stdin(struct tool_writer *writer, const char *path, long long wanted, long long *ret_total)
{
  char data[65536];
  long long total = 0;
  for (;;) {
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tool_fail("the content could not be read");
    if (n == 0)
      break;
    total += n;
    if (tool_writer_add(writer, path, data, (size_t) n))
      return 1;
  }
  if (wanted >= 0 && total != wanted)
    return tool_fail("only %lld of %lld bytes arrived; %s is unchanged", total, wanted, path);
  *ret_total = total;
  return 0;
}

int mag_tool_write(int argc, char **argv)
{
  struct tool_options options;
  struct tool_writer writer;
  long long total = 0;
  int r = tool_options(&options, argc, argv);
  if (r)
    return r;
  const char *path = options.argument;
  r = tool_writer_open(&writer, &options.roots, path);
  if (r)
    return r;
  r = copy_stdin(&writer, path, options.bytes, &total);
  if (r) {
    tool_writer_abort(&writer);
    return r;
  }
  r = tool_writer_commit(&writer, path);
  if (r)
    return r;
  (void) printf("wrote %lld byte%s to %s\n", total, total == 1 ? "" : "s", path);
  return tool_finish();
}

/* ---- edit -------------------------------------------------------------------------------------------------------- */

static char *read_whole(int fd, const char *path, size_t size, size_t *ret_len)
{
  char *text = malloc(size + 1);
  size_t len = 0;
  if (!text) {
    tool_fail("no memory for %s", path);
    return NULL;
  }
  while (len < size) {
    ssize_t n = read(fd, text + len, size - len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      tool_fail_errno(path, errno);
      free(text);
      return NULL;
    }
    if (n == 0)
      break;
    len += (size_t) n;
  }
  *ret_len = len;
  return text;
}

static const char *find(const char *from, const char *end, struct tool_block what)
{
  return memmem(from, (size_t) (end - from), what.ptr, what.len);
}

static size_t count(const char *text, size_t len, struct tool_block what)
{
  size_t n = 0;
  for (const char *at = text; (at = find(at, text + len, what)); at += what.len)
    n++;
  return n;
}

static int check_edit(const struct tool_options *options, const struct tool_block blocks[2], size_t found)
{
  if (blocks[0].len == 0)
    return tool_fail("old_string is empty: use the write tool for a whole file");
  if (blocks[0].len == blocks[1].len && memcmp(blocks[0].ptr, blocks[1].ptr, blocks[0].len) == 0)
    return tool_fail("old_string and new_string are the same");
  if (found == 0)
    return tool_fail("old_string not found in %s", options->argument);
  if (found > 1 && !options->all)
    return tool_fail("old_string occurs %zu times in %s: add lines around it to make it unique, or set replace_all",
                     found, options->argument);
  return 0;
}

static int replace(struct tool_writer *writer, const char *path, const char *text, size_t len,
                   const struct tool_block blocks[2])
{
  const char *end = text + len;
  int r = 0;
  for (const char *at; r == 0 && (at = find(text, end, blocks[0])); text = at + blocks[0].len) {
    r = tool_writer_add(writer, path, text, (size_t) (at - text));
    if (r == 0)
      r = tool_writer_add(writer, path, blocks[1].ptr, blocks[1].len);
  }
  return r ? r : tool_writer_add(writer, path, text, (size_t) (end - text));
}

int mag_tool_edit(int argc, char **argv)
{
  struct tool_options options;
  struct tool_block blocks[2];
  struct tool_writer writer;
  struct stat st;
  size_t input_len = 0, len = 0;
  int r = tool_options(&options, argc, argv);
  if (r)
    return r;
  const char *path = options.argument;
  mag_autofree char *input = tool_stdin(EDIT_LIMIT, &input_len);
  if (!input)
    return 1;
  if (tool_blocks(input, input_len, blocks) < 0)
    return tool_fail("the strings did not arrive whole; %s is unchanged", path);
  mag_autoclose int fd = tool_open_file(&options.roots, path, &st);
  if (fd < 0)
    return 1;
  if (st.st_size > (off_t) EDIT_LIMIT)
    return tool_fail("%s is too large to be edited: %lld bytes", path, (long long) st.st_size);
  mag_autofree char *text = read_whole(fd, path, (size_t) st.st_size, &len);
  if (!text)
    return 1;
  size_t found = blocks[0].len ? count(text, len, blocks[0]) : 0;
  r = check_edit(&options, blocks, found);
  if (r == 0)
    r = tool_writer_open(&writer, &options.roots, path);
  if (r)
    return r;
  r = replace(&writer, path, text, len, blocks);
  if (r) {
    tool_writer_abort(&writer);
    return r;
  }
  r = tool_writer_commit(&writer, path);
  if (r)
    return r;
  (void) printf("edited %s (%zu replacement%s)\n", path, found, found == 1 ? "" : "s");
  return tool_finish();
}
