/* Tool calls that wait, as a user meets them: the question on a terminal, and `magent session answer` from anywhere. */
#include "command_check.h"
#include "../lib/run.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CUSTOM(more)                                                                                                   \
  "{\"model\":\"scripted/default\",\"compute\":\"local\",\"tools\":[{\"type\":\"custom\",\"name\":\"sum\","            \
  "\"description\":\"Adds.\",\"input_schema\":{\"type\":\"object\"}" more "}]}"
#define ASK ",\"permission_policy\":{\"type\":\"always_ask\"},\"command\":\"echo ran >>ran; echo 42\""
#define ONE "{\"tool_call\":{\"name\":\"sum\",\"input\":{\"a\":1}}}"
#define SAY "{\"text\":\"It is {{tool_result}}.\"}"

static void begin(const char *agent, const char *script)
{
  command_begin();
  command_write_file("agent.json", agent);
  command_script(script);
}

/* `magent session VERB ID MORE` */
static void check_session(const char *verb, const char *id, const char *more, int status, const char *out,
                          const char *err)
{
  mag_autofree char *line = mag_sprintf("session %s %s %s", verb, id, more);
  check(line, status, out, err);
}

static char *run_line(void)
{
  return mag_sprintf("run --agent %s go", command_path("agent.json"));
}

/* Runs to the question, and tells which session it is. */
static const char *run_to_waiting(void)
{
  mag_autofree char *line = run_line();
  check(line, 3, NULL, "magent session answer sesn_");
  return command_session();
}

static bool has_run(void)
{
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  mag_autofree char *name = mag_sprintf("state/magent/workspaces/%s/ran", id);
  return access(command_path(name), F_OK) == 0;
}

/* ---- From anywhere -------------------------------------------------------------------------------------------- */

START_TEST(without_a_terminal_it_waits_and_says_what_to_type)
{
  begin(CUSTOM(ASK), "[" ONE "," SAY "]");
  const char *id = run_to_waiting();
  check_session("answer", id, "", 0, " sum, waits for a yes or no\n  a: 1\n", NULL);
  check_session("answer", id, "--json", 0, "\"name\":\"sum\",\"waits_for\":\"confirmation\",\"input\":{\"a\":1}}",
                NULL);
  check_session("resume", id, "", 3, NULL, "waits for a yes or no");
  ck_assert(!has_run());
  check_session("answer", id, "--allow", 0, ": allow; `magent session resume", NULL);
  check_session("answer", id, "--allow", 1, NULL, "no tool call of session");
  check_session("answer", id, "", 0, "nothing waits in session", NULL);
  check_session("resume", id, "", 0, "It is 42.", NULL);
  check_session("info", id, "--json", 0, "\"turns\":1,\"steps\":2,", NULL); /* a turn lasts over its questions */
  ck_assert(has_run());
  command_end();
}
END_TEST

START_TEST(what_waits_is_shown_whole_with_the_command_that_answers)
{
  begin(CUSTOM(""), "[" ONE "," SAY "]");
  mag_autofree char *line = run_line();
  struct command command = command_run(line);
  const char *id = command_session();
  mag_autofree char *shown =
      mag_sprintf("magent: sum waits for its result:\n  a: 1\n        magent session answer %s sevt_", id);
  expect(&command, 3, NULL, shown);
  expect(&command, 3, NULL, " --result JSON\n");
  /* The line can be run as it stands. */
  const char *at = strstr(command.stderr_text.ptr, "session answer ");
  mag_autofree char *answer = mag_sprintf("%.*s 42", (int) strcspn(at, "J") - 1, at);
  check(answer, 0, ": result;", NULL);
  check_session("resume", id, "", 0, "It is 42.", NULL);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(a_no_has_a_reason)
{
  begin(CUSTOM(ASK), "[" ONE "," SAY "]");
  const char *id = run_to_waiting();
  check_session("answer", id, "--deny --message 'not on Mondays' --json", 0, "\"answer\":\"deny\"", NULL);
  check_session("resume", id, "", 0, "not on Mondays", NULL);
  ck_assert(!has_run());
  command_end();
}
END_TEST

START_TEST(a_result_may_come_from_any_process)
{
  static const struct {
    const char *argument, *in, *said;
  } results[] = {
      {"'{\"n\":3}'", "", "It is {\"n\":3}."},
      {"'plain text'", "", "It is plain text."},
      {"-", "from stdin\n", "It is from stdin."},
      {"'{\"content\":\"no\",\"is_error\":true}'", "", "no"},
  };
  for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
    begin(CUSTOM(""), "[" ONE "," SAY "]");
    const char *id = run_to_waiting();
    check_session("answer", id, "--allow", 1, NULL, "waits for its result, not for a yes");
    mag_autofree char *line = mag_sprintf("session answer %s --result %s", id, results[i].argument);
    struct command command = command_run_with(line, results[i].in);
    expect(&command, 0, ": result;", NULL);
    command_done(&command);
    check_session("resume", id, "", 0, results[i].said, NULL);
    command_end();
  }
}
END_TEST

