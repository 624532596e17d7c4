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

/* ---- Other processes' sessions ---------------------------------------------------------------------------------- */

/* What the model is told decides what it answers. */
#define WAIT                                                                                                           \
  "{\"match\":\"begin\",\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"until test -e go; do sleep 0.02; "   \
  "done\"}}}"

/* `magent run`, once it has printed an event of that type. */
static struct other start_run(struct place *place, const char *type, char session_id[MAGENT_ID_SIZE])
{
  struct magent_session_list *list = NULL;
  struct magent_error error;
  struct other run = other_start("run", "--json", "--no-project", "--workspace", place->dir, "begin", NULL);
  (void) other_await(&run, type);
  expect(magent_list_sessions(place->magent, NULL, &list, &error), 0, error);
  ck_assert_uint_eq(list->n, 1);
  (void) snprintf(session_id, MAGENT_ID_SIZE, "%s", list->sessions[0]->id);
  free(list);
  return run;
}

/* What was read: "type type:tool ...", with :? for a user's event that still waits. */
struct seen {
  char text[8192];
  size_t n, stop_after; /* 0: never */
  uint64_t last;        /* place */
  char last_id[MAGENT_ID_SIZE];
  struct magent *magent; /* asked for the session at each event, which a callback may; or NULL */
  const char *session_id;
};

static int see(void *ctx, const struct magent_event *event)
{
  struct seen *seen = ctx;
  size_t len = strlen(seen->text);
  bool waits = strstr(event->json, "\"processed_at\":null") != NULL;
  ck_assert_uint_eq(event->kind, MAGENT_EVENT);
  ck_assert_uint_gt(event->seq, seen->last);
  ck_assert_uint_eq(strlen(event->json), event->json_len);
  seen->last = event->seq;
  (void) snprintf(seen->last_id, sizeof(seen->last_id), "%s", event->id);
  (void) snprintf(seen->text + len, sizeof(seen->text) - len, "%s%s%s ", event->type,
                  waits || event->tool[0] ? ":" : "", waits ? "?" : event->tool);
  if (seen->magent) {
    struct magent_session_info *info = NULL;
    struct magent_error error;
    expect(magent_get_session(seen->magent, seen->session_id, &info, &error), 0, error);
    free(info);
  }
  return ++seen->n == seen->stop_after;
}

static uint64_t read_all(struct magent *magent, const char *session_id, uint64_t next, uint32_t limit,
                         struct seen *seen)
{
  struct magent_error error;
  uint64_t from;
  do {
    from = next;
    expect(magent_read_events(magent, session_id, from, limit, see, seen, &next, &error), 0, error);
  } while (next > from);
  return next;
}

START_TEST(a_session_that_another_process_runs_is_read_and_spoken_to)
{
  struct place place;
  struct magent_error error;
  struct magent_session_info *info = NULL;
  struct seen before = {.n = 0}, after = {.n = 0};
  char id[MAGENT_ID_SIZE], steer[MAGENT_ID_SIZE] = "", follow[MAGENT_ID_SIZE] = "";
  int running = 0;
  place_begin(&place, "[" WAIT ",{\"match\":\"*turn left*\",\"text\":\"Steered.\"},"
                      "{\"match\":\"*then this*\",\"text\":\"Followed.\"}]");
  struct other run = start_run(&place, "agent.tool_use", id);
  uint64_t next = read_all(place.magent, id, 1, 0, &before);
  ck_assert_ptr_nonnull(strstr(before.text, "user.message "));
  ck_assert_ptr_nonnull(strstr(before.text, "agent.tool_use:bash "));
  ck_assert_ptr_null(strstr(before.text, "?"));
  expect(magent_send(place.magent, id, "then this", MAGENT_FOLLOW_UP, follow, &running, &error), 0, error);
  ck_assert_int_eq(running, 1);
  expect(magent_send(place.magent, id, "turn left", MAGENT_STEER, steer, NULL, &error), 0, error);
  ck_assert_str_ne(steer, follow);
  file_write(place_path(&place, "go"), "", 0);
  const char *printed = other_await(&run, "Followed.");
  ck_assert(strstr(printed, "turn left") &&
            strstr(printed, "turn left") < strstr(printed, "Steered.")); /* in the turn, and behind it */
  ck_assert(strstr(printed, "Steered.") < strstr(printed, "Followed."));
  ck_assert_int_eq(other_end(&run), 0);
  (void) read_all(place.magent, id, next, 3, &after);
  ck_assert_ptr_nonnull(strstr(after.text, "user.message user.message "));
  ck_assert_ptr_null(strstr(after.text, "?"));
  ck_assert_ptr_null(strstr(after.text, "agent.tool_use")); /* nothing twice */
  expect(magent_get_session(place.magent, id, &info, &error), 0, error);
  ck_assert_int_eq(info->turns, 2);
  ck_assert_int_eq(info->steps, 3);
  free(info);
  place_end(&place);
}
END_TEST

