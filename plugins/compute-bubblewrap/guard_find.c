/* Repositories below a user's directory, found with bounded work: broad before deep, so that the bound cuts off what is
 * farthest from the user's eyes. */
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define ENTRIES 20000
#define DEPTH 8
#define TIME_MS 300

struct search {
  const char *workspace;
  struct plug_list queue; /* directories, relative; "" is the workspace */
  size_t entries, repositories;
  int64_t until_ms;
  guard_found found;
  void *ctx;
};

static int64_t now_ms(void)
{
  struct timespec t;
  (void) clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int depth_of(const char *path)
{
  int depth = *path != 0;
  for (; *path; path++)
    depth += *path == '/';
  return depth;
}

/* False: the bound is reached. */
static bool look_into(struct search *search, const char *path)
{
  mag_autofree char *whole = plug_printf("%s/%s", search->workspace, path);
  int fd = whole ? open(whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  bool more = true;
  if (fd >= 0 && !dir)
    (void) close(fd);
  for (struct dirent *entry; dir && more && (entry = readdir(dir)) != NULL;) {
    const char *name = entry->d_name;
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
      continue;
    more = ++search->entries < ENTRIES && ((search->entries & 255) || now_ms() < search->until_ms);
    bool is_dir = entry->d_type == DT_DIR || (entry->d_type == DT_UNKNOWN &&
                                              fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
    if (strcmp(name, ".git") == 0) {
      if (*path) /* the top is guarded anyway */
        more = search->repositories++ < GUARD_REPOSITORIES && search->found(search->ctx, path) && more;
    } else if (is_dir && depth_of(path) < DEPTH) {
      plug_list_take(&search->queue, *path ? plug_printf("%s/%s", path, name) : plug_dup(mbp_str(name)));
    }
  }
  if (dir)
    (void) closedir(dir);
  return more && !search->queue.failed;
}

bool guard_find(const char *workspace, guard_found found, void *ctx)
{
  struct search search = {.workspace = workspace, .found = found, .ctx = ctx, .until_ms = now_ms() + TIME_MS};
  bool all = look_into(&search, "");
  for (size_t i = 0; all && i < search.queue.n; i++)
    all = look_into(&search, search.queue.items[i]);
  plug_list_free(&search.queue);
  return all;
}
