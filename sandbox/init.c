#include "sandbox/init.h"

#include "sandbox/modes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MS 2          /* between two looks for orphans */
#define SWEEP_HARD_MS 300   /* then everything in the sandbox is killed at once */
#define SWEEP_GIVE_UP_MS 3000
#define WATCH_FIRST_MS 10   /* after a start */

static struct slot slots[MAG_BOX_SLOTS];
static struct shared *shared; /* one for each slot */
static int signal_fd = -1, wake_fd = -1, adjust_fd = -1;
static bool isolated;      /* PID 1 of a namespace of our own */
static int64_t sweep_since; /* 0: no orphans to look for */
static struct watch_limits watched;
static int64_t next_watch; /* 0: nothing to watch */

static int64_t now_ms(void)
{
  struct timespec t;
  (void) clock_gettime(CLOCK_BOOTTIME, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

/* False: no room, or the host is gone (which the next receive shows). */
static bool reply(uint32_t op, uint32_t id, int32_t value, int32_t extra)
{
  struct mag_box_reply message = {MAG_BOX_MAGIC, op, id, value, extra, 0};
  return send(MAG_BOX_CONTROL_FD, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(message);
}

static bool tell_end(struct slot *slot, const struct shared *state)
{
  if (state->failed)
    return reply(MAG_BOX_FAILED, slot->id, state->failed, state->failed_at);
  int status = state->exited ? state->status : slot->has_status ? slot->status : SIGKILL;
  if (WIFEXITED(status))
    return reply(MAG_BOX_EXITED, slot->id, WEXITSTATUS(status), 0);
  int number = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
  return reply(MAG_BOX_EXITED, slot->id, 128 + number, number);
}

/* Says what there is to say about one process. False: there is more, but no room. */
static bool tell(struct slot *slot, const struct shared *state)
{
  if (!slot->told_started && !state->failed && state->pid) {
    if (!reply(MAG_BOX_STARTED, slot->id, state->pid, 0))
      return false;
    slot->told_started = true;
  }
  for (int limit = MAG_BOX_LIMIT_MEMORY; limit <= MAG_BOX_LIMIT_TASKS && slot->told_started && !slot->told_end; limit++)
    if ((slot->limits & ~slot->told_limits) & 1u << limit) {
      if (!reply(MAG_BOX_LIMIT, slot->id, limit, 0))
        return false;
      slot->told_limits |= 1u << limit;
    }
  bool ended = slot->gone || ((state->exited || state->failed) && !slot->killed);
  if (ended && !slot->told_end) {
    /* Killed between fork and exec, with nothing recorded: it has not been started. */
    bool told = slot->told_started || state->failed ? tell_end(slot, state)
                                                    : reply(MAG_BOX_FAILED, slot->id, EINTR, MAG_BOX_AT_FORK);
    if (!told)
      return false;
    slot->told_end = true;
  }
  if (slot->gone && slot->told_end) {
    if (!reply(MAG_BOX_GONE, slot->id, 0, 0))
      return false;
    slot->id = 0;
  }
  return true;
}

/* A request that did not even get a slot; the next one is not read before this has been told. */
static struct {
  uint32_t id;
  int number;
} refused;

static bool tell_all(void)
{
  bool all = true;
  if (refused.id) {
    if (!reply(MAG_BOX_FAILED, refused.id, refused.number, MAG_BOX_AT_INIT))
      return false;
    refused.id = 0;
  }
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && !tell(&slots[i], &shared[i]))
      all = false;
  return all;
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
    sweep_since = now_ms();
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
  int64_t since = now_ms() - sweep_since;
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

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static char *read_blob(int fd, uint32_t len)
{
  char *blob = malloc((size_t) len + 1);
  if (!blob)
    return NULL;
  for (size_t at = 0; at < len;) {
    ssize_t n = pread(fd, blob + at, len - at, (off_t) at);
    if (n <= 0) {
      free(blob);
      return NULL;
    }
    at += (size_t) n;
  }
  blob[len] = 0;
  return blob;
}

/* Cuts the blob into its strings. False: it does not hold what the request says. */
static bool cut(char *blob, const struct mag_box_request *request, struct exec_args *args, char **pointers)
{
  char *p = blob, *end = blob + request->blob_len;
  uint32_t total = 2 + request->argc + request->envc;
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
      pointers[i - 2 + (i - 2 >= request->argc)] = text; /* a NULL stands between the two */
  }
  pointers[request->argc] = NULL;
  pointers[request->argc + 1 + request->envc] = NULL;
  args->argv = pointers;
  args->envp = pointers + request->argc + 1;
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

static int start(const struct mag_box_request *request, int *fds, int n_fds)
{
  int index = free_slot(), next = 1;
  if (index < 0)
    return EAGAIN;
  if (n_fds < 1 || request->blob_len > MAG_BOX_BLOB || request->argc < 1 || request->argc > request->blob_len ||
      request->envc > request->blob_len || request->id == 0)
    return EINVAL;
  struct exec_args args = {.in = -1, .out = -1, .err = -1, .merge = request->flags & MAG_BOX_MERGE,
                           .spool_limit = request->spool_limit};
  int *places[] = {&args.in, &args.out, &args.err};
  for (int i = 0; i < 3; i++)
    if (request->flags & (MAG_BOX_HAS_STDIN << i)) {
      if (next >= n_fds)
        return EINVAL;
      *places[i] = fds[next++];
    }
  char *blob = read_blob(fds[0], request->blob_len);
  char **pointers = calloc((size_t) request->argc + request->envc + 2, sizeof(*pointers));
  int number = !blob || !pointers ? ENOMEM : !cut(blob, request, &args, pointers) ? EINVAL : 0;
  if (number == 0) {
    memset(&shared[index], 0, sizeof(shared[index]));
    int close_fds[MAG_BOX_MAX_FDS + 3] = {MAG_BOX_CONTROL_FD, signal_fd, adjust_fd};
    memcpy(close_fds + 3, fds, (size_t) n_fds * sizeof(*fds));
    adjust_score("500");
    pid_t leader = init_start(&args, &shared[index], wake_fd, close_fds, n_fds + 3);
    adjust_score("0");
    if (leader < 0)
      number = -leader;
    else
      slots[index] = (struct slot){.id = request->id, .leader = leader};
    if (watched.memory || watched.tasks)
      next_watch = now_ms() + WATCH_FIRST_MS;
  }
  free(blob);
  free(pointers);
  return number;
}

static void kill_slot(struct slot *slot)
{
  slot->killed = true;
  if (slot->leader)
    (void) kill(slot->leader, SIGKILL);
}

static void watch(void)
{
  pid_t leaders[MAG_BOX_SLOTS];
  int over;
  if (!next_watch || now_ms() < next_watch)
    return;
  if (list_leaders(leaders) == 0) {
    next_watch = 0;
    return;
  }
  next_watch = now_ms() + init_watch(&watched, slots, shared, &over);
  if (over >= 0)
    kill_slot(&slots[over]);
}

static void signal_process(const struct mag_box_request *request)
{
  int number = (int) request->signal;
  for (int i = 0; i < MAG_BOX_SLOTS; i++) {
    struct slot *slot = &slots[i];
    if (slot->id != request->id || request->id == 0 || number < 1 || number > 31)
      continue;
    if ((request->flags & MAG_BOX_TREE) && number == SIGKILL) {
      kill_slot(slot);
    } else if (request->flags & MAG_BOX_TREE) {
      init_signal_tree(slot->leader, number);
      if (number == SIGTERM || number == SIGHUP || number == SIGINT)
        init_signal_tree(slot->leader, SIGCONT); /* what is stopped could not act on it */
    } else if (shared[i].pid && !shared[i].exited) {
      (void) kill(shared[i].pid, number);
    }
  }
}

/* Takes the descriptors out of a message. */
static int take_fds(struct msghdr *header, int *fds)
{
  int n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    int count = (int) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + (size_t) i * sizeof(int), sizeof(int));
      if (n < MAG_BOX_MAX_FDS)
        fds[n++] = fd;
      else
        (void) close(fd);
    }
  }
  return n;
}

