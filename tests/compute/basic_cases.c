/* Lifecycle, commands, files. */
#include "cases.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <poll.h>
#include <stdio.h>

/* Behaviour 22. */
START_TEST(output_codes_and_signals_come_back)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  rig_sh(&rig, "a", "echo out; echo err >&2; exit 3", NULL, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert(outcome.started && outcome.orderly);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_EXITED);
  ck_assert_int_eq(outcome.result.exit_code, 3);
  ck_assert(out_is(&outcome, 1, "out\n") && out_is(&outcome, 2, "err\n"));
  outcome_done(&outcome);
  rig_sh(&rig, "a", "kill -USR1 $$", NULL, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_SIGNALED);
  ck_assert_int_eq(outcome.result.signal, 10);
  ck_assert_int_eq(outcome.result.exit_code, 138);
  outcome_done(&outcome);
  struct run_options merge = {.flags = MBP_EXEC_MERGE};
  rig_sh(&rig, "a", "echo a; echo b >&2; echo c; echo d > /dev/stderr; cat", &merge, &outcome);
  ck_assert(out_is(&outcome, 1, "a\nb\nc\nd\n") && outcome.out[2].len == 0); /* stdin is empty */
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(what_cannot_start_is_told)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  const char *absent[] = {"no-such-program", NULL}, *directory[] = {"/usr", NULL}, *good[] = {"true", NULL};
  rig_run(&rig, "a", absent, NULL, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_NOT_STARTED);
  ck_assert(outcome.message[0] && !outcome.started);
  outcome_done(&outcome);
  rig_run(&rig, "a", directory, NULL, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_NOT_STARTED);
  outcome_done(&outcome);
  struct run_options nowhere = {.cwd = "/nowhere"};
  rig_run(&rig, "a", good, &nowhere, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_NOT_STARTED);
  ck_assert_msg(strstr(outcome.message, "directory"), "%s", outcome.message);
  outcome_done(&outcome);
  const char *empty[] = {NULL};
  rig_run(&rig, "a", empty, NULL, &outcome);
  ck_assert_int_eq(outcome.r, -MBP_E_INVALID);
  outcome_done(&outcome);
  ck_assert_int_eq(rig_code(&rig, "a", "exit 0"), 0);
  finish(&rig);
}
END_TEST

