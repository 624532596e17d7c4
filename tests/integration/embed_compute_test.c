/* The sandbox of an agent, without a model. */
#include "embed_rig.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct magent_agent *agent_on(struct place *place, const char *compute, const char *more)
{
  char yaml[256];
  (void) snprintf(yaml, sizeof(yaml), "compute: {provider: %s}\n%s", compute, more);
  return agent_of(place, yaml);
}

static void check_status(struct magent_agent *agent, const char *status)
{
  struct magent_compute_info *info = NULL;
  struct magent_error error;
  expect(magent_compute_status(agent, &info, &error), 0, error);
  ck_assert_str_eq(info->status, status);
  ck_assert_int_eq(info->isolated, strcmp(info->provider, "local") != 0);
  ck_assert_str_eq(info->network, info->isolated ? "none" : "host");
  ck_assert_int_eq(info->id[0] != 0, strcmp(status, "running") == 0);
  ck_assert_int_eq(info->working_dir[0] == '/', strcmp(status, "running") == 0);
  free(info);
}

static void check_command(struct magent_agent *agent, const char *command, const char *output)
{
  struct magent_command_result *result = NULL;
  struct magent_error error;
  expect(magent_compute_execute(agent, command, 0, &result, &error), 0, error);
  ck_assert_msg(result->exit_code == 0 && strcmp(result->output, output) == 0, "%s: %d %s%s", command,
                (int) result->exit_code, result->output, result->errors);
  free(result);
}

/* behaviour 94: provision, execute, shut down through the agent; behaviours 12, 13, 14, 17: a made one runs, commands
 * run in it, its environment is seen, and after the end its status is told */
static void live_and_end(struct place *place, const char *compute)
{
  struct magent_error error;
  struct magent_agent *agent = agent_on(place, compute, "");
  check_status(agent, "none");
  expect(magent_compute_shutdown(agent, &error), 0, error);
  expect(magent_compute_provision(agent, &error), 0, error);
  expect(magent_compute_provision(agent, &error), 0, error);
  check_status(agent, "running");
  check_command(agent, "echo kept > file; export A=b; echo $A", "b\n");
  expect(magent_compute_shutdown(agent, &error), 0, error);
  check_status(agent, "none");
  check_command(agent, "cat file", "kept\n"); /* made anew, on the same workspace */
  check_status(agent, "running");
  magent_agent_free(agent);
}

/* Behaviours 10, 97. */
START_TEST(a_sandbox_is_made_looked_at_used_and_shut_down_by_hand)
{
  struct place place;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++)
    live_and_end(&place, *compute);
  place_end(&place);
}
END_TEST

/* behaviours 15, 95: a command that fails is a result with its exit code, a sandbox that cannot be is an error */
static void fail_in_all_ways(struct place *place, const char *compute)
{
  struct magent_command_result *result = NULL;
  struct magent_error error;
  struct magent_agent *agent = agent_on(place, compute, "");
  expect(magent_compute_execute(agent, "echo out; echo err >&2; exit 7", 0, &result, &error), 0, error);
  ck_assert_int_eq(result->exit_code, 7);
  ck_assert_str_eq(result->output, "out\n");
  ck_assert_str_eq(result->errors, "err\n");
  ck_assert_int_eq(result->timed_out, 0);
  free(result);
  expect(magent_compute_execute(agent, "kill -9 $$", 0, &result, &error), 0, error);
  ck_assert_int_eq(result->exit_code, 128 + 9);
  free(result);
  expect(magent_compute_execute(agent, "echo before; sleep 600 & sleep 600", 300, &result, &error), 0, error);
  ck_assert_int_eq(result->timed_out, 1);
  ck_assert_str_eq(result->output, "before\n");
  ck_assert_int_ne(result->exit_code, 0);
  free(result);
  /* What does not listen is killed with the rest, also when the command itself has ended by then. */
  expect(magent_compute_execute(agent, "(trap '' TERM; exec sleep 609.87) > /dev/null 2>&1 & sleep 600", 300, &result,
                                &error),
         0, error);
  ck_assert_int_eq(result->timed_out, 1);
  free(result);
  check_command(
      agent,
      "i=0; while [ $i -lt 200 ] && grep -qsa '609[.]87' /proc/[0-9]*/cmdline; do i=$((i+1)); sleep 0.05; done;"
      " [ $i -lt 200 ] && echo gone",
      "gone\n");
  expect(magent_compute_execute(agent, "head -c 3000000 /dev/zero", 0, &result, &error), 0, error);
  ck_assert_int_eq((int64_t) (result->output_len + result->errors_len) + result->dropped, 3000000);
  ck_assert_uint_le(result->output_len, 1 << 20);
  free(result);
  result = NULL;
  magent_agent_free(agent);
}

