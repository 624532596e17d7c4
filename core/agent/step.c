/* One request to the model: the durable start, the stream of previews, and the whole answer in one batch. */
#include "agent/models.h"
#include "agent/project.h"
#include "agent/tool_input.h"
#include "agent/turn.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "host/redact.h"
#include "host/retry.h"

#include <poll.h>
#include <string.h>

#define RETRIES 2
#define BLOCKS_MAX 1024

/* What the model said, on its way into the log. */
struct step {
  struct mag_turn *turn;
  char request_id[MAG_ID_SIZE];
  char (*message_ids)[MAG_ID_SIZE]; /* of text blocks, by index: previews and events share them */
  size_t n_message_ids;
  bool shown; /* somebody has seen a part of the answer: no retry */
  bool asked; /* the last try was on its way when it ended, and not yet waiting for the next one */
  struct mag_preview_stream preview;
  char *content, *stop_details, *model, *upstream_id;
  uint32_t stop;
  struct mbp_usage usage;
  struct mag_tool_call *calls;
  size_t n_calls;
};

static void drop_calls(struct step *step)
{
  for (size_t i = 0; i < step->n_calls; i++) {
    free(step->calls[i].event_id);
    free(step->calls[i].model_id);
    free(step->calls[i].name);
    free(step->calls[i].input);
    free(step->calls[i].problem);
  }
  free(step->calls);
  step->calls = NULL;
  step->n_calls = 0;
}

static void step_done(struct step *step)
{
  drop_calls(step);
  free(step->message_ids);
  free(step->content);
  free(step->stop_details);
  free(step->model);
  free(step->upstream_id);
}

/* ---- Previews ------------------------------------------------------------------------------------------------- */

static const char *message_id(struct step *step, uint32_t index)
{
  if (index >= BLOCKS_MAX)
    return "";
  if (index >= step->n_message_ids) {
    size_t n = (size_t) index + 8;
    void *grown = realloc(step->message_ids, n * sizeof(*step->message_ids));
    if (!grown)
      return "";
    step->message_ids = grown;
    memset(step->message_ids + step->n_message_ids, 0, (n - step->n_message_ids) * sizeof(*step->message_ids));
    step->n_message_ids = n;
  }
  if (!step->message_ids[index][0])
    mag_id_new(step->message_ids[index], "sevt_");
  return step->message_ids[index];
}

/* The sandbox is made beside the rest of the answer, as soon as a tool that may run will want it. */
static void warm_sandbox(struct step *step, struct mbp_str name)
{
  struct mag_session *session = step->turn->session;
  const struct mag_tool *tool = mag_toolbox_find(&session->toolbox, name);
  if (tool && tool->flags & MBP_TOOL_SANDBOX && tool->permission == MAG_PERMISSION_ALLOW && session->sandbox)
    mag_sandbox_warm(session->sandbox, step->turn->call);
}

static int show(void *ctx, const struct mbp_event *event)
{
  struct step *step = ctx;
  struct mag_session *session = step->turn->session;
  switch (event->type) {
  case MBP_EV_LLM_TEXT:
    mag_session_preview_piece(session, &step->preview, MAG_PREVIEW_TEXT, message_id(step, event->index), "",
                              event->data);
    break;
  case MBP_EV_LLM_THINKING:
    mag_session_preview_piece(session, &step->preview, MAG_PREVIEW_THINKING, "", "", event->data);
    break;
  case MBP_EV_LLM_TOOL_START:
    warm_sandbox(step, event->name);
    mag_session_preview_rest(session, &step->preview);
    mag_session_preview(session, MAG_PREVIEW_TOOL_START, "", event->name, mbp_str(""));
    break;
  case MBP_EV_LLM_TOOL_INPUT:
    mag_session_preview_piece(session, &step->preview, MAG_PREVIEW_TOOL_INPUT, "", "", event->data);
    break;
  default:
    return 0;
  }
  step->shown = true;
  return 0;
}

