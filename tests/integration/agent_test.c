/* Agents as a user keeps them: stored with versions, with a project's environment beneath, with references to
 * variables, and with what cannot be done refused before anything is made. Numbers of behaviours are those of
 * docs/BEHAVIOURS.md. */
#include "command_check.h"
#include "../lib/run.h"
#include "rig.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char agent_file[] = "name: rev\nmodel: {id: scripted/scripted-echo, temperature: 0.5}\ntools: []\n"
                                 "compute: {memory: 1G, env: {CI: 1}}\n";

/* Behaviours 74 (change, version + 1), 66 (ids with a prefix). */
/* Behaviour 140. */
START_TEST(agents_are_stored_and_every_version_is_kept)
{
  command_begin();
  command_write_file("a.yaml", agent_file);
  mag_autofree char *create = mag_sprintf("agent create %s", command_path("a.yaml"));
  mag_autofree char *validate = mag_sprintf("agent validate %s", command_path("a.yaml"));
  check("agent list", 0, "no stored agents yet", NULL);
  check(validate, 0, "a.yaml: ok", NULL);
  check(create, 0, ", version 1\n", NULL);
  check(create, 1, NULL, "an agent named \"rev\" is there already (agent_");
  check("agent show rev --json", 0, "{\"agent\":{\"type\":\"agent\",\"id\":\"agent_", NULL);
  check("agent update rev --set compute.memory=1GiB", 0, ", version 1\n", NULL); /* the same in other words */
  check("agent update rev --set description=careful --set compute.env.X=y", 0, ", version 2\n", NULL);
  check("agent show rev", 0, "{\"X\":\"y\",\"CI\":\"1\"}", NULL);
  check("agent show rev@1", 0, "{\"CI\":\"1\"}", NULL);
  check("agent show rev@7", 1, NULL, "no stored agent \"rev\" of version 7");
  check("agent update rev --version 1 --set description=x", 1, NULL, "has version 2, not 1");
  check("agent update rev@1 --set description=x", 1, NULL, "has version 2, not 1");
  check("agent update rev --version 2 --set description=", 0, ", version 3\n", NULL);
  command_write_file("u.yaml", "system: Be brief.\ncompute:\n  env: {CI: null}\n");
  mag_autofree char *update = mag_sprintf("agent update rev %s", command_path("u.yaml"));
  check(update, 0, "Be brief.", NULL);
  struct command command = command_run("agent show rev");
  expect(&command, 0, "{\"X\":\"y\"}", NULL);
  ck_assert_ptr_null(strstr(command.stdout_text.ptr, "description"));
  command_done(&command);
  check("agent update rev --set 'model={id: scripted/scripted-echo, max_tokens: 5}'", 0, "{\"max_tokens\":5,", NULL);
  check("agent list", 0, "rev                      scripted/scripted-echo", NULL);
  check("agent show nobody", 1, NULL, "no stored agent \"nobody\"; `magent agent list` shows those that exist");
  check("agent update rev --set memory=1", 1, NULL, "--set: memory: unknown key; did you mean \"compute.memory\"");
  command_end();
}
END_TEST

START_TEST(a_session_is_a_snapshot_of_a_stored_agent)
{
  command_begin();
  command_write_file("a.yaml", agent_file);
  mag_autofree char *create = mag_sprintf("agent create %s", command_path("a.yaml"));
  check(create, 0, NULL, NULL);
  check("run --agent rev hello", 0, "hello", NULL);
  mag_autofree char *go_on = mag_sprintf("run --session %s again", command_session());
  check("agent update rev --set model=scripted/no-such-script", 0, ", version 2\n", NULL);
  check(go_on, 0, "again", NULL);
  check("run --agent rev@1 hello", 0, "hello", NULL);
  check("agent archive rev", 0, ", archived", NULL);
  check("run --agent rev hello", 1, NULL, "agent \"rev\" is archived; by its id, agent_");
  struct command command = command_run("agent list --all --json");
  expect(&command, 0, "\"archived_at\":\"2", NULL);
  char id[40] = "";
  ck_assert_int_eq(sscanf(strstr(command.stdout_text.ptr, "agent_"), "%32s", id), 1);
  command_done(&command);
  mag_autofree char *use = mag_sprintf("run --agent %s hello", id);
  mag_autofree char *update = mag_sprintf("agent update %s --set description=x", id);
  mag_autofree char *show = mag_sprintf("agent show %s@1", id);
  mag_autofree char *archived = mag_sprintf("agent \"rev\" (%s) is archived: it ", id);
  check(use, 1, NULL, archived);
  check(use, 1, NULL, "takes no new sessions");
  check(update, 1, NULL, archived);
  check(update, 1, NULL, "cannot be changed any more");
  check(show, 0, ", version 1", NULL);
  check(go_on, 0, "again", NULL);        /* sessions stay */
  check(create, 0, ", version 1", NULL); /* and the name is free */
  command_end();
}
END_TEST

