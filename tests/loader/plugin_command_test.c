/* magent plugin list, inspect and help, run as a user runs them. */
#include "../../cli/plugin.h"
#include "../lib/run.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "fixture.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct zoo zoo;
static char output[65536]; /* stdout and stderr of the last command */

static void setup(void)
{
  ck_assert_int_eq(zoo_open(&zoo), 0);
  ck_assert_int_eq(unsetenv("MAGENT_PLUGIN_PATH"), 0);
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
}

static void teardown(void)
{
  zoo_close(&zoo);
}

/* Returns the exit status; `output` holds what was printed. */
static int run(char *a, char *b, char *c, char *d)
{
  char *argv[] = {(char *) "plugin", a, b, c, d, NULL};
  int argc = 1;
  struct mag_registry *registry = NULL;
  const char *dirs[] = {zoo_path(&zoo, "given", ""), NULL};
  while (argv[argc])
    argc++;
  ck_assert_int_eq(mag_registry_new(dirs, "/nowhere", &registry, NULL), 0);
  const char *file = zoo_path(&zoo, "output", "");
  (void) fflush(stdout);
  (void) fflush(stderr);
  mag_autoclose int capture = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  mag_autoclose int out = dup(1);
  mag_autoclose int err = dup(2);
  ck_assert(capture >= 0 && dup2(capture, 1) == 1 && dup2(capture, 2) == 2);
  int status = magent_cmd_plugin(registry, argc, argv);
  (void) fflush(stdout);
  (void) fflush(stderr);
  ck_assert(dup2(out, 1) == 1 && dup2(err, 2) == 2);
  ssize_t n = pread(capture, output, sizeof(output) - 1, 0);
  ck_assert_int_ge(n, 0);
  output[n] = 0;
  mag_registry_free(registry);
  return status;
}

static void shows(const char *fragment)
{
  ck_assert_msg(strstr(output, fragment) != NULL, "\"%s\" is not in:\n%s", fragment, output);
}

/* Where lines are broken depends on how long the paths of this machine are. */
static void says(const char *fragment)
{
  static char flat[sizeof(output)];
  size_t n = 0;
  for (const char *p = output; *p; p++) {
    bool space = *p == ' ' || *p == '\n';
    if (!space || n == 0 || flat[n - 1] != ' ')
      flat[n++] = space ? ' ' : *p;
  }
  flat[n] = 0;
  ck_assert_msg(strstr(flat, fragment) != NULL, "\"%s\" is not in:\n%s", fragment, output);
}

static void fits_the_screen(void)
{
  for (const char *line = output; *line;) {
    size_t n = strcspn(line, "\n");
    ck_assert_msg(n <= 80 || memchr(line, '/', n), "too wide: %.*s", (int) n, line);
    line += n + (line[n] == '\n');
  }
  ck_assert_ptr_null(strchr(output, '\033'));
}

static char list_word[] = "list", inspect_word[] = "inspect", help_word[] = "help", json[] = "--json", good[] = "good";

START_TEST(list_shows_good_plugins_and_why_others_are_not_used)
{
  (void) zoo_add(&zoo, "crash", "given", "magent-llm-crash.so");
  (void) zoo_add(&zoo, "kind", "given", "magent-llm-kind.so");
  (void) zoo_write(&zoo, "given", "libjunk.so", "x", 1);
  ck_assert_int_eq(run(list_word, NULL, NULL, NULL), 0);
  shows("KIND     NAME  VERSION SUMMARY\nllm      good  1.10.0  An animal of the zoo\n\nNot used:\n");
  says("magent-llm-crash.so: crashed with SIGSEGV while being asked");
  says("(notice) ");
  says("libjunk.so, expected magent-KIND-NAME.so");
  fits_the_screen();
}
END_TEST

START_TEST(list_prints_json)
{
  struct mbp_error err = MAG_ERROR_INIT;
  (void) zoo_add(&zoo, "hang", "given", "magent-llm-hang.so");
  ck_assert_int_eq(run(list_word, json, NULL, NULL), 0);
  mag_autojson document = NULL;
  ck_assert_msg(mag_json_parse(mbp_str(output), &document, &err) == 0, "%s", err.message);
  ck_assert_uint_eq(mag_json_count(mag_json_get(document, "plugins")), 1);
  ck_assert_uint_eq(mag_json_count(mag_json_get(document, "directories")), 2);
  shows("magent-llm-hang.so: did not answer within 2000 ms while being asked");
}
END_TEST

START_TEST(an_empty_list_says_where_it_looked)
{
  ck_assert_int_eq(unlink(zoo_path(&zoo, "given", "magent-llm-good.so")), 0);
  ck_assert_int_eq(run(list_word, NULL, NULL, NULL), 0);
  shows("No plugins.\n\nSearched:\n");
  shows("  /nowhere\n");
}
END_TEST