START_TEST(a_session_that_another_process_runs_is_interrupted)
{
  struct place place;
  struct magent_error error;
  char id[MAGENT_ID_SIZE], *answer = NULL;
  int running = 0;
  place_begin(&place, "[{\"match\":\"begin\",\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":600000}]},"
                      "{\"match\":\"and now\",\"text\":\"Going on.\"}]");
  struct other run = start_run(&place, "span.model_request_start", id);
  expect(magent_interrupt_session(place.magent, id, &running, &error), 0, error);
  ck_assert_int_eq(running, 1);
  ck_assert_int_eq(other_end(&run), 130);
  expect(magent_interrupt_session(place.magent, id, &running, &error), 0, error);
  ck_assert_int_eq(running, 0); /* and holds for no turn to come */
  running = 7;
  expect(magent_send(place.magent, id, "and now", MAGENT_STEER, NULL, &running, &error), 0, error);
  ck_assert_int_eq(running, 0);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_resume_session(agent, id, &error), 0, error);
  expect(magent_execute(agent, NULL, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, "Going on.");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* Behaviour 125. */
START_TEST(a_turn_of_another_agent_is_interrupted_by_its_session)
{
  struct place place;
  struct magent_error error;
  struct magent_stream *stream = NULL;
  const struct magent_event *event = NULL;
  struct seen seen = {.n = 0};
  uint64_t streamed = 0, last = 0;
  int r, running = 0;
  place_begin(&place, "[{\"steps\":[{\"text\":\"begun\"},{\"delay_ms\":600000}]}]");
  struct magent_agent *agent = agent_of(&place, NULL);
  struct magent *other = place_open(&place);
  expect(magent_stream_open(agent, "begin", &stream, &error), 0, error);
  while ((r = magent_stream_next(stream, -1, &event, &error)) == 1) {
    if (event->kind == MAGENT_TEXT) {
      struct magent_ids ids;
      expect(magent_save_ids(agent, &ids, &error), 0, error);
      expect(magent_interrupt_session(other, ids.session_id, &running, &error), 0, error);
      ck_assert_int_eq(running, 1);
    }
    streamed += event->kind == MAGENT_EVENT;
    ck_assert(event->kind == MAGENT_EVENT ? event->seq > last : event->seq == 0);
    last = event->kind == MAGENT_EVENT ? event->seq : last;
  }
  expect(r, 0, error);
  ck_assert_int_eq(magent_stream_close(stream, &error), MAGENT_INTERRUPTED);
  struct magent_ids ids;
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  (void) read_all(other, ids.session_id, 1, 0, &seen); /* the same events, at the same places */
  ck_assert_uint_eq(seen.n, streamed);
  ck_assert_uint_eq(seen.last, last);
  magent_close(other);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(events_are_read_in_pages_of_any_length)
{
  static const uint32_t limits[] = {1, 2, 3, 7, 5000};
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  struct seen all = {.n = 0};
  uint64_t next = 9, end;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  for (size_t i = 0; i < 5; i++)
    expect(magent_execute(agent, "What?", NULL, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  all.magent = place.magent;
  all.session_id = ids.session_id;
  end = read_all(place.magent, ids.session_id, 0, 0, &all);
  ck_assert_ptr_null(strstr(all.text, "?"));
  for (size_t i = 0; i < COUNT(limits); i++) {
    struct seen paged = {.n = 0}, first = {.n = 0, .stop_after = 3};
    ck_assert_uint_eq(read_all(place.magent, ids.session_id, 1, limits[i], &paged), end);
    ck_assert_str_eq(paged.text, all.text);
    expect(magent_read_events(place.magent, ids.session_id, 1, limits[i] + 3, see, &first, &next, &error), 0, error);
    ck_assert_uint_eq(first.n, 3);
    ck_assert_uint_eq(next, first.last + 1);
    (void) read_all(place.magent, ids.session_id, next, limits[i], &first);
    ck_assert_str_eq(first.text, all.text);
  }
  struct seen waiting = {.n = 0};
  expect(magent_send(place.magent, ids.session_id, "Later", MAGENT_FOLLOW_UP, NULL, NULL, &error), 0, error);
  (void) read_all(place.magent, ids.session_id, end, 1, &waiting);
  ck_assert_str_eq(waiting.text, "user.message:? ");
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(a_struct_without_its_size_is_refused_and_not_passed_over)
{
  struct place place;
  struct magent_error error;
  struct magent_session_list *list = NULL;
  struct magent *magent = NULL;
  char fork[MAGENT_ID_SIZE];
  struct magent_options options = {.store = "sqlite"};
  struct magent_query query = {.status = "running"};
  struct magent_fork_options title = {.title = "x"};
  struct magent_tool tool = {.name = "x"};
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_open(&options, &magent, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "sizeof(struct magent_options)"));
  expect(magent_list_sessions(place.magent, &query, &list, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "sizeof(struct magent_query)"));
  expect(magent_fork_session(place.magent, "sesn_none", &title, fork, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "sizeof(struct magent_fork_options)"));
  expect(magent_add_tool(agent, &tool, &error), -MBP_E_INVALID, error);
  ck_assert_ptr_nonnull(strstr(error.message, "sizeof(struct magent_tool)"));
  ck_assert(!magent && !list);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* Also what is no id at all, such as a variable that is not set. */
START_TEST(what_names_no_session_is_not_found_by_any_function)
{
  static const char *const ids[] = {"sesn_none", "", NULL, "../sesn_none", "sesn none"};
  struct place place;
  struct magent_error error;
  struct magent_session_info *info;
  struct seen seen = {.n = 0};
  uint64_t next;
  char fork[MAGENT_ID_SIZE];
  int running;
  place_begin(&place, colors);
  struct magent *magent = place.magent;
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "What?", NULL, &error), 0, error); /* an agent with a session is not confused either */
  for (size_t i = 0; i < COUNT(ids); i++) {
    const char *id = ids[i];
    expect(magent_resume_session(agent, id, &error), -MBP_E_NOT_FOUND, error);
    ck_assert_ptr_nonnull(strstr(error.message, "no session \""));
    expect(magent_get_session(magent, id, &info, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_send(magent, id, "x", MAGENT_STEER, NULL, &running, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_interrupt_session(magent, id, &running, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_read_events(magent, id, 1, 0, see, &seen, &next, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_fork_session(magent, id, NULL, fork, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_set_title(magent, id, "x", &error), -MBP_E_NOT_FOUND, error);
    expect(magent_set_budget(magent, id, "{steps: 1}", &error), -MBP_E_NOT_FOUND, error);
    expect(magent_answer_tool(magent, id, NULL, "x", 0, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_answer_confirmation(magent, id, NULL, MAGENT_ALLOW, NULL, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_archive_session(magent, id, &error), -MBP_E_NOT_FOUND, error);
    expect(magent_delete_session(magent, id, &error), -MBP_E_NOT_FOUND, error);
  }
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

START_TEST(what_cannot_be_reached_is_told)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  struct seen seen = {.n = 0};
  uint64_t next = 9;
  int running = 7;
  place_begin(&place, colors);
  struct magent *magent = place.magent;
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "What?", NULL, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  magent_agent_free(agent);
  expect(magent_send(magent, "sesn_none", "x", MAGENT_STEER, NULL, &running, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_send(magent, ids.session_id, "x", 0, NULL, &running, &error), -MBP_E_INVALID, error);
  expect(magent_send(magent, ids.session_id, "", MAGENT_STEER, NULL, &running, &error), -MBP_E_INVALID, error);
  expect(magent_interrupt_session(magent, "sesn_none", &running, &error), -MBP_E_NOT_FOUND, error);
  expect(magent_read_events(magent, "sesn_none", 1, 0, see, &seen, &next, &error), -MBP_E_NOT_FOUND, error);
  ck_assert_ptr_nonnull(strstr(error.message, "sesn_none"));
  expect(magent_archive_session(magent, ids.session_id, &error), 0, error);
  expect(magent_send(magent, ids.session_id, "x", MAGENT_STEER, NULL, &running, &error), -MBP_E_READ_ONLY, error);
  ck_assert_int_eq(running, 7); /* as it was */
  ck_assert_uint_eq(next, 9);
  (void) read_all(magent, ids.session_id, 1, 0, &seen); /* what is archived can be read */
  ck_assert_ptr_nonnull(strstr(seen.text, "session.status_terminated "));
  place_end(&place);
}
END_TEST

/* ---- Forks ------------------------------------------------------------------------------------------------------ */

START_TEST(a_fork_has_a_title_an_event_and_files_of_its_choice)
{
  struct place place;
  struct magent_error error;
  struct magent_ids ids;
  struct seen first = {.n = 0};
  struct magent_session_info *info = NULL;
  struct magent_command_result *result = NULL;
  char id[MAGENT_ID_SIZE], *answer = NULL;
  place_begin(&place, colors);
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "Remember: my favorite color is red", NULL, &error), 0, error);
  expect(magent_save_ids(agent, &ids, &error), 0, error);
  (void) read_all(place.magent, ids.session_id, 1, 0, &first);
  expect(magent_execute(agent, "Remember: my favorite color is blue", NULL, &error), 0, error);
  expect(magent_compute_execute(agent, "echo kept > file", 0, &result, &error), 0, error);
  free(result);
  struct magent_fork_options options = {
      .size = sizeof(options), .event_id = first.last_id, .title = "Still red", .without_files = 1};
  expect(magent_fork_session(place.magent, ids.session_id, &options, id, &error), 0, error);
  expect(magent_get_session(place.magent, id, &info, &error), 0, error);
  ck_assert_str_eq(info->title, "Still red");
  ck_assert_str_eq(info->forked_from, ids.session_id);
  free(info);
  expect(magent_resume_session(agent, id, &error), 0, error);
  expect(magent_execute(agent, "What is my favorite color?", &answer, &error), 0, error);
  ck_assert_str_eq(answer, "red");
  free(answer);
  expect(magent_compute_execute(agent, "ls", 0, &result, &error), 0, error);
  ck_assert_str_eq(result->output, "");
  free(result);
  options = (struct magent_fork_options){.size = sizeof(options), .title = "With files"};
  expect(magent_fork_session(place.magent, ids.session_id, &options, id, &error), 0, error);
  expect(magent_resume_session(agent, id, &error), 0, error);
  expect(magent_compute_execute(agent, "cat file", 0, &result, &error), 0, error);
  ck_assert_str_eq(result->output, "kept\n");
  free(result);
  options = (struct magent_fork_options){.size = sizeof(options), .event_id = "sevt_none"};
  expect(magent_fork_session(place.magent, ids.session_id, &options, id, &error), -MBP_E_NOT_FOUND, error);
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
  tcase_add_test(t, a_session_that_another_process_runs_is_read_and_spoken_to);
  tcase_add_test(t, a_session_that_another_process_runs_is_interrupted);
  tcase_add_test(t, a_turn_of_another_agent_is_interrupted_by_its_session);
  tcase_add_test(t, events_are_read_in_pages_of_any_length);
  tcase_add_test(t, a_struct_without_its_size_is_refused_and_not_passed_over);
  tcase_add_test(t, what_names_no_session_is_not_found_by_any_function);
  tcase_add_test(t, what_cannot_be_reached_is_told);
  tcase_add_test(t, a_fork_has_a_title_an_event_and_files_of_its_choice);
  return t;
}
