/* tool_common.h - what the file tools share: options, the allowed directories, errors, output. */
#ifndef MAG_SANDBOX_TOOL_COMMON_H
#define MAG_SANDBOX_TOOL_COMMON_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_ROOTS 8

/* Directories that may be reached; none: everything. Canonical paths. */
struct tool_roots {
  size_t n;
  char *paths[TOOL_ROOTS];
};

struct tool_options {
  struct tool_roots roots;
  long long from, to, bytes; /* bytes: -1 if not given */
  bool all;
  const char *in;       /* --in, or NULL */
  const char *argument; /* PATH or PATTERN */
};

/* 0, or the exit status of a wrong use; a root that is not there is an error too. */
int tool_options(struct tool_options *options, int argc, char **argv);

/* One line on stderr; returns 1, the exit status of a failed tool. */
int tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a file and an errno. */
int tool_fail_errno(const char *path, int number);
/* Text on stdout, every byte that is not UTF-8 (and every 0) shown as U+FFFD. */
void tool_print(const char *text, size_t len);
/* Flushes stdout; the exit status. */
int tool_finish(void);
/* Everything that stdin has, at most `limit` bytes; NULL after an error that has been told. The caller frees. */
char *tool_stdin(size_t limit, size_t *ret_len);
/* Length of `text` without a piece of a character at its end. */
size_t tool_cut(const char *text, size_t len);
bool tool_is_binary(const char *text, size_t len);
int64_t tool_now_ms(void);

/* ---- tool_path.c: every path is made canonical first, then opened below its root without any symbolic link, so a link
 * that is swapped in between makes it fail and lets nobody out. ---- */

/* Descriptor of something that exists, or -1 after an error that has been told. `canonical` may be NULL. */
int tool_open(const struct tool_roots *roots, const char *path, int flags, char canonical[PATH_MAX]);
/* The same for regular files only; fills size and mode. */
struct stat;
int tool_open_file(const struct tool_roots *roots, const char *path, struct stat *ret_stat);

/* Replaces a file in one step: a new one is written beside it and renamed. */
struct tool_writer {
  int dir, fd;
  char name[NAME_MAX + 1], temporary[32];
};
/* 0, or 1 after an error that has been told. Missing directories are made (0700). */
int tool_writer_open(struct tool_writer *writer, const struct tool_roots *roots, const char *path);
int tool_writer_add(struct tool_writer *writer, const char *path, const char *data, size_t len);
int tool_writer_commit(struct tool_writer *writer, const char *path);
void tool_writer_abort(struct tool_writer *writer);

/* ---- tool_blocks.c ---- */

/* Two blocks "LENGTH\nbytes" one after the other and nothing else: 0, or -1. */
struct tool_block {
  const char *ptr;
  size_t len;
};
int tool_blocks(const char *text, size_t len, struct tool_block ret_blocks[2]);

#endif
