/* The magent command as a user meets it: exit statuses, what goes to which stream, and errors that say what to do. */
#include "command_check.h"
#include "../lib/run.h"
#include "rig.h"
#include "service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "run --compute C ARGUMENTS" */
static struct command run_with_tools(const char *arguments)
{
  mag_autofree char *line = mag_sprintf("run --compute %s %s", rig_compute(), arguments);
  return command_run(line);
}

/* ---- Streams and statuses ------------------------------------------------------------------------------------- */

START_TEST(the_answer_goes_to_stdout_and_activity_to_stderr)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[{\"text\":\"I run it.\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo "
                 "4$((1+1))\"}}},{\"text\":\"It is {{tool_result}}.\"}]");
  struct command command = run_with_tools("go");
  expect(&command, 0, NULL, "> bash: echo 4$((1+1))");
  ck_assert_str_eq(command.stdout_text.ptr, "I run it.\nIt is 42.\n");
  ck_assert_ptr_nonnull(strstr(command.stderr_text.ptr, "| 42"));
  ck_assert_ptr_null(strstr(command.stderr_text.ptr, "It is"));
  ck_assert_ptr_null(strchr(command.stderr_text.ptr, '\033'));
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(of_endless_tool_output_a_bounded_part_is_shown)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("seq 200000; exit 3") "," CALLS("echo again") ",{\"text\":\"done\"}]");
  struct command command = run_with_tools("go");
  expect(&command, 0, "done", NULL);
  const char *rest = strstr(command.stderr_text.ptr, "\n  | ... the rest of this output is not shown\n");
  ck_assert_ptr_nonnull(rest);
  ck_assert_msg(strncmp(strchr(rest + 1, '\n') + 1, "! failed: ", 10) == 0, "%.200s", rest);
  ck_assert_ptr_nonnull(strstr(command.stderr_text.ptr, "\n  | 20000\n"));
  ck_assert_ptr_nonnull(strstr(rest, "\n  | again\n")); /* the next one has its own part */
  ck_assert_uint_lt(command.stderr_text.len, 300 << 10);
  command_done(&command);
  command_end();
}
END_TEST

