/* The one thread that writes: takes all jobs that wait, runs them in one transaction, and answers once it is durable.
 *
 * While somebody watches, the thread also looks for commits of other processes: SQLite keeps a number that changes with
 * them, and asking for it takes some microseconds. (Watching the -wal file by inotify would tell of writes before they
 * are commits, and on some file systems of nothing at all.) */
#include "store.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH_JOBS 512
#define BATCH_BYTES (16u * 1024 * 1024)
#define LOOK_MS 25           /* how often, for commits of other processes */
#define LAST_GARBAGE_MS 1000 /* at most, when the instance is closed */

static int64_t now_ms(struct mbp_instance *instance)
{
  return instance->host->clock_ms(instance->host->ctx, MBP_CLOCK_MONOTONIC);
}

/* ---- One transaction ------------------------------------------------------------------------------------------ */

static void drop_connection(struct store_writer *writer)
{
  store_conn_close(writer->conn);
  writer->conn = NULL;
  writer->version_known = false;
}

/* The thread's connection to the file that has the name now. */
static int connect_file(struct mbp_instance *instance, struct mbp_error *err)
{
  struct store_writer *writer = &instance->writer;
  /* One that may only read is opened anew: the mode may have been changed. */
  if (writer->conn && (writer->conn->read_only || store_conn_moved(writer->conn)))
    drop_connection(writer);
  if (writer->conn)
    return 0;
  return store_conn_open(instance, STORE_WRITER, &writer->conn, err);
}

/* Nothing is changed in a file that a newer program has taken over since we opened it. */
static int check_version(struct store_conn *conn, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_USER_VERSION, err);
  if (!statement)
    return -err->code;
  int r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  int64_t version = sqlite3_column_int64(statement, 0);
  return version > STORE_SCHEMA ? store_schema_newer(conn->instance->path, version, err) : 0;
}

static int begin(struct mbp_instance *instance, struct mbp_error *err)
{
  int r = connect_file(instance, err);
  if (r < 0)
    return r;
  struct store_conn *conn = instance->writer.conn;
  conn->fault = 0;
  if (conn->read_only)
    return store_fault_of(instance->path, SQLITE_READONLY, 0, "", err);
  r = store_run(conn, SQL_BEGIN_WRITE, err);
  return r < 0 ? r : check_version(conn, err);
}

static int commit(struct mbp_instance *instance, struct mbp_error *err)
{
  struct store_conn *conn = instance->writer.conn;
  /* SQLite would go on writing to a file that nobody will ever open again. */
  if (store_conn_moved(conn))
    return store_error(err, MBP_E_LOST, "%.250s was removed or replaced while in use; nothing was written",
                       instance->path);
  return store_run(conn, SQL_COMMIT, err);
}

static void roll_back(struct mbp_instance *instance)
{
  struct store_writer *writer = &instance->writer;
  if (!writer->conn)
    return;
  int fault = writer->conn->fault & 0xff;
  if (!sqlite3_get_autocommit(writer->conn->db)) {
    struct mbp_error ignored;
    (void) store_run(writer->conn, SQL_ROLLBACK, &ignored);
  }
  writer->conn->fault = 0;
  /* After a failure of the disk what SQLite remembers of the file is not trusted any more. */
  if (!sqlite3_get_autocommit(writer->conn->db) || (fault && fault != SQLITE_BUSY && fault != SQLITE_FULL))
    drop_connection(writer);
}

static size_t bytes_of(const struct store_job *job)
{
  size_t bytes = job->text.len;
  for (size_t i = 0; job->append && i < job->append->n_records; i++)
    bytes += job->append->records[i].payload.len;
  return bytes;
}

/* There is at least one. */
static struct store_job *take_batch(struct store_writer *writer)
{
  pthread_mutex_lock(&writer->lock);
  struct store_job *jobs = writer->first, *last = jobs;
  size_t n = 1, bytes = bytes_of(jobs);
  while (last->next && n < BATCH_JOBS && (bytes += bytes_of(last->next)) <= BATCH_BYTES) {
    last = last->next;
    n++;
  }
  writer->first = last->next;
  if (!writer->first)
    writer->end = &writer->first;
  last->next = NULL;
  pthread_mutex_unlock(&writer->lock);
  return jobs;
}

/* All jobs of a list or none; an empty list: those that wait once the transaction has begun, so that who asks for two
 * things at a time waits for the disk once. *ret_job_failed: SQLite failed inside a job, not before or behind them. */
static int transact(struct mbp_instance *instance, struct store_job **list, bool *ret_job_failed, struct mbp_error *err)
{
  *ret_job_failed = false;
  int r = begin(instance, err);
  if (!*list)
    *list = take_batch(&instance->writer);
  struct store_job *jobs = *list;
  for (struct store_job *job = jobs; job && r == 0; job = job->next) {
    store_error_init(&job->error);
    job->code = store_cancelled(instance, job->call, &job->error);
    if (job->code == 0)
      job->code = job->run(instance->writer.conn, job, &job->error);
    if (instance->writer.conn->fault) {
      *err = job->error;
      r = job->code < 0 ? job->code : store_error(err, MBP_E_INTERNAL, "a failure of the database was not seen");
      *ret_job_failed = true;
    }
  }
  if (r == 0)
    r = commit(instance, err);
  if (r < 0)
    roll_back(instance);
  for (struct store_job *job = jobs; job; job = job->next)
    if (job->settle)
      job->settle(instance, job, r == 0);
  return r;
}