/* One request. False: the host has closed the socket. */
static bool receive(void)
{
  struct mag_box_request request;
  int fds[MAG_BOX_MAX_FDS];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MAG_BOX_MAX_FDS)];
  } control;
  struct iovec part = {&request, sizeof(request)};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control)};
  ssize_t n = recvmsg(MAG_BOX_CONTROL_FD, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n <= 0)
    return n < 0 && (errno == EAGAIN || errno == EINTR);
  int n_fds = take_fds(&header, fds);
  if (n == (ssize_t) sizeof(request) && request.magic == MAG_BOX_MAGIC) {
    int number = request.op == MAG_BOX_EXEC ? start(&request, fds, n_fds) : 0;
    if (number) {
      refused.id = request.id;
      refused.number = number;
    }
    if (request.op == MAG_BOX_SIGNAL)
      signal_process(&request);
  }
  for (int i = 0; i < n_fds; i++)
    (void) close(fds[i]);
  return true;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* PID 1 takes its namespace along by leaving; a supervisor must do it by hand. */
static void leave(void)
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
  _exit(0);
}

static int serve_timeout(int64_t end)
{
  int64_t until = next_watch && next_watch < end ? next_watch : end, left = until - now_ms();
  if (sweep_since)
    return SWEEP_MS;
  return until == INT64_MAX ? -1 : left > 3600000 ? 3600000 : left < 0 ? 0 : (int) left;
}

