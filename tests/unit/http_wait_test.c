/* Waiting: events as they come, cancellation, deadlines, silence, back pressure, many streams at a time. */
#include "http_test.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(int ms)
{
  (void) nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

#define EVENTS                                                                                                         \
  "event: message_start\ndata: {\"n\":1}\n\n: ping\r\n\r\nid: 4\nevent: delta\r\ndata: one\rdata: two\n\ndata: "       \
  "end\n\n"

/* "/sse?SPLIT", "/cut?LENGTH", "/stall" (nothing), "/head" (a head, then nothing), "/some" (an event, then nothing),
 * "/slow" (an event each 40 ms), "/big" (8 MiB). */
static void handle(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const char *query = strchr(request->path, '?');
  size_t n = query ? strtoul(query + 1, NULL, 10) : 0;
  (void) ctx;
  if (strncmp(request->path, "/sse", 4) == 0) {
    test_reply_sse(conn, EVENTS, n);
  } else if (strncmp(request->path, "/cut", 4) == 0) {
    test_reply_sse_cut(conn, EVENTS, n);
  } else if (strcmp(request->path, "/slow") == 0) {
    test_reply_sse_slow(conn, "data: a\n\ndata: a\n\ndata: a\n\ndata: a\n\ndata: a\n\n", 9, 40);
  } else if (strcmp(request->path, "/big") == 0) {
    static const char piece[65536];
    test_reply_begin(conn, 200, NULL);
    for (int i = 0; i < 128 && test_reply_chunk(conn, piece, sizeof(piece)); i++)
      continue;
    test_reply_end(conn);
  } else {
    if (strcmp(request->path, "/stall") != 0)
      test_reply_begin(conn, 200, NULL);
    if (strcmp(request->path, "/some") == 0)
      test_reply_chunk(conn, "data: a\n\ndata: unfinished", 25);
    test_conn_stall(conn);
  }
}

/* All events as "event|data|id;". */
static int collect(struct mbp_http *exchange, struct mag_buf *out, struct mbp_error *err)
{
  struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
  int r;
  while ((r = HTTP->next_event(exchange, &event, err)) == 1) {
    mag_buf_add_str(out, event.event);
    mag_buf_add_char(out, '|');
    mag_buf_add_str(out, event.data);
    mag_buf_add_char(out, '|');
    mag_buf_add_str(out, event.id);
    mag_buf_add_char(out, ';');
  }
  return r;
}

#define COLLECTED "message_start|{\"n\":1}|;delta|one\ntwo|4;|end|4;"

START_TEST(events_come_whole_however_they_are_split)
{
  struct test_server *server = test_server_new(handle, NULL);
  for (int split = 0; split < 40; split++) {
    char path[32];
    (void) snprintf(path, sizeof(path), "/sse?%d", split);
    struct mbp_http_request request = request_for(server, path);
    struct mbp_http *exchange = must_open(&request);
    struct mbp_error err = MAG_ERROR_INIT;
    mag_autobuf out = MAG_BUF_INIT;
    int r = collect(exchange, &out, &err);
    ck_assert_msg(r == 0 && strcmp(out.ptr, COLLECTED) == 0, "split %d: %d %s", split, r, out.ptr);
    ck_assert_int_eq(collect(exchange, &out, &err), 0);
    HTTP->close(exchange);
  }
  test_server_free(server);
}
END_TEST

START_TEST(a_stream_that_is_cut_gives_its_events_and_an_error)
{
  struct test_server *server = test_server_new(handle, NULL);
  for (size_t n = 0; n <= strlen(EVENTS); n++) {
    char path[32];
    (void) snprintf(path, sizeof(path), "/cut?%zu", n);
    struct mbp_http_request request = request_for(server, path);
    struct mbp_http *exchange = must_open(&request);
    struct mbp_error err = MAG_ERROR_INIT;
    mag_autobuf out = MAG_BUF_INIT;
    mag_buf_add_text(&out, "");
    check_error(&err, collect(exchange, &out, &err), MBP_E_NETWORK, true, "127.0.0.1");
    ck_assert_int_eq(strncmp(out.ptr, COLLECTED, out.len), 0);
    /* It stays so. */
    check_error(&err, collect(exchange, &out, &err), MBP_E_NETWORK, true, "127.0.0.1");
    HTTP->close(exchange);
  }
  test_server_free(server);
}
END_TEST

/* ---- Cancellation ---- */

static void *cancel_soon(void *call)
{
  sleep_ms(60);
  mag_call_cancel(call);
  return NULL;
}

/* Waits in open ("/stall"), read ("/head") or next_event ("/some") until something ends it. */
static int wait_in(struct test_server *server, const char *path, struct mbp_call *call, int64_t idle_ms,
                   struct mbp_error *err)
{
  struct mbp_http_request request = request_for(server, path);
  struct mbp_http *exchange = NULL;
  struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
  char buf[16];
  request.idle_timeout_ms = idle_ms;
  int r = HTTP->open(call, &request, &exchange, err);
  if (r == 0 && strcmp(path, "/head") == 0) {
    r = (int) HTTP->read(exchange, buf, sizeof(buf), err);
  } else if (r == 0) {
    ck_assert_int_eq(HTTP->next_event(exchange, &event, err), 1);
    r = HTTP->next_event(exchange, &event, err);
    ck_assert_int_eq(HTTP->next_event(exchange, &event, err), r);
  }
  HTTP->close(exchange);
  return r;
}

static const char *const waits[] = {"/stall", "/head", "/some"};

START_TEST(cancelling_ends_every_wait_at_once)
{
  struct test_server *server = test_server_new(handle, NULL);
  for (size_t i = 0; i < MAG_COUNT(waits); i++) {
    struct mbp_call *call = call_new(0);
    struct mbp_error err = MAG_ERROR_INIT;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, call), 0);
    int64_t start = mag_clock_monotonic_ms();
    check_error(&err, wait_in(server, waits[i], call, 0, &err), MBP_E_CANCELLED, false, "cancelled");
    int64_t took = mag_clock_monotonic_ms() - start;
    ck_assert_msg(took >= 50 && took < 2000, "%lld ms", (long long) took);
    (void) pthread_join(thread, NULL);
    /* And nothing new is begun. */
    check_error(&err, wait_in(server, waits[i], call, 0, &err), MBP_E_CANCELLED, false, "cancelled");
    call_free(call);
  }
  ck_assert(test_server_wait_closed(server));
  ck_assert_uint_eq(test_server_count(server), MAG_COUNT(waits));
  test_server_free(server);
}
END_TEST

