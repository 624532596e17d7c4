/* Time limits, trees, background processes, ends of threads and programs. */
#include "cases.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/call.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

START_TEST(timeouts_keep_the_output_and_kill_the_tree)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options soft = {.soft_ms = 700}; /* a slow machine has its shell by then */
  rig_sh(&rig, "a", "trap 'echo bye; exit 4' TERM; echo part; (sleep 12.345 &); sleep 60 & wait", &soft, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_SOFT_TIMEOUT);
  ck_assert(out_is(&outcome, 1, "part\nbye\n"));
  ck_assert_int_eq(outcome.result.exit_code, 4);
  outcome_done(&outcome);
  ck_assert(host_gone("12.345", 5000));
  int64_t begun = mag_clock_monotonic_ms();
  struct run_options hard = {.soft_ms = 700, .hard_ms = 900};
  rig_sh(&rig, "a",
         "trap '' TERM; echo part; (setsid sh -c 'trap \"\" TERM; sleep 23.456; sleep 23.456' &) ; "
         "while :; do sleep 1; done",
         &hard, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_HARD_TIMEOUT);
  ck_assert(out_is(&outcome, 1, "part\n") && outcome.message[0]);
  ck_assert_int_lt(mag_clock_monotonic_ms() - begun, 10000);
  outcome_done(&outcome);
  if (rig.plugin->caps & MBP_CAP_COMPUTE_KILL_TREE)
    ck_assert_int_eq(host_count("23.456"), 0); /* nothing is left when the answer comes */
  finish(&rig);
}
END_TEST

START_TEST(cancelling_kills_the_tree_and_keep_does_not)
{
  struct rig rig;
  struct background background;
  if (!begin(&rig, _i, NULL))
    return;
  rig_start(&background, &rig, "a", "setsid sleep 34.567 & setsid -f sleep 34.567; sleep 34.567", NULL);
  rig_wait_started(&background);
  ck_assert(host_there("34.567", 4));
  mag_call_cancel(atomic_load(&background.call));
  rig_join(&background);
  ck_assert(background.outcome.r < 0 || background.outcome.result.reason == MBP_EXIT_CANCELLED);
  ck_assert(host_gone("34.567", 5000));
  outcome_done(&background.outcome);

  struct run_options keep = {.flags = MBP_EXEC_KEEP, .key = "kept"};
  rig_start(&background, &rig, "a", "exec sleep 45.678", &keep);
  rig_wait_started(&background);
  mag_call_cancel(atomic_load(&background.call));
  rig_join(&background);
  (void) poll(NULL, 0, 100);
  ck_assert(host_there("45.678", 1));
  ck_assert(strstr(rig_processes(&rig, "a"), "kept:1 "));
  ck_assert_int_eq(rig_signal(&rig, "a", "kept", MBP_SIG_TERM, MBP_SIGNAL_TREE), 0);
  ck_assert(host_gone("45.678", 5000));
  outcome_done(&background.outcome);
  finish(&rig);
}
END_TEST

START_TEST(a_child_that_keeps_the_pipe_open_does_not_hold_the_answer)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  int64_t begun = mag_clock_monotonic_ms();
  rig_sh(&rig, "a", "setsid -f sleep 56.789; echo done", NULL, &outcome);
  ck_assert_int_lt(mag_clock_monotonic_ms() - begun, 2000);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_EXITED);
  ck_assert(outcome.result.flags & MBP_EXIT_F_HELD_OPEN);
  ck_assert(out_is(&outcome, 1, "done\n"));
  outcome_done(&outcome);
  /* It lives on, as it would in a shell, and ends with the sandbox. */
  ck_assert(host_there("56.789", 1));
  rig_destroy(&rig, "a");
  ck_assert(host_gone("56.789", 5000));
  rig_close(&rig);
}
END_TEST

