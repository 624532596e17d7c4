/* What only a provider has whose sandboxes outlive the process: going on with commands of a process that was killed,
 * suspending, other users, ends without anybody. */
#include "cases.h"

#include "engine.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "host/call.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Going on with a command ------------------------------------------------------------------------------------ */

static int on_event(void *ctx, const struct mbp_event *event)
{
  struct outcome *outcome = ctx;
  if (event->type == MBP_EV_EXEC_OUTPUT)
    mag_buf_add_str(&outcome->out[event->index], event->data);
  return 0;
}

static int on_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct outcome *outcome = ctx;
  (void) err;
  memcpy(&outcome->result, result, MAG_MIN(((const struct mbp_exec_result *) result)->size, sizeof(outcome->result)));
  return 0;
}

static void attach_process(struct rig *rig, const char *key, const char *process, int64_t from, struct outcome *outcome)
{
  memset(outcome, 0, sizeof(*outcome));
  mag_error_clear(&outcome->err);
  struct mag_call_options options = {.timeout_ms = 20000, .sink = on_event, .on_result = on_result, .ctx = outcome};
  struct mbp_call *call = mag_call_new(&options);
  outcome->r = mag_call_wait(
      call, rig->ops->attach_process(rig->instance, call, mbp_str(key), mbp_str(process), from, &outcome->err), NULL,
      &outcome->err);
  mag_call_unref(call);
}

/* A process that starts a command and is killed when the command has begun. */
static void start_and_die(int i, const char *script, const struct run_options *options)
{
  int ends[2];
  char byte;
  ck_assert_int_eq(pipe(ends), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct rig rig;
    struct background background;
    rig_open(&rig, &providers[i]);
    rig_create(&rig, "a", NULL);
    rig_start(&background, &rig, "a", script, options);
    rig_wait_started(&background);
    while (strstr(rig_text(&rig, "a", "test -e begun && echo yes || echo no"), "no"))
      (void) poll(NULL, 0, 5);
    rig_remove(rig.work);
    if (write(ends[1], "x", 1) == 1)
      (void) pause();
    _exit(1);
  }
  (void) close(ends[1]);
  ck_assert_int_eq(read(ends[0], &byte, 1), 1);
  ck_assert_int_eq(kill(pid, SIGKILL), 0);
  ck_assert(waitpid(pid, NULL, 0) == pid);
  (void) close(ends[0]);
}

START_TEST(a_command_goes_on_when_its_process_is_killed_and_can_be_attached_to)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options options = {.key = "work"};
  start_and_die(_i, "echo one; echo err >&2; touch begun; while ! test -e go; do sleep 0.05; done; echo two; exit 5",
                &options);
  rig_open(&rig, &providers[_i]);
  ck_assert(strstr(rig_processes(&rig, "a"), "work:1 "));
  rig_text(&rig, "a", "touch go");
  attach_process(&rig, "a", "work", 0, &outcome);
  ck_assert_msg(outcome.r == 0, "%s", outcome.err.message);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_EXITED);
  ck_assert_int_eq(outcome.result.exit_code, 5);
  ck_assert(out_is(&outcome, 1, "one\ntwo\n") && out_is(&outcome, 2, "err\n"));
  outcome_done(&outcome);
  /* And once more, from where it was. */
  attach_process(&rig, "a", "work", 4, &outcome);
  ck_assert(outcome.r == 0 && out_is(&outcome, 1, "two\n") && outcome.result.exit_code == 5);
  outcome_done(&outcome);
  attach_process(&rig, "a", "nobody", 0, &outcome);
  ck_assert_int_eq(outcome.r, -MBP_E_NOT_FOUND);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(a_background_process_is_attached_to_by_its_spool)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options options = {.flags = MBP_EXEC_BACKGROUND, .key = "server", .spool = "logs/out"};
  start_and_die(_i, "echo one; echo err >&2; touch begun; while ! test -e go; do sleep 0.05; done; echo two; exit 6",
                &options);
  rig_open(&rig, &providers[_i]);
  rig_text(&rig, "a", "touch go");
  attach_process(&rig, "a", "server", 4, &outcome);
  ck_assert_msg(outcome.r == 0, "%s", outcome.err.message);
  ck_assert_int_eq(outcome.result.exit_code, 6);
  ck_assert_msg(out_is(&outcome, 1, "err\ntwo\n"), "%.*s", (int) outcome.out[1].len, outcome.out[1].ptr);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

