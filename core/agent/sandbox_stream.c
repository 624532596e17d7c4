/* A process in the sandbox as a toolset sees it: the provider's exec runs in a thread of its own, since it may block,
 * and what it shows waits in a bounded queue. */
#include "agent/sandbox_parts.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define QUEUE_BYTES (256u * 1024)

struct chunk {
  struct chunk *next;
  struct mbp_event event; /* name and data point behind the struct */
};

struct mbp_stream {
  atomic_uint refs; /* the toolset, the thread, mag_streams_end */
  struct mag_sandbox *sandbox;
  struct mbp_stream *next; /* in the sandbox's list, under its lock */
  struct box *box;
  struct mbp_call *scope; /* parent of the exec's call: cancelling it kills the tree */
  bool keep;              /* outlives the call that started it */
  struct mbp_exec exec;
  char *exec_text;
  struct mbp_str *argv;
  struct mbp_pair *env;

  pthread_mutex_t lock;
  pthread_cond_t changed; /* for the sink (room) and for who waits for the end */
  int fd;                 /* readable after news, while somebody polls */
  bool polled, started, ended, closing;
  struct chunk *queue, **queue_end;
  size_t queue_bytes;
  struct chunk *current; /* lent to the toolset */
  struct mbp_exec_result result;
  char *message;
  bool has_result;
  struct mbp_error error; /* of the exec */
};

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void unref(struct mbp_stream *stream)
{
  if (atomic_fetch_sub(&stream->refs, 1) != 1)
    return;
  while (stream->queue) {
    struct chunk *first = stream->queue;
    stream->queue = first->next;
    free(first);
  }
  free(stream->current);
  free(stream->message);
  free(stream->exec_text);
  free(stream->argv);
  free(stream->env);
  mag_cleanup_close(&stream->fd);
  mag_call_unref(stream->scope);
  mag_box_unref(stream->box);
  mag_sandbox_unref(stream->sandbox);
  pthread_cond_destroy(&stream->changed);
  pthread_mutex_destroy(&stream->lock);
  free(stream);
}

/* The exec outlives the toolset's arguments: everything is copied. */
static int copy_exec(struct mbp_stream *stream, const struct mbp_exec *from, const char *key)
{
  struct mbp_exec *exec = &stream->exec;
  memcpy(exec, from, MAG_MIN((size_t) from->size, sizeof(*exec)));
  exec->size = MBP_SIZE(struct mbp_exec, spool);
  if (exec->key.len == 0)
    exec->key = mbp_str(key);
  exec->flags &= ~MBP_EXEC_KEEP; /* ours: the call is the session's, and cancelling it is meant to kill */
  size_t total = 1 + exec->key.len + exec->cwd.len + exec->user.len + exec->spool.len + 4;
  for (size_t i = 0; i < exec->n_argv; i++)
    total += exec->argv[i].len + 1;
  for (size_t i = 0; i < exec->n_env; i++)
    total += exec->env[i].name.len + exec->env[i].value.len + 2;
  char *at = stream->exec_text = malloc(total);
  stream->argv = calloc(exec->n_argv + 1, sizeof(*stream->argv));
  stream->env = calloc(exec->n_env + 1, sizeof(*stream->env));
  if (!at || !stream->argv || !stream->env)
    return -MBP_E_NO_MEMORY;
  for (size_t i = 0; i < exec->n_argv; i++)
    stream->argv[i] = mag_text_place(&at, exec->argv[i]);
  for (size_t i = 0; i < exec->n_env; i++) {
    stream->env[i].name = mag_text_place(&at, exec->env[i].name);
    stream->env[i].value = mag_text_place(&at, exec->env[i].value);
  }
  struct mbp_str *texts[] = {&exec->key, &exec->cwd, &exec->user, &exec->spool};
  for (size_t i = 0; i < MAG_COUNT(texts); i++)
    *texts[i] = mag_text_place(&at, *texts[i]);
  exec->argv = stream->argv;
  exec->env = stream->env;
  return 0;
}

/* ---- The provider's side ----------------------------------------------------------------------------------------- */

/* News for the toolset; the lock is held. */
static void tell(struct mbp_stream *stream)
{
  if (stream->polled)
    (void) !write(stream->fd, &(uint64_t){1}, sizeof(uint64_t));
}

