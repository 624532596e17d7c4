/* Whole turns: what is asked, what is run, and exactly which records come in which batches. */
#include "engine_test.h"

#include <stdio.h>
#include <string.h>

static const char *const models[] = {"anthropic/claude-test", "openai/gpt-test"};

static const struct answer write_and_run[] = {
    {.content = "[{\"type\":\"text\",\"text\":\"I write \\u00e4 file.\"}," CALL(
         "t1", "write", "{\"file_path\":\"a.txt\",\"content\":\"one\\ntwo \\u20ac\\n\"}") "]"},
    {.content = "[" CALL("t2", "bash", "{\"command\":\"cat a.txt; echo $((6*7))\"}") "]"},
    {.content = TEXT("It says 42.")},
    {.content = TEXT("You are welcome.")},
};

static void run_whole_turn(const char *model, const char *compute)
{
  struct rig rig;
  struct records records;
  struct service *service = service_new(write_and_run, MAG_COUNT(write_and_run));
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, model, "[" TOOLSET "]", compute);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "please", NULL), MAG_END_TURN);
  ck_assert_int_eq(rig_run(&rig, "thanks", NULL), MAG_END_TURN);
  ck_assert_str_eq(rig_batches(), "session message running+processed+ask sandbox "
                                  "response+said+use+asked+started sandbox result+ask "
                                  "response+use+asked+started result+ask "
                                  "response+said+asked+usage+idle "
                                  "message running+processed+ask response+said+asked+usage+idle");
  rig_read(&rig, NULL, &records);
  records_check(&records);
  ck_assert_str_eq(records_result(&records, 1, NULL), "one\ntwo \u20ac\n42");
  ck_assert_str_eq(rig.shown.ptr, "I write \u00e4 file.It says 42.You are welcome.");
  service_check_prefixes(service, 0);
  ck_assert_uint_eq(service_count(service), 4);
  ck_assert_int_eq(rig.session->log.state.usage.output, 28);
  ck_assert_int_eq(rig.session->log.state.turns, 2);
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}

START_TEST(a_turn_with_tools_writes_the_documented_batches)
{
  for (const char *const *compute = computes(); *compute; compute++)
    for (size_t i = 0; i < MAG_COUNT(models); i++)
      run_whole_turn(models[i], *compute);
}
END_TEST

START_TEST(events_are_shown_once_and_in_the_order_of_the_log)
{
  static const struct answer answers[] = {{.content = TEXT("Hello.")}};
  struct rig rig;
  struct records records;
  mag_autobuf expected = MAG_BUF_INIT;
  struct service *service = service_new(answers, 1);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, models[0], NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "hi", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  for (size_t i = 0; i < records.n; i++)
    if (records.items[i].klass == MBP_RECORD_EVENT)
      mag_buf_printf(&expected, "%s\n", records.items[i].payload);
  ck_assert_str_eq(rig.events.ptr, expected.ptr);
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

/* ---- Stops
 * ---------------------------------------------------------------------------------------------------------- */

static enum mag_ending run_one(struct rig *rig, struct service *service, const char *model, const char *tools)
{
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, model, tools, NULL);
  rig_create(rig);
  return rig_run(rig, "go on", NULL);
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

START_TEST(a_refusal_ends_the_turn_and_is_not_sent_back)
{
  static const struct answer answers[] = {{.content = TEXT("I must not"), .stop = "refusal"},
                                          {.content = TEXT("fine")}};
  for (size_t i = 0; i < MAG_COUNT(models); i++) {
    struct rig rig;
    struct service *service = service_new(answers, 2);
    ck_assert_int_eq(run_one(&rig, service, models[i], NULL), MAG_END_REFUSAL);
    ck_assert_ptr_nonnull(strstr(rig.events.ptr, "\"stop_reason\":{\"type\":\"refusal\"}"));
    ck_assert_int_eq(rig_run(&rig, "something else", NULL), MAG_END_TURN);
    ck_assert_ptr_null(strstr(service_body(service, 1), "must not"));
    done(&rig, service);
  }
}
END_TEST

START_TEST(an_answer_cut_at_max_tokens_is_a_limit_and_is_kept)
{
  static const struct answer answers[] = {{.content = TEXT("once upon"), .stop = "max_tokens"},
                                          {.content = TEXT("a time")}};
  for (size_t i = 0; i < MAG_COUNT(models); i++) {
    struct rig rig;
    struct service *service = service_new(answers, 2);
    ck_assert_int_eq(run_one(&rig, service, models[i], NULL), MAG_END_LIMIT);
    ck_assert_ptr_nonnull(strstr(rig.outcome.error.message, "max_tokens"));
    ck_assert_ptr_nonnull(strstr(rig.events.ptr, "{\"cut\":\"max_tokens\"}"));
    ck_assert_int_eq(rig_run(&rig, "go on", NULL), MAG_END_TURN);
    ck_assert_ptr_nonnull(strstr(service_body(service, 1), "once upon"));
    service_check_prefixes(service, 0);
    done(&rig, service);
  }
}
END_TEST

START_TEST(a_pause_is_sent_back_as_it_is)
{
  static const struct answer answers[] = {{.content = TEXT("wait"), .stop = "pause_turn"}, {.content = TEXT("done")}};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_one(&rig, service, models[0], NULL), MAG_END_TURN);
  ck_assert_str_eq(rig_batches(),
                   "session message running+processed+ask response+said+asked ask response+said+asked+usage+idle");
  service_check_prefixes(service, 0);
  done(&rig, service);
}
END_TEST

