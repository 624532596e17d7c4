/* log.h - a session's log as its runner sees it: claimed, folded, appended to. Not to be confused with base/log.h. */
#ifndef MAG_AGENT_LOG_H
#define MAG_AGENT_LOG_H

#include "agent/state.h"
#include "host/instance.h"

struct mag_log {
  struct mag_instance *store; /* borrowed */
  char id[MAG_ID_SIZE];
  uint64_t epoch; /* 0: not claimed, reading only */
  struct mag_state state;
  /* Told every event once it is durable, in order. May be NULL. */
  void (*observe)(void *ctx, const struct mbp_record *record);
  void *ctx;
};

/* A new session: its first record is appended and it is claimed. `agent`, `environment`: JSON objects. */
int mag_log_create(struct mag_log *log, struct mag_instance *store, struct mbp_str agent, struct mbp_str environment,
                   struct mbp_str title, const struct mag_budget *budget, struct mbp_error *err);
/* An existing one, folded to its end. `claim`: to run it; MBP_E_BUSY while another process does. */
int mag_log_open(struct mag_log *log, struct mag_instance *store, const char *id, bool claim, struct mbp_error *err);
void mag_log_close(struct mag_log *log);

/* Reads what others have appended since. */
int mag_log_refresh(struct mag_log *log, struct mbp_error *err);

/* Appends the batch, durably, and folds it; the batch is empty then. An empty batch does nothing. After a failure
 * nothing was appended. Never cut short by cancellation: what has happened must be recorded. */
int mag_log_commit(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err);

/* The same for records that change what lists show in ways that are only known once they are folded: folded first.
 * After a failure the log must be closed. */
int mag_log_commit_folded(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err);

/* The session is ours from now on, until the store's release or our end. MBP_E_BUSY after a moment: another runs it. */
int mag_log_claim(struct mag_instance *store, const char *id, uint64_t *ret_epoch, struct mbp_error *err);

/* Appends events to a log that somebody else may run; it is not claimed and not read. */
int mag_log_append_outside(struct mag_instance *store, const char *id, struct mag_batch *batch, struct mbp_error *err);

/* From outside as well, but only if nothing has been appended since `log` (not claimed) was opened or refreshed: else
 * MBP_E_CONFLICT. The log is not folded on. */
int mag_log_append_next(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err);

/* The same for private records: claims it for a moment. Neither tells lists anything. */
int mag_log_append_claimed(struct mag_instance *store, const char *id, struct mag_batch *batch, struct mbp_error *err);

/* Reads a whole log without a state: for tools that show it. Negative from `each` stops. */
int mag_log_each(struct mag_instance *store, const char *id, uint64_t from, uint32_t limit,
                 int (*each)(void *ctx, const struct mbp_record *record), void *ctx, struct mbp_error *err);
/* The same, and what comes later, from any process, for so long: -MBP_E_TIMEOUT then. Negative from `each` stops. */
int mag_log_watch(struct mag_instance *store, const char *id, uint64_t from, int64_t timeout_ms,
                  int (*each)(void *ctx, const struct mbp_record *record), void *ctx, struct mbp_error *err);

#endif
