/* Agents that the store keeps: made and changed by programs, used by whoever knows their names. */
#include "embed_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct magent_config *config_of(const char *yaml)
{
  struct magent_config *config = magent_config_new();
  struct magent_error error;
  expect(magent_config_parse(config, yaml, &error), 0, error);
  return config;
}

static int create(struct place *place, const char *yaml, struct magent_stored_agent **ret_stored,
                  struct magent_error *error)
{
  struct magent_config *config = config_of(yaml);
  int r = magent_create_stored_agent(place->magent, config, ret_stored, error);
  magent_config_free(config);
  return r;
}

static int update(struct place *place, const char *reference, const char *yaml, uint32_t expected,
                  struct magent_stored_agent **ret_stored, struct magent_error *error)
{
  struct magent_config *changes = config_of(yaml);
  int r = magent_update_stored_agent(place->magent, reference, changes, expected, ret_stored, error);
  magent_config_free(changes);
  return r;
}

static struct magent_stored_agent *get(struct place *place, const char *reference)
{
  struct magent_stored_agent *stored = NULL;
  struct magent_error error;
  expect(magent_get_stored_agent(place->magent, reference, &stored, &error), 0, error);
  return stored;
}

static size_t count(struct place *place, int archived_too)
{
  struct magent_stored_agent_list *list = NULL;
  struct magent_error error;
  expect(magent_list_stored_agents(place->magent, archived_too, &list, &error), 0, error);
  size_t n = list->n;
  free(list);
  return n;
}

/* Behaviours 74, 124. */
/* "created_at":"..." of a resource; in a buffer that the next call but one overwrites. */
static const char *made_at(const char *json)
{
  static char texts[2][48];
  static unsigned n;
  const char *at = strstr(json, "\"created_at\":");
  ck_assert_ptr_nonnull(at);
  (void) snprintf(texts[++n % 2], sizeof(texts[0]), "%.39s", at);
  return texts[n % 2];
}

