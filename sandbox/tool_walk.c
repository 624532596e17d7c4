#include "sandbox/tool_walk.h"

#include "sandbox/tool_common.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
  unsigned char type;
  char name[];
};

bool tool_walk_late(struct tool_walk *walk)
{
  walk->late = walk->late || tool_now_ms() >= walk->until_ms;
  return walk->late;
}

static int compare(const void *a, const void *b)
{
  return strcmp((*(struct entry *const *) a)->name, (*(struct entry *const *) b)->name);
}

static bool left_out(const struct tool_walk *walk, const char *name, int depth)
{
  static const char *const always[] = {".", "..", ".git", "node_modules"};
  static const char *const at_top[] = {"proc", "sys", "dev"};
  for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
    if (strcmp(name, always[i]) == 0)
      return true;
  for (size_t i = 0; walk->skip_top && depth == 1 && i < sizeof(at_top) / sizeof(at_top[0]); i++)
    if (strcmp(name, at_top[i]) == 0)
      return true;
  return false;
}

static unsigned char type_of(int dir, const struct dirent *found)
{
  struct stat st;
  if (found->d_type != DT_UNKNOWN)
    return found->d_type;
  if (fstatat(dir, found->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return DT_UNKNOWN;
  return (unsigned char) IFTODT(st.st_mode);
}

/* The entries of a directory in order; the caller frees each and the array. */
static struct entry **list(struct tool_walk *walk, DIR *stream, int depth, size_t *ret_n)
{
  struct entry **entries = NULL;
  size_t n = 0, cap = 0;
  for (struct dirent *found; (found = readdir(stream));) {
    if (left_out(walk, found->d_name, depth))
      continue;
    if (++walk->entries > WALK_ENTRIES) {
      walk->cut = true;
      break;
    }
    size_t len = strlen(found->d_name) + 1;
    if (n == cap) {
      cap = cap ? cap * 2 : 64;
      struct entry **more = realloc(entries, cap * sizeof(*more));
      if (!more)
        break;
      entries = more;
    }
    struct entry *entry = malloc(sizeof(*entry) + len);
    if (!entry)
      break;
    entry->type = type_of(dirfd(stream), found);
    memcpy(entry->name, found->d_name, len);
    entries[n++] = entry;
  }
  if (n)
    qsort(entries, n, sizeof(struct entry *), compare);
  *ret_n = n;
  return entries;
}

/* Appends a name to the path; false if it does not fit. */
static bool push(struct tool_walk *walk, const char *name)
{
  size_t n = strlen(name), slash = walk->path_len > 0;
  if (walk->path_len + slash + n + 1 > sizeof(walk->path))
    return false;
  if (slash)
    walk->path[walk->path_len] = '/';
  memcpy(walk->path + walk->path_len + slash, name, n + 1);
  walk->path_len += slash + n;
  return true;
}

static bool walk_directory(struct tool_walk *walk, int fd, int depth);

static bool look_at(struct tool_walk *walk, int dir, const struct entry *entry, int depth)
{
  if (entry->type != DT_DIR)
    return walk->visit(walk->ctx, dir, entry->name, entry->type, depth);
  if (!walk->enter(walk->ctx, dir, entry->name, depth))
    return true;
  if (depth >= WALK_DEPTH) {
    walk->cut = true;
    return true;
  }
  int fd = openat(dir, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  return fd < 0 || walk_directory(walk, fd, depth + 1); /* one that may not be read is passed by */
}

static bool walk_directory(struct tool_walk *walk, int fd, int depth)
{
  DIR *stream = fdopendir(fd);
  if (!stream) {
    close(fd);
    return true;
  }
  size_t n = 0, old = walk->path_len;
  struct entry **entries = list(walk, stream, depth, &n);
  bool more = true;
  for (size_t i = 0; i < n; i++) {
    if (more && !tool_walk_late(walk) && push(walk, entries[i]->name))
      more = look_at(walk, dirfd(stream), entries[i], depth);
    walk->path_len = old;
    walk->path[old] = 0;
    free(entries[i]);
  }
  free(entries);
  closedir(stream);
  return more && !walk->late;
}

void tool_walk(struct tool_walk *walk, int fd)
{
  walk->until_ms = tool_now_ms() + WALK_MS;
  (void) walk_directory(walk, fd, 1);
}