/* Behaviour 3. */
START_TEST(json_prints_events_and_nothing_else)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("echo hi") ",{\"text\":\"done\"}]");
  struct command command = run_with_tools("--json go");
  expect(&command, 0, NULL, NULL);
  ck_assert_str_eq(command.stderr_text.ptr, "");
  size_t lines = 0;
  for (char *line = command.stdout_text.ptr, *end; *line; line = end + 1, lines++) {
    mag_autojson json = NULL;
    end = strchr(line, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_eq(mag_json_parse(mbp_str_n(line, (size_t) (end - line)), &json, NULL), 0);
    ck_assert_uint_gt(mag_json_str(mag_json_get(json, "id")).len, 0);
    ck_assert_uint_gt(mag_json_str(mag_json_get(json, "type")).len, 0);
  }
  ck_assert_uint_ge(lines, 9);
  /* The same events again, from the log. */
  mag_autofree char *line = mag_sprintf("session show %s --json", command_session());
  struct command shown = command_run(line);
  expect(&shown, 0, "\"type\":\"session.status_idle\"", NULL);
  ck_assert_msg(!strstr(shown.stdout_text.ptr, "\"processed_at\":null"), "%s", shown.stdout_text.ptr);
  command_done(&shown);
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(exit_statuses_are_what_the_help_says)
{
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  check("run --tools none hello", 0, "ok\n", NULL);
  check("run --tools none --max-turns 1 hello", 0, "ok\n", NULL);
  check("run", 2, NULL, "a prompt is needed");
  check("run --session= hello", 2, NULL, "--session: the id is empty");
  check("run one two", 2, NULL, "quotes");
  check("run ''", 2, NULL, "empty");
  check("run --no-such-option x", 2, NULL, "--no-such-option");
  check("run --model", 2, NULL, "--model needs a value");
  check("run --max-turns 0 x", 2, NULL, "--max-turns 0");
  check("run --max-turns 1x x", 2, NULL, "--max-turns 1x");
  check("run --timeout soon x", 2, NULL, "--timeout soon");
  check("run --workspace /no/such x", 2, NULL, "/no/such");
  check("walk", 2, NULL, "unknown command");
  check("rum x", 2, NULL, "did you mean \"run\"");
  check("", 2, NULL, "a command is needed");
  check("session", 2, NULL, "a command is needed");
  check("session show", 2, NULL, "id of a session");
  check("session fly x", 2, NULL, "unknown command");
  check("run --help", 0, "Usage: magent run", NULL);
  check("session --help", 0, "Usage: magent session", NULL);
  check("--help", 0, "Usage: magent", NULL);
  check("--version", 0, "magent ", NULL);
  command_script("[{\"error\":{\"code\":\"billing\",\"message\":\"no money left\"}}]");
  struct command command = command_run("run --tools none --model scripted/x hello");
  expect(&command, 1, NULL, NULL);
  ck_assert_str_eq(command.stdout_text.ptr, "");
  ck_assert_str_eq(command.stderr_text.ptr, "magent: no money left\n"); /* once */
  command_done(&command);
  command_script("[{\"text\":\"no\",\"stop\":\"refusal\"}]");
  check("run --tools none hello", 1, NULL, "refused");
  command_script("[{\"text\":\"half\",\"stop\":\"max_tokens\"}]");
  check("run --tools none hello", 4, "half", "max_tokens");
  command_script("[{\"steps\":[{\"text\":\"x\"},{\"delay_ms\":20000}]}]");
  check("run --tools none --timeout 300ms hello", 4, NULL,
        "time limit of this turn was reached\n        Go on with --session");
  command_end();
}
END_TEST

START_TEST(a_question_ends_with_3_and_yes_answers_it)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("echo ran") ",{\"text\":\"it {{tool_result}}\"}]");
  mag_autofree char *agent =
      mag_sprintf("name: careful\ncompute: %s\ntools:\n  - type: agent_toolset_20260401\n    default_config:\n"
                  "      permission_policy: {type: always_ask}\n",
                  rig_compute());
  command_write_file("agent.yaml", agent);
  mag_autofree char *run = mag_sprintf("run --agent %s go", command_path("agent.yaml"));
  check(run, 3, NULL, "magent session answer sesn_");
  mag_autofree char *resume = mag_sprintf("session resume %s", command_session());
  check(resume, 3, NULL, "waits for a yes or no");
  mag_autofree char *yes = mag_sprintf("session resume %s --yes", command_session());
  check(yes, 0, "it ran", NULL);
  mag_autofree char *at_once = mag_sprintf("run --yes --agent %s go", command_path("agent.yaml"));
  check(at_once, 0, "it ran", NULL);
  command_end();
}
END_TEST

START_TEST(max_turns_ends_with_4_and_the_session_goes_on)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("echo one") "," CALLS("echo two") ",{\"text\":\"three\"}]");
  struct command command = run_with_tools("--max-turns 1 go");
  expect(&command, 4, NULL, "--session sesn_");
  command_done(&command);
  mag_autofree char *resume = mag_sprintf("session resume %s", command_session());
  check(resume, 0, "three", NULL);
  command_end();
}
END_TEST

/* ---- Input ---------------------------------------------------------------------------------------------------- */

START_TEST(a_prompt_may_come_from_stdin)
{
  command_begin();
  struct command command = command_run_with("run --tools none --model scripted/scripted-echo -", "two\nlines\n\n");
  expect(&command, 0, "two\nlines\n", NULL);
  command_done(&command);
  command = command_run_with("run --tools none --model scripted/scripted-echo -", "");
  expect(&command, 2, NULL, "empty");
  command_done(&command);
  command = command_run_with("run --tools none --model scripted/scripted-echo -", "\xff\xfe");
  expect(&command, 2, NULL, "UTF-8");
  command_done(&command);
  command = command_run("session list --json");
  ck_assert_ptr_eq(strchr(command.stdout_text.ptr, '\n'),
                   strrchr(command.stdout_text.ptr, '\n')); /* one, of the first run */
  command_done(&command);
  command_end();
}
END_TEST

