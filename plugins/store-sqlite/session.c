/* Jobs of sessions, run by the writer inside a transaction. Checks first, changes after. */
#include "store.h"

#include <string.h>

#define GARBAGE_PIECE 2000 /* records in one transaction: others should not wait long */

/* 0, or -MBP_E_NOT_FOUND and others. */
static int find_session(struct store_conn *conn, struct mbp_str name, struct store_session *ret_session,
                        struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_SESSION_FIND, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, name);
  int r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  if (r == 0)
    return store_error(err, MBP_E_NOT_FOUND, "no session \"%.*s\"", (int) name.len, name.ptr);
  ret_session->id = sqlite3_column_int64(statement, 0);
  ret_session->epoch = (uint64_t) sqlite3_column_int64(statement, 1);
  ret_session->parent = sqlite3_column_int64(statement, 2);
  ret_session->upto = sqlite3_column_int64(statement, 3);
  ret_session->last =
      (uint64_t) (sqlite3_column_type(statement, 4) == SQLITE_NULL ? ret_session->upto
                                                                   : sqlite3_column_int64(statement, 4));
  return 0;
}

static int64_t wall_ms(struct store_conn *conn)
{
  const struct mbp_host *host = conn->instance->host;
  return host->clock_ms(host->ctx, MBP_CLOCK_WALL);
}

/* ---- New sessions --------------------------------------------------------------------------------------------- */

static int must_not_exist(struct store_conn *conn, struct mbp_str name, struct mbp_error *err)
{
  struct store_session other;
  int r = find_session(conn, name, &other, err);
  if (r == 0)
    return store_error(err, MBP_E_EXISTS, "session %.*s exists already", (int) name.len, name.ptr);
  return r == -MBP_E_NOT_FOUND && !conn->fault ? 0 : r;
}

static int add_session(struct store_conn *conn, struct mbp_str name, struct mbp_str summary, int64_t now,
                       struct store_session *session, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_SESSION_NEW, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, name);
  sqlite3_bind_int64(statement, 2, (int64_t) session->epoch);
  if (session->parent)
    sqlite3_bind_int64(statement, 3, session->parent);
  sqlite3_bind_int64(statement, 4, session->upto);
  sqlite3_bind_int64(statement, 5, now);
  store_bind(statement, 6, summary);
  int r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  session->id = sqlite3_last_insert_rowid(conn->db);
  return 0;
}

/* ---- Append --------------------------------------------------------------------------------------------------- */

static int check_append(const struct mbp_append *append, const struct store_session *session, struct mbp_error *err)
{
  const int len = (int) append->session.len;
  const char *name = append->session.ptr;
  if (append->epoch && append->epoch < session->epoch)
    return store_error(err, MBP_E_CONFLICT, "another process took over session %.*s (epoch %llu, now %llu)", len, name,
                       (unsigned long long) append->epoch, (unsigned long long) session->epoch);
  if (append->epoch > session->epoch)
    return store_error(err, MBP_E_CONFLICT, "epoch %llu of session %.*s was never given (now %llu)",
                       (unsigned long long) append->epoch, len, name, (unsigned long long) session->epoch);
  if (append->expected != MBP_SEQ_ANY && append->expected != session->last)
    return store_error(err, MBP_E_CONFLICT, "session %.*s has %llu records, not %llu: read again", len, name,
                       (unsigned long long) session->last, (unsigned long long) append->expected);
  return 0;
}

