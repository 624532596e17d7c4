/* Custom tools that the program itself answers, or somebody in another process; and what every tool's input is held
 * to. */
#include "engine_test.h"

#include "agent/custom.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MODEL "anthropic/claude-test"
#define ENTRY(name, more)                                                                                              \
  "{\"type\":\"custom\",\"name\":\"" name "\",\"description\":\"Says what it gets.\",\"input_schema\":{\"type\":"      \
  "\"object\",\"properties\":{\"a\":{\"type\":\"number\"},\"text\":{\"type\":\"string\",\"maxLength\":100}},"          \
  "\"required\":[\"a\"],\"additionalProperties\":false}" more "}"
#define SUM "[" ENTRY("sum", "") "]"

static const struct answer one_call[] = {
    {.content = "[" CALL("t1", "sum", "{\"a\":1,\"text\":\"x\"}") "]"},
    {.content = TEXT("Done.")},
};

static void open_tools(struct rig *rig, struct service *service, const char *tools)
{
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, MODEL, tools, *computes());
  rig_create(rig);
}

static void done(struct rig *rig, struct service *service, struct records *records)
{
  records_check(records);
  records_done(records);
  service_check_prefixes(service, 0);
  rig_close(rig);
  service_free(service);
}

static void handle_for(struct rig *rig, const char *name, mag_custom_handle handle, void *ctx, int64_t timeout_ms)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_custom_handler handler = {.name = name, .handle = handle, .ctx = ctx, .timeout_ms = timeout_ms};
  ck_assert_msg(mag_session_handle(rig->session, &handler, &err) == 0, "%s", err.message);
}

/* One turn with the tool "sum" and this handler; its answer. */
static void run_handler(mag_custom_handle handle, void *ctx, int64_t timeout_ms, const char *wanted, bool wanted_error)
{
  struct rig rig;
  struct records records;
  bool is_error;
  struct service *service = service_new(one_call, 2);
  open_tools(&rig, service, SUM);
  handle_for(&rig, "sum", handle, ctx, timeout_ms);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_custom(&records, 0, &is_error), wanted);
  ck_assert_int_eq(is_error, wanted_error);
  done(&rig, service, &records);
}

/* ---- Handlers ------------------------------------------------------------------------------------------------- */

static int say_input(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  mag_autofree char *text = mag_sprintf("%s got %s", mag_custom_call_tool(call).ptr, mag_custom_call_input(call).ptr);
  ++*(int *) ctx;
  ck_assert(mag_str_starts(mag_custom_call_event_id(call), "sevt_"));
  ck_assert(mag_str_starts(mag_custom_call_session_id(call), "sesn_"));
  return mag_custom_call_text(call, mbp_str(text), err);
}

/* Behaviour 84: wired, and called with name and arguments. */
START_TEST(behaviour_84_a_handler_gets_name_and_input)
{
  struct rig rig;
  struct records records;
  int calls = 0;
  struct service *service = service_new(one_call, 2);
  open_tools(&rig, service, SUM);
  handle_for(&rig, "sum", say_input, &calls, 0);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_int_eq(calls, 1);
  ck_assert_str_eq(rig_batches(), "session message running+processed+ask response+custom+asked+started "
                                  "answer+processed+ask response+said+asked+usage+idle");
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "sum got {\\\"a\\\":1,\\\"text\\\":\\\"x\\\"}"));
  rig_read(&rig, NULL, &records);
  done(&rig, service, &records);
}
END_TEST

START_TEST(a_handler_for_no_tool_is_refused_with_the_nearest_name)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_custom_handler handler = {.name = "sun", .handle = say_input};
  rig_open(&rig, NULL, NULL);
  rig_define(&rig, "scripted/default", SUM, *computes());
  rig_create(&rig);
  ck_assert_int_eq(mag_session_handle(rig.session, &handler, &err), -MBP_E_NOT_FOUND);
  ck_assert_str_eq(err.message, "the agent has no custom tool \"sun\"; did you mean \"sum\"?");
  rig_close(&rig);
}
END_TEST