START_TEST(the_deadline_ends_every_wait)
{
  struct test_server *server = test_server_new(handle, NULL);
  for (size_t i = 0; i < MAG_COUNT(waits); i++) {
    struct mbp_call *call = call_new(80);
    struct mbp_error err = MAG_ERROR_INIT;
    int64_t start = mag_clock_monotonic_ms();
    int r = wait_in(server, waits[i], call, 0, &err);
    ck_assert_msg(r == -MBP_E_TIMEOUT && err.code == MBP_E_TIMEOUT, "%d %s", r, err.message);
    ck_assert_int_lt(mag_clock_monotonic_ms() - start, 2000);
    call_free(call);
  }
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
}
END_TEST

START_TEST(silence_ends_every_wait_and_slowness_does_not)
{
  struct test_server *server = test_server_new(handle, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  for (size_t i = 0; i < MAG_COUNT(waits); i++) {
    int64_t start = mag_clock_monotonic_ms();
    check_error(&err, wait_in(server, waits[i], NULL, 100, &err), MBP_E_TIMEOUT, true, "nothing came for 100 ms");
    int64_t took = mag_clock_monotonic_ms() - start;
    ck_assert_msg(took >= 95 && took < 2000, "%lld ms", (long long) took);
  }
  ck_assert(test_server_wait_closed(server));
  struct mbp_http_request request = request_for(server, "/slow"); /* 200 ms in all */
  mag_autobuf out = MAG_BUF_INIT;
  request.idle_timeout_ms = 150;
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(collect(exchange, &out, &err), 0);
  ck_assert_str_eq(out.ptr, "|a|;|a|;|a|;|a|;|a|;");
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

START_TEST(connecting_has_its_own_limit)
{
  /* A listener whose queue is full answers nothing. */
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  int fds[8], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, len), 0);
  ck_assert_int_eq(listen(fd, 0), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &address, &len), 0);
  for (size_t i = 0; i < MAG_COUNT(fds); i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void) connect(fds[i], (struct sockaddr *) &address, len);
  }
  for (int upgrade = 0; upgrade < 2; upgrade++) {
    char url[64];
    struct mbp_http *exchange = NULL;
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body)};
    struct mbp_call *call = call_new(100);
    (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
    request.url = mbp_str(url);
    request.flags = upgrade ? MBP_HTTP_UPGRADE : 0;
    request.connect_timeout_ms = 100;
    int64_t start = mag_clock_monotonic_ms();
    check_error(&err, HTTP->open(NULL, &request, &exchange, &err), MBP_E_TIMEOUT, true, "127.0.0.1");
    ck_assert_int_lt(mag_clock_monotonic_ms() - start, 2000);
    request.connect_timeout_ms = 0; /* cancelled while connecting */
    int r = HTTP->open(call, &request, &exchange, &err);
    ck_assert_msg(r == -MBP_E_TIMEOUT, "%d %s", r, err.message);
    ck_assert_int_lt(mag_clock_monotonic_ms() - start, 3000);
    call_free(call);
  }
  for (size_t i = 0; i < MAG_COUNT(fds); i++)
    (void) close(fds[i]);
  (void) close(fd);
}
END_TEST