static int add_records(struct store_conn *conn, const struct mbp_append *append, const struct store_session *session,
                       int64_t now, struct mbp_error *err)
{
  for (size_t i = 0; i < append->n_records; i++) {
    const struct mbp_record *record = &append->records[i];
    store_autoreset *statement = store_statement(conn, SQL_RECORD_ADD, err);
    if (!statement)
      return -err->code;
    sqlite3_bind_int64(statement, 1, session->id);
    sqlite3_bind_int64(statement, 2, (int64_t) (session->last + 1 + i));
    sqlite3_bind_int64(statement, 3, (int64_t) append->epoch);
    sqlite3_bind_int64(statement, 4, now);
    sqlite3_bind_int64(statement, 5, record->klass);
    store_bind(statement, 6, record->type);
    store_bind(statement, 7, record->payload);
    int r = store_step(conn, statement, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int check_summary(struct store_conn *conn, struct mbp_str summary, struct mbp_error *err)
{
  int r = summary.len ? store_is_object(conn, summary, err) : 1;
  return r ? (r < 0 ? r : 0) : store_error(err, MBP_E_INVALID, "the session's summary is not a JSON object");
}

static int set_summary(struct store_conn *conn, int64_t id, struct mbp_str summary, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_SUMMARY_SET, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, id);
  store_bind(statement, 2, summary);
  return store_step(conn, statement, err);
}

int store_run_append(struct store_conn *conn, struct store_job *job, struct mbp_error *err)
{
  const struct mbp_append *append = job->append;
  struct store_session session = {0};
  bool create = append->flags & MBP_APPEND_CREATE;
  int64_t now = wall_ms(conn);
  int r = create ? must_not_exist(conn, append->session, err) : find_session(conn, append->session, &session, err);
  if (r == 0)
    r = check_summary(conn, append->summary, err);
  if (r == 0)
    r = check_append(append, &session, err);
  if (r == 0 && create)
    r = add_session(conn, append->session, append->summary.len ? append->summary : mbp_str("{}"), now, &session, err);
  if (r == 0)
    r = add_records(conn, append, &session, now, err);
  if (r == 0 && append->summary.len && !create)
    r = set_summary(conn, session.id, append->summary, err);
  job->answer.appended = (struct mbp_appended){.size = MBP_SIZE(struct mbp_appended, time_ms),
                                               .first = session.last + 1,
                                               .last = session.last + append->n_records,
                                               .time_ms = now};
  job->result = &job->answer.appended;
  return r;
}

/* ---- Claim ---------------------------------------------------------------------------------------------------- */

/* Finds the session and claims it, until the job is settled at least. */
static int find_and_claim(struct store_conn *conn, struct store_job *job, struct store_session *ret_session,
                          struct mbp_error *err)
{
  int r = find_session(conn, job->session, ret_session, err);
  if (r == 0)
    r = store_claim_take(conn->instance, ret_session->id, job->session, err);
  if (r == 0)
    job->locked = ret_session->id;
  return r;
}

int store_run_claim(struct store_conn *conn, struct store_job *job, struct mbp_error *err)
{
  struct store_session session;
  int r = find_and_claim(conn, job, &session, err);
  if (r < 0)
    return r;
  store_autoreset *statement = store_statement(conn, SQL_SESSION_EPOCH, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, session.id);
  sqlite3_bind_int64(statement, 2, (int64_t) (session.epoch + 1));
  job->answer.claim =
      (struct mbp_claim){.size = MBP_SIZE(struct mbp_claim, last), .epoch = session.epoch + 1, .last = session.last};
  job->result = &job->answer.claim;
  return store_step(conn, statement, err);
}

void store_settle_claim(struct mbp_instance *instance, struct store_job *job, bool committed)
{
  if (job->locked && !(committed && job->code == 0))
    store_claim_drop(instance, job->locked);
  job->locked = 0;
}

/* ---- Fork and remove ------------------------------------------------------------------------------------------ */

/* Who has record number `upto` of a session: it or one that it shares records of. */
static int owner_of(struct store_conn *conn, struct mbp_str name, uint64_t upto, int64_t *ret_id, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_CHAIN, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, name);
  int r;
  while ((r = store_step(conn, statement, err)) == 1)
    if (upto > (uint64_t) sqlite3_column_int64(statement, 1)) {
      *ret_id = sqlite3_column_int64(statement, 0);
      return 0;
    }
  return r;
}

static int summary_of(struct store_conn *conn, struct mbp_str name, struct store_session *fork,
                      struct mbp_str fork_name, int64_t now, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_SESSION_SUMMARY, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, name);
  int r = store_step(conn, statement, err);
  return r < 0 ? r : add_session(conn, fork_name, r ? store_column(statement, 0) : mbp_str("{}"), now, fork, err);
}

