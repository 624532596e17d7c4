/* `magent compute`: what it shows of sandboxes of other processes, how it stops them, and that it never says that there
 * are none when it does not know. */
#include "command_check.h"
#include "../lib/run.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void begin(void)
{
  mag_autofree char *module = realpath("tests/integration/.libs/shelf.so", NULL);
  ck_assert_ptr_nonnull(module);
  command_begin();
  ck_assert_int_eq(mkdir(command_path("plugins"), 0700), 0);
  ck_assert_int_eq(mkdir(command_path("shelf"), 0700), 0);
  ck_assert_int_eq(symlink(module, command_path("plugins/magent-compute-shelf.so")), 0);
  mag_autofree char *conf = mag_sprintf("{\"plugins\":{\"compute-shelf\":{\"dir\":\"%s\"}}}", command_path("shelf"));
  command_write_file("conf/defaults.json", conf);
}

static void put_box(const char *id, int64_t age_ms, const char *state)
{
  mag_autofree char *name = mag_sprintf("shelf/%s", id);
  mag_autofree char *text =
      mag_sprintf("key-%s sesn_of_%s %lld %s 1", id, id, (long long) (mag_clock_wall_ms() - age_ms), state);
  command_write_file(name, text);
}

static bool has_box(const char *id)
{
  mag_autofree char *name = mag_sprintf("shelf/%s", id);
  return access(command_path(name), F_OK) == 0;
}

/* `magent compute ARGUMENTS` with no other plugin than the shelf: it must end with `status`, and print `out` in its
 * output and `err` in its errors (NULL: nothing at all). */
static void compute(const char *arguments, int status, const char *out, const char *err)
{
  mag_autofree char *line = mag_sprintf("--plugin-dir %s compute %s", command_path("plugins"), arguments);
  struct command command = command_run(line);
  const char *said = command.stdout_text.ptr, *complained = command.stderr_text.ptr;
  ck_assert_msg(command.status == status, "%s: status %d: \"%s\" \"%s\"", arguments, command.status, said, complained);
  ck_assert_msg(out ? strstr(said, out) != NULL : !*said, "%s: \"%s\" instead of \"%s\"", arguments, said, out);
  ck_assert_msg(err ? strstr(complained, err) != NULL : !*complained, "%s: \"%s\" instead of \"%s\"", arguments,
                complained, err);
  command_done(&command);
}

/* Behaviours 136, 138. */
START_TEST(ps_is_a_table_oldest_first)
{
  begin();
  compute("ps", 0, "no sandboxes\n", NULL);
  put_box("middle", 187 * 60000 + 5000, "2");
  put_box("young", 42000, "1");
  put_box("old", (int64_t) (12 * 24 + 4) * 3600000 + 5000, "3");
  compute("ps", 0,
          "ID      PROVIDER  STATE      UPTIME   NETWORK       SESSION\n"
          "old     shelf     suspended  12d4h    none          sesn_of_old\n"
          "middle  shelf     running    3h7m     none          sesn_of_middle\n"
          "young   shelf     starting   42s      none          sesn_of_young\n",
          NULL);
  command_end();
}
END_TEST

