/* Programs and the command on the same sessions: what one of them has, the other one reaches by its id. */
#include "embed_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char colors[] = "[{\"match\":\"remember*\",\"text\":\"I will.\"},"
                             "{\"match\":\"what*\",\"text\":\"{{recall:favorite color is}}\"}]";

/* ---- Files of ids ----------------------------------------------------------------------------------------------- */

/* Behaviours 69, 70. */
START_TEST(ids_that_a_program_writes_are_read_by_the_command)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  struct stat st;
  place_begin(&place, colors);
  const char *path = place_path(&place, "ids");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "Remember: my favorite color is red", NULL, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  expect(magent_ids_write(&ids, path, &error), 0, error);
  ck_assert_int_eq(stat(path, &st), 0);
  ck_assert_uint_eq(st.st_mode & 0777, 0600);
  struct other restore = other_start("session", "restore", path, "--json", NULL);
  const char *printed = other_await(&restore, "\n");
  char *file = file_read(path, NULL);
  ck_assert_str_eq(printed, file); /* every member of it */
  free(file);
  ck_assert_int_eq(other_end(&restore), 0);
  ids.agent_version = 7;
  expect(magent_ids_write(&ids, path, &error), 0, error);
  restore = other_start("session", "restore", path, NULL);
  ck_assert_int_eq(other_end(&restore), 1);
  expect(magent_reset_session(agent, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  expect(magent_ids_write(&ids, path, &error), 0, error);
  restore = other_start("session", "restore", path, NULL);
  ck_assert_int_eq(other_end(&restore), 1); /* it names no session */
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* Behaviours 69, 70. */
START_TEST(ids_that_the_command_saves_are_gone_on_with_by_a_program)
{
  struct place place;
  struct magent_error error;
  struct magent_session_list *list = NULL;
  struct magent_ids ids, own;
  char *answer = NULL;
  place_begin(&place, colors);
  const char *path = place_path(&place, "ids");
  struct other run = other_start("run", "--no-project", "Remember: my favorite color is red", NULL);
  ck_assert_int_eq(other_end(&run), 0);
  expect(magent_list_sessions(place.magent, NULL, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 1);
  struct other save = other_start("session", "save", list->sessions[0]->id, path, NULL);
  ck_assert_int_eq(other_end(&save), 0);
  expect(magent_ids_read(path, &ids, &error), 0, error);
  ck_assert_str_eq(ids.session_id, list->sessions[0]->id);
  free(list);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_restore_ids(agent, &ids, &error), 0, error);
  expect(magent_execute(agent, "What is my favorite color?", &answer, &error), 0, error);
  ck_assert_str_eq(answer, "red");
  free(answer);
  expect(magent_save_ids(agent, &own, &error), 0, error);
  ck_assert_mem_eq(&own, &ids, sizeof(ids));
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* Versions are checked where somebody knows them, and what there is is told. */
START_TEST(a_version_that_there_never_was_is_refused)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "Remember: my favorite color is red", NULL, &error), 0, error);
  struct magent_config *changes = magent_config_new();
  (void) magent_config_set(changes, "system", "Be brief.");
  expect(magent_update_agent(agent, changes, 1, &error), 0, error);
  magent_config_free(changes);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  ck_assert_uint_eq(ids.agent_version, 2);
  ids.agent_version = 1; /* saved before the update */
  expect(magent_restore_ids(agent, &ids, &error), 0, error);
  ids.agent_version = 3;
  expect(magent_restore_ids(agent, &ids, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, ids.agent_id));
  ck_assert_ptr_nonnull(strstr(error.message, "has no version 3; there are 1 to 2"));
  ids.agent_version = 2;
  ids.environment_version = 9;
  expect(magent_restore_ids(agent, &ids, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, "has no version 9; there is 1"));
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

TCase *embed_reach_tests(void)
{
  TCase *t = tcase_create("reach");
  tcase_add_test(t, ids_that_a_program_writes_are_read_by_the_command);
  tcase_add_test(t, ids_that_the_command_saves_are_gone_on_with_by_a_program);
  tcase_add_test(t, a_version_that_there_never_was_is_refused);
  return t;
}
