/* The HTTP client against a server of the tests' own: requests, responses, redirects, proxies, TLS, limits, cuts. */
#include "http_test.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct mbp_http_request request_for(struct test_server *server, const char *path)
{
  static _Thread_local char urls[4][512];
  static _Thread_local unsigned turn;
  char *url = urls[turn++ % 4];
  (void) snprintf(url, sizeof(urls[0]), "%s%s", test_server_url(server), path);
  return (struct mbp_http_request){.size = MBP_SIZE(struct mbp_http_request, max_body), .url = mbp_str(url)};
}

struct mbp_http *must_open(const struct mbp_http_request *request)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange = NULL;
  int r = HTTP->open(NULL, request, &exchange, &err);
  ck_assert_msg(r == 0, "open: %d %s", r, err.message);
  return exchange;
}

const char *must_body(struct mbp_http *exchange)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str body;
  int r = HTTP->body(exchange, &body, &err);
  ck_assert_msg(r == 0, "body: %d %s", r, err.message);
  return body.ptr;
}

struct mbp_call *call_new(int64_t timeout_ms)
{
  struct mag_call_options options = {.timeout_ms = timeout_ms};
  struct mbp_call *call = mag_call_new(&options);
  ck_assert_ptr_nonnull(call);
  return call;
}

void call_free(struct mbp_call *call)
{
  mag_call_done(call, NULL, NULL);
  mag_call_unref(call);
}

void check_error(const struct mbp_error *err, int r, int code, bool retryable, const char *text)
{
  ck_assert_msg(r == -code && err->code == code, "%d, code %d (%s), not %d", r, err->code, err->message, code);
  ck_assert_msg(!!(err->flags & MBP_ERR_RETRYABLE) == retryable, "retryable is wrong: %s", err->message);
  ck_assert_msg(strstr(err->message, text) != NULL, "\"%s\" does not say \"%s\"", err->message, text);
}

/* Opens and reads all of it; the error of whichever failed. */
static int fetch(const struct mbp_http_request *request, struct mag_buf *body, struct mbp_error *err)
{
  struct mbp_http *exchange = NULL;
  char piece[1000];
  int64_t n = HTTP->open(NULL, request, &exchange, err);
  while (n >= 0 && (n = HTTP->read(exchange, piece, sizeof(piece), err)) > 0)
    mag_buf_add(body, piece, (size_t) n);
  HTTP->close(exchange);
  return (int) n;
}

/* ---- Requests and responses ---- */

static void echo(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) ctx;
  test_reply_n(conn, 201, "X-Test:  spaced \t\r\nx-empty:\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n", request->body,
               request->body_len);
}

START_TEST(a_request_arrives_as_it_was_given)
{
  struct test_server *server = test_server_new(echo, NULL);
  struct mbp_http_request request = request_for(server, "/v1/x?a=b&c[]=%20");
  const struct mbp_pair headers[] = {{mbp_str("X-Key"), mbp_str("k 1")},
                                     {mbp_str("X-None"), mbp_str("")},
                                     {mbp_str("Content-Type"), mbp_str("application/json")}};
  request.headers = headers;
  request.n_headers = 3;
  request.body = mbp_str_n("{\"a\":\0}", 7);
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 201);
  const char *body = must_body(exchange);
  ck_assert_int_eq(memcmp(body, "{\"a\":\0}", 8), 0);
  ck_assert(mbp_str_eq(HTTP->header(exchange, "X-TEST"), "spaced"));
  ck_assert(mbp_str_eq(HTTP->header(exchange, "x-empty"), ""));
  ck_assert(mbp_str_eq(HTTP->header(exchange, "set-cookie"), "a=1"));
  ck_assert_uint_eq(HTTP->header(exchange, "x-tes").len, 0);
  const struct test_request *seen = test_server_request(server, 0);
  ck_assert_str_eq(seen->method, "POST");
  ck_assert_str_eq(seen->path, "/v1/x?a=b&c[]=%20");
  ck_assert_str_eq(test_request_header(seen, "x-key"), "k 1");
  ck_assert_str_eq(test_request_header(seen, "x-none"), "");
  ck_assert_str_eq(test_request_header(seen, "content-type"), "application/json");
  ck_assert_str_eq(test_request_header(seen, "content-length"), "7");
  ck_assert_ptr_null(test_request_header(seen, "expect"));
  ck_assert_ptr_null(test_request_header(seen, "accept"));
  ck_assert_ptr_null(test_request_header(seen, "accept-encoding"));
  ck_assert_ptr_nonnull(strstr(test_request_header(seen, "user-agent"), "magent/"));
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