/* libcurl's look-ups come here: one name takes its time. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret)
{
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (name && strcmp(name, "slow.invalid") == 0) {
    sleep_ms(1500);
    return EAI_AGAIN;
  }
  return real(name, service, hints, ret);
}

START_TEST(a_name_that_is_not_found_holds_nobody_up)
{
  struct test_server *server = test_server_new(handle, NULL);
  struct mbp_call *call = call_new(100);
  struct mbp_http_request request = request_for(server, "/sse?0");
  struct mbp_http *exchange = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autobuf out = MAG_BUF_INIT;
  int64_t start = mag_clock_monotonic_ms();
  struct mbp_http_request slow = request;
  slow.url = mbp_str("http://slow.invalid/");
  ck_assert_int_eq(HTTP->open(call, &slow, &exchange, &err), -MBP_E_TIMEOUT);
  exchange = must_open(&request);
  ck_assert_int_eq(collect(exchange, &out, &err), 0);
  HTTP->close(exchange);
  call_free(call);
  call = call_new(100);
  slow.flags = MBP_HTTP_UPGRADE;
  ck_assert_int_eq(HTTP->open(call, &slow, &exchange, &err), -MBP_E_TIMEOUT);
  slow.flags = 0;
  slow.connect_timeout_ms = 100;
  check_error(&err, HTTP->open(NULL, &slow, &exchange, &err), MBP_E_TIMEOUT, true, "slow.invalid");
  ck_assert_int_lt(mag_clock_monotonic_ms() - start, 1200);
  call_free(call);
  test_server_free(server);
  sleep_ms(1500); /* the look-up's thread ends by itself; the sanitizers see whether it leaks */
}
END_TEST

/* ---- Early close, back pressure ---- */

START_TEST(closing_early_neither_waits_nor_leaks)
{
  static const char *const paths[] = {"/head", "/some", "/slow", "/big", "/sse?1"};
  struct test_server *server = test_server_new(handle, NULL);
  for (int i = 0; i < 100; i++) {
    struct mbp_http_request request = request_for(server, paths[i % 5]);
    struct mbp_http *exchange = must_open(&request);
    if (i % 3 == 0) {
      char byte;
      (void) (i % 5 ? HTTP->read(exchange, &byte, 1, NULL) : 0);
    }
    int64_t start = mag_clock_monotonic_ms();
    HTTP->close(exchange);
    ck_assert_int_lt(mag_clock_monotonic_ms() - start, 500);
  }
  HTTP->close(NULL);
  mag_http_stop();
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
}
END_TEST

#define LENT (16u << 20)

/* Answers at once, and then counts what else than 'a' the body has. */
static void answer_early(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  char buf[65536];
  atomic_size_t *others = ctx; /* its connections are served at once */
  int64_t n;
  (void) request;
  test_reply_begin(conn, 200, NULL);
  while ((n = test_conn_read(conn, buf, sizeof(buf))) > 0)
    for (int64_t i = 0; i < n; i++)
      *others += buf[i] != 'a';
}