START_TEST(a_call_in_an_answer_that_is_not_acted_on_does_not_spoil_the_session)
{
  static const char *const stops[] = {"pause_turn", "model_context_window_exceeded", "refusal", "max_tokens"};
  for (size_t i = 0; i < MAG_COUNT(stops); i++) {
    const struct answer answers[] = {{.content = "[" CALL("t1", "no_such_tool", "{}") "]", .stop = stops[i]},
                                     {.content = TEXT("so be it")},
                                     {.content = TEXT("and again")}};
    struct rig rig;
    struct service *service = service_new(answers, 3);
    (void) run_one(&rig, service, models[0], NULL);
    (void) rig_run(&rig, "still there?", NULL);
    ck_assert_msg(service_count(service) >= 2, "%s", stops[i]);
    done(&rig, service); /* every prefix is legal */
  }
}
END_TEST

/* A plugin may hand over what a service never would. */
START_TEST(no_stop_with_a_call_spoils_the_session)
{
  static const char *const stops[] = {
      "end_turn", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", "stop_sequence"};
  for (size_t i = 0; i < MAG_COUNT(stops); i++) {
    struct rig first, rig;
    struct records records;
    rig_open(&first, NULL, NULL);
    mag_autofree char *script = mag_sprintf("[{\"text\":\"so\",\"tool_call\":{\"name\":\"none\"},\"stop\":\"%s\"},"
                                            "{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"}]",
                                            stops[i]);
    rig_write_file(&first, "script.json", script);
    (void) setenv("MAGENT_SCRIPT", rig_path(&first, "script.json"), 1);
    rig_open(&rig, NULL, NULL);
    rig_define(&rig, "scripted/x", NULL, NULL);
    rig_create(&rig);
    (void) rig_run(&rig, "go", NULL);
    enum mag_ending ending =
        rig_run(&rig, "still there?", NULL); /* what was refused is not sent, so the script begins again */
    ck_assert_msg(ending == (i == 2   ? MAG_END_REFUSAL
                             : i == 4 ? MAG_END_LIMIT
                                      : MAG_END_TURN),
                  "%s: %s", stops[i], rig.outcome.error.message);
    rig_read(&rig, NULL, &records);
    records_check(&records);
    records_done(&records);
    rig_close(&rig);
    rig_close(&first);
    (void) unsetenv("MAGENT_SCRIPT");
  }
}
END_TEST

