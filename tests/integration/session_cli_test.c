/* `magent session` with real processes: one that runs, and others that look at it, speak to it and stop it. */
#include "command_check.h"
#include "../lib/run.h"
#include "rig.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* "session VERB ID REST" */
static void session(const char *verb, const char *id, const char *rest, int status, const char *out, const char *err)
{
  mag_autofree char *line = mag_sprintf("session %s %s %s", verb, id, rest);
  check(line, status, out, err);
}

/* What `line` prints, without its last newline. In a static buffer. */
static const char *output_of(const char *line)
{
  static char text[65536];
  struct command command = command_run(line);
  expect(&command, 0, NULL, NULL);
  (void) snprintf(text, sizeof(text), "%s", command.stdout_text.ptr);
  text[strcspn(text, "\n")] = 0;
  command_done(&command);
  return text;
}

static char *new_session(const char *arguments)
{
  mag_autofree char *line = mag_sprintf("run --tools none %s hello", arguments);
  check(line, 0, NULL, NULL);
  return mag_str_dup(mbp_str(command_session()));
}

static size_t count(const char *text, const char *what)
{
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, what)); at++)
    n++;
  return n;
}

/* ---- Looking and changing ------------------------------------------------------------------------------------- */

START_TEST(each_command_does_what_its_help_says)
{
  command_begin();
  command_script("[{\"text\":\"one\"},{\"text\":\"two\"}]");
  mag_autofree char *id = new_session("--title first");
  session("info", id, "", 0, "first", NULL);
  session("info", id, "--json", 0, "\"status\":\"idle\"", NULL);
  session("info", id, "--json", 0, "\"cost\":null", NULL); /* no price table here */
  session("title", id, "'a new one'", 0, NULL, NULL);
  session("title", id, "'a newer one' --json", 0, "\"title\":\"a newer one\"", NULL);
  check("session list", 0, "a newer one", NULL);
  session("update", id, "--budget-steps 7 --budget-time 5m --json", 0, "\"budget\":{\"steps\":7,\"time_ms\":300000}",
          NULL);
  session("update", id, "--budget-steps none --json", 0, "\"budget\":{\"time_ms\":300000}", NULL);
  session("update", id, "--budget-cost 1.25", 1, NULL, "no known price");
  session("update", id, "", 2, NULL, "what shall be changed");
  session("update", id, "--budget-steps -1", 2, NULL, "--budget-steps -1: not a number from 1 on");
  mag_autofree char *fork_line = mag_sprintf("session fork %s --title 'the other'", id);
  mag_autofree char *fork = mag_str_dup(mbp_str(output_of(fork_line)));
  session("info", fork, "--json", 0, id, NULL);
  session("fork", id, "--at sevt_none", 1, NULL, "has no event sevt_none");
  mag_autofree char *go_on = mag_sprintf("run --session %s more", fork);
  check(go_on, 0, "two", NULL);
  mag_autofree char *file = mag_sprintf("%s %s", id, command_path("ids"));
  session("save", file, "", 0, NULL, NULL);
  mag_autofree char *restore = mag_sprintf("session restore %s", command_path("ids"));
  ck_assert_str_eq(output_of(restore), id);
  session("archive", id, "", 0, NULL, NULL);
  check("session list --status idle --json", 0, fork, NULL);
  check("session list --status terminated", 0, id, NULL);
  mag_autofree char *again = mag_sprintf("run --session %s more", id);
  check(again, 1, NULL, "is archived; a fork of it can go on");
  session("send", id, "hello", 1, NULL, "is archived");
  session("interrupt", fork, "", 0, NULL, "does not run: there is nothing to interrupt");
  session("send", fork, "hello", 0, NULL, "`magent session resume");
  session("rm", fork, "--json", 0, "\"removed\":true", NULL);
  session("rm", id, "", 0, NULL, NULL);
  check(restore, 1, NULL, "no session");
  session("info", id, "", 1, NULL, "no session");
  session("tail", id, "", 1, NULL, "no session");
  check("session intrrupt x", 2, NULL, "did you mean \"interrupt\"?");
  check("session title x", 2, NULL, "magent: session title: the id of a session and a text are needed");
  check("session info x --yes", 2, NULL, "magent: session info: unknown option --yes");
  check("session list --created-after tomorrow", 2, NULL, "neither a time such as");
  check("session list --created-after 2026-02-31", 2, NULL, "neither a time such as");
  command_end();
}
END_TEST

