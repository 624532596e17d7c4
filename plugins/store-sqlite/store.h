/* store.h - the parts of the SQLite store.
 *
 *   plugin.c   descriptor, instances, what is refused before anything is done
 *   conn.c     connections: opening and checking the file, the pool of readers
 *   sql.c      every SQL statement, prepared once for each connection
 *   schema.c   tables and migrations
 *   fault.c    SQLite's errors as magent's
 *   writer.c   the one thread that writes: jobs of all sessions in one transaction, then their answers
 *   session.c  jobs: append, claim, fork, remove
 *   summary.c  summaries and the index that lists are filtered with
 *   claims.c   locks that a killed process loses
 *   read.c     read, head, watch
 *   list.c     pages of sessions and documents
 *   doc.c      documents
 *   rows.c     what was fetched and is to be emitted
 *
 * Threads: a connection is used by one thread at a time. The writer's belongs to its thread; readers take one from the
 * pool for as long as they fetch and give it back before they emit, so a slow consumer holds nobody up.
 */
#ifndef STORE_SQLITE_STORE_H
#define STORE_SQLITE_STORE_H

#include <magent/mbp-store.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#define STORE_SCHEMA 1                  /* the newest that this code knows */
#define STORE_APPLICATION_ID 0x6d61676e /* "magn": tells the file from other programs' databases */
#define STORE_NAME_MAX 200              /* bytes of a session's or document's name */
#define STORE_SUMMARY_MAX (64u * 1024)  /* bytes */
#define STORE_BATCH_RECORDS 100000u     /* records of one append */

/* ---- Errors (fault.c) ---- */

int store_error(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int store_no_memory(struct mbp_error *err);
void store_error_init(struct mbp_error *err);

/* ---- Connections ---- */

enum store_sql {
  SQL_BEGIN_WRITE,
  SQL_BEGIN_READ,
  SQL_COMMIT,
  SQL_ROLLBACK,
  SQL_DATA_VERSION,
  SQL_USER_VERSION,
  SQL_QUICK_CHECK,
  SQL_SESSION_FIND,
  SQL_SESSION_HEAD,
  SQL_SESSION_SUMMARY,
  SQL_SESSION_NEW,
  SQL_SESSION_EPOCH,
  SQL_SESSION_HIDE,
  SQL_RECORD_ADD,
  SQL_SUMMARY_SET,
  SQL_IS_OBJECT,
  SQL_GARBAGE_FIND,
  SQL_GARBAGE_RECORDS,
  SQL_GARBAGE_SESSION,
  SQL_CHAIN,
  SQL_RECORDS,
  SQL_FILTER_CHECK,
  SQL_LIST_UP,
  SQL_LIST_DOWN,
  SQL_DOC_FIND,
  SQL_DOC_NEW,
  SQL_DOC_SET,
  SQL_DOC_REMOVE,
  SQL_DOC_REMOVE_VERSIONS,
  SQL_DOC_VERSION_ADD,
  SQL_DOC_GET,
  SQL_DOC_JSON_VALID,
  SQL_DOC_LIST_UP,
  SQL_DOC_LIST_DOWN,
  SQL_COUNT
};

struct store_conn {
  struct store_conn *next; /* in the pool */
  struct mbp_instance *instance;
  sqlite3 *db;
  sqlite3_stmt *statements[SQL_COUNT];
  bool read_only;
  bool immutable;           /* opened without locks: closed after one use */
  int fault;                /* SQLite's code of the first failure since it was cleared; 0: none */
  int64_t waiting_since_ms; /* of the busy handler */
};

enum store_role { STORE_READER, STORE_WRITER };

/* Opens the file (making it, or bringing its schema up to date, where it may be written) and checks that it is ours. */
int store_conn_open(struct mbp_instance *instance, enum store_role role, struct store_conn **ret_conn,
                    struct mbp_error *err);
void store_conn_close(struct store_conn *conn); /* accepts NULL */
/* Was the file removed or replaced since it was opened? */
bool store_conn_moved(struct store_conn *conn);

/* A reader of the pool. */
int store_conn_take(struct mbp_instance *instance, struct store_conn **ret_conn, struct mbp_error *err);
void store_conn_give(struct store_conn *conn); /* accepts NULL */
void store_conn_drop_idle(struct mbp_instance *instance);

/* A statement, prepared on first use, ready to be bound; NULL: err says why. Reset it when done (store_autoreset). */
sqlite3_stmt *store_statement(struct store_conn *conn, enum store_sql which, struct mbp_error *err);
/* 1: a row; 0: the end; negative: err says why. */
int store_step(struct store_conn *conn, sqlite3_stmt *statement, struct mbp_error *err);
/* A statement without parameters and rows. */
int store_run(struct store_conn *conn, enum store_sql which, struct mbp_error *err);
/* SQLite's failure as ours; remembers it in conn->fault. */
int store_fault(struct store_conn *conn, int code, struct mbp_error *err);
int store_fault_of(const char *path, int code, int number, const char *text, struct mbp_error *err);

static inline void store_reset(sqlite3_stmt **statement)
{
  if (*statement) {
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement); /* they point into the caller's memory */
  }
}
#define store_autoreset __attribute__((cleanup(store_reset))) sqlite3_stmt