/* ---- Answers -------------------------------------------------------------------------------------------------- */

static void wake(const struct store_watcher *watcher)
{
  (void) !write(watcher->fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void wake_watchers(struct store_writer *writer, const struct store_job *jobs)
{
  pthread_mutex_lock(&writer->lock);
  for (struct store_watcher *watcher = writer->watchers; watcher; watcher = watcher->next)
    for (const struct store_job *job = jobs; job; job = job->next)
      if (job->session.len == watcher->session.len &&
          memcmp(job->session.ptr, watcher->session.ptr, job->session.len) == 0) {
        wake(watcher);
        break;
      }
  pthread_mutex_unlock(&writer->lock);
}

static void answer(struct mbp_instance *instance, struct store_job *jobs, int r, const struct mbp_error *err)
{
  if (r == 0)
    wake_watchers(&instance->writer, jobs); /* before `done`: the names are borrowed until then */
  while (jobs) {
    struct store_job *job = jobs;
    jobs = job->next;
    if (r == 0 && job->code == 0 && job->removes)
      instance->writer.garbage = true;
    int code = r < 0 ? r : job->code;
    store_done(instance, job->call, code, job->result, r < 0 ? err : &job->error);
    free(job);
  }
}

static void run_jobs(struct mbp_instance *instance)
{
  struct mbp_error err;
  bool job_failed;
  struct store_job *jobs = NULL;
  store_error_init(&err);
  int r = transact(instance, &jobs, &job_failed, &err);
  if (r == 0 || !job_failed || !jobs->next) {
    answer(instance, jobs, r, &err);
    return;
  }
  /* One of them is the cause: the others shall not suffer. */
  while (jobs) {
    struct store_job *job = jobs;
    jobs = job->next;
    job->next = NULL;
    store_error_init(&err);
    r = transact(instance, &job, &job_failed, &err);
    answer(instance, job, r, &err);
  }
}

/* ---- What the thread does beside jobs ------------------------------------------------------------------------- */

/* Asked first, so that a start without garbage takes no lock. */
static bool any_garbage(struct store_conn *conn)
{
  struct mbp_error err;
  store_error_init(&err);
  store_autoreset *statement = store_statement(conn, SQL_GARBAGE_FIND, &err);
  if (!statement)
    return false;
  sqlite3_bind_int64(statement, 1, INT64_MAX);
  return store_step(conn, statement, &err) == 1;
}

static void collect_garbage(struct mbp_instance *instance)
{
  struct mbp_error err;
  store_error_init(&err);
  if (!any_garbage(instance->writer.conn)) {
    instance->writer.garbage = false;
    return;
  }
  int r = begin(instance, &err);
  if (r == 0)
    r = store_collect_garbage(instance->writer.conn, &err);
  instance->writer.garbage = r == 1;
  if (r >= 0)
    r = commit(instance, &err);
  if (r < 0)
    roll_back(instance);
}

static bool others_committed(struct mbp_instance *instance)
{
  struct store_writer *writer = &instance->writer;
  struct mbp_error err;
  store_error_init(&err);
  if (!writer->conn && store_conn_open(instance, STORE_WRITER, &writer->conn, &err) < 0)
    return false;
  if (store_conn_moved(writer->conn)) {
    drop_connection(writer);
    return true;
  }
  store_autoreset *statement = store_statement(writer->conn, SQL_DATA_VERSION, &err);
  if (!statement || store_step(writer->conn, statement, &err) != 1)
    return false;
  int64_t version = sqlite3_column_int64(statement, 0);
  bool changed = !writer->version_known || version != writer->data_version;
  writer->version_known = true;
  writer->data_version = version;
  return changed;
}

static void wait_for(struct store_writer *writer, int64_t ms)
{
  struct timespec until;
  (void) clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += ms * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    until.tv_sec++;
  }
  (void) pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
}

/* The lock is held, and again on return. */
static void look_for_commits(struct mbp_instance *instance, int64_t *looked_ms)
{
  struct store_writer *writer = &instance->writer;
  if (!writer->watchers || now_ms(instance) - *looked_ms < LOOK_MS)
    return;
  pthread_mutex_unlock(&writer->lock);
  bool changed = others_committed(instance);
  *looked_ms = now_ms(instance);
  pthread_mutex_lock(&writer->lock);
  for (struct store_watcher *watcher = writer->watchers; changed && watcher; watcher = watcher->next)
    wake(watcher);
}

/* The connections that the first operations will want. What fails here fails again there, where somebody is told. */
static void open_connection(struct mbp_instance *instance, enum store_role role)
{
  struct mbp_error ignored;
  struct store_conn *reader = NULL;
  store_error_init(&ignored);
  if (role == STORE_WRITER)
    (void) connect_file(instance, &ignored);
  else if (store_conn_take(instance, &reader, &ignored) == 0)
    store_conn_give(reader);
}

static void *work(void *arg)
{
  struct mbp_instance *instance = arg;
  struct store_writer *writer = &instance->writer;
  int64_t stopped_ms = 0, looked_ms = 0;
  bool reader_wanted = writer->early;
  if (writer->early)
    open_connection(instance, STORE_WRITER);
  pthread_mutex_lock(&writer->lock);
  for (;;) {
    if (writer->stop && !stopped_ms)
      stopped_ms = now_ms(instance);
    look_for_commits(instance, &looked_ms);
    if (writer->first) {
      pthread_mutex_unlock(&writer->lock);
      run_jobs(instance);
      if (reader_wanted) /* who writes reads next */
        open_connection(instance, STORE_READER);
      reader_wanted = false;
      pthread_mutex_lock(&writer->lock);
    } else if (writer->garbage && writer->conn && !writer->conn->read_only &&
               !(stopped_ms && now_ms(instance) - stopped_ms > LAST_GARBAGE_MS)) {
      pthread_mutex_unlock(&writer->lock);
      collect_garbage(instance);
      pthread_mutex_lock(&writer->lock);
    } else if (writer->stop) {
      break;
    } else if (writer->watchers) {
      wait_for(writer, LOOK_MS);
    } else {
      pthread_cond_wait(&writer->wake, &writer->lock);
    }
  }
  pthread_mutex_unlock(&writer->lock);
  drop_connection(writer);
  return NULL;
}

/* ---- From other threads --------------------------------------------------------------------------------------- */

/* The lock is held. */
static int start(struct mbp_instance *instance, struct mbp_error *err)
{
  struct store_writer *writer = &instance->writer;
  sigset_t all, old;
  if (writer->started)
    return 0;
  sigfillset(&all);
  (void) pthread_sigmask(SIG_SETMASK, &all, &old);
  int number = pthread_create(&writer->thread, NULL, work, instance);
  (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (number)
    return store_error(err, MBP_E_LIMIT, "cannot start the store's thread: too many threads or too little memory");
  writer->started = true;
  return 0;
}

void store_writer_early(struct mbp_instance *instance)
{
  struct stat status;
  struct mbp_error ignored;
  if (stat(instance->path, &status) < 0 || status.st_size == 0 || access(instance->path, W_OK) < 0)
    return; /* nothing is made before somebody asks for it */
  store_error_init(&ignored);
  pthread_mutex_lock(&instance->writer.lock);
  instance->writer.early = true;
  (void) start(instance, &ignored);
  pthread_mutex_unlock(&instance->writer.lock);
}

struct store_job *store_job_new(struct mbp_call *call, struct mbp_error *err)
{
  struct store_job *job = calloc(1, sizeof(*job));
  if (job)
    job->call = call;
  else
    (void) store_no_memory(err);
  return job;
}

int store_writer_submit(struct mbp_instance *instance, struct store_job *job, struct mbp_error *err)
{
  struct store_writer *writer = &instance->writer;
  pthread_mutex_lock(&writer->lock);
  int r = start(instance, err);
  if (r == 0) {
    *writer->end = job;
    writer->end = &job->next;
    pthread_cond_signal(&writer->wake);
  }
  pthread_mutex_unlock(&writer->lock);
  if (r < 0)
    free(job);
  return r;
}

int store_writer_watch(struct mbp_instance *instance, struct store_watcher *watcher, struct mbp_error *err)
{
  struct store_writer *writer = &instance->writer;
  pthread_mutex_lock(&writer->lock);
  int r = start(instance, err);
  if (r == 0) {
    watcher->next = writer->watchers;
    writer->watchers = watcher;
    pthread_cond_signal(&writer->wake);
  }
  pthread_mutex_unlock(&writer->lock);
  return r;
}

void store_writer_unwatch(struct mbp_instance *instance, struct store_watcher *watcher)
{
  struct store_writer *writer = &instance->writer;
  pthread_mutex_lock(&writer->lock);
  struct store_watcher **place = &writer->watchers;
  while (*place && *place != watcher)
    place = &(*place)->next;
  if (*place)
    *place = watcher->next;
  pthread_mutex_unlock(&writer->lock);
}

int store_writer_init(struct store_writer *writer)
{
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0)
    return -MBP_E_NO_MEMORY;
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&writer->lock, NULL);
  pthread_cond_init(&writer->wake, &attributes);
  pthread_condattr_destroy(&attributes);
  writer->end = &writer->first;
  writer->garbage = true; /* of a process that ended before it was done */
  return 0;
}

void store_writer_done(struct mbp_instance *instance)
{
  struct store_writer *writer = &instance->writer;
  pthread_mutex_lock(&writer->lock);
  writer->stop = true;
  pthread_cond_signal(&writer->wake);
  pthread_mutex_unlock(&writer->lock);
  if (writer->started)
    (void) pthread_join(writer->thread, NULL);
  pthread_cond_destroy(&writer->wake);
  pthread_mutex_destroy(&writer->lock);
}