START_TEST(every_method_has_the_right_framing)
{
  static const struct {
    const char *method, *body, *length;
  } cases[] = {{"", "", NULL},     {"GET", "", NULL},    {"GET", "x", "1"},    {"POST", "", "0"},
               {"PUT", "xy", "2"}, {"DELETE", "", NULL}, {"DELETE", "x", "1"}, {"PATCH", "", "0"},
               {"HEAD", "", NULL}, {"REPORT", "x", "1"}};
  struct test_server *server = test_server_new(echo, NULL);
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct mbp_http_request request = request_for(server, "/");
    request.method = mbp_str(cases[i].method);
    request.body = mbp_str(cases[i].body);
    struct mbp_http *exchange = must_open(&request);
    if (strcmp(cases[i].method, "HEAD") != 0)
      ck_assert_str_eq(must_body(exchange), cases[i].body);
    HTTP->close(exchange);
    const struct test_request *seen = test_server_request(server, i);
    const char *length = test_request_header(seen, "content-length");
    ck_assert_str_eq(seen->method, cases[i].method[0] ? cases[i].method : "GET");
    ck_assert_msg(cases[i].length ? length && strcmp(length, cases[i].length) == 0 : !length, "%s", cases[i].method);
    ck_assert_ptr_null(test_request_header(seen, "content-type"));
  }
  test_server_free(server);
}
END_TEST

START_TEST(what_could_smuggle_a_header_is_refused)
{
  struct test_server *server = test_server_new(echo, NULL);
  static const struct {
    const char *name, *value, *says;
  } cases[] = {{"X\r\nY", "1", "no valid name"},  {"", "1", "no valid name"},
               {"X Y", "1", "no valid name"},     {"X", "1\r\nY: 2", "control character"},
               {"X", "1\n", "control character"}, {"transfer-encoding", "chunked", "set by the host"}};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange = NULL;
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct mbp_http_request request = request_for(server, "/");
    struct mbp_pair header = {mbp_str(cases[i].name), mbp_str(cases[i].value)};
    request.headers = &header;
    request.n_headers = 1;
    check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_INVALID, false, cases[i].says);
  }
  static const char *const urls[] = {"",           "ftp://x/",          "file:///etc/passwd", "http://",
                                     "http:///x",  "http://a/\r\nX: 1", "http://a/b c",       "https://user@/",
                                     "gopher://x", "http://[::1",       "http://a:b@c:99999/"};
  for (size_t i = 0; i < MAG_COUNT(urls); i++) {
    struct mbp_http_request request = request_for(server, "/");
    request.url = mbp_str(urls[i]);
    int r = HTTP->open(NULL, &request, &exchange, &err);
    ck_assert_msg(r == -MBP_E_INVALID, "%s: %d %s", urls[i], r, err.message);
    ck_assert_ptr_null(strstr(err.message, "a:b"));
  }
  ck_assert_ptr_null(exchange);
  ck_assert_uint_eq(test_server_count(server), 0);
  test_server_free(server);
}
END_TEST

START_TEST(requests_follow_one_another_on_one_connection)
{
  struct test_server *server = test_server_new(echo, NULL);
  for (int i = 0; i < 20; i++) {
    struct mbp_http_request request = request_for(server, "/");
    struct mbp_http *exchange = must_open(&request);
    (void) must_body(exchange);
    HTTP->close(exchange);
  }
  ck_assert_uint_eq(test_server_count(server), 20);
  ck_assert_uint_eq(test_server_open(server), 1);
  test_server_free(server);
}
END_TEST

START_TEST(unix_sockets_work)
{
  char path[64];
  (void) snprintf(path, sizeof(path), "/tmp/magent-http-test.%d", (int) getpid());
  struct test_server *server = test_server_new_unix(path, echo, NULL);
  struct mbp_http_request request = request_for(server, "/v1/_ping");
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange;
  request.unix_socket = mbp_str(path);
  request.body = mbp_str("hello");
  exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "hello");
  HTTP->close(exchange);
  ck_assert_str_eq(test_server_request(server, 0)->path, "/v1/_ping");
  test_server_free(server);
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_NETWORK, true, path);
}
END_TEST

