/* budget.h - what a session may use in all, and what it has used: docs/LOG-FORMAT.md, section 9.
 *
 * One struct for both. As a budget, 0 in a member means that there is no limit.
 */
#ifndef MAG_AGENT_BUDGET_H
#define MAG_AGENT_BUDGET_H

#include <magent/mbp-host.h>
#include <stdbool.h>
#include <stddef.h>

struct mag_state;

struct mag_budget {
  int64_t tokens;      /* all kinds */
  int64_t cost_micros; /* millionths of the price table's currency */
  int64_t steps;       /* model requests */
  int64_t tool_calls;  /* that were started */
  int64_t time_ms;     /* of running turns */
};

/* A limit that was reached. */
struct mag_budget_stop {
  const char *name; /* of the member; static */
  int64_t max, used;
};

bool mag_budget_any(const struct mag_budget *budget);

/* As an object; of a budget only the members that limit something. */
void mag_budget_write(struct mbp_writer *writer, const char *key, const struct mag_budget *budget);

/* Members that are there replace, null and 0 remove. Unknown members are left to newer programs. -MBP_E_INVALID for
 * what is not a whole number from 0 on. */
int mag_budget_read(struct mag_budget *budget, const struct mbp_json *object, struct mbp_error *err);

/* What a definition says. */
struct mag_definition;
struct mag_budget mag_budget_of(const struct mag_definition *definition);

/* Lays a change over it that is written like the agent file's budget: {"cost": 2.50, "time": "30m", "steps": null}.
 * null removes. -MBP_E_INVALID for anything else, unknown names too. */
int mag_budget_change(struct mag_budget *budget, struct mbp_str json, struct mbp_error *err);
/* The members in which they differ, as mag_budget_read takes them. */
void mag_budget_write_change(struct mbp_writer *writer, const char *key, const struct mag_budget *from,
                             const struct mag_budget *to);

/* What the session has used, an open request at its estimate. */
struct mag_budget mag_budget_used(const struct mag_state *state);

/* May one more request be made that uses at least `floor` (tokens, cost_micros)? False: *ret_stop says why not. */
bool mag_budget_allows(const struct mag_state *state, const struct mag_budget *floor, struct mag_budget_stop *ret_stop);

/* One line for a human. Caller frees; NULL without memory. */
char *mag_budget_message(const struct mag_budget_stop *stop);

/* How long turns may still run, at least 1; 0: without end. */
int64_t mag_budget_time_left(const struct mag_state *state);

/* How many more calls may be started. */
size_t mag_budget_tool_room(const struct mag_state *state);

#endif