START_TEST(the_environment_is_clean_and_as_asked_for)
{
  struct rig rig;
  struct outcome outcome;
  const struct mbp_pair sandbox[] = {{{"FIRST", 5}, {"1", 1}}, {{"SECOND", 6}, {"two words", 9}}};
  const struct mbp_pair command[] = {{{"SECOND", 6}, {"other", 5}}, {{"THIRD", 5}, {"", 0}}};
  struct box_options box = {.env = sandbox, .n_env = 2};
  ck_assert_int_eq(setenv("MAGENT_TEST_SECRET", "hunter2-secret", 1), 0);
  if (!begin(&rig, _i, &box))
    return;
  struct run_options options = {.env = command, .n_env = 2};
  rig_sh(&rig, "a", "env | grep -v ^TMPDIR=/ | sort | cut -d= -f1 | tr '\\n' ' '; echo $FIRST $SECOND", &options,
         &outcome);
  mag_buf_add_char(&outcome.out[1], 0);
  ck_assert_str_eq(outcome.out[1].ptr, "FIRST HOME LANG PATH PWD SECOND TERM THIRD 1 other\n");
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(a_command_gets_its_stdin_and_its_end)
{
  struct rig rig;
  struct background cat;
  struct mbp_error err = MAG_ERROR_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options options = {.flags = MBP_EXEC_STDIN, .key = "cat"};
  rig_start(&cat, &rig, "a", "read x; echo got $x; wc -c", &options);
  rig_wait_started(&cat);
  ck_assert_int_eq(rig_write(&rig, "a", "cat", mbp_str("hello\n"), 0, 5000, &err), 0);
  mag_autobuf big = MAG_BUF_INIT;
  ck_assert_int_eq(mag_buf_reserve(&big, 300000), 0);
  for (int i = 0; i < 300000; i++)
    mag_buf_add_char(&big, 'x');
  ck_assert_int_eq(rig_write(&rig, "a", "cat", mag_buf_str(&big), MBP_STDIN_EOF, 5000, &err), 0);
  rig_join(&cat);
  ck_assert(out_is(&cat.outcome, 1, "got hello\n300000\n"));
  outcome_done(&cat.outcome);
  ck_assert_int_eq(rig_write(&rig, "a", "cat", mbp_str("x"), 0, 5000, &err), -MBP_E_LOST);
  finish(&rig);
}
END_TEST

START_TEST(writing_to_a_slow_process_waits_and_can_be_cancelled)
{
  struct rig rig;
  struct background slow;
  struct mbp_error err = MAG_ERROR_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options options = {.flags = MBP_EXEC_STDIN, .key = "slow"};
  rig_start(&slow, &rig, "a", "exec sleep 60", &options);
  rig_wait_started(&slow);
  mag_autobuf big = MAG_BUF_INIT;
  ck_assert_int_eq(mag_buf_reserve(&big, 300000), 0);
  for (int i = 0; i < 300000; i++)
    mag_buf_add_char(&big, 'x');
  ck_assert_int_lt(rig_write(&rig, "a", "slow", mag_buf_str(&big), 0, 200, &err), 0);
  /* The signal passes although the pipe is full. */
  ck_assert_int_eq(rig_signal(&rig, "a", "slow", MBP_SIG_KILL, 0), 0);
  rig_join(&slow);
  ck_assert_int_eq(slow.outcome.result.signal, MBP_SIG_KILL);
  outcome_done(&slow.outcome);
  finish(&rig);
}
END_TEST

START_TEST(output_is_whole_and_beyond_the_limit_counted)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  rig_sh(&rig, "a", "head -c 5000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait", NULL, &outcome);
  ck_assert(outcome.orderly && outcome.result.dropped == 0);
  ck_assert_uint_eq(outcome.out[1].len, 5000000);
  ck_assert_uint_eq(outcome.out[2].len, 3000000);
  outcome_done(&outcome);
  struct run_options limited = {.limit = 1000};
  rig_sh(&rig, "a", "head -c 5000000 /dev/zero; echo end >&2", &limited, &outcome);
  ck_assert_int_eq(outcome.result.exit_code, 0);
  ck_assert_uint_eq(outcome.out[1].len + outcome.out[2].len, 1000);
  ck_assert_int_eq(outcome.result.dropped, 5000004 - 1000);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(files_go_in_and_out)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_file_info info = {0};
  mag_autobuf content = MAG_BUF_INIT;
  mag_autobuf big = MAG_BUF_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_int_eq(mag_buf_reserve(&big, 700000), 0);
  for (int i = 0; i < 700000; i++)
    mag_buf_add_char(&big, (char) (i * 7));
  ck_assert_msg(rig_put(&rig, "a", "deep/er/file", mag_buf_str(&big), 0750, &err) == 0, "%s", err.message);
  ck_assert_msg(rig_get(&rig, "a", "deep/er/file", 0, &content, &info, &err) == 0, "%s", err.message);
  ck_assert(content.len == big.len && memcmp(content.ptr, big.ptr, big.len) == 0);
  ck_assert(info.length == (int64_t) big.len && info.mode == 0750);
  const char *absolute = rig_text(&rig, "a", "printf %s \"$PWD/deep/er/file\"");
  char path[512];
  (void) snprintf(path, sizeof(path), "%s", absolute);
  ck_assert_int_eq(rig_get(&rig, "a", path, (int64_t) big.len, &content, &info, &err), 0);
  ck_assert_int_eq(rig_get(&rig, "a", path, (int64_t) big.len - 1, &content, &info, &err), -MBP_E_LIMIT);
  ck_assert_int_eq(rig_put(&rig, "a", "empty", mbp_str(""), 0644, &err), 0);
  ck_assert_int_eq(rig_get(&rig, "a", "empty", 10, &content, &info, &err), 0);
  ck_assert_uint_eq(content.len, 0);
  ck_assert_int_eq(rig_get(&rig, "a", "absent", 10, &content, &info, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(rig_get(&rig, "a", "deep", 10, &content, &info, &err), -MBP_E_INVALID);
  ck_assert_int_eq(rig_put(&rig, "a", "deep", mbp_str("x"), 0644, &err), -MBP_E_INVALID);
  rig_text(&rig, "a", "mkfifo fifo; ln -s empty link");
  ck_assert_int_eq(rig_get(&rig, "a", "fifo", 10, &content, &info, &err), -MBP_E_INVALID);
  /* A link is replaced, not followed. */
  ck_assert_int_eq(rig_put(&rig, "a", "link", mbp_str("new"), 0644, &err), 0);
  ck_assert_str_eq(rig_text(&rig, "a", "test ! -L link && cat link && test ! -s empty && ls -A | tr '\\n' ' '"),
                   "newdeep empty fifo link ");
  finish(&rig);
}
END_TEST

/* Behaviours 16, 21. */
START_TEST(a_key_names_one_sandbox)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_int_eq(rig_try_create(&rig, "a", NULL, &info, &err), 0);
  ck_assert_uint_eq(info.existed, 1);
  ck_assert_int_eq(rig_try_create(&rig, "b", NULL, &info, &err), 0);
  ck_assert_uint_eq(info.existed, 0);
  ck_assert(info.limits.len > 0 && info.helper.len > 0 && info.working_dir.len > 0);
  ck_assert_int_eq(rig_try_create(&rig, "NOT/A KEY", NULL, &info, &err), -MBP_E_INVALID);
  ck_assert_uint_eq(rig_state(&rig, "b"), MBP_SANDBOX_RUNNING);
  rig_destroy(&rig, "b");
  rig_destroy(&rig, "b");
  ck_assert_uint_eq(rig_state(&rig, "b"), MBP_SANDBOX_STOPPED);
  rig_sh(&rig, "b", "true", NULL, &outcome);
  ck_assert_int_lt(outcome.r, 0);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(networks_that_are_not_enforced_are_refused)
{
  static const uint32_t all[] = {MBP_NET_NONE, MBP_NET_LIMITED, MBP_NET_UNRESTRICTED, MBP_NET_HOST,
                                 MBP_NET_NONE | MBP_NET_HOST};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  if (!begin(&rig, _i, NULL))
    return;
  for (size_t i = 0; i < MAG_COUNT(all); i++) {
    struct box_options options = {.network = all[i]};
    bool stated = all[i] != (MBP_NET_NONE | MBP_NET_HOST) && (rig.info->networks & all[i]);
    int r = rig_try_create(&rig, "net", &options, &info, &err);
    ck_assert_msg(r == (stated ? 0 : -MBP_E_UNSUPPORTED), "network %u: %d %s", all[i], r, err.message);
    ck_assert(stated || strstr(err.message, "network"));
    rig_destroy(&rig, "net");
  }
  finish(&rig);
}
END_TEST

START_TEST(a_sandbox_ends_after_its_lifetime)
{
  struct rig rig;
  struct box_options options = {.lifetime_ms = 300 + providers[_i].start_ms};
  if (!begin(&rig, _i, &options))
    return;
  ck_assert_int_eq(rig_code(&rig, "a", "true"), 0);
  int64_t until = mag_clock_monotonic_ms() + options.lifetime_ms + 10000;
  while (rig_state(&rig, "a") == MBP_SANDBOX_RUNNING && mag_clock_monotonic_ms() < until)
    (void) poll(NULL, 0, 10);
  ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_STOPPED);
  finish(&rig);
}
END_TEST

void add_basic_cases(Suite *suite)
{
  TCase *tcase = tcase_create("basic");
  int n = (int) n_providers;
  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, output_codes_and_signals_come_back, 0, n);
  tcase_add_loop_test(tcase, what_cannot_start_is_told, 0, n);
  tcase_add_loop_test(tcase, the_environment_is_clean_and_as_asked_for, 0, n);
  tcase_add_loop_test(tcase, a_command_gets_its_stdin_and_its_end, 0, n);
  tcase_add_loop_test(tcase, writing_to_a_slow_process_waits_and_can_be_cancelled, 0, n);
  tcase_add_loop_test(tcase, output_is_whole_and_beyond_the_limit_counted, 0, n);
  tcase_add_loop_test(tcase, files_go_in_and_out, 0, n);
  tcase_add_loop_test(tcase, a_key_names_one_sandbox, 0, n);
  tcase_add_loop_test(tcase, networks_that_are_not_enforced_are_refused, 0, n);
  tcase_add_loop_test(tcase, a_sandbox_ends_after_its_lifetime, 0, n);
  suite_add_tcase(suite, tcase);
}