START_TEST(commands_fail_end_and_print_without_bound_and_that_is_told)
{
  struct place place;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++)
    fail_in_all_ways(&place, *compute);
  place_end(&place);
}
END_TEST

/* behaviour 24: what is uploaded and then downloaded is equal; behaviours 29, 99: paths are taken in their order */
static void carry_files(struct place *place, const char *compute)
{
  static unsigned char data[300000];
  struct magent_error error;
  struct stat st;
  size_t len = 0;
  struct magent_agent *agent = agent_on(place, compute, "");
  for (size_t i = 0; i < sizeof(data); i++)
    data[i] = (unsigned char) (i * 7 + i / 251);
  file_write(place_path(place, "there"), data, sizeof(data));
  ck_assert_int_eq(chmod(place_path(place, "there"), 0755), 0);
  expect(magent_compute_upload(agent, place_path(place, "there"), "deep/er/file", &error), 0, error);
  check_command(agent, "wc -c < deep/er/file | tr -d ' '; test -x deep/er/file && echo runs", "300000\nruns\n");
  expect(magent_compute_download(agent, "deep/er/file", place_path(place, "back"), &error), 0, error);
  char *back = file_read(place_path(place, "back"), &len);
  ck_assert_uint_eq(len, sizeof(data));
  ck_assert_mem_eq(back, data, sizeof(data));
  ck_assert_int_eq(stat(place_path(place, "back"), &st), 0);
  ck_assert_msg((st.st_mode & 07777) == 0755, "%o", (unsigned) st.st_mode);
  free(back);
  expect(magent_compute_upload(agent, place_path(place, "defaults.json"), "deep/er/file", &error), 0, error);
  check_command(agent, "head -c 10 deep/er/file", "{\"models\":");
  file_write(place_path(place, "empty"), "", 0);
  expect(magent_compute_upload(agent, place_path(place, "empty"), "empty", &error), 0, error);
  expect(magent_compute_download(agent, "empty", place_path(place, "back"), &error), 0, error);
  free(file_read(place_path(place, "back"), &len));
  ck_assert_uint_eq(len, 0);
  magent_agent_free(agent);
}

START_TEST(files_go_in_and_out_as_they_are)
{
  struct place place;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++)
    carry_files(&place, *compute);
  place_end(&place);
}
END_TEST

