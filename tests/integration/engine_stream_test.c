/* A model service that misbehaves: nothing of a broken answer is run, projected or kept. */
#include "engine_test.h"

#include "base/clock.h"

#include <string.h>

static const char *const models[] = {"anthropic/claude-test", "openai/gpt-test"};

#define JSON_TYPE "Content-Type: application/json\r\n"
#define RICH                                                                                                           \
  "[{\"type\":\"text\",\"text\":\"p\\u00e4ge \\ud83d\\ude00 one\"}," CALL("t1", "nothing",                             \
                                                                          "{\"k\":\"v\\u20ac\",\"n\":[1,2.5e3]}") "]"

static void open_with(struct rig *rig, struct service *service, const char *model)
{
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, model, NULL, NULL);
  rig_create(rig);
}

static void close_with(struct rig *rig, struct service *service)
{
  struct records records;
  rig_read(rig, NULL, &records);
  records_check(&records);
  records_done(&records);
  rig_close(rig);
  service_free(service);
}

START_TEST(a_stream_in_pieces_of_any_size_is_the_same_answer)
{
  static const size_t splits[] = {0, 1, 2, 3, 7, 64, 1000};
  for (size_t m = 0; m < MAG_COUNT(models); m++)
    for (size_t i = 0; i < MAG_COUNT(splits); i++) {
      const struct answer answers[] = {{.content = RICH, .split = splits[i]},
                                       {.content = TEXT("ok"), .split = splits[i]}};
      struct rig rig;
      struct records records;
      struct service *service = service_new(answers, 2);
      open_with(&rig, service, models[m]);
      ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
      ck_assert_str_eq(rig.shown.ptr, "p\u00e4ge \U0001F600 oneok");
      rig_read(&rig, NULL, &records);
      ck_assert_msg(records_hold(&records, "\"input\":{\"k\":\"v\\u20ac\",\"n\":[1,2.5e3]}"),
                    "the input is not verbatim");
      ck_assert_str_eq(records_result(&records, 0, NULL), "There is no tool named \"nothing\".");
      records_done(&records);
      close_with(&rig, service);
    }
}
END_TEST

/* Cut anywhere, the answer is asked for again if nobody saw a part of it, else the turn fails; never is half of it
 * acted on. */
START_TEST(a_cut_stream_leaves_only_a_failed_span)
{
  static const struct mag_limits quick = {.timeout_ms = 250}; /* the first attempt; a retry comes later */
  for (size_t m = 0; m < MAG_COUNT(models); m++) {
    const struct answer whole = {.content = RICH};
    mag_autofree char *text = m == 0 ? service_anthropic(&whole) : service_openai(&whole);
    size_t len = strlen(text) - 4; /* the last bytes are only the end of "[DONE]" or of message_stop */
    for (size_t cut = 1; cut < len; cut += len / 13) {
      const struct answer answers[] = {{.how = HOW_CUT, .content = RICH, .len = cut}};
      struct rig rig;
      struct records records;
      struct service *service = service_new(answers, 1);
      open_with(&rig, service, models[m]);
      enum mag_ending ending = rig_run(&rig, "go", &quick);
      rig_read(&rig, NULL, &records);
      /* A service that has told the reason of the end and closes has said all that there is. */
      if (m == 1 && ending == MAG_END_ERROR && records_count(&records, MAG_REC_RESPONSE))
        ck_assert_uint_gt(cut, len / 2);
      else {
        ck_assert_msg(ending == (rig.shown.len ? MAG_END_ERROR : MAG_END_LIMIT), "%s cut at %zu: %d", models[m], cut,
                      (int) ending);
        ck_assert_uint_eq(records_count(&records, MAG_REC_RESPONSE), 0);
        ck_assert_uint_eq(records_count(&records, MAG_EV_TOOL_USE), 0);
        ck_assert_uint_eq(records_count(&records, MAG_EV_MESSAGE), 0);
        ck_assert_ptr_nonnull(strstr(records_find(&records, MAG_EV_REQUEST_END, 0)->payload, "\"is_error\":true"));
        ck_assert_ptr_nonnull(
            strstr(rig_batches(), rig.shown.len ? "ask asked+error+usage+idle" : "ask asked+limit+usage+idle"));
      }
      records_done(&records);
      close_with(&rig, service);
    }
  }
}
END_TEST

