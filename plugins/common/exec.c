#include "plugins/common/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define CHUNK 65536
#define SPOOL_LIMIT (64u << 20) /* of a background process's output file, if nobody asked for another */
#define DRAIN_MS 100      /* for what others still write after the process has ended */
#define KILLED_WAIT_MS 5000 /* init tells the end of a killed tree within 3 s */

struct run {
  struct mag_box *box;
  struct mbp_call *call;
  const struct mbp_exec *exec;
  const struct mag_exec_sink *sink;
  struct mag_proc *proc;
  int out[2]; /* our ends: stdout, stderr; -1: closed */
  int64_t offset[2], taken, dropped;
  int64_t soft_at, hard_at, drain_at, give_up_at;
  bool soft, hard, stopped, told_started, detached;
  int64_t kills_before;
  char *buf, *input;
  size_t input_at, input_len;
  bool input_end;
};

/* ---- SIGPIPE ---------------------------------------------------------------------------------------------------- */

/* A pipe without reader must give EPIPE and leave the program's signals alone, whatever it does with SIGPIPE. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
  sigset_t pipe_set, pending, old;
  sigemptyset(&pipe_set);
  sigaddset(&pipe_set, SIGPIPE);
  sigemptyset(&pending);
  (void) sigpending(&pending);
  bool was_pending = sigismember(&pending, SIGPIPE);
  (void) pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
  ssize_t n = write(fd, data, len);
  int number = errno;
  if (n < 0 && number == EPIPE && !was_pending)
    while (sigtimedwait(&pipe_set, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
      ;
  (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = number;
  return n;
}

/* ---- Start ------------------------------------------------------------------------------------------------------ */

static int64_t memory_kills(struct mag_box *box, int64_t *ret_peak)
{
  struct mbp_group_state state = {.size = MBP_SIZE(struct mbp_group_state, how)};
  if (!box->group || box->process->group_state(box->group, &state) < 0 || !(state.enforced & 1))
    return -1;
  if (ret_peak)
    *ret_peak = state.memory_peak;
  return state.oom_kills;
}

static int make_pipe(int *ret_ours, int *ret_theirs, bool ours_writes, struct mbp_error *err)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    return plug_errno(err, errno, "cannot make a pipe");
  *ret_ours = ends[ours_writes ? 1 : 0];
  *ret_theirs = ends[ours_writes ? 0 : 1];
  (void) plug_set_nonblocking(*ret_ours);
  return 0;
}

static int start(struct run *run, struct mbp_error *err)
{
  const struct mbp_exec *exec = run->exec;
  bool background = exec->flags & MBP_EXEC_BACKGROUND, merge = exec->flags & MBP_EXEC_MERGE;
  mag_autoclose int in = -1, out = -1, err_fd = -1, feed = -1;
  int r = 0;
  if ((exec->flags & MBP_EXEC_STDIN) && (r = make_pipe(&feed, &in, true, err)) < 0)
    return r;
  if (!background && (r = make_pipe(&run->out[0], &out, false, err)) < 0)
    return r;
  if (!background && !merge && (r = make_pipe(&run->out[1], &err_fd, false, err)) < 0)
    return r;
  struct mag_start request = {.argv = exec->argv, .n_argv = exec->n_argv, .env = exec->env, .n_env = exec->n_env,
                              .cwd = exec->cwd, .key = exec->key, .in = in, .out = out, .err = err_fd};
  request.flags = (merge && !background ? MAG_BOX_MERGE : 0) | (background ? MAG_BOX_SPOOL : 0);
  request.spool_limit = exec->output_limit > 0 ? (uint64_t) exec->output_limit : SPOOL_LIMIT;
  if (background)
    request.spool = exec->spool.len ? exec->spool : mbp_str("/dev/null");
  r = mag_box_start(run->box, run->call, &request, &run->proc, err);
  if (r == 0) {
    run->proc->stdin_fd = feed;
    feed = -1;
  }
  return r;
}

/* ---- While it runs ---------------------------------------------------------------------------------------------- */

static void kill_tree(struct run *run)
{
  (void) mag_proc_signal(run->proc, NULL, SIGKILL, true, NULL);
  if (!run->give_up_at)
    run->give_up_at = plug_now_ms(run->box->host) + KILLED_WAIT_MS;
}

