/* What a response that is not wanted means: code, retry, waiting; and what is done with it. */
#include "http_test.h"

#include "host/retry.h"

#include <time.h>

struct answer {
  int status;
  const char *headers;
};

static void reply_answer(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const struct answer *answer = ctx;
  (void) request;
  test_reply(conn, answer->status, answer->headers, "{}");
}

static struct mbp_error fail_of(int status, const char *headers, const char *message)
{
  struct answer answer = {status, headers};
  struct test_server *server = test_server_new(reply_answer, &answer);
  struct mbp_http_request request = request_for(server, "/");
  struct mbp_http *exchange = must_open(&request);
  struct mbp_error err = MAG_ERROR_INIT;
  int r = HTTP->fail(exchange, "messages", mbp_str(message), &err);
  ck_assert_int_eq(r, -err.code);
  ck_assert_int_eq(err.upstream_status, status);
  HTTP->close(exchange);
  test_server_free(server);
  return err;
}

START_TEST(each_status_has_its_code)
{
  static const struct {
    int status, code, retryable;
  } cases[] = {
      {400, MBP_E_INVALID, 0},    {401, MBP_E_AUTH, 0},     {402, MBP_E_BILLING, 0},    {403, MBP_E_PERMISSION, 0},
      {404, MBP_E_NOT_FOUND, 0},  {408, MBP_E_TIMEOUT, 1},  {409, MBP_E_CONFLICT, 1},   {413, MBP_E_LIMIT, 0},
      {422, MBP_E_INVALID, 0},    {429, MBP_E_RATE, 1},     {500, MBP_E_UPSTREAM, 1},   {502, MBP_E_UPSTREAM, 1},
      {503, MBP_E_OVERLOADED, 1}, {504, MBP_E_UPSTREAM, 1}, {529, MBP_E_OVERLOADED, 1},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct mbp_error err = fail_of(cases[i].status, NULL, "");
    check_error(&err, -err.code, cases[i].code, cases[i].retryable, "messages: HTTP status ");
    ck_assert_int_eq(err.retry_after_ms, 0);
    ck_assert_str_eq(err.upstream_request, "");
  }
}
END_TEST

START_TEST(the_service_says_whether_to_retry)
{
  struct mbp_error err =
      fail_of(409, "X-Should-Retry: false\r\nrequest-id: req_1\r\nx-request-id: no\r\n", "Bad\nline");
  check_error(&err, -err.code, MBP_E_CONFLICT, false, "messages: Bad line");
  ck_assert_str_eq(err.upstream_request, "req_1");
  err = fail_of(400, "x-should-retry: true\r\nx-request-id: req_2\r\n", "");
  check_error(&err, -err.code, MBP_E_INVALID, true, "");
  ck_assert_str_eq(err.upstream_request, "req_2");
}
END_TEST

START_TEST(retry_after_has_many_forms)
{
  static const struct {
    const char *headers;
    int64_t ms;
  } cases[] = {
      {"Retry-After: 7\r\n", 7000},     {"retry-after: 0\r\n", 1},
      {"Retry-After: 1.25\r\n", 1250},  {"Retry-After-Ms: 1500\r\nRetry-After: 9\r\n", 1500},
      {"retry-after-ms: 12.7\r\n", 12}, {"Retry-After: soon\r\n", 0},
      {"Retry-After: -5\r\n", 0},       {"Retry-After: 99999999999999999999\r\n", 31536000000},
      {"Retry-After:\r\n", 0},          {"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 1},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct mbp_error err = fail_of(429, cases[i].headers, "");
    ck_assert_msg(err.retry_after_ms == cases[i].ms, "%s: %lld", cases[i].headers, (long long) err.retry_after_ms);
  }
  static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  time_t then = (time_t) (mag_clock_wall_ms() / 1000) + 30;
  struct tm tm;
  char header[128];
  ck_assert_ptr_nonnull(gmtime_r(&then, &tm));
  (void) snprintf(header, sizeof(header), "Retry-After: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
                  tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
  struct mbp_error err = fail_of(503, header, "");
  ck_assert_msg(err.retry_after_ms > 25000 && err.retry_after_ms <= 30000, "%s: %lld", header,
                (long long) err.retry_after_ms);
}
END_TEST

START_TEST(delays_double_and_are_bounded)
{
  static const int64_t most[] = {500, 1000, 2000, 4000, 8000, 8000, 8000};
  for (unsigned i = 0; i < MAG_COUNT(most); i++)
    for (int n = 0; n < 200; n++) {
      int64_t delay = mag_retry_delay_ms(i + 1, NULL);
      ck_assert_msg(delay <= most[i] && delay >= most[i] * 3 / 4, "%u: %lld", i + 1, (long long) delay);
    }
  ck_assert_int_le(mag_retry_delay_ms(UINT32_MAX, NULL), 8000);
  struct mbp_error err = MAG_ERROR_INIT;
  err.retry_after_ms = 20000;
  ck_assert_int_eq(mag_retry_delay_ms(1, &err), 20000);
  err.retry_after_ms = 60001;
  ck_assert_int_lt(mag_retry_delay_ms(1, &err), 0);
}
END_TEST

START_TEST(retries_are_for_what_may_succeed_and_was_not_shown)
{
  struct mbp_error err = MAG_ERROR_INIT;
  (void) mag_error(&err, MBP_E_OVERLOADED, "overloaded");
  ck_assert(!mag_retry_wanted(1, 2, &err, false));
  err.flags = MBP_ERR_RETRYABLE;
  ck_assert(mag_retry_wanted(1, 2, &err, false));
  ck_assert(mag_retry_wanted(2, 2, &err, false));
  ck_assert(!mag_retry_wanted(3, 2, &err, false));
  ck_assert(!mag_retry_wanted(1, 2, &err, true));
  ck_assert_str_eq(err.message, "overloaded");
  err.retry_after_ms = 300000;
  ck_assert(!mag_retry_wanted(1, 2, &err, false));
  ck_assert_str_eq(err.message, "overloaded (asks to wait 300 s: not tried again)");
}
END_TEST

void http_fail_tests(Suite *suite)
{
  TCase *t = tcase_create("fail");
  tcase_set_timeout(t, 30);
  tcase_add_test(t, each_status_has_its_code);
  tcase_add_test(t, the_service_says_whether_to_retry);
  tcase_add_test(t, retry_after_has_many_forms);
  tcase_add_test(t, delays_double_and_are_bounded);
  tcase_add_test(t, retries_are_for_what_may_succeed_and_was_not_shown);
  suite_add_tcase(suite, t);
}
