/* Tools that are functions of the program. */
#include "embed_rig.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>
#include <unistd.h>

#define ASK(name, input)                                                                                               \
  "[{\"match\":\"*\",\"tool_call\":{\"name\":\"" name "\",\"input\":" input "}},"                                      \
  "{\"match\":\"*\",\"text\":\"{{tool_result}}\"}]"

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"},\"n\":{\"type\":"
                             "\"integer\",\"minimum\":1},\"list\":{\"type\":\"array\"}},\"required\":[\"text\"]}";

struct seen {
  int calls;
  pthread_t thread;
  struct magent_agent *agent;
  struct magent_tool_call *later;
  pthread_t helper;
};

static void add_tool(struct magent_agent *agent, int (*run)(void *, struct magent_tool_call *, const char *), void *ctx,
                     int64_t timeout_ms)
{
  struct magent_error error;
  struct magent_tool tool = {.size = sizeof(tool),
                             .name = "mine",
                             .description = "A test's own",
                             .input_schema = schema,
                             .run = run,
                             .ctx = ctx,
                             .timeout_ms = timeout_ms};
  expect(magent_add_tool(agent, &tool, &error), 0, error);
}

static void check_answer(struct magent_agent *agent, const char *expected)
{
  struct magent_error error;
  char *answer = NULL;
  expect(magent_execute(agent, "Do it", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_msg(strstr(answer, expected) != NULL, "\"%s\" and not \"%s\"", answer, expected);
  free(answer);
}

static int repeat(void *ctx, struct magent_tool_call *call, const char *input)
{
  struct seen *seen = ctx;
  char text[64];
  seen->calls++;
  seen->thread = pthread_self();
  ck_assert_str_eq(magent_tool_name(call), "mine");
  ck_assert_ptr_nonnull(strstr(input, "\"text\""));
  ck_assert_ptr_null(magent_tool_argument(call, "other"));
  ck_assert_int_eq(strncmp(magent_tool_event_id(call), "sevt_", 5), 0);
  ck_assert_int_eq(strncmp(magent_tool_session_id(call), "sesn_", 5), 0);
  ck_assert_int_eq(magent_tool_cancelled(call), 0);
  magent_tool_progress(call, "halfway");
  (void) snprintf(text, sizeof(text), "%s %s %s", magent_tool_argument(call, "text"), magent_tool_argument(call, "n"),
                  magent_tool_argument(call, "list"));
  return magent_tool_text(call, text);
}

static int see_progress(void *ctx, const struct magent_event *event)
{
  bool *seen = ctx;
  *seen |= event->kind == MAGENT_PROGRESS && strcmp(event->text, "halfway") == 0;
  return 0;
}

/* behaviours 84, 121: a custom tool is called with its name and arguments, and its result goes to the model */
START_TEST(a_function_of_the_program_is_called_with_its_arguments)
{
  struct place place;
  struct seen seen = {0};
  place_begin(&place, ASK("mine", "{\"text\":\"\\u00e4 \\\"b\\\"\",\"n\":12,\"list\":[1, {\"a\":null}]}"));
  struct magent_agent *agent = agent_of(&place, "tools: []");
  add_tool(agent, repeat, &seen, 0);
  check_answer(agent, "\xc3\xa4 \"b\" 12 [1, {\"a\":null}]");
  ck_assert_int_eq(seen.calls, 1);
  ck_assert(!pthread_equal(seen.thread, pthread_self()));
  magent_agent_free(agent);
  bool told = false;
  struct magent_error error;
  agent = agent_of(&place, "tools: []");
  add_tool(agent, repeat, &seen, 0);
  expect(magent_stream(agent, "Do it", see_progress, &told, &error), MAGENT_END_TURN, error);
  ck_assert(told);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* The program sees no input that its schema does not allow. */
START_TEST(input_that_the_schema_does_not_allow_reaches_nobody)
{
  struct place place;
  struct seen seen = {0};
  place_begin(&place, ASK("mine", "{\"text\":\"x\",\"n\":0}"));
  struct magent_agent *agent = agent_of(&place, "tools: []");
  add_tool(agent, repeat, &seen, 0);
  check_answer(agent, "n");
  ck_assert_int_eq(seen.calls, 0);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

static int fail_in_words(void *ctx, struct magent_tool_call *call, const char *input)
{
  (void) ctx;
  (void) input;
  return magent_tool_error(call, "the moon is full");
}

static int fail_by_number(void *ctx, struct magent_tool_call *call, const char *input)
{
  (void) ctx;
  (void) call;
  (void) input;
  return -3;
}

static int say_much(void *ctx, struct magent_tool_call *call, const char *input)
{
  (void) ctx;
  (void) input;
  char *much = calloc(1, (5u << 20) + 1);
  ck_assert_ptr_nonnull(much);
  memset(much, 'x', 5u << 20);
  ck_assert_int_eq(magent_tool_text(call, much), -MBP_E_LIMIT);
  free(much);
  ck_assert_int_lt(magent_tool_json(call, "{not json"), 0);
  ck_assert_int_lt(magent_tool_image(call, "image/png", "no image", 8), 0);
  ck_assert_int_eq(magent_tool_text(call, "first"), 0);
  return magent_tool_json(call, "{\"second\":2}");
}

static atomic_bool given_up; /* the model has been told that there is no result */

static int wait_for_the_end(void *ctx, struct magent_tool_call *call, const char *input)
{
  (void) ctx;
  (void) input;
  struct pollfd cancelled = {.fd = magent_tool_cancel_fd(call), .events = POLLIN};
  ck_assert_int_eq(poll(&cancelled, 1, 60000), 1);
  ck_assert_int_eq(magent_tool_cancelled(call), 1);
  while (!given_up)
    (void) usleep(1000);
  (void) magent_tool_text(call, "too late"); /* of no use, and no harm */
  return 0;
}

START_TEST(failures_and_silence_are_told_to_the_model)
{
  struct place place;
  struct magent_agent *agent;
  place_begin(&place, ASK("mine", "{\"text\":\"x\"}"));
  static const struct {
    int (*run)(void *ctx, struct magent_tool_call *call, const char *input);
    int64_t timeout_ms;
    const char *answer;
  } table[] = {
      {fail_in_words, 0, "the moon is full"}, {fail_by_number, 0, "-3"},       {say_much, 0, "first"},
      {say_much, 0, "{\"second\":2}"},        {wait_for_the_end, 50, "50 ms"}, /* given up before it could answer */
  };
  for (size_t i = 0; i < COUNT(table); i++) {
    agent = agent_of(&place, "tools: []");
    add_tool(agent, table[i].run, NULL, table[i].timeout_ms);
    check_answer(agent, table[i].answer);
    given_up = i + 1 == COUNT(table);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

static void *answer_later(void *argument)
{
  struct seen *seen = argument;
  (void) usleep(20000);
  ck_assert_int_eq(magent_tool_text(seen->later, magent_tool_argument(seen->later, "text")), 0);
  magent_tool_done(seen->later);
  return NULL;
}

static int answer_elsewhere(void *ctx, struct magent_tool_call *call, const char *input)
{
  struct seen *seen = ctx;
  (void) input;
  seen->later = call;
  ck_assert_int_eq(pthread_create(&seen->helper, NULL, answer_later, seen), 0);
  return MAGENT_LATER;
}

START_TEST(a_result_may_come_later_from_another_thread)
{
  struct place place;
  struct seen seen = {0};
  place_begin(&place, ASK("mine", "{\"text\":\"from afar\"}"));
  struct magent_agent *agent = agent_of(&place, "tools: []");
  add_tool(agent, answer_elsewhere, &seen, 0);
  check_answer(agent, "from afar");
  (void) pthread_join(seen.helper, NULL);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

static int use_the_sandbox(void *ctx, struct magent_tool_call *call, const char *input)
{
  struct seen *seen = ctx;
  struct magent_command_result *result = NULL;
  struct magent_error error;
  (void) input;
  expect(magent_compute_execute(seen->agent, "pwd > here; echo inside", 0, &result, &error), 0, error);
  int r = magent_tool_text(call, result->output);
  free(result);
  return r;
}

START_TEST(a_function_may_use_the_sandbox_of_its_agent)
{
  struct place place;
  place_begin(&place, ASK("mine", "{\"text\":\"x\"}"));
  for (const char *const *compute = computes(); *compute; compute++) {
    char yaml[64];
    (void) snprintf(yaml, sizeof(yaml), "compute: %s", *compute);
    struct seen seen = {.agent = agent_of(&place, yaml)};
    add_tool(seen.agent, use_the_sandbox, &seen, 0);
    check_answer(seen.agent, "inside");
    magent_agent_free(seen.agent);
  }
  place_end(&place);
}
END_TEST

/* A tool that is added later, or to a resumed session, is there from the next turn on. */
START_TEST(functions_stay_with_the_agent_through_resets_and_resumes)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  struct seen seen = {0};
  place_begin(&place,
              "[{\"match\":\"hello\",\"text\":\"Hello.\",\"repeat\":9},{\"match\":\"*\",\"tool_call\":{\"name\":"
              "\"mine\",\"input\":{\"text\":\"t\",\"n\":1,\"list\":[]}}},"
              "{\"match\":\"*\",\"text\":\"{{tool_result}}\"}]");
  struct magent_agent *agent = agent_of(&place, "tools: []");
  expect(magent_execute(agent, "hello", NULL, &error), 0, error);
  add_tool(agent, repeat, &seen, 0);
  check_answer(agent, "t 1 []");
  expect(magent_reset_session(agent, &error), 0, error);
  check_answer(agent, "t 1 []");
  expect(magent_reset_all(agent, &error), 0, error);
  check_answer(agent, "t 1 []");
  struct magent_config *changes = magent_config_new();
  (void) magent_config_set(changes, "tools", "[{type: agent_toolset_20260401}]"); /* of a list without it */
  expect(magent_update_agent(agent, changes, 1, &error), 0, error);               /* a function makes no version */
  magent_config_free(changes);
  expect(magent_reset_session(agent, &error), 0, error);
  check_answer(agent, "t 1 []");
  magent_agent_free(agent);
  agent = agent_of(&place, "tools: []");
  expect(magent_execute(agent, "hello", NULL, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  magent_agent_free(agent);
  agent = agent_of(&place, "tools: []");
  add_tool(agent, repeat, &seen, 0);
  expect(magent_restore_ids(agent, &ids, &error), 0, error);
  check_answer(agent, "t 1 []");
  ck_assert_int_eq(seen.calls, 5);
  struct magent_tool wrong = {.size = sizeof(wrong), .name = "mine", .run = repeat};
  expect(magent_add_tool(agent, &wrong, &error), -MBP_E_EXISTS, error);
  wrong.name = "no name";
  expect(magent_add_tool(agent, &wrong, &error), -MBP_E_INVALID, error);
  wrong.name = "other";
  wrong.input_schema = "{\"type\":";
  ck_assert_int_lt(magent_add_tool(agent, &wrong, &error), 0);
  wrong.run = NULL;
  expect(magent_add_tool(agent, &wrong, &error), -MBP_E_INVALID, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Answers from outside --------------------------------------------------------------------------------------- */

static int say_always(void *ctx, const char *tool, const char *input)
{
  (void) tool;
  (void) input;
  ++*(int *) ctx;
  return MAGENT_ALWAYS;
}

#define ASKED "tools: [{type: agent_toolset_20260401, default_config: {permission_policy: {type: always_ask}}}]"
#define TWICE                                                                                                          \
  "[{\"match\":\"*\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo ran\"}}},"                         \
  "{\"match\":\"*\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo again\"}}},"                        \
  "{\"match\":\"*\",\"text\":\"{{tool_result}}\"}]"

START_TEST(a_tool_that_is_always_allowed_is_asked_for_once)
{
  struct place place;
  struct magent_error error;
  int asked = 0;
  place_begin(&place, TWICE);
  struct magent_agent *agent = agent_of(&place, ASKED);
  expect(magent_on_confirm(agent, say_always, &asked, &error), 0, error);
  check_answer(agent, "again");
  ck_assert_int_eq(asked, 1);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_question_is_answered_from_outside_and_the_turn_goes_on)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  char *answer = NULL;
  place_begin(&place, TWICE);
  struct magent_agent *agent = agent_of(&place, ASKED);
  expect(magent_execute(agent, "Do it", NULL, &error), MAGENT_REQUIRES_ACTION, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  magent_agent_free(agent); /* and another process might go on */
  agent = agent_of(&place, NULL);
  const char *id = ids.session_id;
  expect(magent_answer_confirmation(place.magent, id, "sevt_nosuch", MAGENT_ALLOW, NULL, &error), -MBP_E_NOT_FOUND,
         error);
  expect(magent_answer_confirmation(place.magent, id, NULL, MAGENT_LATER, NULL, &error), -MBP_E_INVALID, error);
  expect(magent_answer_confirmation(place.magent, id, NULL, MAGENT_ALLOW, NULL, &error), 0, error);
  expect(magent_restore_ids(agent, &ids, &error), 0, error);
  expect(magent_execute(agent, NULL, NULL, &error), MAGENT_REQUIRES_ACTION, error);
  expect(magent_answer_confirmation(place.magent, id, NULL, MAGENT_DENY, "Not today.", &error), 0, error);
  expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_ptr_nonnull(strstr(answer, "Not today."));
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_custom_tool_without_a_function_is_answered_from_outside)
{
  static const struct {
    const char *result, *answer;
    int is_error;
  } table[] = {
      {"21 degrees", "21 degrees", 0},
      {"{\"degrees\": 21}", "{\"degrees\": 21}", 0},
      {"{\"content\": [{\"type\": \"text\", \"text\": \"warm\"}]}", "warm", 0},
      {"no such place", "no such place", 1},
  };
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  place_begin(&place, ASK("weather", "{\"place\":\"here\"}"));
  for (size_t i = 0; i < COUNT(table); i++) {
    char *answer = NULL;
    struct magent_agent *agent =
        agent_of(&place, "tools: [{type: custom, name: weather, description: Tells the weather, "
                         "input_schema: {type: object}}]");
    expect(magent_execute(agent, "Do it", NULL, &error), MAGENT_REQUIRES_ACTION, error);
    expect(magent_save_ids(agent, &ids, &error), 0, error);
    expect(magent_answer_tool(place.magent, ids.session_id, NULL, table[i].result, table[i].is_error, &error), 0,
           error);
    expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
    ck_assert_str_eq(answer, table[i].answer);
    expect(magent_answer_tool(place.magent, ids.session_id, NULL, "again", 0, &error), -MBP_E_NOT_FOUND, error);
    free(answer);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

TCase *embed_tool_tests(void)
{
  TCase *t = tcase_create("tool");
  tcase_add_test(t, a_function_of_the_program_is_called_with_its_arguments);
  tcase_add_test(t, input_that_the_schema_does_not_allow_reaches_nobody);
  tcase_add_test(t, failures_and_silence_are_told_to_the_model);
  tcase_add_test(t, a_result_may_come_later_from_another_thread);
  tcase_add_test(t, a_function_may_use_the_sandbox_of_its_agent);
  tcase_add_test(t, functions_stay_with_the_agent_through_resets_and_resumes);
  tcase_add_test(t, a_tool_that_is_always_allowed_is_asked_for_once);
  tcase_add_test(t, a_question_is_answered_from_outside_and_the_turn_goes_on);
  tcase_add_test(t, a_custom_tool_without_a_function_is_answered_from_outside);
  return t;
}
