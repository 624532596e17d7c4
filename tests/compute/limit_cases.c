/* What eats memory, processes, disk. */
#include "cases.h"

#include "base/cleanup.h"
#include "host/process.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What limit groups can do on this machine. */
static uint32_t enforced(void)
{
  struct mbp_group_spec spec = {
      .size = MBP_SIZE(struct mbp_group_spec, reserved), .name = "probe", .memory_bytes = 64 << 20, .pids = 10};
  struct mbp_group_state state = {.size = MBP_SIZE(struct mbp_group_state, how)};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_group *group = NULL;
  ck_assert_int_eq(mag_process_table.group_new(&spec, &group, &err), 0);
  (void) mag_process_table.group_state(group, &state);
  mag_process_table.group_free(group);
  return state.enforced;
}

static bool can(int i, uint32_t bit, const char *what)
{
  if (providers[i].engine || (enforced() & bit)) /* an engine makes groups of its own */
    return true;
  (void) fprintf(stderr, "compute_test: SKIPPED %s: this machine lets us make no such group\n", what);
  return false;
}

/* Behaviour 28. */
START_TEST(a_memory_hog_is_killed_and_the_cause_told)
{
  struct rig rig;
  struct outcome outcome;
  struct box_options options = {.memory_bytes = 96 << 20};
  if (!can(_i, 1, "memory limit") || !begin(&rig, _i, &options))
    return;
  rig_sh(&rig, "a", "echo before; exec sh -c 'x=$(head -c 400000000 /dev/zero | tr \"\\0\" x); echo $x'", NULL,
         &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert_msg(outcome.result.reason == MBP_EXIT_MEMORY, "reason %u code %d", outcome.result.reason,
                outcome.result.exit_code);
  ck_assert(out_is(&outcome, 1, "before\n"));
  ck_assert_msg(strstr(outcome.message, "memory limit of 96 MiB"), "%s", outcome.message);
  outcome_done(&outcome);
  rig_sh(&rig, "a", "kill -9 $$", NULL, &outcome); /* not every 9 is the memory's */
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_SIGNALED);
  outcome_done(&outcome);
  ck_assert_int_eq(rig_code(&rig, "a", "exit 5"), 5);
  finish(&rig);
}
END_TEST

START_TEST(limits_that_nothing_can_work_with_are_refused_by_name)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  if (!begin(&rig, _i, NULL))
    return;
  static const struct {
    struct box_options options;
    const char *says;
  } cases[] = {
      {{.memory_bytes = 1024}, "a memory limit of 1024 bytes is too small for a sandbox: 32M is the least"},
      {{.memory_bytes = (32 << 20) - 1}, "32M is the least"},
      {{.pids = 15}, "a limit of 15 processes is too small for a sandbox: 16 is the least"},
      {{.cpu_millis = 9}, "0.009 of a processor is too little for a sandbox: 0.010 is the least"},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    ck_assert_int_eq(rig_try_create(&rig, "r", &cases[i].options, &info, &err), -MBP_E_INVALID);
    ck_assert_msg(strstr(err.message, cases[i].says), "%s", err.message);
  }
  if (can(_i, 3, "limits")) { /* and with the least of them it works */
    struct box_options least = {.memory_bytes = 32 << 20, .pids = 16};
    rig_create(&rig, "b", &least);
    ck_assert_str_eq(rig_text(&rig, "b", "echo on"), "on\n");
    rig_destroy(&rig, "b");
  }
  finish(&rig);
}
END_TEST

/* Without a group only a sandbox with a user namespace has a count of its own, which root is not held to. */
static bool can_limit_processes(int i)
{
  return (strcmp(providers[i].name, "bubblewrap") == 0 && geteuid() != 0) || can(i, 2, "process limit");
}