/* ---- Trailers, interim responses ---- */

static void reply_text(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const char *text = *(const char **) ctx;
  (void) request;
  test_reply_raw_split(conn, text, strlen(text), 1);
  test_conn_close(conn);
}

START_TEST(interim_responses_and_trailers)
{
  const char *text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nX-B: real\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3;ext=1\r\nabc\r\n0\r\nGrpc-Status: 5\r\nX-B: trailing\r\n\r\n";
  struct test_server *server = test_server_new(reply_text, &text);
  struct mbp_http_request request = request_for(server, "/");
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 200);
  ck_assert_uint_eq(HTTP->header(exchange, "x-a").len, 0);
  ck_assert_str_eq(must_body(exchange), "abc");
  ck_assert(mbp_str_eq(HTTP->header(exchange, "x-b"), "real"));
  ck_assert(mbp_str_eq(HTTP->trailer(exchange, "grpc-status"), "5"));
  ck_assert(mbp_str_eq(HTTP->trailer(exchange, "x-b"), "trailing"));
  ck_assert_uint_eq(HTTP->header(exchange, "grpc-status").len, 0);
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

/* ---- Cuts and nonsense ---- */

struct cut {
  const char *text;
  size_t len;
};

static void reply_cut(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  struct cut *cut = ctx;
  (void) request;
  test_reply_raw(conn, cut->text, cut->len);
  test_conn_close(conn);
}

START_TEST(a_body_that_is_cut_is_an_error_wherever_it_is_cut)
{
  static const char *const texts[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\nX-T: 1\r\n\r\n",
  };
  for (size_t i = 0; i < MAG_COUNT(texts); i++) {
    struct cut cut = {texts[i], 0};
    size_t whole = strlen(texts[i]);
    struct test_server *server = test_server_new(reply_cut, &cut);
    for (cut.len = 0; cut.len <= whole; cut.len++) {
      struct mbp_error err = MAG_ERROR_INIT;
      struct mbp_http_request request = request_for(server, "/");
      mag_autobuf body = MAG_BUF_INIT;
      int r = fetch(&request, &body, &err);
      if (cut.len == whole - 1 && i > 0) /* all but the very last LF after the last chunk: nothing is missing */
        continue;
      if (cut.len == whole) {
        ck_assert_msg(r == 0 && strcmp(body.ptr, "hello world") == 0, "%d %s", r, err.message);
        continue;
      }
      ck_assert_msg(r == -MBP_E_NETWORK && (err.flags & MBP_ERR_RETRYABLE), "text %zu cut at %zu: %d %s", i, cut.len, r,
                    err.message);
    }
    test_server_free(server);
  }
}
END_TEST

START_TEST(malformed_responses_are_errors)
{
  static const char *const texts[] = {
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
      "SSH-2.0-OpenSSH_9.2\r\n",
      "HTTP/1.1 20x OK\r\n\r\n",
      "<html>502</html>",
      "\r\n\r\n\r\n",
  };
  for (size_t i = 0; i < MAG_COUNT(texts); i++) {
    const char *text = texts[i];
    struct test_server *server = test_server_new(reply_text, &text);
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = request_for(server, "/");
    mag_autobuf body = MAG_BUF_INIT;
    int r = fetch(&request, &body, &err);
    ck_assert_msg(r == -MBP_E_NETWORK || r == -MBP_E_PROTOCOL, "text %zu: %d %s", i, r, err.message);
    ck_assert_msg(strstr(err.message, "127.0.0.1:") != NULL, "%s", err.message);
    test_server_free(server);
  }
}
END_TEST

static void reply_reset(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) request;
  (void) ctx;
  test_reply_begin(conn, 200, NULL);
  test_reply_chunk(conn, "abc", 3);
  test_conn_sleep(conn, 50);
  test_conn_reset(conn);
}