START_TEST(a_time_limit_holds_also_when_its_process_is_killed)
{
  struct rig rig;
  struct outcome outcome;
  struct run_options options = {.key = "work", .hard_ms = 1500};
  start_and_die(_i, "touch begun; setsid -f sleep 81.2345; exec sleep 81.2345", &options);
  ck_assert(host_gone("81.2345", 10000));
  rig_open(&rig, &providers[_i]);
  attach_process(&rig, "a", "work", 0, &outcome);
  ck_assert_int_eq(outcome.r, 0);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_HARD_TIMEOUT);
  outcome_done(&outcome);
  finish(&rig);
}
END_TEST

/* ---- Suspending ------------------------------------------------------------------------------------------------- */

static void suspend(struct rig *rig, bool on)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.timeout_ms = 20000};
  struct mbp_call *call = mag_call_new(&options);
  int r = on ? rig->ops->suspend(rig->instance, call, mbp_str("a"), &err)
             : rig->ops->resume(rig->instance, call, mbp_str("a"), &err);
  r = mag_call_wait(call, r, NULL, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  mag_call_unref(call);
}

START_TEST(a_suspended_sandbox_stands_still_and_goes_on)
{
  struct rig rig, other;
  struct outcome outcome;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_file_info info = {0};
  mag_autobuf content = MAG_BUF_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_int_eq(rig_put(&rig, "a", "dir/file", mbp_str("content"), 0640, &err), 0);
  rig_open(&other, &providers[_i]);
  ck_assert_int_eq(rig_code(&other, "a", "exit 3"), 3); /* it has a connection, and will not hear of it */
  suspend(&rig, true);
  suspend(&rig, true);
  ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_SUSPENDED);
  rig_sh(&rig, "a", "true", NULL, &outcome);
  ck_assert_int_eq(outcome.r, -MBP_E_BUSY);
  ck_assert_msg(strstr(outcome.err.message, "resume"), "%s", outcome.err.message);
  outcome_done(&outcome);
  rig_sh(&other, "a", "echo late >> ran", NULL, &outcome);
  ck_assert_int_eq(outcome.r, -MBP_E_BUSY);
  outcome_done(&outcome);
  ck_assert_msg(rig_get(&rig, "a", "dir/file", 100, &content, &info, &err) == 0, "%s", err.message);
  ck_assert(mbp_str_eq(mag_buf_str(&content), "content") && info.mode == 0640 && info.length == 7);
  ck_assert_int_eq(rig_get(&rig, "a", "dir/file", 3, &content, &info, &err), -MBP_E_LIMIT);
  ck_assert_int_eq(rig_get(&rig, "a", "dir", 100, &content, &info, &err), -MBP_E_INVALID);
  ck_assert_int_eq(rig_get(&rig, "a", "absent", 100, &content, &info, &err), -MBP_E_NOT_FOUND);
  /* Which the engine cannot see, whether it is there or not: so it is not called absent. */
  ck_assert_int_eq(rig_get(&rig, "a", "/tmp/file", 100, &content, &info, &err), -MBP_E_BUSY);
  ck_assert_msg(strstr(err.message, "resume it first"), "%s", err.message);
  suspend(&other, false);
  ck_assert_int_eq(rig_code(&rig, "a", "exit 4"), 4);
  ck_assert_int_eq(rig_code(&other, "a", "exit 5"), 5);
  rig_close(&other);
  finish(&rig);
}
END_TEST

START_TEST(a_suspended_sandbox_is_removed_as_any_other)
{
  struct rig rig;
  if (!begin(&rig, _i, NULL))
    return;
  suspend(&rig, true);
  finish(&rig);
  ck_assert(engine_has_containers(engine_socket(), 0, 15000));
}
END_TEST

/* ---- Users ------------------------------------------------------------------------------------------------------ */

START_TEST(commands_run_as_an_ordinary_user_or_as_the_one_that_is_asked_for)
{
  struct rig rig;
  struct outcome outcome;
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_str_eq(rig_text(&rig, "a", "id -u; id -g"), "1000\n1000\n");
  ck_assert_str_eq(
      rig_text(&rig, "a", "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\n\\t '"),
      "CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1Seccomp:2");
  for (int i = 0; i < 2; i++) {
    struct run_options options = {.user = "1234:1235", .flags = MBP_EXEC_MERGE};
    rig_sh(&rig, "a", "id -u; id -g; setsid -f sleep 82.3456; exit 2", &options, &outcome);
    ck_assert_msg(outcome.r == 0, "%s", outcome.err.message);
    ck_assert(out_is(&outcome, 1, "1234\n1235\n") && outcome.result.exit_code == 2);
    outcome_done(&outcome);
  }
  struct run_options hard = {.user = "0", .hard_ms = 300};
  rig_sh(&rig, "a", "grep CapEff /proc/self/status; setsid -f sleep 83.4567; sleep 83.4567", &hard, &outcome);
  ck_assert_uint_eq(outcome.result.reason, MBP_EXIT_HARD_TIMEOUT);
  ck_assert_msg(out_is(&outcome, 1, "CapEff:\t0000000000000000\n"), "%.*s", (int) outcome.out[1].len,
                outcome.out[1].ptr);
  outcome_done(&outcome);
  ck_assert(host_gone("83.4567", 2000));
  finish(&rig);
  ck_assert(host_gone("82.3456", 5000));
}
END_TEST