static int take_event(void *ctx, const struct mbp_event *event)
{
  struct mbp_stream *stream = ctx;
  size_t bytes = sizeof(struct chunk) + event->name.len + event->data.len;
  struct chunk *chunk = malloc(bytes);
  if (!chunk)
    return -MBP_E_NO_MEMORY;
  chunk->next = NULL;
  chunk->event = mag_event_copy(event, (char *) (chunk + 1));
  pthread_mutex_lock(&stream->lock);
  while (!stream->closing && stream->queue && stream->queue_bytes + bytes > QUEUE_BYTES)
    pthread_cond_wait(&stream->changed, &stream->lock);
  if (stream->closing) {
    pthread_mutex_unlock(&stream->lock);
    free(chunk);
    return -MBP_E_CANCELLED;
  }
  *stream->queue_end = chunk;
  stream->queue_end = &chunk->next;
  stream->queue_bytes += bytes;
  if (event->type == MBP_EV_EXEC_STARTED)
    stream->started = true;
  tell(stream);
  pthread_mutex_unlock(&stream->lock);
  return 0;
}

static int take_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct mbp_stream *stream = ctx;
  if (!result)
    return mag_error(err, MBP_E_LOST, "the provider did not tell how the process ended");
  struct mbp_exec_result copy = {0};
  memcpy(&copy, result, MAG_MIN((size_t) * (const uint32_t *) result, sizeof(copy)));
  copy.size = MBP_SIZE(struct mbp_exec_result, reserved);
  char *message = copy.message.len ? strndup(copy.message.ptr, copy.message.len) : NULL;
  copy.message = mbp_str(message);
  pthread_mutex_lock(&stream->lock);
  free(stream->message);
  stream->message = message;
  stream->result = copy;
  stream->has_result = true;
  pthread_mutex_unlock(&stream->lock);
  return 0;
}

static void unlist(struct mbp_stream *stream)
{
  struct mag_sandbox *sandbox = stream->sandbox;
  pthread_mutex_lock(&sandbox->lock);
  for (struct mbp_stream **at = &sandbox->streams; *at; at = &(*at)->next)
    if (*at == stream) {
      *at = stream->next;
      break;
    }
  pthread_mutex_unlock(&sandbox->lock);
}

static void *run_exec(void *argument)
{
  struct mbp_stream *stream = argument;
  struct mag_sandbox *sandbox = stream->sandbox;
  struct mbp_error error = MAG_ERROR_INIT;
  struct mag_call_options options = {
      .parent = stream->scope, .sink = take_event, .on_result = take_result, .ctx = stream};
  int r = MAG_RUN(sandbox->compute, &options, &error,
                  sandbox->ops->exec(plugin, call, stream->box->info.id, &stream->exec, &error));
  if (r == 0 && !stream->has_result)
    r = mag_error(&error, MBP_E_LOST, "the provider did not tell how the process ended");
  atomic_fetch_add(&stream->box->refs, 1);
  /* Before `ended` is told: who closes may free the instance next. For a kept stream this only asks after the
   * sandbox. */
  if (stream->keep)
    mag_sandbox_use(sandbox, 1);
  pthread_mutex_lock(&stream->lock);
  bool closing = stream->closing;
  pthread_mutex_unlock(&stream->lock);
  mag_sandbox_release(sandbox, stream->box, closing ? 0 : r);
  pthread_mutex_lock(&stream->lock);
  if (r < 0)
    stream->error = error;
  stream->ended = true;
  tell(stream);
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  unref(stream);
  return NULL;
}