/* Behaviour 117. */
START_TEST(agent_files_are_yaml_or_json_and_strict)
{
  static const struct {
    const char *name, *text;
    int status;
    const char *out, *err;
  } rows[] = {
      {"a.yaml", "model: scripted/scripted-echo\nsystem: |\n  Be kind.\ntools: []\n", 0, "hello", NULL},
      {"a.json", "{\"model\":{\"id\":\"scripted/scripted-echo\",\"temperature\":0.5},\"tools\":[]}", 0, "hello", NULL},
      {"b.yaml", "modle: scripted/scripted-echo\n", 1, NULL, "b.yaml:1: modle: unknown key; did you mean \"model\"?"},
      {"b.json", "{\"tools\":[],\"zzzzzz\":1}", 1, NULL, "b.json:1: zzzzzz: unknown key; known are name"},
      {"c.yaml", "tools: bash\n", 1, NULL, "c.yaml:1: tools: expected a list"},
      {"d.yaml", "a: b: c\n", 1, NULL, "d.yaml:1: "},
      {"e.yaml", "# nothing but a remark\n", 0, "ok", NULL}, /* behaviour 37: an empty file is all defaults */
      {"f.yaml", "x: &a [1]\ny: *a\n", 1, NULL, "f.yaml:2: aliases"},
      {"g.yaml", "compute: {provider: local, memry: 1G}\n", 1, NULL,
       "g.yaml:1: compute.memry: unknown key; did you mean \"memory\"?"},
      {"h.yaml", "packages: {pip: [x]}\n", 1, NULL, "packages.pip: this version cannot install packages"},
      {"i.yaml", "networking: {type: limited, allowed_hosts: [a]}\n", 1, NULL, "\"limited\" cannot be enforced"},
      {"j.json", "{\"model\":", 1, NULL, "j.json"},
      {"k.yaml", "- a\n- b\n", 1, NULL, "k.yaml:1: expected a mapping"},
      {"l.yaml", "model: scripted/x\nmodel: scripted/y\n", 1, NULL, "l.yaml:2: \"model\" stands twice: also on line 1"},
  };
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    command_write_file(rows[i].name, rows[i].text);
    mag_autofree char *line = mag_sprintf("run --agent %s hello", command_path(rows[i].name));
    if (rows[i].status)
      check_error_line(line, rows[i].status, rows[i].err);
    else
      check(line, 0, rows[i].out, NULL);
  }
  check_error_line("run --agent /no/such/file hello", 1, "/no/such/file");
  check_error_line("run --agent / hello", 1, "/");
  command_end();
}
END_TEST

START_TEST(tools_can_be_chosen)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("echo x > made") ",{\"text\":\"so: {{tool_result}}\"}]");
  struct command command = run_with_tools("--tools read,glob go");
  expect(&command, 0, "There is no tool named", NULL);
  command_done(&command);
  command = run_with_tools("--tools none go");
  expect(&command, 0, "There is no tool named", NULL);
  command_done(&command);
  command = run_with_tools("--tools bash go");
  expect(&command, 0, "so: ", NULL);
  command_done(&command);
  check("run --tools bsh go", 1, NULL, "did you mean \"bash\"");
  check("run --tools bash,,read go", 2, NULL, "is not a list");
  check("run --tools '' go", 2, NULL, "list");
  /* They are those of the defaults' toolset. */
  command_write_file("conf/defaults.json",
                     "{\"models\":[{\"model\":\"scripted/x\"}],\"tools\":[{\"type\":\"other_toolset_1\"}],"
                     "\"compute\":\"bubblewrap\"}");
  check("run --tools bash go", 1, NULL, "other_toolset_1");
  command_write_file("conf/defaults.json", "{\"models\":[{\"model\":\"scripted/x\"}],\"compute\":\"bubblewrap\"}");
  check("run --tools bash go", 1, NULL, "no default toolset to choose tools from");
  check("run --tools none go", 0, NULL, NULL);
  command_end();
}
END_TEST

