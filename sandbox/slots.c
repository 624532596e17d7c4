/* The processes of a sandbox. */
#include "sandbox/slots.h"

#include "sandbox/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MS 2        /* between two looks for orphans */
#define SWEEP_HARD_MS 300 /* then everything in the sandbox is killed at once */
#define SWEEP_GIVE_UP_MS 3000
#define WATCH_FIRST_MS 10 /* after a start */

static struct slot slots[MAG_BOX_SLOTS];
static struct shared *shared; /* one for each slot */
static int signal_fd = -1, wake_fd = -1, adjust_fd = -1;
static bool isolated;       /* PID 1 of a namespace of our own */
static int64_t sweep_since; /* 0: no orphans to look for */
static const char *scratch; /* a directory that goes with us, or NULL */
static struct watch_limits watched;
static int64_t next_watch; /* 0: nothing to watch */

int64_t slots_now_ms(void)
{
  struct timespec t;
  (void) clock_gettime(CLOCK_BOOTTIME, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- What is told ----------------------------------------------------------------------------------------------- */

struct slot *slots_at(int index)
{
  return &slots[index];
}

struct slot *slots_find(uint32_t id)
{
  for (int i = 0; i < MAG_BOX_SLOTS && id; i++)
    if (slots[i].id == id)
      return &slots[i];
  return NULL;
}

static struct shared *shared_of(const struct slot *slot)
{
  return &shared[slot - slots];
}

int slots_pid(const struct slot *slot)
{
  const struct shared *state = shared_of(slot);
  return state->failed ? 0 : state->pid;
}

bool slots_has_ended(const struct slot *slot)
{
  const struct shared *state = shared_of(slot);
  return slot->gone || ((state->exited || state->failed) && !slot->killed);
}

struct slot_end slots_end(const struct slot *slot)
{
  const struct shared *state = shared_of(slot);
  if (state->failed)
    return (struct slot_end){.failed = state->failed, .failed_at = state->failed_at};
  /* Killed between fork and exec, with nothing recorded: it has not been started. */
  if (!state->pid)
    return (struct slot_end){.failed = EINTR, .failed_at = MAG_BOX_AT_FORK};
  int status = state->exited ? state->status : slot->has_status ? slot->status : SIGKILL;
  if (WIFEXITED(status))
    return (struct slot_end){.code = WEXITSTATUS(status)};
  int number = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
  return (struct slot_end){.code = 128 + number, .signal = number};
}

/* ---- Ends ------------------------------------------------------------------------------------------------------- */

static struct slot *slot_of_leader(pid_t pid)
{
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && slots[i].leader == pid)
      return &slots[i];
  return NULL;
}

static void leader_ended(struct slot *slot, int status)
{
  slot->leader = 0;
  if (WIFEXITED(status) && !slot->killed) {
    slot->gone = true; /* it leaves when nothing is below it */
    return;
  }
  slot->killed = true;
  if (!sweep_since)
    sweep_since = slots_now_ms();
}

static void orphan_ended(pid_t pid, int status)
{
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && !slots[i].leader && !slots[i].gone && shared[i].pid == pid) {
      slots[i].has_status = true;
      slots[i].status = status;
    }
}

static void reap(void)
{
  pid_t pid;
  int status;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    struct slot *slot = slot_of_leader(pid);
    if (WIFSTOPPED(status)) {
      if (slot)
        (void) kill(pid, SIGCONT); /* somebody in the sandbox thinks that is funny */
    } else if (slot) {
      leader_ended(slot, status);
    } else {
      orphan_ended(pid, status);
    }
  }
}

static int list_leaders(pid_t *leaders)
{
  int n = 0;
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && slots[i].leader)
      leaders[n++] = slots[i].leader;
  return n;
}

/* Children that are no leaders are what a killed leader left. Killing them one by one loses against a process that
 * forks and exits for ever; kill(-1) cannot be outrun, but takes the other processes of the sandbox along. */
