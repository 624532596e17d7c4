/* mbp-store.h - plugins of kind store: where session logs and documents are kept.
 *
 * A session's log is a sequence of records, numbered from 1 without gaps. Records are opaque to the store.
 * Documents (agents, environments, sandboxes ...) are small JSON texts with a version.
 * Everything that was acknowledged by `done` survives a crash of the process and of the machine.
 *
 * Several processes may use one store at the same time. Names of sessions, collections and documents have 1 to 200
 * bytes and no control characters. A sink may use the store again while it is shown a record: nothing is locked then.
 */
#ifndef MAGENT_MBP_STORE_H
#define MAGENT_MBP_STORE_H

#include <magent/mbp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBP_STORE_VERSION 1

#define MBP_RECORD_EVENT 1   /* exactly the wire shape, shown to the outside */
#define MBP_RECORD_PRIVATE 2 /* magent's own */
/* Greater numbers: classes of a newer magent; a store keeps and returns them. */

/* One record. The store fills seq, epoch and time when it is appended. Frozen. */
struct mbp_record {
  uint64_t seq;
  uint64_t epoch;
  int64_t time_ms; /* wall clock, since 1970 */
  uint32_t klass;  /* MBP_RECORD_*; others are kept */
  uint32_t reserved;
  struct mbp_str type;    /* e.g. "agent.message" */
  struct mbp_str payload; /* JSON text */
};

struct mbp_append {
  uint32_t size;
  uint32_t flags;
  struct mbp_str session;
  uint64_t epoch;    /* from claim; 0: an append from outside of the run, for events only (any class with CREATE) */
  uint64_t expected; /* the log's last sequence number before this batch, or MBP_SEQ_ANY */
  const struct mbp_record *records; /* at least one; seq, epoch, time_ms are ignored */
  size_t n_records;
  struct mbp_str summary; /* JSON object that `list` filters and `list` and `head` show; empty: leave as it is */
};
#define MBP_SEQ_ANY UINT64_MAX
#define MBP_APPEND_CREATE 0x1u /* the session must not exist yet: MBP_E_EXISTS */

/* Result of append: the batch's first and last sequence numbers. */
struct mbp_appended {
  uint32_t size;
  uint32_t reserved;
  uint64_t first, last;
  int64_t time_ms;
};

/* Result of head, and of fork (without the summary). */
struct mbp_head {
  uint32_t size;
  uint32_t claimed; /* 1 while somebody holds the session */
  uint64_t last;    /* last sequence number */
  uint64_t epoch;
  int64_t created_ms, updated_ms;
  struct mbp_str summary; /* {} before there was one */
};

/* Result of claim. */
struct mbp_claim {
  uint32_t size;
  uint32_t reserved;
  uint64_t epoch; /* greater than every epoch before */
  uint64_t last;  /* last sequence number at that instant */
};

/* Filter and page of list and doc_list. `filter` is a JSON object of equal-to conditions on top-level members of
 * the summary (or of the document), e.g. {"status":"idle"}; values are strings, numbers, true, false or null; empty:
 * all; it may cost a look at every summary. A page may be shorter than `limit`. A token is good for the same filter and
 * order only: else MBP_E_INVALID. */
struct mbp_query {
  uint32_t size;
  uint32_t limit; /* at most 1000, else MBP_E_INVALID; 0: 100 */
  struct mbp_str filter;
  struct mbp_str page;  /* empty: the first */
  uint32_t descending;  /* by creation; 0: oldest first */
  uint32_t reserved;
};

/* Result of list and doc_list: the next page's token, or empty. */
struct mbp_page {
  uint32_t size;
  uint32_t reserved;
  struct mbp_str next;
};

/* Result of doc_put: the version that was written. */
struct mbp_version {
  uint32_t size;
  uint32_t reserved;
  uint64_t version;
};

/* Events. RECORD: data points to one struct mbp_record (len = sizeof). SESSION: name: id, data: summary, number:
 * last sequence number. DOC: name: id, data: JSON, number: version. */
#define MBP_EV_STORE_RECORD 400
#define MBP_EV_STORE_SESSION 401
#define MBP_EV_STORE_DOC 402

/* Operations on one session that were accepted one after another take effect in that order: a claim that was asked for
 * behind the append that makes the session finds it.
 * All operations are required. Every one is safe beside every other (MBP_THREADS_PARALLEL is usual).
 * Common errors: MBP_E_NOT_FOUND, _CONFLICT, _BUSY, _NO_SPACE, _READ_ONLY, _CORRUPT. What failed changed nothing. */
struct mbp_store_ops {
  uint32_t size;
  uint32_t reserved;
  /* Atomic and durable. MBP_E_CONFLICT: `expected` or `epoch` is not the current one. MBP_E_LIMIT: a record or the
   * summary is too large. MBP_E_BUSY, _NO_SPACE: nothing was written; it may be tried again. done: mbp_appended. */
  int (*append)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_append *append,
                struct mbp_error *err);
  /* Emits records with seq >= from, at most limit (0: all), in their order; none behind the end is no error. done: no
   * result. */
  int (*read)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
              uint32_t limit, struct mbp_error *err);
  /* done: mbp_head. */
  int (*head)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err);
  /* Like read without a limit, then waits for more, also from other processes, until cancelled: done with
   * MBP_E_CANCELLED, or MBP_E_TIMEOUT at the deadline; MBP_E_NOT_FOUND once the session is removed. */
  int (*watch)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
               struct mbp_error *err);
  /* Emits SESSION. done: mbp_page. */
  int (*list)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_query *query,
              struct mbp_error *err);
  /* New session whose first `upto` records (at most all, else MBP_E_INVALID; 0: none) are the old one's, shared, not
   * copied. Its epochs go on from the old one's; it is not claimed. `summary` empty: the old one's. done: mbp_head of
   * the new one. */
  int (*fork)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t upto,
              struct mbp_str new_session, struct mbp_str summary, struct mbp_error *err);
  /* Removes the session and its records; what forks share goes with the last of them. MBP_E_BUSY while claimed. done:
   * no result. */
  int (*remove)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err);
  /* The right to run the session. Freed by release, by close, and at once when the process dies, however it dies.
   * MBP_E_BUSY if somebody holds it (this process included). done: mbp_claim. */
  int (*claim)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err);
  /* Quick, cannot fail. Unknown or not held: nothing happens. */
  void (*release)(struct mbp_instance *instance, struct mbp_str session);
  /* Writes if the stored version is `expected` (0: must not exist, else MBP_E_EXISTS; MBP_SEQ_ANY: whatever). Versions
   * count from 1 and are kept. An empty `json` removes the document with all versions (one that is put later begins at
   * 1 again). MBP_E_NOT_FOUND: there is none to change or remove; MBP_E_CONFLICT: another version. done: mbp_version
   * of what was written or removed. */
  int (*doc_put)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection, struct mbp_str id,
                 uint64_t expected, struct mbp_str json, struct mbp_error *err);
  /* `version` 0: the newest. Emits one DOC. done: no result. */
  int (*doc_get)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection, struct mbp_str id,
                 uint64_t version, struct mbp_error *err);
  /* Emits the newest version of each. done: mbp_page. */
  int (*doc_list)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                  const struct mbp_query *query, struct mbp_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