/* Nobody but the signal knows of it: its parent has ended, and so has the command. */
START_TEST(a_tree_kill_reaches_what_an_ended_command_has_left)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options named = {.key = "leaves"};
  if (!begin(&rig, _i, NULL))
    return;
  rig_sh(&rig, "a", "(trap '' TERM; exec setsid sleep 57.891) > /dev/null 2>&1 & exit 0", &named, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_EXITED);
  outcome_done(&outcome);
  ck_assert(host_there("57.891", 1));
  ck_assert_int_eq(rig_signal(&rig, "a", "leaves", MBP_SIG_KILL, MBP_SIGNAL_TREE), 0);
  ck_assert(host_gone("57.891", 5000));
  ck_assert_int_eq(rig_signal(&rig, "a", "leaves", MBP_SIG_KILL, MBP_SIGNAL_TREE), 0);
  finish(&rig);
}
END_TEST

/* Processes that do their best to get away from under their leader. Only inside walls: they kill whatever is above. */
START_TEST(nothing_escapes_a_tree_kill)
{
  struct rig rig;
  struct outcome outcome;
  struct background other;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  if (!(rig.plugin->caps & MBP_CAP_COMPUTE_KILL_TREE)) {
    finish(&rig);
    return;
  }
  rig_bring_attack(&rig, "a");
  rig_start(&other, &rig, "a", "exec sleep 67.891", NULL); /* somebody else's, which must live on */
  rig_wait_started(&other);
  struct run_options hard = {.hard_ms = 200};
  /* They kill their own leader, which costs them their lives. */
  rig_sh(&rig, "a", "setsid -f sleep 78.912; ./attack orphan & ./attack orphan", &hard, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert(outcome.result.reason == MBP_EXIT_HARD_TIMEOUT || outcome.result.reason == MBP_EXIT_SIGNALED);
  outcome_done(&outcome);
  ck_assert(host_gone("78.912", 5000));
  ck_assert(host_gone("orphan", 5000));
  ck_assert(host_there("67.891", 1));
  /* Faster than any list of processes. */
  rig_sh(&rig, "a", "./attack run-away; sleep 60", &hard, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  outcome_done(&outcome);
  ck_assert_int_eq(host_count("run-away"), 0);
  ck_assert_int_eq(rig_code(&rig, "a", "true"), 0);
  rig_destroy(&rig, "a");
  rig_join(&other);
  outcome_done(&other.outcome);
  ck_assert(host_gone("67.891", 5000));
  rig_close(&rig);
}
END_TEST

START_TEST(background_processes_write_their_spool_and_can_be_ended)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options options = {.flags = MBP_EXEC_BACKGROUND, .key = "server", .spool = "logs/server.out"};
  rig_sh(&rig, "a", "echo up; echo oops >&2; exec sleep 89.123", &options, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_RUNNING);
  ck_assert(outcome.started && outcome.out[1].len == 0);
  outcome_done(&outcome);
  ck_assert_str_eq(rig_text(&rig, "a",
                            "for i in 1 2 3 4 5 6 7 8 9; do grep -q oops logs/server.out && break; "
                            "sleep 0.1; done; cat logs/server.out"),
                   "up\noops\n");
  ck_assert(strstr(rig_processes(&rig, "a"), "server:1 sh -c"));
  rig_sh(&rig, "a", "true", &options, &outcome);
  ck_assert_int_eq(outcome.r, -MBP_E_EXISTS);
  outcome_done(&outcome);
  ck_assert_int_eq(rig_signal(&rig, "a", "server", MBP_SIG_KILL, MBP_SIGNAL_TREE), 0);
  ck_assert(host_gone("89.123", 5000));
  for (int i = 0; i < 200 && strstr(rig_processes(&rig, "a"), "server:1"); i++)
    (void) poll(NULL, 0, 5);
  ck_assert(strstr(rig_processes(&rig, "a"), "server:0"));
  ck_assert_int_eq(rig_signal(&rig, "a", "server", MBP_SIG_TERM, 0), 0); /* has ended: no error */
  ck_assert_int_eq(rig_signal(&rig, "a", "nobody", MBP_SIG_TERM, 0), 0);
  struct run_options bad = {.flags = MBP_EXEC_BACKGROUND, .spool = "/proc/nowhere"};
  rig_sh(&rig, "a", "true", &bad, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_NOT_STARTED);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(a_spool_file_ends_at_its_limit_and_does_not_hold_the_process)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options options = {.flags = MBP_EXEC_BACKGROUND, .key = "chatty", .spool = "chatty.out", .limit = 100000};
  rig_sh(&rig, "a", "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo more > after; exec sleep 90.321",
         &options, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_RUNNING);
  outcome_done(&outcome);
  ck_assert_str_eq(rig_text(&rig, "a",
                            "while ! test -s after; do sleep 0.05; done; wc -c < chatty.out; "
                            "head -n1 chatty.out"),
                   "100000\nfirst\n");
  ck_assert_int_eq(rig_signal(&rig, "a", "chatty", MBP_SIG_KILL, MBP_SIGNAL_TREE), 0);
  ck_assert(host_gone("90.321", 5000));
  options.key = "again"; /* what is there counts */
  rig_sh(&rig, "a", "head -c 3000 /dev/zero; echo more > again", &options, &outcome);
  outcome_done(&outcome);
  ck_assert_str_eq(rig_text(&rig, "a", "while ! test -s again; do sleep 0.05; done; wc -c < chatty.out"), "100000\n");
  finish(&rig);
}
END_TEST

/* Where there are no walls a sandbox has a place of its own for temporary files. */
START_TEST(temporary_files_go_with_a_sandbox)
{
  struct rig rig;
  char place[256];
  if (!begin(&rig, _i, NULL))
    return;
  if (rig.info->isolation == MBP_ISOLATION_NONE) {
    (void) snprintf(place, sizeof(place), "%s", rig_text(&rig, "a", "printf %s \"$TMPDIR\""));
    ck_assert_msg(place[0] == '/' && access(place, W_OK) == 0, "%s", place);
    ck_assert_int_eq(rig_code(&rig, "a", "f=$(mktemp) && echo x > $f && d=$(mktemp -d) && echo x > $d/y && chmod 0 $d"),
                     0);
    rig_destroy(&rig, "a");
    ck_assert_int_ne(access(place, F_OK), 0);
    /* Also without a workspace, and where the request has a place of its own. */
    struct mbp_pair env = {mbp_str("TMPDIR"), mbp_str("/var/tmp")};
    rig_create(&rig, "b", &(struct box_options){.workspace = "", .env = &env, .n_env = 1});
    ck_assert_str_eq(rig_text(&rig, "b", "printf %s \"$TMPDIR\""), "/var/tmp");
    (void) snprintf(place, sizeof(place), "%s", rig_text(&rig, "b", "echo x > y; printf %s \"$PWD\""));
    rig_destroy(&rig, "b");
    ck_assert_int_ne(access(place, F_OK), 0);
  } else
    rig_destroy(&rig, "a");
  rig_close(&rig);
}
END_TEST

START_TEST(commands_run_side_by_side)
{
  struct rig rig;
  struct background many[12];
  if (!begin(&rig, _i, NULL))
    return;
  int64_t begun = mag_clock_monotonic_ms();
  for (size_t i = 0; i < MAG_COUNT(many); i++)
    rig_start(&many[i], &rig, "a", "sleep 0.5; echo x; exit 9", NULL);
  for (size_t i = 0; i < MAG_COUNT(many); i++) {
    rig_join(&many[i]);
    ck_assert_int_eq(many[i].outcome.r, 0);
    ck_assert_int_eq(many[i].outcome.result.exit_code, 9);
    ck_assert(out_is(&many[i].outcome, 1, "x\n"));
    outcome_done(&many[i].outcome);
  }
  ck_assert_int_lt(mag_clock_monotonic_ms() - begun, 4000);
  finish(&rig);
}
END_TEST

static void *create_in_thread(void *rig)
{
  rig_create(rig, "b", NULL);
  return NULL;
}

START_TEST(a_sandbox_outlives_the_thread_that_made_it)
{
  struct rig rig;
  pthread_t thread;
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_int_eq(pthread_create(&thread, NULL, create_in_thread, &rig), 0);
  (void) pthread_join(thread, NULL);
  (void) poll(NULL, 0, 200);
  ck_assert_int_eq(rig_code(&rig, "b", "exit 6"), 6);
  finish(&rig);
}
END_TEST

START_TEST(destroy_ends_what_runs)
{
  struct rig rig;
  struct background running;
  if (!begin(&rig, _i, NULL))
    return;
  rig_start(&running, &rig, "a", "setsid -f sleep 91.234; exec sleep 91.234", NULL);
  rig_wait_started(&running);
  rig_destroy(&rig, "a");
  rig_join(&running);
  ck_assert_int_eq(running.outcome.r, -MBP_E_LOST);
  outcome_done(&running.outcome);
  ck_assert(host_gone("91.234", 5000));
  rig_close(&rig);
}
END_TEST

/* A sandbox that outlives its process has a deadline and a key instead: see docker_cases.c. */
START_TEST(sigkill_of_the_host_leaves_nothing)
{
  int ends[2];
  if (providers[_i].engine)
    return;
  ck_assert_int_eq(pipe(ends), 0);
  pid_t host = fork();
  if (host == 0) {
    struct rig rig;
    struct outcome outcome;
    char ok = begin(&rig, _i, NULL) ? 'y' : 'n';
    struct run_options options = {.flags = MBP_EXEC_BACKGROUND, .spool = "out"};
    if (ok == 'y')
      rig_sh(&rig, "a",
             "trap '' TERM HUP INT; setsid -f sleep 92.345; for i in 1 2 3 4 5 6 7 8; do sleep 92.345 & "
             "done; wait",
             &options, &outcome);
    if (write(ends[1], &ok, 1) != 1 || write(ends[1], rig.work, sizeof(rig.work)) != sizeof(rig.work))
      _exit(1);
    for (;;)
      (void) pause();
  }
  char ok = 0, work[sizeof(((struct rig *) 0)->work)];
  ck_assert_int_eq(read(ends[0], &ok, 1), 1);
  ck_assert_int_eq(read(ends[0], work, sizeof(work)), sizeof(work));
  if (ok == 'y')
    ck_assert(host_there("92.345", 9));
  ck_assert_int_eq(kill(host, SIGKILL), 0);
  ck_assert(host_gone("92.345", 5000));
  ck_assert_int_eq(waitpid(host, NULL, 0), host);
  rig_remove(work);
  (void) close(ends[0]);
  (void) close(ends[1]);
}
END_TEST

START_TEST(a_killed_init_is_a_lost_sandbox)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  if (rig.info->isolation == MBP_ISOLATION_NONE) { /* with walls nobody inside can */
    rig_sh(&rig, "a", "setsid -f sleep 93.456; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); exec sleep 93.456", NULL,
           &outcome);
    ck_assert_int_eq(outcome.r, -MBP_E_LOST);
    outcome_done(&outcome);
    ck_assert(host_gone("93.456", 5000));
    ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_STOPPED);
  }
  finish(&rig);
}
END_TEST