START_TEST(a_reset_comes_after_the_bytes_before_it)
{
  struct test_server *server = test_server_new(reply_reset, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http_request request = request_for(server, "/");
  mag_autobuf body = MAG_BUF_INIT;
  int r = fetch(&request, &body, &err);
  check_error(&err, r, MBP_E_NETWORK, true, "127.0.0.1");
  ck_assert_str_eq(body.ptr, "abc");
  test_server_free(server);
}
END_TEST

/* ---- Bounds ---- */

static void reply_endless(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  static const char line[] =
      "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
  static const char hint[] = "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n";
  char data[4096];
  (void) ctx;
  memset(data, 'x', sizeof(data));
  if (strcmp(request->path, "/headers") == 0) {
    test_reply_raw(conn, "HTTP/1.1 200 OK\r\n", 17);
    while (test_reply_raw(conn, line, strlen(line)))
      continue;
  } else if (strcmp(request->path, "/hints") == 0) {
    while (test_reply_raw(conn, hint, strlen(hint)))
      continue;
  } else if (strcmp(request->path, "/trailers") == 0) {
    test_reply_begin(conn, 200, NULL);
    test_reply_raw(conn, "0\r\n", 3);
    while (test_reply_raw(conn, line, strlen(line)))
      continue;
  } else if (strcmp(request->path, "/sse") == 0) {
    test_reply_begin(conn, 200, NULL);
    test_reply_chunk(conn, "data: ", 6);
    while (test_reply_chunk(conn, data, sizeof(data)))
      continue;
  } else {
    test_reply_begin(conn, 200, NULL);
    while (test_reply_chunk(conn, data, sizeof(data)))
      continue;
  }
}

START_TEST(what_is_endless_is_bounded)
{
  static const char *const heads[] = {"/headers", "/hints", "/trailers"};
  struct test_server *server = test_server_new(reply_endless, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  for (size_t i = 0; i < MAG_COUNT(heads); i++) {
    struct mbp_http_request request = request_for(server, heads[i]);
    mag_autobuf body = MAG_BUF_INIT;
    check_error(&err, fetch(&request, &body, &err), MBP_E_LIMIT, false, "headers are larger");
  }
  struct mbp_http_request request = request_for(server, "/body");
  struct mbp_str body;
  request.max_body = 100000;
  struct mbp_http *exchange = must_open(&request);
  check_error(&err, HTTP->body(exchange, &body, &err), MBP_E_LIMIT, false, "larger than 100000 bytes");
  check_error(&err, (int) HTTP->read(exchange, &request, 1, &err), MBP_E_LIMIT, false, "larger than 100000 bytes");
  HTTP->close(exchange);
  request = request_for(server, "/sse");
  exchange = must_open(&request);
  struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
  for (int i = 0; i < 2; i++)
    check_error(&err, HTTP->next_event(exchange, &event, &err), MBP_E_LIMIT, false, "server-sent event");
  HTTP->close(exchange);
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
}
END_TEST

/* ---- Redirects ---- */

static void redirect(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  char headers[512];
  const char *other = ctx ? *(const char **) ctx : NULL;
  if (strncmp(request->path, "/end", 4) == 0) {
    test_reply(conn, 200, NULL, "end");
  } else if (strcmp(request->path, "/loop") == 0) {
    test_reply(conn, 302, "Location: /loop\r\n", "again");
  } else if (strcmp(request->path, "/file") == 0) {
    test_reply(conn, 302, "Location: file:///etc/hostname\r\n", "");
  } else if (strcmp(request->path, "/nowhere") == 0) {
    test_reply(conn, 302, NULL, "no location");
  } else if (strcmp(request->path, "/away") == 0) {
    (void) snprintf(headers, sizeof(headers), "Location: %s/end\r\n", other);
    test_reply(conn, 307, headers, "away");
  } else {
    test_reply(conn, 301, "Location: /end?x\r\nX-Old: 1\r\n", "moved");
  }
}

START_TEST(redirects_are_followed_for_get_and_never_take_keys_elsewhere)
{
  const char *there_url = NULL;
  struct test_server *there = test_server_new(redirect, NULL);
  there_url = test_server_url(there);
  struct test_server *server = test_server_new(redirect, &there_url);
  const struct mbp_pair headers[] = {{mbp_str("x-api-key"), mbp_str("secret")},
                                     {mbp_str("Accept"), mbp_str("text/plain")}};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http_request request = request_for(server, "/moved");
  request.headers = headers;
  request.n_headers = 2;
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 200);
  ck_assert_str_eq(must_body(exchange), "end");
  ck_assert_uint_eq(HTTP->header(exchange, "x-old").len, 0);
  HTTP->close(exchange);
  ck_assert_str_eq(test_server_request(server, 1)->path, "/end?x");
  ck_assert_str_eq(test_request_header(test_server_request(server, 1), "x-api-key"), "secret");

  request.url = request_for(server, "/away").url;
  exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "end");
  HTTP->close(exchange);
  ck_assert_ptr_null(test_request_header(test_server_request(there, 0), "x-api-key"));
  ck_assert_str_eq(test_request_header(test_server_request(there, 0), "accept"), "text/plain");

  mag_autobuf body = MAG_BUF_INIT;
  request.url = request_for(server, "/loop").url;
  check_error(&err, fetch(&request, &body, &err), MBP_E_PROTOCOL, false, "more than 5 redirects");
  request.url = request_for(server, "/file").url;
  check_error(&err, fetch(&request, &body, &err), MBP_E_PROTOCOL, false, "not followed");
  ck_assert_uint_eq(body.len, 0);
  request.url = request_for(server, "/nowhere").url;
  exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 302);
  ck_assert_str_eq(must_body(exchange), "no location");
  HTTP->close(exchange);
  test_server_free(server);
  test_server_free(there);
}
END_TEST

