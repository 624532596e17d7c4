/* What the magent command says of what is wrong: the nearest name, the line, every trouble once. */
#include "command_check.h"
#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Behaviours 19, 26, 27, 31. */
START_TEST(doctor_never_fails_for_what_is_not_used)
{
  command_begin();
  struct command command = command_run("doctor");
  ck_assert_msg(command.status == (rig_has_bubblewrap() ? 0 : 1), "%d: %s%s", command.status, command.stdout_text.ptr,
                command.stderr_text.ptr);
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "store-sqlite"));
  command_done(&command);
  command_end();
}
END_TEST

static size_t count(const char *text, const char *part)
{
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
    n++;
  return n;
}

START_TEST(doctor_tells_every_trouble_once)
{
  command_begin();
  mag_autofree char *plugins = mag_str_dup(mbp_str(command_path("more")));
  mag_autofree char *path = mag_sprintf("MAGENT_PLUGIN_PATH=%s", plugins);
  ck_assert_int_eq(mkdir(plugins, 0700), 0);
  command_write_file("more/magent-llm-junk.so", "junk");
  command_write_file("more/junk.so", "junk");
  command_write_file("conf/defaults.json",
                     "{\"models\":[{\"model\":\"nosuch/x\"}],\"compute\":\"bubblewarp\",\"tools\":[]}");
  command_write_file("file", "");
  mag_autofree char *state = mag_sprintf("XDG_STATE_HOME=%s", command_path("file"));
  command_env(path);
  command_env(state);
  static const char *const once[] = {"magent-llm-junk.so: not an ELF file", "more/junk.so: file name",
                                     "/magent.db: Not a directory", "model 'nosuch/x'", "did you mean 'bubblewrap'?"};
  static const char *const lines[] = {"doctor", "doctor --json"};
  for (size_t i = 0; i < MAG_COUNT(lines); i++) {
    struct command command = command_run(lines[i]);
    expect(&command, 1, i ? "],\"ok\":false}" : "\n* what the defaults use: 3 problems\n", NULL);
    ck_assert_str_eq(command.stderr_text.ptr, "");
    for (size_t j = 0; j < MAG_COUNT(once); j++)
      ck_assert_msg(count(command.stdout_text.ptr, once[j]) == 1, "\"%s\" %zu times in: %s", once[j],
                    count(command.stdout_text.ptr, once[j]), command.stdout_text.ptr);
    mag_autojson json = NULL;
    if (i)
      ck_assert_int_eq(mag_json_parse(mag_buf_str(&command.stdout_text), &json, NULL), 0);
    command_done(&command);
  }
  command_end();
}
END_TEST

START_TEST(help_of_a_plugin_says_where_its_files_are)
{
  if (!rig_has_plugin("compute-local"))
    return;
  command_begin();
  struct command command = command_run("plugin help compute-local");
  expect(&command, 0, "    default: /", NULL);
  ck_assert_ptr_nonnull(strstr(command.stdout_text.ptr, "/magent-sandbox\n"));
  ck_assert_ptr_null(strchr(command.stdout_text.ptr, '@'));
  command_done(&command);
  mag_autofree char *database = mag_sprintf("    default: %s/magent/magent.db\n", command_path("state"));
  check("plugin help store-sqlite", 0, database, NULL);
  command_end();
}
END_TEST

START_TEST(the_script_that_answers_is_named)
{
  command_begin();
  command_script("[{\"text\":\"hello\"}]");
  mag_autofree char *said = mag_sprintf("so the script %s of MAGENT_SCRIPT answers", command_path("script.json"));
  check("run --tools none hello", 0, "hello", said);
  command_env("MAGENT_SCRIPT");
  check("run --tools none hello", 0, NULL, "so a scripted stand-in answers");
  command_end();
}
END_TEST

