/* What goes wrong between a plugin and a Docker engine: the daemon dies, containers vanish, connections are cut,
 * answers are lost, disks are full. It must be told as what it is, and leave nothing behind. */
#include "cases.h"

#include "cutter.h"
#include "engine.h"

#include "base/cleanup.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define GONE_MS 15000 /* until an engine has buried a container, on a slow day */

/* The image of busybox: faults do not need more. */
static struct provider small_at(const char *socket_path)
{
  static char config[512];
  struct provider provider = {.name = "docker", .config = config, .network = MBP_NET_NONE, .engine = true};
  (void) snprintf(config, sizeof(config), "{\"helper\":\"%%HELPER%%\",\"host\":\"unix://%s\",\"image\":\"%s\"}",
                  socket_path, rig_environment("MAGENT_TEST_DOCKER_SMALL"));
  return provider;
}

static struct provider current; /* of the running test */

static void begin_at(struct rig *rig, const char *socket_path)
{
  current = small_at(socket_path);
  rig_open(rig, &current);
  ck_assert_msg(!rig->why_not[0], "%s", rig->why_not);
}

static void begin_small(struct rig *rig)
{
  engine_clear(engine_socket());
  begin_at(rig, engine_socket());
}

static void finish_small(struct rig *rig)
{
  rig_destroy(rig, "a");
  ck_assert(engine_has_containers(engine_socket(), 0, GONE_MS));
  rig_close(rig);
}

/* Ended by an error of its own, never as if the process had ended. */
static void expect_lost(const struct outcome *outcome)
{
  ck_assert_msg(outcome->r == -MBP_E_LOST || outcome->r == -MBP_E_NETWORK || outcome->r == -MBP_E_UNAVAILABLE,
                "%d: %s (reason %u, code %d)", outcome->r, outcome->err.message, outcome->result.reason,
                outcome->result.exit_code);
  ck_assert(outcome->err.message[0]);
}

/* ---- The daemon ----------------------------------------------------------------------------------------------- */

START_TEST(an_engine_killed_in_the_middle_of_a_command_is_a_loss_and_works_again_afterwards)
{
  struct rig rig;
  struct background running;
  struct outcome outcome;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  begin_small(&rig);
  rig_create(&rig, "a", NULL);
  rig_start(&running, &rig, "a", "echo part; sleep 71.234; echo never", NULL);
  rig_wait_started(&running);
  engine_kill();
  rig_join(&running);
  expect_lost(&running.outcome);
  outcome_done(&running.outcome);
  /* Nobody knows how it is while there is no engine, and nobody claims to. */
  rig_sh(&rig, "a", "true", NULL, &outcome);
  expect_lost(&outcome);
  outcome_done(&outcome);
  ck_assert_int_lt(rig_try_create(&rig, "b", NULL, &info, &err), 0);
  ck_assert_msg(strstr(err.message, engine_socket()), "%s", err.message);
  engine_start();
  rig_create(&rig, "a", NULL);
  ck_assert_int_eq(rig_code(&rig, "a", "exit 7"), 7);
  ck_assert(host_gone("71.234", 5000));
  ck_assert_uint_eq(engine_containers(engine_socket()), 1);
  finish_small(&rig);
}
END_TEST

START_TEST(an_engine_killed_and_started_again_in_the_middle_of_a_command_is_a_loss_and_no_second_run)
{
  struct rig rig;
  struct background running;
  begin_small(&rig);
  rig_create(&rig, "a", NULL);
  rig_start(&running, &rig, "a", "echo part; sleep 70.123; echo never", NULL);
  rig_wait_started(&running);
  engine_kill();
  engine_start(); /* while it tries to get its connection back */
  rig_join(&running);
  expect_lost(&running.outcome);
  ck_assert_ptr_null(memmem(running.outcome.out[1].ptr, running.outcome.out[1].len, "never", 5));
  outcome_done(&running.outcome);
  ck_assert(host_gone("70.123", 5000));
  rig_create(&rig, "a", NULL);
  ck_assert_int_eq(rig_code(&rig, "a", "exit 7"), 7);
  finish_small(&rig);
}
END_TEST