START_TEST(what_run_would_refuse_is_neither_valid_nor_stored)
{
  static const struct {
    const char *text, *err;
  } rows[] = {
      {"packages: {pip: [x]}", ":3: packages.pip: this version cannot install packages"},
      {"compute: {gpu: t4}", ":3: compute.gpu: "},
      {"compute: {mounts: [/x]}", ":3: compute.mounts: "},
      {"compute:\n  image: x\ntools: [bash]", ":3: compute.image: compute bubblewrap has no images"},
      {"compute: nosuch\ntools: [bash]", ":2: compute.provider: no compute plugin 'nosuch'"},
      {"networking: {type: limited, allowed_hosts: [a]}\ntools: [bash]",
       ":2: networking.type: network \"limited\" cannot"},
      {"model:\n  max_tokens: 5\n  id: nosuch/model", ":5: model.id: no plugin answers to the model 'nosuch/model'"},
      {"model: scripted\ncompute: {options: {nosuch: 1}}\ntools: [bash]",
       ":3: compute.options: bubblewrap: unknown option \"nosuch\"; known are "},
      {"tools: [bsh]", ":2: tools: agent_toolset_20260401: unknown tool \"bsh\"; did you mean \"bash\""},
  };
  if (!rig_has_bubblewrap())
    return;
  command_begin();
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    mag_autofree char *text = mag_sprintf("name: bad\ntools: []\n%s\n", rows[i].text);
    if (strstr(rows[i].text, "tools:")) { /* a key stands once */
      free(text);
      text = mag_sprintf("name: bad\n%s\n", rows[i].text);
    }
    command_write_file("bad.yaml", text);
    mag_autofree char *validate = mag_sprintf("agent validate %s", command_path("bad.yaml"));
    mag_autofree char *create = mag_sprintf("agent create %s", command_path("bad.yaml"));
    mag_autofree char *run = mag_sprintf("run --agent %s hello", command_path("bad.yaml"));
    mag_autofree char *message = mag_sprintf("bad.yaml%s", rows[i].err);
    check(validate, 1, NULL, message);
    check(create, 1, NULL, message);
    check(run, 1, NULL, message);
  }
  check("agent list", 0, "no stored agents yet", NULL);
  static const char *const later[] = {
      "compute: {env: {A: \"${NOT_SET}\"}}\ntools: [bash]\n",
      "tools:\n  - {type: custom, name: t, description: d, input_schema: {type: object}, command: env, env: {A: "
      "\"${NOT_SET}\"}}\n",
  };
  for (size_t i = 0; i < MAG_COUNT(later); i++) { /* a variable may be there when it runs */
    command_write_file("later.yaml", later[i]);
    mag_autofree char *validate = mag_sprintf("agent validate %s", command_path("later.yaml"));
    mag_autofree char *run = mag_sprintf("run --agent %s hello", command_path("later.yaml"));
    check(validate, 0, "later.yaml: ok", NULL);
    check(run, 1, NULL, "later.yaml:1: ");
    check(run, 1, NULL, "A: the environment variable NOT_SET is not set");
  }
  if (rig_has_plugin("llm-anthropic")) { /* a machine without a key may check and keep it */
    command_write_file("good.yaml", "name: good\nmodel: anthropic/x\ntools: []\n");
    mag_autofree char *validate = mag_sprintf("agent validate %s", command_path("good.yaml"));
    check(validate, 0, "good.yaml: ok", NULL);
    static const char *const params[][2] = {
        {"temprature: 1", "model: unknown model parameter \"temprature\"; did you mean \"temperature\"?"},
        {"max_tokens: many", "model: model parameter \"max_tokens\" must be a whole number"},
    };
    command_env("ANTHROPIC_API_KEY=sk-ant-no-key-of-anybody");
    for (size_t i = 0; i < MAG_COUNT(params); i++) {
      mag_autofree char *text = mag_sprintf("name: bad\nmodel:\n  id: anthropic/x\n  %s\ntools: []\n", params[i][0]);
      mag_autofree char *message = mag_sprintf("bad.yaml:4: %s", params[i][1]);
      mag_autofree char *run = mag_sprintf("run --agent %s hello", command_path("bad.yaml"));
      mag_autofree char *wrong = mag_sprintf("agent validate %s", command_path("bad.yaml"));
      command_write_file("bad.yaml", text);
      check(wrong, 1, NULL, message);
      check(run, 1, NULL, message);
    }
    check_no_session();
    command_env("ANTHROPIC_API_KEY");
    command_write_file("bad.yaml", "model: anthropic/x\ncompute: {gpu: t4}\n");
    mag_autofree char *other = mag_sprintf("agent validate %s", command_path("bad.yaml"));
    check(other, 1, NULL, "compute.gpu: ");
  }
  command_end();
}
END_TEST