static void stop(struct run *run)
{
  if (run->stopped)
    return;
  run->stopped = true;
  kill_tree(run);
}

/* One piece of output. What is beyond the limit is read and counted, so that the command is not held by it. */
static void take(struct run *run, int stream)
{
  ssize_t n = read(run->out[stream], run->buf, CHUNK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    (void) close(run->out[stream]);
    run->out[stream] = -1;
    return;
  }
  int64_t room = run->exec->output_limit > 0 ? run->exec->output_limit - run->taken : INT64_MAX;
  int64_t show = run->stopped ? 0 : PLUG_MIN((int64_t) n, room);
  if (show > 0 && run->sink->output &&
      run->sink->output(run->sink->ctx, (unsigned) stream + 1, run->offset[stream], run->buf, (size_t) show) < 0)
    stop(run);
  run->taken += show;
  run->dropped += n - show;
  run->offset[stream] += n;
}

static void feed(struct run *run)
{
  struct mag_proc *proc = run->proc;
  if (run->input_at == run->input_len && !run->input_end) {
    int64_t n = run->sink->input(run->sink->ctx, run->input, CHUNK);
    run->input_at = 0;
    run->input_len = n > 0 ? (size_t) n : 0;
    run->input_end = n <= 0;
    if (n < 0)
      stop(run);
  }
  if (run->input_at < run->input_len) {
    ssize_t n = write_quietly(proc->stdin_fd, run->input + run->input_at, run->input_len - run->input_at);
    if (n > 0)
      run->input_at += (size_t) n;
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
      return;
  } else if (!run->input_end) {
    return;
  }
  (void) close(proc->stdin_fd); /* all said, or nobody listens */
  proc->stdin_fd = -1;
}

static int timeout_of(const struct run *run)
{
  int64_t next = INT64_MAX, now = plug_now_ms(run->box->host);
  const int64_t times[] = {run->soft ? 0 : run->soft_at, run->hard ? 0 : run->hard_at, run->drain_at,
                           run->give_up_at};
  for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
    if (times[i] && times[i] < next)
      next = times[i];
  if (next == INT64_MAX)
    return -1;
  return next <= now ? 0 : next - now > INT_MAX ? INT_MAX : (int) (next - now);
}

static void wait_and_move(struct run *run)
{
  struct mag_box *box = run->box;
  bool feeding = run->sink->input && run->proc->stdin_fd >= 0;
  struct pollfd fds[] = {
      {run->out[0], POLLIN, 0},
      {run->out[1], POLLIN, 0},
      {run->proc->changed, POLLIN, 0},
      {box->dead ? -1 : box->control, POLLIN, 0},
      {run->stopped ? -1 : box->host->cancel_fd(run->call), POLLIN, 0},
      {feeding ? run->proc->stdin_fd : -1, POLLOUT, 0},
  };
  (void) poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_of(run));
  uint64_t count;
  if (fds[2].revents && read(run->proc->changed, &count, sizeof(count)) < 0)
    count = 0;
  if (fds[3].revents)
    mag_box_pump(box);
  for (int i = 0; i < 2; i++)
    if (fds[i].revents)
      take(run, i);
  if (fds[5].revents)
    feed(run);
}

static void check_times(struct run *run)
{
  int64_t now = plug_now_ms(run->box->host);
  if (run->soft_at && !run->soft && now >= run->soft_at) {
    run->soft = true;
    (void) mag_proc_signal(run->proc, NULL, SIGTERM, true, NULL);
  }
  if (run->hard_at && !run->hard && now >= run->hard_at) {
    run->hard = true;
    kill_tree(run);
  }
  if (!run->stopped && run->box->host->cancelled(run->call)) {
    if ((run->exec->flags & MBP_EXEC_KEEP) && run->told_started)
      run->detached = true;
    else
      stop(run);
  }
}

struct state {
  bool started, failed, exited, dead;
};

static struct state look(struct run *run)
{
  (void) pthread_mutex_lock(&run->box->lock);
  struct state state = {run->proc->started, run->proc->failed, run->proc->exited, run->box->dead};
  (void) pthread_mutex_unlock(&run->box->lock);
  return state;
}