/* ---- Containers ----------------------------------------------------------------------------------------------- */

static void request_of_container(const char *method, const char *format)
{
  char path[256];
  (void) snprintf(path, sizeof(path), format, engine_only_container(engine_socket())); /* NOLINT: of this file */
  ck_assert_int_lt(engine_request(engine_socket(), method, path, NULL), 300);
}

START_TEST(a_container_removed_under_us_is_a_loss_and_its_key_makes_a_new_one)
{
  static const char *const blows[][2] = {
      {"DELETE", "/containers/%s?force=1"}, {"POST", "/containers/%s/kill"}, {"POST", "/containers/%s/restart?t=0"}};
  for (size_t i = 0; i < MAG_COUNT(blows); i++) {
    struct rig rig;
    struct background running;
    begin_small(&rig);
    rig_create(&rig, "a", NULL);
    rig_start(&running, &rig, "a", "echo part; sleep 72.345; echo never", NULL);
    rig_wait_started(&running);
    request_of_container(blows[i][0], blows[i][1]);
    rig_join(&running);
    ck_assert_msg(running.outcome.r < 0 || running.outcome.result.reason != MBP_EXIT_EXITED, "%s: exit %d", blows[i][1],
                  running.outcome.result.exit_code);
    outcome_done(&running.outcome);
    ck_assert_msg(host_gone("72.345", 5000), "%s leaves it running", blows[i][1]);
    if (i < 2)
      ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_STOPPED);
    rig_create(&rig, "a", NULL);
    ck_assert_int_eq(rig_code(&rig, "a", "exit 7"), 7);
    ck_assert_uint_eq(engine_containers(engine_socket()), 1);
    finish_small(&rig);
  }
}
END_TEST

/* Behaviour 30. */
START_TEST(a_missing_image_is_told_with_its_name)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  struct box_options options = {.image = "no-such-image.invalid/absent:1"};
  begin_small(&rig);
  int r = rig_try_create(&rig, "a", &options, &info, &err);
  ck_assert_int_lt(r, 0);
  ck_assert_msg(strstr(err.message, "no-such-image.invalid/absent:1"), "%d %s", r, err.message);
  ck_assert_uint_eq(engine_containers(engine_socket()), 0);
  options.image = "Not An Image";
  ck_assert_int_lt(rig_try_create(&rig, "a", &options, &info, &err), 0);
  ck_assert_uint_eq(engine_containers(engine_socket()), 0);
  finish_small(&rig);
}
END_TEST

/* ---- Cut connections -------------------------------------------------------------------------------------------- */

static struct cutter *begin_cut(struct rig *rig)
{
  static char path[128];
  (void) snprintf(path, sizeof(path), "/tmp/magent-cutter-%d", (int) getpid());
  struct cutter *cutter = cutter_new(path, engine_socket());
  engine_clear(engine_socket());
  begin_at(rig, path);
  return cutter;
}

static void finish_cut(struct rig *rig, struct cutter *cutter)
{
  cutter_disarm(cutter);
  finish_small(rig);
  cutter_free(cutter);
}

/* A request whose answer never comes may be repeated by the plugin or told as an error; but it is one or the other, the
 * key finds what was made, and what is destroyed is gone. */
START_TEST(lost_answers_leave_nothing_behind)
{
  static const char *const marks[] = {"/containers/create", "/start", "/json", "/archive", "/exec", "/images"};
  for (size_t i = 0; i < MAG_COUNT(marks); i++) {
    struct rig rig;
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_sandbox_info info;
    struct cutter *cutter = begin_cut(&rig);
    cutter_arm(cutter, marks[i], 0);
    int r = rig_try_create(&rig, "a", NULL, &info, &err);
    ck_assert_msg(r == 0 || err.message[0], "%s", marks[i]);
    ck_assert_msg(cutter_has_cut(cutter), "%s: nothing was cut", marks[i]);
    cutter_disarm(cutter);
    ck_assert_msg(engine_has_containers(engine_socket(), r == 0, GONE_MS), "%s: %d %s", marks[i], r, err.message);
    rig_create(&rig, "a", NULL);
    ck_assert_int_eq(rig_code(&rig, "a", "exit 7"), 7);
    ck_assert_uint_eq(engine_containers(engine_socket()), 1);
    finish_cut(&rig, cutter);
  }
}
END_TEST