START_TEST(redirects_are_not_followed_for_post_nor_when_told)
{
  struct test_server *server = test_server_new(redirect, NULL);
  for (int i = 0; i < 3; i++) {
    struct mbp_http_request request = request_for(server, "/moved");
    request.body = mbp_str(i == 0 ? "x" : "");
    request.method = mbp_str(i == 1 ? "DELETE" : "");
    request.flags = i == 2 ? MBP_HTTP_NO_REDIRECT : 0;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 301);
    ck_assert_str_eq(must_body(exchange), "moved");
    HTTP->close(exchange);
  }
  ck_assert_uint_eq(test_server_count(server), 3);
  test_server_free(server);
}
END_TEST

/* ---- Proxies: one that answers itself to the absolute form, and tunnels CONNECT into an echo ---- */

static void proxy(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) ctx;
  if (strcmp(request->method, "CONNECT") == 0)
    test_reply(conn, 407, "Proxy-Authenticate: Basic\r\n", "");
  else
    test_reply(conn, 200, NULL, request->path);
}

START_TEST(proxies_are_used_by_option_and_by_environment)
{
  struct test_server *server = test_server_new(proxy, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http_request request = request_for(server, "/");
  mag_autobuf body = MAG_BUF_INIT;
  request.url = mbp_str("http://name.invalid/x?y");
  request.proxy = mbp_str(test_server_url(server));
  struct mbp_http *exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "http://name.invalid/x?y");
  HTTP->close(exchange);

  const struct mbp_pair key = {mbp_str("Authorization"), mbp_str("Bearer secret")};
  request.headers = &key;
  request.n_headers = 1;
  request.url = mbp_str("https://name.invalid/x");
  check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, true, "407");
  const struct test_request *seen = test_server_request(server, 1);
  ck_assert_str_eq(seen->path, "name.invalid:443");
  ck_assert_ptr_null(test_request_header(seen, "authorization"));

  ck_assert_int_eq(setenv("http_proxy", test_server_url(server), 1), 0);
  request = request_for(server, "/");
  request.url = mbp_str("http://other.invalid/");
  exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "http://other.invalid/");
  HTTP->close(exchange);
  ck_assert_int_eq(unsetenv("http_proxy"), 0);
  check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, true, "other.invalid");
  test_server_free(server);
}
END_TEST

/* ---- TLS: openssl's own server, if the program is there ---- */

static bool run_program(const char *const *argv)
{
  pid_t pid;
  int status = 1;
  posix_spawn_file_actions_t actions;
  (void) posix_spawn_file_actions_init(&actions);
  (void) posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  (void) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  bool good = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *) argv, environ) == 0 &&
              waitpid(pid, &status, 0) == pid && status == 0;
  (void) posix_spawn_file_actions_destroy(&actions);
  return good;
}