START_TEST(an_answer_without_any_block_is_left_out)
{
  static const struct answer answers[] = {{.content = "[]"}, {.content = TEXT("now")}};
  struct rig rig;
  struct service *service = service_new(answers, 2);
  ck_assert_int_eq(run_one(&rig, service, models[0], NULL), MAG_END_TURN);
  ck_assert_int_eq(rig_run(&rig, "hello?", NULL), MAG_END_TURN);
  ck_assert_ptr_null(strstr(service_body(service, 1), "assistant"));
  done(&rig, service);
}
END_TEST

/* ---- Limits
 * --------------------------------------------------------------------------------------------------------- */

START_TEST(max_steps_ends_a_turn_and_the_next_one_goes_on)
{
  static const struct mag_limits one = {.max_steps = 1};
  struct rig rig;
  struct service *service = service_new(write_and_run, MAG_COUNT(write_and_run));
  if (!*computes()) {
    service_free(service);
    return;
  }
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, models[0], "[" TOOLSET "]", *computes());
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "please", &one), MAG_END_LIMIT);
  ck_assert_ptr_nonnull(strstr(rig_batches(), "result+limit+usage+idle"));
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(rig.shown.ptr, "42"));
  service_check_prefixes(service, 0);
  done(&rig, service);
}
END_TEST

/* ---- Providers
 * ------------------------------------------------------------------------------------------------------ */

START_TEST(thinking_stays_with_its_provider)
{
  static const struct answer answers[] = {
      {.content = "[{\"type\":\"thinking\",\"thinking\":\"deep "
                  "thought\",\"signature\":\"c2lnbmVk\"},{\"type\":\"text\",\"text\":\"first\"}]"},
      {.content = TEXT("second")},
      {.content = TEXT("third")},
  };
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct service *service = service_new(answers, 3);
  ck_assert_int_eq(run_one(&rig, service, models[0], NULL), MAG_END_TURN);
  ck_assert_ptr_null(strstr(rig.events.ptr, "deep thought"));
  mag_autofree char *id = mag_str_dup(mbp_str(rig.session->log.id));
  static char other[] = "openai/gpt-test";
  const struct mag_definition overrides = {.model = other};
  mag_session_close(rig.session);
  rig.session = NULL;
  ck_assert_msg(mag_session_open(rig.engine, id, &overrides, &rig.session, &err) == 0, "%s", err.message);
  ck_assert_int_eq(rig_run(&rig, "and now", NULL), MAG_END_TURN);
  ck_assert_ptr_null(strstr(service_body(service, 1), "deep thought"));
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "first"));
  mag_session_close(rig.session);
  rig_resume(&rig, id);
  ck_assert_int_eq(rig_run(&rig, "and back", NULL), MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(service_body(service, 2), "deep thought"));
  ck_assert_ptr_nonnull(strstr(service_body(service, 2), "c2lnbmVk"));
  done(&rig, service);
}
END_TEST

START_TEST(the_scripted_model_runs_a_script)
{
  struct rig rig, first;
  rig_open(&first, NULL, NULL);
  rig_write_file(&first, "script.json",
                 "[{\"text\":\"one "
                 "{{user}}\"},{\"error\":{\"code\":\"rate\",\"retry_after_ms\":20,\"times\":1},\"text\":\"two\"}]");
  (void) setenv("MAGENT_SCRIPT", rig_path(&first, "script.json"), 1);
  rig_open(&rig, NULL, NULL);
  rig_define(&rig, "scripted/x", NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "mind", NULL), MAG_END_TURN);
  ck_assert_str_eq(rig.shown.ptr, "one mind");
  rig_close(&rig);
  rig_close(&first);
  (void) unsetenv("MAGENT_SCRIPT");
}
END_TEST

