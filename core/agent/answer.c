#include "agent/answer.h"

#include "agent/log.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define TRIES 100 /* somebody else's events may come in between */

/* Of a custom tool that the agent has no program for? */
static bool has_no_command(const struct mag_state *state, const char *tool)
{
  mag_autojson agent = NULL;
  if (mag_json_parse(mbp_str(state->agent), &agent, NULL) < 0)
    return false;
  const struct mbp_json *entry = mag_json_first(mag_json_get(agent, "tools"));
  while (entry && !(mbp_str_eq(mag_json_str(mag_json_get(entry, "type")), "custom") &&
                    mbp_str_eq(mag_json_str(mag_json_get(entry, "name")), tool)))
    entry = mag_json_next(entry);
  return entry && !mag_json_get(entry, "command");
}

/* Is there an answer that the runner has not seen yet? */
static bool is_in_inbox(const struct mag_state *state, const struct mag_tool_call *call)
{
  for (size_t i = 0; i < state->n_inbox; i++) {
    const struct mag_inbox_item *item = &state->inbox[i];
    bool result = strcmp(item->type, MAG_EV_USER_CUSTOM_RESULT) == 0;
    struct mbp_str content;
    mag_autojson json = NULL;
    if ((!result && strcmp(item->type, MAG_EV_USER_CONFIRMATION) != 0) ||
        mag_json_parse(mbp_str(item->payload), &json, NULL) < 0 ||
        !mbp_str_eq(mag_json_str(mag_json_get(json, result ? "custom_tool_use_id" : "tool_use_id")), call->event_id))
      continue;
    if (!result || !mag_json_slice(mbp_str(item->payload), "content", &content) || mag_state_is_result(content))
      return true;
  }
  return false;
}

/* What the call waits for. False: nothing. */
static bool is_waiting(const struct mag_state *state, const struct mag_tool_call *call, struct mag_waiting *ret_waiting)
{
  bool asked = call->permission == MAG_PERMISSION_ASK && !call->answered && !mag_state_granted(state, call->name);
  bool allowed = !asked && (call->permission == MAG_PERMISSION_ALLOW || !call->answered || call->allowed) &&
                 call->permission != MAG_PERMISSION_DENY;
  bool outside = call->custom && has_no_command(state, call->name);
  if (call->result || call->started || !(asked || (allowed && outside)) || is_in_inbox(state, call))
    return false;
  *ret_waiting = (struct mag_waiting){call->event_id, call->name, call->input, !asked};
  return true;
}

static int open_log(struct mag_engine *engine, const char *id, struct mag_log *log, struct mbp_error *err)
{
  struct mag_instance *store;
  int r = mag_engine_store(engine, &store, err);
  return r < 0 ? r : mag_log_open(log, store, id, /* claim= */ false, err);
}

int mag_answer_each(struct mag_engine *engine, const char *id,
                    int (*each)(void *ctx, const struct mag_waiting *waiting), void *ctx, struct mbp_error *err)
{
  struct mag_log log;
  struct mag_waiting waiting;
  int r = open_log(engine, id, &log, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < log.state.n_calls && r == 0; i++)
    if (is_waiting(&log.state, &log.state.calls[i], &waiting))
      r = each(ctx, &waiting);
  mag_log_close(&log);
  return r;
}

/* ---- Giving one ----------------------------------------------------------------------------------------------- */

static int find_only(const struct mag_state *state, struct mag_waiting *ret_waiting, struct mbp_error *err)
{
  mag_autobuf ids = MAG_BUF_INIT;
  struct mag_waiting waiting;
  size_t n = 0;
  for (size_t i = 0; i < state->n_calls; i++)
    if (is_waiting(state, &state->calls[i], &waiting)) {
      mag_buf_printf(&ids, "%s%s (%s)", n++ ? ", " : "", waiting.event_id, waiting.tool);
      *ret_waiting = waiting;
    }
  if (n == 0)
    return mag_error(err, MBP_E_NOT_FOUND, "no tool call of session %s waits for an answer", state->id);
  return n == 1 ? 0 : mag_error(err, MBP_E_INVALID, "%zu tool calls wait: say which of %s", n, ids.ptr ? ids.ptr : "");
}

