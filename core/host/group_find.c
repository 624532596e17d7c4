#include "host/group_find.h"

#include "base/cleanup.h"
#include "host/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static struct mag_group_tree trees[MAG_TREES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Is `word` one of the words of `list`, which are divided by any of `dividers`? */
static bool has_word(const char *list, const char *word, const char *dividers)
{
  size_t len = strlen(word);
  for (const char *p = list; *p;) {
    size_t n = strcspn(p, dividers);
    if (n == len && memcmp(p, word, n) == 0)
      return true;
    p += n;
    p += strspn(p, dividers);
  }
  return false;
}

static bool read_text(const char *dir, const char *name, char *text, size_t cap)
{
  char path[MAG_TREE_PATH + 64];
  (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
  text[n < 0 ? 0 : n] = 0;
  return n >= 0;
}

/* May we make groups in this directory and move processes that are below it? */
static bool is_ours(const char *dir)
{
  char path[MAG_TREE_PATH + 64];
  (void) snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
  return access(dir, W_OK | X_OK) == 0 && access(path, W_OK) == 0;
}

/* One line of /proc/self/mountinfo: a mount of a cgroup tree. */
struct mount {
  char root[MAG_TREE_PATH], point[MAG_TREE_PATH], type[32], options[256];
};

static bool parse_mount(const char *line, struct mount *mount)
{
  const char *dash = strstr(line, " - ");
  return dash && sscanf(line, "%*s %*s %*s %1023s %1023s", mount->root, mount->point) == 2 &&
         sscanf(dash, " - %31s %*s %255s", mount->type, mount->options) == 2;
}

/* Our place in a tree: a line of /proc/self/cgroup, "id:controllers:path". */
static bool own_place(int tree, const char *controller, char *place)
{
  mag_autofree char *line = NULL;
  size_t cap = 0;
  bool found = false;
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (!file)
    return false;
  while (!found && getline(&line, &cap, file) > 0) {
    line[strcspn(line, "\n")] = 0;
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path || strlen(path + 1) >= MAG_TREE_PATH)
      continue;
    *path++ = 0;
    found = tree == MAG_TREE_V2 ? strcmp(line, "0:") == 0 : has_word(names + 1, controller, ",");
    if (found)
      memcpy(place, path, strlen(path) + 1);
  }
  (void) fclose(file);
  return found;
}

/* The mount shows the tree from `root` on; "/" and "/.." (another namespace's view) show all that there is. */
static bool directory_of(const struct mount *mount, const char *place, char *dir)
{
  size_t root_len = strcmp(mount->root, "/") == 0 || strncmp(mount->root, "/..", 3) == 0 ? 0 : strlen(mount->root);
  if (root_len && strncmp(place, mount->root, root_len) == 0)
    place += root_len;
  else if (root_len)
    place = "";
  int n = snprintf(dir, MAG_TREE_PATH, "%s%s", mount->point, strcmp(place, "/") == 0 ? "" : place);
  return n > 0 && n < MAG_TREE_PATH;
}

static uint32_t v2_limits(const char *dir)
{
  char text[512];
  uint32_t limits = 0;
  if (!read_text(dir, "cgroup.subtree_control", text, sizeof(text)))
    return 0;
  limits |= has_word(text, "memory", " \n") ? MAG_GROUP_MEMORY : 0;
  limits |= has_word(text, "pids", " \n") ? MAG_GROUP_PIDS : 0;
  limits |= has_word(text, "cpu", " \n") ? MAG_GROUP_CPU : 0;
  return limits;
}

static bool v2_has_kill(const char *dir)
{
  char path[MAG_TREE_PATH + 64];
  (void) snprintf(path, sizeof(path), "%s/cgroup.kill", dir);
  if (access(path, F_OK) == 0)
    return true;
  /* The root has no such file even where its children do. */
  (void) snprintf(path, sizeof(path), "%s/cgroup.freeze", dir);
  return access(path, F_OK) != 0;
}

