/* How a turn goes: its status, its model requests and what they cost. */
#include "agent/state_parts.h"

int mag_fold_running(struct fold *fold)
{
  int r = mag_fold_text(fold, &fold->state->error, mbp_str(""));
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
  return mag_writer_text(w, &text) < 0 ? mag_error_no_memory(fold->err)
                                       : mag_fold_text(fold, &fold->state->error, text);
}

int mag_fold_error(struct fold *fold)
{
  const struct mbp_json *error = mag_fold_tree(fold, "error");
  return set_error(fold, mag_json_str(mag_json_get(error, "type")), mag_json_str(mag_json_get(error, "message")));
}

int mag_fold_idle(struct fold *fold)
{
  const struct mbp_json *x_magent = mag_fold_tree(fold, "x_magent");
  struct mbp_str message = mag_json_str(mag_json_get(x_magent, "message"));
  fold->state->status = MAG_STATUS_IDLE;
  fold->state->interrupted = mag_json_truth(mag_json_get(x_magent, "interrupted"), 0);
  if (message.len) {
    int r = set_error(fold, mag_json_str(mag_json_get(mag_fold_tree(fold, "stop_reason"), "type")), message);
    if (r < 0)
      return r;
  }
  return mag_fold_text(fold, &fold->state->stop_reason,
                       mag_json_str(mag_json_get(mag_fold_tree(fold, "stop_reason"), "type")));
}

int mag_fold_request_start(struct fold *fold)
{
  struct mag_state *state = fold->state;
  state->steps++;
  state->turn_steps++;
  state->turn_uncounted = false; /* what comes from here on steers */
  const struct mbp_json *x_magent = mag_fold_tree(fold, "x_magent");
  state->request_estimate = mag_json_num(mag_json_get(x_magent, "estimated_input_tokens"), 0);
  state->request_estimate_cost = mag_json_num(mag_json_get(x_magent, "estimated_cost_micros"), 0);
  return mag_fold_text(fold, &state->request, mag_fold_str(fold, "id"));
}

static void add_usage(struct mag_state *state, const struct mbp_json *usage)
{
  state->usage.input += mag_json_num(mag_json_get(usage, "input_tokens"), 0);
  state->usage.output += mag_json_num(mag_json_get(usage, "output_tokens"), 0);
  state->usage.cache_read += mag_json_num(mag_json_get(usage, "cache_read_input_tokens"), 0);
  state->usage.cache_write += mag_json_num(mag_json_get(usage, "cache_creation_input_tokens"), 0);
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
  const struct mbp_json *x_magent = mag_fold_tree(fold, "x_magent");
  int64_t cost = mag_json_num(mag_json_get(x_magent, "cost_micros"), -1);
  struct mbp_str currency = mag_json_str(mag_json_get(x_magent, "currency"));
  if (cost < 0 || (cost > 0 && state->currency && !mbp_str_eq(currency, state->currency)))
    state->cost_unknown |= tokens > 0;
  else
    state->cost_micros += cost;
  return currency.len ? mag_fold_text(fold, &state->currency, currency) : 0;
}

int mag_fold_request_end(struct fold *fold)
{
  const struct mbp_json *usage = mag_fold_tree(fold, "model_usage");
  add_usage(fold->state, usage);
  if (!mag_json_truth(mag_fold_tree(fold, "is_error"), 0))
    fold->state->last_input = input_of(usage);
  int r = add_cost(fold, input_of(usage) + mag_json_num(mag_json_get(usage, "output_tokens"), 0));
  return r < 0 ? r : mag_fold_text(fold, &fold->state->request, mbp_str(""));
}

void mag_state_count_time(struct mag_state *state, uint64_t epoch, int64_t time_ms)
{
  if (epoch == 0)
    return;
  if (state->status == MAG_STATUS_RUNNING && epoch == state->runner_epoch && time_ms > state->runner_ms)
    state->active_ms += time_ms - state->runner_ms;
  state->runner_epoch = epoch;
  state->runner_ms = time_ms;
}
