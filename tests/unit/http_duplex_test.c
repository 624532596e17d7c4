/* Bodies that are written piece by piece, and raw duplex after an upgrade. */
#include "http_test.h"

#include "host/http_chunk.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(int ms)
{
  (void) nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* ---- Streamed bodies ---- */

static void echo_body(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) ctx;
  test_reply_n(conn, 200, NULL, request->body, request->body_len);
}

START_TEST(a_streamed_body_arrives_whole)
{
  struct test_server *server = test_server_new(echo_body, NULL);
  for (int round = 0; round < 4; round++) {
    struct mbp_http_request request = request_for(server, "/put");
    struct mbp_error err = MAG_ERROR_INIT;
    const struct mbp_pair length = {mbp_str("Content-Length"), mbp_str("15")};
    request.flags = MBP_HTTP_STREAM_BODY;
    request.method = mbp_str(round % 2 ? "PUT" : "");
    request.headers = &length;
    request.n_headers = round == 3;
    struct mbp_http *exchange = must_open(&request);
    for (int i = 0; i < 5; i++) {
      ck_assert_int_eq(HTTP->write(exchange, mbp_str(i % 2 ? "def" : "abc"), &err), 0);
      if (round < 2)
        sleep_ms(5);
    }
    ck_assert_int_eq(HTTP->write(exchange, mbp_str(""), &err), 0);
    ck_assert_int_eq(HTTP->finish(exchange, &err), 0);
    ck_assert_int_eq(HTTP->write(exchange, mbp_str("x"), &err) < 0, 1);
    ck_assert_int_eq(HTTP->status(exchange), 200);
    ck_assert_str_eq(must_body(exchange), "abcdefabcdefabc");
    HTTP->close(exchange);
    const struct test_request *seen = test_server_request(server, (size_t) round);
    ck_assert_str_eq(seen->method, round % 2 ? "PUT" : "POST");
    ck_assert_ptr_nonnull(test_request_header(seen, round == 3 ? "content-length" : "transfer-encoding"));
  }
  test_server_free(server);
}
END_TEST

START_TEST(a_large_streamed_body_is_held_by_a_slow_receiver)
{
  struct test_server *server = test_server_new(echo_body, NULL);
  struct mbp_http_request request = request_for(server, "/put");
  struct mbp_error err = MAG_ERROR_INIT;
  size_t size = 300007, total = 0;
  char *piece = malloc(size), *back = malloc(size);
  request.flags = MBP_HTTP_STREAM_BODY;
  struct mbp_http *exchange = must_open(&request);
  for (size_t i = 0; i < 20; i++) {
    for (size_t k = 0; k < size; k++)
      piece[k] = (char) ('a' + (i * size + k) % 23);
    ck_assert_int_eq(HTTP->write(exchange, mbp_str_n(piece, size), &err), 0);
  }
  ck_assert_int_eq(HTTP->finish(exchange, &err), 0);
  int64_t n;
  while ((n = HTTP->read(exchange, back, size, &err)) > 0)
    for (int64_t k = 0; k < n; k++, total++)
      if (back[k] != (char) ('a' + total % 23))
        ck_abort_msg("byte %zu is wrong", total);
  ck_assert_int_eq(n, 0);
  ck_assert_uint_eq(total, 20 * size);
  HTTP->close(exchange);
  free(piece);
  free(back);
  test_server_free(server);
}
END_TEST

static void refuse_early(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) request;
  (void) ctx;
  test_reply(conn, 413, "Connection: close\r\n", "too large");
  test_conn_close(conn);
}

static void never_read(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) request;
  (void) ctx;
  test_conn_stall(conn);
}