START_TEST(several_sessions_are_archived_and_removed_at_once)
{
  char ids[3][64];
  command_begin();
  for (size_t i = 0; i < MAG_COUNT(ids); i++) {
    check("run --tools none --model scripted/scripted-echo hello", 0, "hello", NULL);
    (void) snprintf(ids[i], sizeof(ids[i]), "%s", command_session());
  }
  mag_autofree char *archive = mag_sprintf("session archive %s sesn_none %s --json", ids[0], ids[1]);
  struct command command = command_run(archive);
  expect(&command, 1, ids[1], "magent: no session \"sesn_none\"; `magent session list` shows those that exist\n");
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, ids[0]));
  command_done(&command);
  check("session list --status terminated --limit 1", 0, "terminated", NULL);
  mag_autofree char *rm = mag_sprintf("session rm %s sesn_none %s %s", ids[0], ids[1], ids[2]);
  check(rm, 1, NULL, "magent: no session \"sesn_none\"; ");
  check("session list --archived", 0, "no sessions yet", NULL);
  check("session rm a --older-than 1d", 2, NULL, "either ids or --older-than");
  command_end();
}
END_TEST

START_TEST(lists_have_filters_and_pages)
{
  command_begin();
  command_script("[{\"text\":\"one\"}]");
  mag_autofree char *first = new_session("--title a"), *second = new_session("--title b"), *third = new_session("");
  struct command command = command_run("session list --limit 2 --json");
  expect(&command, 0, third, "--page ");
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, second));
  ck_assert_ptr_null(strstr(command.stdout_text.ptr, first));
  char *page = strstr(command.stderr_text.ptr, "--page ") + 7;
  page[strcspn(page, "\n")] = 0;
  mag_autofree char *next = mag_sprintf("session list --limit 2 --json --page %s", page);
  ck_assert_ptr_nonnull(strstr(output_of(next), first));
  command_done(&command);
  check("session list --created-after 1h", 0, first, NULL);
  check("session list --created-before 1h", 0, "no such sessions", NULL);
  check("session list --created-after 2020-01-01 --created-before 2999-01-01T00:00Z", 0, third, NULL);
  check("session list --agent nobody", 0, "no such sessions", NULL);
  check("session list --status running", 0, "no such sessions", NULL);
  check("session list --status interrupted", 0, "no such sessions", NULL);
  check("session list --status interruptd", 2, NULL, "there are idle, running, interrupted and terminated");
  command_end();
}
END_TEST

START_TEST(a_budget_ends_with_4_and_says_how_to_go_on)
{
  command_begin();
  command_script("[{\"text\":\"one\"},{\"text\":\"two\"}]");
  mag_autofree char *id = new_session("");
  session("update", id, "--budget-steps 1", 0, NULL, NULL);
  mag_autofree char *more = mag_sprintf("run --session %s more", id);
  check(more, 4, NULL, "the session's budget of 1 model request is used up (1 used)");
  session("resume", id, "", 4, NULL, "magent session update");
  session("info", id, "", 0, "budget_reached", NULL);
  session("update", id, "--budget-steps 2", 0, NULL, NULL);
  session("resume", id, "", 0, "two", NULL);
  command_end();
}
END_TEST

/* ---- Two processes -------------------------------------------------------------------------------------------- */

static const char *compute(void)
{
  return rig_has_plugin("compute-local") ? "local" : rig_has_bubblewrap() ? "bubblewrap" : NULL;
}

/* A run whose tool waits until the file "go" is in the workspace. *ret_id: caller frees. */
static struct command start_waiting(const char *script, char **ret_id)
{
  command_script(script);
  mag_autofree char *line = mag_sprintf("run --compute %s --workspace %s begin", compute(), command_path("work"));
  struct command command = command_start(line, false);
  command_await(&command, "begun");
  *ret_id = mag_str_dup(mbp_str(command_session()));
  return command;
}

#define WAIT                                                                                                           \
  "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo begun; while [ ! -e go ]; do sleep 0.05; done\"}}}"

static void check_reach(const char *verb, const char *turns, const char *last)
{
  char *id = NULL;
  command_begin();
  struct command command = start_waiting("[" WAIT ",{\"text\":\"after the tool\"},{\"text\":\"after the turn\"}]", &id);
  session("info", id, "", 0, "running", NULL);
  session(verb, id, "'something else'", 0, NULL, NULL);
  command_write_file("work/go", "");
  command_finish(&command);
  expect(&command, 0, last, NULL);
  mag_autofree char *shown = mag_sprintf("session show %s --json", id);
  struct command log = command_run(shown);
  expect(&log, 0, "something else", NULL);
  ck_assert_msg(!strstr(log.stdout_text.ptr, "\"processed_at\":null"), "%s", log.stdout_text.ptr);
  session("info", id, "--json", 0, turns, NULL);
  command_done(&log);
  command_done(&command);
  free(id);
  command_end();
}

START_TEST(a_steer_from_another_process_stays_in_the_turn)
{
  if (compute())
    check_reach("steer", "\"turns\":1", "after the tool");
}
END_TEST

START_TEST(a_message_sent_from_another_process_follows_the_turn)
{
  if (compute())
    check_reach("send", "\"turns\":2", "after the turn");
}
END_TEST

