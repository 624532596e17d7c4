/* The tool calls of the last response, until the last one has its result. */
#include "agent/state_parts.h"

#include "agent/project.h"

#include <stdlib.h>

static void free_call(struct mag_tool_call *call)
{
  free(call->event_id);
  free(call->model_id);
  free(call->name);
  free(call->input);
  free(call->problem);
  free(call->deny_message);
  free(call->result);
}

void mag_state_clear_calls(struct mag_state *state)
{
  for (size_t i = 0; i < state->n_calls; i++)
    free_call(&state->calls[i]);
  free(state->calls);
  state->calls = NULL;
  state->n_calls = state->n_open = 0;
}

/* calls: [{"event_id","id","name","input","permission","custom","problem"}] */
int mag_fold_calls(struct fold *fold)
{
  struct mag_state *state = fold->state;
  const struct mbp_json *list = mag_fold_tree(fold, "calls");
  size_t n = mag_json_count(list);
  mag_state_clear_calls(state);
  if (n == 0)
    return 0;
  state->calls = calloc(n, sizeof(*state->calls));
  if (!state->calls)
    return mag_error_no_memory(fold->err);
  struct mbp_str array = mag_fold_raw(fold, "calls", '['), text, input;
  size_t at = 0;
  for (const struct mbp_json *item = mag_json_first(list); item; item = mag_json_next(item)) {
    struct mag_tool_call *call = &state->calls[state->n_calls];
    if (!mag_json_step(array, &at, NULL, &text) || !mag_json_slice(text, "input", &input) || input.ptr[0] != '{')
      return mag_fold_corrupt(fold, "a call without input");
    state->n_calls++;
    state->n_open++;
    call->event_id = mag_str_dup(mag_json_str(mag_json_get(item, "event_id")));
    call->model_id = mag_str_dup(mag_json_str(mag_json_get(item, "id")));
    call->name = mag_str_dup(mag_json_str(mag_json_get(item, "name")));
    call->input = mag_str_dup(input);
    if (!call->event_id || !call->model_id || !call->name || !call->input)
      return mag_error_no_memory(fold->err);
    struct mbp_str permission = mag_json_str(mag_json_get(item, "permission"));
    call->permission = mbp_str_eq(permission, "allow") ? MAG_PERMISSION_ALLOW
                       : mbp_str_eq(permission, "ask") ? MAG_PERMISSION_ASK
                                                       : MAG_PERMISSION_DENY;
    call->custom = mag_json_truth(mag_json_get(item, "custom"), 0);
    int r = mag_fold_text(fold, &call->problem, mag_json_str(mag_json_get(item, "problem")));
    if (r < 0)
      return r;
  }
  state->tool_calls += (int64_t) n;
  return 0;
}

int mag_fold_started(struct fold *fold)
{
  struct mag_tool_call *call = mag_state_call(fold->state, mag_fold_str(fold, "event_id"));
  if (!call)
    return mag_fold_corrupt(fold, "no such call");
  fold->state->tool_runs += !call->started;
  call->started = true;
  call->repeatable = mag_json_truth(mag_fold_tree(fold, "repeatable"), 0);
  return 0;
}

/* For good: from now on calls of the tool are not asked about. */
static int grant(struct fold *fold, const char *tool)
{
  struct mag_state *state = fold->state;
  if (mag_state_granted(state, tool))
    return 0;
  char **granted = realloc(state->granted, (state->n_granted + 1) * sizeof(*granted));
  if (!granted)
    return mag_error_no_memory(fold->err);
  state->granted = granted;
  granted[state->n_granted] = mag_str_dup(mbp_str(tool));
  if (!granted[state->n_granted])
    return mag_error_no_memory(fold->err);
  state->n_granted++;
  return 0;
}

int mag_fold_confirmation(struct fold *fold, const struct mag_inbox_item *item)
{
  mag_autojson json = NULL;
  int r = mag_json_parse(mbp_str(item->payload), &json, fold->err);
  if (r < 0)
    return r;
  struct mag_tool_call *call = mag_state_call(fold->state, mag_json_str(mag_json_get(json, "tool_use_id")));
  if (!call || call->answered || call->result)
    return 0; /* too late, or for something else: harmless */
  call->answered = true;
  call->allowed = mbp_str_eq(mag_json_str(mag_json_get(json, "result")), "allow");
  if (call->allowed && mag_json_truth(mag_json_get(mag_json_get(json, "x_magent"), "always"), 0))
    return grant(fold, call->name);
  return mag_fold_text(fold, &call->deny_message, mag_json_str(mag_json_get(json, "deny_message")));
}

/* The call has its result. After the last one, all of them become one message, in call order. */
static int settle(struct fold *fold, struct mag_tool_call *call, struct mbp_str content,
                  const struct mbp_json *is_error, const struct mbp_json *x_magent)
{
  struct mag_state *state = fold->state;
  call->result = mag_str_dup(content.len ? content : mbp_str("[]"));
  if (!call->result)
    return mag_error_no_memory(fold->err);
  call->is_error = mag_json_truth(is_error, 0);
  if (mag_json_truth(mag_json_get(x_magent, "sandbox_lost"), 0))
    state->sandbox_lost = state->workspace_lost = state->processes_lost = false; /* this result says so */
  if (mag_json_truth(mag_json_get(x_magent, "processes_lost"), 0))
    state->processes_lost = false;
  state->tools_refused |= mag_json_str(mag_json_get(x_magent, "budget")).len > 0;
  if (--state->n_open)
    return 0;
  mag_autofree char *message = mag_project_results(state);
  if (!message)
    return mag_error_no_memory(fold->err);
  state->last_stop = 0;
  return mag_fold_message(fold, MBP_ROLE_USER, mbp_str(message), mbp_str(""), false);
}

int mag_fold_custom_result(struct fold *fold, const struct mag_inbox_item *item)
{
  mag_autojson json = NULL;
  struct mbp_str content = {NULL, 0};
  int r = mag_json_parse(mbp_str(item->payload), &json, fold->err);
  if (r < 0)
    return r;
  struct mag_tool_call *call = mag_state_call(fold->state, mag_json_str(mag_json_get(json, "custom_tool_use_id")));
  if (!call || !call->custom || call->result)
    return 0; /* too late, or for something else: harmless */
  if (mag_json_slice(mbp_str(item->payload), "content", &content) && !mag_state_is_result(content))
    return 0;
  return settle(fold, call, content, mag_json_get(json, "is_error"), mag_json_get(json, "x_magent"));
}

int mag_fold_tool_result(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mag_tool_call *call = mag_state_call(state, mag_fold_str(fold, "tool_use_id"));
  struct mbp_str content = mag_fold_raw(fold, "content", '[');
  if (!call)
    return mag_fold_corrupt(fold, "no such call");
  if (call->result)
    return mag_fold_corrupt(fold, "a second result");
  return settle(fold, call, content, mag_fold_tree(fold, "is_error"), mag_fold_tree(fold, "x_magent"));
}

struct mag_tool_call *mag_state_call(struct mag_state *state, struct mbp_str event_id)
{
  for (size_t i = 0; i < state->n_calls; i++)
    if (mbp_str_eq(event_id, state->calls[i].event_id))
      return &state->calls[i];
  return NULL;
}

bool mag_state_granted(const struct mag_state *state, const char *tool)
{
  for (size_t i = 0; i < state->n_granted; i++)
    if (strcmp(state->granted[i], tool) == 0)
      return true;
  return false;
}
