/* Connections: opening and checking the file, the pool of readers. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- The file ------------------------------------------------------------------------------------------------- */

static void sync_directory(const char *path)
{
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void) fsync(fd);
  (void) close(fd);
}

static int code_of(int number)
{
  return number == ENOSPC || number == EDQUOT  ? MBP_E_NO_SPACE
         : number == EROFS                     ? MBP_E_READ_ONLY
         : number == EACCES || number == EPERM ? MBP_E_PERMISSION
                                               : MBP_E_UNAVAILABLE;
}

/* Makes the directories above the file, for their owner alone, each durable in the one above it. */
static int make_directories(const char *path, struct mbp_error *err)
{
  char *copy = strdup(path), text[100];
  int r = 0;
  if (!copy)
    return store_no_memory(err);
  for (char *slash = strchr(copy + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(copy, 0700) == 0) {
      char *above = strrchr(copy, '/');
      *above = 0;
      sync_directory(copy[0] ? copy : "/");
      *above = '/';
    } else if (errno != EEXIST) {
      r = store_error(err, code_of(errno), "cannot make the directory %.200s: %s", copy,
                      strerror_r(errno, text, sizeof(text)));
    }
    *slash = '/';
  }
  free(copy);
  return r;
}

/* Makes an empty file for its owner alone. Not by open: closing a descriptor of the file would drop the locks that
 * other connections of this process hold on it. SQLite gives the -wal and -shm files the mode of this one. */
static int make_file(const char *path, struct mbp_error *err)
{
  struct stat status;
  char text[100];
  if (stat(path, &status) == 0) {
    if (S_ISREG(status.st_mode))
      return 0;
    return store_error(err, MBP_E_INVALID, "%.250s is not a file: set another path", path);
  }
  int r = errno == ENOENT ? make_directories(path, err) : 0;
  if (r < 0 || mknod(path, S_IFREG | 0600, 0) == 0 || errno == EEXIST)
    return r;
  return store_error(err, code_of(errno), "cannot make %.250s: %s", path, strerror_r(errno, text, sizeof(text)));
}

