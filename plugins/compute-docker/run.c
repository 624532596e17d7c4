/* One command from start to end, over connections that may be cut. */
#include "plugins/compute-docker/docker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>

#define ACK_BYTES (64 << 10)
#define INPUT_BYTES (128 << 10)
#define KILLED_WAIT_MS 10000 /* the server tells the end of a killed tree within 3 s */
#define RECONNECT_MS 20000   /* an engine that is being restarted */
#define RECONNECT_STEP_MS 100
#define SILENCE_MS 5000 /* without an answer to a start: is the container suspended? */
#define TIMEOUT_GRACE_MS 15000

struct run {
  struct box *box;
  struct mbp_call *call;
  const struct mbp_exec *exec; /* NULL: attach */
  const struct mag_exec_sink *sink;
  struct channel *channel;
  struct watched watched;
  char key[MAG_FRAME_KEY], *user;
  char *request; /* a whole EXEC without its frame head */
  size_t request_len;
  uint32_t attempt;
  uint64_t server; /* that has been asked */
  int64_t from[2], acknowledged[2];
  int64_t give_up_at, silent_since; /* 0: not */
  bool stopped, told_started, detached, ended;
  char *input;
  size_t input_len; /* of the piece that has not been taken yet */
  bool writing;     /* it is under way */
  bool input_end, input_closed;
};

static const struct mbp_host *host_of(const struct run *run)
{
  return run->box->instance->host;
}

bool process_key(char out[MAG_FRAME_KEY], struct mbp_str key)
{
  memset(out, 0, MAG_FRAME_KEY);
  if (key.len == 0 || key.len >= MAG_FRAME_KEY || memchr(key.ptr, 0, key.len))
    return false;
  memcpy(out, key.ptr, key.len);
  return true;
}

/* ---- Request ---------------------------------------------------------------------------------------------------- */

struct blob {
  char *bytes;
  size_t len, cap;
  bool failed;
};

static void add(struct blob *blob, const void *data, size_t len)
{
  if (blob->len + len > blob->cap) {
    size_t cap = 2 * (blob->len + len) + 1024;
    char *bytes = cap > 4u * MAG_FRAME_MAX ? NULL : realloc(blob->bytes, cap);
    if (!bytes) {
      blob->failed = true;
      return;
    }
    blob->bytes = bytes;
    blob->cap = cap;
  }
  if (len)
    memcpy(blob->bytes + blob->len, data, len);
  blob->len += len;
}

static void add_text(struct blob *blob, struct mbp_str text, char end)
{
  if (text.len && memchr(text.ptr, 0, text.len))
    blob->failed = true; /* would be another string inside */
  add(blob, text.ptr, text.len);
  add(blob, &end, 1);
}

static int make_request(struct run *run, struct mbp_error *err)
{
  const struct mbp_exec *exec = run->exec;
  struct mag_frame_exec head = {.argc = (uint32_t) exec->n_argv, .envc = (uint32_t) exec->n_env};
  struct blob blob = {0};
  memcpy(head.key, run->key, sizeof(head.key));
  if (getrandom(&head.serial, sizeof(head.serial), 0) != sizeof(head.serial))
    return plug_errno(err, errno, "no random numbers");
  head.flags = exec->flags & (MBP_EXEC_BACKGROUND | MBP_EXEC_STDIN | MBP_EXEC_MERGE);
  head.soft_ms = exec->soft_timeout_ms;
  head.hard_ms = exec->hard_timeout_ms;
  head.output_limit = exec->output_limit;
  add(&blob, &head, sizeof(head));
  add_text(&blob, exec->cwd, 0);
  add_text(&blob, exec->spool, 0);
  for (size_t i = 0; i < exec->n_argv; i++)
    add_text(&blob, exec->argv[i], 0);
  for (size_t i = 0; i < exec->n_env; i++) {
    add_text(&blob, exec->env[i].name, '=');
    add_text(&blob, exec->env[i].value, 0);
  }
  run->request = blob.bytes;
  run->request_len = blob.len;
  if (blob.failed || blob.len > MAG_FRAME_MAX)
    return plug_error(err, MBP_E_LIMIT, "the command and its environment must be without NUL bytes and at most %u KiB",
                      MAG_FRAME_MAX >> 10);
  return 0;
}