START_TEST(agent_usage_is_checked)
{
  command_begin();
  check("agent", 2, NULL, "a command is needed");
  check("agent fly", 2, NULL, "magent: unknown command \"agent fly\"");
  check("agent show", 2, NULL, "an agent is needed");
  check("agent create", 2, NULL, "a file is needed");
  check("agent validate", 2, NULL, "a file is needed");
  check("agent create /no/such.yaml", 1, NULL, "/no/such.yaml");
  check("agent update x --version 0", 2, NULL, "--version 0");
  check("agent list x", 2, NULL, "unexpected \"x\"");
  check("agent --help", 0, "Usage: magent agent", NULL);
  check("help agent", 0, "Usage: magent agent", NULL);
  check("help", 0, "Usage: magent ", NULL);
  check("help rum", 2, NULL, "did you mean \"run\"");
  check("help config", 0, "compute.memory  (size; otherwise the provider's)", NULL);
  check("help config --nonsense", 2, NULL, "--nonsense");
  command_write_file("n.yaml", "system: x\n");
  mag_autofree char *nameless = mag_sprintf("agent create %s", command_path("n.yaml"));
  check(nameless, 1, NULL, "a stored agent needs a name: `name:` in the file, or --set name=...");
  mag_autofree char *file_like = mag_sprintf("agent create %s --set name=a/b", command_path("n.yaml"));
  check(file_like, 1, NULL, "reads like an id or a file");
  command_end();
}
END_TEST

/* ---- One schema ------------------------------------------------------------------------------------------------- */

START_TEST(options_and_keys_are_the_same)
{
  command_begin();
  check("run --set model.id=scripted/scripted-echo --set 'tools=[]' hello", 0, "hello", NULL);
  check("run --set model=scripted/nobody --model scripted/scripted-echo --tools none hello", 0, "hello", NULL);
  check("run --set compute.memroy=1G hello", 2, NULL,
        "magent: --set: compute.memroy: unknown key; did you mean \"memory\"?");
  check("run --set compute.memory hello", 2, NULL, "--set compute.memory: expected KEY=VALUE");
  check("run --set budget.cost=free hello", 2, NULL,
        "budget.cost: expected an amount such as 2.50, without a currency");
  check("run --tools none --model scripted/scripted-echo one", 0, "one", NULL);
  mag_autofree char *go_on = mag_sprintf("run --session %s --set compute.memory=1G two", command_session());
  check(go_on, 2, NULL, "--compute.memory cannot be changed");
  command_end();
}
END_TEST

