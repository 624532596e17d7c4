#include "agent/turn.h"

#include "agent/models.h"
#include "agent/outside.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

int mag_turn_commit(struct mag_turn *turn, struct mbp_error *err)
{
  int r = mag_session_commit(turn->session, &turn->batch, err);
  turn->owes = turn->begins = turn->tools_refused = false;
  return r;
}

/* The state as it will be once the batch is folded; of its texts only those of the session itself may be looked at. */
static struct mag_state state_after(const struct mag_turn *turn)
{
  struct mag_state after;
  if (mag_state_peek(&turn->session->log.state, &turn->batch, &after))
    mag_state_peek_done(&after);
  after.tools_refused |= turn->tools_refused;
  return after;
}

/* What the turn cost; -1: not known. */
static int64_t turn_cost(const struct mag_state *after)
{
  return after->cost_unknown ? -1 : after->cost_micros - after->turn_begin.cost_micros;
}

static void write_cost(struct mbp_writer *w, int64_t micros)
{
  if (micros < 0)
    mag_writer_null(w, "cost_micros");
  else
    mag_writer_number(w, "cost_micros", micros);
}

/* Of the session in sum, and of the turn alone. */
static void add_usage_event(struct mag_turn *turn)
{
  struct mag_state after = state_after(turn);
  struct mbp_usage usage = after.usage, before = after.turn_begin.usage;
  struct mbp_writer *w = mag_batch_event(&turn->batch, MAG_EV_USAGE, NULL);
  mag_writer_object(w, "usage");
  mag_writer_number(w, "input_tokens", usage.input);
  mag_writer_number(w, "output_tokens", usage.output);
  mag_writer_number(w, "cache_read_input_tokens", usage.cache_read);
  mag_writer_object(w, "cache_creation");
  mag_writer_number(w, "ephemeral_5m_input_tokens", usage.cache_write);
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_object(w, "x_magent");
  write_cost(w, after.cost_unknown ? -1 : after.cost_micros);
  mag_writer_object(w, "turn");
  mag_writer_number(w, "input_tokens", usage.input - before.input);
  mag_writer_number(w, "output_tokens", usage.output - before.output);
  mag_writer_number(w, "cache_read_input_tokens", usage.cache_read - before.cache_read);
  mag_writer_number(w, "cache_creation_input_tokens", usage.cache_write - before.cache_write);
  write_cost(w, turn_cost(&after));
  mag_writer_end(w);
  mag_writer_end(w);
  mag_batch_end(&turn->batch);
}

void mag_turn_end(struct mag_turn *turn, enum mag_ending ending, const char *stop_reason, struct mbp_str details,
                  const char *x_magent)
{
  add_usage_event(turn);
  mag_batch_idle(&turn->batch, stop_reason, details, mbp_str(x_magent));
  turn->outcome->ending = ending;
  turn->ended = true;
}

void mag_turn_fail(struct mag_turn *turn, const char *type, const struct mbp_error *why)
{
  mag_batch_error(&turn->batch, type, why);
  mag_turn_end(turn, MAG_END_ERROR, "retries_exhausted", mbp_str(""), NULL);
  turn->outcome->error = *why;
}

/* ---- The inbox ------------------------------------------------------------------------------------------------ */

static void interrupt(struct mag_turn *turn)
{
  struct mag_state *state = &turn->session->log.state;
  if (state->n_open)
    mag_turn_close_calls(turn, "The user interrupted before this tool had run.");
  mag_turn_end(turn, MAG_END_INTERRUPTED, "end_turn", mbp_str(""), "{\"interrupted\":true}");
}

/* Such a message is for the next turn. */
static bool is_follow_up(const struct mag_inbox_item *item)
{
  struct mbp_str delivery;
  return mag_json_slice(mbp_str(item->payload), "x_magent/delivery", &delivery) &&
         mbp_str_eq(delivery, "\"" MAG_DELIVERY_FOLLOW_UP "\"");
}