/* After the close its memory is somebody else's, however much of it was still to be sent. */
START_TEST(a_body_that_stays_is_not_read_after_the_close)
{
  atomic_size_t others = 0;
  struct test_server *server = test_server_new(answer_early, &others);
  char *body = malloc(LENT);
  ck_assert_ptr_nonnull(body);
  test_server_early(server);
  for (int i = 0; i < 20; i++) {
    memset(body, 'a', LENT);
    struct mbp_http_request request = request_for(server, "/");
    request.body = mbp_str_n(body, LENT);
    request.flags = MBP_HTTP_BODY_STAYS;
    struct mbp_http *exchange = must_open(&request);
    HTTP->close(exchange);
    memset(body, 'b', LENT);
  }
  free(body);
  mag_http_stop();
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
  ck_assert_uint_eq(atomic_load(&others), 0);
}
END_TEST

/* The same while nobody answers and the call is cancelled: `open` fails, and has let go. */
START_TEST(a_body_that_stays_is_let_go_when_open_fails)
{
  struct test_server *server = test_server_new(handle, NULL);
  for (int i = 0; i < 10; i++) {
    struct mbp_http_request request = request_for(server, "/stall");
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_call *call = call_new(20);
    struct mbp_http *exchange;
    char *body = calloc(1, LENT);
    request.body = mbp_str_n(body, LENT);
    request.flags = MBP_HTTP_BODY_STAYS;
    ck_assert_int_eq(HTTP->open(call, &request, &exchange, &err), -MBP_E_TIMEOUT);
    free(body);
    call_free(call);
  }
  mag_http_stop();
  test_server_free(server);
}
END_TEST

START_TEST(a_slow_reader_holds_the_sender_and_loses_nothing)
{
  struct test_server *server = test_server_new(handle, NULL);
  struct mbp_http_request request = request_for(server, "/big");
  struct mbp_error err = MAG_ERROR_INIT;
  request.idle_timeout_ms = 100; /* the reader's own slowness is no silence of the server's */
  struct mbp_http *exchange = must_open(&request);
  sleep_ms(400);
  ck_assert_uint_eq(test_server_open(server), 1);
  size_t total = 0;
  char *buf = malloc(100000);
  int64_t n;
  for (int i = 0; (n = HTTP->read(exchange, buf, 100000, &err)) > 0; i++) {
    total += (size_t) n;
    if (i == 3)
      sleep_ms(200);
  }
  ck_assert_msg(n == 0, "%s", err.message);
  ck_assert_uint_eq(total, 128 * 65536);
  HTTP->close(exchange);
  /* As a whole, within its bound. */
  request.max_body = 128 * 65536;
  struct mbp_str body;
  exchange = must_open(&request);
  ck_assert_int_eq(HTTP->body(exchange, &body, &err), 0);
  ck_assert_uint_eq(body.len, 128 * 65536);
  HTTP->close(exchange);
  free(buf);
  test_server_free(server);
}
END_TEST

START_TEST(poll_fd_tells_when_read_would_not_wait)
{
  struct test_server *server = test_server_new(handle, NULL);
  struct mbp_http_request request = request_for(server, "/slow");
  struct mbp_http *exchange = must_open(&request);
  struct mbp_error err = MAG_ERROR_INIT;
  char text[64];
  size_t len = 0;
  int64_t n = 1;
  while (n > 0) {
    struct pollfd fd = {HTTP->poll_fd(exchange), POLLIN, 0};
    ck_assert_int_eq(poll(&fd, 1, 3000), 1);
    int64_t start = mag_clock_monotonic_ms();
    n = HTTP->read(exchange, text + len, 2, &err); /* less than came */
    ck_assert_int_lt(mag_clock_monotonic_ms() - start, 35);
    ck_assert_int_ge(n, 0);
    len += (size_t) n;
  }
  ck_assert_uint_eq(len, 45);
  HTTP->close(exchange);
  request = request_for(server, "/head");
  exchange = must_open(&request);
  ck_assert_int_eq(poll(&(struct pollfd){HTTP->poll_fd(exchange), POLLIN, 0}, 1, 50), 0);
  HTTP->close(exchange);
  test_server_free(server);
}
END_TEST

/* ---- Many ---- */

#define MANY 200

