#include "sandbox/tool.h"
#include "sandbox/tool_common.h"
#include "sandbox/tool_pattern.h"
#include "sandbox/tool_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GLOB_SHOWN 200
#define GLOB_KEPT (2 * GLOB_SHOWN)

struct found {
  struct timespec time;
  char *path;
};

/* The newest so far. */
struct globbing {
  struct tool_pattern pattern;
  struct tool_progress progress[WALK_DEPTH + 1];
  struct tool_walk walk;
  struct found found[GLOB_KEPT];
  size_t n, total;
  bool directories; /* the pattern ends with a slash */
};

static int newest_first(const void *a, const void *b)
{
  const struct found *x = a, *y = b;
  if (x->time.tv_sec != y->time.tv_sec)
    return x->time.tv_sec < y->time.tv_sec ? 1 : -1;
  if (x->time.tv_nsec != y->time.tv_nsec)
    return x->time.tv_nsec < y->time.tv_nsec ? 1 : -1;
  return strcmp(x->path, y->path);
}

static void sort(struct globbing *globbing)
{
  qsort(globbing->found, globbing->n, sizeof(struct found), newest_first);
  while (globbing->n > GLOB_SHOWN)
    free(globbing->found[--globbing->n].path);
}

static void add(struct globbing *globbing, int dir, const char *name)
{
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  if (globbing->n == GLOB_KEPT)
    sort(globbing);
  char *path = strdup(globbing->walk.path);
  if (!path)
    return;
  globbing->found[globbing->n++] = (struct found){st.st_mtim, path};
  globbing->total++;
}

static bool enter(void *ctx, int dir, const char *name, int depth)
{
  struct globbing *globbing = ctx;
  bool match = false;
  bool more =
      tool_pattern_step(&globbing->pattern, &globbing->progress[depth - 1], name, &globbing->progress[depth], &match);
  if (match && globbing->directories)
    add(globbing, dir, name);
  return more;
}

static bool visit(void *ctx, int dir, const char *name, unsigned char type, int depth)
{
  struct globbing *globbing = ctx;
  struct tool_progress next;
  bool match = false;
  (void) tool_pattern_step(&globbing->pattern, &globbing->progress[depth - 1], name, &next, &match);
  if (match && !globbing->directories && (type == DT_REG || type == DT_LNK))
    add(globbing, dir, name);
  return true;
}

static bool has_dot_dot(const char *text)
{
  for (const char *p = text; (p = strstr(p, "..")); p += 2)
    if ((p == text || strchr("/{,", p[-1])) && (p[2] == 0 || strchr("/},", p[2])))
      return true;
  return false;
}

static void show(struct globbing *globbing, const char *in)
{
  sort(globbing);
  size_t n = in ? strlen(in) : 0;
  while (n > 1 && in[n - 1] == '/')
    n--;
  bool here = n == 0 || (n == 1 && in[0] == '.');
  for (size_t i = 0; i < globbing->n; i++) {
    if (!here) {
      tool_print(in, n);
      if (in[n - 1] != '/')
        (void) putchar('/');
    }
    tool_print(globbing->found[i].path, strlen(globbing->found[i].path));
    (void) puts(globbing->directories ? "/" : "");
    free(globbing->found[i].path);
  }
  if (globbing->total > GLOB_SHOWN)
    (void) printf("[the newest %d of %zu matches]\n", GLOB_SHOWN, globbing->total);
  if (globbing->total == 0)
    (void) puts("no matches");
  if (globbing->walk.cut || globbing->walk.late)
    (void) puts("[the tree is too large: only a part of it was searched; give a path]");
}

int mag_tool_glob(int argc, char **argv)
{
  static struct globbing globbing; /* large: not on the stack */
  struct tool_options options;
  char canonical[PATH_MAX];
  int r = tool_options(&options, argc, argv);
  if (r)
    return r;
  const char *text = options.argument, *in = options.in ? options.in : ".";
  if (text[0] == '/')
    return tool_fail("the pattern must be relative: give the directory as path");
  if (has_dot_dot(text))
    return tool_fail("the pattern must not hold \"..\": give the directory as path");
  const char *wrong = tool_pattern_parse(&globbing.pattern, text);
  if (wrong)
    return tool_fail("%s", wrong);
  globbing.directories = text[strlen(text) - 1] == '/';
  int fd = tool_open(&options.roots, in, O_RDONLY | O_DIRECTORY, canonical);
  if (fd < 0)
    return 1;
  tool_pattern_begin(&globbing.pattern, &globbing.progress[0]);
  globbing.walk.enter = enter;
  globbing.walk.visit = visit;
  globbing.walk.ctx = &globbing;
  globbing.walk.skip_top = strcmp(canonical, "/") == 0;
  tool_walk(&globbing.walk, fd);
  show(&globbing, in);
  return tool_finish();
}