int store_run_fork(struct store_conn *conn, struct store_job *job, struct mbp_error *err)
{
  struct store_session old, fork = {0};
  int64_t now = wall_ms(conn);
  int r = must_not_exist(conn, job->other, err);
  if (r == 0)
    r = find_session(conn, job->session, &old, err);
  if (r == 0)
    r = check_summary(conn, job->text, err);
  if (r < 0)
    return r;
  if (job->number > old.last)
    return store_error(err, MBP_E_INVALID, "session %.*s has %llu records, so %llu cannot be shared",
                       (int) job->session.len, job->session.ptr, (unsigned long long) old.last,
                       (unsigned long long) job->number);
  fork.epoch = old.epoch; /* so that epochs grow along the fork's log too */
  fork.upto = (int64_t) job->number;
  if (fork.upto)
    r = owner_of(conn, job->session, job->number, &fork.parent, err);
  if (r == 0)
    r = job->text.len ? add_session(conn, job->other, job->text, now, &fork, err)
                      : summary_of(conn, job->session, &fork, job->other, now, err);
  job->answer.head = (struct mbp_head){.size = MBP_SIZE(struct mbp_head, updated_ms),
                                       .last = job->number,
                                       .epoch = fork.epoch,
                                       .created_ms = now,
                                       .updated_ms = now};
  job->result = &job->answer.head;
  return r;
}

int store_run_remove(struct store_conn *conn, struct store_job *job, struct mbp_error *err)
{
  struct store_session session;
  int r = find_and_claim(conn, job, &session, err);
  if (r < 0)
    return r;
  store_autoreset *statement = store_statement(conn, SQL_SESSION_HIDE, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, session.id);
  return store_step(conn, statement, err);
}

void store_settle_remove(struct mbp_instance *instance, struct store_job *job, bool committed)
{
  (void) committed;
  if (job->locked)
    store_claim_drop(instance, job->locked);
  job->locked = 0;
}

/* ---- What removed sessions leave ------------------------------------------------------------------------------ */

static int delete_records(struct store_conn *conn, int64_t id, int64_t kept, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_GARBAGE_RECORDS, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_int64(statement, 2, kept);
  sqlite3_bind_int64(statement, 3, GARBAGE_PIECE);
  int r = store_step(conn, statement, err);
  return r < 0 ? r : sqlite3_changes(conn->db);
}

static int delete_session(struct store_conn *conn, int64_t id, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_GARBAGE_SESSION, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, id);
  return store_step(conn, statement, err);
}

int store_collect_garbage(struct store_conn *conn, struct mbp_error *err)
{
  int64_t before = INT64_MAX;
  for (int deleted = 0; deleted < GARBAGE_PIECE;) {
    store_autoreset *statement = store_statement(conn, SQL_GARBAGE_FIND, err);
    if (!statement)
      return -err->code;
    sqlite3_bind_int64(statement, 1, before);
    int r = store_step(conn, statement, err);
    if (r <= 0)
      return r;
    before = sqlite3_column_int64(statement, 0);
    bool shared = sqlite3_column_type(statement, 1) != SQLITE_NULL;
    int64_t kept = sqlite3_column_int64(statement, 1);
    sqlite3_reset(statement);
    r = delete_records(conn, before, kept, err);
    if (r >= 0) {
      bool empty = r < GARBAGE_PIECE && !shared;
      deleted += r + empty; /* what is kept for forks is no progress */
      if (empty)
        r = delete_session(conn, before, err);
    }
    if (r < 0)
      return r;
  }
  return 1;
}