/* Returns when there is nothing more to wait for. */
static struct state watch(struct run *run)
{
  bool background = run->exec->flags & MBP_EXEC_BACKGROUND;
  for (;;) {
    wait_and_move(run);
    struct state state = look(run);
    int64_t now = plug_now_ms(run->box->host);
    if (state.started && !run->told_started) {
      run->told_started = true;
      if (run->sink->started && run->sink->started(run->sink->ctx, run->proc->pid, run->proc->key) < 0)
        stop(run);
    }
    if (state.failed || (background && state.started && !run->stopped))
      return state;
    bool open = run->out[0] >= 0 || run->out[1] >= 0;
    if (state.exited || state.dead) {
      if (!run->drain_at)
        run->drain_at = now + DRAIN_MS;
      if (!open || now >= run->drain_at)
        return state;
    } else {
      check_times(run);
    }
    if (run->detached || (run->give_up_at && now >= run->give_up_at))
      return state;
  }
}

/* ---- Result ----------------------------------------------------------------------------------------------------- */

static const char *failure_text(int at)
{
  switch (at) {
  case MAG_BOX_AT_CWD:
    return "the working directory cannot be entered";
  case MAG_BOX_AT_SPOOL:
    return "the output file cannot be opened";
  case MAG_BOX_AT_EXEC:
    return "the program cannot be run";
  default:
    return "no process could be made";
  }
}

void mag_exec_not_started(struct mag_exec_end *end, int number, int at)
{
  char text[64];
  const char *name = strerror_r(number, text, sizeof(text)); /* GNU's: the text, which is not always in `text` */
  end->result.reason = MBP_EXIT_NOT_STARTED;
  end->result.exit_code = number == ENOENT ? 127 : 126;
  (void) snprintf(end->message, sizeof(end->message), "%s: %s%s", failure_text(at), name,
                  number == EAGAIN ? " (the limit of processes is reached)" : "");
}

static bool memory_was_short(struct run *run, int64_t *ret_peak)
{
  int64_t kills = run->kills_before < 0 ? -1 : memory_kills(run->box, ret_peak);
  return kills > run->kills_before || run->proc->limits & 1u << MAG_BOX_LIMIT_MEMORY;
}

static void explain_limits(struct run *run, struct mag_exec_end *end)
{
  struct mbp_exec_result *result = &end->result;
  if (result->exit_code == 0)
    return;
  if (run->proc->limits & 1u << MAG_BOX_LIMIT_TASKS)
    (void) snprintf(end->message, sizeof(end->message), "killed: limit of %u processes and threads",
                    (unsigned) run->box->pids);
  if (!memory_was_short(run, &result->memory_peak))
    return;
  (void) snprintf(end->message, sizeof(end->message), "killed: memory limit of %lld MiB",
                  (long long) (run->box->memory_bytes >> 20));
  if (result->reason == MBP_EXIT_SIGNALED || (result->reason == MBP_EXIT_EXITED && result->exit_code == 137))
    result->reason = MBP_EXIT_MEMORY;
}

static void explain(struct run *run, struct state state, struct mag_exec_end *end)
{
  struct mbp_exec_result *result = &end->result;
  const struct mag_proc *proc = run->proc;
  result->exit_code = state.exited ? proc->code : 128 + SIGKILL;
  result->signal = state.exited ? proc->signal : SIGKILL;
  if (!state.exited)
    result->flags |= MBP_EXIT_F_UNSURE; /* killed, and not gone yet */
  if (run->out[0] >= 0 || run->out[1] >= 0)
    result->flags |= MBP_EXIT_F_HELD_OPEN;
  result->reason = result->signal ? MBP_EXIT_SIGNALED : MBP_EXIT_EXITED;
  if (run->stopped)
    result->reason = MBP_EXIT_CANCELLED;
  else if (run->hard)
    result->reason = MBP_EXIT_HARD_TIMEOUT;
  else if (run->soft)
    result->reason = MBP_EXIT_SOFT_TIMEOUT;
  if (run->hard || run->soft)
    (void) snprintf(end->message, sizeof(end->message), "%s after %lld ms", run->hard ? "killed" : "ended",
                    (long long) (run->hard ? run->exec->hard_timeout_ms : run->exec->soft_timeout_ms));
  explain_limits(run, end);
}