/* ---- Errors with a status
 * ------------------------------------------------------------------------------------------- */

START_TEST(a_refused_request_is_tried_again_when_that_helps)
{
  static const struct {
    int status;
    const char *headers, *body;
  } rows[] = {
      {429, JSON_TYPE "Retry-After: 0\r\n",
       "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}"},
      {500, JSON_TYPE, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oops\"}}"},
      {529, JSON_TYPE, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}"},
      {502, "Content-Type: text/html\r\n", "<html>bad gateway</html>"},
      {503, "", ""},
  };
  for (size_t m = 0; m < MAG_COUNT(models); m++)
    for (size_t i = 0; i < MAG_COUNT(rows); i++) {
      const struct answer answers[] = {
          {.how = HOW_STATUS, .status = rows[i].status, .headers = rows[i].headers, .body = rows[i].body},
          {.content = TEXT("at last")}};
      struct rig rig;
      struct service *service = service_new(answers, 2);
      open_with(&rig, service, models[m]);
      ck_assert_msg(rig_run(&rig, "go", NULL) == MAG_END_TURN, "%d: %s", rows[i].status, rig.outcome.error.message);
      ck_assert_str_eq(rig.shown.ptr, "at last");
      ck_assert_uint_eq(service_count(service), 2);
      ck_assert_str_eq(service_body(service, 0), service_body(service, 1));
      ck_assert_ptr_nonnull(strstr(rig.previews.ptr, "trying again"));
      ck_assert_str_eq(rig_batches(), "session message running+processed+ask response+said+asked+usage+idle");
      close_with(&rig, service);
    }
}
END_TEST

START_TEST(retry_after_is_obeyed)
{
  static const struct answer answers[] = {
      {.how = HOW_STATUS, .status = 429, .headers = JSON_TYPE "Retry-After: 1\r\n", .body = "{}"},
      {.content = TEXT("ok")}};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  open_with(&rig, service, models[0]);
  int64_t before = mag_clock_monotonic_ms();
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_int_ge(mag_clock_monotonic_ms() - before, 1000);
  close_with(&rig, service);
}
END_TEST

START_TEST(an_error_that_stays_ends_the_turn_with_the_reason)
{
  static const struct {
    int status;
    const char *body, *event, *retry;
    size_t requests;
  } rows[] = {
      {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"max_tokens: too large\"}}",
       "model_request_failed_error", "terminal", 1},
      {401,
       "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key " KEY "\"}}",
       "model_request_failed_error", "terminal", 1},
      {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
       "model_overloaded_error", "exhausted", 3},
  };
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    const struct answer same = {
        .how = HOW_STATUS, .status = rows[i].status, .headers = JSON_TYPE, .body = rows[i].body};
    const struct answer answers[] = {same, same, same, same};
    struct rig rig;
    struct service *service = service_new(answers, 4);
    open_with(&rig, service, models[0]);
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_ERROR);
    ck_assert_uint_eq(service_count(service), rows[i].requests);
    ck_assert_msg(strstr(rig.events.ptr, rows[i].event), "%s", rig.events.ptr);
    ck_assert_ptr_nonnull(strstr(rig.events.ptr, rows[i].retry));
    ck_assert_msg(!strstr(rig.outcome.error.message, KEY), "the key is in the error: %s", rig.outcome.error.message);
    ck_assert_ptr_null(strstr(rig.events.ptr, KEY));
    close_with(&rig, service);
  }
}
END_TEST

START_TEST(a_wait_that_is_too_long_is_not_begun)
{
  static const struct answer answers[] = {
      {.how = HOW_STATUS, .status = 429, .headers = JSON_TYPE "Retry-After: 86400\r\n", .body = "{}"}};
  struct rig rig;
  struct service *service = service_new(answers, 1);
  open_with(&rig, service, models[0]);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_ERROR);
  ck_assert_ptr_nonnull(strstr(rig.outcome.error.message, "86400 s"));
  close_with(&rig, service);
}
END_TEST

/* ---- Nonsense
 * ------------------------------------------------------------------------------------------------------- */

