/* Asking a plugin in a child: by hand, and before it is opened. The child is the program of the tests again. */
#include "loader_test.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "loader/file.h"
#include "loader/inspect.h"
#include "loader/registry.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Asking in a child ------------------------------------------------------------------------------------------ */

static void asked(const char *path, int trust, int ms, const char *json, const char *problem)
{
  struct mag_inspection inspection;
  mag_inspect_child(path, trust, "/proc/self/exe", ms, &inspection);
  if (json)
    ck_assert_msg(inspection.json && strstr(inspection.json, json), "%s", inspection.problem);
  else
    ck_assert_msg(inspection.problem && strstr(inspection.problem, problem) && !inspection.json, "%s",
                  inspection.problem ? inspection.problem : "no problem");
  mag_inspection_done(&inspection);
}

static const char *module(const char *name)
{
  char file[64];
  (void) snprintf(file, sizeof(file), "magent-llm-%s.so", name);
  return zoo_add(&zoo, name, "given", file);
}

START_TEST(a_child_describes_a_good_plugin)
{
  asked(module("good"), MAG_TRUST_GIVEN, 10000, "\"name\":\"good\",\"version\":\"1.10.0\"", NULL);
  asked(module("chatty"), MAG_TRUST_GIVEN, 10000, "\"name\":\"chatty\"", NULL);
  asked(module("needs"), MAG_TRUST_GIVEN, 10000, NULL, "needs: found unknown bits 0x10");
  ck_assert_int_eq(chmod(module("good"), 0666), 0);
  asked(zoo_path(&zoo, "given", "magent-llm-good.so"), MAG_TRUST_CHECKED, 10000, NULL, "mode: found 0666");
}
END_TEST

START_TEST(a_crash_in_the_query_is_a_line)
{
  asked(module("crash"), MAG_TRUST_GIVEN, 10000, NULL,
        "magent-llm-crash.so: crashed with SIGSEGV while being asked");
}
END_TEST

START_TEST(a_hang_in_the_query_is_a_line)
{
  asked(module("hang"), MAG_TRUST_GIVEN, 300, NULL,
        "magent-llm-hang.so: did not answer within 300 ms while being asked");
}
END_TEST

START_TEST(an_exit_in_the_query_is_a_line)
{
  asked(module("exit"), MAG_TRUST_GIVEN, 10000, NULL, "magent-llm-exit.so: ended without an answer while being asked");
}
END_TEST

START_TEST(a_program_that_is_not_there_is_a_line)
{
  struct mag_inspection inspection;
  mag_inspect_child(module("good"), MAG_TRUST_GIVEN, "/nowhere/magent", 1000, &inspection);
  ck_assert_ptr_nonnull(strstr(inspection.problem, "cannot be asked: /nowhere/magent: No such file"));
  mag_inspection_done(&inspection);
}
END_TEST

/* ---- Asking in a child before opening ---------------------------------------------------------------------------- */

/* What a registry that asks by way of `exe` says of the plugin. */
static int find_asking(const char *exe, const char *name, struct mbp_error *err)
{
  const char *const dirs[] = {zoo_path(&zoo, "given", ""), NULL};
  struct mag_registry *registry = NULL;
  const struct mag_plugin *plugin;
  ck_assert_int_eq(mag_registry_new(dirs, "/nowhere", &registry, NULL), 0);
  ck_assert_int_eq(mag_registry_ask_in(registry, exe, NULL), 0);
  int r = mag_registry_find(registry, MBP_KIND_LLM, name, &plugin, err);
  mag_registry_free(registry);
  return r;
}

#define SELF "/proc/self/exe"
#define NOBODY "/bin/false" /* whoever is asked by way of this is refused */