/* Behaviours 57, 141. */
START_TEST(options_of_plugins_come_from_the_defaults_file)
{
  struct rig first, rig;
  struct mbp_error err = MAG_ERROR_INIT;
  rig_open(&first, NULL, NULL);
  rig_write_file(&first, "script.json", "[{\"text\":\"from the file\"}]");
  mag_autofree char *good =
      mag_sprintf("{\"plugins\":{\"llm-scripted\":{\"script\":\"%s\"}}}", rig_path(&first, "script.json"));
  rig_write_file(&first, "defaults.json", good);
  mag_autofree char *dir = mag_sprintf("%s", first.dir);
  const char *old = secure_getenv("MAGENT_CONF_DIR");
  mag_autofree char *before = old ? mag_str_dup(mbp_str(old)) : NULL;
  (void) setenv("MAGENT_CONF_DIR", dir, 1);
  rig_open(&rig, NULL, NULL);
  rig_define(&rig, "scripted/x", NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "hi", NULL), MAG_END_TURN);
  ck_assert_str_eq(rig.shown.ptr, "from the file");
  rig_close(&rig);
  rig_write_file(&first, "defaults.json", "{\"plugins\":{\"llm-scripted\":{\"scrip\":\"x\"}}}");
  rig_open(&rig, NULL, NULL);
  rig_define(&rig, "scripted/x", NULL, NULL);
  ck_assert_int_lt(mag_session_create(rig.engine, &rig.definition, mbp_str(""), &rig.session, &err), 0);
  ck_assert_msg(strstr(err.message, "did you mean \"script\"?") != NULL, "%s", err.message);
  rig_close(&rig);
  if (before)
    (void) setenv("MAGENT_CONF_DIR", before, 1);
  else
    (void) unsetenv("MAGENT_CONF_DIR");
  rig_close(&first);
}
END_TEST

static int keep_call(struct mbp_call *call, struct mbp_call **place)
{
  *place = call;
  return 0;
}

START_TEST(a_session_goes_on_after_a_request_that_never_ended)
{
  static const struct answer answers[] = {{.content = TEXT("Hello.")}, {.content = TEXT("Again.")}};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_call *lost = NULL;
  struct mag_call_options short_time = {.timeout_ms = 1};
  struct service *service = service_new(answers, 2);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, models[0], NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "hello", NULL), MAG_END_TURN);
  struct mag_instance *before = rig.session->llm, *again = NULL;
  const char *bare;
  ck_assert_int_eq(mag_engine_llm(rig.engine, models[0], &again, &bare, &err), 0);
  ck_assert_ptr_eq(before, again);
  ck_assert_int_eq(MAG_RUN(before, &short_time, &err, keep_call(call, &lost)), -MBP_E_TIMEOUT);
  ck_assert_int_eq(rig_run(&rig, "hello?", NULL), MAG_END_TURN);
  ck_assert_str_eq(rig.shown.ptr, "Hello.Again.");
  ck_assert_ptr_ne(rig.session->llm, before);
  ck_assert_int_eq(mag_engine_llm(rig.engine, models[0], &again, &bare, &err), 0);
  ck_assert_ptr_eq(rig.session->llm, again);
  mag_call_done(lost, NULL, NULL);
  rig_close(&rig);
  service_free(service);
}
END_TEST

TCase *turn_tests(void)
{
  TCase *t = tcase_create("turn");
  tcase_add_test(t, a_turn_with_tools_writes_the_documented_batches);
  tcase_add_test(t, events_are_shown_once_and_in_the_order_of_the_log);
  tcase_add_test(t, a_refusal_ends_the_turn_and_is_not_sent_back);
  tcase_add_test(t, an_answer_cut_at_max_tokens_is_a_limit_and_is_kept);
  tcase_add_test(t, a_pause_is_sent_back_as_it_is);
  tcase_add_test(t, a_call_in_an_answer_that_is_not_acted_on_does_not_spoil_the_session);
  tcase_add_test(t, no_stop_with_a_call_spoils_the_session);
  tcase_add_test(t, an_answer_without_any_block_is_left_out);
  tcase_add_test(t, max_steps_ends_a_turn_and_the_next_one_goes_on);
  tcase_add_test(t, thinking_stays_with_its_provider);
  tcase_add_test(t, the_scripted_model_runs_a_script);
  tcase_add_test(t, a_session_goes_on_after_a_request_that_never_ended);
  tcase_add_test(t, options_of_plugins_come_from_the_defaults_file);
  return t;
}
