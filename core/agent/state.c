#include "agent/state.h"

#include "agent/project.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json_members.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void mag_state_init(struct mag_state *state)
{
  memset(state, 0, sizeof(*state));
  state->usage.size = MBP_SIZE(struct mbp_usage, cache_write);
}

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

static void clear_calls(struct mag_state *state)
{
  for (size_t i = 0; i < state->n_calls; i++)
    free_call(&state->calls[i]);
  free(state->calls);
  state->calls = NULL;
  state->n_calls = state->n_open = 0;
}

static void free_inbox_item(struct mag_inbox_item *item)
{
  free(item->id);
  free(item->type);
  free(item->payload);
}

void mag_state_done(struct mag_state *state)
{
  clear_calls(state);
  for (size_t i = 0; i < state->n_messages; i++) {
    free(state->messages[i].content);
    free(state->messages[i].provider);
  }
  for (size_t i = 0; i < state->n_inbox; i++)
    free_inbox_item(&state->inbox[i]);
  for (size_t i = 0; i < state->n_granted; i++)
    free(state->granted[i]);
  free(state->granted);
  free(state->messages);
  free(state->inbox);
  free(state->id);
  free(state->title);
  free(state->agent);
  free(state->environment);
  free(state->stop_reason);
  free(state->request);
  free(state->stop_details);
  free(state->sandbox_key);
  free(state->sandbox_id);
  free(state->sandbox_provider);
  free(state->fork_of);
  free(state->error);
  free(state->currency);
  mag_state_init(state);
}

/* One record on its way through the fold. */
struct fold {
  struct mag_state *state;
  const struct mbp_record *record;
  struct mag_json_members members; /* of its payload */
  struct mbp_error *err;
};

static int corrupt(struct fold *fold, const char *what)
{
  return mag_error(fold->err, MBP_E_CORRUPT, "record %llu (%.*s): %s", (unsigned long long) fold->record->seq,
                   (int) MAG_MIN(fold->record->type.len, (size_t) 60), fold->record->type.ptr, what);
}

static int set_text(struct fold *fold, char **place, struct mbp_str text)
{
  char *copy = text.len ? mag_str_dup(text) : NULL;
  if (text.len && !copy)
    return mag_error_no_memory(fold->err);
  free(*place);
  *place = copy;
  return 0;
}

static struct mbp_str get_str(struct fold *fold, const char *key)
{
  return mag_json_member_str(&fold->members, key);
}

/* For small members only: a resume reads every record, and most bytes of a log are contents that nobody takes apart. */
static const struct mbp_json *get_tree(struct fold *fold, const char *key)
{
  return mag_json_member_tree(&fold->members, key);
}

/* The text of an array or object; empty if it is not there or something else. `opener`: '[' or '{'. */
static struct mbp_str get_raw(const struct fold *fold, const char *key, char opener)
{
  struct mbp_str raw = mag_json_member_raw(&fold->members, key);
  return raw.len && raw.ptr[0] == opener ? raw : mbp_str("");
}

static int add_message(struct fold *fold, uint32_t role, struct mbp_str content, struct mbp_str provider, bool left_out)
{
  struct mag_state *state = fold->state;
  if (state->n_messages == state->cap_messages) {
    size_t cap = state->cap_messages ? 2 * state->cap_messages : 16;
    struct mag_message *messages = realloc(state->messages, cap * sizeof(*messages));
    if (!messages)
      return mag_error_no_memory(fold->err);
    state->messages = messages;
    state->cap_messages = cap;
  }
  struct mag_message *message = &state->messages[state->n_messages];
  *message = (struct mag_message){.role = role, .left_out = left_out, .len = content.len};
  message->content = mag_str_dup(content);
  message->provider = provider.len ? mag_str_dup(provider) : NULL;
  if (!message->content || (provider.len && !message->provider)) {
    free(message->content);
    return mag_error_no_memory(fold->err);
  }
  state->n_messages++;
  return 0;
}

/* ---- Private records ------------------------------------------------------------------------------------------ */