START_TEST(a_plugin_that_crashes_in_its_query_is_not_asked_in_this_process)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(setenv("XDG_CACHE_HOME", zoo_directory(&zoo, "cache"), 1), 0);
  (void) module("crash");
  (void) module("exit");
  (void) module("needs");
  (void) module("good");
  ck_assert_int_eq(find_asking(SELF, "crash", &err), -MBP_E_UNAVAILABLE);
  ck_assert_msg(strstr(err.message, "magent-llm-crash.so: crashed with SIGSEGV while being asked"), "%s", err.message);
  ck_assert_int_eq(find_asking(SELF, "exit", &err), -MBP_E_UNAVAILABLE); /* else this test would end here, and well */
  ck_assert_msg(strstr(err.message, "magent-llm-exit.so: ended without an answer"), "%s", err.message);
  ck_assert_int_lt(find_asking(SELF, "needs", &err), 0); /* answers, but is not for us: told as ever */
  ck_assert_msg(strstr(err.message, "needs: found unknown bits 0x10"), "%s", err.message);
  ck_assert_int_eq(find_asking(SELF, "good", &err), 0);
}
END_TEST

START_TEST(a_file_that_was_well_is_not_asked_again_until_it_changes)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const char *cache = zoo_directory(&zoo, "cache"), *good = module("good");
  ck_assert_int_eq(setenv("XDG_CACHE_HOME", cache, 1), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), -MBP_E_UNAVAILABLE);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), -MBP_E_UNAVAILABLE); /* a fault is not remembered */
  ck_assert_int_eq(find_asking(SELF, "good", &err), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0);
  ck_assert_int_eq(utimensat(AT_FDCWD, good, (struct timespec[2]){{1, 0}, {1, 0}}, 0), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), -MBP_E_UNAVAILABLE);
  ck_assert_int_eq(find_asking(SELF, "good", &err), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0);
}
END_TEST

START_TEST(a_list_that_others_can_write_is_not_used)
{
  struct mbp_error err = MAG_ERROR_INIT;
  (void) module("good");
  ck_assert_int_eq(setenv("XDG_CACHE_HOME", zoo_directory(&zoo, "cache"), 1), 0);
  ck_assert_int_eq(find_asking(SELF, "good", &err), 0);
  const char *list = zoo_path(&zoo, "cache", "magent/plugins"), *place = zoo_path(&zoo, "cache", "magent");
  struct stat st;
  ck_assert_int_eq(stat(list, &st), 0);
  ck_assert_uint_eq(st.st_mode & 0777, 0600);
  ck_assert_int_eq(truncate(list, 0), 0);
  ck_assert_int_eq(chmod(place, 0777), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0); /* as without a list: in this process */
  ck_assert_int_eq(chmod(place, 0700), 0);
  ck_assert_int_eq(chmod(list, 0666), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0);
  ck_assert_int_eq(unlink(list), 0);
  ck_assert_int_eq(symlink("/dev/null", list), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0);
  ck_assert_int_eq(unlink(list), 0);
  ck_assert_int_eq(setenv("XDG_CACHE_HOME", "/dev/null", 1), 0);
  ck_assert_int_eq(find_asking(NOBODY, "good", &err), 0);
  /* Any bytes, and too many of them: begun anew. */
  ck_assert_int_eq(setenv("XDG_CACHE_HOME", zoo_directory(&zoo, "cache"), 1), 0);
  static char junk[100000];
  (void) zoo_write(&zoo, "cache/magent", "plugins", junk, sizeof(junk));
  ck_assert_int_eq(chmod(list, 0600), 0);
  ck_assert_int_eq(find_asking(SELF, "good", &err), 0);
  ck_assert_int_eq(stat(list, &st), 0);
  ck_assert_int_lt(st.st_size, 1000);
}
END_TEST

void loader_asking_tests(TCase *tests)
{
  tcase_add_test(tests, a_child_describes_a_good_plugin);
  tcase_add_test(tests, a_crash_in_the_query_is_a_line);
  tcase_add_test(tests, a_hang_in_the_query_is_a_line);
  tcase_add_test(tests, an_exit_in_the_query_is_a_line);
  tcase_add_test(tests, a_program_that_is_not_there_is_a_line);
  tcase_add_test(tests, a_plugin_that_crashes_in_its_query_is_not_asked_in_this_process);
  tcase_add_test(tests, a_file_that_was_well_is_not_asked_again_until_it_changes);
  tcase_add_test(tests, a_list_that_others_can_write_is_not_used);
}