START_TEST(an_early_answer_ends_the_writing)
{
  struct test_server *server = test_server_new(refuse_early, NULL);
  test_server_early(server);
  struct mbp_http_request request = request_for(server, "/put");
  struct mbp_error err = MAG_ERROR_INIT;
  static const char piece[65536];
  request.flags = MBP_HTTP_STREAM_BODY;
  struct mbp_http *exchange = must_open(&request);
  int r = 0;
  for (int i = 0; i < 1000 && r == 0; i++)
    r = HTTP->write(exchange, mbp_str_n(piece, sizeof(piece)), &err);
  ck_assert_msg(r == -MBP_E_LOST || r == -MBP_E_NETWORK, "%d %s", r, err.message);
  ck_assert_int_eq(HTTP->status(exchange), 413);
  ck_assert_str_eq(must_body(exchange), "too large");
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

static void *cancel_soon(void *call)
{
  sleep_ms(80);
  mag_call_cancel(call);
  return NULL;
}

START_TEST(a_write_that_waits_is_cancelled)
{
  for (int upgrade = 0; upgrade < 2; upgrade++) {
    struct test_server *server = test_server_new(never_read, NULL);
    test_server_early(server);
    struct mbp_http_request request = request_for(server, "/put");
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_call *call = call_new(0);
    struct mbp_http *exchange = NULL;
    char *data = calloc(1, (size_t) 64 << 20);
    pthread_t thread;
    request.flags = upgrade ? MBP_HTTP_UPGRADE : MBP_HTTP_STREAM_BODY;
    if (upgrade)
      request.body = mbp_str_n(data, (size_t) 64 << 20);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, call), 0);
    int r = HTTP->open(call, &request, &exchange, &err);
    if (r == 0)
      r = HTTP->write(exchange, mbp_str_n(data, (size_t) 64 << 20), &err);
    check_error(&err, r, MBP_E_CANCELLED, false, "cancelled");
    (void) pthread_join(thread, NULL);
    HTTP->close(exchange);
    call_free(call);
    free(data);
    test_server_free(server);
  }
}
END_TEST

START_TEST(closing_without_finish_cuts_the_request)
{
  struct test_server *server = test_server_new(echo_body, NULL);
  struct mbp_http_request request = request_for(server, "/put");
  struct mbp_error err = MAG_ERROR_INIT;
  request.flags = MBP_HTTP_STREAM_BODY;
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(HTTP->write(exchange, mbp_str("abc"), &err), 0);
  sleep_ms(20);
  HTTP->close(exchange);
  ck_assert(test_server_wait_closed(server));
  ck_assert_uint_eq(test_server_count(server), 0);
  request.flags = 0;
  exchange = must_open(&request);
  ck_assert_int_eq(HTTP->write(exchange, mbp_str("abc"), &err), -MBP_E_INVALID);
  ck_assert_int_eq(HTTP->finish(exchange, &err), -MBP_E_INVALID);
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

/* ---- Upgrade ---- */

struct plan {
  const char *head; /* as it is sent, a byte at a time */
  size_t split;
  bool echo; /* then everything is sent back in capitals until the client's end, then "bye" */
};

static void upgrade(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const struct plan *plan = ctx;
  char buf[4096];
  int64_t n;
  (void) request;
  if (!test_reply_raw_split(conn, plan->head, strlen(plan->head), plan->split))
    return;
  while (plan->echo && (n = test_conn_read(conn, buf, sizeof(buf))) > 0) {
    for (int64_t i = 0; i < n; i++)
      buf[i] = (char) (buf[i] >= 'a' && buf[i] <= 'z' ? buf[i] - 32 : buf[i]);
    if (!test_reply_raw(conn, buf, (size_t) n))
      return;
  }
  if (plan->echo)
    test_reply_raw(conn, "bye", 3);
  test_conn_close(conn);
}

static const struct mbp_pair upgrade_headers[] = {
    {{"Connection", 10}, {"Upgrade", 7}}, {{"Upgrade", 7}, {"tcp", 3}}, {{"X-None", 6}, {"", 0}}};

static struct mbp_http_request upgrade_request(struct test_server *server, const char *socket)
{
  struct mbp_http_request request = request_for(server, "/exec/1/start?x=1");
  request.flags = MBP_HTTP_UPGRADE;
  request.headers = upgrade_headers;
  request.n_headers = 3;
  request.body = mbp_str("{\"Detach\":false}");
  request.unix_socket = mbp_str(socket);
  return request;
}

START_TEST(an_upgrade_is_a_raw_duplex_with_half_close)
{
  static const char *const heads[] = {
      "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n\r\nfirst",
      "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nfirst",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nfirst",
  };
  char path[64];
  (void) snprintf(path, sizeof(path), "/tmp/magent-duplex-test.%d", (int) getpid());
  for (size_t i = 0; i < 4 * MAG_COUNT(heads); i++) {
    struct plan plan = {heads[i / 4], i % 4, true};
    const char *socket = i % 2 ? path : "";
    struct test_server *server = i % 2 ? test_server_new_unix(path, upgrade, &plan) : test_server_new(upgrade, &plan);
    struct mbp_http_request request = upgrade_request(server, socket);
    struct mbp_error err = MAG_ERROR_INIT;
    mag_autobuf got = MAG_BUF_INIT;
    char buf[7];
    int64_t n;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), i / 4 == 1 ? 200 : 101);
    ck_assert(mbp_str_eq(HTTP->header(exchange, "content-type"), "application/vnd.docker.raw-stream"));
    ck_assert_int_eq(HTTP->write(exchange, mbp_str("stdin"), &err), 0);
    ck_assert_int_eq(HTTP->finish(exchange, &err), 0);
    ck_assert_int_eq(HTTP->write(exchange, mbp_str("x"), &err), -MBP_E_INVALID);
    while ((n = HTTP->read(exchange, buf, sizeof(buf), &err)) > 0)
      mag_buf_add(&got, buf, (size_t) n);
    ck_assert_msg(n == 0, "%s", err.message);
    ck_assert_str_eq(got.ptr, "firstSTDINbye");
    HTTP->close(exchange);
    const struct test_request *seen = test_server_request(server, 0);
    ck_assert_str_eq(seen->method, "POST");
    ck_assert_str_eq(seen->path, "/exec/1/start?x=1");
    ck_assert_str_eq(seen->body, "{\"Detach\":false}");
    ck_assert_str_eq(test_request_header(seen, "upgrade"), "tcp");
    ck_assert_str_eq(test_request_header(seen, "x-none"), "");
    ck_assert_ptr_nonnull(strstr(test_server_url(server), test_request_header(seen, "host")));
    test_server_free(server);
  }
}
END_TEST

