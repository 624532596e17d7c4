/* http_server.h - an HTTP/1.1 server of the tests' own that can misbehave. Independent of libcurl.
 *
 *   static void handle(struct test_conn *conn, const struct test_request *request, void *ctx)
 *   {
 *     if (request->number == 0)
 *       test_reply(conn, 529, "Retry-After: 1\r\n", "{\"type\":\"error\"}");
 *     else
 *       test_reply_sse(conn, "event: ping\ndata: {}\n\n", 1); // a segment for each byte
 *   }
 *   struct test_server *server = test_server_new(handle, NULL);
 *   ... test_server_url(server) ...
 *   ck_assert_str_eq(test_server_request(server, 0)->path, "/v1/messages");
 *   test_server_free(server);
 *
 * Each connection has a thread; the handler runs in it, once for each request, and answers as it likes. A handler that
 * answers nothing closes the connection. Everything that waits ends when the client goes or the server is freed. On any
 * failure of the server itself (no memory, no socket) the program aborts: it is a test.
 */
#ifndef TEST_HTTP_SERVER_H
#define TEST_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_server;
struct test_conn;

struct test_request {
  size_t number; /* from 0, over all connections */
  char *method;
  char *path;    /* with the query, as it was sent; for a proxy: the whole target */
  char *headers; /* the lines as they came */
  char *body;    /* 0-terminated; chunks put together */
  size_t body_len;
};

typedef void (*test_handler)(struct test_conn *conn, const struct test_request *request, void *ctx);

/* On 127.0.0.1 at a free port, or on a unix socket (which is unlinked by free). */
struct test_server *test_server_new(test_handler handler, void *ctx);
struct test_server *test_server_new_unix(const char *path, test_handler handler, void *ctx);
/* The handler runs as soon as the head is there; the body, if any, is for test_conn_read. Before the first request. */
void test_server_early(struct test_server *server);
void test_server_free(struct test_server *server); /* ends all connections; joins all threads */

const char *test_server_url(struct test_server *server); /* "http://127.0.0.1:PORT", without a slash at the end */
int test_server_port(struct test_server *server);

/* What was asked so far. A request stays valid until the server is freed. NULL: there is no such request. */
size_t test_server_count(struct test_server *server);
const struct test_request *test_server_request(struct test_server *server, size_t number);
/* Connections open now; test_server_wait_closed waits (at most 5 s) until there are none. */
size_t test_server_open(struct test_server *server);
bool test_server_wait_closed(struct test_server *server);
/* Value of a header, any case, NULL if absent. In a buffer of the thread: valid until its fourth next call. */
const char *test_request_header(const struct test_request *request, const char *name);

/* ---- Answers. `headers` are whole lines ("Name: value\r\n..."), or NULL. Those that answer false had no listener. */

/* A whole answer with a Content-Length. */
bool test_reply(struct test_conn *conn, int status, const char *headers, const char *body);
bool test_reply_n(struct test_conn *conn, int status, const char *headers, const void *body, size_t len);
/* Pieces: begin, chunk ..., end. In HTTP/1.1's chunked coding. */
bool test_reply_begin(struct test_conn *conn, int status, const char *headers);
bool test_reply_chunk(struct test_conn *conn, const void *data, size_t len);
bool test_reply_end(struct test_conn *conn);
/* 200, text/event-stream, chunked: `text` in pieces of `split` bytes, a segment each (0: in one). Ended properly. */
bool test_reply_sse(struct test_conn *conn, const char *text, size_t split);
/* The same, but `wait_ms` between the pieces. */
bool test_reply_sse_slow(struct test_conn *conn, const char *text, size_t split, int wait_ms);
/* 200, text/event-stream, and only the first `len` bytes of `text`; the connection is cut. */
bool test_reply_sse_cut(struct test_conn *conn, const char *text, size_t len);
/* Bytes as they are, the status line too. */
bool test_reply_raw(struct test_conn *conn, const void *data, size_t len);
bool test_reply_raw_split(struct test_conn *conn, const void *data, size_t len, size_t split);

/* ---- Misbehaviour, and duplex after test_reply_raw(101 ...) */

void test_conn_close(struct test_conn *conn); /* in order: what was sent arrives */
void test_conn_reset(struct test_conn *conn); /* with a reset */
void test_conn_half_close(struct test_conn *conn);
/* Waits. True: the time is over, false: the client has gone or the server ends. */
bool test_conn_sleep(struct test_conn *conn, int ms);
void test_conn_stall(struct test_conn *conn); /* until the client has gone */
/* The next bytes from the client; 0: it has ended its side. */
int64_t test_conn_read(struct test_conn *conn, void *buf, size_t cap);
int test_conn_fd(struct test_conn *conn);

#endif