/* ---- Ends and lists ---------------------------------------------------------------------------------------------- */

START_TEST(an_unused_sandbox_ends_and_a_used_one_does_not)
{
  struct rig rig;
  struct box_options options = {.idle_ms = 2500};
  if (!begin(&rig, _i, &options))
    return;
  int64_t until = mag_clock_monotonic_ms() + 4000;
  while (mag_clock_monotonic_ms() < until) {
    ck_assert_int_eq(rig_code(&rig, "a", "exit 0"), 0);
    (void) poll(NULL, 0, 100);
  }
  ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_RUNNING);
  /* A command that runs is use. */
  ck_assert_int_eq(rig_code(&rig, "a", "sleep 4; exit 3"), 3);
  until = mag_clock_monotonic_ms() + 20000;
  while (rig_state(&rig, "a") == MBP_SANDBOX_RUNNING && mag_clock_monotonic_ms() < until)
    (void) poll(NULL, 0, 100);
  ck_assert_uint_eq(rig_state(&rig, "a"), MBP_SANDBOX_STOPPED);
  finish(&rig);
}
END_TEST

static int on_sandbox(void *ctx, const struct mbp_event *event)
{
  mag_buf_printf(ctx, "%.*s ", (int) event->name.len, event->name.ptr);
  return 0;
}

START_TEST(sandboxes_of_all_processes_are_listed_and_others_containers_are_not)
{
  struct rig rig, other;
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autobuf names = MAG_BUF_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  rig_open(&other, &providers[_i]);
  rig_create(&other, "b", NULL);
  rig_close(&other);
  struct mag_call_options options = {.timeout_ms = 20000, .sink = on_sandbox, .ctx = &names};
  struct mbp_call *call = mag_call_new(&options);
  ck_assert_int_eq(mag_call_wait(call, rig.ops->list(rig.instance, call, &err), NULL, &err), 0);
  mag_call_unref(call);
  mag_buf_add_char(&names, 0);
  ck_assert_msg(strcmp(names.ptr, "a b ") == 0 || strcmp(names.ptr, "b a ") == 0, "%s", names.ptr);
  rig_destroy(&rig, "b");
  finish(&rig);
  ck_assert(engine_has_containers(engine_socket(), 0, 15000));
}
END_TEST

static struct mbp_json *inspected(const char *container)
{
  mag_autobuf body = MAG_BUF_INIT;
  struct mbp_json *document = NULL;
  mag_autofree char *path = mag_sprintf("/containers/%s/json", container);
  ck_assert_int_eq(engine_request(engine_socket(), "GET", path, &body), 200);
  ck_assert_int_eq(mag_json_parse(mag_buf_str(&body), &document, NULL), 0);
  return document;
}

static bool text_is(const struct mbp_json *object, const char *name, const char *text)
{
  return mbp_str_eq(mag_json_str(mag_json_get(object, name)), text);
}

/* As the engine has it, whatever was asked for. */
START_TEST(a_container_is_hardened_limited_and_labelled)
{
  struct rig rig;
  struct box_options options = {
      .lifetime_ms = 600000, .memory_bytes = 128 << 20, .pids = 64, .cpu_millis = 500, .workspace = ""};
  if (!begin(&rig, _i, &options))
    return;
  mag_autojson document = inspected(engine_only_container(engine_socket()));
  const struct mbp_json *config = mag_json_get(document, "Config"), *host = mag_json_get(document, "HostConfig");
  const struct mbp_json *labels = mag_json_get(config, "Labels");
  ck_assert(text_is(labels, "magent.key", "a") && text_is(labels, "magent.session", "sesn_test"));
  ck_assert(text_is(labels, "magent.owner", "owner_test"));
  ck_assert_int_eq(strtoll(mag_json_str(mag_json_get(labels, "magent.deadline")).ptr, NULL, 10) -
                       strtoll(mag_json_str(mag_json_get(labels, "magent.created")).ptr, NULL, 10),
                   600000);
  ck_assert(text_is(config, "User", "1000:1000"));
  ck_assert(text_is(host, "NetworkMode", "none"));
  ck_assert(!mag_json_truth(mag_json_get(host, "Privileged"), 1));
  ck_assert(mag_json_count(mag_json_get(host, "CapDrop")) == 1 && mag_json_count(mag_json_get(host, "CapAdd")) == 0);
  ck_assert_uint_eq(mag_json_count(mag_json_get(host, "SecurityOpt")), 1); /* seccomp is the engine's own */
  ck_assert_uint_eq(mag_json_count(mag_json_get(document, "Mounts")), 0);
  ck_assert_uint_eq(mag_json_count(mag_json_get(host, "Devices")), 0);
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "Memory"), 0), 128 << 20);
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "PidsLimit"), 0), 64);
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "NanoCpus"), 0), 500000000);
  finish(&rig);
}
END_TEST

