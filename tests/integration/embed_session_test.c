/* Sessions: looked at, listed, resumed in another process, reset, forked, changed by their ids. */
#include "embed_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char colors[] = "[{\"match\":\"remember*\",\"text\":\"I will.\",\"repeat\":100},"
                             "{\"match\":\"what*\",\"text\":\"{{recall:favorite color is}}\",\"repeat\":100},"
                             "{\"match\":\"*\",\"text\":\"Yes.\",\"repeat\":1000,\"usage\":{\"input\":10,\"output\":3,"
                             "\"cache_read\":5,\"cache_write\":2}}]";

static void say(struct magent_agent *agent, const char *prompt, const char *expected)
{
  struct magent_error error;
  char *answer = NULL;
  expect(magent_execute(agent, prompt, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, expected);
  free(answer);
}

static struct magent_session_info *info_of(struct magent_agent *agent)
{
  struct magent_session_info *info = NULL;
  struct magent_error error;
  expect(magent_retrieve_session(agent, &info, &error), 0, error);
  return info;
}

static struct magent_ids ids_of(struct magent_agent *agent)
{
  struct magent_ids ids;
  struct magent_error error;
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  return ids;
}

/* ---- Views ------------------------------------------------------------------------------------------------------ */

/* behaviours 71, 75 to 78: every member is always there, whatever has happened; behaviours 120 and 7: usage is summed,
 * in four counters */
START_TEST(a_session_is_shown_in_one_shape_before_and_after_turns)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, "name: painter");
  struct magent_session_info *info = info_of(agent);
  ck_assert_str_eq(info->id, "");
  ck_assert_str_eq(info->status, "");
  ck_assert_str_eq(info->title, "");
  ck_assert_int_eq(info->usage.input_tokens, 0);
  ck_assert_int_eq(info->turns + info->steps + info->created_ms, 0);
  free(info);
  say(agent, "hello", "Yes.");
  say(agent, "again", "Yes.");
  info = info_of(agent);
  ck_assert_ptr_eq(strstr(info->id, "sesn_"), info->id);
  ck_assert_str_eq(info->status, "idle");
  ck_assert_str_eq(info->agent, "painter");
  ck_assert_str_eq(info->model, "scripted/scripted");
  ck_assert_str_eq(info->error, "");
  ck_assert_int_eq(info->ending, MAGENT_END_TURN);
  ck_assert_int_eq(info->usage.input_tokens, 20);
  ck_assert_int_eq(info->usage.output_tokens, 6);
  ck_assert_int_eq(info->usage.cache_read_input_tokens, 10);
  ck_assert_int_eq(info->usage.cache_creation_input_tokens, 4);
  ck_assert_int_eq(info->turns, 2);
  ck_assert_int_eq(info->steps, 2);
  ck_assert_int_gt(info->created_ms, INT64_C(1700000000000));
  ck_assert_int_ge(info->updated_ms, info->created_ms);
  ck_assert_int_eq(info->archived_ms, 0);
  ck_assert_int_eq(info->cost_micros, -1); /* the model has no price */
  expect(magent_set_title(place.magent, info->id, "On \xc3\xa4 colors", &error), 0, error);
  struct magent_session_info *other = NULL;
  expect(magent_get_session(place.magent, info->id, &other, &error), 0, error);
  ck_assert_str_eq(other->title, "On \xc3\xa4 colors");
  ck_assert_str_eq(other->id, info->id);
  free(other);
  free(info);
  expect(magent_get_session(place.magent, "sesn_nosuch", &other, &error), -MBP_E_NOT_FOUND, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

struct look {
  struct magent *magent;
  struct magent_agent *agent;
};

static int look_while_it_runs(void *ctx, const struct magent_event *event)
{
  struct look *look = ctx;
  if (event->kind == MAGENT_TEXT) {
    struct magent_session_info *info = info_of(look->agent);
    struct magent_session_list *list = NULL;
    struct magent_error error;
    expect(magent_list_sessions(look->magent, NULL, &list, &error), 0, error);
    ck_assert_uint_eq(list->n, 1);
    ck_assert_str_eq(info->status, "running");
    ck_assert_int_eq(info->turns, 1);
    ck_assert_str_eq(list->sessions[0]->status, "running");
    ck_assert_int_eq(list->sessions[0]->turns, 1);
    ck_assert_int_eq(list->sessions[0]->created_ms, info->created_ms);
    free(list);
    free(info);
    return 1; /* seen enough */
  }
  return 0;
}

START_TEST(a_session_can_be_looked_at_while_its_turn_runs)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, "[{\"match\":\"*\",\"steps\":[{\"text\":\"Wait\"},{\"delay_ms\":600000}]}]");
  struct magent_agent *agent = agent_of(&place, NULL);
  struct look look = {place.magent, agent};
  expect(magent_stream(agent, "hello", look_while_it_runs, &look, &error), MAGENT_INTERRUPTED, error);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