START_TEST(an_interrupt_from_another_process_ends_a_tool)
{
  char *id = NULL;
  if (!compute())
    return;
  command_begin();
  struct command command = start_waiting("[" WAIT ",{\"text\":\"going on\"}]", &id);
  session("interrupt", id, "--json", 0, "\"running\":true", NULL);
  command_finish(&command);
  expect(&command, 130, NULL, "interrupted; go on with --session");
  mag_autofree char *more = mag_sprintf("run --session %s more", id);
  check(more, 0, "going on", NULL);
  command_done(&command);
  free(id);
  command_end();
}
END_TEST

START_TEST(an_interrupt_from_another_process_ends_an_answer)
{
  command_begin();
  command_script("[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":25000}]}]");
  struct command command = command_start("run --tools none hello", false);
  command_await(&command, "begun");
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  int64_t begin = mag_clock_monotonic_ms();
  session("interrupt", id, "", 0, NULL, NULL);
  command_finish(&command);
  ck_assert_int_lt(mag_clock_monotonic_ms() - begin, 15000);
  expect(&command, 130, NULL, "interrupted");
  session("info", id, "--json", 0, "\"interrupted\":true", NULL);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(a_running_session_is_tailed_until_it_is_idle)
{
  char *id = NULL;
  if (!compute())
    return;
  command_begin();
  struct command command = start_waiting("[" WAIT ",{\"text\":\"the end\"},{\"text\":\"and more\"}]", &id);
  mag_autofree char *run_it = mag_sprintf("run --session %s hello", id);
  mag_autofree char *busy =
      mag_sprintf("magent: session %s is being run by another process; `magent session tail`", id);
  check(run_it, 1, NULL, busy);
  mag_autofree char *tail_line = mag_sprintf("session tail %s", id);
  mag_autofree char *follow_line = mag_sprintf("session tail %s --follow --json", id);
  struct command tail = command_start(tail_line, false), follow = command_start(follow_line, false);
  command_await(&tail, "> bash");
  command_await(&follow, "agent.tool_use");
  command_write_file("work/go", "");
  command_finish(&tail);
  expect(&tail, 0, "the end", NULL);
  command_finish(&command);
  expect(&command, 0, "the end", NULL);
  command_await(&follow, "session.status_idle");
  check(run_it, 0, "and more", NULL);
  command_await(&follow, "and more"); /* also what a later process does */
  (void) kill(follow.pid, SIGINT);
  command_finish(&follow);
  ck_assert_uint_eq(count(follow.stdout_text.ptr, "\"type\":\"user.message\""), 2);
  struct command again = command_run(tail_line); /* idle: history only */
  expect(&again, 0, "and more", NULL);
  command_done(&again);
  command_done(&follow);
  command_done(&tail);
  command_done(&command);
  free(id);
  command_end();
}
END_TEST

/* The tool goes on in one of them, and is not run once more in the other. */
START_TEST(a_running_session_can_be_forked_but_not_archived_or_removed)
{
  char *id = NULL;
  if (!compute())
    return;
  command_begin();
  struct command command = start_waiting("[" WAIT ",{\"text\":\"It was {{tool_result}}\"}]", &id);
  mag_autofree char *busy =
      mag_sprintf("magent: session %s is being run by another process; `magent session tail`", id);
  session("archive", id, "", 1, NULL, busy);
  session("rm", id, "", 1, NULL, busy);
  mag_autofree char *fork_it = mag_sprintf("session fork %s", id);
  mag_autofree char *fork = mag_str_dup(mbp_str(output_of(fork_it)));
  session("resume", fork, "", 0, "Whether it had an effect is unknown", NULL);
  session("info", id, "", 0, "running", NULL);
  command_write_file("work/go", "");
  command_finish(&command);
  expect(&command, 0, "It was begun", NULL);
  session("rm", id, "", 0, NULL, NULL);
  session("show", fork, "", 0, "begin", NULL); /* what it shares stays */
  command_done(&command);
  free(id);
  command_end();
}
END_TEST

START_TEST(show_and_tail_print_results_on_stdout)
{
  if (!compute())
    return;
  command_begin();
  command_script("[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"seq -f line%g 22\"}}},"
                 "{\"tool_call\":{\"name\":\"read\",\"input\":{\"file_path\":\"/none\"}}},{\"text\":\"the end\"}]");
  mag_autofree char *run = mag_sprintf("run --compute %s --workspace %s begin", compute(), command_path("work"));
  check(run, 0, "the end\n", "  | line22\n");
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  static const char *const verbs[] = {"show", "tail"};
  for (size_t i = 0; i < 2; i++) {
    mag_autofree char *line = mag_sprintf("session %s %s", verbs[i], id);
    struct command shown = command_run(line);
    expect(&shown, 0, "# user: begin\n> bash: seq -f line%g 22\n  | line1\n  | line2\n", NULL);
    expect(&shown, 0, "  | line20\n  | ... 2 more lines\n> read: /none\n! failed\n  | ", NULL);
    ck_assert_ptr_null(strstr(shown.stdout_text.ptr, "line21"));
    ck_assert_ptr_nonnull(strstr(shown.stdout_text.ptr, "the end\n"));
    ck_assert_str_eq(shown.stderr_text.ptr, "");
    command_done(&shown);
  }
  command_end();
}
END_TEST

