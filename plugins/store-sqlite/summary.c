/* Summaries and their top-level members, which lists are filtered with. */
#include "store.h"

int store_summary_check(struct store_conn *conn, struct mbp_str text, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_SUMMARY_OBJECT, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, text);
  int r = store_step(conn, statement, err);
  if (r == 1 && sqlite3_column_int(statement, 0) == 1)
    return 0;
  return r < 0 ? r : store_error(err, MBP_E_INVALID, "the session's summary is not a JSON object");
}

static int run_on(struct store_conn *conn, enum store_sql which, int64_t id, struct mbp_str text, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, which, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, id);
  if (sqlite3_bind_parameter_count(statement) > 1)
    store_bind(statement, 2, text);
  int r = store_step(conn, statement, err);
  return r == 1 ? sqlite3_column_int(statement, 0) : r;
}

int store_summary_add(struct store_conn *conn, int64_t id, struct mbp_str text, struct mbp_error *err)
{
  return run_on(conn, SQL_MEMBER_ADD, id, text, err);
}

int store_summary_remove(struct store_conn *conn, int64_t id, struct mbp_error *err)
{
  int r = run_on(conn, SQL_MEMBER_REMOVE, id, mbp_str(NULL), err);
  return r < 0 ? r : run_on(conn, SQL_SESSION_HIDE, id, mbp_str(NULL), err);
}

int store_summary_set(struct store_conn *conn, int64_t id, struct mbp_str text, struct mbp_error *err)
{
  int same = run_on(conn, SQL_SUMMARY_SAME, id, text, err);
  if (same)
    return same < 0 ? same : 0;
  int r = run_on(conn, SQL_MEMBER_REMOVE, id, text, err);
  if (r == 0)
    r = run_on(conn, SQL_SUMMARY_SET, id, text, err);
  return r < 0 ? r : store_summary_add(conn, id, text, err);
}