START_TEST(what_cannot_be_enforced_is_refused_and_nothing_is_left)
{
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  if (rig_has_bubblewrap()) {
    check_error_line("run --network limited hello", 1, "\"limited\" cannot be enforced");
    check_error_line("run --network unrestricted hello", 1, "\"unrestricted\" cannot be enforced");
    check_error_line("run --network sideways hello", 2,
                     "--network: networking.type: \"sideways\" is not known; there are none");
  }
  check_error_line("run --compute nowhere hello", 1, "nowhere");
  check_error_line("run --model nobody/x hello", 1, "nobody");
  check_no_session();
  struct stat st;
  ck_assert_int_lt(stat(command_path("state/magent/workspaces"), &st), 0);
  command_end();
}
END_TEST

START_TEST(a_workspace_of_the_host_is_worked_in)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[" CALLS("pwd; cat given; echo made > made") ",{\"text\":\"{{tool_result}}\"}]");
  command_write_file("work/given", "given text\n");
  mag_autofree char *arguments = mag_sprintf("--workspace %s go", command_path("work"));
  struct command command = run_with_tools(arguments);
  expect(&command, 0, "given text", NULL);
  mag_autofree char *made = command_read_file("work/made");
  ck_assert_str_eq(made, "made\n");
  command_done(&command);
  command_end();
}
END_TEST

/* Who writes there decides what runs outside of the sandbox: another session's log names its provider. */
START_TEST(a_workspace_with_what_decides_about_sandboxes_is_refused)
{
  if (!rig_compute() || strcmp(rig_compute(), "local") == 0)
    return;
  command_begin();
  command_script("[{\"text\":\"never\"}]");
  static const char *const machine[] = {"/", "/proc", "/sys/kernel", "/dev"};
  for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
    mag_autofree char *arguments = mag_sprintf("--workspace %s go", machine[i]);
    struct command command = run_with_tools(arguments);
    expect(&command, 1, NULL, "workspace /");
    ck_assert_ptr_null(strstr(command.stdout_text.ptr, "never"));
    command_done(&command);
  }
  mag_autofree char *above = mag_sprintf("--workspace %s go", command_path(""));
  struct command command = run_with_tools(above);
  expect(&command, 1, NULL, "where sessions are kept");
  command_done(&command);
  mag_autofree char *plugins = realpath("plugins-0", NULL);
  mag_autofree char *holds = mag_sprintf("--workspace %s go", plugins);
  command = run_with_tools(holds);
  expect(&command, 1, NULL, "which what runs in a sandbox must not write");
  command_done(&command);
  command_end();
}
END_TEST

/* What is too long for the model goes to a file, and that goes with the session, also when magent is killed. */
START_TEST(files_of_long_outputs_do_not_outlive_a_local_session)
{
  if (!rig_has_plugin("compute-local"))
    return;
  command_begin();
  command_script("[" CALLS("seq 100000") "," CALLS(
      "echo $TMPDIR > tmpdir; ls -d $TMPDIR/.magent-*; sleep 20") ",{\"text\":\"done\"}]");
  mag_autofree char *line = mag_sprintf("run --compute local --workspace %s go", command_path("work"));
  struct command killed = command_start(line, false);
  command_await(&killed, "/tmp/.magent-");
  mag_autofree char *place = command_read_file("work/tmpdir");
  place[strcspn(place, "\n")] = 0;
  ck_assert_msg(place[0] == '/' && access(place, F_OK) == 0, "%s", place);
  ck_assert_int_eq(kill(killed.pid, SIGKILL), 0);
  command_finish(&killed);
  command_done(&killed);
  for (int i = 0; i < 2000 && access(place, F_OK) == 0; i++)
    (void) usleep(5000);
  ck_assert_msg(access(place, F_OK) != 0, "%s is left", place);
  command_end();
}
END_TEST

START_TEST(what_a_provider_remarks_while_it_makes_a_sandbox_is_shown)
{
  if (!rig_has_bubblewrap())
    return;
  command_begin();
  ck_assert_int_eq(mkdir(command_path("work/odd"), 0700), 0);
  ck_assert_int_eq(symlink("../x", command_path("work/odd/.git")), 0);
  command_script("[" CALLS("echo ran") ",{\"text\":\"done\"}]");
  mag_autofree char *line = mag_sprintf("run --compute bubblewrap --workspace %s go", command_path("work"));
  check(line, 0, "done", "not all repositories below the workspace are guarded");
  command_end();
}
END_TEST

