/* magent.process/1: children of the host and their limit groups. */
#include "../lib/run.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "host/process.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const struct mbp_process_v1 *const table = &mag_process_table;
static const char *const plain_env[] = {"PATH=/usr/bin:/bin", NULL};

#define SPEC(...) {.size = MBP_SIZE(struct mbp_spawn, group), .envp = plain_env, __VA_ARGS__}

/* Runs `sh -c script` with stdout in `out`; the code. */
static int run(const char *script, struct mbp_spawn spec, char *out, size_t cap)
{
  const char *argv[] = {"sh", "-c", script, NULL};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_process *process = NULL;
  int ends[2];
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  struct mbp_fd fds[] = {{ends[1], 1}, {ends[1], 2}};
  spec.argv = argv;
  spec.fds = fds;
  spec.n_fds = 2;
  ck_assert_msg(table->spawn(&spec, &process, &err) == 0, "%s", err.message);
  (void) close(ends[1]);
  size_t used = 0;
  for (ssize_t n; used < cap - 1 && (n = read(ends[0], out + used, cap - 1 - used)) > 0;)
    used += (size_t) n;
  out[used] = 0;
  (void) close(ends[0]);
  int32_t code = -1, signal = 0;
  ck_assert_int_eq(table->wait(process, 20000, &code, &signal), 1);
  ck_assert_int_eq(table->wait(process, 0, &code, &signal), 1);
  ck_assert_int_eq(table->kill(process, SIGTERM), 0);
  table->free(process);
  return code;
}

START_TEST(exit_codes_and_signals_come_back)
{
  char out[256];
  struct mbp_spawn spec = SPEC();
  ck_assert_int_eq(run("exit 7", spec, out, sizeof(out)), 7);
  ck_assert_int_eq(run("kill -TERM $$", spec, out, sizeof(out)), 128 + SIGTERM);
  ck_assert_int_eq(run("echo hi; pwd", spec, out, sizeof(out)), 0);
  ck_assert_str_eq(out, "hi\n/\n");
}
END_TEST

START_TEST(a_child_gets_only_what_it_is_given)
{
  char out[512];
  int leak = fcntl(1, F_DUPFD, 40); /* not close-on-exec: the host program's own */
  struct mbp_spawn spec = SPEC(.cwd = "/tmp", .flags = MBP_SPAWN_SESSION);
  (void) signal(SIGUSR1, SIG_IGN);
  ck_assert_int_eq(
      run("ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; pwd; env | sort | head -3; "
          "grep -E 'SigIgn|SigBlk' /proc/self/status; test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo session",
          spec, out, sizeof(out)),
      0);
  (void) close(leak);
  (void) signal(SIGUSR1, SIG_DFL);
  ck_assert_msg(strncmp(out, "0 1 2 3 /dev/null\n/tmp\n", 23) == 0, "%s", out); /* 3 is ls's own */
  ck_assert_msg(strstr(out, "SigBlk:\t0000000000000000") && strstr(out, "SigIgn:\t0000000000000000"), "%s", out);
  ck_assert_msg(strstr(out, "session"), "%s", out);
}
END_TEST

START_TEST(descriptors_land_where_they_are_wanted)
{
  /* One that is already at its number, and one that lands on the number of another. */
  int ends[2], same;
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  same = fcntl(ends[1], F_DUPFD_CLOEXEC, 7);
  const char *argv[] = {"sh", "-c", "echo a >&7; echo b >&3", NULL};
  struct mbp_fd fds[] = {{ends[1], 3}, {same, same}, {ends[1], ends[0]}};
  struct mbp_spawn spec = SPEC(.argv = argv, .fds = fds, .n_fds = 3);
  struct mbp_process *process = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  if (same != 7)
    fds[1].child = 7;
  ck_assert_msg(table->spawn(&spec, &process, &err) == 0, "%s", err.message);
  (void) close(ends[1]);
  (void) close(same);
  char text[16] = "";
  size_t used = 0;
  for (ssize_t n; used < 4 && (n = read(ends[0], text + used, 8)) > 0;)
    used += (size_t) n;
  ck_assert_str_eq(text, "a\nb\n");
  (void) close(ends[0]);
  table->free(process);
}
END_TEST

START_TEST(a_program_that_cannot_run_says_why)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_process *process = NULL;
  const char *absent[] = {"no-such-program", NULL}, *path[] = {"/nowhere/x", NULL}, *plain[] = {"/etc/passwd", NULL},
             *good[] = {"true", NULL};
  struct mbp_spawn spec = SPEC(.argv = absent);
  ck_assert_int_eq(table->spawn(&spec, &process, &err), -MBP_E_NOT_FOUND);
  ck_assert(strstr(err.message, "no-such-program"));
  spec.argv = path;
  ck_assert_int_eq(table->spawn(&spec, &process, &err), -MBP_E_NOT_FOUND);
  spec.argv = plain;
  ck_assert_int_eq(table->spawn(&spec, &process, &err), -MBP_E_PERMISSION);
  spec.argv = good;
  spec.cwd = "/nowhere";
  ck_assert_int_eq(table->spawn(&spec, &process, &err), -MBP_E_NOT_FOUND);
  ck_assert_msg(strstr(err.message, "/nowhere"), "%s", err.message);
  ck_assert_ptr_null(process);
}
END_TEST

