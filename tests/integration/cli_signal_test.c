/* What the command does when it is interrupted, killed or out of time, and when a plugin crashes beneath it. */
#include "command_check.h"
#include "../lib/run.h"
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

START_TEST(a_plugin_that_crashes_when_it_is_asked_does_not_crash_a_run)
{
  command_begin();
  ck_assert_int_eq(mkdir(command_path("bad"), 0700), 0);
  mag_autofree char *module = realpath("tests/loader/.libs/zoo-crash.so", NULL);
  ck_assert_ptr_nonnull(module);
  ck_assert_int_eq(symlink(module, command_path("bad/magent-llm-crash.so")), 0);
  mag_autofree char *plugins = realpath("plugins-0", NULL);
  mag_autofree char *line = mag_sprintf("--plugin-dir %s --plugin-dir %s run --model answers-to-nobody --tools none hi",
                                        command_path("bad"), plugins);
  check(line, 1, NULL, "no plugin answers to the model 'answers-to-nobody'");
  mag_autofree char *named =
      mag_sprintf("--plugin-dir %s --plugin-dir %s run --model crash/x --tools none hi", command_path("bad"), plugins);
  check(named, 1, NULL, "crashed with SIGSEGV while being asked");
  command_end();
}
END_TEST

START_TEST(after_a_kill_in_a_tool_the_model_is_told_what_it_had_printed)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("echo half-way 4$((1+1)); sleep 20; echo end") ",{\"text\":\"Told: {{tool_result}}\"}]");
  mag_autofree char *line = mag_sprintf("run --compute %s go", rig_compute());
  struct command killed = command_start(line, false);
  command_await(&killed, "| half-way 42");
  ck_assert_int_eq(kill(killed.pid, SIGKILL), 0);
  command_finish(&killed);
  expect(&killed, 1000 + SIGKILL, NULL, NULL);
  command_done(&killed);
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  mag_autofree char *file = mag_sprintf("%s/magent/output/%s", command_path("state"), id);
  ck_assert_msg(access(file, R_OK) == 0, "%s", file);
  mag_autofree char *resume = mag_sprintf("session resume %s", id);
  check(resume, 0, "It had printed 12 bytes by then:\nhalf-way 42", NULL);
  ck_assert_int_ne(access(file, F_OK), 0);
  command_end();
}
END_TEST

START_TEST(an_interrupt_ends_the_turn_and_keeps_the_session)
{
  static const char *const scripts[] = {
      "[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":20000}]},{\"text\":\"later\"},{\"text\":\"later\"}]",
      "[" CALLS("echo begun; sleep 20") ",{\"text\":\"later\"}]",
  };
  if (!rig_compute())
    return;
  for (size_t i = 0; i < MAG_COUNT(scripts); i++) {
    command_begin();
    command_script(scripts[i]);
    mag_autofree char *run = mag_sprintf("run --compute %s go", rig_compute());
    struct command command = command_start(run, false);
    command_await(&command, i ? "| begun" : "begun");
    (void) kill(command.pid, SIGINT);
    command_finish(&command);
    expect(&command, 130, NULL, "interrupted; go on with --session");
    if (i == 1)
      expect(&command, 130, NULL, "! failed: [cancelled: the command and the shell were stopped]\n");
    command_done(&command);
    if (i == 0)
      command_script("[{\"text\":\"later\"}]");
    mag_autofree char *again = mag_sprintf("run --session %s more", command_session());
    check(again, 0, "later", NULL);
    command_end();
  }
}
END_TEST

START_TEST(an_interrupt_that_the_caller_ignores_is_ignored)
{
  command_begin();
  command_script("[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":600},{\"text\":\"and ended\"}]}]");
  command_ignores(SIGINT);
  struct command command = command_start("run --tools none go", false);
  command_await(&command, "begun");
  (void) kill(command.pid, SIGINT);
  command_finish(&command);
  expect(&command, 0, "and ended", NULL);
  command_done(&command);
  command = command_start("run --tools none go", false);
  command_await(&command, "begun");
  (void) kill(command.pid, SIGTERM);
  command_finish(&command);
  expect(&command, 130, NULL, "interrupted");
  command_done(&command);
  command_ignores(0);
  command_end();
}
END_TEST

START_TEST(a_call_that_runs_out_of_time_says_so)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo begun; sleep 20\",\"timeout_ms\":300}}},"
      "{\"text\":\"so\"}]");
  mag_autofree char *run = mag_sprintf("run --compute %s go", rig_compute());
  check(run, 0, "so", "! failed: [timed out after 300 ms: ");
  command_end();
}
END_TEST

START_TEST(a_second_interrupt_ends_the_program_at_once)
{
  if (!rig_compute())
    return;
  command_begin();
  /* A tool that does not listen. */
  command_script("[" CALLS("trap '' INT TERM; echo begun; sleep 20; sleep 20") "]");
  mag_autofree char *run = mag_sprintf("run --compute %s go", rig_compute());
  struct command command = command_start(run, false);
  command_await(&command, "begun");
  (void) kill(command.pid, SIGINT);
  (void) usleep(20000);
  (void) kill(command.pid, SIGINT);
  command_finish(&command);
  ck_assert_int_eq(command.status, 130);
  command_done(&command);
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("cli_signal");
  TCase *t = tcase_create("cli_signal");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, a_plugin_that_crashes_when_it_is_asked_does_not_crash_a_run);
  tcase_add_test(t, after_a_kill_in_a_tool_the_model_is_told_what_it_had_printed);
  tcase_add_test(t, an_interrupt_ends_the_turn_and_keeps_the_session);
  tcase_add_test(t, an_interrupt_that_the_caller_ignores_is_ignored);
  tcase_add_test(t, a_call_that_runs_out_of_time_says_so);
  tcase_add_test(t, a_second_interrupt_ends_the_program_at_once);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
