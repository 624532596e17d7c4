#include "sandbox/transfer.h"

#include "sandbox/modes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COPY_SIZE 65536

struct options {
  const char *beneath, *path;
  unsigned mode;
  int64_t length, limit;
};

static bool parse(int argc, char **argv, struct options *options)
{
  *options = (struct options){.mode = 0644, .length = -1};
  for (int i = 1; i < argc - 1; i++) {
    if (strncmp(argv[i], "mode=", 5) == 0)
      options->mode = (unsigned) strtoul(argv[i] + 5, NULL, 8) & 0777;
    else if (strncmp(argv[i], "length=", 7) == 0)
      options->length = strtoll(argv[i] + 7, NULL, 10);
    else if (strncmp(argv[i], "limit=", 6) == 0)
      options->limit = strtoll(argv[i] + 6, NULL, 10);
    else if (strncmp(argv[i], "beneath=", 8) == 0)
      options->beneath = argv[i] + 8;
    else
      return false;
  }
  options->path = argc > 1 ? argv[argc - 1] : "";
  return options->path[0] != 0;
}

/* Where paths start: the working directory, or the directory that must not be left; and the path from there. */
static int open_base(const struct options *options, const char **ret_path)
{
  *ret_path = options->path;
  if (!options->beneath)
    return open(options->path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  size_t n = strlen(options->beneath);
  if (options->path[0] == '/') {
    if (strncmp(options->path, options->beneath, n) != 0 || options->path[n] != '/') {
      errno = EXDEV;
      return -1;
    }
    *ret_path = options->path + n + strspn(options->path + n, "/");
  }
  return open(options->beneath, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_in(int base, const char *path, uint64_t flags, bool beneath)
{
  if (!beneath)
    return openat(base, path[0] ? path : ".", (int) flags | O_CLOEXEC);
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  return (int) syscall(SYS_openat2, base, path[0] ? path : ".", &how, sizeof(how));
}

/* The directory that holds `path`; missing ones are made on the way, each seen from the one before. */
static int open_parent(int base, char *path, bool beneath, const char **ret_name)
{
  char *slash = strrchr(path, '/');
  *ret_name = slash ? slash + 1 : path;
  if (!slash)
    return open_in(base, ".", O_PATH | O_DIRECTORY, beneath);
  if (slash == path)
    return open_in(base, beneath ? "." : "/", O_PATH | O_DIRECTORY, beneath);
  *slash = 0;
  int fd = open_in(base, path, O_PATH | O_DIRECTORY, beneath);
  if (fd < 0 && errno == ENOENT) {
    const char *name;
    int above = open_parent(base, path, beneath, &name);
    int made = above < 0 ? -1 : mkdirat(above, name, 0755);
    int number = errno;
    if (above >= 0)
      (void) close(above);
    if (above >= 0 && (made == 0 || number == EEXIST)) {
      for (char *p = path; p < slash; p++)
        if (!*p)
          *p = '/';
      fd = open_in(base, path, O_PATH | O_DIRECTORY, beneath);
    } else {
      errno = number;
    }
  }
  return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    data += n;
    len -= (size_t) n;
  }
  return 0;
}

/* Until the end of `from`, or `most` bytes; the number of bytes is added to *total. */
static int copy(int from, int to, int64_t most, int64_t *total)
{
  static char buf[COPY_SIZE];
  while (*total < most) {
    size_t want = most - *total < COPY_SIZE ? (size_t) (most - *total) : COPY_SIZE;
    ssize_t n = read(from, buf, want);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    if (n == 0)
      break;
    int number = write_all(to, buf, (size_t) n);
    if (number)
      return number;
    *total += n;
  }
  return 0;
}

/* Written beside its place and renamed, so that nobody sees half of it, and a link is replaced, not followed. */
static int put_in(int parent, const char *name, const struct options *options)
{
  char temporary[64];
  if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return EISDIR;
  (void) snprintf(temporary, sizeof(temporary), ".magent-put-%d", (int) getpid());
  (void) unlinkat(parent, temporary, 0);
  int fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return errno;
  int64_t total = 0, want = options->length >= 0 ? options->length : INT64_MAX;
  int number = copy(0, fd, want, &total);
  if (number == 0 && options->length >= 0 && total != options->length)
    number = EPIPE; /* the host has gone half-way */
  if (number == 0 && fchmod(fd, options->mode) < 0)
    number = errno;
  if (close(fd) < 0 && number == 0)
    number = errno;
  struct stat st;
  if (number == 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
    number = EISDIR;
  if (number == 0 && renameat(parent, temporary, parent, name) < 0)
    number = errno;
  if (number)
    (void) unlinkat(parent, temporary, 0);
  return number;
}

int mag_sandbox_put(int argc, char **argv)
{
  struct options options;
  const char *rest, *name;
  if (!parse(argc, argv, &options))
    return EINVAL;
  int base = open_base(&options, &rest);
  if (base < 0)
    return errno;
  char *path = strdup(rest);
  if (!path)
    return ENOMEM;
  int parent = open_parent(base, path, options.beneath != NULL, &name);
  int number = parent < 0 ? errno : put_in(parent, name, &options);
  if (parent >= 0)
    (void) close(parent);
  free(path);
  (void) close(base);
  return number;
}

int mag_sandbox_get(int argc, char **argv)
{
  struct options options;
  const char *path;
  struct stat st;
  if (!parse(argc, argv, &options))
    return EINVAL;
  int base = open_base(&options, &path);
  if (base < 0)
    return errno;
  /* NONBLOCK: a fifo must not hold us. */
  int fd = open_in(base, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, options.beneath != NULL);
  if (fd < 0 || fstat(fd, &st) < 0)
    return errno == ENXIO ? EINVAL : errno;
  if (S_ISDIR(st.st_mode))
    return EISDIR;
  if (!S_ISREG(st.st_mode))
    return EINVAL;
  if (options.limit > 0 && st.st_size > options.limit)
    return EFBIG;
  struct mag_get_header header = {MAG_GET_MAGIC, st.st_mode & 07777, st.st_size};
  int number = write_all(1, (const char *) &header, sizeof(header));
  int64_t total = 0;
  /* A file that grows meanwhile ends at its limit plus one byte, which the host refuses. */
  return number ? number : copy(fd, 1, options.limit > 0 ? options.limit + 1 : INT64_MAX, &total);
}