/* Behaviours 11, 114. */
START_TEST(local_compute_runs_and_says_what_it_is)
{
  if (!rig_has_plugin("compute-local")) {
    rig_skip("no compute-local in this build");
    return;
  }
  command_begin();
  command_script("[" CALLS("echo $PWD; echo secret=$ANTHROPIC_API_KEY") ",{\"text\":\"{{tool_result}}\"}]");
  command_env("ANTHROPIC_API_KEY=" KEY);
  struct command command = command_run("run --compute local go");
  expect(&command, 0, "secret=", NULL);
  ck_assert_ptr_null(strstr(command.stdout_text.ptr, KEY));
  ck_assert_ptr_null(strstr(command.stdout_text.ptr, "redacted")); /* it was never in its environment */
  command_done(&command);
  command_end();
}
END_TEST

/* ---- Sessions ------------------------------------------------------------------------------------------------- */

/* Behaviour 139. */
START_TEST(sessions_are_listed_shown_continued_and_removed)
{
  command_begin();
  check("session list", 0, "no sessions yet", NULL);
  command_script("[{\"text\":\"first answer\"},{\"text\":\"second answer\"}]");
  check("run --tools none --title 'A title' one", 0, "first answer", NULL);
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  check("session list", 0, "A title", NULL);
  mag_autofree char *again = mag_sprintf("run --session %s two", id);
  check(again, 0, "second answer", NULL);
  mag_autofree char *show = mag_sprintf("session show %s", id);
  struct command command = command_run(show);
  expect(&command, 0, "# user: one\nfirst answer\n# user: two\nsecond answer\n", NULL);
  ck_assert_str_eq(command.stderr_text.ptr, "");
  command_done(&command);
  mag_autofree char *resume = mag_sprintf("session resume %s", id);
  check(resume, 0, NULL, "has nothing to go on with");
  mag_autofree char *info = mag_sprintf("session info %s --json", id);
  check(info, 0, "\"turns\":2", NULL);
  mag_autofree char *with_tools = mag_sprintf("run --session %s --tools bash three", id);
  check(with_tools, 2, NULL, "--tools");
  mag_autofree char *with_agent = mag_sprintf("run --session %s --agent x.yaml three", id);
  check(with_agent, 2, NULL, "--agent");
  mag_autofree char *rm = mag_sprintf("session rm %s", id);
  check(rm, 0, NULL, NULL);
  check_no_session();
  check(rm, 1, NULL, "no session");
  check(show, 1, NULL, "no session");
  check(again, 1, NULL, "no session");
  check(resume, 1, NULL, "no session");
  check_error_line("run --session nonsense hello", 1, "no session \"nonsense\"");
  check_error_line("run --session ../../etc hello", 1, "no session");
  check_error_line("session rm ../../etc", 1, "no session");
  check_error_line("session show ''", 1, "no session \"\"");
  command_end();
}
END_TEST

START_TEST(old_sessions_are_removed_but_not_those_that_run)
{
  command_begin();
  command_script("[{\"text\":\"answer\"}]");
  check("run --tools none --title 'One' hello", 0, "answer", NULL);
  check("run --tools none --title 'Two' hello", 0, "answer", NULL);
  mag_autofree char *workspace = mag_sprintf("state/magent/workspaces/%s", command_session());
  (void) mkdir(command_path("state/magent/workspaces"), 0700);
  ck_assert_int_eq(mkdir(command_path(workspace), 0700), 0);
  command_script("[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":20000}]}]");
  struct command running = command_start("run --tools none --title 'Three' hello", false);
  command_await(&running, "begun");
  check("session rm --older-than 1h", 0, NULL, NULL);
  check("session rm --older-than 0s --dry-run", 0, "Two", NULL);
  check("session list", 0, "One", NULL);
  ck_assert_int_eq(access(command_path(workspace), F_OK), 0);
  struct command command = command_run("session rm --older-than 0s");
  expect(&command, 1, "One", "is being run by another process");
  ck_assert(strstr(command.stdout_text.ptr, "Two") && !strstr(command.stdout_text.ptr, "Three"));
  ck_assert_ptr_nonnull(strstr(command.stderr_text.ptr, "1 old session could not be removed"));
  command_done(&command);
  ck_assert_int_ne(access(command_path(workspace), F_OK), 0);
  command = command_run("session list");
  expect(&command, 0, "Three", NULL);
  ck_assert(!strstr(command.stdout_text.ptr, "One") && !strstr(command.stdout_text.ptr, "Two"));
  command_done(&command);
  (void) kill(running.pid, SIGKILL);
  command_finish(&running);
  command_done(&running);
  check("session rm --older-than 0s", 0, "Three", NULL);
  check_no_session();
  check("session rm --older-than soon", 2, NULL, "--older-than soon: neither a time such as");
  check("session rm --older-than", 2, NULL, "--older-than needs a value");
  check("session rm --older-than 1d sesn_x", 2, NULL, "either");
  check("session rm --dry-run sesn_x", 2, NULL, "--older-than");
  check("session show --older-than 1d sesn_x", 2, NULL, "unknown option --older-than");
  command_end();
}
END_TEST

