/* Every SQL statement, prepared once for each connection. */
#include "store.h"

#include <errno.h>

/* clang-format off */
/* A value as JSON text, which tells 1, "1" and true apart. */
#define AS_JSON(row)                                                                                                   \
  "CASE " row ".type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_quote(" row ".atom) END"
/* Has the object all members of the filter ?1? Each summary is looked at: an index of their members costs every write
 * of a summary more than a rare filter is worth. */
#define MEETS(object)                                                                                                  \
  "NOT EXISTS (SELECT 1 FROM json_each(?1) f WHERE NOT EXISTS (SELECT 1 FROM json_each(" object ") m"                  \
  " WHERE m.key = f.key AND " AS_JSON("m") " = " AS_JSON("f") "))"
#define LAST_OF(id) "(SELECT max(seq) FROM record WHERE session = " id ")"
#define LISTED                                                                                                         \
  "SELECT s.id, s.name, s.summary, coalesce(" LAST_OF("s.id") ", s.upto) FROM session s WHERE s.name IS NOT NULL AND " \
  MEETS("s.summary") " AND s.id "
#define DOC_LISTED                                                                                                     \
  "SELECT d.number, d.id, v.json, d.version FROM document d JOIN document_version v ON v.number = d.number"            \
  " AND v.version = d.version WHERE d.collection = ?4 AND " MEETS("v.json") " AND d.number "

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_DATA_VERSION] = "PRAGMA data_version",
    [SQL_USER_VERSION] = "PRAGMA user_version",
    [SQL_QUICK_CHECK] = "PRAGMA quick_check(1)",
    [SQL_SESSION_FIND] = "SELECT id, epoch, parent, upto, " LAST_OF("s.id") " FROM session s WHERE name = ?1",
    [SQL_SESSION_HEAD] =
        "SELECT id, epoch, coalesce(" LAST_OF("s.id") ", upto), created_ms, coalesce((SELECT time_ms FROM record"
        " WHERE session = s.id ORDER BY seq DESC LIMIT 1), created_ms), summary FROM session s WHERE name = ?1",
    [SQL_SESSION_SUMMARY] = "SELECT summary FROM session WHERE name = ?1",
    [SQL_SESSION_NEW] = "INSERT INTO session (name, epoch, parent, upto, created_ms, summary)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_SESSION_EPOCH] = "UPDATE session SET epoch = ?2 WHERE id = ?1",
    [SQL_SESSION_HIDE] = "UPDATE session SET name = NULL, summary = '{}' WHERE id = ?1",
    [SQL_RECORD_ADD] = "INSERT INTO record (session, seq, epoch, time_ms, class, type, payload)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_SUMMARY_SET] = "UPDATE session SET summary = ?2 WHERE id = ?1 AND summary <> ?2",
    [SQL_IS_OBJECT] = "SELECT json_valid(?1) AND json_type(CASE WHEN json_valid(?1) THEN ?1 END) = 'object'",
    /* Youngest first: a fork is younger than what it shares, so one pass frees a whole chain. */
    [SQL_GARBAGE_FIND] = "SELECT s.id, (SELECT max(c.upto) FROM session c WHERE c.parent = s.id) FROM session s"
                         " WHERE s.name IS NULL AND s.id < ?1 ORDER BY s.id DESC LIMIT 1",
    [SQL_GARBAGE_RECORDS] = "DELETE FROM record WHERE rowid IN (SELECT rowid FROM record WHERE session = ?1 AND"
                            " seq > ?2 ORDER BY seq LIMIT ?3)",
    [SQL_GARBAGE_SESSION] = "DELETE FROM session WHERE id = ?1",
    /* The session and what it shares records of: from the youngest to the oldest. */
    [SQL_CHAIN] = "WITH RECURSIVE chain (id, parent, upto, last) AS ("
                  " SELECT id, parent, upto, coalesce(" LAST_OF("s.id") ", upto) FROM session s WHERE name = ?1"
                  " UNION ALL SELECT p.id, p.parent, p.upto, chain.upto FROM chain JOIN session p"
                  " ON p.id = chain.parent) SELECT id, upto, last FROM chain",
    [SQL_RECORDS] = "SELECT seq, epoch, time_ms, class, type, payload FROM record"
                    " WHERE session = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq",
    /* How many conditions are not plain values. */
    [SQL_FILTER_CHECK] = "SELECT count(*) FROM json_each(?1) f WHERE f.type IN ('object', 'array')",
    [SQL_LIST_UP] = LISTED "> ?2 ORDER BY s.id LIMIT ?3",
    [SQL_LIST_DOWN] = LISTED "< ?2 ORDER BY s.id DESC LIMIT ?3",
    [SQL_DOC_FIND] = "SELECT number, version FROM document WHERE collection = ?1 AND id = ?2",
    [SQL_DOC_NEW] = "INSERT INTO document (collection, id, version) VALUES (?1, ?2, 1)",
    [SQL_DOC_SET] = "UPDATE document SET version = ?2 WHERE number = ?1",
    [SQL_DOC_REMOVE] = "DELETE FROM document WHERE number = ?1",
    [SQL_DOC_REMOVE_VERSIONS] = "DELETE FROM document_version WHERE number = ?1",
    [SQL_DOC_VERSION_ADD] = "INSERT INTO document_version (number, version, time_ms, json) VALUES (?1, ?2, ?3, ?4)",
    [SQL_DOC_GET] = "SELECT d.version, v.version, v.json FROM document d LEFT JOIN document_version v"
                    " ON v.number = d.number AND v.version = CASE ?3 WHEN 0 THEN d.version ELSE ?3 END"
                    " WHERE d.collection = ?1 AND d.id = ?2",
    [SQL_DOC_JSON_VALID] = "SELECT json_valid(?1)",
    [SQL_DOC_LIST_UP] = DOC_LISTED "> ?2 ORDER BY d.number LIMIT ?3",
    [SQL_DOC_LIST_DOWN] = DOC_LISTED "< ?2 ORDER BY d.number DESC LIMIT ?3",
};
/* clang-format on */

sqlite3_stmt *store_statement(struct store_conn *conn, enum store_sql which, struct mbp_error *err)
{
  if (!conn->statements[which]) {
    int code =
        sqlite3_prepare_v3(conn->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &conn->statements[which], NULL);
    if (code != SQLITE_OK) {
      (void) store_fault(conn, code, err);
      return NULL;
    }
  }
  return conn->statements[which];
}

int store_step(struct store_conn *conn, sqlite3_stmt *statement, struct mbp_error *err)
{
  errno = 0; /* see store_fault */
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW)
    return 1;
  return code == SQLITE_DONE ? 0 : store_fault(conn, code, err);
}

int store_run(struct store_conn *conn, enum store_sql which, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, which, err);
  int r = statement ? store_step(conn, statement, err) : -err->code;
  return r < 0 ? r : 0;
}

int store_is_object(struct store_conn *conn, struct mbp_str text, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_IS_OBJECT, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, text);
  int r = store_step(conn, statement, err);
  return r < 0 ? r : sqlite3_column_int(statement, 0) == 1;
}