START_TEST(a_lost_answer_to_destroy_is_asked_for_again)
{
  struct rig rig;
  struct cutter *cutter = begin_cut(&rig);
  rig_create(&rig, "a", NULL);
  cutter_arm(cutter, "DELETE ", 0);
  struct mbp_error err = MAG_ERROR_INIT;
  (void) rig_try_destroy(&rig, "a", &err);
  ck_assert(cutter_has_cut(cutter));
  finish_cut(&rig, cutter);
}
END_TEST

#define CUT_SCRIPT "echo x >> ran; echo 0123456789; echo error >&2; exit 7"

static bool is_whole(const struct outcome *outcome)
{
  return outcome->r == 0 && outcome->result.reason == MBP_EXIT_EXITED && outcome->result.exit_code == 7 &&
         out_is(outcome, 1, "0123456789\n") && out_is(outcome, 2, "error\n");
}

typedef void (*arming)(struct cutter *cutter, const char *mark, int64_t after);

/* Runs the command with a cut after so many bytes; is it whole? Else it is an error. It never ran twice. */
static bool run_cut(struct rig *rig, struct cutter *cutter, arming arm, int64_t after)
{
  struct outcome outcome;
  arm(cutter, "/exec/", after);
  rig_sh(rig, "a", CUT_SCRIPT, NULL, &outcome);
  bool whole = is_whole(&outcome);
  ck_assert_msg(whole || (outcome.r < 0 && outcome.err.message[0]), "cut after %lld: %d, reason %u, exit %d, %zu + %zu",
                (long long) after, outcome.r, outcome.result.reason, outcome.result.exit_code, outcome.out[1].len,
                outcome.out[2].len);
  outcome_done(&outcome);
  const char *ran = rig_text(rig, "a", "touch ran; wc -l < ran; rm ran");
  ck_assert_msg(strcmp(ran, "1\n") == 0 || (!whole && strcmp(ran, "0\n") == 0), "cut after %lld: ran %s times",
                (long long) after, ran);
  return whole;
}

static void cut_everywhere(arming arm)
{
  struct rig rig;
  size_t cuts = 0, whole = 0;
  struct cutter *cutter = begin_cut(&rig);
  rig_create(&rig, "a", NULL);
  arm(cutter, "/exec/", INT64_MAX);
  ck_assert_int_eq(rig_code(&rig, "a", CUT_SCRIPT), 7);
  rig_text(&rig, "a", "rm ran");
  int64_t bytes = cutter_counted(cutter);
  ck_assert_int_gt(bytes, 20);
  for (int64_t after = 0; after < bytes; after++) {
    whole += run_cut(&rig, cutter, arm, after);
    cuts += (size_t) cutter_has_cut(cutter);
  }
  ck_assert_msg(cuts > (size_t) bytes / 2, "%zu cuts of %lld", cuts, (long long) bytes);
  (void) fprintf(stderr, "compute_test: %zu cuts in %lld bytes, %zu commands whole all the same\n", cuts,
                 (long long) bytes, whole);
  finish_cut(&rig, cutter);
}

START_TEST(a_command_whose_answer_is_cut_at_any_byte_is_whole_or_an_error)
{
  cut_everywhere(cutter_arm);
}
END_TEST

START_TEST(a_command_whose_request_is_cut_at_any_byte_is_whole_or_an_error)
{
  cut_everywhere(cutter_arm_requests);
}
END_TEST