static int answer_all(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  static const char png[] = "\x89PNG\r\n\x1a\n....";
  (void) ctx;
  ck_assert_int_eq(mag_custom_call_json(call, mbp_str("{\"x\":"), err), -MBP_E_PROTOCOL);
  ck_assert_int_eq(mag_custom_call_json(call, mbp_str("{\"x\":[1]}"), err), 0);
  ck_assert_int_eq(mag_custom_call_image(call, "image/jpeg", mbp_str_n(png, 12), err), -MBP_E_INVALID);
  ck_assert_int_eq(mag_custom_call_image(call, "image/svg+xml", mbp_str_n(png, 12), err), -MBP_E_INVALID);
  mag_autofree char *large = calloc(1, 5000000);
  ck_assert_int_eq(mag_custom_call_image(call, "image/png", mbp_str_n(large, 5000000), err), -MBP_E_LIMIT);
  ck_assert_int_eq(mag_custom_call_text(call, mbp_str_n(large, 5000000), err), -MBP_E_LIMIT);
  return mag_custom_call_image(call, "image/png", mbp_str_n(png, 12), err);
}

START_TEST(an_answer_may_be_json_and_an_image)
{
  struct rig rig;
  struct records records;
  struct service *service = service_new(one_call, 2);
  open_tools(&rig, service, SUM);
  handle_for(&rig, "sum", answer_all, NULL, 0);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(service_body(service, 1),
                               "{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBORw0KGgouLi4u\"}"));
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_custom(&records, 0, NULL), "{\"x\":[1]}");
  done(&rig, service, &records);
}
END_TEST

static int fail_politely(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  (void) ctx;
  return mag_custom_call_fail(call, mbp_str("no such city"), err);
}

static int fail_hard(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  (void) ctx;
  (void) call;
  return mag_error(err, MBP_E_UNAVAILABLE, "the weather service is down");
}

static int say_nothing(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  (void) ctx;
  (void) call;
  (void) err;
  return 0;
}

START_TEST(what_a_handler_says_of_failure_reaches_the_model)
{
  run_handler(fail_politely, NULL, 0, "no such city", true);
  run_handler(fail_hard, NULL, 0, "The tool could not be run: the weather service is down", true);
  run_handler(say_nothing, NULL, 0, "done", false);
}
END_TEST

/* Waits for a byte, whatever happens. */
static int hang(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  struct pollfd fd = {.fd = *(int *) ctx, .events = POLLIN};
  (void) poll(&fd, 1, -1);
  int r = mag_custom_call_text(call, mbp_str("too late"), err);
  ck_assert_int_eq(r, -MBP_E_LOST);
  mag_custom_call_progress(call, mbp_str("nobody hears this"));
  return r;
}

START_TEST(a_handler_that_never_answers_is_given_up_and_counted)
{
  int pipe_fds[2];
  ck_assert_int_eq(pipe(pipe_fds), 0);
  run_handler(hang, &pipe_fds[0], 50,
              "The tool did not end as it should: no answer within 50 ms. Whether it had an effect is unknown: check "
              "before you do it again.",
              true);
  ck_assert_uint_eq(mag_custom_stray_threads(), 1); /* the session is closed meanwhile: no harm */
  ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
  for (int i = 0; i < 500 && mag_custom_stray_threads(); i++)
    (void) poll(NULL, 0, 10);
  ck_assert_uint_eq(mag_custom_stray_threads(), 0);
}
END_TEST

static void *answer_from_elsewhere(void *argument)
{
  struct mag_custom_call *call = argument;
  ck_assert_int_eq(mag_custom_call_text(call, mbp_str("later"), NULL), 0);
  mag_custom_call_done(call);
  mag_custom_call_done(call); /* once more: no harm */
  ck_assert_int_eq(mag_custom_call_text(call, mbp_str("again"), NULL), -MBP_E_LOST);
  mag_custom_call_unref(call);
  return NULL;
}

static int answer_later(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  (void) err;
  ck_assert_int_eq(pthread_create(ctx, NULL, answer_from_elsewhere, mag_custom_call_ref(call)), 0);
  return MAG_CUSTOM_LATER;
}

START_TEST(another_thread_may_answer_later)
{
  pthread_t thread;
  run_handler(answer_later, &thread, 0, "later", false);
  pthread_join(thread, NULL);
}
END_TEST

/* Both must be inside before either answers. */
static int meet(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  atomic_int *inside = ctx;
  atomic_fetch_add(inside, 1);
  while (atomic_load(inside) < 2 && !mag_custom_call_cancelled(call))
    (void) poll(NULL, 0, 1);
  return mag_custom_call_json(call, mag_custom_call_input(call), err);
}