START_TEST(ps_json_is_an_object_a_line)
{
  begin();
  compute("ps --json", 0, NULL, NULL);
  put_box("one", 1000, "2");
  put_box("two", 2000, "2");
  mag_autofree char *line = mag_sprintf("--plugin-dir %s compute ps --json", command_path("plugins"));
  struct command command = command_run(line);
  const char *second = strchr(command.stdout_text.ptr, '\n');
  mag_autojson json = NULL;
  ck_assert_ptr_nonnull(second);
  ck_assert_int_eq(mag_json_parse(mbp_str(second + 1), &json, NULL), 0);
  static const char *const members[][2] = {{"provider", "shelf"},      {"id", "one"},        {"key", "key-one"},
                                           {"session", "sesn_of_one"}, {"state", "running"}, {"network", "none"},
                                           {"limits", "memory 1 MiB"}};
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    ck_assert_str_eq(mag_json_str(mag_json_get(json, members[i][0])).ptr, members[i][1]);
  ck_assert_uint_gt(mag_json_str(mag_json_get(json, "created_at")).len, 19);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(a_provider_that_fails_is_never_an_empty_list)
{
  begin();
  put_box("one", 1000, "2");
  command_write_file("shelf/list-fails", "");
  compute("ps", 1, NULL, "magent: shelf: the shelf is out of reach\n");
  compute("ps --json", 1, NULL, "magent: shelf: the shelf is out of reach\n");
  compute("ps --provider shelf", 1, NULL, "magent: shelf: the shelf is out of reach\n");
  compute("stop --all", 1, NULL, "magent: shelf: the shelf is out of reach\n");
  compute("stop one", 1, NULL, "no sandbox \"one\" with the providers that could be asked");
  ck_assert(has_box("one"));
  /* The others are listed all the same: a second shelf, whose configuration is missing. */
  ck_assert_int_eq(unlink(command_path("shelf/list-fails")), 0);
  command_write_file("plugins/magent-compute-broken.so", "this is no module");
  compute("ps", 1, "\none  ", "magent: broken: ");
  compute("ps --provider shelf", 0, "\none  ", NULL);
  compute("stop --all", 1, "stopped one\n", "magent: broken: ");
  ck_assert(!has_box("one"));
  compute("ps", 1, NULL, "magent: broken: ");
  command_end();
}
END_TEST

START_TEST(a_provider_that_is_not_available_is_left_out_unless_it_is_named)
{
  begin();
  ck_assert_int_eq(rmdir(command_path("shelf")), 0);
  compute("ps", 0, "no sandboxes\n", "magent: shelf: not asked: there is no shelf\n");
  compute("ps --json", 0, NULL, "magent: shelf: not asked: there is no shelf\n");
  compute("stop --all", 0, "no sandboxes\n", "magent: shelf: not asked: there is no shelf\n");
  compute("ps --provider shelf", 1, NULL, "magent: shelf: there is no shelf\n");
  command_end();
}
END_TEST

START_TEST(a_provider_that_cannot_be_opened_is_named_once)
{
  begin();
  struct command there = command_run("plugin inspect compute-docker --exists");
  bool built = there.status == 0;
  command_done(&there);
  if (built) {
    command_env("DOCKER_HOST=npipe://engine");
    check("compute ps --provider docker", 1, "",
          "magent: docker: 'npipe://engine' is no engine's address: unix:///PATH or tcp://HOST:PORT");
  }
  command_end();
}
END_TEST

START_TEST(an_unknown_provider_is_said_loudly)
{
  begin();
  compute("ps --provider shelv", 1, NULL, "did you mean");
  compute("stop --all --provider shelv", 1, NULL, "did you mean");
  command_end();
}
END_TEST

/* Behaviour 137. */
START_TEST(stop_takes_ids_keys_and_beginnings)
{
  begin();
  static const char *const ids[] = {"abcd1", "abcd2", "abcd", "0123456789", "other"};
  for (size_t i = 0; i < MAG_COUNT(ids); i++)
    put_box(ids[i], 1000, "2");
  compute("stop abc", 1, NULL, "magent: no sandbox \"abc\"; `magent compute ps` shows which there are\n");
  compute("stop nothing", 1, NULL, "no sandbox \"nothing\"");
  compute("stop abcd", 0, "stopped abcd\n", NULL); /* the whole id, not a beginning */
  compute("stop abcd", 1, NULL, "several sandboxes' ids begin with \"abcd\"");
  ck_assert(has_box("abcd1") && has_box("abcd2") && !has_box("abcd"));
  compute("stop 01234 key-abcd1", 0, "stopped abcd1\n", NULL);
  ck_assert(!has_box("0123456789") && !has_box("abcd1"));
  /* What can be stopped is, whatever else is wrong. */
  compute("stop nothing abcd2 --json", 1, "{\"provider\":\"shelf\",\"id\":\"abcd2\",\"key\":\"key-abcd2\"",
          "no sandbox");
  compute("stop --all", 0, "stopped other\n", NULL);
  compute("stop --all", 0, "no sandboxes\n", NULL);
  command_end();
}
END_TEST

START_TEST(what_does_not_stop_is_an_error)
{
  begin();
  put_box("stuck", 1000, "2");
  put_box("immortal", 1000, "2");
  put_box("mortal", 1000, "2");
  compute("stop immortal", 1, NULL, "magent: shelf: sandbox immortal is still running\n");
  compute("stop stuck", 1, NULL, "magent: shelf: it does not let go\n");
  compute("stop --all", 1, "stopped mortal\n", "it does not let go");
  ck_assert(has_box("stuck") && has_box("immortal") && !has_box("mortal"));
  command_end();
}
END_TEST

START_TEST(wrong_usage_is_told)
{
  begin();
  put_box("one", 1000, "2");
  compute("", 2, NULL, "a command is needed");
  compute("pss", 2, NULL, "unknown command \"compute pss\"");
  compute("stop", 2, NULL, "ids, or --all");
  compute("stop one --all", 2, NULL, "not both");
  compute("ps one", 2, NULL, "unexpected \"one\"");
  compute("ps --all", 2, NULL, "magent: compute ps: unknown option --all");
  compute("stop --al --jsno", 2, NULL, "unknown option --jsno; did you mean --json?");
  compute("ps --help", 0, "Usage: magent compute ps", NULL);
  ck_assert(has_box("one"));
  command_end();
}
END_TEST

START_TEST(providers_whose_sandboxes_end_with_their_process_are_not_asked)
{
  begin();
  put_box("one", 1000, "2");
  struct command command = command_run("compute ps --provider local");
  if (command.status == 0)
    ck_assert_str_eq(command.stdout_text.ptr, "no sandboxes\n");
  else
    ck_assert_ptr_nonnull(strstr(command.stderr_text.ptr, "no compute plugin 'local'"));
  command_done(&command);
  command_end();
}
END_TEST

/* ---- Without a sandbox ------------------------------------------------------------------------------------------- */

/* An agent with that environment. False: the provider is not built. */
static bool begin_agent(const char *provider, const char *environment, const char *script)
{
  command_begin();
  mag_autofree char *line = mag_sprintf("plugin inspect compute-%s --exists", provider);
  struct command show = command_run(line);
  bool there = show.status == 0;
  command_done(&show);
  command_script(script);
  mag_autofree char *agent = mag_sprintf(
      "name: boxed\nmodel: scripted/x\ntools:\n  - type: agent_toolset_20260401\ncompute: {%s}\n", environment);
  command_write_file("agent.yaml", agent);
  if (!there)
    command_end();
  return there;
}

static void run_agent(int status, const char *out, const char *err)
{
  mag_autofree char *line = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  check(line, status, out, err);
}

START_TEST(an_engine_that_is_not_there_ends_the_turn_and_is_named)
{
  if (!begin_agent("docker", "provider: docker",
                   "[{\"steps\":[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"true\"}}},"
                   "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"false\"}}}]}]"))
    return;
  command_env("DOCKER_HOST=unix:///nonexistent/docker.sock");
  run_agent(1, "",
            "magent: the sandbox could not be made: no Docker engine: there is no /nonexistent/docker.sock; install");
  /* Every call has its answer, and the last one says so too. */
  mag_autofree char *show = mag_sprintf("session show --json %s", command_session());
  check(show, 0, "This tool did not run: the sandbox could not be made: no Docker engine", "");
  check(show, 0, "\"error\":{\"type\":\"unknown_error\",\"message\":\"the sandbox could not be made: no Docker", "");
  command_end();
}
END_TEST

START_TEST(a_session_whose_sandbox_could_not_be_made_is_resumed_when_it_can)
{
  if (!begin_agent("local", "provider: local, setup: [test -e ready]",
                   "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo first\"}}},"
                   "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo second\"}}},"
                   "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo third\"}}},"
                   "{\"text\":\"It was {{tool_result}}.\"}]"))
    return;
  static const char cause[] =
      "magent: the sandbox could not be made: compute.setup: `test -e ready` failed with status 1";
  run_agent(1, "", cause);
  mag_autofree char *resume = mag_sprintf("session resume %s", command_session());
  check(resume, 1, "", cause);
  mag_autofree char *ready = mag_sprintf("state/magent/workspaces/%s/ready", command_session());
  command_write_file(ready, "");
  check(resume, 0, "It was third.", "");
  command_end();
}
END_TEST

/* ---- With an engine ---------------------------------------------------------------------------------------------- */

/* A session whose sandbox is a container, with a script for the model. */
static void begin_docker(const char *script)
{
  mag_autofree char *host = mag_sprintf("DOCKER_HOST=%s", secure_getenv("MAGENT_TEST_DOCKER"));
  const char *image = secure_getenv("MAGENT_TEST_DOCKER_IMAGE");
  command_begin();
  command_env(host);
  command_script(script);
  mag_autofree char *agent =
      mag_sprintf("name: contained\nmodel: scripted/x\ntools:\n  - type: agent_toolset_20260401\n"
                  "compute: {provider: docker, image: '%s'}\n",
                  image);
  command_write_file("agent.yaml", agent);
}

/* What `compute ps --json` prints of docker, until it holds `text` (NULL: until it is empty). Caller frees. */
static char *await_listed(const char *text)
{
  for (int i = 0; i < 200; i++) {
    struct command ps = command_run("compute ps --provider docker --json");
    ck_assert_msg(ps.status == 0, "%s", ps.stderr_text.ptr);
    bool there = text ? strstr(ps.stdout_text.ptr, text) != NULL : !*ps.stdout_text.ptr;
    char *listed = there ? mag_str_dup(mag_buf_str(&ps.stdout_text)) : NULL;
    command_done(&ps);
    if (there)
      return listed;
    (void) poll(NULL, 0, 50);
  }
  ck_abort_msg("never listed: %s", text ? text : "nothing");
  return NULL;
}

/* A command that goes on for ever, and one that says whether such a one still does. */
#define BEAT "while :; do echo x >> beat; sleep 0.05; done"
#define HAS_ENDED "a=$(wc -c < beat); sleep 1; test $a = $(wc -c < beat) && echo ended"

static void remove_session(void)
{
  mag_autofree char *line = mag_sprintf("session rm %s", command_session());
  check(line, 0, "", "");
  free(await_listed(NULL));
}

START_TEST(a_container_stays_with_its_session_and_goes_with_it)
{
  begin_docker("[{\"tool_call\":{\"name\":\"write\",\"input\":{\"file_path\":\"a.py\",\"content\":\"print(6*7)\"}}},"
               "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"python3 a.py; id -u; (" BEAT ") &\"}}},"
               "{\"text\":\"It says {{tool_result}}.\"},"
               "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"cat a.py; pwd; " HAS_ENDED "\"}}},"
               "{\"text\":\"Then {{tool_result}}.\"}]");
  run_agent(0, "It says 42\n1000", "");
  mag_autofree char *listed = await_listed("\"state\":\"running\"");
  ck_assert_msg(strstr(listed, command_session()), "%s", listed);
  mag_autofree char *again = mag_sprintf("run --session %s more", command_session());
  check(again, 0, "Then print(6*7)/workspace\nended\nNote: the processes that ran in the sandbox", "");
  mag_autofree char *listed_again = await_listed("\"state\":\"running\"");
  ck_assert_str_eq(listed_again, listed); /* one, and the same */
  remove_session();
  command_end();
}
END_TEST

START_TEST(what_a_killed_magent_leaves_is_listed_resumed_and_stopped)
{
  begin_docker(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo kept > mark; echo begun $((40+2)); " BEAT
      "\"}}},"
      "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"cat mark; " HAS_ENDED "\"}}},"
      "{\"text\":\"It was {{tool_result}}.\"}]");
  mag_autofree char *line = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  struct command run = command_start(line, false);
  command_await(&run, "begun 42");
  ck_assert_int_eq(kill(run.pid, SIGKILL), 0);
  command_finish(&run);
  command_done(&run);
  mag_autofree char *listed = await_listed("\"state\":\"running\"");
  ck_assert_msg(strstr(listed, command_session()), "%s", listed);
  /* The same container goes on: what was in it is still there, but not what ran in it. */
  mag_autofree char *resume = mag_sprintf("session resume %s", command_session());
  check(resume, 0, "It was kept\nended\nNote: the processes that ran in the sandbox", "");
  mag_autofree char *show = mag_sprintf("session show %s", command_session());
  check(show, 0, "Whether it had an effect is unknown", "");
  remove_session();
  command_end();
}
END_TEST

/* A magent that is killed before it has noted what it made: only the key is in the log. Gives what is listed. */
static char *die_while_making(void)
{
  mag_autofree char *line = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  struct command run = command_start(line, false);
  char *listed = await_listed("\"state\":\"running\"");
  ck_assert_int_eq(kill(run.pid, SIGKILL), 0);
  command_finish(&run);
  command_done(&run);
  return listed;
}

START_TEST(a_container_that_was_never_noted_is_replaced_or_goes_with_its_session)
{
  begin_docker("[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo here\"}}},"
               "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo here\"}}},"
               "{\"text\":\"It is {{tool_result}}.\"}]");
  mag_autofree char *agent = command_read_file("agent.yaml");
  agent[strcspn(agent, "}")] = 0;
  mag_autofree char *with_setup = mag_sprintf("%s, setup: [sleep 5]}\n", agent);
  command_write_file("agent.yaml", with_setup);
  free(die_while_making());
  remove_session();
  mag_autofree char *before = die_while_making();
  mag_autofree char *resume = mag_sprintf("session resume %s", command_session());
  check(resume, 0, "It is here", NULL);
  mag_autofree char *after = await_listed("\"state\":\"running\"");
  ck_assert_ptr_null(strstr(strchr(after, '\n') + 1, "\n")); /* one */
  ck_assert_str_ne(before, after);
  remove_session();
  command_end();
}
END_TEST

START_TEST(a_container_that_nobody_resumes_is_stopped_by_hand)
{
  begin_docker("[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"sleep 60\"}}},{\"text\":\"done\"}]");
  mag_autofree char *line = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  struct command run = command_start(line, false);
  command_await(&run, "> bash");
  free(await_listed("\"state\":\"running\""));
  ck_assert_int_eq(kill(run.pid, SIGKILL), 0);
  command_finish(&run);
  command_done(&run);
  struct command stop = command_run("compute stop --all --provider docker");
  ck_assert_msg(stop.status == 0 && strncmp(stop.stdout_text.ptr, "stopped ", 8) == 0, "%s", stop.stderr_text.ptr);
  command_done(&stop);
  free(await_listed(NULL));
  command_end();
}
END_TEST

START_TEST(a_session_goes_on_when_its_container_is_stopped_under_it)
{
  begin_docker("[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo begun $((40+2)); sleep 60\"}}},"
               "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo again\"}}},"
               "{\"text\":\"It was {{tool_result}}.\"}]");
  mag_autofree char *line = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  struct command run = command_start(line, false);
  command_await(&run, "begun 42");
  check("compute stop --all --provider docker", 0, "stopped ", "");
  command_finish(&run);
  ck_assert_msg(run.status == 0 &&
                    strstr(run.stdout_text.ptr, "again\nNote: this conversation goes on in a new sandbox. No file"),
                "%d: %s %s", run.status, run.stdout_text.ptr, run.stderr_text.ptr);
  ck_assert_msg(strstr(run.stderr_text.ptr, "the sandbox was lost while the command ran"), "%s", run.stderr_text.ptr);
  command_done(&run);
  remove_session();
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("compute command");
  TCase *tcase = tcase_create("ps and stop");
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, ps_is_a_table_oldest_first);
  tcase_add_test(tcase, ps_json_is_an_object_a_line);
  tcase_add_test(tcase, a_provider_that_fails_is_never_an_empty_list);
  tcase_add_test(tcase, a_provider_that_is_not_available_is_left_out_unless_it_is_named);
  tcase_add_test(tcase, a_provider_that_cannot_be_opened_is_named_once);
  tcase_add_test(tcase, an_unknown_provider_is_said_loudly);
  tcase_add_test(tcase, stop_takes_ids_keys_and_beginnings);
  tcase_add_test(tcase, what_does_not_stop_is_an_error);
  tcase_add_test(tcase, wrong_usage_is_told);
  tcase_add_test(tcase, providers_whose_sandboxes_end_with_their_process_are_not_asked);
  tcase_add_test(tcase, an_engine_that_is_not_there_ends_the_turn_and_is_named);
  tcase_add_test(tcase, a_session_whose_sandbox_could_not_be_made_is_resumed_when_it_can);
  suite_add_tcase(suite, tcase);
  if (secure_getenv("MAGENT_TEST_DOCKER_IMAGE")) {
    TCase *docker = tcase_create("docker");
    tcase_set_timeout(docker, 120);
    tcase_add_test(docker, a_container_stays_with_its_session_and_goes_with_it);
    tcase_add_test(docker, what_a_killed_magent_leaves_is_listed_resumed_and_stopped);
    tcase_add_test(docker, a_container_that_was_never_noted_is_replaced_or_goes_with_its_session);
    tcase_add_test(docker, a_container_that_nobody_resumes_is_stopped_by_hand);
    tcase_add_test(docker, a_session_goes_on_when_its_container_is_stopped_under_it);
    suite_add_tcase(suite, docker);
  }
  return run_suite(suite);
}
