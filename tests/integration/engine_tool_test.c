/* Tools in a whole session: policy, answers from elsewhere, order, size, secrets, and who may run a session. */
#include "engine_test.h"

#include "base/clock.h"
#include "host/redact.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MODEL "anthropic/claude-test"
#define ASKING(tool)                                                                                                   \
  "[{\"type\":\"agent_toolset_20260401\",\"configs\":[{\"name\":\"" tool                                               \
  "\",\"permission_policy\":{\"type\":\"always_ask\"}}]}]"

/* A session with a workspace "work" in the rig's directory. */
static void open_with(struct rig *rig, struct service *service, const char *tools, const char *compute)
{
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, MODEL, tools ? tools : "[" TOOLSET "]", compute);
  ck_assert_int_eq(mkdir(rig_path(rig, "work"), 0700), 0);
  rig->definition.workspace = mag_str_dup(mbp_str(rig_path(rig, "work")));
  rig_create(rig);
}

static void close_with(struct rig *rig, struct service *service)
{
  struct records records;
  rig_read(rig, NULL, &records);
  records_check(&records);
  records_done(&records);
  service_check_prefixes(service, 0);
  rig_close(rig);
  service_free(service);
}

static const struct answer effect[] = {
    {.content = "[" CALL("t1", "bash", "{\"command\":\"echo x >> effects; echo ran\"}") "]"},
    {.content = TEXT("Done.")},
};

/* ---- Policy
 * --------------------------------------------------------------------------------------------------------- */

START_TEST(a_denied_tool_is_refused_and_the_model_is_told)
{
  const char *compute = *computes();
  static const char deny[] = "[{\"type\":\"agent_toolset_20260401\",\"configs\":[{\"name\":\"bash\",\"permission_"
                             "policy\":{\"type\":\"always_deny\"}}]}]";
  if (!compute)
    return;
  struct rig rig;
  struct records records;
  struct service *service = service_new(effect, 2);
  open_with(&rig, service, deny, compute);
  rig.answer = 1; /* saying yes to everything does not help */
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  bool is_error = false;
  ck_assert_str_eq(records_result(&records, 0, &is_error), "The policy of this agent does not allow bash.");
  ck_assert(is_error);
  ck_assert_uint_eq(records_count(&records, MAG_REC_TOOL_STARTED), 0);
  ck_assert(access(rig_path(&rig, "work/effects"), F_OK) < 0);
  records_done(&records);
  close_with(&rig, service);
}
END_TEST

START_TEST(a_disabled_tool_is_not_offered_and_does_not_run)
{
  const char *compute = *computes();
  static const char off[] =
      "[{\"type\":\"agent_toolset_20260401\",\"configs\":[{\"name\":\"bash\",\"enabled\":false}]}]";
  if (!compute)
    return;
  struct rig rig;
  struct records records;
  struct service *service = service_new(effect, 2);
  open_with(&rig, service, off, compute);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_ptr_null(strstr(service_body(service, 0), "\"name\":\"bash\""));
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_result(&records, 0, NULL), "There is no tool named \"bash\".");
  records_done(&records);
  close_with(&rig, service);
}
END_TEST

START_TEST(who_watches_may_answer_yes_or_no)
{
  const char *compute = *computes();
  for (int answer = 0; compute && answer <= 1; answer++) {
    struct rig rig;
    struct service *service = service_new(effect, 2);
    open_with(&rig, service, ASKING("bash"), compute);
    rig.answer = answer;
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
    ck_assert_str_eq(rig_batches(),
                     answer ? "session message running+processed+ask response+use+asked confirm processed started "
                              "sandbox sandbox result+ask response+said+asked+usage+idle"
                            : "session message running+processed+ask response+use+asked confirm processed "
                              "result+ask response+said+asked+usage+idle");
    ck_assert_int_eq(access(rig_path(&rig, "work/effects"), F_OK) == 0, answer);
    close_with(&rig, service);
  }
}
END_TEST