START_TEST(a_fallback_answers_when_the_model_cannot)
{
  command_begin();
  command_script("[{\"error\":{\"code\":\"overloaded\",\"message\":\"too busy\"}}]");
  const char *line = "run --tools none --model scripted/x --set model.fallbacks=scripted/scripted-echo";
  mag_autofree char *hello = mag_sprintf("%s hello", line), *json = mag_sprintf("%s --json hello", line);
  check(hello, 0, "hello\n", "too busy; scripted/scripted-echo answers instead");
  check(json, 0, "\"fallback\":\"scripted/scripted-echo\",\"because\":\"too busy", NULL);
  /* Every turn asks the session's own model first. */
  command_script("[{\"text\":\"never\"},{\"text\":\"I am back\"}]");
  mag_autofree char *go_on = mag_sprintf("run --session %s again", command_session());
  check(go_on, 0, "I am back\n", NULL);
  command_script("[{\"error\":{\"code\":\"auth\",\"message\":\"bad key\"}}]"); /* no other model cures that */
  check(hello, 1, NULL, "bad key");
  check("run --tools none --model scripted/x --set model.fallbacks=nobody/x hello", 1, NULL,
        "model.fallbacks: nobody/x: ");
  command_end();
}
END_TEST

/* Behaviours 87, 90: the name of the error, and a way out that there is; nothing wanted is no error. */
START_TEST(packages_without_a_sandbox_are_refused_by_name)
{
  if (!rig_has_plugin("compute-local"))
    return;
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  check("run --compute local --set packages.pip=requests hello", 1, NULL,
        "packages.pip: ManagedSandboxRequired: this version cannot install packages, and compute local, which has no "
        "sandbox, would be the wrong place for them; remove the key, and use a provider whose image");
  check("run --compute local --tools none --set packages.npm=x hello", 1, NULL,
        "packages.npm: ManagedSandboxRequired: ");
  check("run --compute local --set packages.cargo=x --set host_packages_ok=true hello", 1, NULL,
        "packages.cargo: this version cannot install packages");
  check("run --compute local --set compute.gpu=t4 hello", 1, NULL, "compute.gpu");
  check("run --compute local --set compute.image=x hello", 1, NULL, "compute.image: compute local has no images");
  check("run --compute local --set 'compute.mounts=[/x]' hello", 1, NULL, "compute.mounts");
  check("run --compute local --set 'networking.allowed_hosts=[a]' hello", 1, NULL, "networking.type limited only");
  check_no_session();
  check("run --compute local --network host --set 'packages.pip=[]' hello", 0, "ok", NULL);
  command_end();
}
END_TEST

/* ---- References ------------------------------------------------------------------------------------------------- */

static struct {
  const char *text;
  bool found;
} wanted;

static int look_into(const char *path, const struct stat *st, int type, struct FTW *entry)
{
  char chunk[65536];
  size_t kept = 0, n, len = strlen(wanted.text);
  FILE *file = type == FTW_F && S_ISREG(st->st_mode) ? fopen(path, "re") : NULL;
  (void) entry;
  while (file && (n = fread(chunk + kept, 1, sizeof(chunk) - kept, file)) > 0) {
    n += kept;
    wanted.found |= memmem(chunk, n, wanted.text, len) != NULL;
    kept = MAG_MIN(n, len);
    memmove(chunk, chunk + n - kept, kept);
  }
  if (file)
    (void) fclose(file);
  return 0;
}

/* Does any file of the state directory, the database too, hold this text? */
static bool state_holds(const char *text)
{
  wanted.text = text;
  wanted.found = false;
  ck_assert_int_eq(nftw(command_path("state"), look_into, 16, FTW_PHYS), 0);
  return wanted.found;
}

