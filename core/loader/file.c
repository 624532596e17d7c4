#include "loader/file.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *mag_path_shown(const char *path)
{
  size_t n = strlen(path);
  if (n <= 200)
    return path;
  const char *tail = strchr(path + n - 200, '/');
  return tail ? tail : path + n - 200;
}

int mag_refuse(struct mbp_error *err, int code, const char *path, const char *field, const char *found,
               const char *expected)
{
  return mag_error(err, code, "%s: %s: found %.100s, expected %.140s", mag_path_shown(path), field, found, expected);
}

/* Nobody but root and the effective user may be able to change what `fd` is. In a sticky directory others can add files
 * but not replace ours, so /tmp may be above a plugin directory; a plugin directory itself may not be one. */
static int check_rights(int fd, const char *path, bool sticky_allowed, struct mbp_error *err)
{
  struct stat st;
  char found[64], expected[128];
  if (fstat(fd, &st) < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(path));
  if (st.st_uid != 0 && st.st_uid != geteuid()) {
    (void) snprintf(found, sizeof(found), "uid %u", (unsigned) st.st_uid);
    (void) snprintf(expected, sizeof(expected), "root%s (or name the plugin's directory with --plugin-dir)",
                    geteuid() == 0 ? "" : " or yourself");
    return mag_refuse(err, MBP_E_PERMISSION, path, "owner", found, expected);
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(sticky_allowed && S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX))) {
    (void) snprintf(found, sizeof(found), "%04o", (unsigned) (st.st_mode & 07777));
    return mag_refuse(err, MBP_E_PERMISSION, path, "mode", found,
                      "not writable by group or others (chmod go-w, or name the plugin's directory with --plugin-dir)");
  }
  return 0;
}

/* Walks down an absolute path without links, checking each directory on its open descriptor; every step is taken from
 * the descriptor that was checked. Returns a descriptor of the last directory. */
static int open_parents(const char *real_path, struct mbp_error *err)
{
  mag_autofree char *walk = mag_str_dup(mbp_str(real_path));
  if (!walk)
    return mag_error_no_memory(err);
  mag_autoclose int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0)
    return mag_error_errno(err, errno, "/");
  char *name = walk + 1, *end;
  int r = check_rights(at, "/", strchr(name, '/') != NULL, err);
  for (; r == 0 && (end = strchr(name, '/')) != NULL; name = end + 1) {
    *end = 0;
    int below = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
      return mag_error_errno(err, errno, "%s", mag_path_shown(walk));
    (void) close(at);
    at = below;
    r = check_rights(at, walk, strchr(end + 1, '/') != NULL, err);
    *end = '/';
  }
  return r < 0 ? r : mag_steal_fd(&at);
}

static int resolve(const char *path, char **ret_real_path, struct mbp_error *err)
{
  char *real_path = realpath(path, NULL);
  if (real_path) {
    *ret_real_path = real_path;
    return 0;
  }
  int number = errno;
  struct stat st;
  if (number == ENOENT && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
    return mag_error(err, MBP_E_NOT_FOUND, "%s: symbolic link to a file that does not exist", mag_path_shown(path));
  return mag_error_errno(err, number, "%s", mag_path_shown(path));
}

static const char *type_name(mode_t mode)
{
  switch (mode & S_IFMT) {
  case S_IFDIR:
    return "a directory";
  case S_IFIFO:
    return "a pipe";
  case S_IFSOCK:
    return "a socket";
  case S_IFCHR:
  case S_IFBLK:
    return "a device";
  default:
    return "something else";
  }
}

int mag_file_open(const char *path, int trust, int *ret_fd, char **ret_real_path, struct mbp_error *err)
{
  mag_autofree char *real_path = NULL;
  int r = resolve(path, &real_path, err);
  if (r < 0)
    return r;
  mag_autoclose int parent = -1;
  mag_autoclose int fd = -1;
  struct stat st;
  /* O_NONBLOCK: opening a pipe must not wait. */
  int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  if (trust == MAG_TRUST_GIVEN) {
    fd = open(real_path, flags);
  } else {
    parent = open_parents(real_path, err);
    if (parent < 0)
      return parent;
    fd = openat(parent, strrchr(real_path, '/') + 1, flags);
  }
  if (fd < 0 || fstat(fd, &st) < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(real_path));
  if (!S_ISREG(st.st_mode))
    return mag_refuse(err, MBP_E_INVALID, real_path, "type", type_name(st.st_mode), "a regular file");
  if (trust != MAG_TRUST_GIVEN) {
    r = check_rights(fd, real_path, false, err);
    if (r < 0)
      return r;
  }
  *ret_fd = mag_steal_fd(&fd);
  *ret_real_path = mag_steal(&real_path);
  return 0;
}

int mag_directory_open(const char *path, int trust, int *ret_fd, struct mbp_error *err)
{
  mag_autofree char *real_path = NULL;
  int r = resolve(path, &real_path, err);
  if (r < 0)
    return r;
  mag_autoclose int checked = -1;
  if (trust != MAG_TRUST_GIVEN) {
    /* With a slash at the end the directory itself is one of the "parents". */
    mag_autofree char *slashed = mag_sprintf("%s/", strcmp(real_path, "/") == 0 ? "" : real_path);
    if (!slashed)
      return mag_error_no_memory(err);
    checked = open_parents(slashed, err);
    if (checked < 0)
      return checked;
  }
  int fd = checked >= 0 ? openat(checked, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : open(real_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(real_path));
  *ret_fd = fd;
  return 0;
}