/* A group that holds processes cannot hand controllers down (but the root can), so we look from our own place
 * upwards for the nearest one that is ours and does; failing that any that is ours, for killing alone. */
static void find_v2(const struct mount *mount, struct mag_group_tree *tree)
{
  char place[MAG_TREE_PATH], dir[MAG_TREE_PATH];
  size_t top = strlen(mount->point);
  if (!own_place(MAG_TREE_V2, "", place) || !directory_of(mount, place, dir))
    return;
  for (;;) {
    if (is_ours(dir)) {
      uint32_t limits = v2_limits(dir);
      if (limits || !tree->path[0]) {
        memcpy(tree->path, dir, strlen(dir) + 1);
        tree->limits = limits | (v2_has_kill(dir) ? MAG_GROUP_KILL : 0);
      }
      if (limits & MAG_GROUP_MEMORY)
        return;
    }
    char *slash = strrchr(dir, '/');
    if (!slash || (size_t) (slash - dir) < top)
      return;
    *slash = 0;
  }
}

static void find_v1(const struct mount *mount, int index, const char *controller, uint32_t limit)
{
  char place[MAG_TREE_PATH], dir[MAG_TREE_PATH];
  struct mag_group_tree *tree = &trees[index];
  if (tree->path[0] || !has_word(mount->options, controller, ",") || !own_place(index, controller, place) ||
      !directory_of(mount, place, dir) || !is_ours(dir))
    return;
  memcpy(tree->path, dir, strlen(dir) + 1);
  tree->limits = limit | (index == MAG_TREE_PIDS ? MAG_GROUP_KILL : 0);
}

/* Groups of magents of this pid namespace that died without removing them. Their members are killed where the tree can
 * do that at once; else a group that still has some refuses to go. */
static void sweep(const char *path)
{
  char prefix[MAG_GROUP_PREFIX], name[512];
  size_t len = mag_group_prefix(prefix);
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
    int owner;
    if (strncmp(entry->d_name, prefix, len) != 0 || sscanf(entry->d_name + len, "%d-", &owner) != 1 || owner <= 0 ||
        kill(owner, 0) == 0 || errno != ESRCH)
      continue;
    (void) snprintf(name, sizeof(name), "%s/cgroup.kill", entry->d_name);
    mag_autoclose int fd = openat(dirfd(dir), name, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) != 1)
      continue;
    for (int i = 0; i < 20 && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY && fd >= 0; i++)
      (void) nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  if (dir)
    (void) closedir(dir);
}

size_t mag_group_prefix(char prefix[MAG_GROUP_PREFIX])
{
  struct stat st = {0};
  (void) stat("/proc/self/ns/pid", &st); /* a pid says who only where it was given */
  return (size_t) snprintf(prefix, MAG_GROUP_PREFIX, "magent-%llu-", (unsigned long long) st.st_ino);
}

static void find_all(void)
{
  mag_autofree char *line = NULL;
  size_t cap = 0;
  struct mount mount;
  FILE *file = fopen("/proc/self/mountinfo", "re");
  if (!file)
    return;
  while (getline(&line, &cap, file) > 0) {
    if (!parse_mount(line, &mount))
      continue;
    if (strcmp(mount.type, "cgroup2") == 0 && !trees[MAG_TREE_V2].path[0])
      find_v2(&mount, &trees[MAG_TREE_V2]);
    if (strcmp(mount.type, "cgroup") != 0)
      continue;
    find_v1(&mount, MAG_TREE_MEMORY, "memory", MAG_GROUP_MEMORY);
    find_v1(&mount, MAG_TREE_PIDS, "pids", MAG_GROUP_PIDS);
    find_v1(&mount, MAG_TREE_CPU, "cpu", MAG_GROUP_CPU);
  }
  (void) fclose(file);
  for (int i = 0; i < MAG_TREES; i++)
    if (trees[i].path[0])
      sweep(trees[i].path);
}

const struct mag_group_tree *mag_group_trees(void)
{
  (void) pthread_once(&once, find_all);
  return trees;
}