static int send_request(struct run *run, struct mbp_error *err)
{
  if (!run->exec) {
    struct mag_frame_attach attach = {.from = {run->from[0], run->from[1]}};
    memcpy(attach.key, run->key, sizeof(attach.key));
    return channel_send(run->channel, MAG_FRAME_ATTACH, &attach, sizeof(attach), mbp_str_n(NULL, 0), err);
  }
  struct mag_frame_exec head;
  memcpy(&head, run->request, sizeof(head));
  head.attempt = ++run->attempt;
  memcpy(head.from, run->from, sizeof(head.from));
  return channel_send(run->channel, MAG_FRAME_EXEC, &head, sizeof(head),
                      mbp_str_n(run->request + sizeof(head), run->request_len - sizeof(head)), err);
}

/* ---- Connection ------------------------------------------------------------------------------------------------- */

static void set_channel(struct run *run, struct channel *channel)
{
  (void) pthread_mutex_lock(&run->box->lock);
  run->channel = run->watched.channel = channel;
  (void) pthread_mutex_unlock(&run->box->lock);
}

static void lose_channel(struct run *run)
{
  struct channel *channel = run->channel;
  set_channel(run, NULL);
  channel_unref(channel);
  run->writing = false;
}

static int send_kill(struct run *run)
{
  struct mag_frame_signal kill_all = {.signal = SIGKILL, .flags = MAG_SIGNAL_TREE | MAG_SIGNAL_QUIET};
  memcpy(kill_all.key, run->key, sizeof(kill_all.key));
  return channel_send(run->channel, MAG_FRAME_SIGNAL, &kill_all, sizeof(kill_all), mbp_str_n(NULL, 0), NULL);
}

static int connect_once(struct run *run, struct mbp_call *call, struct mbp_error *err)
{
  struct channel *channel;
  int r = channel_take(run->box, call, run->user, &channel, err);
  if (r < 0)
    return r;
  if (run->attempt > 0 && channel_server(channel) != run->server) {
    channel_give_back(channel);
    return plug_error(err, MBP_E_LOST, "sandbox '%s' was started anew, and the command ended with the old one",
                      run->box->key);
  }
  run->server = channel_server(channel);
  set_channel(run, channel);
  r = send_request(run, err);
  if (r < 0)
    lose_channel(run);
  else if (run->stopped) /* it was to be killed when the connection was cut */
    (void) send_kill(run);
  run->silent_since = plug_now_ms(host_of(run));
  return r;
}

/* The engine may be away for a moment, and the command goes on meanwhile. */
static bool may_pass(int r)
{
  return r == -MBP_E_NETWORK || r == -MBP_E_UNAVAILABLE || r == -MBP_E_UPSTREAM || r == -MBP_E_TIMEOUT ||
         r == -MBP_E_BUSY;
}

