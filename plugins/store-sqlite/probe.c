/* Is the file usable, and is it whole? */
#include "store.h"

#define STEPS_BETWEEN_LOOKS 10000 /* of SQLite's machine: some hundred microseconds */
#define CHECK_MS 5000             /* of a large file a part; damage behind it shows when it is read */

struct check {
  struct mbp_instance *instance;
  struct mbp_call *call;
  int64_t until_ms;
};

static int is_over(void *ctx)
{
  const struct check *check = ctx;
  const struct mbp_host *host = check->instance->host;
  return host->clock_ms(host->ctx, MBP_CLOCK_MONOTONIC) >= check->until_ms ||
         store_cancelled(check->instance, check->call, NULL) < 0;
}

static int check_pages(struct store_conn *conn, struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, SQL_QUICK_CHECK, err);
  if (!statement)
    return -err->code;
  int r = store_step(conn, statement, err);
  if (r < 0 || mbp_str_eq(store_column(statement, 0), "ok"))
    return r < 0 ? r : 0;
  return store_fault_of(conn->instance->path, SQLITE_CORRUPT, 0, "", err);
}

static int check_whole(struct store_conn *conn, struct mbp_call *call, struct mbp_error *err)
{
  const struct mbp_host *host = conn->instance->host;
  struct check check = {conn->instance, call, host->clock_ms(host->ctx, MBP_CLOCK_MONOTONIC) + CHECK_MS};
  sqlite3_progress_handler(conn->db, STEPS_BETWEEN_LOOKS, is_over, &check);
  int r = check_pages(conn, err);
  sqlite3_progress_handler(conn->db, 0, NULL, NULL);
  return (conn->fault & 0xff) == SQLITE_INTERRUPT ? store_cancelled(conn->instance, call, err) : r;
}

/* Opens the file as an append would, and asks for the right to write, without writing. */
int store_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  struct store_conn *conn = NULL;
  int r = store_conn_open(instance, STORE_WRITER, &conn, err);
  if (r == 0 && conn->read_only)
    r = store_fault_of(instance->path, SQLITE_READONLY, 0, "", err);
  if (r == 0)
    r = store_run(conn, SQL_BEGIN_WRITE, err);
  if (r == 0)
    r = store_run(conn, SQL_ROLLBACK, err);
  if (r == 0)
    r = check_whole(conn, call, err);
  store_conn_close(conn);
  store_done(instance, call, r, NULL, err);
  return 0;
}
