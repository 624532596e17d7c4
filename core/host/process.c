#include "host/process.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "host/group.h"
#include "host/process_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define CHILD_STACK (64 * 1024)

struct mbp_process {
  pthread_mutex_t lock;
  pid_t pid;
  int pidfd;
  bool ended;
  int32_t code, signal;
};

/* One request to the spawner thread; lives on the stack of who asks. */
struct job {
  struct mag_spawn_plan plan;
  int error; /* errno of the clone itself */
  pid_t pid;
  int pidfd;
  bool finished;
  struct job *next;
};

static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, finished;
  struct job *first, **last;
  pid_t owner; /* the process whose thread runs; another one after a fork without exec */
  char *stack;
} spawner = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};

/* With CLONE_VFORK this thread sleeps until the child has exec'ed or gone, so one stack serves all children. A
 * sanitizer does not bear a child in its memory; there it is a copy. */
static void run_job(struct job *job)
{
#ifdef MAGENT_SANITIZED
  int flags = CLONE_PIDFD | SIGCHLD;
#else
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
#endif
  job->plan.parent = getpid();
  job->pid = clone(mag_spawn_child, spawner.stack + CHILD_STACK, flags, &job->plan, &job->pidfd);
  job->error = job->pid < 0 ? errno : 0;
}

static void *spawner_main(void *unused)
{
  (void) unused;
  (void) pthread_setname_np(pthread_self(), "magent-spawner");
  (void) pthread_mutex_lock(&spawner.lock);
  for (;;) {
    while (!spawner.first)
      (void) pthread_cond_wait(&spawner.work, &spawner.lock);
    struct job *job = spawner.first;
    spawner.first = job->next;
    if (!spawner.first)
      spawner.last = &spawner.first;
    (void) pthread_mutex_unlock(&spawner.lock);
    run_job(job);
    (void) pthread_mutex_lock(&spawner.lock);
    job->finished = true;
    (void) pthread_cond_broadcast(&spawner.finished);
  }
  return NULL;
}

/* Called with the lock held. */
static int spawner_start(void)
{
  if (spawner.owner == getpid())
    return 0;
  if (!spawner.stack) {
    void *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
      return errno;
    spawner.stack = stack;
  }
  spawner.first = NULL;
  spawner.last = &spawner.first;
  /* After a fork they still count the parent's threads as waiting, and a signal would wait for these. */
  spawner.work = (pthread_cond_t) PTHREAD_COND_INITIALIZER;
  spawner.finished = (pthread_cond_t) PTHREAD_COND_INITIALIZER;
  if (mag_thread_start(spawner_main, NULL, NULL) < 0)
    return EAGAIN;
  spawner.owner = getpid();
  return 0;
}

static int run_in_spawner(struct job *job)
{
  (void) pthread_mutex_lock(&spawner.lock);
  int r = spawner_start();
  if (r == 0) {
    *spawner.last = job;
    spawner.last = &job->next;
    (void) pthread_cond_signal(&spawner.work);
    while (!job->finished)
      (void) pthread_cond_wait(&spawner.finished, &spawner.lock);
    r = job->error;
  }
  (void) pthread_mutex_unlock(&spawner.lock);
  return r;
}

/* The search is done here, because the child may not allocate. */
static int find_program(const struct mbp_spawn *spec, struct mag_buf *path, struct mbp_error *err)
{
  const char *name = spec->argv[0], *list = "/usr/bin:/bin";
  if (strchr(name, '/')) {
    mag_buf_add_text(path, name);
    return path->failed ? mag_error_no_memory(err) : 0;
  }
  for (const char *const *e = spec->envp; e && *e; e++)
    if (strncmp(*e, "PATH=", 5) == 0)
      list = *e + 5;
  bool denied = false;
  for (const char *p = list; *name; p++) {
    size_t n = strcspn(p, ":");
    mag_buf_clear(path);
    mag_buf_add(path, n ? p : ".", n ? n : 1);
    mag_buf_add_char(path, '/');
    mag_buf_add_text(path, name);
    if (path->failed)
      return mag_error_no_memory(err);
    struct stat st;
    if (stat(path->ptr, &st) == 0 && S_ISREG(st.st_mode)) {
      if (access(path->ptr, X_OK) == 0)
        return 0;
      denied = true;
    }
    p += n;
    if (!*p)
      break;
  }
  if (denied)
    return mag_error(err, MBP_E_PERMISSION, "cannot run '%s': it is in PATH, but not executable", name);
  return mag_error(err, MBP_E_NOT_FOUND, "cannot run '%s': no such program in PATH (%s)", name, list);
}

static int spawn_error(const struct mbp_spawn *spec, struct mag_spawn_failure failure, struct mbp_error *err)
{
  switch (failure.stage) {
  case MAG_STAGE_GROUP:
    return mag_error_errno(err, failure.number, "cannot run '%s': joining its limit group", spec->argv[0]);
  case MAG_STAGE_LIMITS:
    return mag_error_errno(err, failure.number, "cannot run '%s': setting its limits", spec->argv[0]);
  case MAG_STAGE_CWD:
    return mag_error_errno(err, failure.number, "cannot run '%s' in '%s'", spec->argv[0], spec->cwd ? spec->cwd : "/");
  case MAG_STAGE_EXEC:
    return mag_error_errno(err, failure.number, "cannot run '%s'", spec->argv[0]);
  default:
    return mag_error_errno(err, failure.number, "cannot start '%s'", spec->argv[0]);
  }
}