void add_process_cases(Suite *suite)
{
  TCase *tcase = tcase_create("processes");
  int n = (int) n_providers;
  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, timeouts_keep_the_output_and_kill_the_tree, 0, n);
  tcase_add_loop_test(tcase, cancelling_kills_the_tree_and_keep_does_not, 0, n);
  tcase_add_loop_test(tcase, a_child_that_keeps_the_pipe_open_does_not_hold_the_answer, 0, n);
  tcase_add_loop_test(tcase, a_tree_kill_reaches_what_an_ended_command_has_left, 0, n);
  tcase_add_loop_test(tcase, nothing_escapes_a_tree_kill, 0, n);
  tcase_add_loop_test(tcase, a_spool_file_ends_at_its_limit_and_does_not_hold_the_process, 0, n);
  tcase_add_loop_test(tcase, background_processes_write_their_spool_and_can_be_ended, 0, n);
  tcase_add_loop_test(tcase, temporary_files_go_with_a_sandbox, 0, n);
  tcase_add_loop_test(tcase, commands_run_side_by_side, 0, n);
  tcase_add_loop_test(tcase, a_sandbox_outlives_the_thread_that_made_it, 0, n);
  tcase_add_loop_test(tcase, destroy_ends_what_runs, 0, n);
  tcase_add_loop_test(tcase, sigkill_of_the_host_leaves_nothing, 0, n);
  tcase_add_loop_test(tcase, a_killed_init_is_a_lost_sandbox, 0, n);
  suite_add_tcase(suite, tcase);
}
