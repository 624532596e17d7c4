/* Documents: every version is kept until the document is removed. */
#include "store.h"

struct document {
  int64_t number;
  uint64_t version; /* 0: there is none */
};

static int find(struct store_conn *conn, const struct store_job *job, struct document *ret_document,
                struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_DOC_FIND, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, job->session);
  store_bind(statement, 2, job->other);
  int r = store_step(conn, statement, err);
  *ret_document = (struct document){0};
  if (r == 1)
    *ret_document =
        (struct document){sqlite3_column_int64(statement, 0), (uint64_t) sqlite3_column_int64(statement, 1)};
  return r < 0 ? r : 0;
}

static int check(struct store_conn *conn, const struct store_job *job, const struct document *document,
                 struct mbp_error *err)
{
  const int collection = (int) job->session.len, id = (int) job->other.len;
  if (job->number == 0 && document->version)
    return store_error(err, MBP_E_EXISTS, "%.*s/%.*s exists already", collection, job->session.ptr, id, job->other.ptr);
  bool wanted = job->text.len == 0 || (job->number && job->number != MBP_SEQ_ANY);
  if (wanted && !document->version)
    return store_error(err, MBP_E_NOT_FOUND, "no %.*s/%.*s", collection, job->session.ptr, id, job->other.ptr);
  if (job->number != MBP_SEQ_ANY && job->number != document->version)
    return store_error(err, MBP_E_CONFLICT, "%.*s/%.*s has version %llu, not %llu: read again", collection,
                       job->session.ptr, id, job->other.ptr, (unsigned long long) document->version,
                       (unsigned long long) job->number);
  if (job->text.len == 0)
    return 0;
  store_autoreset *statement = store_statement(conn, SQL_DOC_JSON_VALID, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, job->text);
  int r = store_step(conn, statement, err);
  if (r == 1 && sqlite3_column_int(statement, 0) == 1)
    return 0;
  return r < 0 ? r
               : store_error(err, MBP_E_INVALID, "%.*s/%.*s is not valid JSON", collection, job->session.ptr, id,
                             job->other.ptr);
}

static int change(struct store_conn *conn, enum store_sql which, int64_t number, int64_t version, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, which, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, number);
  if (sqlite3_bind_parameter_count(statement) > 1)
    sqlite3_bind_int64(statement, 2, version);
  return store_step(conn, statement, err);
}

static int add(struct store_conn *conn, const struct store_job *job, struct document *document, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_DOC_NEW, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, job->session);
  store_bind(statement, 2, job->other);
  int r = store_step(conn, statement, err);
  document->number = sqlite3_last_insert_rowid(conn->db);
  return r;
}

static int add_version(struct store_conn *conn, const struct store_job *job, const struct document *document,
                       struct mbp_error *err)
{
  const struct mbp_host *host = conn->instance->host;
  store_autoreset *statement = store_statement(conn, SQL_DOC_VERSION_ADD, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, document->number);
  sqlite3_bind_int64(statement, 2, (int64_t) document->version);
  sqlite3_bind_int64(statement, 3, host->clock_ms(host->ctx, MBP_CLOCK_WALL));
  store_bind(statement, 4, job->text);
  return store_step(conn, statement, err);
}

int store_run_doc_put(struct store_conn *conn, struct store_job *job, struct mbp_error *err)
{
  struct document document = {0};
  int r = find(conn, job, &document, err);
  if (r == 0)
    r = check(conn, job, &document, err);
  if (r < 0)
    return r;
  if (job->text.len == 0) {
    r = change(conn, SQL_DOC_REMOVE_VERSIONS, document.number, 0, err);
    if (r == 0)
      r = change(conn, SQL_DOC_REMOVE, document.number, 0, err);
  } else {
    bool fresh = document.version++ == 0;
    r = fresh ? add(conn, job, &document, err)
              : change(conn, SQL_DOC_SET, document.number, (int64_t) document.version, err);
    if (r == 0)
      r = add_version(conn, job, &document, err);
  }
  job->answer.version =
      (struct mbp_version){.size = MBP_SIZE(struct mbp_version, version), .version = document.version};
  job->result = &job->answer.version;
  return r;
}

static int fetch(struct mbp_instance *instance, struct mbp_str collection, struct mbp_str id, uint64_t version,
                 struct store_rows *rows, struct mbp_error *err)
{
  store_autoconn *conn = NULL;
  int r = store_conn_take(instance, &conn, err);
  if (r < 0)
    return r;
  store_autoreset *statement = store_statement(conn, SQL_DOC_GET, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, collection);
  store_bind(statement, 2, id);
  sqlite3_bind_int64(statement, 3, version > INT64_MAX ? INT64_MAX : (int64_t) version);
  r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  if (r == 0)
    return store_error(err, MBP_E_NOT_FOUND, "no %.*s/%.*s", (int) collection.len, collection.ptr, (int) id.len,
                       id.ptr);
  if (sqlite3_column_type(statement, 1) == SQLITE_NULL)
    return store_error(err, MBP_E_NOT_FOUND, "%.*s/%.*s has no version %llu; the newest is %lld", (int) collection.len,
                       collection.ptr, (int) id.len, id.ptr, (unsigned long long) version,
                       (long long) sqlite3_column_int64(statement, 0));
  struct mbp_record row = {
      .type = id, .payload = store_column(statement, 2), .seq = (uint64_t) sqlite3_column_int64(statement, 1)};
  return store_rows_add(rows, &row, 0) < 0 ? store_no_memory(err) : 0;
}

int store_doc_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection, struct mbp_str id,
                  uint64_t version, struct mbp_error *err)
{
  store_autorows rows = {0};
  int r = fetch(instance, collection, id, version, &rows, err);
  if (r < 0)
    return r;
  struct mbp_record row = store_rows_record(&rows, 0);
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                            .type = MBP_EV_STORE_DOC,
                            .number = (int64_t) row.seq,
                            .name = row.type,
                            .data = row.payload};
  if (instance->host->emit(call, &event) < 0 && (r = store_cancelled(instance, call, err)) == 0)
    r = store_error(err, MBP_E_CANCELLED, "cancelled");
  store_done(instance, call, r, NULL, err);
  return 0;
}