/* Asked with nobody there, answered from elsewhere, and finished by another engine. */
static void answer_elsewhere(const char *compute, const char *result)
{
  struct rig first, second;
  struct records records;
  struct service *service = service_new(effect, 2);
  open_with(&first, service, ASKING("bash"), compute);
  ck_assert_int_eq(rig_run(&first, "go", NULL), MAG_END_REQUIRES_ACTION);
  ck_assert_ptr_nonnull(strstr(rig_batches(), "response+use+asked usage+idle"));
  mag_autofree char *id = mag_str_dup(mbp_str(first.session->log.id));
  rig_read(&first, NULL, &records);
  const struct record *use = records_find(&records, MAG_EV_TOOL_USE, 0);
  struct mbp_str use_id;
  ck_assert_int_eq(mag_json_slice(mbp_str(use->payload), "id", &use_id), 1);
  ck_assert_ptr_nonnull(
      strstr(records_find(&records, MAG_EV_IDLE, 0)->payload, "\"requires_action\",\"event_ids\":[\"sevt_"));
  /* Running again changes nothing: the answer is still missing. */
  ck_assert_int_eq(rig_run(&first, NULL, NULL), MAG_END_REQUIRES_ACTION);
  mag_autofree char *members = mag_sprintf("\"tool_use_id\":%.*s,\"result\":\"%s\",\"deny_message\":\"not today\"",
                                           (int) use_id.len, use_id.ptr, result);
  rig_append_outside(&first, id, MAG_EV_USER_CONFIRMATION, members);
  records_done(&records);
  rig_leave(&first);
  rig_open(&second, service_url(service), first.dir);
  rig_resume(&second, id);
  ck_assert_int_eq(rig_run(&second, NULL, NULL), MAG_END_TURN);
  rig_read(&second, NULL, &records);
  bool is_error = false, allowed = strcmp(result, "allow") == 0;
  ck_assert_str_eq(records_result(&records, 0, &is_error), allowed ? "ran" : "The user did not allow this: not today");
  ck_assert_int_eq(is_error, !allowed);
  mag_autofree char *effects = rig_read_file(&second, "work/effects");
  ck_assert_str_eq(effects, allowed ? "x\n" : "");
  records_done(&records);
  close_with(&second, service);
}

START_TEST(a_question_can_be_answered_from_elsewhere_and_the_turn_goes_on)
{
  for (const char *const *compute = computes(); *compute; compute++) {
    answer_elsewhere(*compute, "allow");
    answer_elsewhere(*compute, "deny");
  }
}
END_TEST

START_TEST(a_message_to_a_waiting_session_waits_for_the_answer)
{
  const char *compute = *computes();
  if (!compute)
    return;
  struct rig rig;
  struct service *service = service_new(effect, 2);
  open_with(&rig, service, ASKING("bash"), compute);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_REQUIRES_ACTION);
  ck_assert_int_eq(rig_run(&rig, "well?", NULL), MAG_END_REQUIRES_ACTION);
  rig.answer = 1;
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "well?"));
  close_with(&rig, service);
}
END_TEST

START_TEST(a_wrong_confirmation_is_harmless)
{
  const char *compute = *computes();
  if (!compute)
    return;
  struct rig rig;
  struct service *service = service_new(effect, 2);
  open_with(&rig, service, ASKING("bash"), compute);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_REQUIRES_ACTION);
  rig_append_outside(&rig, rig.session->log.id, MAG_EV_USER_CONFIRMATION,
                     "\"tool_use_id\":\"sevt_nobody\",\"result\":\"allow\"");
  rig_append_outside(&rig, rig.session->log.id, MAG_EV_USER_CONFIRMATION, "\"result\":7");
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_REQUIRES_ACTION);
  close_with(&rig, service);
}
END_TEST

/* ---- Several at a time
 * ---------------------------------------------------------------------------------------------- */