/* Messages wait until every call has its result; all else is taken at once. */
static int take_inbox(struct mag_turn *turn, struct mbp_error *err)
{
  struct mag_state *state = &turn->session->log.state;
  bool settle = false, stop = false;
  int r = mag_session_refresh(turn->session, err); /* others may have said something */
  if (r < 0)
    return r;
  for (size_t i = 0; i < state->n_inbox; i++) {
    const struct mag_inbox_item *item = &state->inbox[i];
    bool message = strcmp(item->type, MAG_EV_USER_MESSAGE) == 0;
    if (message && ((state->n_open && !turn->owes) || (!turn->begins && is_follow_up(item))))
      continue;
    mag_batch_processed(&turn->batch, mbp_str(item->id));
    turn->owes |= message && mag_state_is_message(mbp_str(item->payload));
    settle |= strcmp(item->type, MAG_EV_USER_CONFIRMATION) == 0 || strcmp(item->type, MAG_EV_USER_CUSTOM_RESULT) == 0;
    stop |= strcmp(item->type, MAG_EV_USER_INTERRUPT) == 0 && state->status == MAG_STATUS_RUNNING;
  }
  if (turn->prompt[0]) { /* behind what was said before it */
    mag_batch_processed(&turn->batch, mbp_str(turn->prompt));
    turn->prompt[0] = 0;
    turn->owes = true;
  }
  if (stop)
    interrupt(turn);
  return settle && !stop ? mag_turn_commit(turn, err) : 0;
}

/* ---- Ends that are not the model's ---------------------------------------------------------------------------- */

static void add_limit(struct mag_turn *turn, const char *limit, int64_t max, int64_t used)
{
  struct mbp_writer *w = mag_batch_private(&turn->batch, MAG_REC_LIMIT);
  mag_writer_string(w, "limit", mbp_str(limit));
  mag_writer_number(w, "max", max);
  mag_writer_number(w, "used", used);
  mag_batch_end(&turn->batch);
  mag_autofree char *x_magent = mag_sprintf("{\"limit\":\"%s\",\"max\":%lld}", limit, (long long) max);
  mag_turn_end(turn, MAG_END_LIMIT, "budget_reached", mbp_str(""), x_magent);
}

static bool out_of_steps(struct mag_turn *turn)
{
  int64_t max = turn->limits->max_steps, used = turn->begins ? 0 : turn->session->log.state.turn_steps;
  if (max <= 0 || used < max)
    return false;
  add_limit(turn, "steps", max, used);
  mag_error(&turn->outcome->error, MBP_E_LIMIT, "stopped after %lld model request%s, the limit of this turn",
            (long long) used, mag_plural(used));
  return true;
}

static void end_at_budget(struct mag_turn *turn, const struct mag_budget_stop *stop)
{
  mag_autofree char *message = mag_budget_message(stop);
  mag_autofree char *limit = mag_sprintf("budget_%s", stop->name);
  struct mbp_writer *w = mag_batch_private(&turn->batch, MAG_REC_LIMIT);
  mag_writer_string(w, "limit", mbp_str(limit));
  mag_writer_number(w, "max", stop->max);
  mag_writer_number(w, "used", stop->used);
  mag_batch_end(&turn->batch);
  mag_autowriter x = mag_writer_new();
  mag_writer_object(x, NULL);
  mag_writer_string(x, "budget", mbp_str(stop->name));
  mag_writer_number(x, "max", stop->max);
  mag_writer_number(x, "used", stop->used);
  mag_writer_string(x, "message", mbp_str(message));
  mag_writer_end(x);
  mag_autofree char *x_magent = mag_writer_take(x);
  mag_turn_end(turn, MAG_END_LIMIT, "budget_reached", mbp_str(""), x_magent);
  mag_error(&turn->outcome->error, MBP_E_LIMIT, "stopped: %s", message ? message : "the budget is used up");
}

/* The messages of the last request are a prefix of the next one's: it has no less input, at the cheapest price. */
static struct mag_budget certain_use(const struct mag_session *session)
{
  const struct mag_price *price = &session->price;
  struct mbp_usage cached = {.cache_read = session->log.state.last_input}, plain = {.input = cached.cache_read};
  return (struct mag_budget){
      .tokens = session->log.state.last_input,
      .cost_micros = MAG_MIN(mag_price_cost(price, &cached), mag_price_cost(price, &plain)),
  };
}

static bool out_of_budget(struct mag_turn *turn)
{
  struct mag_state after = state_after(turn);
  struct mag_budget floor = certain_use(turn->session);
  struct mag_budget_stop stop;
  if (mag_budget_allows(&after, &floor, &stop))
    return false;
  end_at_budget(turn, &stop);
  return true;
}

static void out_of_time(struct mag_turn *turn)
{
  const struct mag_state *state = &turn->session->log.state;
  if (state->n_open)
    mag_turn_close_calls(turn, "The time limit was reached before this tool had run.");
  if (turn->time_by_budget) {
    struct mag_budget_stop stop = {"time_ms", state->budget.time_ms, MAG_MAX(state->budget.time_ms, state->active_ms)};
    end_at_budget(turn, &stop);
    return;
  }
  add_limit(turn, "time_ms", turn->limits->timeout_ms, turn->limits->timeout_ms);
  mag_error(&turn->outcome->error, MBP_E_LIMIT, "stopped: the time limit of this turn was reached");
}