static void sweep(void)
{
  pid_t leaders[MAG_BOX_SLOTS];
  int64_t since = slots_now_ms() - sweep_since;
  if (isolated && since > SWEEP_HARD_MS)
    (void) kill(-1, SIGKILL);
  int left = init_kill_orphans(leaders, list_leaders(leaders));
  reap();
  if (left > 0 && since < SWEEP_GIVE_UP_MS)
    return;
  if (left == 0)
    sweep_since = 0;
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && slots[i].killed && !slots[i].leader)
      slots[i].gone = true;
}

/* ---- Start and signals ------------------------------------------------------------------------------------------ */

bool slots_cut(char *blob, size_t len, uint32_t argc, uint32_t envc, char **pointers, struct exec_args *args)
{
  char *p = blob, *end = blob + len;
  uint32_t total = 2 + argc + envc;
  if (len == 0 || end[-1] != 0)
    return false;
  for (uint32_t i = 0; i < total; i++) {
    if (p >= end)
      return false;
    char *text = p;
    p += strlen(p) + 1;
    if (i == 0)
      args->cwd = text;
    else if (i == 1)
      args->spool = text;
    else
      pointers[i - 2 + (i - 2 >= argc)] = text; /* a NULL stands between the two */
  }
  pointers[argc] = NULL;
  pointers[argc + 1 + envc] = NULL;
  args->argv = pointers;
  args->envp = pointers + argc + 1;
  return p == end;
}

static int free_slot(void)
{
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (!slots[i].id)
      return i;
  return -1;
}

/* What we fork inherits its score, and we keep ours: of all in the sandbox, init goes last. */
static void adjust_score(const char *score)
{
  ssize_t n = adjust_fd < 0 ? 0 : pwrite(adjust_fd, score, strlen(score), 0);
  (void) n;
}

int slots_start(uint32_t id, const struct exec_args *args)
{
  int index = free_slot();
  if (index < 0)
    return EAGAIN;
  memset(&shared[index], 0, sizeof(shared[index]));
  adjust_score("500");
  pid_t leader = init_start(args, &shared[index], wake_fd);
  adjust_score("0");
  if (leader < 0)
    return -leader;
  slots[index] = (struct slot){.id = id, .leader = leader};
  if (watched.memory || watched.tasks)
    next_watch = slots_now_ms() + WATCH_FIRST_MS;
  return 0;
}

static void kill_slot(struct slot *slot)
{
  slot->killed = true;
  if (slot->leader)
    (void) kill(slot->leader, SIGKILL);
}

void slots_signal(uint32_t id, int number, bool tree)
{
  struct slot *slot = slots_find(id);
  if (!slot || number < 1 || number > 31)
    return;
  const struct shared *state = shared_of(slot);
  if (tree && number == SIGKILL) {
    kill_slot(slot);
  } else if (tree) {
    init_signal_tree(slot->leader, number);
    if (number == SIGTERM || number == SIGHUP || number == SIGINT)
      init_signal_tree(slot->leader, SIGCONT); /* what is stopped could not act on it */
  } else if (state->pid && !state->exited) {
    (void) kill(state->pid, number);
  }
}

static void watch(void)
{
  pid_t leaders[MAG_BOX_SLOTS];
  int over;
  if (!next_watch || slots_now_ms() < next_watch)
    return;
  if (list_leaders(leaders) == 0) {
    next_watch = 0;
    return;
  }
  next_watch = slots_now_ms() + init_watch(&watched, slots, shared, &over);
  if (over >= 0)
    kill_slot(&slots[over]);
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

int slots_poll(struct pollfd fds[2], int wait_ms)
{
  fds[0] = (struct pollfd){signal_fd, POLLIN, 0};
  fds[1] = (struct pollfd){wake_fd, POLLIN, 0};
  int64_t left = next_watch ? next_watch - slots_now_ms() : INT64_MAX;
  if (left < 0)
    left = 0;
  if (sweep_since && left > SWEEP_MS)
    left = SWEEP_MS;
  return left < INT64_MAX && (wait_ms < 0 || wait_ms > left) ? (int) left : wait_ms;
}

/* Only who stands outside of the namespace, and has no number in it, may end the sandbox so. */
static void read_signals(void)
{
  struct signalfd_siginfo info[8];
  ssize_t n;
  while ((n = read(signal_fd, info, sizeof(info))) > 0)
    for (size_t i = 0; i < (size_t) n / sizeof(info[0]); i++)
      if (info[i].ssi_signo == SIGTERM && info[i].ssi_pid == 0 && isolated)
        slots_leave();
}

void slots_run(const struct pollfd fds[2])
{
  uint64_t count;
  if (fds[0].revents)
    read_signals();
  while (fds[1].revents && read(wake_fd, &count, sizeof(count)) > 0)
    ;
  reap();
  if (sweep_since)
    sweep();
  watch();
}

/* PID 1 takes its namespace along by leaving; a supervisor must do it by hand. */
void slots_leave(void)
{
  if (isolated)
    _exit(0);
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && slots[i].leader)
      (void) kill(slots[i].leader, SIGKILL);
  for (int i = 0; i < SWEEP_GIVE_UP_MS; i++) {
    reap();
    (void) init_kill_orphans(NULL, 0);
    if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
      break;
    (void) usleep(1000);
  }
  if (scratch)
    scratch_remove(scratch);
  _exit(0);
}