START_TEST(results_stand_in_call_order)
{
  static const struct answer answers[] =
      {
          {.content =
               "[" CALL("t1", "read", "{\"file_path\":\"a\"}") "," CALL("t2", "glob", "{\"pattern\":\"*\"}") "," CALL("t3", "grep", "{\"pattern\":\"two\"}") "," CALL(
                   "t4", "read",
                   "{\"file_path\":\"b\"}") "," CALL("t5", "bash",
                                                     "{\"command\":\"echo three > a\"}") "," CALL("t6", "read",
                                                                                                  "{\"file_path\":"
                                                                                                  "\"a\"}") "," CALL("t"
                                                                                                                     "7",
                                                                                                                     "n"
                                                                                                                     "o"
                                                                                                                     "n"
                                                                                                                     "s"
                                                                                                                     "e"
                                                                                                                     "n"
                                                                                                                     "s"
                                                                                                                     "e",
                                                                                                                     "{"
                                                                                                                     "}") "," CALL("t8",
                                                                                                                                   "read",
                                                                                                                                   "{\"file_path\":\"missing\"}") "]"},
          {.content = TEXT("Done.")},
      };
  for (const char *const *compute = computes(); *compute; compute++) {
    struct rig rig;
    struct records records;
    struct service *service = service_new(answers, 2);
    open_with(&rig, service, NULL, *compute);
    rig_write_file(&rig, "work/a", "one\n");
    rig_write_file(&rig, "work/b", "two\n");
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
    rig_read(&rig, NULL, &records);
    ck_assert_msg(strstr(records_result(&records, 0, NULL), "one"), "%s", records_result(&records, 0, NULL));
    ck_assert_msg(strstr(records_result(&records, 2, NULL), "b"), "%s", records_result(&records, 2, NULL));
    ck_assert_ptr_nonnull(strstr(records_result(&records, 3, NULL), "two"));
    ck_assert_ptr_nonnull(strstr(records_result(&records, 5, NULL), "three")); /* after the one that wrote it */
    bool is_error = false;
    ck_assert_ptr_nonnull(strstr(records_result(&records, 6, &is_error), "no tool"));
    ck_assert(is_error);
    (void) records_result(&records, 7, &is_error);
    ck_assert(is_error);
    ck_assert_ptr_nonnull(strstr(rig_batches(), "asked+started+started+started+started ")); /* side by side */
    records_done(&records);
    close_with(&rig, service);
  }
}
END_TEST

START_TEST(a_huge_output_is_cut_and_the_turn_goes_on)
{
  static const struct answer answers[] = {
      {.content = "[" CALL(
           "t1", "bash", "{\"command\":\"echo begin; head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo end\"}") "]"},
      {.content = TEXT("Done.")},
  };
  for (const char *const *compute = computes(); *compute; compute++) {
    struct rig rig;
    struct records records;
    struct service *service = service_new(answers, 2);
    open_with(&rig, service, NULL, *compute);
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
    rig_read(&rig, NULL, &records);
    const char *result = records_result(&records, 0, NULL);
    ck_assert_uint_lt(strlen(result), 200000);
    ck_assert_msg(strstr(result, "begin") && strstr(result, "end") && strstr(result, "30000"), "%.200s", result);
    records_done(&records);
    close_with(&rig, service);
  }
}
END_TEST

static void interrupt_at_output(struct rig *rig, const struct mag_preview *preview)
{
  if (preview->kind == MAG_PREVIEW_TOOL_OUTPUT)
    mag_session_interrupt(rig->session);
}

