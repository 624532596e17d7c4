/* state.h - the fold of a session's log. One function reads records; nothing else changes the state. */
#ifndef MAG_AGENT_STATE_H
#define MAG_AGENT_STATE_H

#include "agent/budget.h"
#include "agent/record.h"

#include <magent/mbp-llm.h>

enum mag_status { MAG_STATUS_IDLE, MAG_STATUS_RUNNING };
enum mag_permission { MAG_PERMISSION_ALLOW, MAG_PERMISSION_ASK, MAG_PERMISSION_DENY };

/* An item of the conversation. */
struct mag_message {
  uint32_t role;    /* MBP_ROLE_* */
  char *content;    /* JSON array of blocks */
  size_t len;
  char *provider;   /* of a response; else NULL */
  bool left_out;    /* refused or without any block: not projected */
};

/* A tool call of the last response. */
struct mag_tool_call {
  char *event_id, *model_id, *name;
  char *input; /* JSON object, as the model wrote it */
  enum mag_permission permission;
  bool custom;   /* answered by a user.custom_tool_result */
  char *problem; /* why the input is not what the tool's schema allows, or NULL */
  bool answered, allowed; /* by a confirmation */
  char *deny_message;
  bool started, repeatable;
  char *result; /* JSON array of blocks; NULL while open */
  bool is_error;
};

/* A user event that is not processed yet. */
struct mag_inbox_item {
  char *id, *type, *payload;
};

struct mag_state {
  uint64_t last_seq;
  bool read_only;         /* written by a newer magent */
  char *id, *title, *agent, *environment; /* JSON texts of the session record */
  int64_t created_ms, updated_ms;
  enum mag_status status;
  char *stop_reason;      /* of the last idle, or NULL */
  struct mag_message *messages;
  size_t n_messages, cap_messages;
  struct mag_tool_call *calls;
  size_t n_calls, n_open;
  char **granted; /* names of tools that a confirmation has allowed for good */
  size_t n_granted;
  struct mag_inbox_item *inbox;
  size_t n_inbox;
  char *request;          /* id of a model request without its end, or NULL */
  int64_t request_estimate;
  uint32_t last_stop;     /* MBP_STOP_* of the last response, 0 if something followed it */
  char *stop_details;     /* of the last response, or NULL */
  struct mbp_usage usage; /* sums */
  int64_t turns, steps, turn_steps, tool_calls;
  char *sandbox_key, *sandbox_id, *sandbox_provider;
  bool sandbox_there;     /* intent, made or attached, and not gone */
  bool sandbox_lost;      /* it went away, and the model has not been told yet */
  bool workspace_lost;    /* and so did the files: of a fork */
  bool processes_lost;    /* it is another process's that is there still, without what ran in it; not told yet */
  char *fork_of;          /* the session whose records the log begins with, or NULL */
  int64_t archived_ms;    /* 0: not archived */
  bool interrupted;       /* the last turn */
  char *error;            /* JSON object of what ended the last turn, or NULL */
  int64_t cost_micros, request_estimate_cost;
  bool cost_unknown;      /* some request had no price */
  char *currency;         /* of the costs, or NULL */
  struct {
    struct mbp_usage usage;
    int64_t cost_micros;
  } turn_begin;           /* what the sums were when the turn began */
  int64_t last_input;     /* tokens of the last answered request: the next one has no fewer */
  int64_t tool_runs;      /* calls that were started */
  bool tools_refused;     /* some call was, for want of budget */
  struct mag_budget budget;
  int64_t active_ms, runner_ms; /* runner_ms, runner_epoch: of the last record that a runner wrote */
  uint64_t runner_epoch;
  bool turn_uncounted;    /* runs again, and took no user's message yet: `turns` counts those that begin with one */
};

void mag_state_init(struct mag_state *state);
void mag_state_done(struct mag_state *state);

/* Applies one record. -MBP_E_CORRUPT names the record and what is wrong with it. */
int mag_state_fold(struct mag_state *state, const struct mbp_record *record, struct mbp_error *err);

/* What usage, counters and status will be once the batch is folded. Shares every other text with `state`, so it lives
 * no longer. True if the batch changes the status; only then are there texts for mag_state_peek_done. */
bool mag_state_peek(const struct mag_state *state, const struct mag_batch *batch, struct mag_state *ret_after);
void mag_state_peek_done(struct mag_state *after);

/* Is this payload of a user.message something that a model can be sent? What is not is processed as nothing. */
bool mag_state_is_message(struct mbp_str payload);
bool mag_state_is_content(struct mbp_str content); /* valid JSON */

/* Does the model owe an answer? Only meaningful while no call is open. */
bool mag_state_owes(const struct mag_state *state);

struct mag_tool_call *mag_state_call(struct mag_state *state, struct mbp_str event_id); /* or NULL */

bool mag_state_granted(const struct mag_state *state, const char *tool);

/* Is this a list of blocks that the result of a tool may be made of? */
bool mag_state_is_result(struct mbp_str content);

/* The unified view of a session, which lists show and filter: every member is always there. NULL without memory. */
char *mag_state_summary(const struct mag_state *state);

/* That of a fresh fork of all of a session, from that of the session. `title` may be NULL. NULL without memory. */
char *mag_summary_of_fork(struct mbp_str of, const char *id, const char *from, const char *title, int64_t created_ms);

#endif
