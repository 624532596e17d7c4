/* Turns: whole answers, events by callback and by pull, questions, interrupts, configurations. */
#include "embed_rig.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_BASH(command)                                                                                             \
  "{\"text\":\"I look.\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"" command "\"}}}"
static const char two_steps[] = CALL_BASH("echo from the tool") "\n{\"text\":\"It said: {{tool_result}}\",\"chunk\":3}";
static const char slow[] = "[{\"match\":\"*wait*\",\"steps\":[{\"text\":\"Wait\"},{\"delay_ms\":600000}]},"
                           "{\"match\":\"*\",\"text\":\"Here.\",\"repeat\":100}]";

/* ---- Whole answers ---------------------------------------------------------------------------------------------- */

/* behaviours 66 and 127: what is said goes to the backend, and its answer comes back, in one session for all turns */
START_TEST(execute_gives_what_the_agent_said_last)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, two_steps);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "What does it say?", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "It said: from the tool");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_turn_that_fails_says_why_and_can_be_gone_on_with)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, "[{\"error\":{\"code\":\"auth\",\"message\":\"no such key\",\"times\":1},\"text\":\"Now.\"}]");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "Hello", &answer, &error), MAGENT_FAILED, error);
  ck_assert_int_eq(error.code, MBP_E_AUTH);
  ck_assert_ptr_nonnull(strstr(error.message, "no such key"));
  ck_assert_str_eq(answer, "");
  free(answer);
  expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Now.");
  free(answer);
  expect(magent_execute(agent, "", NULL, &error), -MBP_E_INVALID, error);
  expect(magent_execute(agent, "\xff", NULL, NULL), -MBP_E_INVALID, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Events ----------------------------------------------------------------------------------------------------- */

/* What a reader was shown. */
struct seen {
  char pieces[256], message[256], output[256], types[1024];
  int ending, n, stop_after;
  pthread_t thread;
};

static void add(char *to, size_t cap, const char *text)
{
  strncat(to, text, cap - strlen(to) - 1);
}

static int see(void *ctx, const struct magent_event *event)
{
  struct seen *seen = ctx;
  seen->thread = pthread_self();
  if (event->kind == MAGENT_TEXT)
    add(seen->pieces, sizeof(seen->pieces), event->text);
  if (event->kind == MAGENT_TOOL_OUTPUT) {
    ck_assert_str_eq(event->tool, "bash");
    add(seen->output, sizeof(seen->output), event->text);
  }
  if (event->kind == MAGENT_EVENT) {
    ck_assert_uint_gt(strlen(event->id), 5);
    ck_assert_uint_eq(strlen(event->json), event->json_len);
    ck_assert_ptr_nonnull(strstr(event->json, event->id));
    add(seen->types, sizeof(seen->types), event->type);
    add(seen->types, sizeof(seen->types), " ");
    if (strcmp(event->type, "agent.message") == 0)
      add(seen->message, sizeof(seen->message), event->text);
    if (strcmp(event->type, "agent.tool_use") == 0)
      ck_assert_str_eq(event->tool, "bash");
    if (strcmp(event->type, "session.status_idle") == 0)
      seen->ending = event->ending;
  }
  return ++seen->n == seen->stop_after;
}

/* behaviour 1, 2, 4, 5: events have their documented types, ids and texts; behaviour 133: they are those of the log */
/* Behaviours 6, 135. */
START_TEST(pieces_add_up_to_the_message_and_events_come_in_order)
{
  struct place place;
  struct magent_error error;
  struct seen seen = {.ending = -1};
  place_begin(&place, two_steps);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_stream(agent, "What does it say?", see, &seen, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(seen.pieces, "I look.It said: from the tool");
  ck_assert_str_eq(seen.message, seen.pieces);
  ck_assert_str_eq(seen.output, "from the tool\n");
  ck_assert_str_eq(seen.types, "user.message session.status_running span.model_request_start agent.message "
                               "agent.tool_use span.model_request_end agent.tool_result span.model_request_start "
                               "agent.message span.model_request_end session.usage session.status_idle ");
  ck_assert_int_eq(seen.ending, MAGENT_END_TURN);
  ck_assert_msg(pthread_equal(seen.thread, pthread_self()), "a callback came from another thread");
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_callback_that_has_enough_interrupts_the_turn)
{
  struct place place;
  struct magent_error error;
  struct seen seen = {.stop_after = 4};
  char *answer = NULL;
  place_begin(&place, slow);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_stream(agent, "wait", see, &seen, &error), MAGENT_INTERRUPTED, error);
  ck_assert_int_eq(seen.ending, MAGENT_INTERRUPTED);
  ck_assert_uint_gt(strlen(error.message), 0);
  expect(magent_execute(agent, "And now?", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Here.");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

static int use_the_agent(void *ctx, const struct magent_event *event)
{
  struct magent_agent *agent = ctx;
  struct magent_command_result *result = NULL;
  struct magent_error error;
  if (event->kind == MAGENT_EVENT && strcmp(event->type, "agent.tool_result") == 0) {
    expect(magent_compute_execute(agent, "cat made", 0, &result, &error), 0, error);
    ck_assert_str_eq(result->output, "by the tool");
    free(result);
    expect(magent_execute(agent, "Hello", NULL, &error), -MBP_E_BUSY, error);
    expect(magent_reset_session(agent, &error), -MBP_E_BUSY, error);
  }
  return 0;
}

START_TEST(callbacks_may_use_the_agent_but_not_begin_another_turn)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, CALL_BASH("printf 'by the tool' > made") "\n{\"text\":\"Done.\"}");
  for (const char *const *compute = computes(); *compute; compute++) {
    char yaml[64];
    (void) snprintf(yaml, sizeof(yaml), "compute: %s", *compute);
    struct magent_agent *agent = agent_of(&place, yaml);
    expect(magent_stream(agent, "Do it", use_the_agent, agent, &error), MAGENT_END_TURN, error);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

/* ---- Pulled ----------------------------------------------------------------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
  return poll(&poll_fd, 1, timeout_ms) == 1;
}

START_TEST(a_pulled_turn_is_readable_exactly_while_there_is_something_to_take)
{
  struct place place;
  struct magent_error error;
  struct magent_stream *stream = NULL;
  const struct magent_event *event;
  struct seen seen = {.ending = -1};
  int r;
  place_begin(&place, slow);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_stream_open(agent, "wait for it", &stream, &error), 0, error);
  int fd = magent_stream_fd(stream);
  while (seen.pieces[0] == 0) {
    ck_assert(readable(fd, 30000));
    while ((r = magent_stream_next(stream, 0, &event, &error)) == 1)
      see(&seen, event);
    expect(r, -MBP_E_TIMEOUT, error);
  }
  ck_assert(!readable(fd, 0));
  expect(magent_stream_next(stream, 1, &event, &error), -MBP_E_TIMEOUT, error);
  magent_interrupt(agent);
  while ((r = magent_stream_next(stream, 30000, &event, &error)) == 1)
    see(&seen, event);
  expect(r, 0, error);
  ck_assert(readable(fd, 0));
  expect(magent_stream_next(stream, -1, &event, &error), 0, error);
  ck_assert_int_eq(seen.ending, MAGENT_INTERRUPTED);
  expect(magent_stream_close(stream, &error), MAGENT_INTERRUPTED, error);
  ck_assert_int_eq(magent_stream_close(NULL, NULL), 0);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(closing_a_turn_early_interrupts_it_and_only_it)
{
  struct place place;
  struct magent_error error;
  struct magent_stream *stream = NULL;
  place_begin(&place, slow);
  struct magent_agent *agent = agent_of(&place, NULL);
  for (int i = 0; i < 20; i++) {
    expect(magent_stream_open(agent, i % 2 ? "wait" : "go", &stream, &error), 0, error);
    int r = magent_stream_close(stream, &error);
    ck_assert_msg(r == MAGENT_INTERRUPTED || (r == MAGENT_END_TURN && i % 2 == 0), "%d: %s", r, error.message);
    expect(magent_execute(agent, "And now?", NULL, &error), MAGENT_END_TURN, error);
  }
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_reader_that_takes_nothing_loses_tool_output_only)
{
  struct place place;
  struct magent_error error;
  struct magent_stream *stream = NULL;
  const struct magent_event *event;
  size_t output = 0;
  bool told = false, idle = false;
  place_begin(&place, CALL_BASH("yes | head -c 3000000") "\n{\"text\":\"Done.\"}");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_stream_open(agent, "Print much", &stream, &error), 0, error);
  ck_assert(readable(magent_stream_fd(stream), 30000));
  struct magent_command_result *result = NULL; /* takes its time without taking events */
  expect(magent_compute_execute(agent, "sleep 1", 0, &result, &error), 0, error);
  free(result);
  while (magent_stream_next(stream, 60000, &event, &error) == 1) {
    if (event->kind == MAGENT_TOOL_OUTPUT)
      output += event->text_len;
    told |= event->kind == MAGENT_PROGRESS && strstr(event->text, "not taken in time");
    idle |= event->kind == MAGENT_EVENT && strcmp(event->type, "session.status_idle") == 0;
  }
  ck_assert(idle);
  ck_assert_msg(output > 0 && (told || output >= 3000000), "%zu bytes came, and nothing was said of others", output);
  expect(magent_stream_close(stream, &error), MAGENT_END_TURN, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Questions -------------------------------------------------------------------------------------------------- */

struct answers {
  int answer, asked;
  pthread_t thread;
};

static int confirm(void *ctx, const char *tool, const char *input)
{
  struct answers *answers = ctx;
  answers->asked++;
  answers->thread = pthread_self();
  ck_assert_str_eq(tool, "bash");
  ck_assert_ptr_nonnull(strstr(input, "echo from the tool"));
  return answers->answer;
}

/* behaviour 122: a tool that needs a confirmation is asked for, and nothing is allowed without it */
START_TEST(tools_are_asked_for_in_the_thread_that_runs_the_turn)
{
  static const struct {
    int answer, ending;
    const char *text;
  } table[] = {
      {MAGENT_ALLOW, MAGENT_END_TURN, "It said: from the tool"},
      {MAGENT_DENY, MAGENT_END_TURN, "It said: The user did not allow this."},
      {MAGENT_LATER, MAGENT_REQUIRES_ACTION, "I look."},
      {-1, MAGENT_REQUIRES_ACTION, "I look."},
  };
  struct place place;
  struct magent_error error;
  place_begin(&place, two_steps);
  for (size_t i = 0; i < COUNT(table); i++) {
    struct answers answers = {.answer = table[i].answer};
    char *answer = NULL;
    struct magent_agent *agent = agent_of(&place, "tools:\n  - type: agent_toolset_20260401\n"
                                                  "    default_config: {permission_policy: {type: always_ask}}\n");
    expect(magent_on_confirm(agent, confirm, &answers, &error), 0, error);
    expect(magent_execute(agent, "What does it say?", &answer, &error), table[i].ending, error);
    ck_assert_str_eq(answer, table[i].text);
    ck_assert_int_eq(answers.asked, 1);
    ck_assert(pthread_equal(answers.thread, pthread_self()));
    free(answer);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

/* ---- Interrupts ------------------------------------------------------------------------------------------------- */

static int interrupt_at_text(void *ctx, const struct magent_event *event)
{
  if (event->kind == MAGENT_TEXT)
    magent_interrupt(ctx);
  return 0;
}

/* behaviour 125: interrupting ends the turn, and without one the next; the session stays usable */
START_TEST(an_interrupt_before_the_turn_holds_for_it)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, slow);
  struct magent_agent *agent = agent_of(&place, NULL);
  magent_interrupt(agent);
  magent_interrupt(agent);
  expect(magent_execute(agent, "wait", NULL, &error), MAGENT_INTERRUPTED, error);
  expect(magent_stream(agent, "wait", interrupt_at_text, agent, &error), MAGENT_INTERRUPTED, error);
  expect(magent_execute(agent, "go", NULL, &error), MAGENT_END_TURN, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

static void *interrupt_soon(void *ctx)
{
  (void) usleep(20000);
  magent_interrupt(ctx);
  return NULL;
}

START_TEST(another_thread_interrupts_a_request_and_a_running_tool)
{
  struct place place;
  struct magent_error error;
  pthread_t thread;
  place_begin(&place, "[{\"match\":\"*tool*\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"sleep 600\"}}},"
                      "{\"match\":\"*\",\"steps\":[{\"delay_ms\":600000}]}]");
  struct magent_agent *agent = agent_of(&place, NULL);
  for (int i = 0; i < 2; i++) {
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_soon, agent), 0);
    expect(magent_execute(agent, i ? "a tool" : "a request", NULL, &error), MAGENT_INTERRUPTED, error);
    (void) pthread_join(thread, NULL);
  }
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

static int fd_of_handler = -1;

static void on_alarm(int number)
{
  (void) number;
  (void) !write(fd_of_handler, "", 1);
}

START_TEST(a_signal_handler_interrupts_by_write)
{
  struct place place;
  struct magent_error error;
  struct sigaction action = {.sa_handler = on_alarm}, before;
  place_begin(&place, slow);
  struct magent_agent *agent = agent_of(&place, NULL);
  fd_of_handler = magent_interrupt_fd(agent, &error);
  ck_assert_int_ge(fd_of_handler, 0);
  ck_assert_int_eq(magent_interrupt_fd(agent, &error), fd_of_handler);
  ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0);
  (void) ualarm(20000, 0);
  expect(magent_execute(agent, "wait", NULL, &error), MAGENT_INTERRUPTED, error);
  ck_assert_int_eq(sigaction(SIGALRM, &before, NULL), 0);
  expect(magent_execute(agent, "go", NULL, &error), MAGENT_END_TURN, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Configurations --------------------------------------------------------------------------------------------- */

/* behaviours 62 to 64: defaults, own values, all forms of a value */
START_TEST(a_mistake_in_a_row_of_sets_is_told_by_the_agent)
{
  struct place place;
  struct magent_error error;
  struct magent_agent *agent = NULL;
  struct magent_config *config = magent_config_new();
  place_begin(&place, NULL);
  ck_assert_int_eq(magent_config_set(config, "system", "Be {concise}: [always]"), 0);
  ck_assert_int_eq(magent_config_set(config, "compute.memory", "512M"), 0);
  ck_assert_int_eq(magent_config_set(config, "compute.cpu", "2"), 0);
  ck_assert_int_eq(magent_config_set(config, "tools", "[{type: agent_toolset_20260401}]"), 0);
  ck_assert_int_eq(magent_config_set(config, "metadata", "{team: red}"), 0);
  expect(magent_agent_new(place.magent, config, &agent, &error), 0, error);
  magent_agent_free(agent);
  agent = NULL;
  ck_assert_int_eq(magent_config_set(config, "sistem", "x"), -MBP_E_INVALID);
  ck_assert_int_eq(magent_config_set(config, NULL, "x"), -MBP_E_INVALID);
  ck_assert_int_eq(magent_config_set(config, "compute.memory", "plenty"), -MBP_E_INVALID);
  ck_assert_int_eq(magent_config_set(config, "model", "scripted/scripted"), 0);
  expect(magent_agent_new(place.magent, config, &agent, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_null(agent);
  ck_assert_ptr_nonnull(strstr(error.message, "sistem"));
  ck_assert_ptr_nonnull(strstr(error.message, "system"));
  magent_config_free(config);
  magent_config_free(NULL);
  place_end(&place);
}
END_TEST

START_TEST(what_is_said_later_wins_key_by_key)
{
  struct place place;
  struct magent_error error;
  struct magent_agent *agent = NULL;
  char *answer = NULL;
  struct magent_config *config = magent_config_new();
  place_begin(&place, NULL);
  expect(magent_config_parse(config, "model: nosuch/model\ntools: []\nsystem: One.\n", &error), 0, error);
  expect(magent_config_parse(config, "{\"system\": \"Two.\"}", &error), 0, error);
  expect(magent_agent_new(place.magent, config, &agent, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_int_eq(magent_config_set(config, "model", "scripted/scripted-echo"), 0);
  expect(magent_agent_new(place.magent, config, &agent, &error), 0, error);
  expect(magent_execute(agent, "Echo", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Echo");
  free(answer);
  magent_agent_free(agent);
  ck_assert_int_eq(magent_config_set(config, "model", "nosuch/model"), 0);
  ck_assert_int_eq(magent_config_set(config, "model", NULL), 0); /* taken back: the default's */
  expect(magent_agent_new(place.magent, config, &agent, &error), 0, error);
  magent_agent_free(agent);
  expect(magent_config_parse(config, "model: [", &error), -MBP_E_INVALID, error);
  magent_config_free(config);
  place_end(&place);
}
END_TEST

START_TEST(a_file_is_loaded_and_its_mistakes_are_told_with_their_line)
{
  static const char good[] = "# an agent\nmodel: scripted/scripted-echo\ntools: []\n";
  static const char bad[] = "model: scripted/scripted-echo\ntools: []\nsistem: x\n";
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, NULL);
  struct magent_config *config = magent_config_new();
  file_write(place_path(&place, "good.yaml"), good, strlen(good));
  file_write(place_path(&place, "bad.yaml"), bad, strlen(bad));
  expect(magent_config_load(config, place_path(&place, "good.yaml"), &error), 0, error);
  struct magent_agent *agent = NULL;
  expect(magent_agent_new(place.magent, config, &agent, &error), 0, error);
  expect(magent_execute(agent, "Echo", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Echo");
  free(answer);
  magent_agent_free(agent);
  expect(magent_config_load(config, place_path(&place, "bad.yaml"), &error), -MBP_E_INVALID, error);
  ck_assert_msg(strstr(error.message, "bad.yaml:3") && strstr(error.message, "system"), "%s", error.message);
  expect(magent_config_load(config, place_path(&place, "nosuch.yaml"), &error), -MBP_E_NOT_FOUND, error);
  expect(magent_agent_new(place.magent, config, &agent, &error), -MBP_E_INVALID, error);
  magent_config_free(config);
  place_end(&place);
}
END_TEST

/* behaviour 60: what does not exist is an error that names it; behaviour 110: nothing is made at construction */
/* Behaviour 58. */
START_TEST(an_agent_that_cannot_work_is_refused_before_anything_is_made)
{
  static const struct {
    const char *yaml, *name;
    int code;
  } table[] = {
      {"model: nosuch/model", "nosuch", -MBP_E_NOT_FOUND},
      {"compute: nosuch", "nosuch", -MBP_E_NOT_FOUND},
      {"tools: [{type: nosuch_20260401}]", "nosuch", -MBP_E_NOT_FOUND},
      {"compute: local\nnetworking: none", "none", -MBP_E_UNSUPPORTED},
  };
  struct place place;
  place_begin(&place, NULL);
  for (size_t i = 0; i < COUNT(table); i++) {
    struct magent_agent *agent = NULL;
    struct magent_error error;
    struct magent_config *config = magent_config_new();
    expect(magent_config_parse(config, table[i].yaml, &error), 0, error);
    expect(magent_agent_new(place.magent, config, &agent, &error), table[i].code, error);
    ck_assert_msg(strstr(error.message, table[i].name) != NULL, "%s", error.message);
    magent_config_free(config);
  }
  magent_agent_free(agent_of(&place, NULL));
  ck_assert_int_ne(access(place_path(&place, "magent/workspaces"), F_OK), 0);
  place_end(&place);
}
END_TEST

/* A program that was built when the struct was shorter gives a smaller size: what lies behind it is not looked at. */
START_TEST(structs_of_older_programs_are_read_up_to_their_size)
{
  struct place place;
  struct magent_error error;
  struct magent *magent = NULL;
  char plugins[4096];
  place_begin(&place, NULL);
  ck_assert_ptr_nonnull(realpath("plugins-0", plugins));
  const char *const dirs[] = {plugins, NULL};
  struct magent_options options = {.size = offsetof(struct magent_options, store),
                                   .plugin_dirs = dirs,
                                   .store = (const char *) 1,
                                   .store_options = (const char *) 1};
  expect(magent_open(&options, &magent, &error), 0, error);
  struct magent_session_list *list = NULL;
  expect(magent_list_sessions(magent, NULL, &list, &error), 0, error);
  free(list);
  magent_close(magent);
  options = (struct magent_options){.size = sizeof(options), .plugin_dirs = dirs, .store = "nosuch"};
  expect(magent_open(&options, &magent, &error), 0, error);
  expect(magent_list_sessions(magent, NULL, &list, &error), -MBP_E_NOT_FOUND, error);
  magent_close(magent);
  options = (struct magent_options){.size = sizeof(options), .plugin_dirs = dirs, .store_options = "path: ["};
  expect(magent_open(&options, &magent, &error), -MBP_E_INVALID, error);
  ck_assert_str_eq(magent_version(), PACKAGE_VERSION);
  place_end(&place);
}
END_TEST

TCase *embed_run_tests(void)
{
  TCase *t = tcase_create("run");
  tcase_add_test(t, execute_gives_what_the_agent_said_last);
  tcase_add_test(t, a_turn_that_fails_says_why_and_can_be_gone_on_with);
  tcase_add_test(t, pieces_add_up_to_the_message_and_events_come_in_order);
  tcase_add_test(t, a_callback_that_has_enough_interrupts_the_turn);
  tcase_add_test(t, callbacks_may_use_the_agent_but_not_begin_another_turn);
  tcase_add_test(t, a_pulled_turn_is_readable_exactly_while_there_is_something_to_take);
  tcase_add_test(t, closing_a_turn_early_interrupts_it_and_only_it);
  tcase_add_test(t, a_reader_that_takes_nothing_loses_tool_output_only);
  tcase_add_test(t, tools_are_asked_for_in_the_thread_that_runs_the_turn);
  tcase_add_test(t, an_interrupt_before_the_turn_holds_for_it);
  tcase_add_test(t, another_thread_interrupts_a_request_and_a_running_tool);
  tcase_add_test(t, a_signal_handler_interrupts_by_write);
  tcase_add_test(t, a_mistake_in_a_row_of_sets_is_told_by_the_agent);
  tcase_add_test(t, what_is_said_later_wins_key_by_key);
  tcase_add_test(t, a_file_is_loaded_and_its_mistakes_are_told_with_their_line);
  tcase_add_test(t, structs_of_older_programs_are_read_up_to_their_size);
  tcase_add_test(t, an_agent_that_cannot_work_is_refused_before_anything_is_made);
  return t;
}
