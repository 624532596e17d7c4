/* The leader of one exec and the way to its process. */
#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

#define KEPT_FD 3     /* where a leader has the server's eventfd */
#define OLD_KERNEL_FDS 65536

/* Older kernels, and the filters of older container engines, do not know the call. */
static void close_from(unsigned first, bool on_exec)
{
  if (syscall(SYS_close_range, first, ~0u, on_exec ? CLOSE_RANGE_CLOEXEC : 0u) == 0)
    return;
  for (unsigned fd = first; fd < OLD_KERNEL_FDS; fd++)
    if (on_exec)
      (void) fcntl((int) fd, F_SETFD, FD_CLOEXEC);
    else
      (void) close((int) fd);
}

struct start {
  const struct exec_args *args;
  struct shared *shared;
};

static void fail(struct shared *shared, int at, int number)
{
  shared->failed_at = at;
  shared->failed = number;
  _exit(127);
}

/* Directories on the way to the spool file; errors show when it is opened. */
static void make_parents(const char *path)
{
  char copy[4096];
  size_t len = strlen(path);
  if (len >= sizeof(copy))
    return;
  memcpy(copy, path, len + 1);
  for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
    *p = 0;
    (void) mkdir(copy, 0755);
    *p = '/';
  }
}

static void arrange_fds(const struct start *start)
{
  const struct exec_args *args = start->args;
  int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), out = args->out, err = args->err;
  if (args->spool[0]) {
    make_parents(args->spool);
    out = err = open(args->spool, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    if (out < 0)
      fail(start->shared, MAG_BOX_AT_SPOOL, errno);
  }
  /* All of these are above 2, since init keeps 0 to 2 open. */
  if (dup2(args->in >= 0 ? args->in : null_fd, 0) < 0 || dup2(out >= 0 ? out : null_fd, 1) < 0 ||
      dup2(args->merge ? 1 : err >= 0 ? err : null_fd, 2) < 0)
    fail(start->shared, MAG_BOX_AT_FORK, errno);
  close_from(3, true);
}

static const char *search_path(char **envp)
{
  for (char **e = envp; *e; e++)
    if (strncmp(*e, "PATH=", 5) == 0)
      return *e + 5;
  return "/usr/local/bin:/usr/bin:/bin";
}

/* Returns the errno that says most. */
static int exec_program(const struct exec_args *args)
{
  const char *name = args->argv[0];
  char path[4096];
  if (strchr(name, '/')) {
    (void) execve(name, args->argv, args->envp);
    return errno;
  }
  int denied = 0;
  size_t name_len = strlen(name);
  for (const char *p = search_path(args->envp); name_len;) {
    size_t n = strcspn(p, ":");
    if (n + name_len + 2 <= sizeof(path)) {
      memcpy(path, n ? p : ".", n ? n : 1);
      path[n ? n : 1] = '/';
      memcpy(path + (n ? n : 1) + 1, name, name_len + 1);
      (void) execve(path, args->argv, args->envp);
      if (errno != ENOENT && errno != ENOTDIR)
        denied = errno;
      if (errno == ENOEXEC || errno == E2BIG || errno == ENOMEM)
        break;
    }
    p += n;
    if (!*p++)
      break;
  }
  return denied ? denied : ENOENT;
}

/* Shares the leader's memory until exec. */
static int process_main(void *pointer)
{
  const struct start *start = pointer;
  sigset_t none;
  sigemptyset(&none);
  (void) setsid();
  if (chdir(start->args->cwd) < 0)
    fail(start->shared, MAG_BOX_AT_CWD, errno);
  arrange_fds(start);
  (void) sigprocmask(SIG_SETMASK, &none, NULL);
  fail(start->shared, MAG_BOX_AT_EXEC, exec_program(start->args));
  return 127;
}

static void wake(int wake_fd)
{
  uint64_t one = 1;
  ssize_t n = write(wake_fd, &one, sizeof(one));
  (void) n;
}

/* Where init is not PID 1 it may die alone; then all below is killed here. */
static void abandon(void)
{
  for (int i = 0; i < 2000; i++) {
    (void) init_kill_orphans(NULL, 0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
      break;
    (void) usleep(1000);
  }
  _exit(1);
}

static void lead(pid_t main_pid, struct shared *shared, int wake_fd, pid_t parent)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM); /* our death signal, or noise from below */
  for (;;) {
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
      if (pid == main_pid) {
        shared->status = status;
        shared->exited = 1;
        wake(wake_fd);
      }
    if (pid < 0 && errno == ECHILD)
      _exit(0);
    int got = sigwaitinfo(&set, NULL);
    if (got == SIGTERM && getppid() != parent)
      abandon();
  }
}

/* What we hold open would keep readers waiting and the server's peers alive. */
static void keep_only(int wake_fd)
{
  (void) dup2(wake_fd, KEPT_FD);
  close_from(KEPT_FD + 1, false);
}

pid_t init_start(const struct exec_args *args, struct shared *shared, int wake_fd)
{
  static char stack[64 * 1024] __attribute__((aligned(16)));
  pid_t parent = getpid(), leader = fork();
  if (leader != 0)
    return leader < 0 ? -errno : leader;
  (void) setsid();
  (void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  (void) prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (getppid() != parent)
    _exit(1);
  struct start start = {args, shared};
#ifdef MAGENT_SANITIZED
  int flags = CLONE_VFORK | SIGCHLD; /* what is instrumented does not bear a child in its memory */
#else
  int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif
  pid_t pid = clone(process_main, stack + sizeof(stack), flags, &start);
  if (pid < 0) {
    shared->failed_at = MAG_BOX_AT_FORK;
    shared->failed = errno;
    _exit(1);
  }
  if (!shared->failed)
    shared->pid = pid;
  wake(wake_fd);
  keep_only(wake_fd);
  lead(pid, shared, KEPT_FD, parent);
  _exit(0);
}
