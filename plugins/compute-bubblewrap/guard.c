/* A user's own directory outlives the sandbox, and other programs of the user trust what is in it. What would make them
 * run something is protected while a sandbox has the directory:
 *
 *   what is there      is bound read-only over itself: a mount point can be neither written nor renamed nor removed;
 *   what is not there  gets a placeholder, bound the same way, that is taken away afterwards;
 *   .git itself        is bound over itself writable, or the whole of it could be renamed and a new one made.
 *
 * Placeholders are empty directories where that does no harm, because git does not see those; a file is one only inside
 * .git. They are known by their odd time stamp, so that one left behind by a killed process is taken away at the next
 * sandbox's end; a shared lock says that a sandbox uses one. Symbolic links cannot be held fast like this and are
 * refused.
 *
 * Repositories below the directory (clones, submodules, linked worktrees) are guarded too where guard_find finds them:
 * all directories on the way to one are bound over themselves, or one of them could be renamed and made anew. What is
 * bound is looked at twice: here, and by magent-sandbox in the finished sandbox, since paths can change in between.
 * A repository that is made later is like any other file that the agent wrote.
 */
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PLACEHOLDER_SECOND 1
#define PLACEHOLDER_NANOSECOND 20260401

enum placeholder {
  EMPTY_DIR,
  EMPTY_FILE,
  DOT_FILE, /* holds ".", which for git's commondir is the same as no file at all; an empty one would stop git */
};

/* When a rule also holds for what is not there. What is there is always protected. */
enum when {
  ALWAYS,
  IN_HOME, /* shells read their start-up files from the home directory only */
  WITHOUT_GIT,
  IF_THERE, /* never: only what is there is protected */
};

struct rule {
  const char *path;
  enum placeholder placeholder;
  enum when when;
};

/* Of the directory itself. .git is the first. */
static const struct rule rules[] = {
    {".git", EMPTY_DIR, ALWAYS},
    {"HEAD", EMPTY_DIR, WITHOUT_GIT}, /* without it the directory itself cannot be made a bare repository */
    {".envrc", EMPTY_DIR, ALWAYS},
    {".vscode", EMPTY_DIR, ALWAYS},
    {".idea", EMPTY_DIR, ALWAYS},
    {".magent", EMPTY_DIR, ALWAYS},
    {".gitconfig", EMPTY_FILE, IN_HOME},
    {".bashrc", EMPTY_FILE, IN_HOME},
    {".bash_profile", EMPTY_FILE, IN_HOME},
    {".bash_login", EMPTY_FILE, IN_HOME},
    {".bash_logout", EMPTY_FILE, IN_HOME},
    {".profile", EMPTY_FILE, IN_HOME},
    {".zshrc", EMPTY_FILE, IN_HOME},
    {".zshenv", EMPTY_FILE, IN_HOME},
    {".zprofile", EMPTY_FILE, IN_HOME},
    {".zlogin", EMPTY_FILE, IN_HOME},
};

/* Inside a .git that is a directory. */
static const struct rule git_rules[] = {
    {"hooks", EMPTY_DIR, ALWAYS},
    {"config", EMPTY_FILE, ALWAYS},
    {"config.worktree", EMPTY_FILE, ALWAYS},
    {"commondir", DOT_FILE, ALWAYS},
    {"modules", EMPTY_DIR, ALWAYS},
    {"rebase-merge", EMPTY_DIR, IF_THERE}, /* a rebase that the user goes on with may run commands */
};

/* Inside .git/worktrees/NAME: what says to git run over there where the repository and its settings are. */
static const struct rule worktree_rules[] = {
    {"commondir", EMPTY_FILE, IF_THERE},
    {"gitdir", EMPTY_FILE, IF_THERE},
    {"config.worktree", EMPTY_FILE, ALWAYS},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ITEMS 512
#define WORKTREES 16

/* Something that is bound over itself. Parents come before what is in them. */
struct item {
  char *path; /* relative */
  bool writable;
  int placeholder; /* locked; -1: not ours */
  dev_t dev;
  ino_t ino;
};

struct guard {
  char *workspace;
  bool in_home;
  bool incomplete; /* there may be repositories that are not guarded */
  struct item items[ITEMS];
  size_t n;
};

static bool is_placeholder(const struct stat *st)
{
  return st->st_mtim.tv_sec == PLACEHOLDER_SECOND && st->st_mtim.tv_nsec == PLACEHOLDER_NANOSECOND &&
         (S_ISDIR(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size <= 1));
}

/* Opens and locks what is at `path`, if it is still that. */
static int lock_placeholder(const char *path)
{
  struct stat opened, there;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &opened) == 0 && lstat(path, &there) == 0 &&
      opened.st_ino == there.st_ino && opened.st_dev == there.st_dev && is_placeholder(&opened))
    return fd;
  if (fd >= 0)
    (void) close(fd);
  return -1;
}