START_TEST(nonsense_is_an_error_and_nothing_else)
{
  static const char *const bodies[] = {
      "",
      "event: message_start\ndata: {\n\n",
      "data: []\n\ndata: 7\n\ndata: null\n\n",
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":7}\n\n",
      "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":5,\"delta\":{}}\n\n",
      "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":-1}]}}]}\n\ndata: [DONE]\n\n",
      ("data: "
       "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"b\",\"arguments\":"
       "\"{\"}}]},"
       "\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"),
      "\xff\xfe\n\n: \n:\n:::\n\n",
      "<html>hello</html>",
  };
  for (size_t m = 0; m < MAG_COUNT(models); m++)
    for (size_t i = 0; i < MAG_COUNT(bodies); i++) {
      const struct answer same = {.how = HOW_BODY, .body = bodies[i]};
      const struct answer answers[] = {same, same, same};
      struct rig rig;
      struct records records;
      struct service *service = service_new(answers, 3);
      open_with(&rig, service, models[m]);
      /* Time for the first attempt only: what is tested is what is left of it. */
      static const struct mag_limits quick = {.timeout_ms = 250};
      enum mag_ending ending = rig_run(&rig, "go", &quick);
      ck_assert_msg(ending == MAG_END_ERROR || ending == MAG_END_LIMIT, "body %zu: %d", i, (int) ending);
      rig_read(&rig, NULL, &records);
      ck_assert_uint_eq(records_count(&records, MAG_REC_RESPONSE), 0);
      ck_assert_uint_eq(records_count(&records, MAG_EV_TOOL_USE), 0);
      records_done(&records);
      close_with(&rig, service);
    }
}
END_TEST

START_TEST(an_answer_that_leads_elsewhere_says_so)
{
  static const struct answer answers[] = {
      {.how = HOW_STATUS, .status = 302, .headers = "Location: /elsewhere\r\n", .body = ""}};
  for (size_t m = 0; m < MAG_COUNT(models); m++) {
    struct rig rig;
    struct service *service = service_new(answers, 1);
    open_with(&rig, service, models[m]);
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_ERROR);
    ck_assert_uint_eq(service_count(service), 1);
    ck_assert_msg(strstr(rig.outcome.error.message, "302: it leads elsewhere"), "%s", rig.outcome.error.message);
    close_with(&rig, service);
  }
}
END_TEST

START_TEST(a_page_instead_of_a_stream_says_so)
{
  static const struct answer answers[] = {
      {.how = HOW_STATUS, .status = 200, .headers = "Content-Type: text/html\r\n", .body = "<html>login</html>"}};
  for (size_t m = 0; m < MAG_COUNT(models); m++) {
    struct rig rig;
    struct service *service = service_new(answers, 1);
    open_with(&rig, service, models[m]);
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_ERROR);
    ck_assert_msg(strstr(rig.outcome.error.message, m == 0 ? "text/html" : "web page"), "%s",
                  rig.outcome.error.message);
    close_with(&rig, service);
  }
}
END_TEST

/* ---- Time
 * ----------------------------------------------------------------------------------------------------------- */

START_TEST(a_slow_drip_is_an_answer)
{
  static const struct answer answers[] = {
      {.how = HOW_DRIP, .content = TEXT("slow but whole"), .split = 100, .wait_ms = 20}};
  struct rig rig;
  struct service *service = service_new(answers, 1);
  open_with(&rig, service, models[0]);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_str_eq(rig.shown.ptr, "slow but whole");
  close_with(&rig, service);
}
END_TEST

START_TEST(a_stream_without_end_is_ended_by_the_time_limit)
{
  static const struct mag_limits limits = {.timeout_ms = 400};
  for (size_t m = 0; m < MAG_COUNT(models); m++) {
    const struct answer answers[] = {{.how = HOW_STALL, .content = TEXT("and so on and on"), .len = 600},
                                     {.content = TEXT("fresh")}};
    struct rig rig;
    struct records records;
    struct service *service = service_new(answers, 2);
    open_with(&rig, service, models[m]);
    int64_t before = mag_clock_monotonic_ms();
    ck_assert_int_eq(rig_run(&rig, "go", &limits), MAG_END_LIMIT);
    ck_assert_int_lt(mag_clock_monotonic_ms() - before, 3000);
    ck_assert_ptr_nonnull(strstr(rig_batches(), "ask asked+limit+usage+idle"));
    rig_read(&rig, NULL, &records);
    ck_assert_uint_eq(records_count(&records, MAG_REC_RESPONSE), 0);
    records_done(&records);
    ck_assert(service_wait_closed(service));                   /* nobody listens to it any more */
    ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN); /* the message still has no answer */
    ck_assert_ptr_nonnull(strstr(rig.shown.ptr, "fresh"));
    close_with(&rig, service);
  }
}
END_TEST