START_TEST(a_file_whose_connection_is_cut_at_any_byte_is_whole_or_an_error)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_file_info info;
  size_t cuts = 0;
  mag_autobuf content = MAG_BUF_INIT, big = MAG_BUF_INIT;
  struct cutter *cutter = begin_cut(&rig);
  rig_create(&rig, "a", NULL);
  for (int i = 0; i < 60000; i++)
    mag_buf_add_char(&big, (char) (i * 7));
  ck_assert_int_eq(rig_put(&rig, "a", "file", mag_buf_str(&big), 0644, &err), 0);
  cutter_arm(cutter, "/", INT64_MAX);
  ck_assert_int_eq(rig_get(&rig, "a", "file", 0, &content, &info, &err), 0);
  int64_t bytes = cutter_counted(cutter);
  ck_assert_int_gt(bytes, 60000);
  for (int64_t after = 0; after < bytes; after += after < 300 || after > bytes - 300 ? 7 : 3001) {
    cutter_arm(cutter, "/", after);
    int r = rig_get(&rig, "a", "file", 0, &content, &info, &err);
    cuts += (size_t) cutter_has_cut(cutter);
    ck_assert_msg(r < 0 || (content.len == big.len && memcmp(content.ptr, big.ptr, big.len) == 0 &&
                            info.length == (int64_t) big.len && info.mode == 0644),
                  "get, cut after %lld of %lld: %zu bytes", (long long) after, (long long) bytes, content.len);
    cutter_arm(cutter, "/", after % 500);
    r = rig_put(&rig, "a", "other", mbp_str("new content"), 0600, &err);
    cutter_disarm(cutter);
    if (r == 0)
      ck_assert_str_eq(rig_text(&rig, "a", "cat other"), "new content");
    rig_text(&rig, "a", "rm -f other");
  }
  ck_assert_uint_gt(cuts, 20);
  finish_cut(&rig, cutter);
}
END_TEST

/* ---- Disks ----------------------------------------------------------------------------------------------------- */

START_TEST(a_full_engine_is_told_and_works_again_when_there_is_room)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  char dir[128], path[160], block[65536] = "";
  (void) snprintf(dir, sizeof(dir), "%s-full", rig_environment("MAGENT_TEST_DOCKER_DIR"));
  (void) snprintf(path, sizeof(path), "%s/docker.sock", dir);
  engine_script("start", dir, (const char *const[]){"--data-size", "24M", NULL});
  engine_script("image", dir, (const char *const[]){"busybox", rig_environment("MAGENT_TEST_DOCKER_SMALL"), NULL});
  begin_at(&rig, path);
  struct box_options options = {.workspace = ""};
  rig_create(&rig, "a", &options);
  /* Wherever an agent can write: the image's own file system is the engine's. */
  int code = rig_code(&rig, "a", "head -c 40000000 /dev/zero > big || head -c 40000000 /dev/zero > /var/tmp/big");
  if (code == 0) {
    (void) fprintf(stderr, "compute_test: SKIPPED full disk: the sandbox writes elsewhere than on the engine's disk\n");
  } else {
    ck_assert_int_eq(rig_put(&rig, "a", "more", mbp_str_n(block, sizeof(block)), 0644, &err), -MBP_E_NO_SPACE);
    int r = rig_try_create(&rig, "b", &options, &info, &err);
    ck_assert_msg(r == 0 || r == -MBP_E_NO_SPACE, "%d %s", r, err.message);
    rig_destroy(&rig, "b");
    ck_assert(engine_has_containers(path, 1, GONE_MS));
    rig_text(&rig, "a", "rm -f big /var/tmp/big");
    ck_assert_int_eq(rig_put(&rig, "a", "more", mbp_str_n(block, sizeof(block)), 0644, &err), 0);
  }
  rig_destroy(&rig, "a");
  ck_assert(engine_has_containers(path, 0, GONE_MS));
  rig_close(&rig);
  engine_script("stop", dir, NULL);
}
END_TEST

/* ---- The end of magent ------------------------------------------------------------------------------------------ */

/* In a process that ends without a word. */
static void in_killed_process(const struct box_options *options, const char *background_script)
{
  pid_t pid = fork();
  if (pid == 0) {
    struct rig rig;
    struct outcome outcome;
    struct run_options run = {.flags = MBP_EXEC_BACKGROUND, .key = "left", .spool = "left.out"};
    begin_small(&rig);
    rig_create(&rig, "a", options);
    if (background_script)
      rig_sh(&rig, "a", background_script, &run, &outcome);
    rig_remove(rig.work);
    (void) raise(SIGKILL);
  }
  int status = 0;
  ck_assert(waitpid(pid, &status, 0) == pid);
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the process failed: %x", (unsigned) status);
}

