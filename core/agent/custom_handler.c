/* Custom tools that are answered by a function of this process. */
#include "agent/custom_entry.h"
#include "agent/custom_parts.h"
#include "agent/session.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#define GRACE_MS 500 /* for a handler that notices that it is cancelled */

struct mag_handler {
  atomic_uint refs;
  char *name;
  mag_custom_handle handle;
  void *ctx;
  void (*release)(void *ctx);
  int64_t timeout_ms;
};

/* ---- The handlers of a session -------------------------------------------------------------------------------- */

static void handler_unref(struct mag_handler *handler)
{
  if (!handler || atomic_fetch_sub(&handler->refs, 1) != 1)
    return;
  if (handler->release)
    handler->release(handler->ctx);
  free(handler->name);
  free(handler);
}

static struct mag_handler **find_place(const struct mag_handlers *handlers, const char *name)
{
  for (size_t i = 0; i < handlers->n; i++)
    if (strcmp(handlers->items[i]->name, name) == 0)
      return &handlers->items[i];
  return NULL;
}

struct mag_handler *mag_handlers_find(const struct mag_handlers *handlers, const char *name)
{
  struct mag_handler **place = find_place(handlers, name);
  return place ? *place : NULL;
}

void mag_handlers_done(struct mag_handlers *handlers)
{
  for (size_t i = 0; i < handlers->n; i++)
    handler_unref(handlers->items[i]);
  free(handlers->items);
  *handlers = (struct mag_handlers){NULL, 0};
}

static int no_such_tool(const struct mag_toolbox *toolbox, const char *name, struct mbp_error *err)
{
  const char **names = calloc(toolbox->n + 1, sizeof(*names));
  size_t n = 0;
  if (!names)
    return mag_error_no_memory(err);
  for (size_t i = 0; i < toolbox->n; i++)
    if (toolbox->tools[i].custom)
      names[n++] = toolbox->tools[i].name;
  int nearest = mag_nearest(name, names);
  int r =
      mag_error(err, MBP_E_NOT_FOUND, "the agent has no custom tool \"%.128s\"%s%s%s", name,
                nearest < 0 ? "" : "; did you mean \"", nearest < 0 ? "" : names[nearest], nearest < 0 ? "" : "\"?");
  free(names);
  return r;
}

int mag_session_handle(struct mag_session *session, const struct mag_custom_handler *given, struct mbp_error *err)
{
  struct mag_handlers *handlers = &session->handlers;
  const struct mag_tool *tool = mag_toolbox_find(&session->toolbox, mbp_str(given->name));
  if (!tool || !tool->custom)
    return no_such_tool(&session->toolbox, given->name, err);
  struct mag_handler *handler = calloc(1, sizeof(*handler));
  char *name = mag_str_dup(mbp_str(given->name));
  struct mag_handler **place = find_place(handlers, given->name);
  if (!place) {
    struct mag_handler **items = realloc(handlers->items, (handlers->n + 1) * sizeof(*items));
    if (items)
      handlers->items = items;
    place = items ? &items[handlers->n] : NULL;
    if (place)
      *place = NULL;
  }
  if (!handler || !name || !place) {
    free(handler);
    free(name);
    return mag_error_no_memory(err);
  }
  *handler = (struct mag_handler){.name = name,
                                  .handle = given->handle,
                                  .ctx = given->ctx,
                                  .release = given->release,
                                  .timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : tool->custom->timeout_ms};
  atomic_init(&handler->refs, 1);
  if (*place)
    handler_unref(*place);
  else
    handlers->n++;
  *place = handler;
  return 0;
}

/* ---- One call ------------------------------------------------------------------------------------------------- */

struct mag_custom_call {
  atomic_uint refs; /* who waits, the thread, whoever answers later */
  struct mag_handler *handler;
  struct mbp_call *scope; /* deadline and cancellation */
  char *tool, *input, *event_id, *session_id;
  int done_fd;

  pthread_mutex_t lock; /* what follows */
  struct mag_session *session; /* NULL once nobody waits any more */
  struct mbp_writer *writer;
  size_t bytes;
  bool is_error, done, inside, stray;
  struct mbp_error error; /* of the handler */
};

static atomic_uint stray_threads;

unsigned mag_custom_stray_threads(void)
{
  return atomic_load(&stray_threads);
}

struct mag_custom_call *mag_custom_call_ref(struct mag_custom_call *call)
{
  atomic_fetch_add(&call->refs, 1);
  return call;
}