START_TEST(a_running_tool_is_ended_by_an_interrupt_and_by_time)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":\"echo begun; sleep 30; echo x > effects\"}") "," CALL(
           "t2", "bash", "{\"command\":\"echo x > effects\"}") "]"},
      {.content = TEXT("Done.")},
  };
  static const struct mag_limits limits = {.timeout_ms = 1000};
  for (const char *const *compute = computes(); *compute; compute++)
    for (int by_time = 0; by_time <= 1; by_time++) {
      struct rig rig;
      struct service *service = service_new(answers, 2);
      open_with(&rig, service, NULL, *compute);
      if (!by_time)
        rig.on_preview = interrupt_at_output;
      int64_t before = mag_clock_monotonic_ms();
      ck_assert_int_eq(rig_run(&rig, "go", by_time ? &limits : NULL), by_time ? MAG_END_LIMIT : MAG_END_INTERRUPTED);
      ck_assert_int_lt(mag_clock_monotonic_ms() - before, 5000);
      rig.on_preview = NULL;
      ck_assert_int_eq(rig_run(&rig, "and now", NULL), MAG_END_TURN);
      ck_assert(access(rig_path(&rig, "work/effects"), F_OK) < 0);
      close_with(&rig, service);
    }
}
END_TEST

/* ---- Secrets
 * -------------------------------------------------------------------------------------------------------- */

#define HALF_1 "sk-integration-01"
#define HALF_2 "23456789abcdef"

START_TEST(a_key_that_a_tool_prints_goes_nowhere)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":\"cat key; base64 -w0 key; env\"}") "," CALL(
           "t2", "read", "{\"file_path\":\"key\"}") "]"},
      {.content = "[" CALL("t3", "bash", "{\"command\":\"printf " HALF_1 "; sleep 0.4; echo " HALF_2 "\"}") "]"},
      {.content = TEXT("The key is " KEY ", is it not?")},
      {.content = TEXT("No more.")},
  };
  for (const char *const *compute = computes(); *compute; compute++) {
    struct rig rig;
    struct records records;
    struct service *service = service_new(answers, 4);
    open_with(&rig, service, NULL, *compute);
    rig_write_file(&rig, "work/key", KEY "\n");
    ck_assert_int_eq(rig_run(&rig, "the key is " KEY, NULL), MAG_END_TURN);
    ck_assert_int_eq(rig_run(&rig, "again", NULL), MAG_END_TURN);
    rig_read(&rig, NULL, &records);
    static const char *const forms[] = {KEY, "c2staW50ZWdyYXRpb24tMDEyMzQ1Njc4OWFiY2RlZ"};
    for (size_t i = 0; i < MAG_COUNT(forms); i++) {
      ck_assert_msg(!records_hold(&records, forms[i]), "the log holds %s", forms[i]);
      ck_assert_msg(!strstr(rig.events.ptr, forms[i]), "an event holds %s", forms[i]);
      ck_assert_msg(!strstr(rig.previews.ptr, forms[i]), "a preview holds %s", forms[i]);
      for (size_t n = 0; n < service_count(service); n++)
        ck_assert_msg(!strstr(service_body(service, n), forms[i]), "request %zu holds %s", n, forms[i]);
    }
    ck_assert(strstr(records_result(&records, 0, NULL), "[redacted"));
    records_done(&records);
    close_with(&rig, service);
  }
}
END_TEST

static void set_text(char **place, const char *text)
{
  free(*place);
  *place = mag_str_dup(mbp_str(text));
}

static int keep_summary(void *ctx, const struct mbp_event *event)
{
  if (event->type == MBP_EV_STORE_SESSION)
    mag_buf_add_str(ctx, event->data);
  return 0;
}

static char *summaries(struct rig *rig)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_buf text = MAG_BUF_INIT;
  struct mag_instance *store;
  struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved)};
  struct mag_call_options options = {.sink = keep_summary, .ctx = &text};
  ck_assert_int_eq(mag_engine_store(rig->engine, &store, &err), 0);
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  ck_assert_int_eq(MAG_RUN(store, &options, &err, ops->list(plugin, call, &query, &err)), 0);
  return mag_buf_take(&text);
}

