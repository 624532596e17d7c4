#include "sandbox/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH 200

static void remove_below(int dir, int depth)
{
  int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
  DIR *list = copy < 0 ? NULL : fdopendir(copy);
  if (!list && copy >= 0)
    (void) close(copy);
  for (struct dirent *entry; list && depth < DEPTH && (entry = readdir(list)) != NULL;) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(dir, name, 0) == 0)
      continue;
    int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub >= 0) {
      (void) fchmod(sub, 0700);
      remove_below(sub, depth + 1);
      (void) close(sub);
    }
    (void) unlinkat(dir, name, AT_REMOVEDIR);
  }
  if (list)
    (void) closedir(list);
}

void scratch_remove(const char *path)
{
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir >= 0) {
    remove_below(dir, 0);
    (void) close(dir);
  }
  (void) rmdir(path);
}
