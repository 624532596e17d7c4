/* answer.h - answers from outside to tool calls that wait: for a yes or no, or for their result. Any thread, any
 * process; whoever runs the session goes on with them, or the next turn does. */
#ifndef MAG_AGENT_ANSWER_H
#define MAG_AGENT_ANSWER_H

#include "agent/engine.h"
#include "agent/record.h"

/* A call that waits. Borrowed. */
struct mag_waiting {
  const char *event_id, *tool;
  const char *input; /* JSON object */
  bool wants_result; /* else: a yes or no */
};

/* Calls `each` for every call of the session that waits, in call order; negative stops. MBP_E_NOT_FOUND. */
int mag_answer_each(struct mag_engine *engine, const char *id,
                    int (*each)(void *ctx, const struct mag_waiting *waiting), void *ctx, struct mbp_error *err);

struct mag_given_answer {
  const char *event_id;   /* of the call; NULL: the only one that waits */
  struct mag_reply reply; /* a yes or no; a no is an answer to a call that wants a result, too */
  struct mbp_str content; /* the result: JSON array of blocks; empty: it is a yes or no */
  bool is_error;          /* of the result */
};

/* Appends the answer, durably. MBP_E_NOT_FOUND: no such session or call, or nothing waits; MBP_E_INVALID: which call is
 * meant, or what it waits for, is another thing; MBP_E_CONFLICT: it has been answered already. `ret_event` (a MAG_ID
 * of the call) may be NULL. */
int mag_answer_give(struct mag_engine *engine, const char *id, const struct mag_given_answer *answer,
                    char ret_event[MAG_ID_SIZE], struct mbp_error *err);

#endif