START_TEST(what_is_nearly_right_is_named)
{
  static const struct {
    const char *line, *error;
  } rows[] = {
      {"run --workspce /tmp hello", "unknown option --workspce; did you mean --workspace?"},
      {"run --t 1 hello", "--t may be --tools, --trust-project, --title, --timeout"},
      {"run --json=1 hello", "--json takes no value"},
      {"run -x hello", "unknown option -x"},
      {"--plugin-dri x run hello", "unknown option --plugin-dri; did you mean --plugin-dir?"},
      {"session list --verbose", "--verbose stands before the command: magent --verbose ... session list"},
      {"seession list", "unknown command \"seession\"; did you mean \"session\"?"},
      {"session lsit", "unknown command \"session lsit\"; did you mean \"list\"?"},
      {"session --json list", "a command is needed before --json"},
      {"agent crate x", "unknown command \"agent crate\"; did you mean \"create\"?"},
      {"plugin lst", "unknown command \"plugin lst\"; did you mean \"list\"?"},
      {"compute stp", "unknown command \"compute stp\"; did you mean \"stop\"?"},
      {"help config --markdwn", "unknown option --markdwn; did you mean --markdown?"},
      {"session list --statsu idle", "session list: unknown option --statsu; did you mean --status?"},
      {"session title x", "session title: the id of a session and a text are needed"},
      {"session info", "session info: the id of a session is needed"},
      {"version now", "unexpected \"now\""},
  };
  command_begin();
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    struct command command = command_run(rows[i].line);
    expect(&command, 2, NULL, rows[i].error);
    ck_assert_str_eq(command.stdout_text.ptr, "");
    ck_assert_int_eq(strncmp(command.stderr_text.ptr, "magent: ", 8), 0);
    command_done(&command);
  }
  check_error_line("run --compute bubblewrp hello", 1,
                   "did you mean 'bubblewrap'? There are bubblewrap, ");
  check_error_line("run --model scriptd/x hello", 1, "did you mean 'scripted/...'? There are: ");
  check_no_session();
  command_end();
}
END_TEST

START_TEST(what_is_wrong_with_a_tool_names_its_line)
{
  static const struct {
    const char *name, *text, *error;
  } rows[] = {
      {"a.yaml", "tools:\n  - type: agent_toolset_20260401\n  - name: x\n    type: custm\n",
       "a.yaml:4: tools: no tools are of type \"custm\"; did you mean \"custom\"?\n"},
      {"b.yaml",
       "tools:\n  - bash\n  - read\n  -\n    type: custom\n    name: x\n    description: d\n"
       "    input_schema: {type: object}\n    command: x\n    run_on: hosst\n",
       "b.yaml:10: tools: custom tool \"x\": run_on must be sandbox or host; did you mean host?\n"},
      {"c.yaml", "tools:\n\n  - bsh\n",
       "c.yaml:3: tools: agent_toolset_20260401: unknown tool \"bsh\"; did you mean \"bash\"?\n"},
      {"d.json", "{\n\"tools\": [\n{\"type\": \"agent_toolset_2026\"}]}", "d.json:3: tools: no tools are of type"},
  };
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    command_begin();
    command_write_file(rows[i].name, rows[i].text);
    mag_autofree char *path = mag_str_dup(mbp_str(command_path(rows[i].name)));
    mag_autofree char *run = mag_sprintf("run --agent %s hello", path);
    mag_autofree char *validate = mag_sprintf("agent validate %s", path);
    mag_autofree char *instead = mag_sprintf("run --agent %s --set 'tools=[{type: custm}]' hello", path);
    mag_autofree char *begin = mag_sprintf("magent: %s:", path);
    struct command command = command_run(run);
    expect(&command, 1, NULL, rows[i].error);
    ck_assert_int_eq(strncmp(command.stderr_text.ptr, begin, strlen(begin)), 0);
    command_done(&command);
    command = command_run(validate);
    expect(&command, 1, NULL, rows[i].error);
    ck_assert_int_eq(strncmp(command.stderr_text.ptr, begin, strlen(begin)), 0);
    command_done(&command);
    check(instead, 1, NULL, "magent: tools: no tools are of type"); /* these are not the file's */
    command_end();
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("messages");
  TCase *t = tcase_create("messages");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, doctor_never_fails_for_what_is_not_used);
  tcase_add_test(t, doctor_tells_every_trouble_once);
  tcase_add_test(t, help_of_a_plugin_says_where_its_files_are);
  tcase_add_test(t, the_script_that_answers_is_named);
  tcase_add_test(t, what_is_nearly_right_is_named);
  tcase_add_test(t, what_is_wrong_with_a_tool_names_its_line);
  suite_add_tcase(suite, t);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? 1 : 0;
}
