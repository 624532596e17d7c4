/* What others say, and terminals and pipes that get it. */
#include "command_check.h"
#include "../lib/run.h"
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

START_TEST(what_a_model_says_does_not_drive_the_terminal)
{
  command_begin();
  command_script("[{\"text\":\"a\\u001b]0;title\\u0007b\\u009b2Jc\\u001b[2Jd\\u007fe\\tf\\u20ac\",\"chunk\":1}]");
  struct command command = command_start("run --tools none --title t hello", true);
  command_finish(&command);
  ck_assert_int_eq(command.status, 0);
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "a]0;titleb2Jc[2Jde\tf\u20ac"));
  command_done(&command);
  /* To a file or a pipe it goes as it is. */
  struct command piped = command_run("run --tools none hello");
  expect(&piped, 0, "a\033]0;title", NULL);
  command_done(&piped);
  command_end();
}
END_TEST

/* No byte 0x9b but inside of a character that is none of C1. */
static void check_no_c1(const struct command *command)
{
  const char *text = command->stdout_text.ptr;
  for (const char *c = text; (c = strchr(c, '\x9b')); c++)
    ck_assert_msg(c > text && c[-1] != '\xc2', "a control came: %s", text);
}

START_TEST(a_control_in_two_pieces_does_not_drive_the_terminal)
{
  if (!rig_compute())
    return;
  command_begin();
  /* Cut in the middle; with something between that is left out; and a character that only begins alike. */
  command_script("[" CALLS(
      "printf 'a\\\\302'; sleep 0.4; printf '\\\\2332Jb\\\\n'; printf 'c\\\\302\\\\302\\\\233\\\\2332Jd\\\\n';"
      "printf 'e\\\\302\\\\033\\\\2332Jf\\\\n'; printf 'g\\\\302'; sleep 0.4; printf '\\\\251h\\\\n'") ",{\"text\":"
                                                                                                       "\"ok\"}]");
  mag_autofree char *run = mag_sprintf("run --compute %s --title t go", rig_compute());
  struct command command = command_start(run, true);
  command_finish(&command);
  ck_assert_int_eq(command.status, 0);
  check_no_c1(&command);
  ck_assert_msg(strstr(command.stdout_text.ptr, "a2Jb"), "%s", command.stdout_text.ptr);
  ck_assert_msg(strstr(command.stdout_text.ptr, "g\u00a9h"), "%s", command.stdout_text.ptr);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(errors_do_not_drive_the_terminal)
{
  command_begin();
  command_script("[{\"error\":{\"code\":\"billing\",\"message\":\"no\\u009b2J money\\u001b[2J\"}}]");
  struct command command = command_start("run --tools none hello", true);
  command_finish(&command);
  ck_assert_int_eq(command.status, 1);
  check_no_c1(&command);
  ck_assert_msg(strstr(command.stdout_text.ptr, "magent: no 2J money [2J"), "%s", command.stdout_text.ptr);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(names_of_tools_and_titles_do_not_drive_the_terminal)
{
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"b\\u001b[2Jad\",\"input\":{\"command\":\"x\\u001b[2J\"}}},{\"text\":\"ok\"}]");
  struct command command = command_start("run --tools none --title '\033[2Jtitle' hello", true);
  command_finish(&command);
  ck_assert_int_eq(command.status, 0);
  ck_assert_msg(!strstr(command.stdout_text.ptr, "\033[2J"), "%s", command.stdout_text.ptr);
  command_done(&command);
  command = command_start("session list", true);
  command_finish(&command);
  ck_assert_msg(!strstr(command.stdout_text.ptr, "\033[2J"), "%s", command.stdout_text.ptr);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(a_closed_pipe_is_an_error_and_no_signal)
{
  command_begin();
  command_script("[{\"steps\":[{\"delay_ms\":300},{\"text\":\"one two three\",\"chunk\":1}]}]");
  struct command command = command_start("run --tools none hello", false);
  (void) close(command.out);
  command.out = -1;
  command_finish(&command);
  expect(&command, 1, NULL, "stdout could not be written");
  command_done(&command);
  /* The turn itself was not lost. */
  check("session list", 0, "idle", NULL);
  command_end();
}
END_TEST

START_TEST(without_stdin_and_stdout_nothing_is_printed_into_other_files)
{
  command_begin();
  command_script("[{\"text\":\"hello\"}]");
  command_without_streams(true);
  check("run --tools none hello", 1, NULL, "stdout could not be written");
  check("run --tools none -", 2, NULL, "the prompt");
  check("session list", 1, NULL, "stdout could not be written");
  command_without_streams(false);
  check("session list", 0, "idle", NULL);
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("cli terminal");
  TCase *t = tcase_create("terminal");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, what_a_model_says_does_not_drive_the_terminal);
  tcase_add_test(t, a_control_in_two_pieces_does_not_drive_the_terminal);
  tcase_add_test(t, errors_do_not_drive_the_terminal);
  tcase_add_test(t, names_of_tools_and_titles_do_not_drive_the_terminal);
  tcase_add_test(t, a_closed_pipe_is_an_error_and_no_signal);
  tcase_add_test(t, without_stdin_and_stdout_nothing_is_printed_into_other_files);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