static void make_container(const char *name, const char *labels)
{
  mag_autofree char *path = mag_sprintf("/containers/create?name=%s", name);
  mag_autofree char *body = mag_sprintf("{\"Image\":\"%s\",\"Cmd\":[\"sleep\",\"600\"],\"Labels\":{%s}}",
                                        rig_environment("MAGENT_TEST_DOCKER_IMAGE"), labels);
  ck_assert_int_eq(engine_send(engine_socket(), "POST", path, body, NULL), 201);
}

static void tell_container(const char *name, const char *verb)
{
  mag_autofree char *path = mag_sprintf("/containers/%s/%s", name, verb);
  ck_assert_int_eq(engine_request(engine_socket(), "POST", path, NULL), 204);
}

static bool is_there(const char *name)
{
  mag_autofree char *path = mag_sprintf("/containers/%s/json", name);
  return engine_request(engine_socket(), "GET", path, NULL) == 200;
}

START_TEST(what_outlived_its_deadline_is_swept_and_nothing_else)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  make_container("magent-never-started", "\"magent.key\":\"never-started\",\"magent.deadline\":\"1000\"");
  make_container("magent-suspended", "\"magent.key\":\"suspended\",\"magent.deadline\":\"1000\"");
  tell_container("magent-suspended", "start");
  tell_container("magent-suspended", "pause");
  make_container("magent-being-made", "\"magent.key\":\"being-made\",\"magent.deadline\":\"99999999999999\"");
  make_container("magent-without-label", "\"magent.deadline\":\"1000\"");
  make_container("other-prefix", "\"magent.key\":\"prefix\",\"magent.deadline\":\"1000\"");
  struct mag_call_options options = {.timeout_ms = 20000};
  struct mbp_call *call = mag_call_new(&options);
  ck_assert_int_eq(mag_call_wait(call, rig.ops->list(rig.instance, call, &err), NULL, &err), 0);
  mag_call_unref(call);
  ck_assert(engine_has_containers(engine_socket(), 4, 15000));
  ck_assert(is_there("magent-a") && is_there("magent-being-made"));
  ck_assert(is_there("magent-without-label") && is_there("other-prefix"));
  finish(&rig);
  engine_clear(engine_socket());
}
END_TEST

void add_docker_own_cases(Suite *suite)
{
  if (!n_providers || !providers[0].engine)
    return;
  TCase *tcase = tcase_create("outlives");
  tcase_set_timeout(tcase, 120);
  tcase_add_loop_test(tcase, a_command_goes_on_when_its_process_is_killed_and_can_be_attached_to, 0, 1);
  tcase_add_loop_test(tcase, a_background_process_is_attached_to_by_its_spool, 0, 1);
  tcase_add_loop_test(tcase, a_time_limit_holds_also_when_its_process_is_killed, 0, 1);
  tcase_add_loop_test(tcase, a_suspended_sandbox_stands_still_and_goes_on, 0, 1);
  tcase_add_loop_test(tcase, a_suspended_sandbox_is_removed_as_any_other, 0, 1);
  tcase_add_loop_test(tcase, a_container_is_hardened_limited_and_labelled, 0, 1);
  tcase_add_loop_test(tcase, what_outlived_its_deadline_is_swept_and_nothing_else, 0, 1);
  tcase_add_loop_test(tcase, commands_run_as_an_ordinary_user_or_as_the_one_that_is_asked_for, 0, 1);
  tcase_add_loop_test(tcase, an_unused_sandbox_ends_and_a_used_one_does_not, 0, 1);
  tcase_add_loop_test(tcase, sandboxes_of_all_processes_are_listed_and_others_containers_are_not, 0, 1);
  suite_add_tcase(suite, tcase);
}