START_TEST(a_deadline_outlives_the_process_that_set_it)
{
  struct box_options options = {.lifetime_ms = 4000, .workspace = ""};
  in_killed_process(&options, "sleep 73.456");
  ck_assert(host_there("73.456", 1));
  ck_assert(host_gone("73.456", 20000));
  ck_assert(engine_has_containers(engine_socket(), 0, GONE_MS));
}
END_TEST

START_TEST(a_sandbox_of_a_killed_process_is_found_again_by_its_key)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  struct box_options options = {.workspace = ""};
  in_killed_process(&options, "echo here; sleep 74.567");
  begin_at(&rig, engine_socket());
  ck_assert_int_eq(rig_try_create(&rig, "a", &options, &info, &err), 0);
  ck_assert_uint_eq(info.existed, 1);
  ck_assert(strstr(rig_processes(&rig, "a"), "left:1 "));
  ck_assert_str_eq(rig_text(&rig, "a", "cat left.out"), "here\n");
  ck_assert_int_eq(rig_signal(&rig, "a", "left", MBP_SIG_KILL, MBP_SIGNAL_TREE), 0);
  ck_assert(host_gone("74.567", 5000));
  finish_small(&rig);
}
END_TEST

struct racer {
  pthread_t thread;
  struct rig rig;
};

static void *race(void *pointer)
{
  struct racer *racer = pointer;
  rig_create(&racer->rig, "a", NULL);
  return NULL;
}

START_TEST(a_key_that_two_ask_for_at_once_is_one_container)
{
  static struct racer racers[4];
  engine_clear(engine_socket());
  for (size_t i = 0; i < MAG_COUNT(racers); i++)
    begin_at(&racers[i].rig, engine_socket());
  for (size_t i = 0; i < MAG_COUNT(racers); i++)
    ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
  for (size_t i = 0; i < MAG_COUNT(racers); i++)
    (void) pthread_join(racers[i].thread, NULL);
  ck_assert_uint_eq(engine_containers(engine_socket()), 1);
  for (size_t i = 0; i < MAG_COUNT(racers); i++)
    ck_assert_int_eq(rig_code(&racers[i].rig, "a", "exit 7"), 7);
  for (size_t i = 1; i < MAG_COUNT(racers); i++)
    rig_close(&racers[i].rig);
  finish_small(&racers[0].rig);
}
END_TEST

void add_docker_cases(Suite *suite)
{
  if (!n_providers || !providers[0].engine)
    return;
  TCase *tcase = tcase_create("engine");
  tcase_set_timeout(tcase, 180);
  tcase_add_test(tcase, an_engine_killed_in_the_middle_of_a_command_is_a_loss_and_works_again_afterwards);
  tcase_add_test(tcase, an_engine_killed_and_started_again_in_the_middle_of_a_command_is_a_loss_and_no_second_run);
  tcase_add_test(tcase, a_container_removed_under_us_is_a_loss_and_its_key_makes_a_new_one);
  tcase_add_test(tcase, a_missing_image_is_told_with_its_name);
  tcase_add_test(tcase, lost_answers_leave_nothing_behind);
  tcase_add_test(tcase, a_lost_answer_to_destroy_is_asked_for_again);
  tcase_add_test(tcase, a_command_whose_answer_is_cut_at_any_byte_is_whole_or_an_error);
  tcase_add_test(tcase, a_command_whose_request_is_cut_at_any_byte_is_whole_or_an_error);
  tcase_add_test(tcase, a_file_whose_connection_is_cut_at_any_byte_is_whole_or_an_error);
  tcase_add_test(tcase, a_full_engine_is_told_and_works_again_when_there_is_room);
  tcase_add_test(tcase, a_deadline_outlives_the_process_that_set_it);
  tcase_add_test(tcase, a_sandbox_of_a_killed_process_is_found_again_by_its_key);
  tcase_add_test(tcase, a_key_that_two_ask_for_at_once_is_one_container);
  suite_add_tcase(suite, tcase);
}