/* Called off by the user, or out of time. */
static void stop_early(struct mag_turn *turn)
{
  struct mbp_error *why = &turn->outcome->error;
  if (mag_call_cancel_error(turn->call, why) == -MBP_E_TIMEOUT) {
    out_of_time(turn);
    return;
  }
  char id[MAG_ID_SIZE] = "";
  mag_batch_event(&turn->batch, MAG_EV_USER_INTERRUPT, id);
  mag_batch_end(&turn->batch);
  mag_batch_processed(&turn->batch, mbp_str(id));
  interrupt(turn);
  mag_error(why, MBP_E_CANCELLED, "interrupted");
}

static void wait_for_answers(struct mag_turn *turn)
{
  const struct mag_state *state = &turn->session->log.state;
  add_usage_event(turn);
  struct mbp_writer *w = mag_batch_event(&turn->batch, MAG_EV_IDLE, NULL);
  mag_writer_object(w, "stop_reason");
  mag_writer_string(w, "type", mbp_str("requires_action"));
  mag_writer_array(w, "event_ids");
  for (size_t i = 0; i < state->n_calls; i++)
    if (!state->calls[i].result)
      mag_writer_string(w, NULL, mbp_str(state->calls[i].event_id));
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_null(w, "stop_details");
  mag_batch_end(&turn->batch);
  turn->outcome->ending = MAG_END_REQUIRES_ACTION;
  turn->ended = true;
}

/* ---- The turn ------------------------------------------------------------------------------------------------- */

/* One round: does the first thing of the table that holds. */
static int advance(struct mag_turn *turn, struct mbp_error *err)
{
  struct mag_state *state = &turn->session->log.state;
  int r = take_inbox(turn, err);
  if (r < 0 || turn->ended)
    return r;
  mag_outside_watch(turn->session); /* not before: what came before the turn interrupts nothing */
  if (mag_call_cancelled(turn->call)) {
    stop_early(turn);
    return 0;
  }
  if (state->n_open && !turn->owes) {
    size_t waiting = 0;
    r = mag_turn_act(turn, &waiting, err);
    if (r == 0 && waiting && !turn->owes && !mag_call_cancelled(turn->call)) {
      r = mag_turn_commit(turn, err);
      if (r == 0)
        wait_for_answers(turn);
    }
    return r;
  }
  if (!turn->owes && !mag_state_owes(state)) {
    mag_turn_end(turn, MAG_END_TURN, "end_turn", mbp_str(""), NULL);
    return 0;
  }
  return out_of_steps(turn) || out_of_budget(turn) ? 0 : mag_turn_step(turn, err);
}

static void begin(struct mag_turn *turn)
{
  mag_batch_running(&turn->batch);
  turn->begins = true;
  turn->ended = false;
}

static int run_to_idle(struct mag_turn *turn, struct mbp_error *err)
{
  int r = 0;
  while (r == 0 && !turn->ended)
    r = advance(turn, err);
  return r < 0 ? r : mag_turn_commit(turn, err);
}

static bool message_waits(struct mag_session *session)
{
  const struct mag_state *state = &session->log.state;
  if (mag_session_refresh(session, NULL) < 0)
    return false;
  for (size_t i = 0; i < state->n_inbox; i++)
    if (strcmp(state->inbox[i].type, MAG_EV_USER_MESSAGE) == 0)
      return true;
  return false;
}

int mag_turn_run(struct mag_session *session, struct mbp_call *call, const struct mag_limits *limits,
                 struct mbp_str message, struct mag_outcome *ret_outcome, struct mbp_error *err)
{
  struct mag_turn turn = {
      .session = session, .call = call, .limits = limits, .outcome = ret_outcome, .batch = MAG_BATCH_INIT};
  int64_t left = mag_budget_time_left(&session->log.state);
  turn.time_by_budget = left && (limits->timeout_ms == 0 || left < limits->timeout_ms);
  memset(ret_outcome, 0, sizeof(*ret_outcome));
  mag_error_clear(&ret_outcome->error);
  mag_models_use(session, 0);
  if (message.len)
    mag_batch_user_message(&turn.batch, turn.prompt, message);
  if (session->log.state.status == MAG_STATUS_RUNNING)
    mag_turn_recover(&turn);
  else
    begin(&turn);
  mag_turn_forget_sandbox(&turn);
  int r = run_to_idle(&turn, err);
  while (r == 0 && ret_outcome->ending == MAG_END_TURN && message_waits(session)) {
    begin(&turn); /* somebody spoke while the last answer was on its way */
    r = run_to_idle(&turn, err);
  }
  mag_batch_done(&turn.batch);
  return r;
}