static int make_placeholder(const char *path, enum placeholder kind)
{
  const struct timespec times[2] = {{PLACEHOLDER_SECOND, PLACEHOLDER_NANOSECOND},
                                    {PLACEHOLDER_SECOND, PLACEHOLDER_NANOSECOND}};
  int fd = -1;
  if (kind == EMPTY_DIR) {
    if (mkdir(path, 0755) < 0)
      return -1;
  } else {
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
      return -1;
    ssize_t n = kind == DOT_FILE ? write(fd, ".", 1) : 0;
    (void) close(fd);
    if (n < 0)
      return -1;
  }
  return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static bool has_own_git(const struct guard *guard)
{
  return guard->n > 0 && guard->items[0].placeholder < 0;
}

static bool wants_placeholder(const struct guard *guard, enum when when)
{
  return when == ALWAYS || (when == IN_HOME && guard->in_home) || (when == WITHOUT_GIT && !has_own_git(guard));
}

static bool has_item(const struct guard *guard, const char *path)
{
  for (size_t i = 0; i < guard->n; i++)
    if (strcmp(guard->items[i].path, path) == 0)
      return true;
  return false;
}

/* Takes `path`, which is freed if it is not kept. 0, or an errno. */
static int add_item(struct guard *guard, char *path, bool writable, int placeholder, const struct stat *st)
{
  if (!path || guard->n == ITEMS || has_item(guard, path)) {
    int number = !path ? ENOMEM : guard->n == ITEMS ? ENOSPC : 0;
    if (placeholder >= 0)
      (void) close(placeholder);
    free(path);
    return number;
  }
  guard->items[guard->n++] = (struct item){path, writable, placeholder, st->st_dev, st->st_ino};
  return 0;
}

/* One rule below `base` (relative, or empty). 0, or an errno. */
static int protect(struct guard *guard, const char *base, const struct rule *rule)
{
  mag_autofree char *relative = plug_printf("%s%s%s", base, *base ? "/" : "", rule->path);
  mag_autofree char *path = relative ? plug_printf("%s/%s", guard->workspace, relative) : NULL;
  struct stat st;
  if (!path)
    return ENOMEM;
  for (int attempt = 0; attempt < 3; attempt++) {
    int placeholder = -1;
    if (lstat(path, &st) < 0) {
      if (errno != ENOENT)
        return errno;
      if (!wants_placeholder(guard, rule->when))
        return 0;
      if (make_placeholder(path, rule->placeholder) < 0 && errno != EEXIST)
        return errno;
      continue;
    }
    if (S_ISLNK(st.st_mode))
      return ELOOP;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
      return EINVAL;
    if (is_placeholder(&st) && (placeholder = lock_placeholder(path)) < 0)
      continue; /* somebody has just taken it away */
    /* A real repository stays writable but for the rules inside it; a placeholder, or a .git file, does not. */
    bool writable = strcmp(rule->path, ".git") == 0 && placeholder < 0 && S_ISDIR(st.st_mode);
    return add_item(guard, plug_dup(mbp_str(relative)), writable, placeholder, &st);
  }
  return EBUSY;
}

/* A directory that must keep its name. 0, or an errno. */
static int pin(struct guard *guard, const char *relative)
{
  mag_autofree char *path = plug_printf("%s/%s", guard->workspace, relative);
  struct stat st;
  if (!path)
    return ENOMEM;
  if (lstat(path, &st) < 0)
    return errno;
  return S_ISDIR(st.st_mode) ? add_item(guard, plug_dup(mbp_str(relative)), true, -1, &st) : ENOTDIR;
}

static int protect_all(struct guard *guard, const char *base, const struct rule *list, size_t n)
{
  int number = 0;
  for (size_t i = 0; i < n && number == 0; i++)
    number = protect(guard, base, &list[i]);
  return number;
}

static int protect_worktrees(struct guard *guard, const char *git)
{
  mag_autofree char *base = plug_printf("%s/worktrees", git), *path = NULL;
  if (!base || !(path = plug_printf("%s/%s", guard->workspace, base)))
    return ENOMEM;
  DIR *dir = opendir(path);
  int number = dir ? pin(guard, base) : 0, count = 0;
  for (struct dirent *entry; dir && number == 0 && (entry = readdir(dir)) != NULL;) {
    if (entry->d_name[0] == '.')
      continue;
    mag_autofree char *one = plug_printf("%s/%s", base, entry->d_name);
    number = !one ? ENOMEM : ++count > WORKTREES ? ENOSPC : pin(guard, one);
    if (number == 0)
      number = protect_all(guard, one, worktree_rules, COUNT(worktree_rules));
  }
  if (dir)
    (void) closedir(dir);
  return number;
}

/* The .git that the last added item is, if it is a directory with something in it. */
static int protect_inside(struct guard *guard, const char *git)
{
  const struct item *item = &guard->items[guard->n - 1];
  if (guard->n == 0 || strcmp(item->path, git) != 0 || !item->writable)
    return 0;
  int number = protect_all(guard, git, git_rules, COUNT(git_rules));
  return number ? number : protect_worktrees(guard, git);
}

/* Below something that is read-only as a whole nothing may become writable again. */
static bool is_read_only(const struct guard *guard, const char *relative)
{
  for (size_t i = 0; i < guard->n; i++) {
    size_t len = strlen(guard->items[i].path);
    if (!guard->items[i].writable && strncmp(relative, guard->items[i].path, len) == 0 &&
        (relative[len] == '/' || relative[len] == 0))
      return true;
  }
  return false;
}

/* A repository below the top: what cannot be guarded there is told, and is no reason to refuse all work. False: enough.
 */
static bool protect_below(void *ctx, const char *relative)
{
  static const struct rule git = {".git", EMPTY_DIR, IF_THERE};
  struct guard *guard = ctx;
  if (is_read_only(guard, relative))
    return true;
  mag_autofree char *way = plug_dup(mbp_str(relative)), *below = plug_printf("%s/.git", relative);
  int number = way && below ? 0 : ENOMEM;
  for (char *slash = way; number == 0 && slash; slash = strchr(slash + 1, '/')) {
    if (slash == way)
      continue;
    *slash = 0;
    number = pin(guard, way);
    *slash = '/';
  }
  if (number == 0)
    number = pin(guard, relative);
  if (number == 0)
    number = protect(guard, relative, &git);
  if (number == 0)
    number = protect_inside(guard, below);
  guard->incomplete |= number != 0;
  return number != ENOMEM && number != ENOSPC;
}

static bool is_home(const char *path)
{
  struct passwd entry, *found = NULL;
  char buf[4096];
  struct stat home, here;
  return getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) == 0 && found && stat(found->pw_dir, &home) == 0 &&
         stat(path, &here) == 0 && home.st_ino == here.st_ino && home.st_dev == here.st_dev;
}