START_TEST(a_reference_is_filled_in_inside_and_shows_nowhere)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script("[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo $TOKEN; echo ${#TOKEN}; echo "
                 "$PLAIN\"}}},{\"text\":\"{{tool_result}}\"}]");
  command_env("LATE_SECRET=very-secret-value");
  mag_autofree char *text = mag_sprintf("name: late\ncompute: {provider: %s, env: {TOKEN: \"${LATE_SECRET}\", PLAIN: "
                                        "\"$${x}\"}}\n",
                                        rig_compute());
  command_write_file("late.yaml", text);
  mag_autofree char *run = mag_sprintf("run --agent %s go", command_path("late.yaml"));
  struct command command = command_run(run);
  expect(&command, 0, "[redacted]", NULL);
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "17"));
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "${x}"));
  ck_assert_ptr_null(strstr(command.stdout_text.ptr, "very-secret-value"));
  ck_assert_ptr_null(strstr(command.stderr_text.ptr, "very-secret-value"));
  command_done(&command);
  ck_assert(!state_holds("very-secret-value") && state_holds("LATE_SECRET"));
  command_env("LATE_SECRET");
  check(run, 1, NULL, "compute.env: TOKEN: the environment variable LATE_SECRET is not set");
  command_end();
}
END_TEST

/* Whichever provider answers, and whether it is there at all. */
START_TEST(keys_of_providers_that_are_not_used_stay_outside)
{
  static const struct {
    const char *text, *err;
  } rows[] = {
      {"compute: {env: {K: \"${OTHER_KEY}\"}}\n", "compute.env: K refers to a variable that is for a model provider"},
      {"compute: {env: {K: \"a${HOME}b${OTHER_SHORT}\"}}\n", "compute.env: K refers to a variable"},
      {"compute: {env: {K: \"Bearer ${DISGUISE}\"}}\n", "compute.env: the value of K is a key of this program"},
      {"compute: {env: {K: \"<other-providers-key>\"}}\n", "compute.env: the value of K is a key of this program"},
      {"tools: [{type: custom, name: t, description: d, input_schema: {type: object}, command: env, env: {K: "
       "\"${OTHER_KEY}\"}}]\n",
       "K refers to a variable that is for a model provider"},
      {"tools: [{type: custom, name: t, description: d, input_schema: {type: object}, command: env, run_on: host, env: "
       "{K: \"${DISGUISE}\"}}]\n",
       "the value of K is a key of this program"},
  };
  if (!rig_compute())
    return;
  command_begin();
  mag_autofree char *defaults = mag_sprintf(
      "{\"models\":[{\"model\":\"scripted/x\"},{\"env\":[\"OTHER_KEY\",\"OTHER_SHORT\",\"OTHER_URL\"],\"model\":"
      "\"other/x\"}],\"tools\":[{\"type\":\"agent_toolset_20260401\"}],\"compute\":\"%s\"}",
      rig_compute());
  command_write_file("conf/defaults.json", defaults);
  command_script("[{\"text\":\"it is other-providers-key at http://127.0.0.1:9\"}]");
  command_env("OTHER_KEY=other-providers-key");
  command_env("OTHER_SHORT=short");
  command_env("OTHER_URL=http://127.0.0.1:9");
  command_env("DISGUISE=other-providers-key");
  mag_autofree char *run = mag_sprintf("run --agent %s go", command_path("k.yaml"));
  mag_autofree char *validate = mag_sprintf("agent validate %s", command_path("k.yaml"));
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    command_write_file("k.yaml", rows[i].text);
    check(run, 1, NULL, rows[i].err);
    check(validate, 1, NULL, rows[i].err);
  }
  check_no_session();
  check("run --tools none go", 0, "it is [redacted] at http://127.0.0.1:9", NULL);
  ck_assert(!state_holds("other-providers-key"));
  command_env("OTHER_KEY");
  command_env("OTHER_SHORT");
  command_env("OTHER_URL");
  command_env("DISGUISE");
  command_end();
}
END_TEST

START_TEST(a_plugins_option_may_be_a_reference)
{
  command_begin();
  command_write_file("late.json", "[{\"text\":\"from the reference\"}]");
  command_write_file("conf/defaults.json", "{\"models\":[{\"model\":\"scripted/x\"}],\"compute\":\"bubblewrap\","
                                           "\"plugins\":{\"llm-scripted\":{\"script\":\"${LATE_FILE}\"}}}");
  check("run --tools none go", 1, NULL, "script: the environment variable LATE_FILE is not set");
  mag_autofree char *assignment = mag_sprintf("LATE_FILE=%s", command_path("late.json"));
  command_env(assignment);
  check("run --tools none go", 0, "from the reference", NULL);
  command_end();
}
END_TEST

