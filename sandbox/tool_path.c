#include "sandbox/tool_common.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The part of a canonical path below `root`: NULL if it is not there, "." for the root itself. */
static const char *below(const char *root, const char *canonical)
{
  size_t n = strlen(root);
  if (strcmp(root, "/") == 0)
    return canonical[1] ? canonical + 1 : ".";
  if (strncmp(root, canonical, n) != 0)
    return NULL;
  return canonical[n] == 0 ? "." : canonical[n] == '/' ? canonical + n + 1 : NULL;
}

/* Where openat2 is missing: one component after the other, none of which may be a link. */
static int walk_down(int from, const char *path, int flags)
{
  int dir = from;
  for (;;) {
    char name[NAME_MAX + 1];
    const char *slash = strchr(path, '/');
    size_t n = slash ? (size_t) (slash - path) : strlen(path);
    int fd = -1;
    if (n <= NAME_MAX) {
      memcpy(name, path, n);
      name[n] = 0;
      fd = openat(dir, name, (slash ? O_PATH | O_DIRECTORY | O_CLOEXEC : flags) | O_NOFOLLOW);
    }
    int number = errno;
    if (dir != from)
      close(dir);
    errno = number;
    if (fd < 0 || !slash)
      return fd;
    dir = fd;
    path = slash + 1;
  }
}

static int open_below(const char *root, const char *rest, int flags)
{
  mag_autoclose int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (dir < 0)
    return -1;
  struct open_how how = {.flags = (uint64_t) flags,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  int fd = (int) syscall(SYS_openat2, dir, rest, &how, sizeof(how));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM))
    fd = walk_down(dir, rest, flags);
  return fd;
}

/* A canonical path, if one of the roots holds it. -1 after an error that has been told. */
static int open_canonical(const struct tool_roots *roots, const char *canonical, int flags, const char *shown)
{
  const char *root = "/", *rest = NULL;
  flags |= O_CLOEXEC;
  if (!(flags & O_PATH))
    flags |= O_NOCTTY | O_NONBLOCK; /* a device or fifo must not hold us */
  for (size_t i = 0; i < roots->n && !rest; i++)
    rest = below(root = roots->paths[i], canonical);
  if (roots->n == 0)
    rest = below("/", canonical);
  if (!rest) {
    tool_fail("%s is outside of the directories that may be used", shown);
    return -1;
  }
  int fd = open_below(root, rest, flags);
  if (fd < 0)
    tool_fail_errno(shown, errno);
  return fd;
}

int tool_open(const struct tool_roots *roots, const char *path, int flags, char canonical[PATH_MAX])
{
  char own[PATH_MAX], *place = canonical ? canonical : own;
  if (!realpath(path, place)) {
    tool_fail_errno(path, errno);
    return -1;
  }
  return open_canonical(roots, place, flags, path);
}

int tool_open_file(const struct tool_roots *roots, const char *path, struct stat *ret_stat)
{
  char canonical[PATH_MAX];
  /* A look first: opening a device for reading may already do something. */
  mag_autoclose int look = tool_open(roots, path, O_PATH, canonical);
  if (look < 0)
    return -1;
  if (fstat(look, ret_stat) == 0 && S_ISREG(ret_stat->st_mode)) {
    int fd = open_canonical(roots, canonical, O_RDONLY, path);
    if (fd < 0 || (fstat(fd, ret_stat) == 0 && S_ISREG(ret_stat->st_mode)))
      return fd;
    close(fd);
  }
  tool_fail(S_ISDIR(ret_stat->st_mode) ? "%s is a directory" : "%s is not a regular file", path);
  return -1;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* Splits `path` into what exists (made canonical) and what does not. -1 after an error that has been told. */
static int split(const char *path, char canonical[PATH_MAX], char missing[PATH_MAX])
{
  char head[PATH_MAX];
  size_t n = strlen(path);
  if (n == 0 || n >= sizeof(head)) {
    tool_fail(n ? "the path is too long" : "the path is empty");
    return -1;
  }
  memcpy(head, path, n + 1);
  missing[0] = 0;
  while (!realpath(head[0] ? head : ".", canonical)) {
    struct stat st;
    if (errno != ENOENT) {
      tool_fail_errno(path, errno);
      return -1;
    }
    if (lstat(head, &st) == 0) {
      tool_fail("%s: %s is a symbolic link to nothing", path, head);
      return -1;
    }
    char *slash = strrchr(head, '/'), *name = slash ? slash + 1 : head;
    if (strcmp(name, "..") == 0) {
      tool_fail("%s: \"..\" behind a directory that does not exist", path);
      return -1;
    }
    /* missing = name "/" missing */
    size_t len = strlen(name), old = strlen(missing);
    if (len && strcmp(name, ".") != 0) {
      memmove(missing + len + (old > 0), missing, old + 1);
      memcpy(missing, name, len);
      if (old)
        missing[len] = '/';
    }
    if (slash == head && name[0])
      head[1] = 0;
    else if (slash)
      *slash = 0;
    else
      head[0] = 0;
  }
  return 0;
}

/* Makes the directories of `missing` but its last part, which is left in `name`. Takes and returns a descriptor. */
static int make_parents(int dir, const char *missing, char name[NAME_MAX + 1], const char *shown)
{
  for (;;) {
    const char *slash = strchr(missing, '/');
    size_t n = slash ? (size_t) (slash - missing) : strlen(missing);
    if (n > NAME_MAX) {
      tool_fail_errno(shown, ENAMETOOLONG);
      break;
    }
    memcpy(name, missing, n);
    name[n] = 0;
    if (!slash)
      return dir;
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST) {
      tool_fail_errno(shown, errno);
      break;
    }
    int next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) {
      tool_fail_errno(shown, errno);
      break;
    }
    close(dir);
    dir = next;
    missing = slash + 1;
  }
  close(dir);
  return -1;
}