/* ---- Taking the answer ---------------------------------------------------------------------------------------- */

/* A call with a problem is as good as denied: nobody is asked about it, and it never runs. */
static int take_input(struct step *step, struct mag_tool_call *call, const struct mag_tool *tool, struct mbp_str input,
                      struct mbp_error *err)
{
  int fits = tool ? mag_tool_input(tool, input, &call->input, &call->problem) : 0;
  if (fits == 0) {
    call->permission = MAG_PERMISSION_DENY;
    call->input = mag_str_dup(input);
  } else if (call->permission == MAG_PERMISSION_ASK && mag_state_granted(&step->turn->session->log.state, call->name)) {
    call->permission = MAG_PERMISSION_ALLOW;
  }
  return fits < 0 || !call->input ? mag_error_no_memory(err) : 0;
}

static int take_call(struct step *step, struct mbp_str block, const struct mbp_json *json, struct mbp_error *err)
{
  const struct mag_toolbox *toolbox = &step->turn->session->toolbox;
  struct mbp_str input, name = mag_json_str(mag_json_get(json, "name")), id = mag_json_str(mag_json_get(json, "id"));
  if (name.len == 0 || id.len == 0 || mag_json_type(mag_json_get(json, "input")) != MBP_JSON_OBJECT ||
      !mag_json_slice(block, "input", &input))
    return mag_error(err, MBP_E_PROTOCOL, "the model's answer has a tool call without id, name or input");
  struct mag_tool_call *calls = realloc(step->calls, (step->n_calls + 1) * sizeof(*calls));
  if (!calls)
    return mag_error_no_memory(err);
  step->calls = calls;
  struct mag_tool_call *call = &calls[step->n_calls++];
  char event_id[MAG_ID_SIZE];
  mag_id_new(event_id, "sevt_");
  const struct mag_tool *tool = mag_toolbox_find(toolbox, name);
  *call = (struct mag_tool_call){.event_id = mag_str_dup(mbp_str(event_id)),
                                 .model_id = mag_str_dup(id),
                                 .name = mag_str_dup(name),
                                 .custom = tool && tool->custom,
                                 .permission = tool ? tool->permission : MAG_PERMISSION_DENY};
  if (!call->event_id || !call->model_id || !call->name)
    return mag_error_no_memory(err);
  return take_input(step, call, tool, input, err);
}

/* Every block is a JSON object with a type; calls are collected. */
static int read_blocks(struct step *step, struct mbp_error *err)
{
  struct mbp_str content = mbp_str(step->content), block;
  mag_autojson json = NULL;
  int r = mag_json_parse(content, &json, err);
  if (r < 0)
    return r;
  if (mag_json_type(json) != MBP_JSON_ARRAY || mag_json_count(json) > BLOCKS_MAX)
    return mag_error(err, MBP_E_PROTOCOL, "the model's answer is not a list of at most %d blocks", BLOCKS_MAX);
  size_t at = 0;
  for (const struct mbp_json *i = mag_json_first(json); i && r == 0; i = mag_json_next(i)) {
    if (!mag_json_step(content, &at, NULL, &block) || mag_json_str(mag_json_get(i, "type")).len == 0)
      return mag_error(err, MBP_E_PROTOCOL, "the model's answer has a block without a type");
    if (mbp_str_eq(mag_json_str(mag_json_get(i, "type")), "tool_use"))
      r = take_call(step, block, i, err);
  }
  return r;
}

/* What the model says is kept as it is but for secrets. Blocks that only the provider understands are signed: those
 * are left alone. NULL without memory. */