int mag_stream_open(struct mag_sandbox *sandbox, struct box *box, struct mbp_call *call, const struct mbp_exec *exec,
                    struct mbp_stream **ret_stream, struct mbp_error *err)
{
  struct mbp_stream *stream = calloc(1, sizeof(*stream));
  if (!stream)
    return mag_error_no_memory(err);
  stream->refs = 1;
  stream->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  stream->queue_end = &stream->queue;
  stream->keep = exec->flags & MBP_EXEC_KEEP;
  stream->sandbox = mag_sandbox_ref(sandbox);
  stream->box = box;
  atomic_fetch_add(&box->refs, 1);
  mag_error_clear(&stream->error);
  pthread_mutex_init(&stream->lock, NULL);
  pthread_cond_init(&stream->changed, NULL);
  char key[32];
  pthread_mutex_lock(&sandbox->lock);
  (void) snprintf(key, sizeof(key), "p%llu-%s", (unsigned long long) ++sandbox->n_processes, sandbox->run);
  pthread_mutex_unlock(&sandbox->lock);
  struct mag_call_options scope = {.parent = stream->keep ? sandbox->scope : call};
  stream->scope = mag_call_new_scope(&scope);
  int r = copy_exec(stream, exec, key);
  if (r < 0 || !stream->scope || stream->fd < 0) {
    unref(stream);
    return mag_error(err, MBP_E_NO_MEMORY, "no memory or no descriptor for a process");
  }
  pthread_mutex_lock(&sandbox->lock);
  bool freed = sandbox->freed;
  if (!freed) {
    stream->next = sandbox->streams;
    sandbox->streams = stream;
    sandbox->users += !stream->keep;
  }
  pthread_mutex_unlock(&sandbox->lock);
  if (freed) {
    unref(stream);
    return mag_error(err, MBP_E_LOST, "the session's sandbox has been closed");
  }
  atomic_fetch_add(&stream->refs, 1);
  r = mag_thread_start(run_exec, stream, NULL);
  if (r < 0) {
    unlist(stream);
    if (!stream->keep)
      mag_sandbox_use(sandbox, -1);
    unref(stream);
    unref(stream);
    return mag_error(err, MBP_E_LIMIT, "no thread for a process: too many are running");
  }
  *ret_stream = stream;
  return 0;
}

/* ---- The toolset's side ------------------------------------------------------------------------------------------ */

/* With the lock held, waits for news; -MBP_E_TIMEOUT or -MBP_E_CANCELLED without. */
static int await_news(struct mbp_stream *stream, struct mbp_call *call, int64_t until_ms, struct mbp_error *err)
{
  stream->polled = true;
  pthread_mutex_unlock(&stream->lock);
  struct pollfd fds[2] = {{.fd = stream->fd, .events = POLLIN}, {.fd = mag_call_cancel_fd(call), .events = POLLIN}};
  int64_t left = until_ms == INT64_MAX ? -1 : MAG_MAX(until_ms - mag_clock_monotonic_ms(), 0);
  int n = poll(fds, 2, (int) MAG_MIN(left, INT_MAX));
  pthread_mutex_lock(&stream->lock);
  stream->polled = false;
  if (n > 0 && fds[0].revents)
    (void) !read(stream->fd, &(uint64_t){0}, sizeof(uint64_t));
  if (mag_call_cancelled(call)) /* first: the cancelled exec may have ended already, and both would be true */
    return mag_error(err, MBP_E_CANCELLED, "cancelled");
  if (stream->queue || stream->ended)
    return 0;
  if (n == 0 && until_ms != INT64_MAX && mag_clock_monotonic_ms() >= until_ms)
    return mag_error(err, MBP_E_TIMEOUT, "nothing yet");
  return 0;
}

/* How it ended; the lock is held. */
static int ending(struct mbp_stream *stream, struct mbp_error *err)
{
  if (stream->closing)
    return mag_error(err, MBP_E_LOST, "the sandbox has been removed");
  if (stream->error.code == 0)
    return 0;
  if (err)
    *err = stream->error;
  return -stream->error.code;
}

int mag_stream_next(struct mbp_stream *stream, struct mbp_call *call, int64_t wait_ms, struct mbp_event *ret_event,
                    struct mbp_error *err)
{
  int64_t until_ms = wait_ms < 0 ? INT64_MAX : mag_clock_monotonic_ms() + wait_ms;
  int r = 0;
  if (mag_call_cancelled(call))
    return mag_error(err, MBP_E_CANCELLED, "cancelled");
  if (stream->keep)
    mag_sandbox_use(stream->sandbox, 1);
  pthread_mutex_lock(&stream->lock);
  free(mag_steal(&stream->current));
  while (r == 0 && !stream->queue && !stream->ended)
    r = await_news(stream, call, until_ms, err);
  if (r == 0 && stream->queue) {
    struct chunk *chunk = stream->current = stream->queue;
    stream->queue = chunk->next;
    if (!stream->queue)
      stream->queue_end = &stream->queue;
    stream->queue_bytes -= sizeof(*chunk) + chunk->event.name.len + chunk->event.data.len;
    pthread_cond_broadcast(&stream->changed);
    *ret_event = chunk->event;
    r = 1;
  } else if (r == 0)
    r = ending(stream, err);
  pthread_mutex_unlock(&stream->lock);
  if (stream->keep)
    mag_sandbox_use(stream->sandbox, -1);
  return r;
}

