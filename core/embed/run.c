/* Running turns: for their answer, with their events by callback, with their events pulled. */
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"

#include <string.h>

/* What the agent said last. */
struct answer {
  char *text;
  bool tool_since; /* a tool was called behind it: what comes now is another one */
  bool failed;     /* without memory */
};

static void hear(struct answer *answer, const struct magent_event *event)
{
  if (strcmp(event->type, "agent.tool_use") == 0 || strcmp(event->type, "agent.custom_tool_use") == 0)
    answer->tool_since = true;
  if (strcmp(event->type, "agent.message") != 0)
    return;
  size_t before = answer->text && !answer->tool_since ? strlen(answer->text) : 0;
  char *text = realloc(answer->text, before + event->text_len + 1);
  answer->failed |= !text;
  if (!text)
    return;
  memcpy(text + before, event->text, event->text_len + 1);
  answer->text = text;
  answer->tool_since = false;
}

int magent_execute(struct magent_agent *agent, const char *prompt, char **ret_answer, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_stream *stream;
  const struct magent_event *event;
  struct answer answer = {0};
  int r = embed_stream_open(agent, prompt, /* pollable= */ false, &stream, &err);
  if (r < 0)
    return embed_fail(error, &err);
  while (embed_stream_next(stream, -1, &event, NULL) == 1)
    if (ret_answer)
      hear(&answer, event);
  r = embed_stream_close(stream, error);
  if (ret_answer && !answer.text && !answer.failed)
    answer.failed = !(answer.text = strdup(""));
  if (r >= 0 && answer.failed) {
    (void) mag_error_no_memory(&err);
    r = embed_fail(error, &err);
  }
  if (r >= 0 && ret_answer)
    *ret_answer = mag_steal(&answer.text);
  free(answer.text);
  return r;
}

int magent_stream(struct magent_agent *agent, const char *prompt,
                  int (*each)(void *ctx, const struct magent_event *event), void *ctx, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_stream *stream;
  const struct magent_event *event;
  bool stopped = false;
  int r = embed_stream_open(agent, prompt, /* pollable= */ false, &stream, &err);
  if (r < 0)
    return embed_fail(error, &err);
  while (embed_stream_next(stream, -1, &event, NULL) == 1)
    if (each(ctx, event) != 0 && !stopped) {
      stopped = true;
      magent_interrupt(agent);
    }
  return embed_stream_close(stream, error);
}

int magent_stream_open(struct magent_agent *agent, const char *prompt, struct magent_stream **ret_stream,
                       struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  return embed_stream_open(agent, prompt, /* pollable= */ true, ret_stream, &err) < 0 ? embed_fail(error, &err) : 0;
}

int magent_stream_next(struct magent_stream *stream, int timeout_ms, const struct magent_event **ret_event,
                       struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_stream_next(stream, timeout_ms, ret_event, &err);
  if (r != 0)
    return r < 0 ? embed_fail(error, &err) : r;
  r = embed_stream_ending(stream, error);
  return MAG_MIN(r, 0);
}

int magent_stream_close(struct magent_stream *stream, struct magent_error *error)
{
  return stream ? embed_stream_close(stream, error) : MAGENT_END_TURN;
}
