/* What happens to a session from outside of its turns: messages steer, interrupts stop, nonsense does no harm, and an
 * idle sandbox goes. */
#include "engine_test.h"

#include <poll.h>
#include <string.h>

#define MESSAGE(text) "\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]"

/* Appends one event from outside as soon as the first piece of an answer is shown. */
static void append_once(struct rig *rig, const struct mag_preview *preview)
{
  const char *const *event = rig->ctx;
  if (!event || preview->kind != MAG_PREVIEW_TEXT)
    return;
  rig->ctx = NULL;
  rig_append_outside(rig, rig->session->log.id, event[0], event[1]);
}

static enum mag_ending run_with(struct rig *rig, struct service *service, const char *const *event)
{
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, "anthropic/claude-x", NULL, NULL);
  rig_create(rig);
  rig->on_preview = append_once;
  rig->ctx = (void *) (uintptr_t) event;
  return rig_run(rig, "begin", NULL);
}

static void done(struct rig *rig, struct service *service)
{
  struct records records;
  rig_read(rig, NULL, &records);
  records_check(&records);
  records_done(&records);
  rig_close(rig);
  service_free(service);
}

START_TEST(a_message_during_the_last_answer_is_answered_too)
{
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  static const char *const event[] = {"user.message", MESSAGE("and another thing")};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_with(&rig, service, event), MAG_END_TURN);
  ck_assert_uint_eq(service_count(service), 2);
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "and another thing"));
  service_check_prefixes(service, 0);
  done(&rig, service);
}
END_TEST

START_TEST(an_interrupt_from_outside_stops_before_the_next_request)
{
  static const struct answer answers[] = {
      {.content = "[{\"type\":\"text\",\"text\":\"x\"}," CALL("t1", "no_such_tool", "{}") "]"},
      {.content = TEXT("two")}};
  static const char *const event[] = {"user.interrupt", "\"x_magent\":{}"};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_with(&rig, service, event), MAG_END_INTERRUPTED);
  ck_assert_uint_eq(service_count(service), 1);
  rig.on_preview = NULL;
  ck_assert_int_eq(rig_run(&rig, "go on", NULL), MAG_END_TURN);
  done(&rig, service);
}
END_TEST

START_TEST(a_message_that_no_model_could_read_is_processed_as_nothing)
{
  static const char *const nonsense[] = {"\"content\":\"text\"", "\"content\":[]", "\"content\":[1]",
                                         "\"content\":[{\"type\":\"tool_use\"}]", "\"text\":\"x\""};
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  for (size_t i = 0; i < MAG_COUNT(nonsense); i++) {
    const char *const event[] = {"user.message", nonsense[i]};
    struct rig rig;
    struct service *service = service_new(answers, 2);
    ck_assert_int_eq(run_with(&rig, service, event), MAG_END_TURN);
    rig.on_preview = NULL;
    ck_assert_int_eq(rig_run(&rig, "still there?", NULL), MAG_END_TURN);
    ck_assert_uint_eq(service_count(service), 2);
    done(&rig, service);
  }
}
END_TEST

START_TEST(max_steps_counts_the_steps_of_its_own_turn)
{
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  struct rig rig;
  struct mag_limits limits = {.max_steps = 1};
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_with(&rig, service, NULL), MAG_END_TURN);
  ck_assert_int_eq(rig_run(&rig, "again", &limits), MAG_END_TURN);
  ck_assert_uint_eq(service_count(service), 2);
  done(&rig, service);
}
END_TEST

START_TEST(an_idle_sandbox_goes_and_the_model_is_told)
{
  static const struct answer answers[] = {{.content = "[" CALL("t1", "bash", "{\"command\":\"echo 1\"}") "]"},
                                          {.content = TEXT("one")},
                                          {.content = "[" CALL("t2", "bash", "{\"command\":\"echo 2\"}") "]"},
                                          {.content = TEXT("two")}};
  if (!computes()[0])
    return;
  struct rig rig;
  struct records records;
  bool is_error, gone = false;
  struct service *service = service_new(answers, 4);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, "anthropic/claude-x", "[" TOOLSET "]", computes()[0]);
  rig.definition.idle_ms = 1;
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "begin", NULL), MAG_END_TURN);
  for (int i = 0; i < 300 && !gone; i++) { /* it is looked for every five seconds */
    (void) poll(NULL, 0, 100);
    rig_read(&rig, NULL, &records);
    gone = records_hold(&records, "\"state\":\"gone\"");
    records_done(&records);
  }
  ck_assert(gone);
  ck_assert_int_eq(rig_run(&rig, "again", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert_ptr_null(strstr(records_result(&records, 0, &is_error), "made anew"));
  ck_assert_ptr_nonnull(strstr(records_result(&records, 1, &is_error), "made anew"));
  ck_assert(!is_error);
  records_done(&records);
  done(&rig, service);
}
END_TEST

TCase *outside_tests(void)
{
  TCase *t = tcase_create("outside");
  tcase_add_test(t, a_message_during_the_last_answer_is_answered_too);
  tcase_add_test(t, an_interrupt_from_outside_stops_before_the_next_request);
  tcase_add_test(t, a_message_that_no_model_could_read_is_processed_as_nothing);
  tcase_add_test(t, max_steps_counts_the_steps_of_its_own_turn);
  tcase_add_test(t, an_idle_sandbox_goes_and_the_model_is_told);
  return t;
}