START_TEST(read_only_tools_run_side_by_side_and_answer_in_order)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "sum", "{\"a\":1}") "," CALL("t2", "sum", "{\"a\":2}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig rig;
  struct records records;
  atomic_int inside = 0;
  struct service *service = service_new(answers, 2);
  open_tools(&rig, service, "[" ENTRY("sum", ",\"read_only\":true,\"timeout\":\"30s\"") "]");
  handle_for(&rig, "sum", meet, &inside, 0);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_custom(&records, 0, NULL), "{\"a\":1}");
  ck_assert_str_eq(records_custom(&records, 1, NULL), "{\"a\":2}");
  done(&rig, service, &records);
}
END_TEST

static int wait_for_cancel(void *ctx, struct mag_custom_call *call, struct mbp_error *err)
{
  struct pollfd fd = {.fd = mag_custom_call_cancel_fd(call), .events = POLLIN};
  mag_session_interrupt(ctx);
  (void) poll(&fd, 1, -1);
  ck_assert(mag_custom_call_cancelled(call));
  return mag_error(err, MBP_E_CANCELLED, "told to stop");
}

START_TEST(an_interrupt_reaches_the_handler)
{
  struct rig rig;
  struct records records;
  bool is_error;
  struct service *service = service_new(one_call, 2);
  open_tools(&rig, service, SUM);
  handle_for(&rig, "sum", wait_for_cancel, rig.session, 0);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_INTERRUPTED);
  ck_assert_uint_eq(mag_custom_stray_threads(), 0);
  rig_read(&rig, NULL, &records);
  (void) records_custom(&records, 0, &is_error);
  ck_assert(is_error);
  done(&rig, service, &records);
}
END_TEST

/* ---- The input ------------------------------------------------------------------------------------------------ */

START_TEST(an_input_that_does_not_fit_never_reaches_the_handler)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "sum", "{\"text\":3}") "," CALL("t2", "sum", "{\"a\":2,\"text\":null}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig rig;
  struct records records;
  bool is_error;
  int calls = 0;
  struct service *service = service_new(answers, 2);
  open_tools(&rig, service, "[" ENTRY("sum", ",\"permission_policy\":{\"type\":\"always_ask\"}") "]");
  rig.answer = 1; /* nobody is asked about the first */
  handle_for(&rig, "sum", say_input, &calls, 0);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_int_eq(calls, 1);
  rig_read(&rig, NULL, &records);
  ck_assert_uint_eq(records_count(&records, MAG_EV_USER_CONFIRMATION), 1);
  ck_assert_uint_eq(records_count(&records, MAG_REC_TOOL_STARTED), 1);
  ck_assert_str_eq(records_custom(&records, 0, &is_error),
                   "The input does not fit the input_schema of sum, so it was not run:\n/text: expected string, got "
                   "number\nthe input: required property \"a\" is missing");
  ck_assert(is_error);
  /* A null for what is left out is no mistake: the handler does not see it. */
  ck_assert_str_eq(records_custom(&records, 1, &is_error), "sum got {\"a\":2}");
  ck_assert(!is_error);
  done(&rig, service, &records);
}
END_TEST

START_TEST(inputs_of_toolset_plugins_are_held_to_their_schema_too)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":[\"ls\"]}") "," CALL("t2", "read", "{\"path\":\"x\"}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig rig;
  struct records records;
  bool is_error;
  if (!*computes())
    return;
  struct service *service = service_new(answers, 2);
  open_tools(&rig, service, "[" TOOLSET "]");
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert_uint_eq(records_count(&records, MAG_REC_TOOL_STARTED), 0);
  ck_assert_str_eq(records_result(&records, 0, &is_error),
                   "The input does not fit the input_schema of bash, so it was not run:\n/command: expected string, "
                   "got array");
  ck_assert(is_error);
  ck_assert_str_eq(records_result(&records, 1, &is_error),
                   "The input does not fit the input_schema of read, so it was not run:\nthe input: required property "
                   "\"file_path\" is missing\nthe input: unknown property \"path\"");
  done(&rig, service, &records);
}
END_TEST

/* ---- From outside --------------------------------------------------------------------------------------------- */

/* The id of the n-th call of a custom tool, in quotes. */
static char *use_id(const struct records *records, size_t n)
{
  struct mbp_str id;
  const struct record *use = records_find(records, MAG_EV_CUSTOM_TOOL_USE, n);
  ck_assert_ptr_nonnull(use);
  ck_assert_int_eq(mag_json_slice(mbp_str(use->payload), "id", &id), 1);
  return mag_str_dup(id);
}