START_TEST(a_fork_bomb_is_contained)
{
  struct rig rig;
  struct outcome outcome;
  struct box_options options = {.pids = 40};
  if (!can_limit_processes(_i) || !begin(&rig, _i, &options))
    return;
  struct run_options hard = {.hard_ms = 1500, .limit = 10000};
  rig_sh(&rig, "a", "bomb94567() { bomb94567 | bomb94567 & }; bomb94567; sleep 94.567", &hard, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  outcome_done(&outcome);
  if (rig.info->isolation == MBP_ISOLATION_NONE) { /* a bomb may take the supervisor's last process */
    rig_destroy(&rig, "a");
    rig_create(&rig, "a", &options);
  }
  int code = -1;
  for (int i = 0; i < 50 && code != 7; i++, (void) poll(NULL, 0, 20)) {
    rig_sh(&rig, "a", "exit 7", NULL, &outcome);
    code = outcome.result.exit_code;
    outcome_done(&outcome);
  }
  ck_assert_int_eq(code, 7);
  rig_destroy(&rig, "a");
  ck_assert(host_gone("94.567", 5000) && host_gone("bomb94567", 2000));
  rig_close(&rig);
}
END_TEST

/* As on a machine without cgroups; false, having said so, where the provider cannot work here. An engine makes groups
 * of its own, whatever we can. */
static bool begin_without_groups(struct rig *rig, int i)
{
  if (providers[i].engine)
    return false;
  rig_open_without_groups(rig, &providers[i]);
  if (!rig->why_not[0])
    return true;
  (void) fprintf(stderr, "compute_test: SKIPPED for %s: %s\n", providers[i].name, rig->why_not);
  rig_close(rig);
  return false;
}

START_TEST(without_groups_a_limit_is_watched_over_or_refused)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  if (!begin_without_groups(&rig, _i))
    return;
  ck_assert_msg(strstr(rig.remark, "Delegate=yes magent ..."), "%s", rig.remark);
  ck_assert_int_eq(rig_try_create(&rig, "r", &(struct box_options){.cpu_millis = 500}, &info, &err),
                   -MBP_E_UNSUPPORTED);
  ck_assert_msg(strstr(err.message, "processor time") && strstr(err.message, "Delegate=yes"), "%s", err.message);
  ck_assert_uint_eq(rig_state(&rig, "r"), MBP_SANDBOX_STOPPED);
  struct box_options options = {.memory_bytes = 96 << 20, .pids = 40};
  ck_assert_int_eq(rig_try_create(&rig, "a", &options, &info, &err), 0);
  ck_assert_msg(strstr(info.limits.ptr, "memory 96 MiB (watchdog, rlimit), 40 processes ("), "%s", info.limits.ptr);
#ifndef MAGENT_SANITIZED
  static const char hog[] = "x=$(head -c %d /dev/zero | tr '\\0' x); test ${#x} = %d";
  char script[128];
  (void) snprintf(script, sizeof(script), hog, 4000000, 4000000);
  ck_assert_int_eq(rig_code(&rig, "a", script), 0);
  (void) snprintf(script, sizeof(script), hog, 200000000, 200000000);
  ck_assert_int_ne(rig_code(&rig, "a", script), 0);
#endif
  finish(&rig);
}
END_TEST

START_TEST(a_refused_limit_of_the_configuration_is_told_too)
{
  struct provider limited = providers[_i];
  struct rig rig;
  if (limited.engine)
    return;
  limited.config = "{\"helper\":\"%HELPER%\",\"cpu\":500}";
  rig_open_without_groups(&rig, &limited);
  ck_assert_msg(strstr(rig.why_not, "cannot limit processor time on this machine"), "%s", rig.why_not);
  rig_close(&rig);
}
END_TEST

/* Six times 30 MiB, together at the end however slow the machine; the command ends like the first of them. */
#define HOGS                                                                                                           \
  "echo before; pids=; for i in 1 2 3 4 5 6; do "                                                                      \
  "sh -c 'x=$(head -c 15000000 /dev/zero | tr \"\\0\" x); y=$x; sleep 23.234' & pids=\"$pids $!\"; done; "             \
  "while sleep 0.05; do for p in $pids; do case $(cat /proc/$p/stat 2>/dev/null) in *') Z '* | '') "                   \
  "wait $p; exit $? ;; esac; done; done"