static int connect_again(struct run *run, struct mbp_error *err)
{
  int64_t until = plug_now_ms(host_of(run)) + RECONNECT_MS;
  for (;;) {
    int r = connect_once(run, NULL, err);
    if (r == 0 || !may_pass(r))
      return r;
    if (plug_now_ms(host_of(run)) > until) {
      mag_autofree char *why = plug_dup(mbp_str(err->message));
      return plug_error(err, MBP_E_LOST,
                        "the connection to the engine was lost, and there was none again for %d seconds: %.200s",
                        RECONNECT_MS / 1000, why ? why : "");
    }
    if (host_of(run)->cancelled(run->call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled while there was no connection to the engine");
    struct pollfd fd = {host_of(run)->cancel_fd(run->call), POLLIN, 0};
    (void) poll(&fd, 1, RECONNECT_STEP_MS);
  }
}

/* ---- While it runs ---------------------------------------------------------------------------------------------- */

static void stop(struct run *run)
{
  if (run->stopped)
    return;
  run->stopped = true;
  run->give_up_at = plug_now_ms(host_of(run)) + KILLED_WAIT_MS;
  if (run->channel && send_kill(run) < 0)
    lose_channel(run);
}

static int take_output(struct run *run, const struct mag_answer *answer, struct mbp_error *err)
{
  unsigned i = answer->u.output.stream - 1;
  int64_t offset = answer->u.output.offset;
  if (run->exec && offset != run->from[i])
    return plug_error(err, MBP_E_PROTOCOL, "a piece of the output is missing");
  run->from[i] = offset + (int64_t) answer->len;
  if (!run->stopped && run->sink->output &&
      run->sink->output(run->sink->ctx, i + 1, offset, answer->data, answer->len) < 0)
    stop(run);
  if (run->channel && run->from[i] - run->acknowledged[i] >= ACK_BYTES) {
    struct mag_frame_ack ack = {.stream = i + 1, .offset = run->from[i]};
    run->acknowledged[i] = run->from[i];
    (void) channel_send(run->channel, MAG_FRAME_ACK, &ack, sizeof(ack), mbp_str_n(NULL, 0), NULL);
  }
  return 0;
}

static int refused(struct run *run, const struct mag_frame_failed *failed, struct mag_exec_end *end,
                   struct mbp_error *err)
{
  if (failed->at == MAG_BOX_AT_INIT && failed->number == EEXIST)
    return plug_error(err, MBP_E_EXISTS, "process '%s' runs already", run->key);
  if (failed->at == MAG_BOX_AT_INIT && failed->number == ESRCH)
    return plug_error(err, MBP_E_NOT_FOUND, "no process '%s' is known", run->key);
  if (failed->at == MAG_BOX_AT_INIT && failed->number == ESTALE)
    return plug_error(err, MBP_E_LOST, "process '%s' is watched by somebody else now", run->key);
  if (failed->at == MAG_BOX_AT_INIT && !run->exec)
    return plug_errno(err, failed->number, "the output of process '%s'", run->key);
  mag_exec_not_started(end, failed->number, failed->at);
  return 0;
}

static void explain(struct run *run, const struct mag_frame_end *told, struct mag_exec_end *end)
{
  struct mbp_exec_result *result = &end->result;
  bool hard = told->flags & MAG_END_HARD, soft = told->flags & MAG_END_SOFT;
  result->exit_code = told->code;
  result->signal = told->signal;
  result->dropped = told->dropped;
  result->memory_peak = told->memory_peak;
  result->flags = told->flags & MAG_END_HELD_OPEN ? MBP_EXIT_F_HELD_OPEN : 0;
  result->reason = run->stopped   ? MBP_EXIT_CANCELLED
                   : hard         ? MBP_EXIT_HARD_TIMEOUT
                   : soft         ? MBP_EXIT_SOFT_TIMEOUT
                   : told->signal ? MBP_EXIT_SIGNALED
                                  : MBP_EXIT_EXITED;
  if ((hard || soft) && run->exec)
    (void) snprintf(end->message, sizeof(end->message), "%s after %lld ms", hard ? "killed" : "ended",
                    (long long) (hard ? run->exec->hard_timeout_ms : run->exec->soft_timeout_ms));
  if (!(told->flags & MAG_END_MEMORY))
    return;
  (void) snprintf(end->message, sizeof(end->message), "killed: memory limit of %lld MiB",
                  (long long) (run->box->memory_bytes >> 20));
  if (result->reason == MBP_EXIT_SIGNALED || (result->reason == MBP_EXIT_EXITED && result->exit_code == 137))
    result->reason = MBP_EXIT_MEMORY;
}

/* The next piece for its stdin, when the last one has been taken. */
static int feed(struct run *run, struct mbp_error *err)
{
  if (!run->sink->input || run->writing || run->input_closed || !run->told_started)
    return 0;
  if (run->input_len == 0 && !run->input_end) {
    int64_t n = run->sink->input(run->sink->ctx, run->input, INPUT_BYTES);
    if (n < 0) {
      run->input_closed = true;
      stop(run);
      return 0;
    }
    run->input_len = (size_t) n;
    run->input_end = n == 0;
  }
  struct mag_frame_write write = {.offset = run->watched.taken, .eof = run->input_end};
  memcpy(write.key, run->key, sizeof(write.key));
  run->writing = true;
  int r =
      channel_send(run->channel, MAG_FRAME_WRITE, &write, sizeof(write), mbp_str_n(run->input, run->input_len), err);
  if (r == -MBP_E_NETWORK)
    lose_channel(run);
  return r == -MBP_E_NETWORK ? 0 : r;
}

/* 1: it is over. */
static int take_answer(struct run *run, const struct mag_answer *answer, struct mag_exec_end *end,
                       struct mbp_error *err)
{
  run->silent_since = 0;
  switch (answer->op) {
  case MAG_FRAME_STARTED:
    if (!run->told_started && run->sink->started &&
        run->sink->started(run->sink->ctx, (int32_t) answer->u.number.number, run->key) < 0)
      stop(run);
    run->told_started = true;
    if (!run->exec || !(run->exec->flags & MBP_EXEC_BACKGROUND) || run->stopped)
      return 0;
    end->result.reason = MBP_EXIT_RUNNING;
    return 1;
  case MAG_FRAME_OUTPUT:
    return take_output(run, answer, err);
  case MAG_FRAME_FAILED: {
    int r = refused(run, &answer->u.failed, end, err);
    return r < 0 ? r : 1;
  }
  case MAG_FRAME_END:
    run->ended = true;
    explain(run, &answer->u.end, end);
    return 1;
  case MAG_FRAME_WROTE:
    run->writing = false;
    run->watched.taken += (int64_t) run->input_len;
    run->input_len = 0;
    run->input_closed = run->input_end || answer->u.wrote.number; /* all said, or nobody listens */
    return 0;
  default:
    return plug_error(err, MBP_E_PROTOCOL, "the sandbox's server said what it must not");
  }
}

/* Nothing came for a while where something must come. */
static int look_for_it(struct run *run, struct mbp_error *err)
{
  struct box *now = NULL;
  int r = box_inspect(run->box->instance, NULL, mbp_str(run->box->key), &now, err);
  if (r == 0 && now->state == MBP_SANDBOX_SUSPENDED)
    r = plug_error(err, MBP_E_BUSY, "sandbox '%s' is suspended: resume it first", run->box->key);
  else if (r == 0 && now->state == MBP_SANDBOX_STOPPED)
    r = plug_error(err, MBP_E_LOST, "sandbox '%s' is gone", run->box->key);
  else if (r == -MBP_E_NOT_FOUND)
    r = plug_error(err, MBP_E_LOST,
                   "sandbox '%s' is gone: its time was over, it was removed, or the engine started anew",
                   run->box->key);
  else if (r < 0 && may_pass(r))
    r = 0;
  if (now)
    run->box->state = now->state;
  box_unref(now);
  run->silent_since = plug_now_ms(host_of(run));
  return r;
}

static int64_t next_time(const struct run *run, int64_t safety)
{
  int64_t next = safety;
  if (run->give_up_at)
    next = PLUG_MIN(next, run->give_up_at);
  if (run->silent_since)
    next = PLUG_MIN(next, run->silent_since + SILENCE_MS);
  return next;
}

static int check_times(struct run *run, int64_t safety, struct mbp_error *err)
{
  int64_t now = plug_now_ms(host_of(run));
  if (run->give_up_at && now >= run->give_up_at)
    return plug_error(err, MBP_E_TIMEOUT, "the command was killed, and its end was not told within %d seconds",
                      KILLED_WAIT_MS / 1000);
  if (now >= safety)
    return plug_error(err, MBP_E_TIMEOUT, "the sandbox's server did not end the command when its time was over");
  return run->silent_since && now >= run->silent_since + SILENCE_MS ? look_for_it(run, err) : 0;
}

static void detach(struct run *run)
{
  run->detached = true;
  if (channel_send(run->channel, MAG_FRAME_DETACH, NULL, 0, mbp_str_n(NULL, 0), NULL) == 0) {
    /* What was under way comes before the answer. */
    struct mag_answer answer;
    int64_t until = plug_now_ms(host_of(run)) + 2000;
    int r;
    while ((r = channel_next(run->channel, NULL, until, &answer, NULL)) > 0 && answer.op != MAG_FRAME_DONE)
      ;
    if (r > 0)
      return;
  }
  lose_channel(run);
}

/* 1: over, `end` tells. */
static int step(struct run *run, int64_t safety, struct mag_exec_end *end, struct mbp_error *err)
{
  struct mag_answer answer;
  int r = run->channel ? 0 : connect_again(run, err);
  if (r == 0 && (r = feed(run, err)) == 0 && run->channel)
    r = channel_next(run->channel, run->stopped ? NULL : run->call, next_time(run, safety), &answer, err);
  else if (r == 0)
    return 0;
  if (r > 0)
    return take_answer(run, &answer, end, err);
  if (r == 0)
    return check_times(run, safety, err);
  if (r == -MBP_E_CANCELLED && run->channel) {
    if (run->exec && (!(run->exec->flags & MBP_EXEC_KEEP) || !run->told_started)) {
      stop(run);
      return 0;
    }
    detach(run);
    end->result.reason = MBP_EXIT_RUNNING;
    return 1;
  }
  if (r == -MBP_E_NETWORK && run->channel) {
    lose_channel(run);
    return 0;
  }
  return r;
}

static void watch(struct run *run)
{
  run->watched.key = run->key;
  run->watched.user = run->user;
  (void) pthread_mutex_init(&run->watched.stdin_lock, NULL);
  (void) pthread_mutex_lock(&run->box->lock);
  run->watched.next = run->box->watched;
  run->box->watched = &run->watched;
  (void) pthread_mutex_unlock(&run->box->lock);
}

static void unwatch(struct run *run)
{
  (void) pthread_mutex_lock(&run->box->lock);
  for (struct watched **at = &run->box->watched; *at; at = &(*at)->next)
    if (*at == &run->watched) {
      *at = run->watched.next;
      break;
    }
  (void) pthread_mutex_unlock(&run->box->lock);
  /* Who writes to its stdin just now holds this. */
  (void) pthread_mutex_lock(&run->watched.stdin_lock);
  (void) pthread_mutex_unlock(&run->watched.stdin_lock);
  (void) pthread_mutex_destroy(&run->watched.stdin_lock);
}

static int watch_and_run(struct run *run, struct mag_exec_end *end, struct mbp_error *err)
{
  struct mbp_error local = PLUG_ERROR_INIT;
  struct mbp_error *told = err ? err : &local;
  int64_t safety = INT64_MAX;
  memset(end, 0, sizeof(*end));
  end->result.size = MBP_SIZE(struct mbp_exec_result, reserved);
  if (run->exec && run->exec->hard_timeout_ms > 0)
    safety = plug_now_ms(host_of(run)) + run->exec->hard_timeout_ms + TIMEOUT_GRACE_MS + RECONNECT_MS;
  watch(run);
  int r = 0;
  if (run->box->state == MBP_SANDBOX_SUSPENDED) /* as far as we know: somebody may have resumed it */
    r = look_for_it(run, told);
  if (r == 0)
    r = connect_once(run, run->call, told);
  if (r == -MBP_E_NETWORK && run->attempt > 0)
    r = 0; /* it had been cut while idle */
  while (r == 0)
    r = step(run, safety, end, told);
  unwatch(run);
  end->result.message = mbp_str(end->message);
  if (run->channel) {
    struct channel *channel = run->channel;
    run->channel = NULL;
    if (r > 0)
      channel_give_back(channel);
    else
      channel_unref(channel);
  }
  free(run->request);
  free(run->input);
  free(run->user);
  return r > 0 ? 0 : r;
}

int run_exec(struct box *box, struct mbp_call *call, const struct mbp_exec *exec, const struct mag_exec_sink *sink,
             struct mag_exec_end *ret_end, struct mbp_error *err)
{
  struct run run = {.box = box, .call = call, .exec = exec, .sink = sink};
  uint64_t number = 0;
  (void) getrandom(&number, sizeof(number), 0);
  if (exec->n_argv == 0 || exec->argv[0].len == 0)
    return plug_error(err, MBP_E_INVALID, "exec: argv is empty");
  if (exec->key.len == 0) /* our own, which lists do not show */
    (void) snprintf(run.key, sizeof(run.key), ".%016llx", (unsigned long long) number);
  else if (!process_key(run.key, exec->key))
    return plug_error(err, MBP_E_INVALID, "the process's key must match [a-z0-9-]{1,63}");
  run.user = plug_dup(exec->user);
  run.input = sink->input ? malloc(INPUT_BYTES) : NULL;
  int r = !run.user || (sink->input && !run.input) ? plug_no_memory(err) : make_request(&run, err);
  if (r < 0) {
    free(run.user);
    free(run.input);
    free(run.request);
    return r;
  }
  return watch_and_run(&run, ret_end, err);
}

int run_attach(struct box *box, struct mbp_call *call, const char *key, int64_t from, const struct mag_exec_sink *sink,
               struct mag_exec_end *ret_end, struct mbp_error *err)
{
  struct run run = {.box = box, .call = call, .sink = sink, .from = {from, -1}};
  if (!process_key(run.key, mbp_str(key)))
    return plug_error(err, MBP_E_INVALID, "the process's key must match [a-z0-9-]{1,63}");
  run.user = plug_dup(mbp_str(""));
  return run.user ? watch_and_run(&run, ret_end, err) : plug_no_memory(err);
}
