/* The unified view of a session: one shape for lists, for the command and for the programming interface. */
#include "agent/state.h"

#include "base/cleanup.h"
#include "base/clock.h"

static void write_text(struct mbp_writer *w, const char *key, const char *text)
{
  if (text)
    mag_writer_string(w, key, mbp_str(text));
  else
    mag_writer_null(w, key);
}

static void write_raw(struct mbp_writer *w, const char *key, const char *json)
{
  if (json)
    mag_writer_raw(w, key, mbp_str(json));
  else
    mag_writer_null(w, key);
}

static void write_time(struct mbp_writer *w, const char *key, int64_t ms)
{
  char text[MAG_TIME_TEXT];
  mag_clock_format(ms, text);
  write_text(w, key, ms ? text : NULL);
}

/* {"id","version","name"}: enough to find it by; and the model. */
static void write_agent(struct mbp_writer *w, const char *json)
{
  mag_autojson agent = NULL;
  if (json)
    (void) mag_json_parse(mbp_str(json), &agent, NULL);
  const struct mbp_json *version = mag_json_get(agent, "version");
  struct mbp_str id = mag_json_str(mag_json_get(agent, "id")), name = mag_json_str(mag_json_get(agent, "name"));
  mag_writer_object(w, "agent");
  write_text(w, "id", id.len ? id.ptr : NULL);
  if (mag_json_type(version) == MBP_JSON_NUMBER)
    mag_writer_number(w, "version", mag_json_num(version, 0));
  else
    mag_writer_null(w, "version");
  mag_writer_string(w, "name", name);
  mag_writer_end(w);
  mag_writer_string(w, "model", mag_json_str(mag_json_get(mag_json_get(agent, "model"), "id")));
}

static void write_environment(struct mbp_writer *w, const char *json)
{
  mag_autojson environment = NULL;
  if (json)
    (void) mag_json_parse(mbp_str(json), &environment, NULL);
  struct mbp_str id = mag_json_str(mag_json_get(environment, "id"));
  write_text(w, "environment_id", id.len ? id.ptr : NULL);
}

/* An open request counts at its estimate: it may have been made. */
static void write_usage(struct mbp_writer *w, const struct mag_state *state)
{
  mag_writer_object(w, "usage");
  mag_writer_number(w, "input_tokens", state->usage.input + (state->request ? state->request_estimate : 0));
  mag_writer_number(w, "output_tokens", state->usage.output);
  mag_writer_number(w, "cache_read_input_tokens", state->usage.cache_read);
  mag_writer_number(w, "cache_creation_input_tokens", state->usage.cache_write);
  mag_writer_end(w);
}

static void write_cost(struct mbp_writer *w, const struct mag_state *state)
{
  if (state->cost_unknown) {
    mag_writer_null(w, "cost");
    return;
  }
  mag_writer_object(w, "cost");
  mag_writer_number(w, "micros", mag_budget_used(state).cost_micros);
  write_text(w, "currency", state->currency);
  mag_writer_end(w);
}

/* What begins anew in a fork. */
static void write_counters(struct mbp_writer *w, const struct mag_state *state)
{
  write_time(w, "created_at", state->created_ms);
  write_time(w, "updated_at", state->updated_ms);
  write_time(w, "archived_at", state->archived_ms);
  mag_writer_number(w, "turns", state->turns);
  mag_writer_number(w, "steps", state->steps);
  mag_writer_number(w, "tool_calls", state->tool_runs);
  mag_writer_number(w, "active_ms", state->active_ms);
  write_usage(w, state);
  write_cost(w, state);
  write_text(w, "forked_from", state->fork_of);
}

static const char *status_of(const struct mag_state *state)
{
  return state->archived_ms ? "terminated" : state->status == MAG_STATUS_RUNNING ? "running" : "idle";
}

char *mag_state_summary(const struct mag_state *state)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  write_text(w, "id", state->id);
  mag_writer_string(w, "type", mbp_str("session"));
  mag_writer_string(w, "status", mbp_str(status_of(state)));
  mag_writer_boolean(w, "interrupted", state->interrupted);
  write_text(w, "stop_reason", state->stop_reason);
  write_raw(w, "error", state->error);
  write_text(w, "title", state->title);
  write_agent(w, state->agent);
  write_environment(w, state->environment);
  write_counters(w, state);
  mag_budget_write(w, "budget", &state->budget);
  mag_writer_end(w);
  return mag_writer_take(w);
}

char *mag_summary_of_fork(struct mbp_str of, const char *id, const char *from, const char *title, int64_t created_ms)
{
  static const char *const kept[] = {"interrupted", "stop_reason",    "error", "agent",
                                     "model",       "environment_id", "budget"};
  struct mag_state fresh = {.created_ms = created_ms, .updated_ms = created_ms, .fork_of = (char *) (uintptr_t) from};
  struct mbp_str value, status = {"", 0};
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  write_text(w, "id", id);
  mag_writer_string(w, "type", mbp_str("session"));
  (void) mag_json_slice(of, "status", &status);
  fresh.turns = mbp_str_eq(status, "\"running\""); /* the fork goes on with it */
  mag_writer_string(w, "status", mbp_str(fresh.turns ? "running" : "idle"));
  for (size_t i = 0; i < MAG_COUNT(kept); i++)
    if (mag_json_slice(of, kept[i], &value))
      mag_writer_raw(w, kept[i], value);
  write_text(w, "title", title);
  write_counters(w, &fresh);
  mag_writer_end(w);
  return mag_writer_take(w);
}
