#include "fixture.h"

#include "base/cleanup.h"
#include "loader/file.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *ring(void)
{
  static char paths[16][PATH_MAX];
  static unsigned next;
  return paths[next++ % 16];
}

int zoo_open(struct zoo *zoo)
{
  const char *places[] = {".", secure_getenv("TMPDIR"), "/tmp", "/var/tmp"};
  for (size_t i = 0; i < MAG_COUNT(places); i++) {
    char *place = places[i] ? realpath(places[i], NULL) : NULL;
    int n = place ? snprintf(zoo->root, sizeof(zoo->root), "%s/zoo-XXXXXX", place) : -1;
    free(place);
    if (n < 0 || (size_t) n >= sizeof(zoo->root) || !mkdtemp(zoo->root))
      continue;
    mag_autoclose int fd = -1;
    if (mag_directory_open(zoo->root, MAG_TRUST_CHECKED, &fd, NULL) == 0)
      return 0;
    (void) rmdir(zoo->root);
  }
  return -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove(path);
}

void zoo_close(struct zoo *zoo)
{
  (void) nftw(zoo->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *zoo_path(struct zoo *zoo, const char *directory, const char *file)
{
  char *path = ring();
  ck_assert_int_lt(snprintf(path, PATH_MAX, "%s/%s%s%s", zoo->root, directory, *file ? "/" : "", file), PATH_MAX);
  return path;
}

const char *zoo_directory(struct zoo *zoo, const char *directory)
{
  const char *path = zoo_path(zoo, directory, "");
  (void) mkdir(path, 0755);
  ck_assert_int_eq(chmod(path, 0755), 0);
  return path;
}

const char *zoo_write(struct zoo *zoo, const char *directory, const char *file, const void *data, size_t len)
{
  (void) zoo_directory(zoo, directory);
  const char *path = zoo_path(zoo, directory, file);
  (void) unlink(path); /* it may be mapped: what is in use is replaced, never changed */
  mag_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  ck_assert_msg(fd >= 0 && write(fd, data, len) == (ssize_t) len && fchmod(fd, 0644) == 0, "cannot write %s", path);
  return path;
}

const char *zoo_add(struct zoo *zoo, const char *module, const char *directory, const char *file)
{
  char exe[PATH_MAX], built[PATH_MAX];
  static char data[1 << 20];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
  ck_assert_int_gt(n, 0);
  exe[n] = 0;
  *strrchr(exe, '/') = 0;
  const char *libs = n > 6 && strcmp(exe + strlen(exe) - 6, "/.libs") == 0 ? "" : "/.libs";
  ck_assert_int_lt(snprintf(built, sizeof(built), "%s%s/zoo-%s.so", exe, libs, module), (int) sizeof(built));
  mag_autoclose int fd = open(built, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, "no module %s", built);
  n = read(fd, data, sizeof(data));
  ck_assert_msg(n > 0 && (size_t) n < sizeof(data), "%s is too large", built);
  return zoo_write(zoo, directory, file, data, (size_t) n);
}