static int find_named(struct mag_state *state, const char *event_id, struct mag_waiting *ret_waiting,
                      struct mbp_error *err)
{
  const struct mag_tool_call *call = mag_state_call(state, mbp_str(event_id));
  if (!call)
    return mag_error(err, MBP_E_NOT_FOUND, "session %s has no open tool call %.60s", state->id, event_id);
  if (is_waiting(state, call, ret_waiting))
    return 0;
  if (call->result || call->answered || is_in_inbox(state, call))
    return mag_error(err, MBP_E_CONFLICT, "tool call %s has been answered already", call->event_id);
  return mag_error(err, MBP_E_INVALID, "tool call %s (%s) does not wait for an answer", call->event_id, call->name);
}

static int write_answer(const struct mag_given_answer *answer, const struct mag_waiting *waiting,
                        struct mag_batch *batch, struct mbp_error *err)
{
  if (answer->content.len && !waiting->wants_result)
    return mag_error(err, MBP_E_INVALID, "tool call %s (%s) waits for a yes or no, not for a result", waiting->event_id,
                     waiting->tool);
  if (!answer->content.len && waiting->wants_result && answer->reply.answer > 0)
    return mag_error(err, MBP_E_INVALID, "tool call %s (%s) waits for its result, not for a yes", waiting->event_id,
                     waiting->tool);
  if (!waiting->wants_result) {
    mag_batch_confirmation(batch, mbp_str(waiting->event_id), &answer->reply);
    return 0;
  }
  mag_autofree char *refusal = NULL;
  struct mbp_writer *event = mag_batch_event(batch, MAG_EV_USER_CUSTOM_RESULT, NULL);
  mag_writer_string(event, "custom_tool_use_id", mbp_str(waiting->event_id));
  if (answer->content.len) {
    mag_writer_raw(event, "content", answer->content);
  } else {
    const char *why = answer->reply.message;
    refusal = mag_sprintf("The user did not allow this%s%s", why ? ": " : ".", why ? why : "");
    mag_writer_array(event, "content");
    mag_write_text_block(event, mbp_str(refusal));
    mag_writer_end(event);
  }
  mag_writer_boolean(event, "is_error", answer->is_error || !answer->content.len);
  mag_batch_end(batch);
  return 0;
}

/* 1: something else was appended meanwhile. */
static int give_once(struct mag_log *log, const struct mag_given_answer *answer, char ret_event[MAG_ID_SIZE],
                     struct mbp_error *err)
{
  struct mag_batch batch = MAG_BATCH_INIT;
  struct mag_waiting waiting = {0};
  int r = answer->event_id ? find_named(&log->state, answer->event_id, &waiting, err)
                           : find_only(&log->state, &waiting, err);
  if (r == 0)
    r = write_answer(answer, &waiting, &batch, err);
  if (r == 0 && ret_event)
    (void) snprintf(ret_event, MAG_ID_SIZE, "%s", waiting.event_id);
  if (r == 0) {
    r = mag_log_append_next(log, &batch, err);
    if (r == -MBP_E_CONFLICT)
      r = 1;
  }
  mag_batch_done(&batch);
  return r;
}

int mag_answer_give(struct mag_engine *engine, const char *id, const struct mag_given_answer *answer,
                    char ret_event[MAG_ID_SIZE], struct mbp_error *err)
{
  struct mbp_error own = MAG_ERROR_INIT;
  struct mag_log log;
  if (answer->content.len && (mag_json_check(answer->content, err) < 0 || !mag_state_is_result(answer->content)))
    return mag_error(err, MBP_E_INVALID, "a result is a list of text, image, document and search_result blocks");
  int r = open_log(engine, id, &log, err);
  if (r < 0)
    return r;
  r = 1;
  for (int i = 0; i < TRIES && r == 1; i++) {
    mag_error_clear(&own);
    r = give_once(&log, answer, ret_event, &own);
    if (r == 1 && mag_log_refresh(&log, &own) < 0)
      r = -own.code;
  }
  mag_log_close(&log);
  if (r < 0 && err)
    *err = own;
  return r == 1 ? mag_error(err, MBP_E_BUSY, "session %s changes all the time; try again", id) : r;
}