static void serve(int64_t lifetime_ms)
{
  int64_t end = lifetime_ms > 0 ? now_ms() + lifetime_ms : INT64_MAX;
  bool told = reply(MAG_BOX_READY, 0, (int32_t) MAG_BOX_MAGIC, 0);
  while (told && now_ms() < end) {
    bool all = tell_all();
    struct pollfd fds[] = {{MAG_BOX_CONTROL_FD, all ? POLLIN : POLLOUT, 0},
                           {signal_fd, POLLIN, 0},
                           {wake_fd, POLLIN, 0}};
    (void) poll(fds, 3, serve_timeout(end));
    struct signalfd_siginfo info[8];
    uint64_t count;
    while (fds[1].revents && read(signal_fd, info, sizeof(info)) == (ssize_t) sizeof(info))
      ;
    while (fds[2].revents && read(wake_fd, &count, sizeof(count)) > 0)
      ;
    reap();
    if (sweep_since)
      sweep();
    watch();
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !receive())
      break;
  }
  leave();
}

static int64_t option(int argc, char **argv, const char *name)
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
  if (option(argc, argv, "nofile") > 0)
    limit(RLIMIT_NOFILE, option(argc, argv, "nofile"));
  if (option(argc, argv, "fsize") > 0)
    limit(RLIMIT_FSIZE, option(argc, argv, "fsize"));
  if (option(argc, argv, "nproc") > 0)
    limit(RLIMIT_NPROC, option(argc, argv, "nproc"));
#ifndef MAGENT_SANITIZED /* sanitizers map terabytes, which they never touch */
  if (option(argc, argv, "data") > 0)
    limit(RLIMIT_DATA, option(argc, argv, "data"));
#endif
}

static int fail(const char *what, int number)
{
  (void) fprintf(stderr, "magent-sandbox: %s: %s\n", what, strerrordesc_np(number));
  return 1;
}

/* The host has looked at what it binds by its paths, which somebody may have changed meanwhile: an init that does not
 * find the same things ends before anything runs. NULL, or the path that is another. */
static const char *find_replaced(int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    unsigned long long dev, ino;
    int at = 0;
    struct stat st;
    if (sscanf(argv[i], "same=%llx:%llx:%n", &dev, &ino, &at) != 2 || !at)
      continue;
    if (lstat(argv[i] + at, &st) < 0 || st.st_dev != dev || st.st_ino != ino)
      return argv[i] + at;
  }
  return NULL;
}

/* init isolated=0|1 no_unix=0|1 nproc=N nofile=N fsize=BYTES data=BYTES watch_memory=BYTES watch_tasks=N lifetime=MS
 *      same=DEV:INO:PATH... */
int mag_sandbox_init(int argc, char **argv)
{
  /* What bubblewrap or the host program left open is none of ours. */
  (void) syscall(SYS_close_range, MAG_BOX_CONTROL_FD + 1u, ~0u, 0u);
  /* Opened while it is still ours: what is not dumpable belongs to root in /proc. Nobody else is here yet. */
  adjust_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  isolated = option(argc, argv, "isolated") != 0;
  if (isolated && getpid() != 1)
    return fail("not PID 1 of the sandbox", EINVAL);
  if (isolated) /* whoever kills the program around the sandbox means the sandbox */
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  (void) fcntl(MAG_BOX_CONTROL_FD, F_SETFD, FD_CLOEXEC);
  set_limits(argc, argv);
  watched = (struct watch_limits){option(argc, argv, "watch_memory"), option(argc, argv, "watch_tasks"), isolated};
  const char *replaced = find_replaced(argc, argv);
  if (replaced) {
    (void) fprintf(stderr, "magent-sandbox: %s was replaced while the sandbox was being made: try again\n", replaced);
    return 1;
  }
  shared = mmap(NULL, sizeof(*shared) * MAG_BOX_SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    return fail("memory", errno);
  sigset_t all, child;
  sigfillset(&all);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  (void) sigprocmask(SIG_SETMASK, &all, NULL);
  signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_fd < 0 || wake_fd < 0)
    return fail("descriptors", errno);
  if (isolated) {
    int r = init_filter(option(argc, argv, "no_unix") != 0);
    if (r < 0)
      return fail("the system call filter cannot be installed", -r);
  } else if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
    return fail("child subreaper", errno);
  }
  /* stderr was for what is above; from here on nobody listens. */
  int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0)
    return fail("/dev/null", errno);
  for (int fd = 0; fd < 3; fd++)
    (void) dup2(null_fd, fd);
  (void) close(null_fd);
  serve(option(argc, argv, "lifetime"));
  return 0;
}
