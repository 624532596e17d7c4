/* Reading logs: a piece is fetched in one read transaction, the connection is given back, then the piece is emitted. */
#include "store.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PIECE_ROWS 512
#define PIECE_BYTES (1024u * 1024)

/* The part of a session's log that one session of its chain holds. */
struct segment {
  int64_t id;
  uint64_t first, last;
};

/* Finds who has record `from`. 1, or 0 at the end of the log. */
static int find_segment(struct store_conn *conn, struct mbp_str name, uint64_t from, struct segment *ret_segment,
                        struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_CHAIN, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, name);
  bool known = false;
  int r;
  while ((r = store_step(conn, statement, err)) == 1) {
    uint64_t shared = (uint64_t) sqlite3_column_int64(statement, 1),
             last = (uint64_t) sqlite3_column_int64(statement, 2);
    if (!known && from > last)
      return 0;
    known = true;
    if (from > shared) {
      *ret_segment = (struct segment){.id = sqlite3_column_int64(statement, 0), .first = from, .last = last};
      return 1;
    }
  }
  if (r < 0)
    return r;
  if (known)
    return store_error(err, MBP_E_CORRUPT, "%.250s: session %.*s lacks record %llu", conn->instance->path,
                       (int) name.len, name.ptr, (unsigned long long) from);
  return store_error(err, MBP_E_NOT_FOUND, "no session \"%.*s\"", (int) name.len, name.ptr);
}

static int fetch_segment(struct store_conn *conn, const struct segment *segment, uint64_t limit,
                         struct store_rows *rows, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_RECORDS, err);
  if (!statement)
    return -err->code;
  sqlite3_bind_int64(statement, 1, segment->id);
  sqlite3_bind_int64(statement, 2, (int64_t) segment->first);
  sqlite3_bind_int64(statement, 3, (int64_t) segment->last);
  while (rows->n < limit && rows->n < PIECE_ROWS && rows->len < PIECE_BYTES) {
    int r = store_step(conn, statement, err);
    if (r <= 0)
      return r;
    struct mbp_record record = {
        .seq = (uint64_t) sqlite3_column_int64(statement, 0),
        .epoch = (uint64_t) sqlite3_column_int64(statement, 1),
        .time_ms = sqlite3_column_int64(statement, 2),
        .klass = (uint32_t) sqlite3_column_int64(statement, 3),
        .type = store_column(statement, 4),
        .payload = store_column(statement, 5),
    };
    if (record.seq != segment->first + rows->n)
      return store_error(err, MBP_E_CORRUPT, "%.250s: record %llu is missing: the file is damaged",
                         conn->instance->path, (unsigned long long) (segment->first + rows->n));
    if (store_rows_add(rows, &record, 0) < 0)
      return store_no_memory(err);
  }
  return 0;
}

/* Some of the records from `from` on; none at the end of the log. */
static int fetch(struct mbp_instance *instance, struct mbp_str name, uint64_t from, uint64_t limit,
                 struct store_rows *rows, struct mbp_error *err)
{
  store_autoconn *conn = NULL;
  struct segment segment = {0};
  store_rows_clear(rows);
  int r = store_conn_take(instance, &conn, err);
  if (r == 0)
    r = store_run(conn, SQL_BEGIN_READ, err);
  if (r == 0)
    r = find_segment(conn, name, from, &segment, err);
  if (r == 1) {
    r = fetch_segment(conn, &segment, limit, rows, err);
    if (r == 0 && rows->n == 0)
      r = store_error(err, MBP_E_CORRUPT, "%.250s: record %llu is missing: the file is damaged", instance->path,
                      (unsigned long long) from);
  }
  if (r == 0)
    r = store_run(conn, SQL_COMMIT, err);
  return r;
}