START_TEST(wait_times_out_and_free_kills)
{
  const char *argv[] = {"sleep", "100", NULL};
  struct mbp_spawn spec = SPEC(.argv = argv);
  struct mbp_process *process = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(table->spawn(&spec, &process, &err), 0);
  int32_t code, signal;
  ck_assert_int_eq(table->wait(process, 20, &code, &signal), 0);
  pid_t pid = (pid_t) table->pid(process);
  table->free(process);
  ck_assert_int_eq(kill(pid, 0), -1);
  ck_assert_int_eq(errno, ESRCH);
  table->free(NULL);
}
END_TEST

static void *spawn_in_thread(void *ret)
{
  static const char *const argv[] = {"sleep", "100", NULL};
  struct mbp_spawn spec = SPEC(.argv = argv, .flags = MBP_SPAWN_PDEATHSIG);
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(table->spawn(&spec, ret, &err), 0);
  return NULL;
}

START_TEST(a_child_outlives_the_thread_that_asked_for_it)
{
  struct mbp_process *process = NULL;
  pthread_t thread;
  ck_assert_int_eq(pthread_create(&thread, NULL, spawn_in_thread, &process), 0);
  (void) pthread_join(thread, NULL);
  ck_assert_int_eq(table->wait(process, 100, NULL, NULL), 0);
  table->free(process);
}
END_TEST

/* A program of its own that spawns and is then killed. */
START_TEST(children_die_with_the_process)
{
  int ends[2];
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  pid_t host = fork();
  if (host == 0) {
    const char *argv[] = {"sleep", "100", NULL};
    struct mbp_fd fds[] = {{ends[1], 9}};
    struct mbp_spawn spec = SPEC(.argv = argv, .flags = MBP_SPAWN_PDEATHSIG, .fds = fds, .n_fds = 1);
    struct mbp_process *process = NULL;
    struct mbp_error err = MAG_ERROR_INIT;
    char ok = table->spawn(&spec, &process, &err) == 0;
    if (write(ends[1], &ok, 1) != 1)
      _exit(1);
    for (;;)
      (void) pause();
  }
  (void) close(ends[1]);
  char ok = 0;
  ck_assert_int_eq(read(ends[0], &ok, 1), 1);
  ck_assert_int_eq(ok, 1);
  ck_assert_int_eq(kill(host, SIGKILL), 0);
  ck_assert_int_eq(waitpid(host, NULL, 0), host);
  struct pollfd gone = {ends[0], POLLIN, 0};
  ck_assert_int_eq(poll(&gone, 1, 2000), 1); /* the child held the other end */
  ck_assert_int_eq(read(ends[0], &ok, 1), 0);
  (void) close(ends[0]);
}
END_TEST

START_TEST(limits_hold_in_the_child_only)
{
  char out[256];
  struct mbp_rlimit limits[] = {{RLIMIT_NOFILE, 0, 17}, {RLIMIT_CORE, 0, 0}};
  struct mbp_spawn spec = SPEC(.rlimits = limits, .n_rlimits = 2);
  ck_assert_int_eq(run("ulimit -n; ulimit -Hn; ulimit -c", spec, out, sizeof(out)), 0);
  ck_assert_str_eq(out, "17\n17\n0\n");
}
END_TEST

static struct mbp_group *group_with(int64_t memory, uint32_t pids, struct mbp_group_state *state)
{
  struct mbp_group_spec spec = {.size = MBP_SIZE(struct mbp_group_spec, reserved), .name = "unit-test",
                                .memory_bytes = memory, .pids = pids, .cpu_millis = 500};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_group *group = NULL;
  ck_assert_msg(table->group_new(&spec, &group, &err) == 0, "%s", err.message);
  state->size = MBP_SIZE(struct mbp_group_state, how);
  ck_assert_int_eq(table->group_state(group, state), 0);
  return group;
}

START_TEST(a_group_refuses_forks_and_tells)
{
  struct mbp_group_state state = {0};
  char out[4096];
  struct mbp_group *group = group_with(0, 8, &state);
  if (state.enforced & 2) {
    struct mbp_spawn spec = SPEC(.group = group);
    (void) run("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.3 & done", spec, out, sizeof(out));
    ck_assert_int_eq(table->group_state(group, &state), 0);
    ck_assert_int_gt(state.pids_refused, 0);
  } else {
    (void) fprintf(stderr, "process_test: SKIPPED pids limit: not available here (%s)\n", state.how.ptr);
  }
  table->group_free(group);
}
END_TEST