static inline void store_give(struct store_conn **conn)
{
  store_conn_give(*conn);
}
#define store_autoconn __attribute__((cleanup(store_give))) struct store_conn

static inline void store_bind(sqlite3_stmt *statement, int index, struct mbp_str text)
{
  /* An empty text may have no address, which SQLite would take for NULL. */
  sqlite3_bind_text64(statement, index, text.len ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static inline struct mbp_str store_column(sqlite3_stmt *statement, int index)
{
  const char *text = (const char *) sqlite3_column_text(statement, index);
  return mbp_str_n(text ? text : "", text ? (size_t) sqlite3_column_bytes(statement, index) : 0);
}

/* Reads the schema's version and makes or migrates it; negative if the file is not ours, newer or damaged. */
int store_schema_check(struct store_conn *conn, int64_t *ret_version, struct mbp_error *err);
int store_schema_migrate(struct store_conn *conn, struct mbp_error *err);
int store_schema_newer(const char *path, int64_t version, struct mbp_error *err);

/* ---- The writer ---- */

struct store_session {
  int64_t id;
  uint64_t epoch, last;
  int64_t parent, upto; /* the first `upto` records are `parent`'s; 0: none */
};

struct store_job {
  struct store_job *next;
  struct mbp_call *call;
  /* Inside the transaction. Everything that may be wrong is checked before anything is changed: a job that fails fails
   * alone, without undoing. A failure of SQLite itself (conn->fault) undoes the transaction. */
  int (*run)(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
  /* After the transaction, whatever came of it. May be NULL. */
  void (*settle)(struct mbp_instance *instance, struct store_job *job, bool committed);
  struct mbp_str session; /* whose watchers are woken */
  const struct mbp_append *append;
  struct mbp_str other, text; /* fork: new session, summary; documents: id, JSON */
  uint64_t number;            /* fork: upto; documents: expected version */
  int64_t locked;             /* claim, remove: the session that was locked, or 0 */
  bool removes;               /* leaves something for the collection of garbage */
  const void *result;
  union {
    struct mbp_appended appended;
    struct mbp_claim claim;
    struct mbp_head head;
    struct mbp_version version;
  } answer;
  int code;
  struct mbp_error error;
};

struct store_watcher {
  struct store_watcher *next;
  struct mbp_str session;
  int fd; /* eventfd */
};

struct store_writer {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool started, stop;
  bool early; /* the thread opens its connection before the first job */
  struct store_job *first, **end;
  struct store_watcher *watchers;
  /* The thread's own. */
  struct store_conn *conn;
  bool garbage; /* there may be some */
  bool version_known;
  int64_t data_version;
};

int store_writer_init(struct store_writer *writer);
/* Where the file is there already, it is opened beside whatever the caller does next. */
void store_writer_early(struct mbp_instance *instance);
void store_writer_done(struct mbp_instance *instance);
/* A zeroed job; NULL: err says why. */
struct store_job *store_job_new(struct mbp_call *call, struct mbp_error *err);
/* Takes the job over; its call is answered by the writer. Negative: refused, the job is freed. */
int store_writer_submit(struct mbp_instance *instance, struct store_job *job, struct mbp_error *err);
int store_writer_watch(struct mbp_instance *instance, struct store_watcher *watcher, struct mbp_error *err);
void store_writer_unwatch(struct mbp_instance *instance, struct store_watcher *watcher);

/* Jobs. */
int store_run_append(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
int store_run_claim(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
void store_settle_claim(struct mbp_instance *instance, struct store_job *job, bool committed);
int store_run_fork(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
int store_run_remove(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
void store_settle_remove(struct mbp_instance *instance, struct store_job *job, bool committed);
int store_run_doc_put(struct store_conn *conn, struct store_job *job, struct mbp_error *err);
/* One bounded piece of work on what removed sessions left. 1: there is more; 0: nothing is left. */
int store_collect_garbage(struct store_conn *conn, struct mbp_error *err);

/* Is `text` a JSON object, such as summaries and filters are? 1, 0, or negative: SQLite failed. */
int store_is_object(struct store_conn *conn, struct mbp_str text, struct mbp_error *err);

/* ---- Claims ---- */

struct store_claim {
  struct store_claim *next;
  int64_t id;
  char name[STORE_NAME_MAX + 1];
};

struct store_claims {
  pthread_mutex_t lock;
  char *path;
  int fd; /* of the file that is locked; -1: not opened yet */
  struct store_claim *first;
};

/* 0, -MBP_E_BUSY (somebody holds it) or another failure. */
int store_claim_take(struct mbp_instance *instance, int64_t id, struct mbp_str name, struct mbp_error *err);
void store_claim_drop(struct mbp_instance *instance, int64_t id);
void store_claim_drop_name(struct mbp_instance *instance, struct mbp_str name);
bool store_claim_held(struct mbp_instance *instance, int64_t id);
void store_claims_done(struct store_claims *claims);

/* ---- Instances ---- */

#define STORE_POOL 8

struct mbp_instance {
  const struct mbp_host *host;
  char *path;
  int64_t max_record, busy_ms;
  bool durable;
  pthread_mutex_t pool_lock;
  pthread_cond_t pool_changed;
  struct store_conn *idle;
  unsigned n_readers; /* idle or taken */
  struct store_writer writer;
  struct store_claims claims;
};

/* Ends a call: without error if r is 0. */
void store_done(struct mbp_instance *instance, struct mbp_call *call, int r, const void *result,
                const struct mbp_error *error);
int store_cancelled(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);

/* Operations. */
int store_read(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
               uint32_t limit, struct mbp_error *err);
int store_head(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err);
int store_watch(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
                struct mbp_error *err);
int store_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);
int store_list(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_query *query,
               struct mbp_error *err);
int store_doc_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection, struct mbp_str id,
                  uint64_t version, struct mbp_error *err);
int store_doc_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                   const struct mbp_query *query, struct mbp_error *err);

/* ---- Rows that were fetched and are to be emitted (rows.c) ---- */

struct store_row {
  struct mbp_record record; /* of records: all; else type: name, payload: data, seq: number */
  size_t type_at, payload_at;
  int64_t position; /* in the order of a list */
};

struct store_rows {
  struct store_row *rows;
  size_t n, cap;
  char *bytes;
  size_t len, bytes_cap;
};

/* 0 or -MBP_E_NO_MEMORY. The texts are copied. */
int store_rows_add(struct store_rows *rows, const struct mbp_record *record, int64_t position);
void store_rows_clear(struct store_rows *rows);
void store_rows_done(struct store_rows *rows);
struct mbp_record store_rows_record(const struct store_rows *rows, size_t index);

#define store_autorows __attribute__((cleanup(store_rows_done))) struct store_rows

#endif
