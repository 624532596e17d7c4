/* The three deliveries: an interrupt acts now, a message steers at the next tool boundary or follows up after the
 * turn. */
#include "sessions_test.h"

#include "base/clock.h"

#include <pthread.h>
#include <string.h>

/* What is sent as soon as a tool prints, or a piece of the answer comes. */
struct sending {
  uint32_t at; /* MAG_PREVIEW_* */
  const char *text, *delivery;
  const char *second, *second_delivery;
};

static void send(struct rig *rig, const char *text, const char *delivery)
{
  struct mbp_error err = MAG_ERROR_INIT;
  char id[MAG_ID_SIZE] = "";
  int r = mag_outside_say(rig->engine, rig->session->log.id, mbp_str(text), delivery, id, &err);
  ck_assert_msg(r == 0 && id[0], "%s", err.message);
}

static void send_once(struct rig *rig, const struct mag_preview *preview)
{
  const struct sending *sending = rig->ctx;
  if (!sending || preview->kind != sending->at)
    return;
  rig->ctx = NULL;
  send(rig, sending->text, sending->delivery);
  if (sending->second)
    send(rig, sending->second, sending->second_delivery);
}

static enum mag_ending run_with(struct rig *rig, struct service *service, const struct sending *sending)
{
  sessions_open(rig, service);
  rig_create(rig);
  rig->on_preview = send_once;
  rig->ctx = (void *) (uintptr_t) sending;
  return rig_run(rig, "begin", NULL);
}

static bool asked(struct service *service, size_t request, const char *text)
{
  return strstr(service_body(service, request), text) != NULL;
}

static const struct answer two_tools[] = {{.content = "[" BASH("t1", "echo one") "]"},
                                          {.content = "[" BASH("t2", "echo two") "]"},
                                          {.content = TEXT("done")},
                                          {.content = TEXT("and done")}};

START_TEST(a_steer_is_delivered_behind_the_present_tool_results)
{
  static const char *const deliveries[] = {MAG_DELIVERY_STEER, NULL};
  if (!computes()[0])
    return;
  for (size_t i = 0; i < 2; i++) {
    const struct sending sending = {MAG_PREVIEW_TOOL_OUTPUT, "turn left", deliveries[i], NULL, NULL};
    struct rig rig;
    struct service *service = service_new(two_tools, 4);
    ck_assert_int_eq(run_with(&rig, service, &sending), MAG_END_TURN);
    ck_assert_uint_eq(service_count(service), 3);
    ck_assert(!asked(service, 0, "turn left") && asked(service, 1, "turn left") && asked(service, 2, "turn left"));
    ck_assert(strstr(service_body(service, 1), "tool_result") < strstr(service_body(service, 1), "turn left"));
    ck_assert_str_eq(view(&rig, NULL, "turns"), "1");
    service_check_prefixes(service, 0);
    sessions_close(&rig, service);
  }
}
END_TEST

START_TEST(a_follow_up_is_delivered_after_the_turn)
{
  static const struct sending sending = {MAG_PREVIEW_TOOL_OUTPUT, "and then", MAG_DELIVERY_FOLLOW_UP, NULL, NULL};
  if (!computes()[0])
    return;
  struct rig rig;
  struct service *service = service_new(two_tools, 4);
  ck_assert_int_eq(run_with(&rig, service, &sending), MAG_END_TURN);
  ck_assert_uint_eq(service_count(service), 4);
  ck_assert(!asked(service, 1, "and then") && !asked(service, 2, "and then") && asked(service, 3, "and then"));
  ck_assert_str_eq(view(&rig, NULL, "turns"), "2");
  service_check_prefixes(service, 0);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_steer_that_is_sent_after_a_follow_up_comes_first)
{
  static const struct sending sending = {MAG_PREVIEW_TOOL_OUTPUT, "and then", MAG_DELIVERY_FOLLOW_UP, "turn left",
                                         MAG_DELIVERY_STEER};
  if (!computes()[0])
    return;
  struct rig rig;
  struct service *service = service_new(two_tools, 4);
  ck_assert_int_eq(run_with(&rig, service, &sending), MAG_END_TURN);
  ck_assert(asked(service, 1, "turn left") && !asked(service, 1, "and then"));
  ck_assert(!asked(service, 2, "and then") && asked(service, 3, "and then"));
  sessions_close(&rig, service);
}
END_TEST