static void *stream(void *ctx)
{
  struct test_server *server = ctx;
  struct mbp_http_request request = request_for(server, "/slow");
  struct mbp_call *call = call_new(60000);
  struct mbp_http *exchange = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autobuf out = MAG_BUF_INIT;
  int r = HTTP->open(call, &request, &exchange, &err);
  if (r == 0)
    r = collect(exchange, &out, &err);
  HTTP->close(exchange);
  call_free(call);
  if (r < 0)
    fprintf(stderr, "stream: %s\n", err.message);
  return r == 0 && strcmp(out.ptr, "|a|;|a|;|a|;|a|;|a|;") == 0 ? NULL : server;
}

START_TEST(two_hundred_streams_run_side_by_side)
{
  struct test_server *server = test_server_new(handle, NULL);
  pthread_t threads[MANY];
  pthread_attr_t attributes;
  int bad = 0;
  (void) pthread_attr_init(&attributes);
  (void) pthread_attr_setstacksize(&attributes, (size_t) 256 << 10);
  int64_t start = mag_clock_monotonic_ms();
  for (int i = 0; i < MANY; i++)
    ck_assert_int_eq(pthread_create(&threads[i], &attributes, stream, server), 0);
  for (int i = 0; i < MANY; i++) {
    void *result;
    (void) pthread_join(threads[i], &result);
    bad += result != NULL;
  }
  ck_assert_int_eq(bad, 0);
  ck_assert_uint_eq(test_server_count(server), MANY);
  /* One after the other they would take 40 s. */
  ck_assert_int_lt(mag_clock_monotonic_ms() - start, 20000);
  (void) pthread_attr_destroy(&attributes);
  test_server_free(server);
}
END_TEST

/* Opens, cancels and closes from many threads at once: for the sanitizers. */
static void *storm(void *ctx)
{
  static const char *const paths[] = {"/sse?3", "/some", "/big", "/stall", "/cut?20", "/slow"};
  struct test_server *server = ctx;
  for (int i = 0; i < 12; i++) {
    struct mbp_call *call = call_new(i % 4 == 3 ? 20 : 60000);
    struct mbp_http_request request = request_for(server, paths[i % 6]);
    struct mbp_http *exchange = NULL;
    mag_autobuf out = MAG_BUF_INIT;
    pthread_t canceller;
    bool cancels = i % 6 == 1 || i % 6 == 3;
    if (cancels && pthread_create(&canceller, NULL, cancel_soon, call))
      abort();
    int r = HTTP->open(call, &request, &exchange, NULL);
    if (r == 0 && i % 6 != 2)
      (void) collect(exchange, &out, NULL);
    HTTP->close(exchange);
    if (cancels)
      (void) pthread_join(canceller, NULL);
    call_free(call);
  }
  return NULL;
}

START_TEST(threads_that_open_cancel_and_close_do_not_disturb_each_other)
{
  struct test_server *server = test_server_new(handle, NULL);
  pthread_t threads[8];
  for (size_t i = 0; i < MAG_COUNT(threads); i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, storm, server), 0);
  for (size_t i = 0; i < MAG_COUNT(threads); i++)
    (void) pthread_join(threads[i], NULL);
  mag_http_stop();
  ck_assert(test_server_wait_closed(server));
  test_server_free(server);
}
END_TEST

void http_wait_tests(Suite *suite)
{
  TCase *t = tcase_create("waiting");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, events_come_whole_however_they_are_split);
  tcase_add_test(t, a_stream_that_is_cut_gives_its_events_and_an_error);
  tcase_add_test(t, cancelling_ends_every_wait_at_once);
  tcase_add_test(t, the_deadline_ends_every_wait);
  tcase_add_test(t, silence_ends_every_wait_and_slowness_does_not);
  tcase_add_test(t, connecting_has_its_own_limit);
  tcase_add_test(t, a_name_that_is_not_found_holds_nobody_up);
  tcase_add_test(t, closing_early_neither_waits_nor_leaks);
  tcase_add_test(t, a_body_that_stays_is_not_read_after_the_close);
  tcase_add_test(t, a_body_that_stays_is_let_go_when_open_fails);
  tcase_add_test(t, a_slow_reader_holds_the_sender_and_loses_nothing);
  tcase_add_test(t, poll_fd_tells_when_read_would_not_wait);
  tcase_add_test(t, two_hundred_streams_run_side_by_side);
  tcase_add_test(t, threads_that_open_cancel_and_close_do_not_disturb_each_other);
  suite_add_tcase(suite, t);
}