/* Answers the port, or 0. `page`: -www, a page about the connection; NULL: what comes from `in`. */
static int start_tls_server(const char *page, int in, const char *cert, const char *key, pid_t *pid)
{
  const char *const argv[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", page ? page : "-ign_eof", "-cert",
                              cert,      "-key",     key,       "-verify",     "1",    NULL};
  int out[2], port = 0;
  char text[256];
  size_t len = 0;
  posix_spawn_file_actions_t actions;
  ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
  (void) posix_spawn_file_actions_init(&actions);
  (void) posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  (void) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  if (in >= 0)
    (void) posix_spawn_file_actions_adddup2(&actions, in, 0);
  int r = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *) argv, environ);
  (void) posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  while (r == 0 && port == 0 && len < sizeof(text) - 1 && poll(&(struct pollfd){out[0], POLLIN, 0}, 1, 5000) > 0) {
    ssize_t n = read(out[0], text + len, sizeof(text) - 1 - len);
    if (n <= 0)
      break;
    len += (size_t) n;
    text[len] = 0;
    const char *at = strstr(text, "ACCEPT 127.0.0.1:");
    if (at && strchr(at, '\n'))
      port = (int) strtol(at + 17, NULL, 10);
  }
  close(out[0]);
  return port;
}

static bool make_certificate(const char *cert, const char *key)
{
  const char *const make[] = {"openssl",
                              "req",
                              "-x509",
                              "-newkey",
                              "ec",
                              "-pkeyopt",
                              "ec_paramgen_curve:prime256v1",
                              "-nodes",
                              "-subj",
                              "/CN=localhost",
                              "-addext",
                              "subjectAltName=DNS:localhost",
                              "-days",
                              "2",
                              "-keyout",
                              key,
                              "-out",
                              cert,
                              NULL};
  return run_program(make);
}

START_TEST(tls_is_verified)
{
  char dir[] = "/tmp/magent-http-test.XXXXXX", cert[64], key[64], url[64];
  ck_assert_ptr_nonnull(mkdtemp(dir));
  (void) snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
  (void) snprintf(key, sizeof(key), "%s/key.pem", dir);
  pid_t pid = -1;
  int port = make_certificate(cert, key) ? start_tls_server("-www", -1, cert, key, &pid) : 0;
  if (port > 0) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body)};
    mag_autobuf body = MAG_BUF_INIT;
    (void) snprintf(url, sizeof(url), "https://localhost:%d/", port);
    request.url = mbp_str(url);
    check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, false, "certificate");
    request.ca_file = mbp_str(cert);
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 200);
    ck_assert_ptr_nonnull(strstr(must_body(exchange), "s_server"));
    HTTP->close(exchange);
    /* A client certificate is offered and shown. */
    request.cert_file = mbp_str(cert);
    request.key_file = mbp_str(key);
    exchange = must_open(&request);
    ck_assert_ptr_nonnull(strstr(must_body(exchange), "Client certificate"));
    HTTP->close(exchange);
    request.key_file = mbp_str("/nonexistent/key.pem");
    check_error(&err, fetch(&request, &body, &err), MBP_E_INVALID, false, "key_file");
    request.cert_file = request.key_file = mbp_str("");
    request.ca_file = mbp_str("/nonexistent/ca.pem");
    check_error(&err, fetch(&request, &body, &err), MBP_E_INVALID, false, "ca_file");
    (void) snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port); /* not a name of the certificate's */
    request.url = mbp_str(url);
    request.ca_file = mbp_str(cert);
    check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, false, "127.0.0.1");
  } else {
    fprintf(stderr, "tls_is_verified: skipped, no openssl program\n");
  }
  if (pid > 0) {
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
  }
  (void) unlink(cert);
  (void) unlink(key);
  (void) rmdir(dir);
}
END_TEST

#define TLS_BYTES 300000

/* What TLS, or libcurl below it, has taken from the socket already is told, too: who polls before every read gets
 * everything, although the other side stays silent then. */