static int fold_session(struct fold *fold)
{
  struct mag_state *state = fold->state;
  if (state->id)
    return corrupt(fold, "a second session record");
  if (mag_json_num(get_tree(fold, "version"), 0) != 1) {
    state->read_only = true;
    return 0;
  }
  struct mbp_str agent = get_raw(fold, "agent", '{');
  if (get_str(fold, "id").len == 0 || agent.len == 0)
    return corrupt(fold, "id or agent is missing");
  state->created_ms = fold->record->time_ms;
  int r = mag_budget_read(&state->budget, get_tree(fold, "budget"), fold->err);
  if (r == 0)
    r = set_text(fold, &state->id, get_str(fold, "id"));
  if (r == 0)
    r = set_text(fold, &state->title, get_str(fold, "title"));
  if (r == 0)
    r = set_text(fold, &state->agent, agent);
  if (r == 0)
    r = set_text(fold, &state->environment, get_raw(fold, "environment", '{'));
  return r;
}

/* From here on the session has this agent and this environment. */
static int fold_agent(struct fold *fold)
{
  struct mbp_str agent = get_raw(fold, "agent", '{'), environment = get_raw(fold, "environment", '{');
  if (agent.len == 0 || environment.len == 0)
    return corrupt(fold, "agent or environment is missing");
  int r = set_text(fold, &fold->state->agent, agent);
  return r < 0 ? r : set_text(fold, &fold->state->environment, environment);
}

/* From here on the log is another session's, and that one has used nothing yet. */
static int fold_fork(struct fold *fold)
{
  struct mag_state *state = fold->state;
  if (get_str(fold, "id").len == 0 || get_str(fold, "from").len == 0)
    return corrupt(fold, "id or from is missing");
  int r = set_text(fold, &state->id, get_str(fold, "id"));
  if (r == 0)
    r = set_text(fold, &state->fork_of, get_str(fold, "from"));
  if (r == 0)
    r = set_text(fold, &state->title, get_str(fold, "title"));
  if (r == 0)
    r = set_text(fold, &state->sandbox_id, mbp_str(""));
  state->created_ms = fold->record->time_ms;
  state->usage = (struct mbp_usage){.size = state->usage.size};
  state->turn_begin.usage = state->usage;
  state->turn_begin.cost_micros = 0;
  /* An open request was made for the other one, which counts it; a turn that is open goes on here. */
  state->request_estimate = state->request_estimate_cost = 0;
  state->turns = state->status == MAG_STATUS_RUNNING;
  state->steps = state->turn_steps = state->tool_calls = state->tool_runs = 0;
  state->cost_micros = state->active_ms = state->archived_ms = 0;
  state->cost_unknown = state->tools_refused = false;
  state->workspace_lost = state->sandbox_key && mbp_str_eq(get_str(fold, "workspace"), "empty");
  state->sandbox_lost |= state->sandbox_there || state->workspace_lost;
  state->sandbox_there = false;
  return r;
}

/* A list of blocks of the first n kinds; *ret_n: how many. */
static bool is_list_of(struct mbp_str content, size_t n_kinds, size_t *ret_n)
{
  static const char *const kinds[] = {"\"text\"", "\"image\"", "\"document\"", "\"search_result\""};
  struct mbp_str block, type;
  size_t at = 0, n = 0;
  if (content.len == 0 || content.ptr[0] != '[')
    return false;
  for (; mag_json_step(content, &at, NULL, &block); n++) {
    bool known = false;
    if (block.ptr[0] != '{' || !mag_json_slice(block, "type", &type))
      return false;
    for (size_t i = 0; i < n_kinds; i++)
      known |= mbp_str_eq(type, kinds[i]);
    if (!known)
      return false;
  }
  *ret_n = n;
  return true;
}

bool mag_state_is_message(struct mbp_str payload)
{
  struct mbp_str content;
  size_t n;
  return mag_json_slice(payload, "content", &content) && is_list_of(content, 3, &n) && n > 0;
}

bool mag_state_is_content(struct mbp_str content)
{
  size_t n;
  return is_list_of(content, 3, &n) && n > 0;
}

bool mag_state_is_result(struct mbp_str content)
{
  size_t n;
  return is_list_of(content, 4, &n);
}

