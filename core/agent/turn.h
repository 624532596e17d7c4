/* turn.h - one turn of a session, from the user's message until the session is idle. Private to core/agent.
 *
 * What to do next depends on the folded state alone (docs/LOG-FORMAT.md, section 5), so going on after a crash is the
 * same code as going on. Records collect in `batch` and are committed before they are acted on.
 */
#ifndef MAG_AGENT_TURN_H
#define MAG_AGENT_TURN_H

#include "agent/session.h"

#define MAG_PARALLEL_TOOLS 8

struct mag_turn {
  struct mag_session *session;
  struct mbp_call *call; /* of the whole turn: deadline and cancellation */
  const struct mag_limits *limits;
  struct mag_outcome *outcome;
  struct mag_batch batch;
  char prompt[MAG_ID_SIZE]; /* the message that the turn begins with, until it is taken up; or "" */
  bool owes; /* the batch holds something that the model must answer */
  bool begins; /* the batch holds the turn's session.status_running */
  bool ended;
  bool tools_refused;  /* the batch holds results of calls that the budget had no room for */
  size_t model_at;     /* which of the session's models is asked; the first one of every turn is its own */
  struct mbp_error fell_back; /* why, if it is not */
  bool time_by_budget; /* the turn's deadline is the end of the session's budget of time */
};

/* `message`: content of a user message that the turn begins with, or empty; only for a session that rests. */
int mag_turn_run(struct mag_session *session, struct mbp_call *call, const struct mag_limits *limits,
                 struct mbp_str message, struct mag_outcome *ret_outcome, struct mbp_error *err);

int mag_turn_commit(struct mag_turn *turn, struct mbp_error *err);

/* Adds session.usage and session.status_idle and ends the turn. `x_magent`: JSON object or NULL. */
void mag_turn_end(struct mag_turn *turn, enum mag_ending ending, const char *stop_reason, struct mbp_str details,
                  const char *x_magent);

/* Adds session.error of that type and ends the turn with it. */
void mag_turn_fail(struct mag_turn *turn, const char *type, const struct mbp_error *why);

/* step.c: asks the model once. */
int mag_turn_step(struct mag_turn *turn, struct mbp_error *err);

/* act.c: settles the open tool calls that can be settled; *ret_waiting counts those that wait for an answer. */
int mag_turn_act(struct mag_turn *turn, size_t *ret_waiting, struct mbp_error *err);
/* How many calls from `from` on may run side by side now: 0 if that one may not run, 1, or more if all are read-only.
 * */
size_t mag_turn_group(const struct mag_session *session, const struct mag_tool_call *calls, size_t n, size_t from);
/* Adds tool_started for them. */
void mag_turn_mark_started(struct mag_turn *turn, const struct mag_tool_call *calls, size_t n);
/* Gives every open call an error result. */
void mag_turn_close_calls(struct mag_turn *turn, const char *why);

/* recover.c: closes what a dead runner left open. */
void mag_turn_recover(struct mag_turn *turn);
/* On the first turn after a session was opened: records that a sandbox of an earlier process is gone, if its provider
 * cannot keep it. */
void mag_turn_forget_sandbox(struct mag_turn *turn);

#endif