START_TEST(a_workspace_is_made_when_a_tool_needs_it)
{
  command_begin();
  command_script("[{\"text\":\"no tool\"}," CALLS("touch made") ",{\"text\":\"a tool\"}]");
  check("run --compute local --yes one", 0, "no tool", NULL);
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  mag_autofree char *workspace = mag_sprintf("state/magent/workspaces/%s", id);
  ck_assert_int_ne(access(command_path(workspace), F_OK), 0);
  mag_autofree char *again = mag_sprintf("run --session %s --yes two", id), *made = mag_sprintf("%s/made", workspace);
  check(again, 0, "a tool", NULL);
  ck_assert_int_eq(access(command_path(made), F_OK), 0);
  command_end();
}
END_TEST

START_TEST(a_session_is_kept_until_its_workspace_is_gone)
{
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  check("run --tools none one", 0, "ok", NULL);
  mag_autofree char *rm = mag_sprintf("session rm %s", command_session());
  command_write_file("state/magent/workspaces", "no directory"); /* so that nothing in it can be removed */
  check_error_line(rm, 1, "the session is kept, because its workspace cannot be removed");
  ck_assert_int_eq(unlink(command_path("state/magent/workspaces")), 0);
  mag_autofree char *name = mag_sprintf("state/magent/workspaces/%s", command_session());
  ck_assert_int_eq(mkdir(command_path("state/magent/workspaces"), 0700), 0);
  ck_assert_int_eq(mkdir(command_path(name), 0500), 0);
  check(rm, 0, NULL, NULL);
  ck_assert_int_lt(access(command_path(name), F_OK), 0);
  check_no_session();
  command_end();
}
END_TEST

/* Behaviour 134. */
START_TEST(a_session_that_another_process_runs_is_busy)
{
  command_begin();
  command_script("[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":20000}]}]");
  struct command first = command_start("run --tools none hello", false);
  command_await(&first, "begun");
  mag_autofree char *id = mag_str_dup(mbp_str(command_session()));
  mag_autofree char *again = mag_sprintf("run --session %s hello", id);
  check_error_line(again, 1, id);
  mag_autofree char *rm = mag_sprintf("session rm %s", id);
  mag_autofree char *workspace = mag_sprintf("state/magent/workspaces/%s", id);
  (void) mkdir(command_path("state/magent/workspaces"), 0700);
  ck_assert_int_eq(mkdir(command_path(workspace), 0700), 0);
  check_error_line(rm, 1, id);
  ck_assert_int_eq(access(command_path(workspace), F_OK), 0);
  (void) kill(first.pid, SIGKILL);
  command_finish(&first);
  command_done(&first);
  command_script("[{\"text\":\"back again\"}]");
  mag_autofree char *resume = mag_sprintf("session resume %s", id);
  check(resume, 0, "back again", NULL);
  command_end();
}
END_TEST

/* ---- Starting in bad weather ---------------------------------------------------------------------------------- */