int tool_writer_open(struct tool_writer *writer, const struct tool_roots *roots, const char *path)
{
  char canonical[PATH_MAX], missing[PATH_MAX];
  struct stat st;
  size_t n = strlen(path);
  writer->dir = writer->fd = -1;
  if (n && path[n - 1] == '/')
    return tool_fail("%s names a directory, not a file", path);
  if (split(path, canonical, missing) < 0)
    return 1;
  if (!missing[0]) { /* the file is there: its own directory and name */
    char *slash = strrchr(canonical, '/');
    (void) snprintf(missing, sizeof(missing), "%s", slash[1] ? slash + 1 : ".");
    slash[slash == canonical] = 0;
  }
  writer->dir = open_canonical(roots, canonical, O_PATH | O_DIRECTORY, path);
  if (writer->dir < 0)
    return 1;
  writer->dir = make_parents(writer->dir, missing, writer->name, path);
  if (writer->dir < 0)
    return 1;
  mode_t mode = 0600;
  int r = 0;
  if (fstatat(writer->dir, writer->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
    mode = st.st_mode & 0777;
    if (!S_ISREG(st.st_mode))
      r = tool_fail(S_ISDIR(st.st_mode) ? "%s is a directory" : "%s is not a regular file", path);
    else if (faccessat(writer->dir, writer->name, W_OK, AT_EACCESS) < 0)
      r = tool_fail_errno(path, errno); /* a file that refuses writing is not replaced behind its back */
  }
  unsigned int random = 0;
  (void) !getrandom(&random, sizeof(random), 0);
  (void) snprintf(writer->temporary, sizeof(writer->temporary), ".magent-%08x.tmp", random);
  if (r == 0) {
    writer->fd = openat(writer->dir, writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (writer->fd < 0)
      r = tool_fail_errno(path, errno);
    else if (fchmod(writer->fd, mode) < 0)
      r = tool_fail_errno(path, errno);
  }
  if (r)
    tool_writer_abort(writer);
  return r;
}

int tool_writer_add(struct tool_writer *writer, const char *path, const char *data, size_t len)
{
  while (len) {
    ssize_t n = write(writer->fd, data, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tool_fail_errno(path, errno);
    data += n;
    len -= (size_t) n;
  }
  return 0;
}

int tool_writer_commit(struct tool_writer *writer, const char *path)
{
  int r = 0;
  if (close(mag_steal_fd(&writer->fd)) < 0 ||
      renameat(writer->dir, writer->temporary, writer->dir, writer->name) < 0) {
    r = tool_fail_errno(path, errno);
    tool_writer_abort(writer);
  } else
    close(mag_steal_fd(&writer->dir));
  return r;
}

void tool_writer_abort(struct tool_writer *writer)
{
  mag_cleanup_close(&writer->fd);
  if (writer->dir >= 0) {
    (void) unlinkat(writer->dir, writer->temporary, 0);
    close(writer->dir);
  }
  writer->dir = writer->fd = -1;
}
