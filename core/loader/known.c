#include "loader/known.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KNOWN_MAX 32768 /* bytes; a longer list has become useless and is begun anew */
#define LINE 192

/* A line is compared as a whole and never taken apart. 0: the file cannot be looked at. */
static size_t identity(const char *path, char line[LINE])
{
  struct stat st;
  if (stat(path, &st) < 0)
    return 0;
  return (size_t) snprintf(
      line, LINE, PACKAGE_VERSION " %llx %llx %llx %llx.%lx %llx.%lx\n", (unsigned long long) st.st_dev,
      (unsigned long long) st.st_ino, (unsigned long long) st.st_size, (unsigned long long) st.st_mtim.tv_sec,
      (unsigned long) st.st_mtim.tv_nsec, (unsigned long long) st.st_ctim.tv_sec, (unsigned long) st.st_ctim.tv_nsec);
}

/* Nobody else may write to it. */
static bool is_own(int fd, mode_t type)
{
  struct stat st;
  return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
         !(st.st_mode & (S_IWGRP | S_IWOTH)) && (type == S_IFDIR || st.st_nlink == 1);
}

static int open_directory(void)
{
  const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
  bool own = !cache || cache[0] != '/';
  if (own && (!home || home[0] != '/'))
    return -1;
  mag_autofree char *base = own ? mag_sprintf("%s/.cache", home) : mag_str_dup(mbp_str(cache));
  mag_autofree char *path = base ? mag_sprintf("%s/magent", base) : NULL;
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = path ? open(path, flags) : -1;
  if (path && fd < 0 && errno == ENOENT) {
    (void) mkdir(base, 0700);
    (void) mkdir(path, 0700);
    fd = open(path, flags);
  }
  return fd;
}

bool mag_known_open(struct mag_known *known)
{
  *known = (struct mag_known){.fd = -1};
  mag_autoclose int dir = open_directory();
  if (!is_own(dir, S_IFDIR))
    return false;
  mag_autoclose int fd =
      openat(dir, "plugins", O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  if (!is_own(fd, S_IFREG))
    return false;
  char *text = malloc(KNOWN_MAX + 1);
  ssize_t n = text ? pread(fd, text, KNOWN_MAX + 1, 0) : -1;
  if (n > KNOWN_MAX)
    n = ftruncate(fd, 0);
  if (n < 0) {
    free(text);
    return false;
  }
  *known = (struct mag_known){.fd = mag_steal_fd(&fd), .text = text, .len = (size_t) n};
  return true;
}

void mag_known_done(struct mag_known *known)
{
  mag_cleanup_close(&known->fd);
  free(known->text);
  *known = (struct mag_known){.fd = -1};
}

bool mag_known_has(const struct mag_known *known, const char *path)
{
  char line[LINE];
  size_t n = identity(path, line);
  for (const char *at = known->text, *end = at + known->len; n && at && (at = memmem(at, (size_t) (end - at), line, n));
       at++)
    if (at == known->text || at[-1] == '\n')
      return true;
  return false;
}

void mag_known_add(struct mag_known *known, const char *path)
{
  char line[LINE];
  size_t n = identity(path, line);
  if (n && known->fd >= 0)
    (void) !write(known->fd, line, n); /* one write at the end: others may do the same */
}