static int process_message(struct fold *fold, const struct mag_inbox_item *item)
{
  struct mbp_str content;
  if (fold->state->n_open)
    return corrupt(fold, "a message was processed while tool calls are open");
  /* It came from outside: what no model could be sent is processed as nothing, or it would stop the session for good.
   * */
  if (!mag_state_is_message(mbp_str(item->payload)) || !mag_json_slice(mbp_str(item->payload), "content", &content))
    return 0;
  fold->state->last_stop = 0;
  fold->state->turns += fold->state->turn_uncounted;
  fold->state->turn_uncounted = false;
  return add_message(fold, MBP_ROLE_USER, content, mbp_str(""), /* left_out= */ false);
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

static int process_confirmation(struct fold *fold, const struct mag_inbox_item *item)
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
  return set_text(fold, &call->deny_message, mag_json_str(mag_json_get(json, "deny_message")));
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
  return add_message(fold, MBP_ROLE_USER, mbp_str(message), mbp_str(""), false);
}

static int process_custom_result(struct fold *fold, const struct mag_inbox_item *item)
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

static int fold_processed(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mbp_str id = get_str(fold, "event_id");
  size_t i = 0;
  while (i < state->n_inbox && !mbp_str_eq(id, state->inbox[i].id))
    i++;
  if (i == state->n_inbox)
    return corrupt(fold, "the processed event is not waiting");
  struct mag_inbox_item item = state->inbox[i];
  memmove(&state->inbox[i], &state->inbox[i + 1], (state->n_inbox - i - 1) * sizeof(item));
  state->n_inbox--;
  int r = 0;
  if (strcmp(item.type, MAG_EV_USER_MESSAGE) == 0)
    r = process_message(fold, &item);
  else if (strcmp(item.type, MAG_EV_USER_CONFIRMATION) == 0)
    r = process_confirmation(fold, &item);
  else if (strcmp(item.type, MAG_EV_USER_CUSTOM_RESULT) == 0)
    r = process_custom_result(fold, &item);
  free_inbox_item(&item);
  return r;
}

static uint32_t stop_of(struct mbp_str name)
{
  static const char *const names[] = {"",        "end_turn", "tool_use", "max_tokens",
                                      "refusal", "pause",    "context",  "stop_sequence"};
  for (uint32_t i = 1; i < MAG_COUNT(names); i++)
    if (mbp_str_eq(name, names[i]))
      return i;
  return 0;
}

/* calls: [{"event_id","id","name","input","permission","custom","problem"}] */
static int fold_calls(struct fold *fold)
{
  struct mag_state *state = fold->state;
  const struct mbp_json *list = get_tree(fold, "calls");
  size_t n = mag_json_count(list);
  clear_calls(state);
  if (n == 0)
    return 0;
  state->calls = calloc(n, sizeof(*state->calls));
  if (!state->calls)
    return mag_error_no_memory(fold->err);
  struct mbp_str array = get_raw(fold, "calls", '['), text, input;
  size_t at = 0;
  for (const struct mbp_json *item = mag_json_first(list); item; item = mag_json_next(item)) {
    struct mag_tool_call *call = &state->calls[state->n_calls];
    if (!mag_json_step(array, &at, NULL, &text) || !mag_json_slice(text, "input", &input) || input.ptr[0] != '{')
      return corrupt(fold, "a call without input");
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
    int r = set_text(fold, &call->problem, mag_json_str(mag_json_get(item, "problem")));
    if (r < 0)
      return r;
  }
  state->tool_calls += (int64_t) n;
  return 0;
}

static void add_usage(struct mag_state *state, const struct mbp_json *usage)
{
  state->usage.input += mag_json_num(mag_json_get(usage, "input_tokens"), 0);
  state->usage.output += mag_json_num(mag_json_get(usage, "output_tokens"), 0);
  state->usage.cache_read += mag_json_num(mag_json_get(usage, "cache_read_input_tokens"), 0);
  state->usage.cache_write += mag_json_num(mag_json_get(usage, "cache_creation_input_tokens"), 0);
}

/* Not without any block, and not with a call that will never have a result. */
static bool can_be_sent(struct mbp_str content, size_t n_calls)
{
  struct mbp_str block, type;
  size_t at = 0, blocks = 0, uses = 0;
  for (; mag_json_step(content, &at, NULL, &block); blocks++)
    uses += mag_json_slice(block, "type", &type) && mbp_str_eq(type, "\"tool_use\"");
  return blocks && uses == n_calls;
}

