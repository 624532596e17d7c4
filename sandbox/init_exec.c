/* The leader of one exec and the way to its process. */
#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

#define KEPT_FD 3 /* where a leader has the server's eventfd, and then what it copies output with */
#define OUT_OF_THE_WAY 64
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
  int spool_pipe; /* what the process writes to, where its output is spooled; else -1 */
};

/* The file that the leader copies a background process's output to, so that it has a bound. */
struct spool {
  int from, to; /* -1: none */
  uint64_t room;
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
  if (start->spool_pipe >= 0)
    out = err = start->spool_pipe;
  /* All of these are above 2, since init keeps 0 to 2 open. */
  if (dup2(args->in >= 0 ? args->in : null_fd, 0) < 0 || dup2(out >= 0 ? out : null_fd, 1) < 0 ||
      dup2(args->merge ? 1
           : err >= 0  ? err
                       : null_fd,
           2) < 0)
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

/* Opens the file as the process would have, from its working directory; then it lets go of that. */
static int open_spool(const struct exec_args *args, struct shared *shared, struct spool *spool)
{
  struct stat st;
  int ends[2];
  if (chdir(args->cwd) < 0)
    fail(shared, MAG_BOX_AT_CWD, errno);
  make_parents(args->spool);
  spool->to = open(args->spool, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
  if (spool->to < 0 || fstat(spool->to, &st) < 0 || pipe2(ends, O_CLOEXEC) < 0)
    fail(shared, MAG_BOX_AT_SPOOL, errno);
  if (chdir("/") < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
    fail(shared, MAG_BOX_AT_SPOOL, errno);
  spool->from = ends[0];
  spool->room = !S_ISREG(st.st_mode) || args->spool_limit <= (uint64_t) st.st_size
                    ? 0
                    : args->spool_limit - (uint64_t) st.st_size;
  return ends[1];
}

/* What is beyond the bound, or does not fit on the disk, is read and dropped: the process must not be held by it. */
static void pump(struct spool *spool)
{
  static char buf[65536];
  ssize_t n;
  for (int i = 0; i < 16 && (n = read(spool->from, buf, sizeof(buf))) > 0; i++)
    for (size_t at = 0; at < (size_t) n && spool->room > 0;) {
      size_t len = (uint64_t) n - at < spool->room ? (size_t) n - at : (size_t) spool->room;
      ssize_t written = write(spool->to, buf + at, len);
      if (written < 0 && errno == EINTR)
        continue;
      spool->room = written <= 0 ? 0 : spool->room - (uint64_t) written;
      at += written <= 0 ? (size_t) n : (size_t) written;
    }
  if (n == 0) {
    (void) close(spool->from);
    spool->from = -1;
  }
}

/* Waits for SIGCHLD or SIGTERM (our death signal, or noise from below), copying output meanwhile. */
static int next_signal(const sigset_t *set, int fd, struct spool *spool)
{
  if (spool->from < 0)
    return sigwaitinfo(set, NULL);
  struct pollfd fds[] = {{fd, POLLIN, 0}, {spool->from, POLLIN, 0}};
  struct signalfd_siginfo info;
  (void) poll(fds, 2, -1);
  if (fds[1].revents)
    pump(spool);
  return fds[0].revents && read(fd, &info, sizeof(info)) == (ssize_t) sizeof(info) ? (int) info.ssi_signo : 0;
}

static void lead(pid_t main_pid, struct shared *shared, int wake_fd, pid_t parent, struct spool *spool)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  int fd = spool->from < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0)
    spool->from = -1;
  for (;;) {
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
      if (pid == main_pid) {
        shared->status = status;
        shared->exited = 1;
        wake(wake_fd);
      }
    if (pid < 0 && errno == ECHILD) {
      if (spool->from >= 0)
        pump(spool);
      _exit(0);
    }
    int got = next_signal(&set, fd, spool);
    if (got == SIGTERM && getppid() != parent)
      abandon();
  }
}

/* What we hold open beyond that would keep readers waiting and the server's peers alive. */
static void keep_only(int wake_fd, struct spool *spool)
{
  int *kept[] = {&wake_fd, &spool->from, &spool->to};
  for (int i = 0; i < 3; i++)
    if (*kept[i] >= 0)
      *kept[i] = fcntl(*kept[i], F_DUPFD, OUT_OF_THE_WAY);
  for (int i = 0; i < 3; i++)
    if (*kept[i] >= 0)
      *kept[i] = dup2(*kept[i], KEPT_FD + i);
  close_from(KEPT_FD + 3, false);
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
  struct spool spool = {.from = -1, .to = -1};
  struct start start = {args, shared, -1};
  if (args->spool[0])
    start.spool_pipe = open_spool(args, shared, &spool);
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
  keep_only(wake_fd, &spool);
  lead(pid, shared, KEPT_FD, parent, &spool);
  _exit(0);
}
