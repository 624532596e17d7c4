/* The HTTP client against a server of the tests' own: requests, responses, limits, cuts. */
#include "http_test.h"
#include "../lib/run.h"

#include <sys/wait.h>
#include <unistd.h>

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

int fetch(const struct mbp_http_request *request, struct mag_buf *body, struct mbp_error *err)
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
  ck_assert_msg(strstr(err.message, ": no server listens on this socket"), "%s", err.message);
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
  tcase_add_test(t, transport_errors_are_named_without_secrets);
  tcase_add_test(t, the_thread_stops_and_starts_again);
  suite_add_tcase(suite, t);
  http_wait_tests(suite);
  http_duplex_tests(suite);
  http_fail_tests(suite);
  http_route_tests(suite);
  int failed = run_suite(suite);
  mag_http_stop();
  return failed;
}
