/* Pages of sessions and documents, in the order of creation.
 *
 * A page's token says where the next one begins, and carries a hash of what was asked for: with another filter or order
 * it is refused, instead of giving a page that belongs to no list. */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES (16u * 1024 * 1024) /* a page with more is shorter than asked for */
#define TOKEN_BYTES 40

struct page_request {
  struct mbp_str collection; /* of documents; empty: sessions */
  const struct mbp_query *query;
  struct mbp_str filter;
  uint32_t limit;
  int64_t position; /* behind which the page begins */
};

/* ---- Tokens --------------------------------------------------------------------------------------------------- */

static uint64_t hash_more(uint64_t hash, struct mbp_str text)
{
  for (size_t i = 0; i < text.len; i++)
    hash = (hash ^ (unsigned char) text.ptr[i]) * 0x100000001b3u;
  return (hash ^ 0xff) * 0x100000001b3u; /* a byte that UTF-8 never has: ends the text */
}

static uint64_t hash_of(const struct page_request *request)
{
  uint64_t hash = hash_more(0xcbf29ce484222325u, request->collection);
  return hash_more(hash, request->filter) ^ (request->query->descending ? 1 : 0);
}

static struct mbp_str write_token(char token[TOKEN_BYTES], const struct page_request *request, int64_t position)
{
  (void) snprintf(token, TOKEN_BYTES, "%016" PRIx64 "%" PRIx64, hash_of(request), (uint64_t) position);
  return mbp_str(token);
}

static int read_token(struct page_request *request, struct mbp_error *err)
{
  struct mbp_str token = request->query->page;
  char again[TOKEN_BYTES];
  uint64_t position = 0;
  for (size_t i = 16; i < token.len && i < 32; i++) {
    const char *digit = token.ptr[i] ? strchr("0123456789abcdef", token.ptr[i]) : NULL;
    position = position << 4 | (digit ? (uint64_t) (digit - "0123456789abcdef") : 0);
  }
  struct mbp_str made = write_token(again, request, (int64_t) position);
  if (token.len != made.len || memcmp(token.ptr, made.ptr, made.len) != 0)
    return store_error(err, MBP_E_INVALID, "the page token does not belong to this list: begin with its first page");
  request->position = (int64_t) position;
  return 0;
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

static int check_query(struct page_request *request, struct mbp_error *err)
{
  const struct mbp_query *query = request->query;
  if (query->limit > 1000)
    return store_error(err, MBP_E_INVALID, "a page has at most 1000 entries, not %u", (unsigned) query->limit);
  if (query->filter.len > STORE_SUMMARY_MAX)
    return store_error(err, MBP_E_LIMIT, "the filter is longer than %u bytes", STORE_SUMMARY_MAX);
  request->limit = query->limit ? query->limit : 100;
  request->filter = query->filter.len ? query->filter : mbp_str("{}");
  request->position = query->descending ? INT64_MAX : 0;
  return query->page.len ? read_token(request, err) : 0;
}

static int bad_filter(struct mbp_error *err)
{
  return store_error(err, MBP_E_INVALID,
                     "the filter is not a JSON object of plain values, such as {\"status\":\"idle\"}");
}

static int check_filter(struct store_conn *conn, const struct page_request *request, struct mbp_error *err)
{
  int r = store_is_object(conn, request->filter, err);
  if (r <= 0)
    return r < 0 ? r : bad_filter(err);
  store_autoreset *statement = store_statement(conn, SQL_FILTER_CHECK, err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, request->filter);
  r = store_step(conn, statement, err);
  if (r < 0)
    return r;
  return sqlite3_column_int(statement, 0) ? bad_filter(err) : 0;
}

static enum store_sql choose(const struct page_request *request)
{
  bool down = request->query->descending != 0;
  if (request->collection.len)
    return down ? SQL_DOC_LIST_DOWN : SQL_DOC_LIST_UP;
  return down ? SQL_LIST_DOWN : SQL_LIST_UP;
}

static int collect(struct store_conn *conn, const struct page_request *request, struct store_rows *rows,
                   struct mbp_error *err)
{
  store_autoreset *statement = store_statement(conn, choose(request), err);
  if (!statement)
    return -err->code;
  store_bind(statement, 1, request->filter);
  sqlite3_bind_int64(statement, 2, request->position);
  sqlite3_bind_int64(statement, 3, (int64_t) request->limit + 1); /* one more tells whether there is another page */
  if (request->collection.len)
    store_bind(statement, 4, request->collection);
  int r;
  while ((r = store_step(conn, statement, err)) == 1) {
    struct mbp_record row = {.type = store_column(statement, 1),
                             .payload = store_column(statement, 2),
                             .seq = (uint64_t) sqlite3_column_int64(statement, 3)};
    if (store_rows_add(rows, &row, sqlite3_column_int64(statement, 0)) < 0)
      return store_no_memory(err);
    if (rows->n > request->limit || (rows->n > 1 && rows->len > PAGE_BYTES))
      return 0;
  }
  return r;
}

static int fetch(struct mbp_instance *instance, const struct page_request *request, struct store_rows *rows,
                 struct mbp_error *err)
{
  store_autoconn *conn = NULL;
  int r = store_conn_take(instance, &conn, err);
  if (r == 0)
    r = check_filter(conn, request, err);
  return r < 0 ? r : collect(conn, request, rows, err);
}

static int list(struct mbp_instance *instance, struct mbp_call *call, struct page_request *request,
                struct mbp_error *err)
{
  store_autorows rows = {0};
  char token[TOKEN_BYTES];
  struct mbp_page page = {.size = MBP_SIZE(struct mbp_page, next)};
  int r = check_query(request, err);
  if (r == 0)
    r = fetch(instance, request, &rows, err);
  if (r < 0)
    return r;
  size_t n = rows.n;
  if (n > request->limit || (n > 1 && rows.len > PAGE_BYTES)) {
    n--; /* the next page's first */
    page.next = write_token(token, request, rows.rows[n - 1].position);
  }
  for (size_t i = 0; i < n && r == 0; i++) {
    struct mbp_record row = store_rows_record(&rows, i);
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                              .type = request->collection.len ? MBP_EV_STORE_DOC : MBP_EV_STORE_SESSION,
                              .number = (int64_t) row.seq,
                              .name = row.type,
                              .data = row.payload};
    if (instance->host->emit(call, &event) < 0 && (r = store_cancelled(instance, call, err)) == 0)
      r = store_error(err, MBP_E_CANCELLED, "cancelled");
  }
  store_done(instance, call, r, &page, err);
  return 0;
}

int store_list(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_query *query,
               struct mbp_error *err)
{
  struct page_request request = {.query = query};
  return list(instance, call, &request, err);
}

int store_doc_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                   const struct mbp_query *query, struct mbp_error *err)
{
  struct page_request request = {.query = query, .collection = collection};
  return list(instance, call, &request, err);
}