START_TEST(messages_to_an_idle_session_wait_for_its_next_turn)
{
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_with(&rig, service, NULL), MAG_END_TURN);
  send(&rig, "later", MAG_DELIVERY_FOLLOW_UP);
  send(&rig, "now", MAG_DELIVERY_STEER);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  ck_assert_uint_eq(service_count(service), 2);
  ck_assert(asked(service, 1, "later") && asked(service, 1, "now"));
  sessions_close(&rig, service);
}
END_TEST

START_TEST(what_was_said_before_a_prompt_is_read_before_it)
{
  static const struct mag_limits limits = {.max_steps = 40, .timeout_ms = 60000};
  struct mbp_error err = MAG_ERROR_INIT;
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_with(&rig, service, NULL), MAG_END_TURN);
  send(&rig, "[first]", MAG_DELIVERY_STEER);
  send(&rig, "[second]", MAG_DELIVERY_FOLLOW_UP);
  ck_assert_int_eq(mag_session_ask(rig.session, mbp_str("[third]"), &limits, &rig.outcome, &err), 0);
  ck_assert_int_eq(rig.outcome.ending, MAG_END_TURN);
  ck_assert_uint_eq(service_count(service), 2);
  const char *body = service_body(service, 1);
  ck_assert(asked(service, 1, "[first]") && asked(service, 1, "[second]") && asked(service, 1, "[third]"));
  ck_assert(strstr(body, "[first]") < strstr(body, "[second]") && strstr(body, "[second]") < strstr(body, "[third]"));
  sessions_close(&rig, service);
}
END_TEST

START_TEST(what_cannot_be_delivered_is_refused)
{
  static const char *const contents[] = {"[]",  "\"x\"", "[{\"type\":\"tool_use\"}]",
                                         "[1]", "{",     "[{\"type\":\"text\"}"};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  bool running = true;
  sessions_open(&rig, NULL);
  rig_create(&rig);
  const char *id = rig.session->log.id;
  for (size_t i = 0; i < MAG_COUNT(contents); i++)
    ck_assert_int_eq(mag_outside_say_content(rig.engine, id, mbp_str(contents[i]), NULL, NULL, &err), -MBP_E_INVALID);
  ck_assert_int_eq(mag_outside_say(rig.engine, id, mbp_str("x"), "by mail", NULL, &err), -MBP_E_INVALID);
  ck_assert_int_eq(mag_outside_say(rig.engine, id, mbp_str(""), NULL, NULL, &err), -MBP_E_INVALID);
  ck_assert_int_eq(mag_outside_say(rig.engine, "sesn_none", mbp_str("x"), NULL, NULL, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_outside_interrupt(rig.engine, "sesn_none", &running, &err), -MBP_E_NOT_FOUND);
  unsigned appends = rig_appends();
  ck_assert_int_eq(mag_outside_interrupt(rig.engine, id, &running, &err), 0);
  ck_assert(!running);
  ck_assert_uint_eq(rig_appends(), appends); /* nothing runs: nothing is said */
  sessions_close(&rig, NULL);
}
END_TEST

/* ---- Interrupts ---- */

struct other {
  const char *id;
  bool running;
};

/* Another engine stands for another process: it shares nothing but the store. */
static void *interrupt_from_another_engine(void *arg)
{
  struct other *other = arg;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = NULL;
  char plugins[4096];
  ck_assert_ptr_nonnull(realpath("plugins-0", plugins));
  const char *const dirs[] = {plugins, NULL};
  struct mag_engine_options options = {.plugin_dirs = dirs, .store_config = mbp_str("")};
  ck_assert_int_eq(mag_engine_new(&options, &engine, &err), 0);
  ck_assert_msg(mag_outside_interrupt(engine, other->id, &other->running, &err) == 0, "%s", err.message);
  mag_engine_free(engine);
  return NULL;
}

static pthread_t thread;
static struct other other;

static void interrupt_once(struct rig *rig, const struct mag_preview *preview)
{
  if (!rig->ctx || (preview->kind != MAG_PREVIEW_TEXT && preview->kind != MAG_PREVIEW_TOOL_OUTPUT))
    return;
  rig->ctx = NULL;
  other.id = rig->session->log.id;
  ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_from_another_engine, &other), 0);
}