START_TEST(a_duplex_over_tls_is_readable_while_there_is_something_to_read)
{
  static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  char dir[] = "/tmp/magent-http-test.XXXXXX", cert[64], key[64], url[64], block[1000];
  int in[2];
  ck_assert_ptr_nonnull(mkdtemp(dir));
  (void) snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
  (void) snprintf(key, sizeof(key), "%s/key.pem", dir);
  ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
  ck_assert_int_ge(fcntl(in[1], F_SETPIPE_SZ, 2 * TLS_BYTES), TLS_BYTES);
  memset(block, 'x', sizeof(block));
  ck_assert_int_eq(write(in[1], head, sizeof(head) - 1), (ssize_t) sizeof(head) - 1);
  for (size_t i = 0; i < TLS_BYTES; i += sizeof(block))
    ck_assert_int_eq(write(in[1], block, sizeof(block)), (ssize_t) sizeof(block));
  pid_t pid = -1;
  int port = make_certificate(cert, key) ? start_tls_server(NULL, in[0], cert, key, &pid) : 0;
  if (port > 0) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body)};
    (void) snprintf(url, sizeof(url), "https://localhost:%d/", port);
    request.url = mbp_str(url);
    request.ca_file = mbp_str(cert);
    request.flags = MBP_HTTP_UPGRADE;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 101);
    for (int64_t got = 0, n; got < TLS_BYTES; got += n) {
      struct pollfd wait = {HTTP->poll_fd(exchange), POLLIN, 0};
      ck_assert_msg(poll(&wait, 1, 10000) == 1, "not readable after %lld bytes", (long long) got);
      n = HTTP->read(exchange, block, sizeof(block), &err);
      ck_assert_msg(n > 0, "%s", err.message);
    }
    HTTP->close(exchange);
  } else {
    fprintf(stderr, "duplex over TLS: SKIPPED, no openssl program\n");
  }
  if (pid > 0) {
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
  }
  (void) close(in[0]);
  (void) close(in[1]);
  (void) unlink(cert);
  (void) unlink(key);
  (void) rmdir(dir);
}
END_TEST

/* ---- Transport errors ---- */

START_TEST(transport_errors_are_named_without_secrets)
{
  struct test_server *server = test_server_new(echo, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange = NULL;
  struct mbp_http_request request = request_for(server, "/");
  char url[128];
  request.url = mbp_str("http://user:pa55@no-such-host.invalid/key=pa55");
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_NETWORK, true, "no-such-host.invalid");
  ck_assert_ptr_null(strstr(err.message, "pa55"));
  (void) snprintf(url, sizeof(url), "http://user:pa55@127.0.0.1:%d/", test_server_port(server));
  test_server_free(server);
  request.url = mbp_str(url);
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_NETWORK, true, "127.0.0.1");
  ck_assert_ptr_null(strstr(err.message, "pa55"));
  ck_assert_ptr_null(exchange);
}
END_TEST

START_TEST(the_thread_stops_and_starts_again)
{
  struct test_server *server = test_server_new(echo, NULL);
  for (int i = 0; i < 3; i++) {
    struct mbp_http_request request = request_for(server, "/");
    struct mbp_http *exchange = must_open(&request);
    (void) must_body(exchange);
    HTTP->close(exchange);
    mag_http_stop();
    mag_http_stop();
    ck_assert(test_server_wait_closed(server));
  }
  test_server_free(server);
}
END_TEST

int main(void)
{
  static const char *const proxies[] = {"http_proxy",  "https_proxy", "all_proxy", "no_proxy",
                                        "HTTPS_PROXY", "ALL_PROXY",   "NO_PROXY"};
  for (size_t i = 0; i < MAG_COUNT(proxies); i++)
    (void) unsetenv(proxies[i]);
  Suite *suite = suite_create("http");
  TCase *t = tcase_create("exchanges");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_request_arrives_as_it_was_given);
  tcase_add_test(t, every_method_has_the_right_framing);
  tcase_add_test(t, what_could_smuggle_a_header_is_refused);
  tcase_add_test(t, requests_follow_one_another_on_one_connection);
  tcase_add_test(t, unix_sockets_work);
  tcase_add_test(t, interim_responses_and_trailers);
  tcase_add_test(t, a_body_that_is_cut_is_an_error_wherever_it_is_cut);
  tcase_add_test(t, malformed_responses_are_errors);
  tcase_add_test(t, a_reset_comes_after_the_bytes_before_it);
  tcase_add_test(t, what_is_endless_is_bounded);
  tcase_add_test(t, redirects_are_followed_for_get_and_never_take_keys_elsewhere);
  tcase_add_test(t, redirects_are_not_followed_for_post_nor_when_told);
  tcase_add_test(t, proxies_are_used_by_option_and_by_environment);
  tcase_add_test(t, tls_is_verified);
  tcase_add_test(t, a_duplex_over_tls_is_readable_while_there_is_something_to_read);
  tcase_add_test(t, transport_errors_are_named_without_secrets);
  tcase_add_test(t, the_thread_stops_and_starts_again);
  suite_add_tcase(suite, t);
  http_wait_tests(suite);
  http_duplex_tests(suite);
  http_fail_tests(suite);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  mag_http_stop();
  return failed ? 1 : 0;
}