START_TEST(without_groups_a_hog_of_many_processes_is_killed_and_the_cause_told)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options hard = {.hard_ms = 40000};
  if (!begin_without_groups(&rig, _i))
    return;
  rig_create(&rig, "a", &(struct box_options){.memory_bytes = 96 << 20});
  rig_sh(&rig, "a", HOGS, &hard, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert_msg(outcome.result.reason == MBP_EXIT_MEMORY, "reason %u code %d: %s", outcome.result.reason,
                outcome.result.exit_code, outcome.message);
  ck_assert(out_is(&outcome, 1, "before\n"));
  ck_assert_str_eq(outcome.message, "killed: memory limit of 96 MiB");
  outcome_done(&outcome);
  rig_sh(&rig, "a", "kill -9 $$", NULL, &outcome); /* not every 9 is the memory's */
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_SIGNALED);
  ck_assert_str_eq(outcome.message, "");
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(without_groups_a_shell_survives_its_commands_hunger)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options hard = {.hard_ms = 40000};
  if (!begin_without_groups(&rig, _i))
    return;
  rig_create(&rig, "a", &(struct box_options){.memory_bytes = 96 << 20});
  /* The subshell is the command: it goes whole, its parent lives. */
  rig_sh(&rig, "a", "( " HOGS " ); echo $?; echo alive; exit 3", &hard, &outcome);
  ck_assert_msg(out_is(&outcome, 1, "before\n137\nalive\n"), "%.*s", (int) outcome.out[1].len, outcome.out[1].ptr);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_EXITED);
  ck_assert_int_eq(outcome.result.exit_code, 3);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(without_groups_too_many_processes_end_the_command)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options hard = {.hard_ms = 40000};
  if (!begin_without_groups(&rig, _i))
    return;
  rig_create(&rig, "a", &(struct box_options){.pids = 40});
  if (rig.info->isolation == MBP_ISOLATION_NONE || geteuid() == 0) { /* else the kernel refuses the 41st */
    rig_sh(&rig, "a", "for i in $(seq 60); do sleep 92.345 & done; wait", &hard, &outcome);
    ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_SIGNALED);
    ck_assert_str_eq(outcome.message, "killed: limit of 40 processes and threads");
    outcome_done(&outcome);
    ck_assert(host_gone("92.345", 5000));
  }
  /* A bomb of a thousand: nothing but the watchdog holds it, and an endless one would take the machine along if it did
   * not. */
  rig_sh(&rig, "a", "b() { if [ $1 -gt 0 ]; then b $(($1-1)) & b $(($1-1)) & fi; sleep 93.456; }; b 9", &hard,
         &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert(!outcome.result.dropped);
  if (rig.info->isolation == MBP_ISOLATION_NONE || geteuid() == 0)
    ck_assert_msg(outcome.result.reason == MBP_EXIT_SIGNALED, "reason %u", outcome.result.reason);
  outcome_done(&outcome);
  rig_destroy(&rig, "a");
  ck_assert(host_gone("93.456", 5000));
  rig_close(&rig);
}
END_TEST

START_TEST(a_full_disk_is_an_error_of_the_writer)
{
  struct rig rig;
  struct box_options options = {.disk_bytes = 8 << 20};
  if (!begin_isolated(&rig, _i, &options))
    return;
  ck_assert_int_ne(rig_code(&rig, "a", "head -c 20000000 /dev/zero > /tmp/big"), 0);
  ck_assert_msg(strstr(rig_last_output, "No space"), "%s", rig_last_output);
  ck_assert_int_ne(rig_code(&rig, "a", "head -c 200000000 /dev/zero > /dev/shm/big"), 0);
  ck_assert_str_eq(rig_text(&rig, "a", "rm /tmp/big && echo x > /tmp/small && cat /tmp/small"), "x\n");
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(rig_code(&rig, "a", "head -c 20000000 /dev/zero > /tmp/big"), 1);
  char block[65536] = "";
  ck_assert_int_eq(rig_put(&rig, "a", "/tmp/more", mbp_str_n(block, sizeof(block)), 0644, &err), -MBP_E_NO_SPACE);
  finish(&rig);
}
END_TEST

START_TEST(endless_output_is_contained)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  struct run_options options = {.limit = 100000, .hard_ms = 500};
  rig_sh(&rig, "a", "yes & yes >&2", &options, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_HARD_TIMEOUT);
  ck_assert_uint_eq(outcome.out[1].len + outcome.out[2].len, 100000);
  ck_assert_int_gt(outcome.result.dropped, 1000000);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

void add_limit_cases(Suite *suite)
{
  TCase *tcase = tcase_create("limits");
  int n = (int) n_providers;
  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, a_memory_hog_is_killed_and_the_cause_told, 0, n);
  tcase_add_loop_test(tcase, limits_that_nothing_can_work_with_are_refused_by_name, 0, n);
  tcase_add_loop_test(tcase, a_fork_bomb_is_contained, 0, n);
  tcase_add_loop_test(tcase, without_groups_a_limit_is_watched_over_or_refused, 0, n);
  tcase_add_loop_test(tcase, a_refused_limit_of_the_configuration_is_told_too, 0, n);
  tcase_add_loop_test(tcase, without_groups_a_hog_of_many_processes_is_killed_and_the_cause_told, 0, n);
  tcase_add_loop_test(tcase, without_groups_a_shell_survives_its_commands_hunger, 0, n);
  tcase_add_loop_test(tcase, without_groups_too_many_processes_end_the_command, 0, n);
  tcase_add_loop_test(tcase, a_full_disk_is_an_error_of_the_writer, 0, n);
  tcase_add_loop_test(tcase, endless_output_is_contained, 0, n);
  suite_add_tcase(suite, tcase);
}