static int finish(struct run *run, struct state state, struct mag_exec_end *end, struct mbp_error *err)
{
  struct mbp_exec_result *result = &end->result;
  bool background = run->exec->flags & MBP_EXEC_BACKGROUND;
  memset(end, 0, sizeof(*end));
  result->size = MBP_SIZE(struct mbp_exec_result, reserved);
  result->dropped = run->dropped;
  if (state.dead && !state.exited && !state.failed)
    return plug_error(err, MBP_E_LOST, "the sandbox is gone");
  if (state.failed)
    mag_exec_not_started(end, run->proc->number, run->proc->at);
  else if (run->detached || (background && !run->stopped && !state.exited))
    result->reason = MBP_EXIT_RUNNING;
  else
    explain(run, state, end);
  result->message = mbp_str(end->message);
  return 0;
}

int mag_exec_run(struct mag_box *box, struct mbp_call *call, const struct mbp_exec *exec,
                 const struct mag_exec_sink *sink, struct mag_exec_end *ret_end, struct mbp_error *err)
{
  struct run run = {.box = box, .call = call, .exec = exec, .sink = sink, .out = {-1, -1}};
  mag_autofree char *buf = malloc(CHUNK), *input = sink->input ? malloc(CHUNK) : NULL;
  if (!buf || (sink->input && !input))
    return plug_no_memory(err);
  run.buf = buf;
  run.input = input;
  run.kills_before = memory_kills(box, NULL);
  int r = start(&run, err);
  if (r == 0) {
    int64_t now = plug_now_ms(box->host);
    run.soft_at = exec->soft_timeout_ms > 0 ? now + exec->soft_timeout_ms : 0;
    run.hard_at = exec->hard_timeout_ms > 0 ? now + exec->hard_timeout_ms : 0;
    r = finish(&run, watch(&run), ret_end, err);
    mag_proc_unref(run.proc);
  }
  for (int i = 0; i < 2; i++)
    if (run.out[i] >= 0)
      (void) close(run.out[i]);
  return r;
}

/* ---- stdin ------------------------------------------------------------------------------------------------------ */

#define LOOK_MS 50

static bool has_ended(struct mag_proc *proc)
{
  mag_box_pump(proc->box);
  (void) pthread_mutex_lock(&proc->box->lock);
  bool ended = proc->exited || proc->failed || proc->box->dead;
  (void) pthread_mutex_unlock(&proc->box->lock);
  return ended;
}

static int write_locked(struct mag_proc *proc, struct mbp_call *call, struct mbp_str data, struct mbp_error *err)
{
  const struct mbp_host *host = proc->box->host;
  while (data.len > 0) {
    if (proc->stdin_fd < 0)
      return plug_error(err, MBP_E_LOST, "the process's stdin is closed");
    ssize_t n = write_quietly(proc->stdin_fd, data.ptr, data.len);
    if (n > 0) {
      data = mbp_str_n(data.ptr + n, data.len - (size_t) n);
      continue;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return plug_error(err, MBP_E_LOST, "the process has ended or closed its stdin");
    if (has_ended(proc))
      return plug_error(err, MBP_E_LOST, "the process has ended");
    if (host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled while the process was slow to read its stdin");
    struct pollfd fds[] = {{proc->stdin_fd, POLLOUT, 0}, {host->cancel_fd(call), POLLIN, 0}};
    (void) poll(fds, 2, LOOK_MS);
  }
  return 0;
}

int mag_exec_write(struct mag_proc *proc, struct mbp_call *call, struct mbp_str data, bool end, struct mbp_error *err)
{
  /* Another writer may wait for a slow process: whoever is cancelled must still get away. */
  while (pthread_mutex_trylock(&proc->stdin_lock) != 0) {
    if (proc->box->host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled while another write was under way");
    (void) poll(NULL, 0, 5);
  }
  int r = write_locked(proc, call, data, err);
  if (r == 0 && end && proc->stdin_fd >= 0) {
    (void) close(proc->stdin_fd);
    proc->stdin_fd = -1;
  }
  (void) pthread_mutex_unlock(&proc->stdin_lock);
  return r;
}