START_TEST(a_file_that_cannot_be_carried_leaves_nothing_behind)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++) {
    struct magent_agent *agent = agent_on(&place, *compute, "");
    file_write(place_path(&place, "kept"), "kept", 4);
    expect(magent_compute_upload(agent, place_path(&place, "nosuch"), "x", &error), -MBP_E_NOT_FOUND, error);
    ck_assert_ptr_nonnull(strstr(error.message, "nosuch"));
    expect(magent_compute_upload(agent, "/dev/null", "x", &error), -MBP_E_INVALID, error);
    expect(magent_compute_upload(agent, place.dir, "x", &error), -MBP_E_INVALID, error);
    ck_assert_int_lt(magent_compute_download(agent, "nosuch", place_path(&place, "kept"), &error), 0);
    ck_assert_int_lt(magent_compute_download(agent, "/proc/self", place_path(&place, "kept"), &error), 0);
    ck_assert_int_lt(magent_compute_download(agent, "x", place_path(&place, "no/such/folder"), &error), 0);
    char *kept = file_read(place_path(&place, "kept"), NULL);
    ck_assert_str_eq(kept, "kept");
    free(kept);
    DIR *dir = opendir(place.dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
      ck_assert_msg(!strstr(entry->d_name, ".part"), "%s is left", entry->d_name);
    (void) closedir(dir);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

START_TEST(an_agent_without_tools_has_a_sandbox_too)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++) {
    struct magent_agent *agent = agent_on(&place, *compute, "tools: []\nmodel: scripted/scripted-echo\n");
    expect(magent_execute(agent, "one", &answer, &error), 0, error);
    free(answer);
    check_command(agent, "echo here", "here\n");
    expect(magent_execute(agent, "two", &answer, &error), 0, error);
    ck_assert_str_eq(answer, "two");
    free(answer);
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

struct many {
  struct magent_agent *agent;
  char output[256];
};

static void *run_one(void *argument)
{
  struct many *many = argument;
  struct magent_command_result *result = NULL;
  struct magent_compute_info *info = NULL;
  struct magent_error error;
  if (magent_compute_execute(many->agent, "echo x >> calls", 0, &result, &error) == 0 &&
      magent_compute_status(many->agent, &info, &error) == 0)
    (void) snprintf(many->output, sizeof(many->output), "%s", info->id);
  else
    (void) snprintf(many->output, sizeof(many->output), "failed: %.200s", error.message);
  free(result);
  free(info);
  return NULL;
}

/* behaviours 96, 100: eight threads that are the first to need it have one sandbox */
START_TEST(eight_threads_at_once_share_one_sandbox)
{
  struct place place;
  place_begin(&place, NULL);
  for (const char *const *compute = computes(); *compute; compute++) {
    pthread_t threads[8];
    struct many many[8];
    struct magent_agent *agent = agent_on(&place, *compute, "");
    for (size_t i = 0; i < 8; i++) {
      many[i] = (struct many){.agent = agent};
      ck_assert_int_eq(pthread_create(&threads[i], NULL, run_one, &many[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
      (void) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 8; i++)
      ck_assert_str_eq(many[i].output, many[0].output);
    ck_assert_str_ne(many[0].output, "");
    ck_assert_ptr_null(strstr(many[0].output, "failed"));
    check_command(agent, "wc -l < calls | tr -d ' '", "8\n");
    magent_agent_free(agent);
  }
  place_end(&place);
}
END_TEST

START_TEST(what_the_system_refuses_is_told_in_words)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, NULL);
  struct magent_agent *agent = agent_of(&place, NULL);
  const char *path = place_path(&place, "here");
  file_write(path, "x", 1);
  ck_assert_int_lt(magent_compute_upload(agent, path, "/proc/none/there", &error), 0);
  ck_assert_msg(!strstr(error.message, "errno "), "%s", error.message);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

TCase *embed_compute_tests(void)
{
  TCase *t = tcase_create("compute");
  tcase_add_test(t, what_the_system_refuses_is_told_in_words);
  tcase_add_test(t, a_sandbox_is_made_looked_at_used_and_shut_down_by_hand);
  tcase_add_test(t, commands_fail_end_and_print_without_bound_and_that_is_told);
  tcase_add_test(t, files_go_in_and_out_as_they_are);
  tcase_add_test(t, a_file_that_cannot_be_carried_leaves_nothing_behind);
  tcase_add_test(t, an_agent_without_tools_has_a_sandbox_too);
  tcase_add_test(t, eight_threads_at_once_share_one_sandbox);
  return t;
}