/* behaviours 72, 73: empty and filled, newest first, bounded, page by page */
START_TEST(sessions_are_listed_filtered_and_paged)
{
  struct place place;
  struct magent_error error;
  struct magent_session_list *list = NULL;
  struct magent_ids ids[5];
  char token[256] = "";
  size_t seen = 0, pages = 0;
  place_begin(&place, colors);
  expect(magent_list_sessions(place.magent, NULL, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 0);
  ck_assert_str_eq(list->next, "");
  free(list);
  for (size_t i = 0; i < 5; i++) {
    struct magent_agent *agent = agent_of(&place, i % 2 ? "name: odd" : "name: even");
    say(agent, "hello", "Yes.");
    ids[i] = ids_of(agent);
    magent_agent_free(agent);
  }
  expect(magent_archive_session(place.magent, ids[0].session_id, &error), 0, error);
  struct magent_query query = {.size = sizeof(query), .limit = 2};
  do {
    query.page = token;
    expect(magent_list_sessions(place.magent, &query, &list, &error), 0, error);
    ck_assert_uint_le(list->n, 2);
    for (size_t i = 0; i < list->n; i++, seen++)
      ck_assert_str_eq(list->sessions[i]->id, ids[4 - seen].session_id);
    (void) snprintf(token, sizeof(token), "%s", list->next);
    free(list);
  } while (token[0] && ++pages < 10);
  ck_assert_uint_eq(seen, 4);
  query = (struct magent_query){.size = sizeof(query), .agent = "even", .archived_too = 1, .oldest_first = 1};
  expect(magent_list_sessions(place.magent, &query, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 3);
  ck_assert_str_eq(list->sessions[0]->id, ids[0].session_id);
  ck_assert_str_eq(list->sessions[0]->status, "terminated");
  ck_assert_int_gt(list->sessions[0]->archived_ms, 0);
  ck_assert_str_eq(list->sessions[2]->agent, "even");
  free(list);
  query = (struct magent_query){.size = sizeof(query), .status = "running"};
  expect(magent_list_sessions(place.magent, &query, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 0);
  free(list);
  struct magent_query unknown = {.size = sizeof(unknown), .status = "runing"};
  expect(magent_list_sessions(place.magent, &unknown, &list, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "runing"));
  place_end(&place);
}
END_TEST

/* ---- Other processes -------------------------------------------------------------------------------------------- */

/* argv: file of ids, prompt, expected answer. What another process does, outside of a test; the exit status is 0 if its
 * agent knows. */
int embed_child(char **argv)
{
  static const char *const dirs[] = {"plugins-0", NULL};
  struct magent_options options = {.size = sizeof(options), .plugin_dirs = dirs};
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error = {0};
  struct magent_ids ids;
  char *answer = NULL;
  int r = magent_open(&options, &magent, &error);
  if (r == 0)
    r = magent_agent_new(magent, NULL, &agent, &error);
  if (r == 0 && access(argv[0], F_OK) == 0) {
    r = magent_ids_read(argv[0], &ids, &error);
    if (r == 0)
      r = magent_restore_ids(agent, &ids, &error);
    if (r == 0)
      r = magent_resume_session(agent, ids.session_id, &error);
  }
  if (r == 0)
    r = magent_execute(agent, argv[1], &answer, &error);
  if (r == 0)
    r = strcmp(answer, argv[2]) == 0 ? magent_save_ids(agent, &ids, &error) : -1;
  if (r == 0)
    r = magent_ids_write(&ids, argv[0], &error);
  if (r != 0)
    (void) fprintf(stderr, "the other process: %s, \"%s\"\n", error.message, answer ? answer : "");
  free(answer);
  magent_agent_free(agent);
  magent_close(magent);
  return r != 0;
}

static void in_another_process(const char *path, const char *prompt, const char *expected)
{
  int status = -1;
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    execl("/proc/self/exe", "embed_test", "--child", path, prompt, expected, (char *) NULL);
    _exit(127);
  }
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
}

/* behaviours 69, 70, 119, 130, 131: ids go round, the conversation with them, in other processes, as often as wanted */
/* Behaviour 129. */
START_TEST(a_session_is_gone_on_with_in_other_processes)
{
  struct place place;
  struct magent_ids first, second;
  struct magent_error error;
  place_begin(&place, colors);
  magent_close(place.magent);
  place.magent = NULL;
  const char *path = place_path(&place, "ids.json");
  in_another_process(path, "Remember: my favorite color is blue", "I will.");
  expect(magent_ids_read(path, &first, &error), 0, error);
  in_another_process(path, "What is my favorite color?", "blue");
  in_another_process(path, "What is my favorite color?", "blue");
  expect(magent_ids_read(path, &second, &error), 0, error);
  ck_assert_mem_eq(&first, &second, sizeof(first));
  place_end(&place);
}
END_TEST

/* Restoring overwrites nothing, and what is not known is refused. */
START_TEST(ids_that_are_not_known_change_nothing)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL), *other = agent_of(&place, NULL);
  struct magent_ids none = ids_of(agent);
  ck_assert_str_eq(none.session_id, "");
  expect(magent_restore_ids(agent, &none, &error), -MBP_E_INVALID, error);
  say(agent, "Remember: my favorite color is red", "I will.");
  say(other, "Remember: my favorite color is blue", "I will.");
  struct magent_ids good = ids_of(agent), bad = good;
  (void) snprintf(bad.session_id, sizeof(bad.session_id), "sesn_00000000000000000000000000");
  expect(magent_restore_ids(agent, &bad, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_resume_session(agent, bad.session_id, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_resume_session(agent, "../../etc", &error), -MBP_E_NOT_FOUND, error);
  bad = good;
  memcpy(bad.agent_id, ids_of(other).agent_id, sizeof(bad.agent_id));
  expect(magent_restore_ids(agent, &bad, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, bad.agent_id));
  expect(magent_resume_session(other, good.session_id, &error), -MBP_E_BUSY, error);
  say(other, "What is my favorite color?", "blue"); /* it kept its own */
  magent_agent_free(agent);
  expect(magent_restore_ids(other, &good, &error), 0, error);
  say(other, "What is my favorite color?", "red");
  struct magent_session_info *info = info_of(other);
  ck_assert_int_eq(info->turns, 2);
  free(info);
  magent_agent_free(other);
  place_end(&place);
}
END_TEST

START_TEST(files_of_ids_are_whole_or_refused)
{
  static const char *const wrong[] = {"",
                                      "[]",
                                      "{\"session_id\":7}",
                                      "{\"session_id\":\"sesn_",
                                      "{\"agent_version\":-1}",
                                      "{\"session_id\":\"012345678901234567890123456789012345678901234567\"}"};
  struct place place;
  struct magent_error error;
  struct magent_ids ids = {.agent_id = "agent_x", .session_id = "sesn_y", .agent_version = 3},
                    read = {.agent_version = 9};
  place_begin(&place, NULL);
  const char *path = place_path(&place, "ids");
  expect(magent_ids_read(path, &read, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_ids_write(&ids, place_path(&place, "no/such/folder"), &error), -MBP_E_NOT_FOUND, error);
  expect(magent_ids_write(&ids, path, &error), 0, error);
  expect(magent_ids_read(path, &read, &error), 0, error);
  ck_assert_mem_eq(&ids, &read, sizeof(ids));
  for (size_t i = 0; i < COUNT(wrong); i++) {
    file_write(path, wrong[i], strlen(wrong[i]));
    ck_assert_msg(magent_ids_read(path, &read, &error) < 0, "%s", wrong[i]);
    ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
    ck_assert_mem_eq(&ids, &read, sizeof(ids));
  }
  place_end(&place);
}
END_TEST

/* ---- Resets ----------------------------------------------------------------------------------------------------- */

/* behaviour 67: after a reset the next prompt begins a new session; the agent is the same, the old one is kept.
 * behaviour 68: after a reset of all, the agent is another one too */
START_TEST(resets_forget_the_session_or_everything)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_reset_session(agent, &error), 0, error);
  say(agent, "Remember: my favorite color is red", "I will.");
  struct magent_ids first = ids_of(agent);
  expect(magent_reset_session(agent, &error), 0, error);
  struct magent_ids between = ids_of(agent); /* agent and environment stay, also for somebody else */
  ck_assert_str_eq(between.session_id, "");
  ck_assert_str_eq(between.agent_id, first.agent_id);
  ck_assert_str_eq(between.environment_id, first.environment_id);
  struct magent_agent *other = agent_of(&place, NULL);
  expect(magent_restore_ids(other, &between, &error), 0, error);
  say(other, "What is my favorite color?", "");
  ck_assert_str_eq(ids_of(other).agent_id, first.agent_id);
  ck_assert_uint_eq(ids_of(other).agent_version, first.agent_version);
  magent_agent_free(other);
  say(agent, "What is my favorite color?", "");
  struct magent_ids second = ids_of(agent);
  ck_assert_str_ne(first.session_id, second.session_id);
  ck_assert_str_eq(first.agent_id, second.agent_id);
  ck_assert_str_eq(first.environment_id, second.environment_id);
  expect(magent_reset_all(agent, &error), 0, error);
  say(agent, "hello", "Yes.");
  ck_assert_str_ne(first.agent_id, ids_of(agent).agent_id);
  expect(magent_restore_ids(agent, &first, &error), 0, error);
  say(agent, "What is my favorite color?", "red");
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Changes by id ---------------------------------------------------------------------------------------------- */

/* Behaviours 111, 112, 132. */
START_TEST(sessions_are_forked_archived_and_deleted)
{
  struct place place;
  struct magent_error error;
  struct magent_session_info *info = NULL;
  char id[MAGENT_ID_SIZE];
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  say(agent, "Remember: my favorite color is red", "I will.");
  struct magent_ids ids = ids_of(agent);
  expect(magent_archive_session(place.magent, ids.session_id, &error), -MBP_E_BUSY, error);
  expect(magent_delete_session(place.magent, ids.session_id, &error), -MBP_E_BUSY, error);
  expect(magent_fork_session(place.magent, ids.session_id, NULL, id, &error), 0, error);
  ck_assert_str_ne(id, ids.session_id);
  say(agent, "Remember: my favorite color is green", "I will.");
  expect(magent_resume_session(agent, id, &error), 0, error);
  say(agent, "What is my favorite color?", "red");
  info = info_of(agent);
  ck_assert_str_eq(info->forked_from, ids.session_id);
  free(info);
  expect(magent_archive_session(place.magent, ids.session_id, &error), 0, error);
  ck_assert_int_lt(magent_resume_session(agent, ids.session_id, &error), 0);
  expect(magent_delete_session(place.magent, ids.session_id, &error), 0, error);
  expect(magent_get_session(place.magent, ids.session_id, &info, &error), -MBP_E_NOT_FOUND, error);
  say(agent, "What is my favorite color?", "red");
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* It could mean nothing or no bound, so it is neither: null removes a bound. */
START_TEST(a_budget_of_0_is_refused)
{
  static const char *const budgets[] = {"{tokens: 0}", "{cost: 0}",       "{cost: 0.00}",
                                        "{steps: 0}",  "{tool_calls: 0}", "{time: 0}"};
  struct place place;
  struct magent_error error;
  struct magent_agent *agent = NULL;
  place_begin(&place, colors);
  agent = agent_of(&place, NULL);
  say(agent, "hello", "Yes.");
  struct magent_ids ids = ids_of(agent);
  for (size_t i = 0; i < COUNT(budgets); i++)
    expect(magent_set_budget(place.magent, ids.session_id, budgets[i], &error), -MBP_E_INVALID, error);
  say(agent, "hello", "Yes."); /* and nothing has changed */
  magent_agent_free(agent);
  struct magent_config *config = magent_config_new();
  ck_assert_int_lt(magent_config_set(config, "budget.steps", "0"), 0);
  expect(magent_agent_new(place.magent, config, &agent, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "budget.steps"));
  magent_config_free(config);
  place_end(&place);
}
END_TEST

/* A budget is part of the agent, is raised by id, and the turn goes on from there. */
START_TEST(a_budget_stops_a_turn_that_goes_on_when_it_is_raised)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"true\"}}}\n{\"text\":\"Done.\"}");
  struct magent_agent *agent = agent_of(&place, "budget: {steps: 1}");
  expect(magent_execute(agent, "go", NULL, &error), MAGENT_LIMIT, error);
  ck_assert_ptr_nonnull(strstr(error.message, "budget"));
  struct magent_session_info *info = info_of(agent);
  ck_assert_int_eq(info->ending, MAGENT_LIMIT);
  expect(magent_set_budget(place.magent, info->id, "{steps: 5}", &error), 0, error);
  expect(magent_set_budget(place.magent, info->id, "{steps: many}", &error), -MBP_E_INVALID, error);
  expect(magent_set_budget(place.magent, info->id, "{stepz: 4}", &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "did you mean \"steps\""));
  expect(magent_set_budget(place.magent, info->id, "{time: 30m, tokens: 100000}", &error), 0, error);
  expect(magent_set_budget(place.magent, info->id, "{time: 0, tokens: 1}", &error), -MBP_E_INVALID, error);
  expect(magent_set_budget(place.magent, info->id, "{time: null, tokens: null}", &error), 0, error);
  free(info);
  expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Done.");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Updates ---------------------------------------------------------------------------------------------------- */

static int update(struct magent_agent *agent, const char *key, const char *value, uint32_t expected,
                  struct magent_error *error)
{
  struct magent_config *changes = magent_config_new();
  (void) magent_config_set(changes, key, value);
  int r = magent_update_agent(agent, changes, expected, error);
  magent_config_free(changes);
  return r;
}

/* behaviours 74, 124: a change counts, the conversation stays, and who expects another version changes nothing */
START_TEST(an_updated_agent_keeps_its_conversation_and_counts_its_versions)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  say(agent, "Remember: my favorite color is red", "I will.");
  struct magent_ids before = ids_of(agent);
  ck_assert_uint_eq(before.agent_version, 1);
  expect(update(agent, "system", "Be brief.", 7, &error), -MBP_E_CONFLICT, error);
  expect(update(agent, "system", "You are a test.", 1, &error), 0, error); /* as it was */
  ck_assert_uint_eq(ids_of(agent).agent_version, 1);
  expect(update(agent, "system", "Be brief.", 1, &error), 0, error);
  struct magent_ids after = ids_of(agent);
  ck_assert_uint_eq(after.agent_version, 2);
  ck_assert_uint_eq(after.environment_version, 1);
  ck_assert_str_eq(after.session_id, before.session_id);
  ck_assert_str_eq(after.agent_id, before.agent_id);
  say(agent, "What is my favorite color?", "red");
  expect(update(agent, "model", "nosuch/model", 0, &error), -MBP_E_NOT_FOUND, error);
  expect(update(agent, "sistem", "x", 0, &error), -MBP_E_INVALID, error);
  ck_assert_uint_eq(ids_of(agent).agent_version, 2);
  magent_agent_free(agent); /* and what was changed is durable */
  agent = agent_of(&place, NULL);
  expect(magent_restore_ids(agent, &after, &error), 0, error);
  ck_assert_uint_eq(ids_of(agent).agent_version, 2);
  expect(update(agent, "model", "scripted/scripted-echo", 2, &error), 0, error);
  say(agent, "What is my favorite color?", "What is my favorite color?");
  struct magent_session_info *info = info_of(agent);
  ck_assert_str_eq(info->model, "scripted/scripted-echo");
  ck_assert_uint_eq(info->agent_version, 3);
  ck_assert_int_eq(info->turns, 3);
  free(info);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(an_updated_environment_means_a_new_sandbox_with_the_same_files)
{
  struct place place;
  struct magent_error error;
  struct magent_command_result *result = NULL;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(update(agent, "metadata", "{team: red}", 0, &error), 0, error); /* before there is a session */
  expect(magent_compute_execute(agent, "echo kept > file; echo -$TEAM-", 0, &result, &error), 0, error);
  ck_assert_str_eq(result->output, "--\n");
  free(result);
  expect(update(agent, "compute.env.TEAM", "red", 2, &error), 0, error);
  expect(magent_compute_execute(agent, "cat file; echo -$TEAM-", 0, &result, &error), 0, error);
  ck_assert_str_eq(result->output, "kept\n-red-\n");
  free(result);
  ck_assert_uint_eq(ids_of(agent).agent_version, 3);
  ck_assert_uint_eq(ids_of(agent).environment_version, 2);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* ---- Deliveries ------------------------------------------------------------------------------------------------- */

static int speak_at_the_tool(void *ctx, const struct magent_event *event)
{
  struct magent_error error;
  struct magent_command_result *result = NULL;
  if (event->kind == MAGENT_EVENT && strcmp(event->type, "agent.tool_use") == 0) {
    expect(magent_follow_up(ctx, "follow", &error), 0, error);
    expect(magent_steer(ctx, "steer", &error), 0, error);
    expect(magent_compute_execute(ctx, "touch said", 0, &result, &error), 0, error);
    free(result);
  }
  return 0;
}

START_TEST(who_steers_is_heard_in_the_turn_and_who_follows_up_after_it)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, "[{\"match\":\"go\",\"text\":\"I look.\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":"
                      "\"until test -e said; do sleep 0.02; done\"}}},{\"match\":\"*steer*\",\"text\":\"Steered.\"},"
                      "{\"match\":\"*follow*\",\"text\":\"Followed.\"},{\"match\":\"before\",\"text\":\"Heard.\"}]");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_stream(agent, "go", speak_at_the_tool, agent, &error), MAGENT_END_TURN, error);
  struct magent_session_info *info = info_of(agent);
  ck_assert_int_eq(info->turns, 2);
  ck_assert_int_eq(info->steps, 3);
  free(info);
  expect(magent_steer(agent, "before", &error), 0, error);
  expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Heard.");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

TCase *embed_session_tests(void)
{
  TCase *t = tcase_create("session");
  tcase_add_test(t, a_session_is_shown_in_one_shape_before_and_after_turns);
  tcase_add_test(t, a_session_can_be_looked_at_while_its_turn_runs);
  tcase_add_test(t, sessions_are_listed_filtered_and_paged);
  tcase_add_test(t, a_session_is_gone_on_with_in_other_processes);
  tcase_add_test(t, ids_that_are_not_known_change_nothing);
  tcase_add_test(t, files_of_ids_are_whole_or_refused);
  tcase_add_test(t, resets_forget_the_session_or_everything);
  tcase_add_test(t, sessions_are_forked_archived_and_deleted);
  tcase_add_test(t, a_budget_of_0_is_refused);
  tcase_add_test(t, a_budget_stops_a_turn_that_goes_on_when_it_is_raised);
  tcase_add_test(t, an_updated_agent_keeps_its_conversation_and_counts_its_versions);
  tcase_add_test(t, an_updated_environment_means_a_new_sandbox_with_the_same_files);
  tcase_add_test(t, who_steers_is_heard_in_the_turn_and_who_follows_up_after_it);
  return t;
}
