/* Turns. Each runs in a thread of the library and puts what happens into a queue; whoever waits takes it from there,
 * so that callbacks run in the caller's own thread, without a lock of ours.
 *
 * The turn never waits for its reader, since it holds locks of the session while it shows an event: text and events
 * are bounded by what the model may answer and are kept; what tools print is not, and is cut. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "embed/embed.h"
#include "embed/event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define OUTPUT_MAX (1u << 20) /* bytes of tool output that wait */

/* May a tool run? Asked by the turn, answered by whoever takes events. */
struct question {
  const char *tool, *input; /* borrowed from the turn, which waits */
  bool asked;               /* and not answered yet */
  int answer;
};

struct magent_stream {
  struct magent_agent *agent;
  struct mag_session *session;
  char *prompt; /* NULL: goes on */
  pthread_t thread;
  int fd; /* readable while there is something to take; -1: nobody polls */

  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct embed_item *first, **last;
  struct embed_item *taken; /* lent to the reader */
  size_t output_bytes, output_dropped;
  struct question question;
  bool closing; /* nobody reads any more */
  bool ended;   /* what follows is set */
  int result;
  struct mbp_error err;
  struct mag_outcome outcome;
};

/* ---- The queue; the lock is held -------------------------------------------------------------------------------- */

static bool has_news(const struct magent_stream *stream)
{
  return stream->first || stream->ended || stream->question.asked;
}

static void tell(struct magent_stream *stream)
{
  if (stream->fd >= 0)
    (void) !write(stream->fd, &(uint64_t){1}, sizeof(uint64_t));
  pthread_cond_broadcast(&stream->changed);
}

static void calm(struct magent_stream *stream)
{
  if (stream->fd >= 0 && !has_news(stream))
    (void) !read(stream->fd, &(uint64_t){0}, sizeof(uint64_t));
}

/* An event that cannot be shown for want of memory is still in the log. */
static void put(struct magent_stream *stream, struct embed_item *item)
{
  if (!item)
    return;
  if (stream->closing) {
    free(item);
    return;
  }
  *stream->last = item;
  stream->last = &item->next;
  tell(stream);
}

/* Says where output was left out. */
static void put_dropped(struct magent_stream *stream)
{
  char line[96];
  if (stream->output_dropped == 0)
    return;
  (void) snprintf(line, sizeof(line), "%zu bytes of output were not taken in time", stream->output_dropped);
  stream->output_dropped = 0;
  put(stream, embed_item_piece(MAGENT_PROGRESS, "", mbp_str(""), mbp_str(line)));
}

/* ---- The turn's side -------------------------------------------------------------------------------------------- */

static void on_event(void *ctx, const struct mbp_record *record)
{
  struct magent_stream *stream = ctx;
  struct embed_item *item = embed_item_event(record);
  pthread_mutex_lock(&stream->lock);
  put(stream, item);
  pthread_mutex_unlock(&stream->lock);
}

static uint32_t kind_of(uint32_t preview)
{
  switch (preview) {
  case MAG_PREVIEW_TEXT:
    return MAGENT_TEXT;
  case MAG_PREVIEW_THINKING:
    return MAGENT_THINKING;
  case MAG_PREVIEW_TOOL_OUTPUT:
    return MAGENT_TOOL_OUTPUT;
  case MAG_PREVIEW_PROGRESS:
    return MAGENT_PROGRESS;
  default:
    return 0;
  }
}

static void on_preview(void *ctx, const struct mag_preview *preview)
{
  struct magent_stream *stream = ctx;
  uint32_t kind = kind_of(preview->kind);
  if (kind == 0)
    return;
  struct embed_item *item = embed_item_piece(kind, preview->event_id, preview->name, preview->data);
  pthread_mutex_lock(&stream->lock);
  if (kind == MAGENT_TOOL_OUTPUT && stream->output_bytes + preview->data.len > OUTPUT_MAX) {
    stream->output_dropped += preview->data.len;
    free(mag_steal(&item));
  } else if (kind == MAGENT_TOOL_OUTPUT && item) {
    put_dropped(stream);
    stream->output_bytes += preview->data.len;
  }
  put(stream, item);
  pthread_mutex_unlock(&stream->lock);
}