static void answer_outside(struct rig *rig, const char *session, const char *use, const char *more)
{
  mag_autofree char *members = mag_sprintf("\"custom_tool_use_id\":%s%s", use, more);
  rig_append_outside(rig, session, MAG_EV_USER_CUSTOM_RESULT, members);
}

#define CONTENT(text) ",\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]"

/* Behaviour 121: the call is shown, and the result that is sent back reaches the model. */
START_TEST(behaviour_121_a_call_waits_until_it_is_answered_from_outside)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "sum", "{\"a\":1}") "," CALL("t2", "sum", "{\"a\":2}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig first, second;
  struct records records;
  bool is_error;
  struct service *service = service_new(answers, 2);
  open_tools(&first, service, SUM);
  mag_autofree char *id = mag_str_dup(mbp_str(first.session->log.id));
  ck_assert_int_eq(rig_run(&first, "go", NULL), MAG_END_REQUIRES_ACTION);
  ck_assert_str_eq(rig_batches(), "session message running+processed+ask response+custom+custom+asked usage+idle");
  rig_read(&first, NULL, &records);
  mag_autofree char *one = use_id(&records, 0), *two = use_id(&records, 1);
  mag_autofree char *both = mag_sprintf("\"event_ids\":[%s,%s]", one, two);
  ck_assert_ptr_nonnull(strstr(records_find(&records, MAG_EV_IDLE, 0)->payload, both));
  records_done(&records);
  /* What is no result, or for nobody, is processed as nothing. */
  answer_outside(&first, id, "\"sevt_nobody\"", CONTENT("x"));
  answer_outside(&first, id, two, ",\"content\":\"text\"");
  answer_outside(&first, id, two, ",\"content\":[{\"type\":\"tool_use\"}]");
  ck_assert_int_eq(rig_run(&first, NULL, NULL), MAG_END_REQUIRES_ACTION);
  /* Of two answers the first counts, and the rest still waits. */
  answer_outside(&first, id, two, CONTENT("three") ",\"is_error\":true");
  answer_outside(&first, id, two, CONTENT("four"));
  ck_assert_int_eq(rig_run(&first, NULL, NULL), MAG_END_REQUIRES_ACTION);
  rig_read(&first, NULL, &records);
  size_t idles = records_count(&records, MAG_EV_IDLE);
  mag_autofree char *rest = mag_sprintf("\"event_ids\":[%s]", one);
  ck_assert_ptr_nonnull(strstr(records_find(&records, MAG_EV_IDLE, idles - 1)->payload, rest));
  records_done(&records);
  answer_outside(&first, id, one, ""); /* no content at all is an answer */
  rig_leave(&first);
  rig_open(&second, service_url(service), first.dir);
  rig_resume(&second, id);
  ck_assert_int_eq(rig_run(&second, NULL, NULL), MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "three"));
  ck_assert_ptr_null(strstr(service_body(service, 1), "four"));
  rig_read(&second, NULL, &records);
  (void) records_custom(&records, 3, &is_error);
  ck_assert(is_error);
  done(&second, service, &records);
}
END_TEST