/* ---- Setup ------------------------------------------------------------------------------------------------------ */

START_TEST(setup_runs_before_the_first_tool)
{
  if (!rig_compute())
    return;
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"cat made\"}}},{\"text\":\"{{tool_result}}\"}]");
  mag_autofree char *run =
      mag_sprintf("run --compute %s --set 'compute.setup=[echo one > made, echo two >> made]' go", rig_compute());
  check(run, 0, "one\ntwo", NULL);
  mag_autofree char *fails =
      mag_sprintf("run --compute %s --set 'compute.setup=echo it is broken; exit 7' go", rig_compute());
  check(fails, 1, NULL,
        "the sandbox could not be made: compute.setup: `echo it is broken; exit 7` failed with status 7: it is broken");
  command_end();
}
END_TEST

START_TEST(a_sandbox_goes_at_the_end_of_its_lifetime)
{
  if (!rig_has_bubblewrap())
    return;
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"sleep 100; echo survived\"}}},"
      "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo next\"}}},{\"text\":\"{{tool_result}}\"}]");
  check("run --set compute.lifetime=1s go", 0, "made anew", "the sandbox was lost");
  command_end();
}
END_TEST

/* ---- A project's environment ------------------------------------------------------------------------------------ */

static void make_project(const char *text)
{
  ck_assert(mkdir(command_path("work/.magent"), 0700) == 0 || errno == EEXIST);
  ck_assert(mkdir(command_path("work/deep"), 0700) == 0 || errno == EEXIST);
  ck_assert(mkdir(command_path("work/deep/down"), 0700) == 0 || errno == EEXIST);
  command_write_file("work/.magent/environment.yaml", text);
}

/* Behaviours 39, 40, 35, 36. */
START_TEST(a_projects_environment_is_found_by_walking_up)
{
  if (!rig_has_bubblewrap())
    return;
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"echo $WHO $CI\"}}},{\"text\":\"{{tool_result}}\"}]");
  make_project("compute:\n  env: {WHO: project, CI: 1}\n");
  mag_autofree char *down = mag_str_dup(mbp_str(command_path("work/deep/down")));
  command_directory(down);
  check("run go", 0, "project 1", "work/.magent/environment.yaml takes part; --no-project leaves it out");
  check("run --set compute.env.WHO=me go", 0, "me 1", "takes part"); /* what is said first stays */
  struct command command = command_run("run --no-project go");
  expect(&command, 0, NULL, NULL);
  ck_assert(!strstr(command.stdout_text.ptr, "project") && !strstr(command.stderr_text.ptr, "takes part"));
  command_done(&command);
  make_project("compute:\n  env: {WHO: x}\nimgae: y\n");
  check("run go", 1, NULL, "work/.magent/environment.yaml:3: imgae: unknown key");
  make_project("- a\n");
  check("run go", 1, NULL,
        "environment.yaml:1: expected a mapping of keys to values; mend it, or leave it out with --no-project");
  make_project("networking: host\n");
  check("run go", 1, NULL, "a project's file can say none only");
  make_project("");
  check("run go", 0, NULL, "takes part");
  command_directory(command_path("home"));
  command = command_run("run go");
  expect(&command, 0, NULL, NULL);
  ck_assert_ptr_null(strstr(command.stderr_text.ptr, "environment.yaml"));
  command_done(&command);
  command_end();
}
END_TEST