int64_t slots_word(int argc, char **argv, const char *name)
{
  size_t n = strlen(name);
  for (int i = 1; i < argc; i++)
    if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
      return strtoll(argv[i] + n + 1, NULL, 10);
  return 0;
}

static void limit(int resource, int64_t value)
{
  struct rlimit now, want = {(rlim_t) value, (rlim_t) value};
  if (getrlimit((unsigned) resource, &now) < 0)
    return;
  if (now.rlim_max != RLIM_INFINITY && want.rlim_cur > now.rlim_max)
    want.rlim_cur = want.rlim_max = now.rlim_max;
  (void) setrlimit((unsigned) resource, &want);
}

/* Limits of one process; all that is started here inherits them. NPROC counts the sandbox's own, as it is set here. */
static void set_limits(int argc, char **argv)
{
  limit(RLIMIT_CORE, 0);
  if (slots_word(argc, argv, "nofile") > 0)
    limit(RLIMIT_NOFILE, slots_word(argc, argv, "nofile"));
  if (slots_word(argc, argv, "fsize") > 0)
    limit(RLIMIT_FSIZE, slots_word(argc, argv, "fsize"));
  if (slots_word(argc, argv, "nproc") > 0)
    limit(RLIMIT_NPROC, slots_word(argc, argv, "nproc"));
#ifndef MAGENT_SANITIZED /* sanitizers map terabytes, which they never touch */
  if (slots_word(argc, argv, "data") > 0)
    limit(RLIMIT_DATA, slots_word(argc, argv, "data"));
#endif
}

int slots_fail(const char *what, int number)
{
  (void) fprintf(stderr, "magent-sandbox: %s: %s\n", what, strerrordesc_np(number));
  return 1;
}

int slots_open(int argc, char **argv, bool is_isolated)
{
  /* Opened while it is still ours: what is not dumpable belongs to root in /proc. Nobody else is here yet. */
  adjust_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  isolated = is_isolated;
  if (isolated && getpid() != 1)
    return slots_fail("not PID 1 of the sandbox", EINVAL);
  set_limits(argc, argv);
  for (int i = 1; i < argc && !isolated; i++)
    if (strncmp(argv[i], "scratch=/", 9) == 0)
      scratch = argv[i] + 8;
  watched =
      (struct watch_limits){slots_word(argc, argv, "watch_memory"), slots_word(argc, argv, "watch_tasks"), isolated};
  shared = mmap(NULL, sizeof(*shared) * MAG_BOX_SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    return slots_fail("memory", errno);
  sigset_t all, child;
  sigfillset(&all);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigaddset(&child, SIGTERM);
  (void) sigprocmask(SIG_SETMASK, &all, NULL);
  signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_fd < 0 || wake_fd < 0)
    return slots_fail("descriptors", errno);
  if (!isolated && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
    return slots_fail("child subreaper", errno);
  return 0;
}

int slots_close_standard(void)
{
  int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0)
    return slots_fail("/dev/null", errno);
  for (int fd = 0; fd < 3; fd++)
    (void) dup2(null_fd, fd);
  if (null_fd > 2)
    (void) close(null_fd);
  return 0;
}