static int fold_response(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mbp_str content = get_raw(fold, "content", '[');
  if (state->n_open)
    return corrupt(fold, "a response while tool calls are open");
  if (content.len == 0)
    return corrupt(fold, "content is missing");
  state->last_stop = stop_of(get_str(fold, "stop"));
  bool left_out =
      state->last_stop == MBP_STOP_REFUSAL || !can_be_sent(content, mag_json_count(get_tree(fold, "calls")));
  int r = add_message(fold, MBP_ROLE_ASSISTANT, content, get_str(fold, "provider"), left_out);
  if (r == 0)
    r = set_text(fold, &state->stop_details, get_raw(fold, "stop_details", '{'));
  return r < 0 ? r : fold_calls(fold);
}

static int fold_started(struct fold *fold)
{
  struct mag_tool_call *call = mag_state_call(fold->state, get_str(fold, "event_id"));
  if (!call)
    return corrupt(fold, "no such call");
  fold->state->tool_runs += !call->started;
  call->started = true;
  call->repeatable = mag_json_truth(get_tree(fold, "repeatable"), 0);
  return 0;
}

static int fold_sandbox(struct fold *fold)
{
  struct mag_state *state = fold->state;
  int r = set_text(fold, &state->sandbox_key, get_str(fold, "key"));
  if (r == 0)
    r = set_text(fold, &state->sandbox_id, get_str(fold, "id"));
  if (r == 0)
    r = set_text(fold, &state->sandbox_provider, get_str(fold, "provider"));
  bool gone = mbp_str_eq(get_str(fold, "state"), "gone");
  state->sandbox_lost |= gone && state->sandbox_there && get_str(fold, "id").len; /* else nobody has used it */
  state->sandbox_there = !gone;
  state->processes_lost |= mbp_str_eq(get_str(fold, "state"), "attached");
  return r;
}

static int fold_nothing(struct fold *fold)
{
  (void) fold;
  return 0;
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static int fold_user_event(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mag_inbox_item *inbox = realloc(state->inbox, (state->n_inbox + 1) * sizeof(*inbox));
  if (!inbox)
    return mag_error_no_memory(fold->err);
  state->inbox = inbox;
  struct mag_inbox_item *item = &inbox[state->n_inbox];
  item->id = mag_str_dup(get_str(fold, "id"));
  item->type = mag_str_dup(fold->record->type);
  item->payload = mag_str_dup(fold->record->payload);
  state->n_inbox++;
  return item->id && item->type && item->payload ? 0 : mag_error_no_memory(fold->err);
}

static int fold_updated(struct fold *fold)
{
  const struct mbp_json *title = get_tree(fold, "title");
  const struct mbp_json *budget = mag_json_get(get_tree(fold, "x_magent"), "budget");
  (void) mag_budget_read(&fold->state->budget, budget, NULL); /* from outside: what is no budget changes none */
  return title ? set_text(fold, &fold->state->title, mag_json_str(title)) : 0;
}

static int fold_running(struct fold *fold)
{
  int r = set_text(fold, &fold->state->error, mbp_str(""));
  fold->state->interrupted = false;
  if (fold->state->status != MAG_STATUS_RUNNING) {
    fold->state->turn_uncounted = true; /* until a message comes: without one the last turn goes on */
    fold->state->turn_begin.usage = fold->state->usage;
    fold->state->turn_begin.cost_micros = fold->state->cost_micros;
    fold->state->turn_steps = 0;
  }
  fold->state->status = MAG_STATUS_RUNNING;
  return r;
}

static int set_error(struct fold *fold, struct mbp_str type, struct mbp_str message)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", type);
  mag_writer_string(w, "message", message);
  mag_writer_end(w);
  return mag_writer_text(w, &text) < 0 ? mag_error_no_memory(fold->err) : set_text(fold, &fold->state->error, text);
}

static int fold_error(struct fold *fold)
{
  const struct mbp_json *error = get_tree(fold, "error");
  return set_error(fold, mag_json_str(mag_json_get(error, "type")), mag_json_str(mag_json_get(error, "message")));
}

static int fold_idle(struct fold *fold)
{
  const struct mbp_json *x_magent = get_tree(fold, "x_magent");
  struct mbp_str message = mag_json_str(mag_json_get(x_magent, "message"));
  fold->state->status = MAG_STATUS_IDLE;
  fold->state->interrupted = mag_json_truth(mag_json_get(x_magent, "interrupted"), 0);
  if (message.len) {
    int r = set_error(fold, mag_json_str(mag_json_get(get_tree(fold, "stop_reason"), "type")), message);
    if (r < 0)
      return r;
  }
  return set_text(fold, &fold->state->stop_reason,
                  mag_json_str(mag_json_get(get_tree(fold, "stop_reason"), "type")));
}