START_TEST(a_tail_ends_when_the_runner_dies)
{
  char *id = NULL;
  if (!compute())
    return;
  command_begin();
  struct command command = start_waiting("[" WAIT ",{\"text\":\"the end\"}]", &id);
  mag_autofree char *line = mag_sprintf("session tail %s", id);
  struct command tail = command_start(line, false);
  command_await(&tail, "> bash");
  (void) kill(command.pid, SIGKILL);
  command_finish(&command);
  command_finish(&tail);
  expect(&tail, 0, NULL, "nobody runs this session any more");
  session("info", id, "", 0, "idle, interrupted", NULL);
  check("session list --status interrupted --json", 0, id, NULL);
  check("session list --status terminated", 0, "no such sessions", NULL);
  command_write_file("work/go", "");
  command_done(&tail);
  command_done(&command);
  free(id);
  command_end();
}
END_TEST

#define RUNNERS 8

START_TEST(of_many_processes_one_runs_and_the_log_stays_whole)
{
  command_begin();
  command_script(
      "[{\"text\":\"first\"},{\"steps\":[{\"delay_ms\":300},{\"text\":\"next\"}]},{\"text\":\"next\"},{\"text\":"
      "\"next\"},{\"text\":\"next\"},{\"text\":\"next\"},{\"text\":\"next\"},{\"text\":\"next\"},{\"text\":"
      "\"next\"},{\"text\":\"next\"}]");
  mag_autofree char *id = new_session("");
  mag_autofree char *line = mag_sprintf("run --session %s more", id);
  struct command runners[RUNNERS];
  size_t done = 0;
  for (size_t i = 0; i < RUNNERS; i++)
    runners[i] = command_start(line, false);
  for (size_t i = 0; i < RUNNERS; i++) {
    command_finish(&runners[i]);
    if (runners[i].status == 0)
      done++;
    else
      expect(&runners[i], 1, NULL, "another process");
    command_done(&runners[i]);
  }
  ck_assert_uint_ge(done, 1);
  mag_autofree char *show = mag_sprintf("session show %s --json", id);
  struct command log = command_run(show);
  expect(&log, 0, NULL, NULL);
  ck_assert_uint_eq(count(log.stdout_text.ptr, "\"type\":\"user.message\""), 1 + done);
  ck_assert_uint_eq(count(log.stdout_text.ptr, "\"type\":\"session.status_running\""), 1 + done);
  ck_assert_uint_eq(count(log.stdout_text.ptr, "\"type\":\"session.status_idle\""), 1 + done);
  ck_assert_uint_eq(count(log.stdout_text.ptr, "\"type\":\"agent.message\""), 1 + done);
  /* Never two at once: they take turns. */
  bool running = false;
  for (char *at = log.stdout_text.ptr; *at; at += strcspn(at, "\n") + 1) {
    bool starts = strncmp(strstr(at, "\"type\":") + 8, "session.status_running", 22) == 0;
    bool ends = strncmp(strstr(at, "\"type\":") + 8, "session.status_idle", 19) == 0;
    ck_assert(!(starts && running) && !(ends && !running));
    running = starts || (running && !ends);
  }
  command_done(&log);
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("session command");
  TCase *t = tcase_create("session");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, each_command_does_what_its_help_says);
  tcase_add_test(t, several_sessions_are_archived_and_removed_at_once);
  tcase_add_test(t, lists_have_filters_and_pages);
  tcase_add_test(t, a_budget_ends_with_4_and_says_how_to_go_on);
  tcase_add_test(t, a_steer_from_another_process_stays_in_the_turn);
  tcase_add_test(t, a_message_sent_from_another_process_follows_the_turn);
  tcase_add_test(t, an_interrupt_from_another_process_ends_a_tool);
  tcase_add_test(t, an_interrupt_from_another_process_ends_an_answer);
  tcase_add_test(t, a_running_session_is_tailed_until_it_is_idle);
  tcase_add_test(t, a_running_session_can_be_forked_but_not_archived_or_removed);
  tcase_add_test(t, show_and_tail_print_results_on_stdout);
  tcase_add_test(t, a_tail_ends_when_the_runner_dies);
  tcase_add_test(t, of_many_processes_one_runs_and_the_log_stays_whole);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
