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
 * refused. Only the top of the directory is guarded: a repository below it is like any other file that the agent wrote.
 */
#include "plugins/compute-bubblewrap/bubblewrap.h"

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
  IN_HOME,   /* shells read their start-up files from the home directory only */
  WITHOUT_GIT,
};

struct rule {
  const char *path;
  enum placeholder placeholder;
  enum when when;
};

/* Parents come before what is in them; .git is the first. */
static const struct rule rules[] = {
    {".git", EMPTY_DIR, ALWAYS},
    {".git/hooks", EMPTY_DIR, ALWAYS},
    {".git/config", EMPTY_FILE, ALWAYS},
    {".git/config.worktree", EMPTY_FILE, ALWAYS},
    {".git/commondir", DOT_FILE, ALWAYS},
    {".git/modules", EMPTY_DIR, ALWAYS},
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

#define RULES (sizeof(rules) / sizeof(rules[0]))

struct guard {
  char *workspace;
  bool in_home;
  bool mounted[RULES], writable[RULES];
  int placeholder[RULES]; /* locked; -1: not ours */
};

static bool is_placeholder(const struct stat *st)
{
  return st->st_mtim.tv_sec == PLACEHOLDER_SECOND && st->st_mtim.tv_nsec == PLACEHOLDER_NANOSECOND &&
         (S_ISDIR(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size <= 1));
}

static char *path_of(const struct guard *guard, size_t i)
{
  return plug_printf("%s/%s", guard->workspace, rules[i].path);
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

static bool wants_placeholder(const struct guard *guard, size_t i)
{
  return rules[i].when == ALWAYS || (rules[i].when == IN_HOME && guard->in_home) ||
         (rules[i].when == WITHOUT_GIT && guard->placeholder[0] >= 0);
}

/* One rule. 0, or an errno. */
static int protect(struct guard *guard, size_t i)
{
  mag_autofree char *path = path_of(guard, i);
  struct stat st;
  if (!path)
    return ENOMEM;
  for (int attempt = 0; attempt < 3; attempt++) {
    if (lstat(path, &st) < 0) {
      if (errno == ENOTDIR)
        return 0; /* .git is a file, which is protected whole */
      if (errno != ENOENT)
        return errno;
      if (!wants_placeholder(guard, i))
        return 0;
      if (make_placeholder(path, rules[i].placeholder) < 0 && errno != EEXIST)
        return errno;
      continue;
    }
    if (S_ISLNK(st.st_mode))
      return ELOOP;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
      return EINVAL;
    if (is_placeholder(&st) && (guard->placeholder[i] = lock_placeholder(path)) < 0)
      continue; /* somebody has just taken it away */
    guard->mounted[i] = true;
    return 0;
  }
  return EBUSY;
}

/* Inside a .git of our own making there is nothing to protect: it is empty and read-only. */
static bool is_below_placeholder(const struct guard *guard, size_t i)
{
  return strncmp(rules[i].path, ".git/", 5) == 0 && guard->placeholder[0] >= 0;
}

static bool is_home(const char *path)
{
  struct passwd entry, *found = NULL;
  char buf[4096];
  struct stat home, here;
  return getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) == 0 && found && stat(found->pw_dir, &home) == 0 &&
         stat(path, &here) == 0 && home.st_ino == here.st_ino && home.st_dev == here.st_dev;
}

int guard_new(const char *workspace, struct guard **ret_guard, struct mbp_error *err)
{
  struct guard *guard = calloc(1, sizeof(*guard));
  if (!guard)
    return plug_no_memory(err);
  for (size_t i = 0; i < RULES; i++)
    guard->placeholder[i] = -1;
  guard->workspace = plug_dup(mbp_str(workspace));
  guard->in_home = is_home(workspace);
  int number = guard->workspace ? 0 : ENOMEM;
  for (size_t i = 0; i < RULES && number == 0; i++) {
    if (is_below_placeholder(guard, i))
      continue;
    number = protect(guard, i);
    if (number == ENOMEM)
      (void) plug_no_memory(err);
    else if (number == ELOOP)
      (void) plug_error(err, MBP_E_UNSUPPORTED,
                        "'%s/%s' is a symbolic link, which cannot be protected from a sandbox: put a file in its "
                        "place, or work in another directory", workspace, rules[i].path);
    else if (number)
      (void) plug_errno(err, number, "'%s/%s' cannot be protected from the sandbox", workspace, rules[i].path);
  }
  if (number) {
    guard_free(guard);
    return -err->code;
  }
  /* A real repository stays writable but for the rules inside it; a placeholder, or a .git file, does not. */
  struct stat st;
  mag_autofree char *git = path_of(guard, 0);
  guard->writable[0] = guard->placeholder[0] < 0 && git && lstat(git, &st) == 0 && S_ISDIR(st.st_mode);
  *ret_guard = guard;
  return 0;
}

void guard_mounts(const struct guard *guard, void (*add)(void *ctx, const char *relative, bool writable), void *ctx)
{
  for (size_t i = 0; i < RULES; i++)
    if (guard->mounted[i])
      add(ctx, rules[i].path, guard->writable[i]);
}

void guard_free(struct guard *guard)
{
  if (!guard)
    return;
  /* What is inside goes before what holds it; a placeholder that another sandbox uses stays for that one to remove. */
  for (size_t i = RULES; i-- > 0;) {
    int fd = guard->placeholder[i];
    mag_autofree char *path = fd >= 0 ? path_of(guard, i) : NULL;
    struct stat st;
    if (fd < 0)
      continue;
    if (path && flock(fd, LOCK_EX | LOCK_NB) == 0 && lstat(path, &st) == 0 && is_placeholder(&st)) {
      if (S_ISDIR(st.st_mode))
        (void) rmdir(path);
      else
        (void) unlink(path);
    }
    (void) close(fd);
  }
  free(guard->workspace);
  free(guard);
}