static int fold_terminated(struct fold *fold)
{
  if (!fold->state->archived_ms)
    fold->state->archived_ms = fold->record->time_ms;
  return 0;
}

static int fold_request_start(struct fold *fold)
{
  struct mag_state *state = fold->state;
  state->steps++;
  state->turn_steps++;
  state->turn_uncounted = false; /* what comes from here on steers */
  const struct mbp_json *x_magent = get_tree(fold, "x_magent");
  state->request_estimate = mag_json_num(mag_json_get(x_magent, "estimated_input_tokens"), 0);
  state->request_estimate_cost = mag_json_num(mag_json_get(x_magent, "estimated_cost_micros"), 0);
  return set_text(fold, &state->request, get_str(fold, "id"));
}

static int64_t input_of(const struct mbp_json *usage)
{
  return mag_json_num(mag_json_get(usage, "input_tokens"), 0) +
         mag_json_num(mag_json_get(usage, "cache_read_input_tokens"), 0) +
         mag_json_num(mag_json_get(usage, "cache_creation_input_tokens"), 0);
}

/* In one currency, and known: else the sum is not. */
static int add_cost(struct fold *fold, int64_t tokens)
{
  struct mag_state *state = fold->state;
  const struct mbp_json *x_magent = get_tree(fold, "x_magent");
  int64_t cost = mag_json_num(mag_json_get(x_magent, "cost_micros"), -1);
  struct mbp_str currency = mag_json_str(mag_json_get(x_magent, "currency"));
  if (cost < 0 || (cost > 0 && state->currency && !mbp_str_eq(currency, state->currency)))
    state->cost_unknown |= tokens > 0;
  else
    state->cost_micros += cost;
  return currency.len ? set_text(fold, &state->currency, currency) : 0;
}

static int fold_request_end(struct fold *fold)
{
  const struct mbp_json *usage = get_tree(fold, "model_usage");
  add_usage(fold->state, usage);
  if (!mag_json_truth(get_tree(fold, "is_error"), 0))
    fold->state->last_input = input_of(usage);
  int r = add_cost(fold, input_of(usage) + mag_json_num(mag_json_get(usage, "output_tokens"), 0));
  return r < 0 ? r : set_text(fold, &fold->state->request, mbp_str(""));
}

static int fold_tool_result(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mag_tool_call *call = mag_state_call(state, get_str(fold, "tool_use_id"));
  struct mbp_str content = get_raw(fold, "content", '[');
  if (!call)
    return corrupt(fold, "no such call");
  if (call->result)
    return corrupt(fold, "a second result");
  return settle(fold, call, content, get_tree(fold, "is_error"), get_tree(fold, "x_magent"));
}

/* ---- Dispatch ------------------------------------------------------------------------------------------------- */

struct rule {
  const char *type;
  int (*apply)(struct fold *fold);
};

static const struct rule private_rules[] = {
    {MAG_REC_SESSION, fold_session},    {MAG_REC_PROCESSED, fold_processed},
    {MAG_REC_RESPONSE, fold_response},  {MAG_REC_TOOL_STARTED, fold_started},
    {MAG_REC_SANDBOX, fold_sandbox},    {MAG_REC_LIMIT, fold_nothing},
    {MAG_REC_CHECKPOINT, fold_nothing}, {MAG_REC_FORK, fold_fork},
    {MAG_REC_AGENT, fold_agent},        {NULL, NULL},
};

static const struct rule event_rules[] = {
    {MAG_EV_USER_MESSAGE, fold_user_event},
    {MAG_EV_USER_INTERRUPT, fold_user_event},
    {MAG_EV_USER_CONFIRMATION, fold_user_event},
    {MAG_EV_USER_CUSTOM_RESULT, fold_user_event},
    {MAG_EV_RUNNING, fold_running},
    {MAG_EV_IDLE, fold_idle},
    {MAG_EV_TERMINATED, fold_terminated},
    {MAG_EV_UPDATED, fold_updated},
    {MAG_EV_ERROR, fold_error},
    {MAG_EV_REQUEST_START, fold_request_start},
    {MAG_EV_REQUEST_END, fold_request_end},
    {MAG_EV_TOOL_RESULT, fold_tool_result},
    {NULL, NULL},
};

