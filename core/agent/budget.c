#include "agent/budget.h"

#include "agent/definition.h"
#include "agent/state.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX (INT64_C(1) << 53) /* what every reader of JSON keeps */

static const struct {
  const char *name, *one, *many;
  size_t offset;
} members[] = {
    {"tokens", "token", "tokens", offsetof(struct mag_budget, tokens)},
    {"cost_micros", "of cost", "of cost", offsetof(struct mag_budget, cost_micros)},
    {"steps", "model request", "model requests", offsetof(struct mag_budget, steps)},
    {"tool_calls", "tool call", "tool calls", offsetof(struct mag_budget, tool_calls)},
    {"time_ms", "s of running", "s of running", offsetof(struct mag_budget, time_ms)},
};

static int64_t get(const struct mag_budget *budget, size_t i)
{
  return *(const int64_t *) (const void *) ((const char *) budget + members[i].offset);
}

static int64_t *place(struct mag_budget *budget, size_t i)
{
  return (int64_t *) (void *) ((char *) budget + members[i].offset);
}

bool mag_budget_any(const struct mag_budget *budget)
{
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    if (get(budget, i))
      return true;
  return false;
}

void mag_budget_write(struct mbp_writer *writer, const char *key, const struct mag_budget *budget)
{
  mag_writer_object(writer, key);
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    if (get(budget, i))
      mag_writer_number(writer, members[i].name, get(budget, i));
  mag_writer_end(writer);
}

int mag_budget_read(struct mag_budget *budget, const struct mbp_json *object, struct mbp_error *err)
{
  struct mag_budget read = *budget;
  for (size_t i = 0; i < MAG_COUNT(members); i++) {
    const struct mbp_json *value = mag_json_get(object, members[i].name);
    if (!value)
      continue;
    bool null = mag_json_type(value) == MBP_JSON_NULL;
    int64_t number = null ? 0 : mag_json_num(value, -1);
    if (number < 0 || number > NUMBER_MAX)
      return mag_error(err, MBP_E_INVALID, "budget: %s is not a whole number from 0 on", members[i].name);
    *place(&read, i) = number;
  }
  *budget = read;
  return 0;
}

struct mag_budget mag_budget_of(const struct mag_definition *definition)
{
  return (struct mag_budget){.tokens = definition->budget_tokens,
                             .cost_micros = definition->budget_cost_micros,
                             .steps = definition->budget_steps,
                             .tool_calls = definition->budget_tool_calls,
                             .time_ms = definition->budget_time_ms};
}

int mag_budget_change(struct mag_budget *budget, struct mbp_str json, struct mbp_error *err)
{
  struct mag_definition definition = {.budget_tokens = budget->tokens,
                                      .budget_cost_micros = budget->cost_micros,
                                      .budget_steps = budget->steps,
                                      .budget_tool_calls = budget->tool_calls,
                                      .budget_time_ms = budget->time_ms};
  mag_autojson tree = NULL;
  mag_autowriter w = mag_writer_new();
  struct mbp_str change;
  int r = mag_json_parse(json, &tree, err);
  if (r == 0 && mag_json_type(tree) != MBP_JSON_OBJECT)
    r = mag_error(err, MBP_E_INVALID, "the budget is not a mapping such as {steps: 50, cost: 2.50}");
  if (r < 0)
    return r;
  mag_writer_object(w, NULL);
  mag_writer_raw(w, "budget", json);
  mag_writer_end(w);
  r = mag_writer_text(w, &change) < 0 ? mag_error_no_memory(err)
                                      : mag_definition_change(&definition, change, "", /* lines= */ false, err);
  if (r == 0)
    *budget = mag_budget_of(&definition);
  mag_definition_done(&definition);
  return r;
}

void mag_budget_write_change(struct mbp_writer *writer, const char *key, const struct mag_budget *from,
                             const struct mag_budget *to)
{
  mag_writer_object(writer, key);
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    if (get(to, i) != get(from, i) && get(to, i))
      mag_writer_number(writer, members[i].name, get(to, i));
    else if (get(to, i) != get(from, i))
      mag_writer_null(writer, members[i].name);
  mag_writer_end(writer);
}

struct mag_budget mag_budget_used(const struct mag_state *state)
{
  int64_t estimate = state->request ? state->request_estimate : 0;
  int64_t estimated_cost = state->request ? state->request_estimate_cost : 0;
  return (struct mag_budget){
      .tokens =
          state->usage.input + state->usage.output + state->usage.cache_read + state->usage.cache_write + estimate,
      .cost_micros = state->cost_micros + estimated_cost,
      .steps = state->steps,
      .tool_calls = state->tool_runs,
      .time_ms = state->active_ms,
  };
}

bool mag_budget_allows(const struct mag_state *state, const struct mag_budget *floor, struct mag_budget_stop *ret_stop)
{
  struct mag_budget used = mag_budget_used(state);
  for (size_t i = 0; i < MAG_COUNT(members); i++) {
    int64_t max = get(&state->budget, i), so_far = get(&used, i);
    bool calls = members[i].offset == offsetof(struct mag_budget, tool_calls);
    if (max == 0 || (so_far < max && get(floor, i) <= max - so_far))
      continue;
    if (calls && !state->tools_refused) /* the last call has run: the model may still answer */
      continue;
    *ret_stop = (struct mag_budget_stop){members[i].name, max, so_far};
    return false;
  }
  return true;
}

static char *number_text(const char *name, int64_t value)
{
  if (strcmp(name, "cost_micros") == 0)
    return mag_micros_text(value);
  if (strcmp(name, "time_ms") == 0)
    return mag_sprintf("%lld.%01lld", (long long) (value / 1000), (long long) (value % 1000 / 100));
  return mag_sprintf("%lld", (long long) value);
}

char *mag_budget_message(const struct mag_budget_stop *stop)
{
  char *max = number_text(stop->name, stop->max), *used = number_text(stop->name, stop->used), *text = NULL;
  for (size_t i = 0; i < MAG_COUNT(members) && max && used; i++) {
    const char *unit = stop->max == 1 ? members[i].one : members[i].many;
    if (strcmp(members[i].name, stop->name) == 0)
      text = stop->used < stop->max
                 ? mag_sprintf("the next request would exceed the session's budget of %s %s (%s used)", max, unit, used)
                 : mag_sprintf("the session's budget of %s %s is used up (%s used)", max, unit, used);
  }
  free(max);
  free(used);
  return text;
}

int64_t mag_budget_time_left(const struct mag_state *state)
{
  if (state->budget.time_ms == 0)
    return 0;
  return state->active_ms < state->budget.time_ms ? state->budget.time_ms - state->active_ms : 1;
}

size_t mag_budget_tool_room(const struct mag_state *state)
{
  if (state->budget.tool_calls == 0)
    return SIZE_MAX;
  return state->tool_runs < state->budget.tool_calls ? (size_t) (state->budget.tool_calls - state->tool_runs) : 0;
}
