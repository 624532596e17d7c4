/* state_parts.h - what the files behind state.h share; nobody else includes it. */
#ifndef MAG_AGENT_STATE_PARTS_H
#define MAG_AGENT_STATE_PARTS_H

#include "agent/state.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_members.h"
#include "base/text.h"

/* One record on its way through the fold. */
struct fold {
  struct mag_state *state;
  const struct mbp_record *record;
  struct mag_json_members members; /* of its payload */
  struct mbp_error *err;
};

/* ---- state.c -------------------------------------------------------------------------------------------------- */

/* -MBP_E_CORRUPT, with the record's number and type. */
int mag_fold_corrupt(struct fold *fold, const char *what);

/* Replaces a text of the state; an empty one becomes NULL. */
int mag_fold_text(struct fold *fold, char **place, struct mbp_str text);

struct mbp_str mag_fold_str(struct fold *fold, const char *key);
/* For small members only: a resume reads every record, and most bytes of a log are contents that nobody takes apart. */
const struct mbp_json *mag_fold_tree(struct fold *fold, const char *key);
/* The text of an array or object; empty if it is not there or something else. `opener`: '[' or '{'. */
struct mbp_str mag_fold_raw(const struct fold *fold, const char *key, char opener);

/* ---- state_session.c: the session as a whole ------------------------------------------------------------------ */

int mag_fold_session(struct fold *fold);
int mag_fold_agent(struct fold *fold);
int mag_fold_fork(struct fold *fold);
int mag_fold_sandbox(struct fold *fold);
int mag_fold_updated(struct fold *fold);
int mag_fold_terminated(struct fold *fold);

/* ---- state_messages.c: what users say and models answer ------------------------------------------------------- */

int mag_fold_user_event(struct fold *fold);
int mag_fold_processed(struct fold *fold);
int mag_fold_response(struct fold *fold);

void mag_state_free_inbox_item(struct mag_inbox_item *item);
int mag_fold_message(struct fold *fold, uint32_t role, struct mbp_str content, struct mbp_str provider, bool left_out);

/* ---- state_calls.c: the tool calls of the last response ------------------------------------------------------- */

int mag_fold_started(struct fold *fold);
int mag_fold_tool_result(struct fold *fold);

int mag_fold_calls(struct fold *fold); /* of a response */
int mag_fold_confirmation(struct fold *fold, const struct mag_inbox_item *item);
int mag_fold_custom_result(struct fold *fold, const struct mag_inbox_item *item);
void mag_state_clear_calls(struct mag_state *state);

/* ---- state_turn.c: how a turn goes, and what it costs --------------------------------------------------------- */

int mag_fold_running(struct fold *fold);
int mag_fold_idle(struct fold *fold);
int mag_fold_error(struct fold *fold);
int mag_fold_request_start(struct fold *fold);
int mag_fold_request_end(struct fold *fold);
/* Time passes while a turn runs, from one record of its runner to the next. */
void mag_state_count_time(struct mag_state *state, uint64_t epoch, int64_t time_ms);

#endif