/* Until the clock shows a later millisecond. */
static void let_time_pass(int64_t since_ms)
{
  struct timespec now;
  do
    (void) clock_gettime(CLOCK_REALTIME, &now);
  while ((int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000 <= since_ms + 1);
}

START_TEST(a_stored_agent_has_versions_and_an_update_tells_which_it_expects)
{
  struct place place;
  struct magent_error error;
  struct magent_stored_agent *stored = NULL, *again = NULL;
  place_begin(&place, NULL);
  expect(create(&place, "{name: poet, system: Rhyme.}", &stored, &error), 0, error);
  ck_assert_ptr_eq(strstr(stored->id, "agent_"), stored->id);
  ck_assert_ptr_eq(strstr(stored->environment_id, "env_"), stored->environment_id);
  ck_assert_str_eq(stored->name, "poet");
  ck_assert_str_eq(stored->model, "scripted/scripted"); /* of the defaults */
  ck_assert_ptr_nonnull(strstr(stored->agent_json, "Rhyme."));
  ck_assert_ptr_nonnull(strstr(stored->environment_json, stored->environment_id));
  ck_assert_uint_eq(stored->version, 1);
  ck_assert_uint_eq(stored->environment_version, 1);
  ck_assert_int_gt(stored->created_ms, INT64_C(1700000000000));
  ck_assert_int_eq(stored->archived_ms, 0);
  expect(create(&place, "{name: poet}", &again, &error), -MBP_E_EXISTS, error);
  expect(create(&place, "{system: Rhyme.}", &again, &error), -MBP_E_INVALID, error);
  expect(create(&place, "{name: other, model: nosuch/model}", &again, &error), -MBP_E_NOT_FOUND, error);
  let_time_pass(stored->updated_ms);
  expect(update(&place, "poet", "{system: Do not rhyme.}", 1, &again, &error), 0, error);
  ck_assert_int_gt(again->updated_ms, stored->updated_ms);
  ck_assert_str_eq(again->environment_json, stored->environment_json); /* is as it was, its times too */
  free(again);
  again = NULL;
  expect(update(&place, "poet", "{system: Be brief.}", 1, &again, &error), -MBP_E_CONFLICT, error);
  ck_assert_ptr_nonnull(strstr(error.message, "has version 2, not 1"));
  expect(update(&place, "poet@1", "{system: Be brief.}", 0, &again, &error), -MBP_E_CONFLICT, error);
  ck_assert_ptr_null(again);
  expect(update(&place, stored->id, "{system: Do not rhyme.}", 2, &again, &error), 0, error);
  ck_assert_uint_eq(again->version, 2); /* nothing changed */
  free(again);
  expect(update(&place, "poet", "{compute: {env: {TEAM: red}}}", 0, &again, &error), 0, error);
  ck_assert_uint_eq(again->version, 3);
  ck_assert_uint_eq(again->environment_version, 2);
  ck_assert_int_eq(again->created_ms, stored->created_ms);
  ck_assert_str_eq(made_at(again->environment_json), made_at(stored->environment_json));
  free(again);
  again = get(&place, "poet@1");
  ck_assert_str_eq(again->agent_json, stored->agent_json);
  ck_assert_str_eq(again->environment_json, stored->environment_json);
  free(again);
  again = NULL;
  expect(magent_get_stored_agent(place.magent, "poet@4", &again, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_get_stored_agent(place.magent, "nobody", &again, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_null(again);
  free(stored);
  place_end(&place);
}
END_TEST

START_TEST(stored_agents_are_listed_and_archived)
{
  struct place place;
  struct magent_error error;
  struct magent_stored_agent_list *list = NULL;
  struct magent_stored_agent *stored = NULL;
  struct magent_agent *agent = NULL;
  place_begin(&place, NULL);
  ck_assert_uint_eq(count(&place, 1), 0);
  expect(create(&place, "{name: first}", NULL, &error), 0, error);
  expect(create(&place, "{name: second}", NULL, &error), 0, error);
  expect(update(&place, "first", "{system: x}", 0, NULL, &error), 0, error);
  expect(magent_list_stored_agents(place.magent, 0, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 2);
  ck_assert_str_eq(list->agents[0]->name, "second");
  ck_assert_str_eq(list->agents[1]->name, "first");
  ck_assert_uint_eq(list->agents[1]->version, 2);
  ck_assert_uint_eq(list->agents[1]->environment_version, 1);
  ck_assert_ptr_nonnull(strstr(list->agents[1]->agent_json, "\"first\""));
  ck_assert_str_eq(list->agents[1]->environment_json, "");
  free(list);
  expect(magent_archive_stored_agent(place.magent, "first", &stored, &error), 0, error);
  ck_assert_int_gt(stored->archived_ms, 0);
  char *id = strdup(stored->id);
  free(stored);
  expect(magent_archive_stored_agent(place.magent, id, NULL, &error), 0, error);
  ck_assert_uint_eq(count(&place, 0), 1);
  ck_assert_uint_eq(count(&place, 1), 2);
  expect(update(&place, id, "{system: y}", 0, NULL, &error), -MBP_E_READ_ONLY, error);
  expect(magent_agent_open(place.magent, id, NULL, &agent, &error), -MBP_E_READ_ONLY, error);
  expect(magent_agent_open(place.magent, "nobody", NULL, &agent, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_null(agent);
  free(id);
  place_end(&place);
}
END_TEST

/* And its versions are those that ids may name. */
START_TEST(an_agent_is_opened_as_a_stored_version_says)
{
  struct place place;
  struct magent_error error;
  struct magent_agent *agent = NULL;
  struct magent_ids ids;
  struct magent_session_info *info = NULL;
  char *answer = NULL;
  place_begin(&place, NULL);
  expect(create(&place, "{name: echo, model: scripted/scripted-echo}", NULL, &error), 0, error);
  expect(update(&place, "echo", "{model: scripted/scripted}", 0, NULL, &error), 0, error);
  struct magent_stored_agent *stored = get(&place, "echo");
  struct magent_config *more = config_of("{budget: {steps: 5}}");
  expect(magent_agent_open(place.magent, "echo@1", more, &agent, &error), 0, error);
  magent_config_free(more);
  expect(magent_execute(agent, "Say this", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Say this");
  free(answer);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  ck_assert_str_eq(ids.agent_id, stored->id);
  ck_assert_str_eq(ids.environment_id, stored->environment_id);
  ck_assert_uint_eq(ids.agent_version, 1);
  expect(magent_retrieve_session(agent, &info, &error), 0, error);
  ck_assert_str_eq(info->agent, "echo");
  ck_assert_str_eq(info->model, "scripted/scripted-echo");
  free(info);
  ids.agent_version = 2; /* is stored */
  expect(magent_restore_ids(agent, &ids, &error), 0, error);
  ids.agent_version = 3;
  expect(magent_restore_ids(agent, &ids, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, "has no version 3; there are 1 to 2"));
  ids.session_id[0] = 0; /* a version is asked for without a session as well */
  expect(magent_restore_ids(agent, &ids, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, "has no version 3; there are 1 to 2"));
  ids.agent_version = 1;
  struct magent_agent *other = agent_of(&place, "model: scripted/scripted");
  expect(magent_restore_ids(other, &ids, &error), 0, error); /* it becomes what that version says */
  expect(magent_execute(other, "Say that", &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Say that");
  free(answer);
  expect(magent_retrieve_session(other, &info, &error), 0, error);
  ck_assert_str_eq(info->agent_id, stored->id);
  ck_assert_uint_eq(info->agent_version, 1);
  free(info);
  (void) snprintf(ids.agent_id, sizeof(ids.agent_id), "./echo.yaml"); /* names of files are no ids */
  expect(magent_restore_ids(other, &ids, &error), -MBP_E_INVALID, error);
  magent_agent_free(other);
  free(stored);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(programs_and_the_command_have_the_same_stored_agents)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, NULL);
  expect(create(&place, "{name: mine, system: Rhyme.}", NULL, &error), 0, error);
  struct other show = other_start("agent", "show", "mine", "--json", NULL);
  struct magent_stored_agent *mine = get(&place, "mine");
  ck_assert_ptr_nonnull(strstr(other_await(&show, "\n"), mine->agent_json));
  ck_assert_int_eq(other_end(&show), 0);
  free(mine);
  static const char yaml[] = "name: yours\nsystem: Do not rhyme.\n";
  file_write(place_path(&place, "yours.yaml"), yaml, strlen(yaml));
  struct other make = other_start("agent", "create", place_path(&place, "yours.yaml"), NULL);
  ck_assert_int_eq(other_end(&make), 0);
  struct magent_stored_agent *yours = get(&place, "yours");
  ck_assert_ptr_nonnull(strstr(yours->agent_json, "Do not rhyme."));
  free(yours);
  struct magent_agent *agent = NULL; /* and a file has no need to be stored */
  expect(magent_agent_open(place.magent, place_path(&place, "yours.yaml"), NULL, &agent, &error), 0, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

TCase *embed_stored_tests(void)
{
  TCase *t = tcase_create("stored");
  tcase_add_test(t, a_stored_agent_has_versions_and_an_update_tells_which_it_expects);
  tcase_add_test(t, stored_agents_are_listed_and_archived);
  tcase_add_test(t, an_agent_is_opened_as_a_stored_version_says);
  tcase_add_test(t, programs_and_the_command_have_the_same_stored_agents);
  return t;
}