/* Behaviour 142. */
START_TEST(bad_weather_gives_one_clear_line)
{
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  check_error_line("--plugin-dir /no/such/dir run hello", 1, "/no/such/dir");

  command_write_file("conf/defaults.json", "{\"models\":[");
  check_error_line("run --tools none hello", 1, "defaults.json");
  command_write_file("conf/defaults.json", "[]");
  check_error_line("run --tools none hello", 1, "defaults.json");
  command_write_file("conf/defaults.json", "{\"modles\":[]}");
  check_error_line("run --tools none hello", 1, "did you mean \"models\"");
  command_write_file("conf/defaults.json", "{\"models\":7}");
  check_error_line("run --tools none hello", 1, "models: expected a list");
  command_write_file("conf/defaults.json", "{\"models\":[{\"env\":7}]}");
  check_error_line("run --tools none hello", 1, "models: expected entries");
  command_write_file("conf/defaults.json", "{\"models\":[]}");
  check_error_line("run --tools none hello", 1, "names none; say which in the agent file");
  ck_assert_int_eq(unlink(command_path("conf/defaults.json")), 0);
  check_error_line("run --tools none hello", 1, "is missing; say which in the agent file");
  check("run --tools none --model scripted/scripted-echo --compute bubblewrap hello", 0, "hello", NULL);
  command_end();

  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  command_env("XDG_STATE_HOME");
  command_env("HOME");
  check_error_line("run --tools none hello", 1, "HOME");
  check_error_line("session list", 1, "HOME");
  command_env("HOME=relative");
  check_error_line("run --tools none hello", 1, "HOME");
  command_env("XDG_STATE_HOME=/dev/null");
  check_error_line("run --tools none hello", 1, "/dev/null");
  check_error_line("session list", 1, "/dev/null");
  command_env("XDG_STATE_HOME=/proc/nowhere");
  check_error_line("run --tools none hello", 1, "/proc/nowhere");
  command_end();

  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  check("run --tools none hello", 0, "ok", NULL);
  ck_assert_int_eq(access(command_path("state/magent/magent.db"), F_OK), 0);
  command_write_file(
      "state/magent/magent.db",
      "this is no database, and it is longer than a header of one hundred bytes, which is read first .......\n");
  check_error_line("run --tools none hello", 1, "magent.db");
  check_error_line("session list", 1, "magent.db");
  command_script("{\"nonsense\":1}");
  check_error_line("run --tools none hello", 1, "script.json");
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("cli");
  TCase *t = tcase_create("cli");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, the_answer_goes_to_stdout_and_activity_to_stderr);
  tcase_add_test(t, of_endless_tool_output_a_bounded_part_is_shown);
  tcase_add_test(t, json_prints_events_and_nothing_else);
  tcase_add_test(t, exit_statuses_are_what_the_help_says);
  tcase_add_test(t, a_question_ends_with_3_and_yes_answers_it);
  tcase_add_test(t, max_turns_ends_with_4_and_the_session_goes_on);
  tcase_add_test(t, a_prompt_may_come_from_stdin);
  tcase_add_test(t, agent_files_are_yaml_or_json_and_strict);
  tcase_add_test(t, tools_can_be_chosen);
  tcase_add_test(t, what_cannot_be_enforced_is_refused_and_nothing_is_left);
  tcase_add_test(t, a_workspace_of_the_host_is_worked_in);
  tcase_add_test(t, a_workspace_with_what_decides_about_sandboxes_is_refused);
  tcase_add_test(t, files_of_long_outputs_do_not_outlive_a_local_session);
  tcase_add_test(t, what_a_provider_remarks_while_it_makes_a_sandbox_is_shown);
  tcase_add_test(t, local_compute_runs_and_says_what_it_is);
  tcase_add_test(t, sessions_are_listed_shown_continued_and_removed);
  tcase_add_test(t, old_sessions_are_removed_but_not_those_that_run);
  tcase_add_test(t, a_workspace_is_made_when_a_tool_needs_it);
  tcase_add_test(t, a_session_is_kept_until_its_workspace_is_gone);
  tcase_add_test(t, a_session_that_another_process_runs_is_busy);
  tcase_add_test(t, bad_weather_gives_one_clear_line);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