bool store_conn_moved(struct store_conn *conn)
{
  int moved = 0;
  return sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

/* Waits in short steps: another process's transaction takes about a millisecond, and SQLite's own handler sleeps up to
 * a hundred. */
static int busy(void *ctx, int count)
{
  struct store_conn *conn = ctx;
  const struct mbp_host *host = conn->instance->host;
  int64_t now = host->clock_ms(host->ctx, MBP_CLOCK_MONOTONIC);
  uint32_t random;
  if (count == 0)
    conn->waiting_since_ms = now;
  if (now - conn->waiting_since_ms >= conn->instance->busy_ms)
    return 0;
  sqlite3_randomness(sizeof(random), &random);
  struct timespec pause = {.tv_nsec = 200000 + random % (count < 20 ? 800000 : 5000000)};
  (void) nanosleep(&pause, NULL);
  return 1;
}

static int configure(struct store_conn *conn, enum store_role role, struct mbp_error *err)
{
  char pragmas[300];
  sqlite3_extended_result_codes(conn->db, 1);
  sqlite3_busy_handler(conn->db, busy, conn);
  (void) sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  (void) sqlite3_db_config(conn->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  (void) sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
  (void) sqlite3_limit(conn->db, SQLITE_LIMIT_ATTACHED, 0);
  /* What is removed is overwritten: logs may hold what people want to be gone. */
  static const char writer[] = "PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 2000;"
                               "PRAGMA journal_size_limit = 67108864";
  sqlite3_snprintf(sizeof(pragmas), pragmas,
                   "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                   "PRAGMA synchronous = %s; %s",
                   conn->instance->durable ? "FULL" : "OFF",
                   role == STORE_WRITER ? writer : "PRAGMA query_only = ON; PRAGMA cache_size = -256");
  int code = sqlite3_exec(conn->db, pragmas, NULL, NULL, NULL);
  return code == SQLITE_OK ? 0 : store_fault(conn, code, err);
}

static int open_database(struct store_conn *conn, const char *name, int flags, enum store_role role,
                         struct mbp_error *err)
{
  sqlite3_close(conn->db);
  conn->db = NULL;
  conn->fault = 0;
  int code = sqlite3_open_v2(name, &conn->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
  if (!conn->db)
    return store_no_memory(err);
  if (code != SQLITE_OK)
    return store_fault(conn, sqlite3_extended_errcode(conn->db), err);
  return configure(conn, role, err);
}

/* A file in a directory that may not be written: SQLite cannot make the files that it needs beside it. While there is
 * no -wal file nobody writes, so that it can be read without locks. */
static int open_immutable(struct store_conn *conn, enum store_role role, struct mbp_error *err)
{
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~";
  const char *path = conn->instance->path;
  struct stat status;
  size_t len = strlen(path), at = 5;
  char *uri = malloc(5 + 3 * len + sizeof("-wal?immutable=1"));
  if (!uri)
    return store_no_memory(err);
  (void) snprintf(uri, len + 5, "%s-wal", path);
  if (stat(uri, &status) == 0 && status.st_size > 0) {
    free(uri);
    return store_error(err, MBP_E_READ_ONLY,
                       "%.200s has a -wal file, and its directory may not be written: copy both to where you may write",
                       path);
  }
  memcpy(uri, "file:", 5);
  for (size_t i = 0; i < len; i++)
    at += (size_t) snprintf(uri + at, 4, strchr(plain, path[i]) ? "%c" : "%%%02X", (unsigned char) path[i]);
  memcpy(uri + at, "?immutable=1", sizeof("?immutable=1"));
  conn->immutable = true;
  int r = open_database(conn, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, role, err);
  free(uri);
  return r;
}

static bool directory_writable(const char *path)
{
  char *directory = strdup(path);
  if (!directory)
    return true;
  char *slash = strrchr(directory, '/');
  slash[slash == directory] = 0;
  bool writable = access(directory, W_OK) == 0;
  free(directory);
  return writable;
}

static int open_and_check(struct store_conn *conn, enum store_role role, int64_t *ret_version, struct mbp_error *err)
{
  int r = open_database(conn, conn->instance->path, SQLITE_OPEN_READWRITE, role, err);
  if (r == 0)
    r = store_schema_check(conn, ret_version, err);
  int fault = conn->fault & 0xff;
  if (r == 0 || (fault != SQLITE_CANTOPEN && fault != SQLITE_READONLY) || directory_writable(conn->instance->path) ||
      access(conn->instance->path, R_OK) != 0)
    return r;
  struct mbp_error again;
  store_error_init(&again);
  if ((r = open_immutable(conn, role, &again)) == 0)
    r = store_schema_check(conn, ret_version, &again);
  if (r < 0)
    *err = again;
  return r;
}

/* WAL lets readers and the writer go on beside each other. The mode is a property of the file and is set once; while
 * another process sets it too, SQLite says "busy" without waiting. */
static int switch_to_wal(struct store_conn *conn, struct mbp_error *err)
{
  int code;
  for (int count = 0;; count++) {
    sqlite3_stmt *statement = NULL;
    bool on = false;
    code = sqlite3_prepare_v2(conn->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
      const char *mode = (const char *) sqlite3_column_text(statement, 0);
      on = mode && strcmp(mode, "wal") == 0;
      code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (on)
      return 0;
    if (code == SQLITE_OK)
      return store_error(err, MBP_E_UNSUPPORTED,
                         "%.200s: SQLite's WAL mode does not work on this file system: set a path on a local disk",
                         conn->instance->path);
    if ((code & 0xff) != SQLITE_BUSY || !busy(conn, count))
      return store_fault(conn, code, err);
  }
}

static int open_for_use(struct store_conn *conn, enum store_role role, struct mbp_error *err)
{
  int64_t version = 0;
  int r = make_file(conn->instance->path, err);
  if (r == 0)
    r = open_and_check(conn, role, &version, err);
  if (r < 0)
    return r;
  conn->read_only = conn->immutable || sqlite3_db_readonly(conn->db, "main") == 1;
  if (conn->read_only && version < STORE_SCHEMA)
    return store_error(err, MBP_E_READ_ONLY, "%.200s has %s and may not be written: open it once where it may be",
                       conn->instance->path, version ? "an older schema" : "no tables yet");
  if (version == STORE_SCHEMA)
    return 0;
  (void) sqlite3_exec(conn->db, "PRAGMA query_only = OFF", NULL, NULL, NULL);
  if (version == 0)
    r = switch_to_wal(conn, err);
  if (r == 0)
    r = store_schema_migrate(conn, err);
  if (role == STORE_READER)
    (void) sqlite3_exec(conn->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
  return r;
}

int store_conn_open(struct mbp_instance *instance, enum store_role role, struct store_conn **ret_conn,
                    struct mbp_error *err)
{
  struct store_conn *conn = calloc(1, sizeof(*conn));
  if (!conn)
    return store_no_memory(err);
  conn->instance = instance;
  int r = open_for_use(conn, role, err);
  if (r < 0) {
    store_conn_close(conn);
    return r;
  }
  *ret_conn = conn;
  return 0;
}

void store_conn_close(struct store_conn *conn)
{
  if (!conn)
    return;
  for (int i = 0; i < SQL_COUNT; i++)
    sqlite3_finalize(conn->statements[i]);
  sqlite3_close(conn->db);
  free(conn);
}

/* ---- Pool of readers ------------------------------------------------------------------------------------------ */

static struct store_conn *pop(struct mbp_instance *instance)
{
  struct store_conn *conn = instance->idle;
  if (conn)
    instance->idle = conn->next;
  return conn;
}

static void forget(struct mbp_instance *instance)
{
  pthread_mutex_lock(&instance->pool_lock);
  instance->n_readers--;
  pthread_cond_signal(&instance->pool_changed);
  pthread_mutex_unlock(&instance->pool_lock);
}

int store_conn_take(struct mbp_instance *instance, struct store_conn **ret_conn, struct mbp_error *err)
{
  pthread_mutex_lock(&instance->pool_lock);
  struct store_conn *conn;
  /* Nobody keeps one for long, see store.h. */
  while (!(conn = pop(instance)) && instance->n_readers >= STORE_POOL)
    pthread_cond_wait(&instance->pool_changed, &instance->pool_lock);
  if (!conn)
    instance->n_readers++;
  pthread_mutex_unlock(&instance->pool_lock);
  if (conn && store_conn_moved(conn)) {
    store_conn_close(conn);
    conn = NULL;
  }
  int r = conn ? 0 : store_conn_open(instance, STORE_READER, &conn, err);
  if (r < 0) {
    forget(instance);
    return r;
  }
  *ret_conn = conn;
  return 0;
}

void store_conn_give(struct store_conn *conn)
{
  if (!conn)
    return;
  struct mbp_instance *instance = conn->instance;
  if (!sqlite3_get_autocommit(conn->db))
    (void) sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
  if (conn->immutable || conn->fault) {
    store_conn_close(conn);
    forget(instance);
    return;
  }
  pthread_mutex_lock(&instance->pool_lock);
  conn->next = instance->idle;
  instance->idle = conn;
  pthread_cond_signal(&instance->pool_changed);
  pthread_mutex_unlock(&instance->pool_lock);
}

void store_conn_drop_idle(struct mbp_instance *instance)
{
  struct store_conn *conn;
  while ((conn = pop(instance)))
    store_conn_close(conn);
}