static char *without_secrets(struct mbp_str content)
{
  mag_autobuf clean = MAG_BUF_INIT;
  struct mbp_str block, type;
  size_t at = 0;
  if (!mag_redact_wanted(content) || mag_json_check(content, NULL) < 0)
    return mag_str_dup(content);
  mag_buf_add_char(&clean, '[');
  for (bool more = false; mag_json_step(content, &at, NULL, &block); more = true) {
    if (more)
      mag_buf_add_char(&clean, ',');
    if (mag_json_slice(block, "type", &type) && (mbp_str_eq(type, "\"text\"") || mbp_str_eq(type, "\"tool_use\"")))
      mag_redact_into(&clean, block);
    else
      mag_buf_add_str(&clean, block);
  }
  mag_buf_add_char(&clean, ']');
  return mag_buf_take(&clean);
}

static int take_response(void *ctx, const void *result, struct mbp_error *err)
{
  struct step *step = ctx;
  const struct mbp_llm_response *response = result;
  if (!response || !MBP_HAS(response, struct mbp_llm_response, usage))
    return mag_error(err, MBP_E_INTERNAL, "the model plugin ended without a response");
  step->stop = response->stop;
  step->content = without_secrets(response->content);
  step->stop_details = response->stop_details.len ? mag_redact_text(mag_str_dup(response->stop_details)) : NULL;
  step->model = mag_redact_text(mag_str_dup(response->model));
  step->upstream_id = mag_redact_text(mag_str_dup(response->request_id));
  if (!step->content || !step->model || !step->upstream_id)
    return mag_error_no_memory(err);
  if (response->usage)
    memcpy(&step->usage, response->usage, MAG_MIN((size_t) response->usage->size, sizeof(step->usage)));
  return read_blocks(step, err);
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

static int ask_once(struct step *step, const struct mbp_llm_request *request, struct mbp_error *err)
{
  struct mag_session *session = step->turn->session;
  if (mag_instance_unhealthy(session->llm)) { /* an earlier request never ended; that is no reason for this one */
    int failed = mag_engine_llm(session->engine, session->definition.model, &session->llm, &session->model, err);
    if (failed < 0)
      return failed;
  }
  struct mag_instance *llm = session->llm;
  const struct mbp_llm_ops *ops = mag_instance_ops(llm);
  struct mag_call_options options = {.parent = step->turn->call, .sink = show, .on_result = take_response, .ctx = step};
  int r = MAG_RUN(llm, &options, err, ops->generate(plugin, call, request, err));
  mag_session_preview_rest(step->turn->session, &step->preview);
  return r;
}

/* Waits unless cancelled. */
static void wait_before_retry(struct mag_turn *turn, int64_t delay_ms, const struct mbp_error *why)
{
  mag_autofree char *line = mag_sprintf("%s; trying again in %.1f s", why->message, (double) delay_ms / 1000);
  mag_session_preview(turn->session, MAG_PREVIEW_PROGRESS, "", mbp_str(""), mbp_str(line));
  struct pollfd cancelled = {.fd = mag_call_cancel_fd(turn->call), .events = POLLIN};
  (void) poll(&cancelled, 1, (int) delay_ms);
}

static int ask(struct step *step, const struct mbp_llm_request *request, struct mbp_error *err)
{
  struct mag_turn *turn = step->turn;
  for (unsigned attempt = 1;; attempt++) {
    step->asked = true;
    int r = ask_once(step, request, err);
    if (r == 0 || mag_call_cancelled(turn->call) || !mag_retry_wanted(attempt, RETRIES, err, step->shown))
      return r;
    step->asked = false;
    wait_before_retry(turn, mag_retry_delay_ms(attempt, err), err);
    if (mag_call_cancelled(turn->call))
      return mag_call_cancel_error(turn->call, err);
  }
}

/* About four bytes a token; counted only if the request's end is lost. */
static int64_t estimate_tokens(const struct mag_session *session)
{
  size_t bytes = session->definition.system ? strlen(session->definition.system) : 0;
  for (size_t i = 0; i < session->log.state.n_messages; i++)
    bytes += session->log.state.messages[i].len;
  for (size_t i = 0; i < session->toolbox.n; i++)
    bytes += strlen(session->toolbox.tools[i].schema) + strlen(session->toolbox.tools[i].description);
  return (int64_t) (bytes / 4);
}

static void add_request_start(struct step *step)
{
  struct mbp_writer *w = mag_batch_event(&step->turn->batch, MAG_EV_REQUEST_START, step->request_id);
  const struct mag_session *session = step->turn->session;
  struct mbp_usage estimate = {.input = estimate_tokens(session)};
  mag_writer_object(w, "x_magent");
  mag_writer_number(w, "estimated_input_tokens", estimate.input);
  if (session->price.currency[0])
    mag_writer_number(w, "estimated_cost_micros", mag_price_cost(&session->price, &estimate));
  if (step->turn->model_at) {
    mag_writer_string(w, "fallback", mbp_str(session->models[step->turn->model_at].reference));
    mag_writer_string(w, "because", mbp_str(step->turn->fell_back.message));
  }
  mag_writer_end(w);
  mag_batch_end(&step->turn->batch);
}

/* ---- Writing the answer down ---------------------------------------------------------------------------------- */

static const char *stop_name(uint32_t stop)
{
  static const char *const names[] = {"end_turn", "end_turn", "tool_use", "max_tokens",
                                      "refusal",  "pause",    "context",  "stop_sequence"};
  return stop < MAG_COUNT(names) ? names[stop] : names[0];
}

static void write_usage(struct mbp_writer *w, const struct mbp_usage *usage)
{
  mag_writer_object(w, "usage");
  mag_writer_number(w, "input", usage->input);
  mag_writer_number(w, "output", usage->output);
  mag_writer_number(w, "cache_read", usage->cache_read);
  mag_writer_number(w, "cache_write", usage->cache_write);
  mag_writer_end(w);
}

static void add_response(struct step *step)
{
  const struct mag_session *session = step->turn->session;
  struct mbp_writer *w = mag_batch_private(&step->turn->batch, MAG_REC_RESPONSE);
  mag_writer_string(w, "request", mbp_str(step->request_id));
  mag_writer_string(w, "provider", mbp_str(session->provider));
  mag_writer_string(w, "model", mbp_str(step->model[0] ? step->model : session->model));
  mag_writer_string(w, "upstream_request", mbp_str(step->upstream_id));
  mag_writer_string(w, "stop", mbp_str(stop_name(step->stop)));
  if (step->stop_details)
    mag_writer_raw(w, "stop_details", mbp_str(step->stop_details));
  mag_writer_raw(w, "content", mbp_str(step->content));
  mag_writer_array(w, "calls");
  for (size_t i = 0; i < step->n_calls; i++) {
    mag_writer_object(w, NULL);
    mag_writer_string(w, "event_id", mbp_str(step->calls[i].event_id));
    mag_writer_string(w, "id", mbp_str(step->calls[i].model_id));
    mag_writer_string(w, "name", mbp_str(step->calls[i].name));
    mag_writer_raw(w, "input", mbp_str(step->calls[i].input));
    mag_writer_string(w, "permission", mbp_str(mag_permission_name(step->calls[i].permission)));
    if (step->calls[i].custom)
      mag_writer_boolean(w, "custom", 1);
    if (step->calls[i].problem)
      mag_writer_string(w, "problem", mbp_str(step->calls[i].problem));
    mag_writer_end(w);
  }
  mag_writer_end(w);
  write_usage(w, &step->usage);
  mag_batch_end(&step->turn->batch);
}

static void add_tool_use(struct step *step, const struct mag_tool_call *call)
{
  const char *type = call->custom ? MAG_EV_CUSTOM_TOOL_USE : MAG_EV_TOOL_USE;
  struct mbp_writer *w = mag_batch_event(&step->turn->batch, type, call->event_id);
  mag_writer_string(w, "name", mbp_str(call->name));
  mag_writer_raw(w, "input", mbp_str(call->input));
  if (call->custom)
    mag_writer_object(w, "x_magent"); /* the wire knows no permission of custom tools */
  mag_writer_string(w, "evaluated_permission", mbp_str(mag_permission_name(call->permission)));
  if (call->custom)
    mag_writer_end(w);
  mag_batch_end(&step->turn->batch);
}

/* The events that the outside sees, one for each block in its order. */
static void add_block_events(struct step *step)
{
  struct mag_batch *batch = &step->turn->batch;
  struct mbp_str content = mbp_str(step->content), block;
  size_t at = 0, call = 0;
  bool thought = false;
  for (uint32_t index = 0; mag_json_step(content, &at, NULL, &block); index++) {
    mag_autojson json = NULL;
    if (mag_json_parse(block, &json, NULL) < 0)
      continue;
    struct mbp_str type = mag_json_str(mag_json_get(json, "type"));
    if (mbp_str_eq(type, "text") && mag_json_str(mag_json_get(json, "text")).len) {
      char own[MAG_ID_SIZE] = "";
      bool known = index < step->n_message_ids && step->message_ids[index][0];
      struct mbp_writer *w = mag_batch_event(batch, MAG_EV_MESSAGE, known ? step->message_ids[index] : own);
      mag_writer_array(w, "content");
      mag_write_text_block(w, mag_json_str(mag_json_get(json, "text")));
      mag_writer_end(w);
      mag_batch_end(batch);
    } else if ((mbp_str_eq(type, "thinking") || mbp_str_eq(type, "redacted_thinking")) && !thought) {
      thought = true; /* a sign of progress: the text itself stays private */
      mag_batch_event(batch, MAG_EV_THINKING, NULL);
      mag_batch_end(batch);
    } else if (mbp_str_eq(type, "tool_use") && call < step->n_calls) {
      add_tool_use(step, &step->calls[call++]);
    }
  }
}

static const char *error_type(const struct mbp_error *why)
{
  return why->code == MBP_E_OVERLOADED ? "model_overloaded_error"
         : why->code == MBP_E_RATE     ? "model_rate_limited_error"
         : why->code == MBP_E_BILLING  ? "billing_error"
                                       : "model_request_failed_error";
}

static void end_after(struct step *step)
{
  struct mag_turn *turn = step->turn;
  struct mbp_error *why = &turn->outcome->error;
  switch (step->stop) {
  case MBP_STOP_PAUSE:
    return; /* the model goes on */
  case MBP_STOP_REFUSAL:
    mag_error(why, MBP_E_PERMISSION, "the model refused to answer");
    mag_turn_end(turn, MAG_END_REFUSAL, "refusal", mbp_str(step->stop_details), NULL);
    return;
  case MBP_STOP_CONTEXT:
    mag_error(why, MBP_E_LIMIT, "the model's context window is full; start a new session");
    mag_batch_error(&turn->batch, error_type(why), why);
    mag_turn_end(turn, MAG_END_LIMIT, "retries_exhausted", mbp_str(""), "{\"cut\":\"context\"}");
    return;
  case MBP_STOP_MAX_TOKENS:
    mag_error(why, MBP_E_LIMIT, "the answer was cut off at the model's max_tokens");
    mag_turn_end(turn, MAG_END_LIMIT, "end_turn", mbp_str(""), "{\"cut\":\"max_tokens\"}");
    return;
  default:
    mag_turn_end(turn, MAG_END_TURN, "end_turn", mbp_str(""), NULL);
  }
}

static int finish(struct step *step, struct mbp_error *err)
{
  struct mag_turn *turn = step->turn;
  if (step->stop == MBP_STOP_REFUSAL || step->stop == MBP_STOP_CONTEXT)
    drop_calls(step); /* such an answer is not acted on */
  add_response(step);
  add_block_events(step);
  mag_batch_request_end(&turn->batch, mbp_str(step->request_id), /* is_error= */ false, &step->usage,
                        &turn->session->price);
  if (step->n_calls)
    mag_turn_mark_started(turn, step->calls, mag_turn_group(turn->session, step->calls, step->n_calls, 0));
  else
    end_after(step);
  return turn->ended ? 0 : mag_turn_commit(turn, err);
}

/* ---- When it fails -------------------------------------------------------------------------------------------- */

/* A stream that ended early leaves only this span: nothing of it is executed or projected. */
/* Would another model do better, and has nobody seen a part of this one's answer? */
static bool can_fall_back(const struct step *step, const struct mbp_error *why)
{
  static const int codes[] = {MBP_E_OVERLOADED, MBP_E_RATE,     MBP_E_UNAVAILABLE,
                              MBP_E_NETWORK,    MBP_E_UPSTREAM, MBP_E_TIMEOUT};
  bool helps = false;
  for (size_t i = 0; i < MAG_COUNT(codes); i++)
    helps |= why->code == codes[i];
  return helps && !step->shown && step->turn->model_at + 1 < step->turn->session->n_models;
}

/* The model still owes its answer: the turn's loop asks again, and the next one is asked. */
static void fall_back(struct mag_turn *turn, const struct mbp_error *why)
{
  struct mag_session *session = turn->session;
  mag_models_use(session, ++turn->model_at);
  turn->fell_back = *why;
  mag_autofree char *line =
      mag_sprintf("%s; %s answers instead", why->message, session->models[turn->model_at].reference);
  mag_session_preview(session, MAG_PREVIEW_PROGRESS, "", mbp_str(""), mbp_str(line));
}

/* Has the service perhaps worked for us, and will count it? An answer that says no tells that it has not; a connection
 * that fails mostly does so before anything was sent. */
static bool end_is_lost(const struct step *step, const struct mbp_error *why)
{
  bool cut = mag_call_cancelled(step->turn->call) || why->code == MBP_E_TIMEOUT || why->code == MBP_E_LOST;
  return step->shown || (step->asked && cut);
}

static void give_up(struct step *step, const struct mbp_error *why)
{
  struct mag_turn *turn = step->turn;
  struct mbp_usage estimate = {.size = MBP_SIZE(struct mbp_usage, cache_write)};
  if (end_is_lost(step, why))
    estimate.input = turn->session->log.state.request_estimate;
  mag_batch_request_end(&turn->batch, mbp_str(step->request_id), /* is_error= */ true, &estimate,
                        &turn->session->price);
  if (mag_call_cancelled(turn->call))
    return; /* the turn's loop says why */
  if (can_fall_back(step, why)) {
    fall_back(turn, why);
    return;
  }
  mag_turn_fail(turn, error_type(why), why);
}

int mag_turn_step(struct mag_turn *turn, struct mbp_error *err)
{
  struct mag_session *session = turn->session;
  struct step step = {.turn = turn, .usage = {.size = MBP_SIZE(struct mbp_usage, cache_write)}};
  struct mag_projection projection = {0};
  struct mbp_error why = MAG_ERROR_INIT;
  add_request_start(&step);
  int r = mag_turn_commit(turn, err); /* durable before the model is asked */
  if (r == 0)
    r = mag_project(&session->log.state, session->provider, &projection, err);
  if (r < 0)
    return r;
  struct mbp_llm_request request = {.size = MBP_SIZE(struct mbp_llm_request, params),
                                    .model = mbp_str(session->model),
                                    .system = mbp_str(session->definition.system),
                                    .messages = projection.messages,
                                    .n_messages = projection.n,
                                    .tools = session->toolbox.offer,
                                    .n_tools = session->toolbox.n,
                                    .params = mbp_str(session->definition.model_params)};
  if (ask(&step, &request, &why) == 0)
    r = finish(&step, err);
  else
    give_up(&step, &why);
  mag_projection_done(&projection);
  step_done(&step);
  return r;
}
