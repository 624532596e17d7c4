/* sessions.h - the sessions of a store, looked at and changed without running them. Any thread.
 *
 * The unified view is one JSON object, in which every member is always there:
 *
 *   {"id","type":"session","status":"idle"|"running"|"terminated","interrupted","stop_reason","error","title",
 *    "agent":{"id","version","name"},"model","environment_id","created_at","updated_at","archived_at","turns","steps",
 *    "tool_calls","active_ms","usage":{"input_tokens","output_tokens","cache_read_input_tokens",
 *    "cache_creation_input_tokens"},"cost":{"micros","currency"}|null,"budget":{..},"forked_from"}
 *
 * "running" is one whose turn really runs, in whichever process; one whose runner has died is idle and interrupted.
 */
#ifndef MAG_AGENT_SESSIONS_H
#define MAG_AGENT_SESSIONS_H

#include "agent/engine.h"
#include "base/id.h"

#include <stdbool.h>

/* The unified view as it is now. Caller frees. MBP_E_NOT_FOUND. */
int mag_sessions_info(struct mag_engine *engine, const char *id, char **ret_json, struct mbp_error *err);

/* The same as lists show it: as of the last change of status. */
int mag_sessions_listed(struct mag_engine *engine, const char *id, char **ret_json, struct mbp_error *err);

/* Cheaper: does a turn run, is it archived? */
struct mag_session_facts {
  bool running, archived;
};
int mag_sessions_facts(struct mag_engine *engine, const char *id, struct mag_session_facts *ret_facts,
                       struct mbp_error *err);

/* Empty and zero members do not filter. */
struct mag_session_filter {
  const char *status; /* of the unified view; "interrupted": those that are, which are idle as well */
  const char *agent;                           /* its id or its name */
  int64_t created_after_ms, created_before_ms; /* wall clock; not including */
  bool archived;                               /* those too */
  bool oldest_first;
  uint32_t limit;   /* 0: 100 */
  const char *page; /* NULL or "": the first */
};

/* Calls `each` with the unified view of at most `limit` sessions, newest first; negative stops. *ret_next (caller
 * frees): the next page's token, or NULL at the end. As long as nothing runs, a view is that of the last change of
 * status; it costs no look into the log. */
int mag_sessions_list(struct mag_engine *engine, const struct mag_session_filter *filter,
                      int (*each)(void *ctx, struct mbp_str info), void *ctx, char **ret_next, struct mbp_error *err);

/* What may be changed at any time, also while a turn runs. NULL members stay as they are. */
struct mag_session_change {
  const char *title;
  const char *budget; /* JSON object, as in agent files: members that are there are set, null removes a limit */
};
int mag_sessions_update(struct mag_engine *engine, const char *id, const struct mag_session_change *change,
                        struct mbp_error *err);

/* It can be read and forked, and never run again. MBP_E_BUSY while it runs. Twice is once. */
int mag_sessions_archive(struct mag_engine *engine, const char *id, struct mbp_error *err);

/* The log, the private workspace, everything. MBP_E_BUSY while it runs. */
int mag_sessions_remove(struct mag_engine *engine, const char *id, struct mbp_error *err);

struct mag_fork_options {
  const char *event;  /* id of the last event that is kept; NULL: all */
  const char *title;  /* NULL: the same */
  bool without_files; /* an empty workspace instead of a copy */
};
/* A new session that goes on from there: docs/LOG-FORMAT.md, section 11. The old one may run. */
int mag_sessions_fork(struct mag_engine *engine, const char *id, const struct mag_fork_options *options,
                      char ret_id[MAG_ID_SIZE], struct mbp_error *err);

/* A fork whose maker died in between gets its record when it is opened; see mag_session_open. */
struct mag_log;
int mag_fork_complete(struct mag_log *log, const char *title, const char *workspace, struct mbp_error *err);

#endif