START_TEST(a_projects_environment_that_others_can_write_is_left_out)
{
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  make_project("nonsense: it would be an error\n");
  mag_autofree char *work = mag_str_dup(mbp_str(command_path("work")));
  command_directory(work);
  check("run --tools none hello", 1, NULL, "nonsense: unknown key");
  ck_assert_int_eq(chmod(command_path("work/.magent/environment.yaml"), 0666), 0);
  check("run --tools none hello", 0, "ok", "environment.yaml is left out: it can be written by everybody");
  ck_assert_int_eq(chmod(command_path("work/.magent/environment.yaml"), 0600), 0);
  ck_assert_int_eq(chmod(command_path("work/.magent"), 0777), 0);
  check("run --tools none hello", 0, "ok", "is left out: .magent can be written by everybody");
  ck_assert_int_eq(chmod(command_path("work/.magent"), 0700), 0);
  ck_assert_int_eq(rename(command_path("work/.magent/environment.yaml"), command_path("work/other.yaml")), 0);
  ck_assert_int_eq(symlink("../other.yaml", command_path("work/.magent/environment.yaml")), 0);
  check("run --tools none hello", 0, "ok", "is left out: it cannot be opened, or is a symbolic link");
  if (geteuid() == 0) {
    ck_assert_int_eq(unlink(command_path("work/.magent/environment.yaml")), 0);
    ck_assert_int_eq(rename(command_path("work/other.yaml"), command_path("work/.magent/environment.yaml")), 0);
    ck_assert_int_eq(chown(command_path("work/.magent"), 12345, 12345), 0);
    check("run --tools none hello", 0, "ok", "is left out: .magent belongs to somebody else");
  } else {
    rig_skip("a directory of another user needs root");
  }
  command_end();
}
END_TEST

START_TEST(a_projects_code_meets_no_network_unless_it_is_trusted)
{
  if (!rig_has_bubblewrap())
    return;
  command_begin();
  command_script(
      "[{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"cat made\"}}},{\"text\":\"{{tool_result}}\"}]");
  make_project("compute: {setup: echo project > made}\n");
  mag_autofree char *work = mag_str_dup(mbp_str(command_path("work")));
  command_directory(work);
  check("run --network host go", 1, NULL,
        "says what runs in the sandbox (image, setup or env), and the sandbox has a network");
  check_no_session();
  check("run --network host --trust-project go", 0, "project", "takes part");
  check("run go", 0, "project", "takes part");
  check("run --network host --set 'compute.setup=echo mine > made' go", 0, "mine", "takes part");
  make_project("compute: {memory: 200M}\n");
  check("run --network host --set 'compute.setup=echo mine > made' go", 0, "mine", "takes part");
  command_end();
}
END_TEST

START_TEST(a_projects_environment_is_refused_where_there_is_no_sandbox)
{
  if (!rig_has_plugin("compute-local"))
    return;
  command_begin();
  command_script("[{\"text\":\"ok\"}]");
  make_project("compute: {setup: touch made-on-the-host}\n");
  mag_autofree char *work = mag_str_dup(mbp_str(command_path("work")));
  command_directory(work);
  check("run --compute local hello", 1, NULL,
        "environment.yaml is for sandboxes, and compute local has none, so nothing was started; choose another compute "
        "provider, or leave the project's file out; see --no-project and --trust-project");
  check_no_session();
  check("run --compute local --no-project hello", 0, "ok", NULL);
  command_end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("agent");
  TCase *tests = tcase_create("agent");
  tcase_set_timeout(tests, 120);
  tcase_add_test(tests, agents_are_stored_and_every_version_is_kept);
  tcase_add_test(tests, a_session_is_a_snapshot_of_a_stored_agent);
  tcase_add_test(tests, what_run_would_refuse_is_neither_valid_nor_stored);
  tcase_add_test(tests, agent_usage_is_checked);
  tcase_add_test(tests, options_and_keys_are_the_same);
  tcase_add_test(tests, a_fallback_answers_when_the_model_cannot);
  tcase_add_test(tests, packages_without_a_sandbox_are_refused_by_name);
  tcase_add_test(tests, a_reference_is_filled_in_inside_and_shows_nowhere);
  tcase_add_test(tests, keys_of_providers_that_are_not_used_stay_outside);
  tcase_add_test(tests, setup_runs_before_the_first_tool);
  tcase_add_test(tests, a_sandbox_goes_at_the_end_of_its_lifetime);
  tcase_add_test(tests, a_plugins_option_may_be_a_reference);
  tcase_add_test(tests, a_projects_environment_is_found_by_walking_up);
  tcase_add_test(tests, a_projects_environment_that_others_can_write_is_left_out);
  tcase_add_test(tests, a_projects_code_meets_no_network_unless_it_is_trusted);
  tcase_add_test(tests, a_projects_environment_is_refused_where_there_is_no_sandbox);
  suite_add_tcase(suite, tests);
  return run_suite(suite);
}
