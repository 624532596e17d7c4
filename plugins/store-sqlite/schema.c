/* Tables. A change of them is a new step at the end of `steps`; a step that was released is never edited. */
#include "store.h"

static const char *const steps[] = {
    /* 1. A session without a name was removed and is kept for the forks that share its first records. */
    "CREATE TABLE session ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," /* never used again: it is also the place of the claim's lock */
    "  name TEXT UNIQUE,"
    "  epoch INTEGER NOT NULL,"
    "  parent INTEGER," /* whose first `upto` records are this session's too */
    "  upto INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  summary TEXT NOT NULL);"
    "CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;"
    "CREATE INDEX session_removed ON session (id) WHERE name IS NULL;"
    /* A rowid table: records of all sessions are added at one end, so that a transaction writes few pages. */
    "CREATE TABLE record ("
    "  session INTEGER NOT NULL,"
    "  seq INTEGER NOT NULL,"
    "  epoch INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL,"
    "  class INTEGER NOT NULL,"
    "  type TEXT NOT NULL,"
    "  payload TEXT NOT NULL,"
    "  UNIQUE (session, seq));"
    "CREATE TABLE document ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  collection TEXT NOT NULL,"
    "  id TEXT NOT NULL,"
    "  version INTEGER NOT NULL," /* the newest */
    "  UNIQUE (collection, id));"
    "CREATE INDEX document_order ON document (collection, number);"
    "CREATE TABLE document_version ("
    "  number INTEGER NOT NULL,"
    "  version INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL,"
    "  json TEXT NOT NULL,"
    "  UNIQUE (number, version));",
};
_Static_assert(sizeof(steps) / sizeof(steps[0]) == STORE_SCHEMA, "one step for each version of the schema");

int store_schema_newer(const char *path, int64_t version, struct mbp_error *err)
{
  return store_error(err, MBP_E_CORRUPT,
                     "%.250s was written by a newer magent (schema %lld, this one knows %d): upgrade magent", path,
                     (long long) version, STORE_SCHEMA);
}

/* One number; used before the prepared statements, which need the tables. */
static int ask(struct store_conn *conn, const char *sql, int64_t *ret_number, struct mbp_error *err)
{
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    *ret_number = sqlite3_column_int64(statement, 0);
    code = SQLITE_OK;
  }
  int r = code == SQLITE_OK || code == SQLITE_DONE ? 0 : store_fault(conn, code, err);
  sqlite3_finalize(statement);
  return r;
}

int store_schema_check(struct store_conn *conn, int64_t *ret_version, struct mbp_error *err)
{
  const char *path = conn->instance->path;
  int64_t application = 0, version = 0, tables = 0;
  int r = ask(conn, "PRAGMA application_id", &application, err);
  if (r == 0)
    r = ask(conn, "PRAGMA user_version", &version, err);
  if (r == 0)
    r = ask(conn, "SELECT count(*) FROM sqlite_master", &tables, err);
  if (r < 0)
    return r;
  bool fresh = application == 0 && version == 0 && tables == 0;
  if (!fresh && application != STORE_APPLICATION_ID)
    return store_error(err, MBP_E_CORRUPT, "%.250s is another program's database: set another path", path);
  if (version > STORE_SCHEMA)
    return store_schema_newer(path, version, err);
  if (!fresh && version < 1)
    return store_error(err, MBP_E_CORRUPT, "%.250s has an impossible schema version (%lld): it is damaged", path,
                       (long long) version);
  *ret_version = version;
  return 0;
}

static int execute(struct store_conn *conn, const char *sql, struct mbp_error *err)
{
  int code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? 0 : store_fault(conn, code, err);
}

int store_schema_migrate(struct store_conn *conn, struct mbp_error *err)
{
  char pragma[100];
  int64_t version = 0;
  int r = execute(conn, "BEGIN IMMEDIATE", err);
  if (r < 0)
    return r;
  /* Another process may have been faster. */
  r = store_schema_check(conn, &version, err);
  for (; r == 0 && version < STORE_SCHEMA; version++)
    r = execute(conn, steps[version], err);
  sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
                   STORE_SCHEMA);
  if (r == 0)
    r = execute(conn, pragma, err);
  if (r == 0)
    r = execute(conn, "COMMIT", err);
  if (r < 0 && !sqlite3_get_autocommit(conn->db))
    (void) sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
  return r;
}