START_TEST(a_group_kills_what_eats_its_memory_and_tells)
{
  struct mbp_group_state state = {0};
  char out[4096];
  struct mbp_group *group = group_with(48 << 20, 0, &state);
  if (state.enforced & 1) {
    struct mbp_spawn spec = SPEC(.group = group);
    int code = run("exec sh -c 'x=$(head -c 200000000 /dev/zero | tr \"\\\\0\" x)'", spec, out, sizeof(out));
    ck_assert_int_eq(code, 128 + SIGKILL);
    ck_assert_int_eq(table->group_state(group, &state), 0);
    ck_assert_int_gt(state.oom_kills, 0);
    ck_assert_int_gt(state.memory_peak, 20 << 20);
  } else {
    (void) fprintf(stderr, "process_test: SKIPPED memory limit: not available here (%s)\n", state.how.ptr);
  }
  table->group_free(group);
}
END_TEST

START_TEST(a_group_kills_daemons_too)
{
  struct mbp_group_state state = {0};
  struct mbp_group *group = group_with(0, 50, &state);
  int pair[2];
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const char *argv[] = {"sh", "-c", "(setsid sh -c 'trap \"\" TERM; sleep 100; sleep 100' &) ; sleep 100", NULL};
  struct mbp_fd fds[] = {{pair[1], 5}};
  struct mbp_spawn spec = SPEC(.argv = argv, .fds = fds, .n_fds = 1, .group = group);
  struct mbp_process *process = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(table->spawn(&spec, &process, &err), 0);
  (void) close(pair[1]);
  (void) poll(NULL, 0, 50);
  if (state.enforced & 8) {
    ck_assert_int_eq(table->group_kill(group), 0);
    struct pollfd gone = {pair[0], POLLIN, 0};
    ck_assert_int_eq(poll(&gone, 1, 2000), 1); /* all of them held it */
  } else {
    ck_assert_int_eq(table->group_kill(group), -MBP_E_UNSUPPORTED);
    (void) fprintf(stderr, "process_test: SKIPPED group kill: not available here\n");
  }
  table->free(process);
  table->group_free(group);
  (void) close(pair[0]);
}
END_TEST

START_TEST(group_names_are_checked)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_group *group = NULL;
  struct mbp_group_spec spec = {.size = MBP_SIZE(struct mbp_group_spec, reserved), .name = "../x"};
  ck_assert_int_eq(table->group_new(&spec, &group, &err), -MBP_E_INVALID);
  spec.name = "";
  ck_assert_int_eq(table->group_new(&spec, &group, &err), -MBP_E_INVALID);
  table->group_free(NULL);
}
END_TEST

static void *spawn_many(void *unused)
{
  (void) unused;
  for (int i = 0; i < 20; i++) {
    const char *argv[] = {"true", NULL};
    struct mbp_spawn spec = SPEC(.argv = argv);
    struct mbp_process *process = NULL;
    struct mbp_error err = MAG_ERROR_INIT;
    int32_t code = -1;
    if (table->spawn(&spec, &process, &err) != 0 || table->wait(process, -1, &code, NULL) != 1 || code != 0)
      return (void *) 1;
    table->free(process);
  }
  return NULL;
}

START_TEST(many_threads_may_spawn)
{
  pthread_t threads[8];
  for (size_t i = 0; i < MAG_COUNT(threads); i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, spawn_many, NULL), 0);
  for (size_t i = 0; i < MAG_COUNT(threads); i++) {
    void *failed;
    (void) pthread_join(threads[i], &failed);
    ck_assert_ptr_null(failed);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("process");
  TCase *tcase = tcase_create("process");
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, exit_codes_and_signals_come_back);
  tcase_add_test(tcase, a_child_gets_only_what_it_is_given);
  tcase_add_test(tcase, descriptors_land_where_they_are_wanted);
  tcase_add_test(tcase, a_program_that_cannot_run_says_why);
  tcase_add_test(tcase, wait_times_out_and_free_kills);
  tcase_add_test(tcase, a_child_outlives_the_thread_that_asked_for_it);
  tcase_add_test(tcase, children_die_with_the_process);
  tcase_add_test(tcase, limits_hold_in_the_child_only);
  tcase_add_test(tcase, a_group_refuses_forks_and_tells);
  tcase_add_test(tcase, a_group_kills_what_eats_its_memory_and_tells);
  tcase_add_test(tcase, a_group_kills_daemons_too);
  tcase_add_test(tcase, group_names_are_checked);
  tcase_add_test(tcase, many_threads_may_spawn);
  suite_add_tcase(suite, tcase);
  return run_suite(suite);
}