static void check_interrupt(const struct answer *answers, size_t n)
{
  struct rig rig;
  struct records records;
  struct service *service = service_new(answers, n);
  sessions_open(&rig, service);
  rig_create(&rig);
  rig.on_preview = interrupt_once;
  rig.ctx = &rig;
  int64_t begin = mag_clock_monotonic_ms();
  ck_assert_int_eq(rig_run(&rig, "begin", NULL), MAG_END_INTERRUPTED);
  ck_assert_int_lt(mag_clock_monotonic_ms() - begin, 20000);
  ck_assert_int_eq(pthread_join(thread, NULL), 0);
  ck_assert(other.running);
  rig_read(&rig, NULL, &records);
  ck_assert_uint_eq(records_count(&records, MAG_EV_USER_INTERRUPT), 1);
  ck_assert_uint_eq(records_count(&records, MAG_EV_TOOL_USE), records_count(&records, MAG_EV_TOOL_RESULT));
  ck_assert_uint_eq(records_count(&records, MAG_EV_REQUEST_START), records_count(&records, MAG_EV_REQUEST_END));
  records_done(&records);
  ck_assert_str_eq(view(&rig, NULL, "interrupted"), "true");
  ck_assert_str_eq(view(&rig, NULL, "status"), "\"idle\"");
  ck_assert_int_eq(rig_run(&rig, "go on", NULL), MAG_END_TURN);
  ck_assert_str_eq(view(&rig, NULL, "interrupted"), "false");
  sessions_close(&rig, service);
}

START_TEST(an_interrupt_from_another_process_acts_in_the_middle_of_an_answer)
{
  static const struct answer answers[] = {
      {.how = HOW_STALL, .content = TEXT("a very long answer that takes its time"), .len = 660},
      {.content = TEXT("two")}};
  check_interrupt(answers, 2);
}
END_TEST

START_TEST(an_interrupt_from_another_process_acts_in_the_middle_of_a_tool)
{
  static const struct answer answers[] = {
      {.content = "[" BASH("t1", "echo begun; sleep 60") "," BASH("t2", "echo x") "]"}, {.content = TEXT("two")}};
  if (computes()[0])
    check_interrupt(answers, 2);
}
END_TEST

START_TEST(an_interrupt_that_came_before_the_turn_stops_nothing)
{
  static const struct answer answers[] = {
      {.how = HOW_DRIP, .content = TEXT("some answer"), .split = 40, .wait_ms = 100}};
  struct rig rig;
  struct service *service = service_new(answers, 1);
  sessions_open(&rig, service);
  rig_create(&rig);
  rig_append_outside(&rig, rig.session->log.id, MAG_EV_USER_INTERRUPT, "\"x_magent\":{}");
  ck_assert_int_eq(rig_run(&rig, "begin", NULL), MAG_END_TURN);
  sessions_close(&rig, service);
}
END_TEST

TCase *delivery_tests(void)
{
  TCase *t = tcase_create("delivery");
  tcase_add_test(t, a_steer_is_delivered_behind_the_present_tool_results);
  tcase_add_test(t, a_follow_up_is_delivered_after_the_turn);
  tcase_add_test(t, a_steer_that_is_sent_after_a_follow_up_comes_first);
  tcase_add_test(t, messages_to_an_idle_session_wait_for_its_next_turn);
  tcase_add_test(t, what_was_said_before_a_prompt_is_read_before_it);
  tcase_add_test(t, what_cannot_be_delivered_is_refused);
  tcase_add_test(t, an_interrupt_from_another_process_acts_in_the_middle_of_an_answer);
  tcase_add_test(t, an_interrupt_from_another_process_acts_in_the_middle_of_a_tool);
  tcase_add_test(t, an_interrupt_that_came_before_the_turn_stops_nothing);
  return t;
}
