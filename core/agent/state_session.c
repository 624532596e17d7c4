/* The records about a session as a whole: what it is, whose log it goes on, where it works. */
#include "agent/state_parts.h"

#include "base/clock.h"

#include <string.h>

/* As the record says it, so that it is what lists show from the beginning, whatever the store's clock says. */
static int64_t created_ms(struct fold *fold)
{
  struct mbp_str text = mag_fold_str(fold, "created_at");
  int64_t ms = fold->record->time_ms;
  char copy[MAG_TIME_TEXT] = "";
  if (text.len < sizeof(copy))
    memcpy(copy, text.ptr, text.len);
  (void) mag_clock_parse(copy, &ms);
  return ms;
}

int mag_fold_session(struct fold *fold)
{
  struct mag_state *state = fold->state;
  if (state->id)
    return mag_fold_corrupt(fold, "a second session record");
  if (mag_json_num(mag_fold_tree(fold, "version"), 0) != 1) {
    state->read_only = true;
    return 0;
  }
  struct mbp_str agent = mag_fold_raw(fold, "agent", '{');
  if (mag_fold_str(fold, "id").len == 0 || agent.len == 0)
    return mag_fold_corrupt(fold, "id or agent is missing");
  state->created_ms = created_ms(fold);
  int r = mag_budget_read(&state->budget, mag_fold_tree(fold, "budget"), fold->err);
  if (r == 0)
    r = mag_fold_text(fold, &state->id, mag_fold_str(fold, "id"));
  if (r == 0)
    r = mag_fold_text(fold, &state->title, mag_fold_str(fold, "title"));
  if (r == 0)
    r = mag_fold_text(fold, &state->agent, agent);
  if (r == 0)
    r = mag_fold_text(fold, &state->environment, mag_fold_raw(fold, "environment", '{'));
  return r;
}

/* From here on the session has this agent and this environment. */
int mag_fold_agent(struct fold *fold)
{
  struct mbp_str agent = mag_fold_raw(fold, "agent", '{'), environment = mag_fold_raw(fold, "environment", '{');
  if (agent.len == 0 || environment.len == 0)
    return mag_fold_corrupt(fold, "agent or environment is missing");
  int r = mag_fold_text(fold, &fold->state->agent, agent);
  return r < 0 ? r : mag_fold_text(fold, &fold->state->environment, environment);
}

/* From here on the log is another session's, and that one has used nothing yet. */
int mag_fold_fork(struct fold *fold)
{
  struct mag_state *state = fold->state;
  if (mag_fold_str(fold, "id").len == 0 || mag_fold_str(fold, "from").len == 0)
    return mag_fold_corrupt(fold, "id or from is missing");
  int r = mag_fold_text(fold, &state->id, mag_fold_str(fold, "id"));
  if (r == 0)
    r = mag_fold_text(fold, &state->fork_of, mag_fold_str(fold, "from"));
  if (r == 0)
    r = mag_fold_text(fold, &state->title, mag_fold_str(fold, "title"));
  if (r == 0)
    r = mag_fold_text(fold, &state->sandbox_id, mbp_str(""));
  state->created_ms = created_ms(fold);
  state->usage = (struct mbp_usage){.size = state->usage.size};
  state->turn_begin.usage = state->usage;
  state->turn_begin.cost_micros = 0;
  /* An open request was made for the other one, which counts it; a turn that is open goes on here. */
  state->request_estimate = state->request_estimate_cost = 0;
  state->turns = state->status == MAG_STATUS_RUNNING;
  state->steps = state->turn_steps = state->tool_calls = state->tool_runs = 0;
  state->cost_micros = state->active_ms = state->archived_ms = 0;
  state->cost_unknown = state->tools_refused = false;
  free(state->currency);
  state->currency = NULL;
  state->workspace_lost = state->sandbox_key && mbp_str_eq(mag_fold_str(fold, "workspace"), "empty");
  state->sandbox_lost |= state->sandbox_there || state->workspace_lost;
  state->sandbox_there = false;
  return r;
}

int mag_fold_sandbox(struct fold *fold)
{
  struct mag_state *state = fold->state;
  int r = mag_fold_text(fold, &state->sandbox_key, mag_fold_str(fold, "key"));
  if (r == 0)
    r = mag_fold_text(fold, &state->sandbox_id, mag_fold_str(fold, "id"));
  if (r == 0)
    r = mag_fold_text(fold, &state->sandbox_provider, mag_fold_str(fold, "provider"));
  bool gone = mbp_str_eq(mag_fold_str(fold, "state"), "gone");
  state->sandbox_lost |= gone && state->sandbox_there && mag_fold_str(fold, "id").len; /* else nobody has used it */
  state->sandbox_there = !gone;
  state->processes_lost |= mbp_str_eq(mag_fold_str(fold, "state"), "attached");
  return r;
}

int mag_fold_updated(struct fold *fold)
{
  const struct mbp_json *title = mag_fold_tree(fold, "title");
  const struct mbp_json *budget = mag_json_get(mag_fold_tree(fold, "x_magent"), "budget");
  (void) mag_budget_read(&fold->state->budget, budget, NULL); /* from outside: what is no budget changes none */
  return title ? mag_fold_text(fold, &fold->state->title, mag_json_str(title)) : 0;
}

int mag_fold_terminated(struct fold *fold)
{
  if (!fold->state->archived_ms)
    fold->state->archived_ms = fold->record->time_ms;
  return 0;
}