static int emit_records(struct mbp_instance *instance, struct mbp_call *call, const struct store_rows *rows,
                        struct mbp_error *err)
{
  for (size_t i = 0; i < rows->n; i++) {
    struct mbp_record record = store_rows_record(rows, i);
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                              .type = MBP_EV_STORE_RECORD,
                              .data = mbp_str_n((const char *) &record, sizeof(record))};
    if (instance->host->emit(call, &event) < 0) {
      int r = store_cancelled(instance, call, err);
      return r < 0 ? r : store_error(err, MBP_E_CANCELLED, "cancelled");
    }
  }
  return 0;
}

/* Emits from *from on, at most *left, to the end of the log; advances both. */
static int emit_log(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str name, uint64_t *from,
                    uint64_t *left, struct mbp_error *err)
{
  store_autorows rows = {0};
  int r = 0;
  while (r == 0 && *left) {
    r = fetch(instance, name, *from, *left, &rows, err);
    if (r < 0 || rows.n == 0)
      break;
    *from += rows.n;
    *left -= rows.n;
    r = emit_records(instance, call, &rows, err);
  }
  return r;
}

/* Sequence numbers are 63 bits in the file; no log has as many. */
static uint64_t first_wanted(uint64_t from)
{
  return from == 0 ? 1 : from > INT64_MAX ? INT64_MAX : from;
}

int store_read(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
               uint32_t limit, struct mbp_error *err)
{
  uint64_t left = limit ? limit : UINT64_MAX;
  from = first_wanted(from);
  int r = emit_log(instance, call, session, &from, &left, err);
  store_done(instance, call, r, NULL, err);
  return 0;
}

int store_head(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err)
{
  struct mbp_head head = {.size = MBP_SIZE(struct mbp_head, summary)};
  store_autoconn *conn = NULL;
  int r = store_conn_take(instance, &conn, err);
  if (r < 0)
    return r;
  store_autoreset *statement = store_statement(conn, SQL_SESSION_HEAD, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, session);
  r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  if (r == 0)
    return store_error(err, MBP_E_NOT_FOUND, "no session \"%.*s\"", (int) session.len, session.ptr);
  head.epoch = (uint64_t) sqlite3_column_int64(statement, 1);
  head.last = (uint64_t) sqlite3_column_int64(statement, 2);
  head.created_ms = sqlite3_column_int64(statement, 3);
  head.updated_ms = sqlite3_column_int64(statement, 4);
  head.summary = store_column(statement, 5); /* until the statement is reset */
  head.claimed = store_claim_held(instance, sqlite3_column_int64(statement, 0));
  store_done(instance, call, 0, &head, NULL);
  return 0;
}

/* ---- Watching ------------------------------------------------------------------------------------------------- */

static int wait_for_more(struct mbp_instance *instance, struct mbp_call *call, int fd, struct mbp_error *err)
{
  uint64_t count;
  struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = instance->host->cancel_fd(call), .events = POLLIN}};
  /* Without a descriptor (there are none left) a cancellation is seen by looking. */
  (void) poll(fds, 2, fds[1].fd < 0 ? 200 : -1);
  (void) !read(fd, &count, sizeof(count));
  return store_cancelled(instance, call, err);
}

int store_watch(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
                struct mbp_error *err)
{
  struct store_watcher watcher = {.session = session, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (watcher.fd < 0)
    return store_error(err, MBP_E_LIMIT, "too many open files: raise the limit (ulimit -n)");
  /* First registered, then read: nothing falls between. */
  int r = store_writer_watch(instance, &watcher, err);
  if (r < 0) {
    (void) close(watcher.fd);
    return r;
  }
  from = first_wanted(from);
  while (r == 0) {
    r = emit_log(instance, call, session, &from, &(uint64_t){UINT64_MAX}, err);
    if (r == 0)
      r = wait_for_more(instance, call, watcher.fd, err);
  }
  store_writer_unwatch(instance, &watcher);
  (void) close(watcher.fd);
  store_done(instance, call, r, NULL, err);
  return 0;
}