static void on_ask(void *ctx, const struct mag_question *asked, struct mag_reply *ret_reply)
{
  struct magent_stream *stream = ctx;
  if (!stream->agent->confirm)
    return;
  pthread_mutex_lock(&stream->lock);
  stream->question =
      (struct question){.tool = asked->tool, .input = asked->input, .asked = true, .answer = MAGENT_LATER};
  tell(stream);
  while (stream->question.asked && !stream->closing)
    pthread_cond_wait(&stream->changed, &stream->lock);
  int answer = stream->question.answer;
  stream->question.asked = false;
  pthread_mutex_unlock(&stream->lock);
  if (answer == MAGENT_ALLOW || answer == MAGENT_ALWAYS || answer == MAGENT_DENY)
    *ret_reply = (struct mag_reply){.answer = answer != MAGENT_DENY, .always = answer == MAGENT_ALWAYS};
}

static void *run_turn(void *argument)
{
  struct magent_stream *stream = argument;
  struct mag_session *session = stream->session;
  struct mag_observer observer = {.ctx = stream, .event = on_event, .preview = on_preview, .ask = on_ask};
  struct mag_limits limits = {0};
  mag_session_observe(session, &observer);
  int r = stream->prompt ? mag_session_ask(session, mbp_str(stream->prompt), &limits, &stream->outcome, &stream->err)
                         : mag_session_run(session, &limits, &stream->outcome, &stream->err);
  mag_session_observe(session, &(struct mag_observer){0});
  pthread_mutex_lock(&stream->lock);
  put_dropped(stream);
  stream->result = r;
  stream->ended = true;
  tell(stream);
  pthread_mutex_unlock(&stream->lock);
  return NULL;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static void stream_free(struct magent_stream *stream)
{
  while (stream->first) {
    struct embed_item *item = stream->first;
    stream->first = item->next;
    free(item);
  }
  free(stream->taken);
  free(stream->prompt);
  mag_cleanup_close(&stream->fd);
  pthread_mutex_destroy(&stream->lock);
  pthread_cond_destroy(&stream->changed);
  free(stream);
}

static struct magent_stream *stream_alloc(struct magent_agent *agent)
{
  struct magent_stream *stream = calloc(1, sizeof(*stream));
  pthread_condattr_t attributes;
  if (!stream)
    return NULL;
  stream->agent = agent;
  stream->last = &stream->first;
  stream->fd = -1;
  mag_error_clear(&stream->err);
  pthread_mutex_init(&stream->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&stream->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  return stream;
}

/* What was interrupted before the turn is interrupted as soon as it begins; what came too late for the last one is
 * forgotten. */
static void pass_interrupt(struct magent_agent *agent, struct mag_session *session)
{
  mag_session_forget_interrupt(session);
  pthread_mutex_lock(&agent->lock);
  if (agent->interrupted)
    mag_session_interrupt(session);
  agent->interrupted = false;
  agent->running = session;
  pthread_mutex_unlock(&agent->lock);
}

static int start(struct magent_stream *stream, const char *prompt, bool pollable, struct mbp_error *err)
{
  int r = embed_session(stream->agent, &stream->session, err);
  if (r < 0)
    return r;
  if (prompt && !(stream->prompt = strdup(prompt)))
    return mag_error_no_memory(err);
  if (pollable && (stream->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
    return mag_error_errno(err, errno, "a stream's descriptor");
  pass_interrupt(stream->agent, stream->session);
  if (mag_thread_start(run_turn, stream, &stream->thread) < 0)
    return mag_error(err, MBP_E_LIMIT, "no thread for a turn: too many are running");
  return 0;
}

int embed_stream_open(struct magent_agent *agent, const char *prompt, bool pollable, struct magent_stream **ret_stream,
                      struct mbp_error *err)
{
  int r = embed_enter(agent, EMBED_TURN, err);
  if (r < 0)
    return r;
  struct magent_stream *stream = stream_alloc(agent);
  r = stream ? start(stream, prompt, pollable, err) : mag_error_no_memory(err);
  if (r < 0) {
    embed_leave(agent, EMBED_TURN);
    if (stream)
      stream_free(stream);
    return r;
  }
  *ret_stream = stream;
  return 0;
}

/* ---- The reader's side ------------------------------------------------------------------------------------------ */

/* The lock is held. -MBP_E_TIMEOUT: no news until then. */
static int await_news(struct magent_stream *stream, int timeout_ms, const struct timespec *until, struct mbp_error *err)
{
  int number = 0;
  while (!has_news(stream) && number != ETIMEDOUT) {
    if (timeout_ms < 0)
      number = pthread_cond_wait(&stream->changed, &stream->lock);
    else
      number = timeout_ms ? pthread_cond_timedwait(&stream->changed, &stream->lock, until) : ETIMEDOUT;
  }
  return has_news(stream) ? 0 : mag_error(err, MBP_E_TIMEOUT, "nothing has happened yet");
}

/* The lock is held, and let go of while the program thinks. */
static void answer_question(struct magent_stream *stream)
{
  struct question question = stream->question;
  const struct magent_agent *agent = stream->agent;
  pthread_mutex_unlock(&stream->lock);
  int answer = agent->confirm(agent->confirm_ctx, question.tool, question.input);
  pthread_mutex_lock(&stream->lock);
  stream->question = (struct question){.answer = answer};
  pthread_cond_broadcast(&stream->changed);
  calm(stream);
}

/* The lock is held. */
static bool take(struct magent_stream *stream)
{
  struct embed_item *item = stream->first;
  if (!item)
    return false;
  stream->first = item->next;
  if (!stream->first)
    stream->last = &stream->first;
  if (item->event.kind == MAGENT_TOOL_OUTPUT)
    stream->output_bytes -= item->event.text_len;
  stream->taken = item;
  calm(stream);
  return true;
}

int embed_stream_next(struct magent_stream *stream, int timeout_ms, const struct magent_event **ret_event,
                      struct mbp_error *err)
{
  struct timespec until = mag_clock_monotonic_after(timeout_ms > 0 ? timeout_ms : 0);
  int r = 0;
  pthread_mutex_lock(&stream->lock);
  free(mag_steal(&stream->taken));
  while (r == 0 && !take(stream) && !stream->ended) {
    r = await_news(stream, timeout_ms, &until, err);
    if (r == 0 && !stream->first && stream->question.asked)
      answer_question(stream);
  }
  bool taken = stream->taken != NULL;
  if (taken)
    *ret_event = &stream->taken->event;
  pthread_mutex_unlock(&stream->lock);
  return r < 0 ? r : taken;
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

int embed_stream_ending(struct magent_stream *stream, struct magent_error *error)
{
  static const char *const why[] = {"",
                                    "a tool call waits for an answer",
                                    "a limit was reached",
                                    "the model refused to answer",
                                    "the turn failed",
                                    "interrupted"};
  const struct mag_outcome *outcome = &stream->outcome;
  pthread_mutex_lock(&stream->lock);
  while (!stream->ended)
    pthread_cond_wait(&stream->changed, &stream->lock);
  pthread_mutex_unlock(&stream->lock);
  if (stream->result < 0)
    return embed_fail(error, &stream->err);
  if (outcome->ending != MAG_END_TURN && error) {
    const char *message = outcome->error.message[0] ? outcome->error.message : why[outcome->ending];
    memset(error, 0, sizeof(*error));
    error->code = outcome->error.code;
    (void) snprintf(error->message, sizeof(error->message), "%s", message);
  }
  return (int) outcome->ending;
}

int embed_stream_close(struct magent_stream *stream, struct magent_error *error)
{
  struct magent_agent *agent = stream->agent;
  pthread_mutex_lock(&stream->lock);
  bool running = !stream->ended;
  stream->closing = true;
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  if (running)
    mag_session_interrupt(stream->session);
  (void) pthread_join(stream->thread, NULL);
  int r = embed_stream_ending(stream, error);
  stream_free(stream);
  embed_leave(agent, EMBED_TURN);
  return r;
}

int magent_stream_fd(const struct magent_stream *stream)
{
  return stream->fd;
}