START_TEST(an_interrupt_closes_a_call_that_waits)
{
  struct rig rig;
  struct records records;
  bool is_error;
  struct service *service = service_new(one_call, 2);
  open_tools(&rig, service, SUM);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_REQUIRES_ACTION);
  mag_session_interrupt(rig.session);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_INTERRUPTED);
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_custom(&records, 0, &is_error), "The user interrupted before this tool had run.");
  ck_assert(is_error);
  records_done(&records);
  ck_assert_int_eq(rig_run(&rig, "go on", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  done(&rig, service, &records);
}
END_TEST

/* ---- Policy --------------------------------------------------------------------------------------------------- */

/* Behaviour 122: who is asked decides. */
START_TEST(behaviour_122_a_custom_tool_may_be_asked_about_and_denied)
{
  for (int answer = 0; answer <= 1; answer++) {
    struct rig rig;
    struct records records;
    bool is_error;
    int calls = 0;
    struct service *service = service_new(one_call, 2);
    open_tools(&rig, service, "[" ENTRY("sum", ",\"permission_policy\":{\"type\":\"always_ask\"}") "]");
    handle_for(&rig, "sum", say_input, &calls, 0);
    rig.answer = answer;
    ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
    ck_assert_int_eq(calls, answer);
    rig_read(&rig, NULL, &records);
    ck_assert_ptr_nonnull(strstr(records_find(&records, MAG_EV_CUSTOM_TOOL_USE, 0)->payload,
                                 "\"x_magent\":{\"evaluated_permission\":\"ask\"}"));
    const char *text = records_custom(&records, 0, &is_error);
    ck_assert_str_eq(text, answer ? "sum got {\"a\":1,\"text\":\"x\"}" : "The user did not allow this.");
    ck_assert_int_eq(is_error, !answer);
    done(&rig, service, &records);
  }
}
END_TEST

static void always(void *ctx, const struct mag_question *question, struct mag_reply *reply)
{
  ck_assert_str_eq(question->tool, "sum");
  ck_assert(!question->on_host);
  ++*(int *) ctx;
  *reply = (struct mag_reply){.answer = 1, .always = true};
}

static void no_because(void *ctx, const struct mag_question *question, struct mag_reply *reply)
{
  (void) question;
  ++*(int *) ctx;
  *reply = (struct mag_reply){.answer = 0, .message = mag_str_dup(mbp_str("use the other one"))};
}

START_TEST(always_holds_for_the_whole_session_and_a_no_has_a_reason)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "sum", "{\"a\":1}") "," CALL("t2", "sum", "{\"a\":2}") "]"},
      {.content = "[" CALL("t3", "sum", "{\"a\":3}") "]"},
      {.content = TEXT("Done.")},
      {.content = "[" CALL("t4", "sum", "{\"a\":4}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig first, second;
  struct records records;
  int calls = 0, asked = 0;
  struct service *service = service_new(answers, 5);
  struct mag_observer observer = {.ctx = &asked, .ask = always};
  open_tools(&first, service, "[" ENTRY("sum", ",\"permission_policy\":{\"type\":\"always_ask\"}") "]");
  mag_autofree char *id = mag_str_dup(mbp_str(first.session->log.id));
  handle_for(&first, "sum", say_input, &calls, 0);
  mag_session_observe(first.session, &observer);
  ck_assert_int_eq(rig_run(&first, "go", NULL), MAG_END_TURN);
  ck_assert_int_eq(asked, 1);
  ck_assert_int_eq(calls, 3);
  rig_leave(&first);
  rig_open(&second, service_url(service), first.dir);
  rig_resume(&second, id);
  handle_for(&second, "sum", say_input, &calls, 0);
  ck_assert_int_eq(rig_run(&second, "go on", NULL), MAG_END_TURN);
  ck_assert_int_eq(calls, 4);
  rig_read(&second, NULL, &records);
  done(&second, service, &records);

  struct rig third;
  observer.ask = no_because;
  service = service_new(one_call, 2);
  open_tools(&third, service, "[" ENTRY("sum", ",\"permission_policy\":{\"type\":\"always_ask\"}") "]");
  mag_session_observe(third.session, &observer);
  ck_assert_int_eq(rig_run(&third, "go", NULL), MAG_END_TURN);
  rig_read(&third, NULL, &records);
  ck_assert_str_eq(records_custom(&records, 0, NULL), "The user did not allow this: use the other one");
  done(&third, service, &records);
}
END_TEST

/* ---- Entries -------------------------------------------------------------------------------------------------- */

/* A defaults file, for names of tools; and none again. */
static void set_defaults(bool there)
{
  static char dir[] = "/tmp/magent-defaults-XXXXXX";
  if (there)
    ck_assert_ptr_nonnull(mkdtemp(dir));
  mag_autofree char *path = mag_sprintf("%s/defaults.json", dir);
  if (!there) {
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    (void) unsetenv("MAGENT_CONF_DIR");
    return;
  }
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_gt(fputs("{\"tools\":[" TOOLSET "]}", file), 0);
  ck_assert_int_eq(fclose(file), 0);
  (void) setenv("MAGENT_CONF_DIR", dir, 1);
}

#define BARE(more)                                                                                                     \
  "[{\"type\":\"custom\",\"name\":\"x\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}" more "}]"

static const struct {
  const char *tools, *message;
} wrong[] = {
    {"[{\"type\":\"custom\",\"name\":\"a b\"}]", "custom tool \"a b\": the name of a custom tool must be 1 to 128 of"},
    {"[{\"type\":\"custom\",\"name\":\"mcp__x\"}]", "names that begin with mcp__"},
    {"[{\"type\":\"custom\",\"name\":\"x\"}]", "a description is needed"},
    {"[{\"type\":\"custom\",\"name\":\"x\",\"description\":\"d\"}]", "input_schema must be an object whose type is"},
    {"[{\"type\":\"custom\",\"name\":\"x\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"oneOf\":[{}]}}"
     "]",
     "input_schema: oneOf cannot stand at the top"},
    {"[{\"type\":\"custom\",\"name\":\"x\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"if\":true}}]",
     "input_schema of x: /if: this keyword of JSON Schema is not supported"},
    {BARE(",\"descripton\":\"d\""), "unknown key \"descripton\"; did you mean \"description\"?"},
    {BARE(",\"run_on\":\"host\""), "run_on is for tools with a command"},
    {BARE(",\"command\":\"x\",\"run_on\":\"moon\""), "run_on must be sandbox or host"},
    {BARE(",\"command\":[]"), "command must be a list"},
    {BARE(",\"command\":[\"x\",1]"), "command must be a list"},
    {BARE(",\"command\":\"x\",\"env\":{\"A\":1}"), "env: the value of A must be text"},
    {BARE(",\"command\":\"x\",\"env\":{\"A\":\"" KEY "\"}"), "keys never enter a sandbox"},
    {BARE(",\"command\":\"x\",\"env\":{\"A\":\"${MAGENT_TEST_UNSET}\"}"), "MAGENT_TEST_UNSET is not set"},
    {BARE(",\"command\":\"x\",\"env\":[]"), "env must be a mapping"},
    {BARE(",\"timeout\":\"soon\""), "timeout must be a duration"},
    {BARE(",\"permission_policy\":{\"type\":\"auto\"}"), "use always_ask"},
    {"[" ENTRY("sum", "") "," ENTRY("sum", "") "]", "two tools are named \"sum\""},
    {"[" TOOLSET "," ENTRY("bash", "") "]", "two tools are named \"bash\""},
    {"[\"read_fil\"]", "unknown tool \"read_fil\"; did you mean \"read_file\"?"},
    {"[\"web_fetch\"]", "web_fetch comes with the network policies"},
};

START_TEST(a_wrong_entry_is_refused_before_there_is_a_session)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  set_defaults(true);
  rig_open(&rig, "http://127.0.0.1:1", NULL);
  rig_define(&rig, MODEL, wrong[_i].tools, *computes());
  ck_assert_int_lt(mag_session_create(rig.engine, &rig.definition, mbp_str(""), &rig.session, &err), 0);
  ck_assert_msg(strstr(err.message, wrong[_i].message), "%s", err.message);
  ck_assert_str_eq(rig_batches(), "");
  rig_close(&rig);
  set_defaults(false);
}
END_TEST