START_TEST(wrong_answers_are_refused)
{
  begin(CUSTOM(""), "[{\"steps\":[" ONE "," ONE "]}," SAY "]");
  const char *id = run_to_waiting();
  check_session("answer", id, "--result 1", 1, NULL, "2 tool calls wait: say which of sevt_");
  check_session("answer", id, "sevt_none --result 1", 1, NULL, "has no open tool call sevt_none");
  check_session("answer", id, "--result '{\"content\":[{\"type\":\"video\"}]}'", 1, NULL,
                "must be of type text or image");
  check_session("answer", id, "--allow --deny", 2, NULL, "only one of --allow");
  check_session("answer", id, "--allow --message x", 2, NULL, "--message for --deny");
  check_session("answer", id, "sevt_x", 2, NULL, "--allow, --deny or --result is needed");
  check("session answer", 2, NULL, "the id of a session is needed");
  check("session answer sesn_none --allow", 1, NULL, "sesn_none");
  /* One after the other; twice is an error; a no is an answer to a call that wants a result, too. */
  mag_autofree char *list = mag_sprintf("session answer %s --json", id);
  struct command command = command_run(list);
  char first[64], second[64];
  ck_assert_int_eq(sscanf(command.stdout_text.ptr, "{\"event_id\":\"%63[^\"]", first), 1);
  ck_assert_int_eq(sscanf(strchr(command.stdout_text.ptr, '\n'), "\n{\"event_id\":\"%63[^\"]", second), 1);
  command_done(&command);
  mag_autofree char *one = mag_sprintf("%s --result 1", first), *two = mag_sprintf("%s --deny --message never", second);
  check_session("answer", id, one, 0, NULL, NULL);
  check_session("answer", id, one, 1, NULL, "has been answered already");
  check_session("resume", id, "", 3, NULL, second);
  check_session("answer", id, one, 1, NULL, "has been answered already");
  check_session("answer", id, two, 0, NULL, NULL);
  check_session("resume", id, "", 0, NULL, NULL);
  check_session("answer", id, one, 1, NULL, NULL);
  command_end();
}
END_TEST

START_TEST(yes_answers_ask_and_never_a_deny)
{
  mag_autofree char *line = NULL;
  begin(CUSTOM(ASK), "[" ONE "," SAY "]");
  line = mag_sprintf("run --yes --agent %s go", command_path("agent.json"));
  check(line, 0, "It is 42.", NULL);
  ck_assert(has_run());
  command_end();
  begin(CUSTOM(",\"command\":\"echo ran >>ran\",\"permission_policy\":{\"type\":\"always_deny\"}"),
        "[" ONE "," SAY "]");
  free(line);
  line = mag_sprintf("run --yes --agent %s go", command_path("agent.json"));
  check(line, 0, "The policy of this agent does not allow sum.", NULL);
  ck_assert(!has_run());
  command_end();
}
END_TEST

/* ---- On a terminal -------------------------------------------------------------------------------------------- */

static struct command start_on_terminal(void)
{
  mag_autofree char *line = run_line();
  return command_start(line, true);
}

static void type(struct command *command, const char *text)
{
  ck_assert_int_eq(write(command->out, text, strlen(text)), (ssize_t) strlen(text));
}

#define PROMPT "[y]es, [n]o, [a]lways in this session, or why not, in words: "