START_TEST(inspect_takes_a_name_or_a_file)
{
  static char kind_name[] = "llm-good", slash_name[] = "llm/good", wrong[] = "goood", file[PATH_MAX];
  ck_assert_int_eq(run(inspect_word, good, NULL, NULL), 0);
  shows("Name          good\nVersion       1.10.0\n");
  shows("Models        zoo-*\nParameters    timeout, api_key, colour\n");
  fits_the_screen();
  ck_assert_int_eq(run(inspect_word, kind_name, NULL, NULL), 0);
  ck_assert_int_eq(run(inspect_word, slash_name, NULL, NULL), 0);
  ck_assert_int_eq(run(inspect_word, wrong, NULL, NULL), 1);
  shows("magent: no plugin 'goood'; did you mean 'good'? `magent plugin list` shows which there are\n");
  (void) snprintf(file, sizeof(file), "%s", zoo_add(&zoo, "needs", "hand", "magent-llm-needs.so"));
  ck_assert_int_eq(run(inspect_word, file, NULL, NULL), 1);
  shows("needs: found unknown bits 0x10");
  ck_assert_int_eq(run(inspect_word, file, json, NULL), 1);
  shows("\"notice\":false");
}
END_TEST

START_TEST(inspect_answers_scripts_by_its_exit_status)
{
  static char exists[] = "--exists", atleast[] = "--atleast-version", none[] = "none";
  static char v9[] = "1.9", v10[] = "1.10.0", v11[] = "--atleast-version=1.11";
  ck_assert_int_eq(run(inspect_word, good, exists, NULL), 0);
  ck_assert_str_eq(output, "");
  ck_assert_int_eq(run(inspect_word, none, exists, NULL), 1);
  ck_assert_str_eq(output, "");
  ck_assert_int_eq(run(inspect_word, good, atleast, v9), 0);
  ck_assert_int_eq(run(inspect_word, good, atleast, v10), 0);
  ck_assert_int_eq(run(inspect_word, good, v11, NULL), 1);
  ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(help_prints_the_table_of_parameters)
{
  ck_assert_int_eq(run(help_word, good, NULL, NULL), 0);
  shows("llm-good: An animal of the zoo\n\nIt eats, sleeps and is looked at.\n\nDo not feed it.\n");
  shows("  timeout  duration\n"
        "    How long one request may take, from the moment that it is sent until its\n"
        "    last byte has arrived.\n"
        "    range: 1s to 1h\n"
        "    default: 30s\n");
  shows("  api_key  secret, required\n    The key.\n    environment: ZOO_API_KEY\n    secret: never shown");
  shows("  colour   choice\n    Colour of the fur.\n    one of: red, green\n    default: green\n");
  fits_the_screen();
}
END_TEST

START_TEST(a_name_of_two_kinds_asks_which)
{
  (void) zoo_write(&zoo, "given", "magent-store-good.so", "x", 1);
  ck_assert_int_eq(run(help_word, good, NULL, NULL), 1);
  shows("several plugins have the name 'good': say llm-good or store-good");
}
END_TEST

START_TEST(wrong_usage_is_2)
{
  static char none[] = "frobnicate", option[] = "--frobnicate", exists[] = "--exists", help[] = "--help";
  ck_assert_int_eq(run(NULL, NULL, NULL, NULL), 2);
  ck_assert_int_eq(run(none, NULL, NULL, NULL), 2);
  shows("magent: unknown command \"plugin frobnicate\"\nTry `magent plugin --help`.\n");
  ck_assert_int_eq(run(list_word, option, NULL, NULL), 2);
  ck_assert_int_eq(run(list_word, exists, NULL, NULL), 2);
  ck_assert_int_eq(run(list_word, good, NULL, NULL), 2);
  ck_assert_int_eq(run(inspect_word, NULL, NULL, NULL), 2);
  ck_assert_int_eq(run(inspect_word, good, good, NULL), 2);
  ck_assert_int_eq(run(help, NULL, NULL, NULL), 0);
  ck_assert_int_eq(run(list_word, help, NULL, NULL), 0);
  shows("Usage: magent plugin list");
  fits_the_screen();
}
END_TEST

int main(int argc, char **argv)
{
  if (argc > 2 && strcmp(argv[1], "plugin") == 0) /* the command's own child */
    return magent_cmd_plugin(NULL, argc - 1, argv + 1);
  if (zoo_open(&zoo) < 0)
    return 77;
  zoo_close(&zoo);
  Suite *suite = suite_create("plugin command");
  TCase *t = tcase_create("plugin command");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, list_shows_good_plugins_and_why_others_are_not_used);
  tcase_add_test(t, list_prints_json);
  tcase_add_test(t, an_empty_list_says_where_it_looked);
  tcase_add_test(t, inspect_takes_a_name_or_a_file);
  tcase_add_test(t, inspect_answers_scripts_by_its_exit_status);
  tcase_add_test(t, help_prints_the_table_of_parameters);
  tcase_add_test(t, a_name_of_two_kinds_asks_which);
  tcase_add_test(t, wrong_usage_is_2);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