void mag_custom_call_unref(struct mag_custom_call *call)
{
  if (!call || atomic_fetch_sub(&call->refs, 1) != 1)
    return;
  handler_unref(call->handler);
  mag_call_unref(call->scope);
  mag_writer_free(call->writer);
  mag_cleanup_close(&call->done_fd);
  pthread_mutex_destroy(&call->lock);
  free(call->tool);
  free(call->input);
  free(call->event_id);
  free(call->session_id);
  free(call);
}

static struct mag_custom_call *call_new(const struct mag_custom_job *job, struct mag_handler *handler)
{
  struct mag_call_options options = {.parent = job->call, .timeout_ms = handler->timeout_ms};
  struct mag_custom_call *call = calloc(1, sizeof(*call));
  if (!call)
    return NULL;
  atomic_init(&call->refs, 1);
  atomic_fetch_add(&handler->refs, 1);
  call->handler = handler;
  call->session = job->session;
  pthread_mutex_init(&call->lock, NULL);
  mag_error_clear(&call->error);
  call->error.size = MBP_SIZE(struct mbp_error, message);
  call->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  call->scope = mag_call_new_scope(&options);
  call->tool = mag_str_dup(mbp_str(job->tool->name));
  call->input = mag_str_dup(mbp_str(job->input));
  call->event_id = mag_str_dup(mbp_str(job->event_id));
  call->session_id = mag_str_dup(mbp_str(job->session->log.id));
  call->writer = mag_writer_new();
  mag_writer_array(call->writer, NULL);
  if (call->done_fd >= 0 && call->scope && call->tool && call->input && call->event_id && call->session_id &&
      call->writer)
    return call;
  mag_custom_call_unref(call);
  return NULL;
}

struct mbp_str mag_custom_call_tool(const struct mag_custom_call *call)
{
  return mbp_str(call->tool);
}

struct mbp_str mag_custom_call_input(const struct mag_custom_call *call)
{
  return mbp_str(call->input);
}

struct mbp_str mag_custom_call_event_id(const struct mag_custom_call *call)
{
  return mbp_str(call->event_id);
}

struct mbp_str mag_custom_call_session_id(const struct mag_custom_call *call)
{
  return mbp_str(call->session_id);
}

bool mag_custom_call_cancelled(struct mag_custom_call *call)
{
  return mag_call_cancelled(call->scope);
}

int mag_custom_call_cancel_fd(struct mag_custom_call *call)
{
  return mag_call_cancel_fd(call->scope);
}

/* ---- The answer ----------------------------------------------------------------------------------------------- */

/* May so many bytes be added? The lock is held if so, and only then. */
static int begin_block(struct mag_custom_call *call, size_t bytes, struct mbp_error *err)
{
  pthread_mutex_lock(&call->lock);
  int r = 0;
  if (call->done || !call->session)
    r = mag_error(err, MBP_E_LOST, "the call of %s has ended", call->tool);
  else if (bytes > MAG_CUSTOM_ANSWER_MAX || call->bytes + bytes > MAG_CUSTOM_ANSWER_MAX)
    r = mag_error(err, MBP_E_LIMIT, "the answer of %s is larger than %u MiB", call->tool, MAG_CUSTOM_ANSWER_MAX >> 20);
  if (r < 0)
    pthread_mutex_unlock(&call->lock);
  else
    call->bytes += bytes;
  return r;
}

static int add_text(struct mag_custom_call *call, struct mbp_str text, bool is_error, struct mbp_error *err)
{
  int r = begin_block(call, text.len, err);
  if (r < 0)
    return r;
  mag_write_text_block(call->writer, text);
  call->is_error |= is_error;
  pthread_mutex_unlock(&call->lock);
  return 0;
}

int mag_custom_call_text(struct mag_custom_call *call, struct mbp_str text, struct mbp_error *err)
{
  return add_text(call, text, false, err);
}

int mag_custom_call_fail(struct mag_custom_call *call, struct mbp_str text, struct mbp_error *err)
{
  return add_text(call, text, true, err);
}

int mag_custom_call_json(struct mag_custom_call *call, struct mbp_str json, struct mbp_error *err)
{
  int r = mag_json_check(json, err);
  return r < 0 ? r : add_text(call, json, false, err);
}

