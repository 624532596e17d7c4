#include "base/tree.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tool may leave directories that even their owner cannot enter, list or change: the owner is given the right
 * again. The mode is changed through the descriptor, so that nothing else can be in the place of the directory. */
static int open_directory(int parent, const char *name)
{
  struct stat st;
  int place = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (place < 0)
    return -1;
  int failed = fstat(place, &st) < 0 ? errno : 0;
  if (!failed && (st.st_mode & S_IRWXU) != S_IRWXU) {
    char path[64];
    (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
    failed = chmod(path, (st.st_mode & 07777) | S_IRWXU) < 0 ? errno : 0;
  }
  int fd = failed ? -1 : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && !failed)
    failed = errno;
  (void) close(place);
  errno = failed;
  return fd;
}

static int remove_entry(int parent, const char *name, dev_t device);

/* 0 or an errno. */
static int remove_content(int parent, const char *name, dev_t device)
{
  int fd = open_directory(parent, name), failed = 0;
  if (fd < 0)
    return errno;
  DIR *dir = fdopendir(fd);
  if (!dir) {
    failed = errno;
    (void) close(fd);
    return failed;
  }
  for (struct dirent *entry; !failed && (errno = 0, entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      failed = remove_entry(fd, entry->d_name, device);
  if (!failed)
    failed = errno;
  (void) closedir(dir);
  return failed;
}

/* 0 or an errno. `device` 0: the entry's own. */
static int remove_entry(int parent, const char *name, dev_t device)
{
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : errno;
  bool directory = S_ISDIR(st.st_mode);
  if (directory && device && st.st_dev != device)
    return EBUSY; /* something is mounted there */
  int failed = directory ? remove_content(parent, name, st.st_dev) : 0;
  if (!failed && unlinkat(parent, name, directory ? AT_REMOVEDIR : 0) < 0)
    failed = errno;
  return failed;
}

int mag_tree_remove(const char *path, struct mbp_error *err)
{
  int failed = remove_entry(AT_FDCWD, path, 0);
  return failed ? mag_error_errno(err, failed, "%s", path) : 0;
}