START_TEST(a_refused_upgrade_gives_its_body)
{
  static const struct {
    const char *text;
    int status;
    const char *body; /* NULL: cut or malformed */
  } cases[] = {
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n{\"m\":\"x\"}rest", 404, "{\"m\":\"x\"}"},
      {"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n{\"m\"\r\n5 \r\n:\"x\"}\r\n0\r\nT: "
       "1\r\n\r\n",
       409, "{\"m\":\"x\"}"},
      {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 500, ""},
      {"HTTP/1.1 400 X\r\n\r\nuntil the end", 400, "until the end"},
      {"HTTP/1.1 404 X\r\nContent-Length: 20\r\n\r\nshort", 404, NULL},
      {"HTTP/1.1 409 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"m\"\r\n", 409, NULL},
      {"HTTP/1.1 409 X\r\nTransfer-Encoding: chunked\r\n\r\nq\r\n", 409, NULL},
  };
  for (size_t i = 0; i < 3 * MAG_COUNT(cases); i++) {
    struct plan plan = {cases[i / 3].text, i % 3, false};
    struct test_server *server = test_server_new(upgrade, &plan);
    struct mbp_http_request request = upgrade_request(server, "");
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_str body;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), cases[i / 3].status);
    int r = HTTP->body(exchange, &body, &err);
    if (cases[i / 3].body)
      ck_assert_msg(r == 0 && mbp_str_eq(body, cases[i / 3].body), "case %zu: %d %s", i / 3, r, err.message);
    else
      ck_assert_msg(r == -MBP_E_NETWORK || r == -MBP_E_PROTOCOL, "case %zu: %d", i / 3, r);
    HTTP->close(exchange);
    test_server_free(server);
  }
}
END_TEST

START_TEST(a_head_that_is_cut_or_wrong_is_an_error)
{
  static const char whole[] = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n";
  char text[sizeof(whole)];
  for (size_t n = 0; n < strlen(whole); n++) {
    memcpy(text, whole, sizeof(whole));
    text[n] = 0;
    struct plan plan = {text, 0, false};
    struct test_server *server = test_server_new(upgrade, &plan);
    struct mbp_http_request request = upgrade_request(server, "");
    struct mbp_http *exchange = NULL;
    struct mbp_error err = MAG_ERROR_INIT;
    check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_NETWORK, true, "closed before");
    test_server_free(server);
  }
  struct plan plan = {"SSH-2.0-x\r\n\r\n", 1, false};
  struct test_server *server = test_server_new(upgrade, &plan);
  struct mbp_http_request request = upgrade_request(server, "");
  struct mbp_http *exchange = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_PROTOCOL, false, "no valid head");
  test_server_free(server);
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_NETWORK, true, "127.0.0.1");
}
END_TEST

struct writer {
  struct mbp_http *exchange;
  size_t size;
  int r;
};

static void *write_all(void *ctx)
{
  struct writer *writer = ctx;
  char *data = malloc(writer->size);
  memset(data, 'q', writer->size);
  writer->r = HTTP->write(writer->exchange, mbp_str_n(data, writer->size), NULL);
  if (writer->r == 0)
    writer->r = HTTP->finish(writer->exchange, NULL);
  free(data);
  return NULL;
}