int mag_custom_call_image(struct mag_custom_call *call, const char *media_type, struct mbp_str data,
                          struct mbp_error *err)
{
  mag_autobuf base64 = MAG_BUF_INIT;
  int r = mag_image_check(mbp_str(media_type), data, /* base64= */ false, err);
  if (r < 0)
    return r;
  mag_base64_encode(&base64, data);
  if (base64.failed)
    return mag_error_no_memory(err);
  r = begin_block(call, base64.len, err);
  if (r < 0)
    return r;
  struct mbp_writer *w = call->writer;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("image"));
  mag_writer_object(w, "source");
  mag_writer_string(w, "type", mbp_str("base64"));
  mag_writer_string(w, "media_type", mbp_str(media_type));
  mag_writer_string(w, "data", mag_buf_str(&base64));
  mag_writer_end(w);
  mag_writer_end(w);
  pthread_mutex_unlock(&call->lock);
  return 0;
}

void mag_custom_call_progress(struct mag_custom_call *call, struct mbp_str line)
{
  pthread_mutex_lock(&call->lock);
  if (call->session && !call->done)
    mag_session_preview(call->session, MAG_PREVIEW_PROGRESS, call->event_id, mbp_str(call->tool), line);
  pthread_mutex_unlock(&call->lock);
}

void mag_custom_call_done(struct mag_custom_call *call)
{
  pthread_mutex_lock(&call->lock);
  if (!call->done)
    (void) !write(call->done_fd, &(uint64_t){1}, sizeof(uint64_t));
  call->done = true;
  pthread_mutex_unlock(&call->lock);
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

static void *run_handler(void *argument)
{
  struct mag_custom_call *call = argument;
  struct mbp_error error = MAG_ERROR_INIT;
  int r = call->handler->handle(call->handler->ctx, call, &error);
  pthread_mutex_lock(&call->lock);
  call->inside = false;
  if (call->stray)
    atomic_fetch_sub(&stray_threads, 1);
  if (r < 0 && !call->done) {
    call->error = error;
    if (call->error.code == 0)
      mag_error(&call->error, -r, "%s failed without saying why", call->tool);
  }
  pthread_mutex_unlock(&call->lock);
  if (r != MAG_CUSTOM_LATER)
    mag_custom_call_done(call);
  mag_custom_call_unref(call);
  return NULL;
}

/* A whole stack: what the program does in its handler is its own affair. */
static int start_handler(struct mag_custom_call *call, struct mbp_error *err)
{
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, old;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  call->inside = true;
  mag_custom_call_ref(call);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int number = pthread_create(&thread, &attributes, run_handler, call);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  if (number == 0)
    return 0;
  mag_custom_call_unref(call);
  return mag_error_errno(err, number, "no thread for %s", call->tool);
}

/* Nobody waits from here on: whatever the handler still does goes nowhere. */
static int close_call(struct mag_custom_call *call, bool answered, struct mag_custom_answer *ret_answer,
                      struct mbp_error *err)
{
  int r = 0;
  pthread_mutex_lock(&call->lock);
  call->session = NULL;
  if (!answered) {
    call->stray = call->inside;
    atomic_fetch_add(&stray_threads, call->stray);
    bool cancelled = mag_call_cancel_error(call->scope, NULL) == -MBP_E_CANCELLED;
    r = cancelled ? mag_error(err, MBP_E_CANCELLED, "interrupted")
                  : mag_error(err, MBP_E_TIMEOUT, "no answer within %lld ms", (long long) call->handler->timeout_ms);
  } else if (call->error.code) {
    if (err)
      *err = call->error;
    r = -call->error.code;
  } else {
    if (call->bytes == 0)
      mag_write_text_block(call->writer, mbp_str("done"));
    mag_writer_end(call->writer);
    ret_answer->content = mag_writer_take(call->writer);
    ret_answer->is_error = call->is_error;
    r = ret_answer->content ? 0 : mag_error_no_memory(err);
  }
  pthread_mutex_unlock(&call->lock);
  return r;
}

int mag_custom_run_handler(const struct mag_custom_job *job, struct mag_handler *handler,
                           struct mag_custom_answer *ret_answer, struct mbp_error *err)
{
  struct mag_custom_call *call = call_new(job, handler);
  if (!call)
    return mag_error_no_memory(err);
  int r = start_handler(call, err);
  if (r == 0) {
    struct pollfd fds[2] = {{.fd = call->done_fd, .events = POLLIN},
                            {.fd = mag_call_cancel_fd(call->scope), .events = POLLIN}};
    while (poll(fds, 2, -1) < 0)
      continue;
    bool answered = fds[0].revents & POLLIN;
    if (!answered)
      (void) poll(fds, 1, GRACE_MS); /* a thread that ends by itself is no stray one */
    r = close_call(call, answered, ret_answer, err);
  }
  mag_custom_call_unref(call);
  return r;
}
