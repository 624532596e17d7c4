#include "host/call.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define GRACE_MS 5000             /* after the deadline, for `done` to come */
#define QUEUE_BYTES (256u * 1024) /* events of an asynchronous plugin that wait for the waiter */

struct kept {
  struct kept *next;
  void *memory;
};

struct queued {
  struct queued *next;
  struct mbp_event event; /* name and data point behind the struct */
};

struct mbp_call {
  atomic_uint refs;
  pthread_mutex_t lock;
  pthread_mutex_t emit_lock; /* one event at a time; held while the sink runs, so never together with `lock` */
  pthread_cond_t changed;
  struct mbp_call *parent, *children, *next_sibling;
  int64_t deadline_ms;
  atomic_bool cancelled, stopped; /* stopped: the sink said so */
  bool asynchronous, done, abandoned;
  mag_call_sink sink;
  mag_call_result on_result;
  void *ctx;
  void *scope;
  struct mbp_error error; /* of `done` */
  int cancel_fd, resume_fd;
  struct queued *queue, **queue_end;
  size_t queue_bytes;
  struct kept *kept;
  char trace_id[MAG_ID_SIZE];
  char *session;
};

static void init_condition(pthread_cond_t *condition)
{
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void add_child(struct mbp_call *parent, struct mbp_call *child)
{
  child->parent = mag_call_ref(parent);
  pthread_mutex_lock(&parent->lock);
  child->next_sibling = parent->children;
  parent->children = child;
  if (parent->cancelled)
    child->cancelled = true;
  pthread_mutex_unlock(&parent->lock);
}

static void remove_child(struct mbp_call *parent, struct mbp_call *child)
{
  pthread_mutex_lock(&parent->lock);
  for (struct mbp_call **place = &parent->children; *place; place = &(*place)->next_sibling)
    if (*place == child) {
      *place = child->next_sibling;
      break;
    }
  pthread_mutex_unlock(&parent->lock);
}

struct mbp_call *mag_call_new_scope(const struct mag_call_options *options)
{
  struct mbp_call *call = calloc(1, sizeof(*call));
  if (!call)
    return NULL;
  struct mbp_call *parent = options->parent;
  struct mbp_str session = options->session;
  if (session.len == 0 && parent)
    session = mbp_str(parent->session);
  call->session = mag_str_dup(session);
  if (!call->session) {
    free(call);
    return NULL;
  }
  call->refs = 1;
  pthread_mutex_init(&call->lock, NULL);
  pthread_mutex_init(&call->emit_lock, NULL);
  init_condition(&call->changed);
  call->deadline_ms = parent ? parent->deadline_ms : INT64_MAX;
  if (options->timeout_ms > 0)
    call->deadline_ms = MAG_MIN(call->deadline_ms, mag_clock_monotonic_ms() + options->timeout_ms);
  call->asynchronous = options->asynchronous;
  call->sink = options->sink;
  call->on_result = options->on_result;
  call->ctx = options->ctx;
  call->scope = parent ? parent->scope : NULL;
  call->cancel_fd = call->resume_fd = -1;
  call->queue_end = &call->queue;
  mag_error_clear(&call->error);
  if (parent)
    memcpy(call->trace_id, parent->trace_id, sizeof(call->trace_id));
  else
    mag_id_random(call->trace_id, 32);
  if (parent)
    add_child(parent, call);
  return call;
}

struct mbp_call *mag_call_new(const struct mag_call_options *options)
{
  struct mbp_call *call = mag_call_new_scope(options);
  return call ? mag_call_ref(call) : NULL; /* the second one is the plugin's, until `done` */
}

struct mbp_call *mag_call_ref(struct mbp_call *call)
{
  atomic_fetch_add(&call->refs, 1);
  return call;
}

void mag_call_unref(struct mbp_call *call)
{
  if (!call || atomic_fetch_sub(&call->refs, 1) != 1)
    return;
  if (call->parent) {
    remove_child(call->parent, call);
    mag_call_unref(call->parent);
  }
  while (call->queue) {
    struct queued *first = call->queue;
    call->queue = first->next;
    free(first);
  }
  while (call->kept) {
    struct kept *first = call->kept;
    call->kept = first->next;
    free(first->memory);
    free(first);
  }
  mag_cleanup_close(&call->cancel_fd);
  mag_cleanup_close(&call->resume_fd);
  pthread_cond_destroy(&call->changed);
  pthread_mutex_destroy(&call->emit_lock);
  pthread_mutex_destroy(&call->lock);
  free(call->session);
  free(call);
}

/* ---- Cancellation --------------------------------------------------------------------------------------------- */

static void signal_fd(int fd)
{
  if (fd >= 0)
    (void) !write(fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* The cancel descriptor is a timer: armed for the deadline from the start, and for "now" by a cancellation. It stays
 * readable, since nobody reads it. */
static void arm(int fd, int64_t deadline_ms)
{
  struct itimerspec when = {.it_value = {.tv_nsec = 1}};
  if (deadline_ms == INT64_MAX)
    when.it_value.tv_nsec = 0; /* disarmed */
  else if (deadline_ms > 0)
    when.it_value = (struct timespec){.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
  (void) timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void mag_call_cancel(struct mbp_call *call)
{
  pthread_mutex_lock(&call->lock);
  if (!call->cancelled) {
    call->cancelled = true;
    if (call->cancel_fd >= 0)
      arm(call->cancel_fd, 0);
    signal_fd(call->resume_fd);
    pthread_cond_broadcast(&call->changed);
    /* Children lock after parents, never the other way round. A child that is being freed waits for our lock. */
    for (struct mbp_call *child = call->children; child; child = child->next_sibling)
      mag_call_cancel(child);
  }
  pthread_mutex_unlock(&call->lock);
}

int mag_call_cancelled(struct mbp_call *call)
{
  return call->cancelled || call->stopped ||
         (call->deadline_ms != INT64_MAX && mag_clock_monotonic_ms() >= call->deadline_ms);
}

int mag_call_cancel_fd(struct mbp_call *call)
{
  pthread_mutex_lock(&call->lock);
  if (call->cancel_fd < 0) {
    call->cancel_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (call->cancel_fd >= 0)
      arm(call->cancel_fd, call->cancelled || call->stopped ? 0 : call->deadline_ms);
  }
  int fd = call->cancel_fd;
  pthread_mutex_unlock(&call->lock);
  return fd;
}

int mag_call_cancel_error(struct mbp_call *call, struct mbp_error *err)
{
  if (call->cancelled || call->stopped)
    return mag_error(err, MBP_E_CANCELLED, "cancelled");
  return mag_error(err, MBP_E_TIMEOUT, "timed out");
}

int64_t mag_call_deadline_ms(struct mbp_call *call)
{
  return call->deadline_ms;
}

struct mbp_str mag_call_trace_id(struct mbp_call *call)
{
  return mbp_str(call->trace_id);
}

struct mbp_str mag_call_session_id(struct mbp_call *call)
{
  return mbp_str(call->session);
}

void mag_call_set_scope(struct mbp_call *call, void *scope)
{
  call->scope = scope;
}

void *mag_call_scope(struct mbp_call *call)
{
  return call->scope;
}

int mag_call_keep(struct mbp_call *call, void *memory)
{
  struct kept *kept = malloc(sizeof(*kept));
  if (!kept) {
    free(memory);
    return -MBP_E_NO_MEMORY;
  }
  kept->memory = memory;
  pthread_mutex_lock(&call->lock);
  kept->next = call->kept;
  call->kept = kept;
  pthread_mutex_unlock(&call->lock);
  return 0;
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static void import_event(struct mbp_event *to, const struct mbp_event *from)
{
  memset(to, 0, sizeof(*to));
  memcpy(to, from, MAG_MIN((size_t) from->size, sizeof(*to)));
  to->size = MBP_SIZE(struct mbp_event, data);
}

static int deliver(struct mbp_call *call, const struct mbp_event *event)
{
  pthread_mutex_lock(&call->emit_lock);
  int r = call->stopped ? -MBP_E_CANCELLED : call->sink ? call->sink(call->ctx, event) : 0;
  pthread_mutex_unlock(&call->emit_lock);
  if (r >= 0)
    return 0;
  call->stopped = true;
  mag_call_cancel(call);
  return r;
}

struct mbp_event mag_event_copy(const struct mbp_event *event, char *place)
{
  struct mbp_event copy = *event;
  copy.name.ptr = place;
  copy.data.ptr = place + event->name.len;
  if (event->name.len)
    memcpy(place, event->name.ptr, event->name.len);
  if (event->data.len)
    memcpy(place + event->name.len, event->data.ptr, event->data.len);
  return copy;
}

static int enqueue(struct mbp_call *call, const struct mbp_event *event)
{
  size_t bytes = sizeof(struct queued) + event->name.len + event->data.len;
  /* One event is always taken, however large, or it could never be. */
  if (call->queue && call->queue_bytes + bytes > QUEUE_BYTES) {
    if (call->resume_fd >= 0)
      (void) !read(call->resume_fd, &(uint64_t){0}, sizeof(uint64_t));
    return MBP_AGAIN;
  }
  struct queued *queued = malloc(bytes);
  if (!queued)
    return -MBP_E_NO_MEMORY;
  queued->next = NULL;
  queued->event = mag_event_copy(event, (char *) (queued + 1));
  *call->queue_end = queued;
  call->queue_end = &queued->next;
  call->queue_bytes += bytes;
  pthread_cond_broadcast(&call->changed);
  return 0;
}

int mag_call_emit(struct mbp_call *call, const struct mbp_event *foreign)
{
  struct mbp_event event;
  import_event(&event, foreign);
  if (mag_call_cancelled(call))
    return -MBP_E_CANCELLED;
  if (!call->asynchronous)
    return deliver(call, &event);
  pthread_mutex_lock(&call->lock);
  int r = call->done || call->abandoned ? -MBP_E_CANCELLED : enqueue(call, &event);
  pthread_mutex_unlock(&call->lock);
  return r;
}

int mag_call_emit_fd(struct mbp_call *call)
{
  if (!call->asynchronous)
    return -1;
  pthread_mutex_lock(&call->lock);
  if (call->resume_fd < 0)
    call->resume_fd = eventfd(!call->queue, EFD_CLOEXEC | EFD_NONBLOCK);
  int fd = call->resume_fd;
  pthread_mutex_unlock(&call->lock);
  return fd;
}

/* Takes the first queued event out; the lock is held. */
static struct queued *dequeue(struct mbp_call *call)
{
  struct queued *first = call->queue;
  if (!first)
    return NULL;
  call->queue = first->next;
  if (!call->queue)
    call->queue_end = &call->queue;
  call->queue_bytes -= sizeof(*first) + first->event.name.len + first->event.data.len;
  if (call->queue_bytes <= QUEUE_BYTES / 2)
    signal_fd(call->resume_fd);
  return first;
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

void mag_call_done(struct mbp_call *call, const void *result, const struct mbp_error *error)
{
  struct mbp_error own = MAG_ERROR_INIT;
  pthread_mutex_lock(&call->lock);
  bool first = !call->done, wanted = first && !call->abandoned;
  call->done = true;
  if (wanted) {
    if (error)
      mag_error_import(&own, error);
    else if (call->on_result && call->on_result(call->ctx, result, &own) < 0 && own.code == 0)
      mag_error(&own, MBP_E_INTERNAL, "result could not be taken");
    call->error = own;
    pthread_cond_broadcast(&call->changed);
  }
  pthread_mutex_unlock(&call->lock);
  if (first)
    mag_call_unref(call); /* the plugin's */
}

/* Waits for a change until `until_ms`; the lock is held. */
static void wait_changed(struct mbp_call *call, int64_t until_ms)
{
  if (until_ms == INT64_MAX) {
    pthread_cond_wait(&call->changed, &call->lock);
    return;
  }
  struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
  pthread_cond_timedwait(&call->changed, &call->lock, &until);
}

/* An abandoned plugin still holds its reference; it gives it back if it ever says `done`, else it is leaked on purpose:
 * memory that a stray thread may still write to must stay. */
static int abandon(struct mbp_call *call, bool *ret_abandoned, struct mbp_error *err)
{
  call->abandoned = true;
  pthread_mutex_unlock(&call->lock);
  pthread_mutex_lock(&call->emit_lock); /* no sink runs any more, and none will */
  call->stopped = true;
  pthread_mutex_unlock(&call->emit_lock);
  if (ret_abandoned)
    *ret_abandoned = true;
  return mag_error(err, MBP_E_TIMEOUT,
                   "the plugin did not end the call %d s after it was told to; its instance is unhealthy now",
                   GRACE_MS / 1000);
}

int mag_call_wait(struct mbp_call *call, int r, bool *ret_abandoned, struct mbp_error *err)
{
  if (r < 0) {
    mag_call_unref(call); /* refused: the plugin's reference is ours again */
    if (err && err->code <= 0)
      mag_error(err, -r, "refused without saying why");
    return r;
  }
  int64_t give_up_ms = call->deadline_ms == INT64_MAX ? INT64_MAX : call->deadline_ms + GRACE_MS;
  bool told = false; /* that it is cancelled */
  pthread_mutex_lock(&call->lock);
  for (;;) {
    struct queued *queued = dequeue(call);
    if (queued) {
      pthread_mutex_unlock(&call->lock);
      (void) deliver(call, &queued->event);
      free(queued);
      pthread_mutex_lock(&call->lock);
      continue;
    }
    if (call->done)
      break;
    if (call->cancelled && !told) {
      told = true;
      give_up_ms = MAG_MIN(give_up_ms, mag_clock_monotonic_ms() + GRACE_MS);
    }
    if (mag_clock_monotonic_ms() >= give_up_ms)
      return abandon(call, ret_abandoned, err);
    wait_changed(call, give_up_ms);
  }
  pthread_mutex_unlock(&call->lock);
  /* The sink may still be showing the last event in the plugin's thread. */
  pthread_mutex_lock(&call->emit_lock);
  pthread_mutex_unlock(&call->emit_lock);
  if (call->error.code == 0)
    return 0;
  if (err)
    *err = call->error;
  return -call->error.code;
}