START_TEST(one_thread_may_write_while_another_reads)
{
  struct plan plan = {"HTTP/1.1 101 UPGRADED\r\n\r\n", 0, true};
  struct test_server *server = test_server_new(upgrade, &plan);
  struct mbp_http_request request = upgrade_request(server, "");
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange = must_open(&request);
  struct writer writer = {exchange, (size_t) 5 << 20, 0};
  char *buf = malloc(65536);
  size_t total = 0;
  int64_t n = 1;
  pthread_t thread;
  ck_assert_int_eq(pthread_create(&thread, NULL, write_all, &writer), 0);
  while (n > 0) {
    ck_assert_int_eq(poll(&(struct pollfd){HTTP->poll_fd(exchange), POLLIN, 0}, 1, 5000), 1);
    n = HTTP->read(exchange, buf, 10007, &err);
    ck_assert_msg(n >= 0, "%s", err.message);
    total += (size_t) n;
  }
  (void) pthread_join(thread, NULL);
  ck_assert_int_eq(writer.r, 0);
  ck_assert_uint_eq(total, writer.size + 3);
  HTTP->close(exchange);
  free(buf);
  test_server_free(server);
}
END_TEST

START_TEST(a_silent_duplex_is_ended_by_cancelling_only)
{
  struct plan plan = {"HTTP/1.1 101 UPGRADED\r\n\r\n", 0, true};
  struct test_server *server = test_server_new(upgrade, &plan);
  struct mbp_http_request request = upgrade_request(server, "");
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_call *call = call_new(0);
  struct mbp_http *exchange = NULL;
  pthread_t thread;
  char buf[8];
  request.idle_timeout_ms = 20;
  ck_assert_int_eq(HTTP->open(call, &request, &exchange, &err), 0);
  ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, call), 0);
  int64_t start = mag_clock_monotonic_ms();
  check_error(&err, (int) HTTP->read(exchange, buf, sizeof(buf), &err), MBP_E_CANCELLED, false, "cancelled");
  ck_assert_int_ge(mag_clock_monotonic_ms() - start, 70);
  (void) pthread_join(thread, NULL);
  HTTP->close(exchange);
  call_free(call);
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
  /* Waiting for the head is another matter: there silence counts. */
  server = test_server_new(never_read, NULL);
  request = upgrade_request(server, "");
  request.idle_timeout_ms = 60;
  check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_TIMEOUT, true, "nothing came for 60 ms");
  test_server_free(server);
}
END_TEST

START_TEST(chunks_decode_wherever_they_are_split)
{
  static const char text[] = "5;name=\"v\"\r\nhello\r\n1\r\n \r\n0005\r\nworld\r\n0\r\nA: b\r\nC: d\r\n\r\n";
  size_t whole = strlen(text);
  for (size_t cut = 0; cut <= whole; cut++) {
    struct mag_http_chunk chunk = {0};
    char copy[sizeof(text)], *second = copy + cut;
    size_t a = 0, b = 0;
    memcpy(copy, text, sizeof(text));
    int r = mag_http_chunk_decode(&chunk, copy, cut, &a);
    ck_assert_int_eq(r, cut == whole ? MAG_HTTP_CHUNK_END : 0);
    if (cut < whole)
      ck_assert_int_eq(mag_http_chunk_decode(&chunk, second, whole - cut, &b), MAG_HTTP_CHUNK_END);
    ck_assert_uint_eq(a + b, 11);
    memmove(copy + a, second, b);
    ck_assert_int_eq(memcmp(copy, "hello world", 11), 0);
  }
}
END_TEST

void http_duplex_tests(Suite *suite)
{
  TCase *t = tcase_create("duplex");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_streamed_body_arrives_whole);
  tcase_add_test(t, a_large_streamed_body_is_held_by_a_slow_receiver);
  tcase_add_test(t, an_early_answer_ends_the_writing);
  tcase_add_test(t, a_write_that_waits_is_cancelled);
  tcase_add_test(t, closing_without_finish_cuts_the_request);
  tcase_add_test(t, an_upgrade_is_a_raw_duplex_with_half_close);
  tcase_add_test(t, a_refused_upgrade_gives_its_body);
  tcase_add_test(t, a_head_that_is_cut_or_wrong_is_an_error);
  tcase_add_test(t, one_thread_may_write_while_another_reads);
  tcase_add_test(t, a_silent_duplex_is_ended_by_cancelling_only);
  tcase_add_test(t, chunks_decode_wherever_they_are_split);
  suite_add_tcase(suite, t);
}