static void interrupt_at_text(struct rig *rig, const struct mag_preview *preview)
{
  if (preview->kind == MAG_PREVIEW_TEXT)
    mag_session_interrupt(rig->session);
}

START_TEST(a_stream_without_end_is_ended_by_an_interrupt)
{
  for (size_t m = 0; m < MAG_COUNT(models); m++) {
    const struct answer answers[] = {{.how = HOW_STALL, .content = TEXT("and so on and on"), .len = 700},
                                     {.content = TEXT("fresh")}};
    struct rig rig;
    struct service *service = service_new(answers, 2);
    open_with(&rig, service, models[m]);
    rig.on_preview = interrupt_at_text;
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_INTERRUPTED);
    ck_assert_str_eq(rig_batches(), "session message running+processed+ask asked+interrupt+processed+usage+idle");
    ck_assert_ptr_nonnull(strstr(rig.events.ptr, "\"x_magent\":{\"interrupted\":true}"));
    rig.on_preview = NULL;
    ck_assert_int_eq(rig_run(&rig, "hello", NULL), MAG_END_TURN);
    close_with(&rig, service);
  }
}
END_TEST

START_TEST(an_interrupt_before_the_turn_holds_for_it_only)
{
  static const struct answer answers[] = {{.content = TEXT("ok")}};
  struct rig rig;
  struct service *service = service_new(answers, 1);
  open_with(&rig, service, models[0]);
  mag_session_interrupt(rig.session);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_INTERRUPTED);
  ck_assert_uint_eq(service_count(service), 0);
  ck_assert_int_eq(rig_run(&rig, "again", NULL), MAG_END_TURN);
  close_with(&rig, service);
}
END_TEST

START_TEST(an_interrupt_ends_a_wait_before_a_retry)
{
  static const struct answer answers[] = {
      {.how = HOW_STATUS, .status = 429, .headers = JSON_TYPE "Retry-After: 30\r\n", .body = "{}"}};
  static const struct mag_limits limits = {.timeout_ms = 300};
  struct rig rig;
  struct service *service = service_new(answers, 1);
  open_with(&rig, service, models[0]);
  int64_t before = mag_clock_monotonic_ms();
  ck_assert_int_eq(rig_run(&rig, "go", &limits), MAG_END_LIMIT);
  ck_assert_int_lt(mag_clock_monotonic_ms() - before, 3000);
  close_with(&rig, service);
}
END_TEST

TCase *stream_tests(void)
{
  TCase *t = tcase_create("stream");
  tcase_add_test(t, a_stream_in_pieces_of_any_size_is_the_same_answer);
  tcase_add_test(t, a_cut_stream_leaves_only_a_failed_span);
  tcase_add_test(t, a_refused_request_is_tried_again_when_that_helps);
  tcase_add_test(t, retry_after_is_obeyed);
  tcase_add_test(t, an_error_that_stays_ends_the_turn_with_the_reason);
  tcase_add_test(t, a_wait_that_is_too_long_is_not_begun);
  tcase_add_test(t, nonsense_is_an_error_and_nothing_else);
  tcase_add_test(t, an_answer_that_leads_elsewhere_says_so);
  tcase_add_test(t, a_page_instead_of_a_stream_says_so);
  tcase_add_test(t, a_slow_drip_is_an_answer);
  tcase_add_test(t, a_stream_without_end_is_ended_by_the_time_limit);
  tcase_add_test(t, a_stream_without_end_is_ended_by_an_interrupt);
  tcase_add_test(t, an_interrupt_before_the_turn_holds_for_it_only);
  tcase_add_test(t, an_interrupt_ends_a_wait_before_a_retry);
  return t;
}