/* What an agent's tools offer to the model, in order. */
static void offers(const char *tools, const char *wanted)
{
  struct rig rig;
  mag_autobuf names = MAG_BUF_INIT;
  rig_open(&rig, NULL, NULL);
  rig_define(&rig, "scripted/default", tools, *computes());
  rig_create(&rig);
  for (size_t i = 0; i < rig.session->toolbox.n; i++)
    mag_buf_printf(&names, "%s%s%s", i ? " " : "", rig.session->toolbox.tools[i].name,
                   rig.session->toolbox.tools[i].permission == MAG_PERMISSION_ALLOW  ? ""
                   : rig.session->toolbox.tools[i].permission == MAG_PERMISSION_ASK ? "?"
                                                                                    : "!");
  ck_assert_str_eq(names.len ? names.ptr : "", wanted);
  rig_close(&rig);
}

/* Behaviours 79-83, 85, 86: in ours an empty list is no tool, and an unknown name an error (above). */
START_TEST(behaviours_79_to_86_tools_by_name_and_alias)
{
  if (!*computes())
    return;
  set_defaults(true);
  offers("[\"bash\",\"read\"]", "bash read");                              /* 79 */
  offers("[\"execute_command\",\"read_file\",\"write_file\",\"list_files\"]", "bash read write glob"); /* 85, 91, 93 */
  offers("[\"apply_diff\",\"search_file\"]", "edit grep");                 /* 85 */
  offers("[]", "");                                                         /* 80 */
  offers("[" TOOLSET "]", "bash read write edit glob grep");               /* 81 */
  offers("[{\"type\":\"agent_toolset_20260401\",\"default_config\":{\"enabled\":false},\"configs\":[{\"name\":\"read_"
         "file\",\"enabled\":true}]}]",
         "read"); /* 82 */
  offers("[{\"type\":\"agent_toolset_20260401\",\"configs\":[{\"name\":\"execute_command\",\"enabled\":false}]}]",
         "read write edit glob grep");                                                                 /* 83 */
  offers("[{\"type\":\"agent_toolset_20260401\",\"default_config\":{\"enabled\":false}}]", "");        /* weakness 2 */
  offers(SUM, "sum");                                                                                  /* weakness 2 */
  offers("[\"read_file\"," ENTRY("sum", "") ",\"bash\"]", "bash read sum");
  /* A policy that names an alias is one of the tool. */
  offers("[{\"type\":\"agent_toolset_20260401\",\"configs\":[{\"name\":\"execute_command\",\"permission_policy\":{"
         "\"type\":\"always_deny\"}}]}]",
         "bash! read write edit glob grep");
  set_defaults(false);
}
END_TEST