/* What the directory itself has; here everything must be protected. */
static int protect_top(struct guard *guard, struct mbp_error *err)
{
  int number = protect(guard, "", &rules[0]);
  if (number == 0)
    number = protect_inside(guard, ".git");
  const char *where = ".git";
  for (size_t i = 1; i < COUNT(rules) && number == 0; i++) {
    number = protect(guard, "", &rules[i]);
    where = rules[i].path;
  }
  if (number == ENOMEM)
    return plug_no_memory(err);
  if (number == ELOOP)
    return plug_error(
        err, MBP_E_UNSUPPORTED,
        "'%s/%s', or something in it, is a symbolic link, which cannot be protected from a sandbox: put a "
        "file in its place, or work in another directory",
        guard->workspace, where);
  return number ? plug_errno(err, number, "'%s/%s' cannot be protected from the sandbox", guard->workspace, where) : 0;
}

int guard_new(const char *workspace, struct guard **ret_guard, struct mbp_error *err)
{
  struct guard *guard = calloc(1, sizeof(*guard));
  if (!guard)
    return plug_no_memory(err);
  guard->workspace = plug_dup(mbp_str(workspace));
  guard->in_home = is_home(workspace);
  int r = guard->workspace ? protect_top(guard, err) : plug_no_memory(err);
  if (r < 0) {
    guard_free(guard);
    return r;
  }
  guard->incomplete |= !guard_find(workspace, protect_below, guard);
  *ret_guard = guard;
  return 0;
}

bool guard_incomplete(const struct guard *guard)
{
  return guard->incomplete;
}

void guard_mounts(const struct guard *guard, void (*add)(void *ctx, const char *relative, bool writable), void *ctx)
{
  for (size_t i = 0; i < guard->n; i++)
    add(ctx, guard->items[i].path, guard->items[i].writable);
}

void guard_words(const struct guard *guard, const char *inside, struct plug_list *words)
{
  for (size_t i = 0; i < guard->n; i++)
    plug_list_take(words, plug_printf("same=%llx:%llx:%s/%s", (unsigned long long) guard->items[i].dev,
                                      (unsigned long long) guard->items[i].ino, inside, guard->items[i].path));
}

void guard_free(struct guard *guard)
{
  if (!guard)
    return;
  /* What is inside goes before what holds it; a placeholder that another sandbox uses stays for that one to remove. */
  for (size_t i = guard->n; i-- > 0;) {
    struct item *item = &guard->items[i];
    int fd = item->placeholder;
    mag_autofree char *path = fd >= 0 ? plug_printf("%s/%s", guard->workspace, item->path) : NULL;
    struct stat st;
    if (path && flock(fd, LOCK_EX | LOCK_NB) == 0 && lstat(path, &st) == 0 && is_placeholder(&st)) {
      if (S_ISDIR(st.st_mode))
        (void) rmdir(path);
      else
        (void) unlink(path);
    }
    if (fd >= 0)
      (void) close(fd);
    free(item->path);
  }
  free(guard->workspace);
  free(guard);
}