static const struct rule *rule_for(const struct rule *rules, struct mbp_str type)
{
  while (rules->type && !mbp_str_eq(type, rules->type))
    rules++;
  return rules->type ? rules : NULL;
}

/* Time passes while a turn runs, from one record of its runner to the next. */
static void count_time(struct mag_state *state, uint64_t epoch, int64_t time_ms)
{
  if (epoch == 0)
    return;
  if (state->status == MAG_STATUS_RUNNING && epoch == state->runner_epoch && time_ms > state->runner_ms)
    state->active_ms += time_ms - state->runner_ms;
  state->runner_epoch = epoch;
  state->runner_ms = time_ms;
}

int mag_state_fold(struct mag_state *state, const struct mbp_record *record, struct mbp_error *err)
{
  struct fold fold = {.state = state, .record = record, .err = err};
  bool event = record->klass == MBP_RECORD_EVENT;
  const struct rule *rule = rule_for(event ? event_rules : private_rules, record->type);
  if (state->last_seq && record->seq != state->last_seq + 1)
    return corrupt(&fold, "a record is missing before it");
  if (state->last_seq == 0 && !mbp_str_eq(record->type, MAG_REC_SESSION))
    return corrupt(&fold, "the log does not begin with a session record");
  state->last_seq = record->seq;
  state->updated_ms = record->time_ms;
  count_time(state, record->epoch, record->time_ms);
  if (!event && (record->klass != MBP_RECORD_PRIVATE || !rule))
    state->read_only = true;
  if (!rule || state->read_only || record->klass > MBP_RECORD_PRIVATE)
    return 0;
  int r = mag_json_members_read(&fold.members, record->payload, err);
  r = r < 0 ? corrupt(&fold, "its payload is not a JSON object") : rule->apply(&fold);
  mag_json_members_done(&fold.members);
  return r;
}

/* ---- Looking ahead -------------------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
  return text ? mag_str_dup(mbp_str(text)) : NULL;
}

bool mag_state_peek(const struct mag_state *state, const struct mag_batch *batch, struct mag_state *ret_after)
{
  static int (*const scalar[])(struct fold * fold) = {fold_running,     fold_idle,       fold_request_start,
                                                     fold_request_end, fold_terminated, fold_updated, fold_error};
  bool status = false;
  int64_t now = mag_clock_wall_ms();
  *ret_after = *state;
  /* The texts that these rules set are the scratch state's own. */
  ret_after->request = ret_after->stop_reason = NULL;
  ret_after->title = copy_text(state->title);
  ret_after->error = copy_text(state->error);
  ret_after->currency = copy_text(state->currency);
  count_time(ret_after, state->runner_epoch, now);
  for (size_t i = 0; i < batch->n; i++) {
    const struct rule *rule = rule_for(event_rules, batch->records[i].type);
    struct mbp_record record = batch->records[i];
    record.time_ms = now;
    struct fold fold = {.state = ret_after, .record = &record};
    for (size_t j = 0; rule && j < MAG_COUNT(scalar); j++)
      if (rule->apply == scalar[j] && mag_json_members_read(&fold.members, batch->records[i].payload, NULL) == 0) {
        (void) rule->apply(&fold);
        status |= rule->apply == fold_running || rule->apply == fold_idle || rule->apply == fold_terminated ||
                  rule->apply == fold_updated;
      }
    mag_json_members_done(&fold.members);
  }
  if (!ret_after->stop_reason)
    ret_after->stop_reason = copy_text(state->stop_reason);
  ret_after->updated_ms = now;
  if (!status)
    mag_state_peek_done(ret_after);
  return status;
}

void mag_state_peek_done(struct mag_state *after)
{
  free(after->request);
  free(after->stop_reason);
  free(after->title);
  free(after->error);
  free(after->currency);
  after->request = after->stop_reason = after->title = after->error = after->currency = NULL;
}

/* ---- Questions ------------------------------------------------------------------------------------------------ */

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

bool mag_state_owes(const struct mag_state *state)
{
  if (state->n_messages == 0)
    return false;
  const struct mag_message *last = &state->messages[state->n_messages - 1];
  return last->role == MBP_ROLE_USER ? !last->left_out : state->last_stop == MBP_STOP_PAUSE;
}