START_TEST(a_key_in_what_a_session_is_made_from_is_not_stored)
{
  static const struct answer answers[] = {{.content = TEXT("ok")}};
  static const char later[] = "sk-known-later-0123456789";
  struct rig rig;
  struct records records;
  struct mbp_error err = MAG_ERROR_INIT;
  struct service *service = service_new(answers, 1);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, MODEL, NULL, NULL);
  set_text(&rig.definition.system, "The key is " KEY ".");
  mag_autofree char *title = mag_sprintf("about " KEY " and %s", later);
  ck_assert_int_eq(mag_session_create(rig.engine, &rig.definition, mbp_str(title), &rig.session, &err), 0);
  mag_redact_add(mbp_str(later)); /* the log has its title already; lists are written anew */
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert(!records_hold(&records, KEY));
  ck_assert(records_hold(&records, "The key is [redacted]."));
  mag_autofree char *list = summaries(&rig);
  ck_assert_msg(strstr(list, "about [redacted] and [redacted]"), "%s", list);
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

START_TEST(signed_blocks_of_the_model_are_kept_as_they_are)
{
  static const struct answer answers[] = {
      {.content = "[{\"type\":\"thinking\",\"thinking\":\"it is " KEY "\",\"signature\":\"c2lnbmVk\"},"
                  "{\"type\":\"text\",\"text\":\"ok\"}]"},
  };
  struct rig rig;
  struct records records;
  struct service *service = service_new(answers, 1);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, MODEL, NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert(strstr(records_find(&records, MAG_REC_RESPONSE, 0)->payload, "it is " KEY));
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

START_TEST(a_key_never_enters_a_sandbox)
{
  static const char *const envs[] = {"{\"A\":\"b\",\"TOKEN\":\"" KEY "\"}", "{\"TOKEN\":\"Bearer " KEY "\"}"};
  const char *compute = *computes();
  struct service *service = service_new(NULL, 0);
  for (size_t i = 0; compute && i < MAG_COUNT(envs); i++) {
    struct rig rig;
    struct mbp_error err = MAG_ERROR_INIT;
    rig_open(&rig, service_url(service), NULL);
    rig_define(&rig, MODEL, "[" TOOLSET "]", compute);
    set_text(&rig.definition.env, envs[i]);
    ck_assert_int_eq(mag_session_create(rig.engine, &rig.definition, mbp_str("t"), &rig.session, &err), -MBP_E_INVALID);
    ck_assert_str_eq(err.message, "compute.env: the value of TOKEN is a key of this program: keys never enter a sandbox");
    mag_autofree char *list = summaries(&rig);
    ck_assert(!list || !*list);
    rig_close(&rig);
  }
  service_free(service);
}
END_TEST

/* ---- Who may run it
 * ------------------------------------------------------------------------------------------------- */

START_TEST(a_session_that_is_run_elsewhere_is_busy)
{
  static const struct answer answers[] = {{.content = TEXT("ok")}, {.content = TEXT("ok")}};
  struct rig first, second;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *other = NULL;
  struct service *service = service_new(answers, 2);
  rig_open(&first, service_url(service), NULL);
  rig_define(&first, MODEL, NULL, NULL);
  rig_create(&first);
  rig_open(&second, service_url(service), first.dir);
  ck_assert_int_eq(mag_session_open(second.engine, first.session->log.id, NULL, &other, &err), -MBP_E_BUSY);
  ck_assert_ptr_null(other);
  ck_assert_msg(strstr(err.message, first.session->log.id), "%s", err.message);
  ck_assert_int_eq(rig_run(&first, "go", NULL), MAG_END_TURN);
  mag_autofree char *id = mag_str_dup(mbp_str(first.session->log.id));
  mag_session_close(first.session);
  first.session = NULL;
  rig_resume(&second, id);
  ck_assert_int_eq(rig_run(&second, "go", NULL), MAG_END_TURN);
  rig_leave(&first);
  rig_close(&second);
  service_free(service);
}
END_TEST

START_TEST(what_cannot_be_is_refused_before_anything_is_created)
{
  static const struct {
    const char *model, *tools, *compute, *network, *env, *workspace, *text;
  } rows[] = {
      {"nobody/x", NULL, NULL, NULL, NULL, NULL, "nobody"},
      {"no-such-model", NULL, NULL, NULL, NULL, NULL, "no-such-model"},
      {MODEL, "[{\"type\":\"no_such_toolset\"}]", NULL, NULL, NULL, NULL, "no_such_toolset"},
      {MODEL, "[" TOOLSET "]", "nowhere", NULL, NULL, NULL, "nowhere"},
      {MODEL, "[" TOOLSET "]", NULL, "limited", NULL, NULL, "limited"},
      {MODEL, "[" TOOLSET "]", NULL, "unrestricted", NULL, NULL, "unrestricted"},
      {MODEL, "[" TOOLSET "]", NULL, "interstellar", NULL, NULL, "interstellar"},
      {MODEL, "[" TOOLSET "]", NULL, NULL, "{\"A\":1}", NULL, "env"},
      {MODEL, "[" TOOLSET "]", NULL, NULL, NULL, "/no/such/directory", "/no/such/directory"},
      {MODEL, "[" TOOLSET "]", NULL, NULL, NULL, "relative/path", "relative/path"},
  };
  const char *compute = *computes();
  for (size_t i = 0; compute && i < MAG_COUNT(rows); i++) {
    struct rig rig;
    struct mbp_error err = MAG_ERROR_INIT;
    struct mag_session *session = NULL;
    rig_open(&rig, NULL, NULL);
    rig_define(&rig, rows[i].model, rows[i].tools, rows[i].compute ? rows[i].compute : compute);
    rig.definition.network = rows[i].network ? mag_str_dup(mbp_str(rows[i].network)) : NULL;
    rig.definition.env = rows[i].env ? mag_str_dup(mbp_str(rows[i].env)) : NULL;
    rig.definition.workspace = rows[i].workspace ? mag_str_dup(mbp_str(rows[i].workspace)) : NULL;
    int r = mag_session_create(rig.engine, &rig.definition, mbp_str(""), &session, &err);
    ck_assert_msg(r < 0, "row %zu was taken", i);
    ck_assert_msg(strstr(err.message, rows[i].text), "row %zu: %s", i, err.message);
    ck_assert_msg(strcmp(rig_batches(), "") == 0, "row %zu left a session behind: %s", i, err.message);
    rig_close(&rig);
  }
}
END_TEST

TCase *tool_tests(void)
{
  TCase *t = tcase_create("tools");
  tcase_add_test(t, a_denied_tool_is_refused_and_the_model_is_told);
  tcase_add_test(t, a_disabled_tool_is_not_offered_and_does_not_run);
  tcase_add_test(t, who_watches_may_answer_yes_or_no);
  tcase_add_test(t, a_question_can_be_answered_from_elsewhere_and_the_turn_goes_on);
  tcase_add_test(t, a_message_to_a_waiting_session_waits_for_the_answer);
  tcase_add_test(t, a_wrong_confirmation_is_harmless);
  tcase_add_test(t, results_stand_in_call_order);
  tcase_add_test(t, a_huge_output_is_cut_and_the_turn_goes_on);
  tcase_add_test(t, a_running_tool_is_ended_by_an_interrupt_and_by_time);
  tcase_add_test(t, a_key_that_a_tool_prints_goes_nowhere);
  tcase_add_test(t, a_key_in_what_a_session_is_made_from_is_not_stored);
  tcase_add_test(t, signed_blocks_of_the_model_are_kept_as_they_are);
  tcase_add_test(t, a_key_never_enters_a_sandbox);
  tcase_add_test(t, a_session_that_is_run_elsewhere_is_busy);
  tcase_add_test(t, what_cannot_be_is_refused_before_anything_is_created);
  return t;
}