/* Waits for exec (the pipe closes) or for the report of what failed. */
static bool read_failure(int fd, struct mag_spawn_failure *failure)
{
  ssize_t n;
  do
    n = read(fd, failure, sizeof(*failure));
  while (n < 0 && errno == EINTR);
  return n == (ssize_t) sizeof(*failure);
}

static void reap(int pidfd)
{
  siginfo_t info;
  while (waitid((idtype_t) P_PIDFD, (id_t) pidfd, &info, WEXITED) < 0 && errno == EINTR)
    ;
}

static int check_spec(const struct mbp_spawn *spec, struct mbp_error *err)
{
  if (!spec->argv || !spec->argv[0] || !spec->envp)
    return mag_error(err, MBP_E_INVALID, "spawn: argv and envp are needed");
  if (spec->n_fds > MAG_SPAWN_MAX_FDS)
    return mag_error(err, MBP_E_LIMIT, "spawn: at most %d descriptors", MAG_SPAWN_MAX_FDS);
  for (size_t i = 0; i < spec->n_fds; i++)
    if (spec->fds[i].ours < 0 || spec->fds[i].child < 0 || spec->fds[i].child > 1023)
      return mag_error(err, MBP_E_INVALID, "spawn: descriptor %d as %d", spec->fds[i].ours, spec->fds[i].child);
  return 0;
}

static int process_spawn(const struct mbp_spawn *given, struct mbp_process **ret_process, struct mbp_error *err)
{
  struct mbp_spawn spec = {0};
  memcpy(&spec, given, MAG_MIN(given->size, sizeof(spec)));
  mag_autobuf program = MAG_BUF_INIT;
  int r = check_spec(&spec, err);
  if (r < 0 || (r = find_program(&spec, &program, err)) < 0)
    return r;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    return mag_error_errno(err, errno, "cannot start '%s'", spec.argv[0]);
  mag_autoclose int report_read = ends[0], report_write = ends[1];
  mag_autoclose int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  struct mbp_process *process = calloc(1, sizeof(*process));
  if (!process)
    return mag_error_no_memory(err);
  struct job job = {.pidfd = -1};
  job.plan.spec = &spec;
  job.plan.program = program.ptr;
  job.plan.null_fd = null_fd;
  job.plan.report_fd = report_write;
  if (spec.group)
    job.plan.n_group_fds = mag_group_join_fds(spec.group, &job.plan.group_fds);
  int number = null_fd < 0 ? errno : run_in_spawner(&job);
  if (number) {
    free(process);
    return mag_error_errno(err, number, "cannot start '%s'", spec.argv[0]);
  }
  (void) close(mag_steal_fd(&report_write));
  struct mag_spawn_failure failure;
  if (read_failure(report_read, &failure)) {
    reap(job.pidfd);
    (void) close(job.pidfd);
    free(process);
    return spawn_error(&spec, failure, err);
  }
  (void) pthread_mutex_init(&process->lock, NULL);
  process->pid = job.pid;
  process->pidfd = job.pidfd;
  *ret_process = process;
  return 0;
}

static int process_pidfd(struct mbp_process *process)
{
  return process->pidfd;
}

static int64_t process_pid(struct mbp_process *process)
{
  return process->pid;
}

/* Takes the status if it has ended. */
static bool collect(struct mbp_process *process)
{
  (void) pthread_mutex_lock(&process->lock);
  if (!process->ended) {
    siginfo_t info = {0};
    int r = waitid((idtype_t) P_PIDFD, (id_t) process->pidfd, &info, WEXITED | WNOHANG);
    if (r == 0 && info.si_pid != 0) {
      process->ended = true;
      process->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
      process->code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    } else if (r < 0 && errno == ECHILD) {
      process->ended = true; /* somebody else in this program reaped it: what it said is lost */
      process->code = 255;
    }
  }
  bool ended = process->ended;
  (void) pthread_mutex_unlock(&process->lock);
  return ended;
}

static int process_wait(struct mbp_process *process, int64_t wait_ms, int32_t *ret_code, int32_t *ret_signal)
{
  int64_t until = wait_ms < 0 ? INT64_MAX : mag_clock_monotonic_ms() + wait_ms;
  while (!collect(process)) {
    int64_t left = wait_ms < 0 ? -1 : until - mag_clock_monotonic_ms();
    if (wait_ms >= 0 && left <= 0)
      return 0;
    struct pollfd poll_fd = {process->pidfd, POLLIN, 0};
    (void) poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int) left);
  }
  if (ret_code)
    *ret_code = process->code;
  if (ret_signal)
    *ret_signal = process->signal;
  return 1;
}

static int process_kill(struct mbp_process *process, int32_t signal)
{
  if (collect(process) || syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0) == 0 || errno == ESRCH)
    return 0;
  return errno == EPERM ? -MBP_E_PERMISSION : -MBP_E_INVALID;
}

static void process_free(struct mbp_process *process)
{
  if (!process)
    return;
  if (!collect(process)) {
    (void) process_kill(process, SIGKILL);
    (void) process_wait(process, -1, NULL, NULL);
  }
  (void) close(process->pidfd);
  (void) pthread_mutex_destroy(&process->lock);
  free(process);
}

const struct mbp_process_v1 mag_process_table = {
    .size = MBP_SIZE(struct mbp_process_v1, group_free),
    .spawn = process_spawn,
    .pidfd = process_pidfd,
    .pid = process_pid,
    .wait = process_wait,
    .kill = process_kill,
    .free = process_free,
    .group_new = mag_group_new,
    .group_state = mag_group_state,
    .group_kill = mag_group_kill,
    .group_free = mag_group_free,
};