START_TEST(the_question_shows_the_whole_call_and_takes_an_answer)
{
  static const struct {
    const char *typed, *said;
    bool ran;
  } answers[] = {{"maybe\ny\n", "It is 42.", true},
                 {"n\n", "The user did not allow this.", false},
                 {"use bc instead\n", "The user did not allow this: use bc instead", false}};
  for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
    begin(CUSTOM(ASK), "[" ONE "," SAY "]");
    struct command command = start_on_terminal();
    command_await(&command, PROMPT);
    ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "May sum run?\r\n  a: 1\r\n"));
    type(&command, answers[i].typed);
    command_finish(&command);
    expect(&command, 0, answers[i].said, NULL);
    command_done(&command);
    ck_assert_int_eq(has_run(), answers[i].ran);
    command_end();
  }
}
END_TEST

START_TEST(always_is_asked_once)
{
  begin(CUSTOM(ASK), "[" ONE "," ONE "," ONE "," SAY "]");
  struct command command = start_on_terminal();
  command_await(&command, PROMPT);
  type(&command, "a\n");
  command_finish(&command);
  expect(&command, 0, "It is 42.", NULL);
  const char *question = strstr(command.stdout_text.ptr, "May sum run?");
  ck_assert_ptr_nonnull(question);
  ck_assert_ptr_null(strstr(question + 1, "May sum run?"));
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(ctrl_c_and_the_end_of_input_leave_it_waiting)
{
  static const char *const keys[] = {"\003", "\004"};
  for (size_t i = 0; i < 2; i++) {
    begin(CUSTOM(ASK), "[{\"steps\":[" ONE "," ONE "]}," SAY "]");
    struct command command = start_on_terminal();
    command_await(&command, PROMPT);
    type(&command, keys[i]);
    command_finish(&command); /* the second call is not asked about */
    expect(&command, 3, "magent session answer", NULL);
    command_done(&command);
    ck_assert(!has_run());
    check_session("answer", command_session(), "", 0, "sum, waits for a yes or no", NULL);
    command_end();
  }
}
END_TEST

START_TEST(an_answer_from_elsewhere_ends_the_question)
{
  begin(CUSTOM(ASK), "[" ONE "," SAY "]");
  struct command command = start_on_terminal();
  command_await(&command, PROMPT);
  check_session("answer", command_session(), "--allow", 0, NULL, NULL);
  command_finish(&command);
  expect(&command, 0, "It is 42.", NULL);
  command_done(&command);
  ck_assert(has_run());
  command_end();
}
END_TEST

START_TEST(a_call_cannot_hide_what_it_does)
{
  begin(CUSTOM(ASK),
        "[{\"tool_call\":{\"name\":\"sum\",\"input\":{\"command\":\"ls\\u001b[2K\\r\\u202egpj.sh\\u200b\\n[y]es\","
        "\"x\\u0007\":[\"\\u009b1m\"]}}}," SAY "]");
  struct command command = start_on_terminal();
  command_await(&command, PROMPT);
  const char *question = strstr(command.stdout_text.ptr, "May sum run?");
  ck_assert_msg(strstr(question, "  command: \r\n    | ls\\u001b[2K\\u000d\\u202egpj.sh\\u200b\r\n    | [y]es\r\n"),
                "%s", question);
  ck_assert_ptr_nonnull(strstr(question, "  x\\u0007: [\"\\u009b1m\"]\r\n"));
  type(&command, "n\n");
  command_finish(&command);
  command_done(&command);
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("answers");
  TCase *t = tcase_create("answers");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, without_a_terminal_it_waits_and_says_what_to_type);
  tcase_add_test(t, what_waits_is_shown_whole_with_the_command_that_answers);
  tcase_add_test(t, a_no_has_a_reason);
  tcase_add_test(t, a_result_may_come_from_any_process);
  tcase_add_test(t, wrong_answers_are_refused);
  tcase_add_test(t, yes_answers_ask_and_never_a_deny);
  tcase_add_test(t, the_question_shows_the_whole_call_and_takes_an_answer);
  tcase_add_test(t, always_is_asked_once);
  tcase_add_test(t, ctrl_c_and_the_end_of_input_leave_it_waiting);
  tcase_add_test(t, an_answer_from_elsewhere_ends_the_question);
  tcase_add_test(t, a_call_cannot_hide_what_it_does);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