/* A process can be fed and signalled once it is there. */
static int await_start(struct mbp_stream *stream, struct mbp_call *call, struct mbp_error *err)
{
  int r = 0;
  pthread_mutex_lock(&stream->lock);
  while (r == 0 && !stream->started && !stream->ended) {
    stream->polled = true;
    pthread_mutex_unlock(&stream->lock);
    struct pollfd fds[2] = {{.fd = stream->fd, .events = POLLIN}, {.fd = mag_call_cancel_fd(call), .events = POLLIN}};
    (void) poll(fds, 2, -1);
    pthread_mutex_lock(&stream->lock);
    stream->polled = false;
    if (fds[0].revents)
      (void) !read(stream->fd, &(uint64_t){0}, sizeof(uint64_t));
    if (mag_call_cancelled(call))
      r = mag_call_cancel_error(call, err);
  }
  if (r == 0 && stream->ended && (stream->started || (r = ending(stream, err)) == 0))
    r = mag_error(err, MBP_E_LOST, "the process has ended");
  pthread_mutex_unlock(&stream->lock);
  return r;
}

int mag_stream_write(struct mbp_stream *stream, struct mbp_call *owner, struct mbp_str data, uint32_t flags,
                     struct mbp_error *err)
{
  int r = await_start(stream, owner, err);
  if (r < 0)
    return r;
  struct mag_sandbox *sandbox = stream->sandbox;
  struct mag_call_options options = {.parent = owner};
  mag_sandbox_use(sandbox, 1);
  r = MAG_RUN_CONTROL(
      sandbox->compute, &options, err,
      sandbox->ops->write_stdin(plugin, call, stream->box->info.id, stream->exec.key, data, flags, err));
  mag_sandbox_use(sandbox, -1);
  return r;
}

int mag_stream_signal(struct mbp_stream *stream, struct mbp_call *owner, uint32_t number, uint32_t flags,
                      struct mbp_error *err)
{
  int r = await_start(stream, owner, err);
  bool left_some = r == -MBP_E_LOST && flags & MBP_SIGNAL_TREE && stream->started; /* what it started may go on */
  if (r < 0 && !left_some)
    return r == -MBP_E_LOST ? 0 : r;
  struct mag_sandbox *sandbox = stream->sandbox;
  struct mag_call_options options = {.parent = owner};
  mag_sandbox_use(sandbox, 1);
  r = MAG_RUN_CONTROL(sandbox->compute, &options, err,
                      sandbox->ops->signal(plugin, call, stream->box->info.id, stream->exec.key, number, flags, err));
  mag_sandbox_use(sandbox, -1);
  return r;
}

const struct mbp_exec_result *mag_stream_result(struct mbp_stream *stream)
{
  pthread_mutex_lock(&stream->lock);
  const struct mbp_exec_result *result = stream->ended && stream->has_result ? &stream->result : NULL;
  pthread_mutex_unlock(&stream->lock);
  return result;
}

/* Kills the tree if it runs, and waits until the provider has let go of it (the call's grace bounds that). */
static void end_stream(struct mbp_stream *stream)
{
  pthread_mutex_lock(&stream->lock);
  bool running = !stream->ended;
  if (running)
    stream->closing = true;
  tell(stream);
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  if (running)
    mag_call_cancel(stream->scope);
  pthread_mutex_lock(&stream->lock);
  while (!stream->ended)
    pthread_cond_wait(&stream->changed, &stream->lock);
  pthread_mutex_unlock(&stream->lock);
}

void mag_stream_close(struct mbp_stream *stream)
{
  if (!stream)
    return;
  end_stream(stream);
  unlist(stream);
  unref(stream);
}

void mag_streams_end(struct mag_sandbox *sandbox)
{
  for (;;) {
    pthread_mutex_lock(&sandbox->lock);
    struct mbp_stream *stream = sandbox->streams;
    if (stream) {
      sandbox->streams = stream->next;
      atomic_fetch_add(&stream->refs, 1);
    }
    pthread_mutex_unlock(&sandbox->lock);
    if (!stream)
      return;
    end_stream(stream);
    unref(stream);
  }
}