/* Behaviours 91-94: tools that are named as elsewhere work in the sandbox, all of them, and the sandbox is made by the
 * first one that needs it. 95: what is wrong is told before (a_wrong_entry_is_refused_before_there_is_a_session). */
START_TEST(behaviours_91_to_95_named_tools_work_in_the_sandbox)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "write", "{\"file_path\":\"d/a\",\"content\":\"from the tool\"}") "]"},
      {.content = "[" CALL("t2", "bash", "{\"command\":\"cat d/a; cd / && pwd >&2\"}") "]"},
      {.content = "[" CALL("t3", "read", "{\"file_path\":\"d/a\"}") "," CALL("t4", "glob", "{\"pattern\":\"**\"}") "]"},
      {.content = TEXT("Done.")},
  };
  struct rig rig;
  struct records records;
  if (!*computes())
    return;
  set_defaults(true);
  struct service *service = service_new(answers, 4);
  open_tools(&rig, service, "[\"execute_command\",\"read_file\",\"write_file\",\"list_files\"]");
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  ck_assert_str_eq(records_result(&records, 1, NULL), "from the tool/");
  ck_assert_ptr_nonnull(strstr(records_result(&records, 2, NULL), "from the tool"));
  ck_assert_ptr_nonnull(strstr(records_result(&records, 3, NULL), "d/a"));
  ck_assert_uint_eq(records_count(&records, MAG_REC_SANDBOX), 2); /* intent and made, once */
  done(&rig, service, &records);
  set_defaults(false);
}
END_TEST

TCase *custom_tests(void)
{
  TCase *t = tcase_create("custom tools");
  tcase_add_test(t, behaviour_84_a_handler_gets_name_and_input);
  tcase_add_test(t, a_handler_for_no_tool_is_refused_with_the_nearest_name);
  tcase_add_test(t, an_answer_may_be_json_and_an_image);
  tcase_add_test(t, what_a_handler_says_of_failure_reaches_the_model);
  tcase_add_test(t, a_handler_that_never_answers_is_given_up_and_counted);
  tcase_add_test(t, another_thread_may_answer_later);
  tcase_add_test(t, read_only_tools_run_side_by_side_and_answer_in_order);
  tcase_add_test(t, an_interrupt_reaches_the_handler);
  tcase_add_test(t, an_input_that_does_not_fit_never_reaches_the_handler);
  tcase_add_test(t, inputs_of_toolset_plugins_are_held_to_their_schema_too);
  tcase_add_test(t, behaviour_121_a_call_waits_until_it_is_answered_from_outside);
  tcase_add_test(t, an_interrupt_closes_a_call_that_waits);
  tcase_add_test(t, behaviour_122_a_custom_tool_may_be_asked_about_and_denied);
  tcase_add_test(t, always_holds_for_the_whole_session_and_a_no_has_a_reason);
  tcase_add_loop_test(t, a_wrong_entry_is_refused_before_there_is_a_session, 0, MAG_COUNT(wrong));
  tcase_add_test(t, behaviours_79_to_86_tools_by_name_and_alias);
  tcase_add_test(t, behaviours_91_to_95_named_tools_work_in_the_sandbox);
  return t;
}
