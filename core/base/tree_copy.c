#include "base/tree.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define DEPTH_MAX 200 /* of directories: each level holds two descriptors */
#define CHUNK (128 * 1024)

/* All functions: 0 or an errno. */

static int copy_by_hand(int from, int to)
{
  mag_autofree char *chunk = malloc(CHUNK);
  ssize_t n = 0;
  if (!chunk)
    return ENOMEM;
  while ((n = read(from, chunk, CHUNK)) > 0)
    for (ssize_t at = 0, written; at < n; at += written)
      if ((written = write(to, chunk + at, (size_t) (n - at))) < 0)
        return errno;
  return n < 0 ? errno : 0;
}

static int copy_data(int from, int to, off_t size)
{
  ssize_t n = 1;
  if (ioctl(to, FICLONE, from) == 0)
    return 0;
  for (off_t at = 0; at < size && n > 0; at += n) {
    n = copy_file_range(from, NULL, to, NULL, (size_t) MAG_MIN(size - at, (off_t) 1 << 30), 0);
    if (n < 0 && at == 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
      return copy_by_hand(from, to);
  }
  return n < 0 ? errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name)
{
  struct stat st;
  mag_autoclose int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (from < 0)
    return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : errno; /* not a file any more */
  if (fstat(from, &st) < 0)
    return errno;
  if (!S_ISREG(st.st_mode))
    return 0;
  mag_autoclose int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (to < 0)
    return errno;
  int failed = copy_data(from, to, st.st_size);
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  if (!failed && (fchmod(to, st.st_mode & 0777) < 0 || futimens(to, times) < 0))
    failed = errno;
  return failed;
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
  char target[PATH_MAX];
  ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
  if (n < 0)
    return errno == ENOENT || errno == EINVAL ? 0 : errno;
  target[n] = 0;
  return symlinkat(target, to_dir, name) < 0 ? errno : 0;
}

static int copy_directory(int from_parent, const char *from_name, int to_parent, const char *to_name, unsigned depth);

static int copy_entry(int from_dir, int to_dir, const char *name, unsigned depth)
{
  struct stat st;
  if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : errno;
  if (S_ISDIR(st.st_mode))
    return copy_directory(from_dir, name, to_dir, name, depth + 1);
  if (S_ISLNK(st.st_mode))
    return copy_link(from_dir, to_dir, name);
  return S_ISREG(st.st_mode) ? copy_file(from_dir, to_dir, name) : 0;
}

static int copy_content(int from, int to, unsigned depth)
{
  int failed = 0, own = fcntl(from, F_DUPFD_CLOEXEC, 0);
  DIR *dir = own < 0 ? NULL : fdopendir(own);
  if (!dir) {
    failed = errno;
    if (own >= 0)
      (void) close(own);
    return failed;
  }
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry) {
      failed = errno;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    failed = copy_entry(from, to, entry->d_name, depth);
    if (failed)
      break;
  }
  (void) closedir(dir);
  return failed;
}

static int copy_directory(int from_parent, const char *from_name, int to_parent, const char *to_name, unsigned depth)
{
  struct stat st;
  if (depth > DEPTH_MAX)
    return ELOOP;
  mag_autoclose int from = openat(from_parent, from_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0)
    return depth && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) ? 0 : errno;
  if (fstat(from, &st) < 0 || mkdirat(to_parent, to_name, 0700) < 0)
    return errno;
  mag_autoclose int to = openat(to_parent, to_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (to < 0)
    return errno;
  int failed = copy_content(from, to, depth);
  if (!failed && fchmod(to, st.st_mode & 0777) < 0)
    failed = errno;
  return failed;
}

int mag_tree_copy(const char *from, const char *to, struct mbp_error *err)
{
  int failed = copy_directory(AT_FDCWD, from, AT_FDCWD, to, 0);
  if (!failed)
    return 0;
  if (failed != EEXIST)
    (void) mag_tree_remove(to, NULL);
  return mag_error_errno(err, failed, "copy of %s", from);
}
