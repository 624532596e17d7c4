/* Sessions as they are listed, retrieved, renamed, archived and found again. */
#include "sessions_test.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const members[] = {"id",
                                      "type",
                                      "status",
                                      "interrupted",
                                      "stop_reason",
                                      "error",
                                      "title",
                                      "agent/id",
                                      "agent/version",
                                      "agent/name",
                                      "model",
                                      "environment_id",
                                      "created_at",
                                      "updated_at",
                                      "archived_at",
                                      "turns",
                                      "steps",
                                      "tool_calls",
                                      "active_ms",
                                      "usage/input_tokens",
                                      "usage/output_tokens",
                                      "usage/cache_read_input_tokens",
                                      "usage/cache_creation_input_tokens",
                                      "cost",
                                      "budget",
                                      "forked_from"};

struct seen {
  size_t n;
  char ids[600][MAG_ID_SIZE];
};

static int note(void *ctx, struct mbp_str info)
{
  struct seen *seen = ctx;
  mag_autojson json = NULL;
  struct mbp_str slice;
  ck_assert_int_eq(mag_json_parse(info, &json, NULL), 0);
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    ck_assert_msg(mag_json_slice(info, members[i], &slice), "no %s in %.*s", members[i], (int) info.len, info.ptr);
  (void) snprintf(seen->ids[seen->n++], MAG_ID_SIZE, "%s", mag_json_str(mag_json_get(json, "id")).ptr);
  return 0;
}

/* All pages. */
static void list(struct rig *rig, struct mag_session_filter filter, struct seen *seen)
{
  struct mbp_error err = MAG_ERROR_INIT;
  char *next = NULL;
  seen->n = 0;
  do {
    size_t before = seen->n;
    filter.page = next;
    char *page = next;
    int r = mag_sessions_list(rig->engine, &filter, note, seen, &next, &err);
    ck_assert_msg(r == 0, "%s", err.message);
    ck_assert_uint_le(seen->n - before, filter.limit ? filter.limit : 100);
    free(page);
  } while (next);
}

static void create_another(struct rig *rig, const char *name, char id[MAG_ID_SIZE])
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session = NULL;
  free(rig->definition.name);
  rig->definition.name = mag_str_dup(mbp_str(name));
  ck_assert_int_eq(mag_session_create(rig->engine, &rig->definition, mbp_str(""), &session, &err), 0);
  (void) snprintf(id, MAG_ID_SIZE, "%s", session->log.id);
  mag_session_close(session);
}

START_TEST(every_member_is_there_from_the_beginning)
{
  struct rig rig;
  static struct seen seen;
  sessions_open(&rig, NULL);
  rig_create(&rig);
  for (size_t i = 0; i < MAG_COUNT(members); i++)
    (void) view(&rig, NULL, members[i]);
  ck_assert_str_eq(view(&rig, NULL, "status"), "\"idle\"");
  ck_assert_str_eq(view(&rig, NULL, "title"), "\"a test\"");
  ck_assert_str_eq(view(&rig, NULL, "error"), "null");
  list(&rig, (struct mag_session_filter){.status = NULL}, &seen);
  ck_assert_uint_eq(seen.n, 1);
  sessions_close(&rig, NULL);
}
END_TEST

START_TEST(sessions_are_found_by_the_whole_name_of_their_agent)
{
  static const char *const names[] = {"few", "fewer", "a \"few\"", "back\\few", "d\u00e9j\u00e0 few"};
  struct rig rig;
  static struct seen seen;
  char ids[MAG_COUNT(names)][MAG_ID_SIZE];
  sessions_open(&rig, NULL);
  for (size_t i = 0; i < MAG_COUNT(names); i++)
    create_another(&rig, names[i], ids[i]);
  for (size_t i = 0; i < MAG_COUNT(names); i++) {
    list(&rig, (struct mag_session_filter){.agent = names[i]}, &seen);
    ck_assert_uint_eq(seen.n, 1);
    ck_assert_str_eq(seen.ids[0], ids[i]);
  }
  list(&rig, (struct mag_session_filter){.agent = "fe"}, &seen);
  ck_assert_uint_eq(seen.n, 0);
  sessions_close(&rig, NULL);
}
END_TEST

START_TEST(lists_are_filtered_paged_and_newest_first)
{
  struct rig rig;
  static struct seen all, some;
  char ids[25][MAG_ID_SIZE];
  struct mbp_error err = MAG_ERROR_INIT;
  sessions_open(&rig, NULL);
  for (size_t i = 0; i < 25; i++)
    create_another(&rig, i % 5 ? "many" : "few", ids[i]);
  for (uint32_t limit = 1; limit < 30; limit += 7) {
    list(&rig, (struct mag_session_filter){.limit = limit}, &all);
    ck_assert_uint_eq(all.n, 25);
    for (size_t i = 0; i < 25; i++)
      ck_assert_str_eq(all.ids[i], ids[24 - i]);
    list(&rig, (struct mag_session_filter){.limit = limit, .agent = "few"}, &some);
    ck_assert_uint_eq(some.n, 5);
    ck_assert_str_eq(some.ids[0], ids[20]);
  }
  list(&rig, (struct mag_session_filter){.oldest_first = true, .limit = 10}, &all);
  ck_assert_str_eq(all.ids[0], ids[0]);
  ck_assert_int_eq(mag_sessions_archive(rig.engine, ids[3], &err), 0);
  ck_assert_int_eq(mag_sessions_archive(rig.engine, ids[3], &err), 0);
  list(&rig, (struct mag_session_filter){.limit = 10}, &some);
  ck_assert_uint_eq(some.n, 24);
  list(&rig, (struct mag_session_filter){.limit = 10, .archived = true}, &some);
  ck_assert_uint_eq(some.n, 25);
  list(&rig, (struct mag_session_filter){.archived = true, .status = "terminated"}, &some);
  ck_assert_uint_eq(some.n, 1);
  ck_assert_str_eq(some.ids[0], ids[3]);
  list(&rig, (struct mag_session_filter){.status = "running"}, &some);
  ck_assert_uint_eq(some.n, 0);
  int64_t now = mag_clock_wall_ms();
  list(&rig, (struct mag_session_filter){.created_after_ms = now + 60000}, &some);
  ck_assert_uint_eq(some.n, 0);
  list(&rig, (struct mag_session_filter){.created_after_ms = now - 600000, .created_before_ms = now + 600000}, &some);
  ck_assert_uint_eq(some.n, 24);
  list(&rig, (struct mag_session_filter){.created_before_ms = now - 600000}, &some);
  ck_assert_uint_eq(some.n, 0);
  sessions_close(&rig, NULL);
}
END_TEST

static void look_while_running(struct rig *rig, const struct mag_preview *preview)
{
  static struct seen seen;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_change change = {.title = "while it runs"};
  if (preview->kind != MAG_PREVIEW_TEXT || !rig->ctx)
    return;
  rig->ctx = NULL;
  ck_assert_str_eq(view(rig, NULL, "status"), "\"running\"");
  list(rig, (struct mag_session_filter){.status = "running"}, &seen);
  ck_assert_uint_eq(seen.n, 1);
  ck_assert_int_eq(mag_sessions_archive(rig->engine, rig->session->log.id, &err), -MBP_E_BUSY);
  ck_assert_int_eq(mag_sessions_update(rig->engine, rig->session->log.id, &change, &err), 0);
}

static int take_title(void *ctx, struct mbp_str info)
{
  struct mbp_str title, turns;
  ck_assert(mag_json_slice(info, "title", &title) && mag_json_slice(info, "usage/output_tokens", &turns));
  (void) snprintf(ctx, 100, "%.*s %.*s", (int) title.len, title.ptr, (int) turns.len, turns.ptr);
  return 0;
}

START_TEST(a_running_session_is_running_and_can_be_renamed)
{
  static const struct answer answers[] = {{.content = TEXT("one")}};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  char title[100] = "", *next = NULL;
  struct mag_session_filter all = {.status = NULL};
  struct service *service = service_new(answers, 1);
  sessions_open(&rig, service);
  rig_create(&rig);
  rig.on_preview = look_while_running;
  rig.ctx = &rig;
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_ptr_null(rig.ctx);
  ck_assert_str_eq(view(&rig, NULL, "status"), "\"idle\"");
  /* What the runner wrote behind it knows of both. */
  ck_assert_int_eq(mag_sessions_list(rig.engine, &all, take_title, title, &next, &err), 0);
  ck_assert_str_eq(title, "\"while it runs\" 7");
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_session_whose_runner_died_is_idle_and_interrupted)
{
  struct rig rig;
  static struct seen seen;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_batch batch = MAG_BATCH_INIT;
  sessions_open(&rig, NULL);
  rig_create(&rig);
  mag_batch_running(&batch);
  ck_assert_int_eq(mag_session_commit(rig.session, &batch, &err), 0);
  mag_batch_done(&batch);
  ck_assert_str_eq(view(&rig, NULL, "status"), "\"running\"");
  mag_autofree char *id = mag_str_dup(mbp_str(rig.session->log.id));
  mag_session_close(rig.session); /* its claim goes, as when its process dies */
  rig.session = NULL;
  ck_assert_str_eq(view(&rig, id, "status"), "\"idle\"");
  ck_assert_str_eq(view(&rig, id, "interrupted"), "true");
  list(&rig, (struct mag_session_filter){.status = "idle"}, &seen);
  ck_assert_uint_eq(seen.n, 1);
  list(&rig, (struct mag_session_filter){.status = "running"}, &seen);
  ck_assert_uint_eq(seen.n, 0);
  sessions_close(&rig, NULL);
}
END_TEST

START_TEST(an_archived_session_can_be_read_and_forked_but_not_run)
{
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_fork_options options = {.title = NULL};
  struct mag_session *session = NULL;
  struct mag_session_change change = {.title = "x"};
  char fork[MAG_ID_SIZE];
  struct service *service = service_new(answers, 2);
  sessions_open(&rig, service);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  mag_autofree char *id = mag_str_dup(mbp_str(rig.session->log.id));
  mag_session_close(rig.session);
  rig.session = NULL;
  ck_assert_int_eq(mag_sessions_archive(rig.engine, id, &err), 0);
  ck_assert_str_eq(view(&rig, id, "status"), "\"terminated\"");
  ck_assert_str_ne(view(&rig, id, "archived_at"), "null");
  ck_assert_int_eq(mag_session_open(rig.engine, id, NULL, &session, &err), -MBP_E_READ_ONLY);
  ck_assert_int_eq(mag_outside_say(rig.engine, id, mbp_str("hey"), NULL, NULL, &err), -MBP_E_READ_ONLY);
  ck_assert_int_eq(mag_sessions_update(rig.engine, id, &change, &err), -MBP_E_READ_ONLY);
  ck_assert_int_eq(mag_sessions_fork(rig.engine, id, &options, fork, &err), 0);
  ck_assert_str_eq(view(&rig, fork, "archived_at"), "null");
  rig_resume(&rig, fork);
  ck_assert_int_eq(rig_run(&rig, "go on", NULL), MAG_END_TURN);
  sessions_close(&rig, service);
}
END_TEST

/* ---- Ids ---- */

START_TEST(ids_are_saved_at_once_and_restored_only_if_the_session_is_there)
{
  struct rig rig;
  struct stat st;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_ids ids, back;
  sessions_open(&rig, NULL);
  rig_create(&rig);
  const char *path = rig_path(&rig, "ids.json");
  ck_assert_int_eq(mag_ids_of(rig.engine, rig.session->log.id, &ids, &err), 0);
  ck_assert_int_eq(mag_ids_save(&ids, path, &err), 0);
  ck_assert_int_eq(mag_ids_save(&ids, path, &err), 0); /* over the old one */
  ck_assert_int_eq(stat(path, &st), 0);
  ck_assert_uint_eq(st.st_mode & 0777, 0600);
  unsigned appends = rig_appends();
  ck_assert_int_eq(mag_ids_load(path, &back, &err), 0);
  ck_assert_mem_eq(&ids, &back, sizeof(ids));
  ck_assert_int_eq(mag_ids_check(rig.engine, &back, &err), 0);
  ck_assert_uint_eq(rig_appends(), appends); /* looking writes nothing */
  ck_assert_int_eq(mag_ids_of(rig.engine, "sesn_none", &ids, &err), -MBP_E_NOT_FOUND);
  (void) snprintf(back.session_id, sizeof(back.session_id), "sesn_none");
  ck_assert_int_eq(mag_ids_check(rig.engine, &back, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_ids_load(rig_path(&rig, "none"), &back, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_ids_load(rig_path(&rig, ""), &back, &err), -MBP_E_INVALID); /* a directory */
  ck_assert_int_lt(mag_ids_save(&ids, rig_path(&rig, "no/such/place"), &err), 0);
  (void) snprintf(ids.agent_id, sizeof(ids.agent_id), "no id");
  ck_assert_int_eq(mag_ids_save(&ids, path, &err), -MBP_E_INVALID);
  ck_assert_int_eq(mag_ids_load(path, &back, &err), 0); /* it is as it was */
  sessions_close(&rig, NULL);
}
END_TEST

START_TEST(a_bad_file_of_ids_is_told_with_file_and_key)
{
  static const struct {
    const char *text;
    int r;
    const char *message;
  } bad[] = {
      {"", -MBP_E_INVALID, ""},
      {"[]", -MBP_E_INVALID, "expected a JSON object with a session_id"},
      {"{\"agent_id\":\"agent_1\"}", -MBP_E_INVALID, "session_id is missing"},
      {"{\"session_id\":7}", -MBP_E_INVALID, "session_id: expected an id, or null"},
      {"{\"session_id\":\"../x\"}", -MBP_E_INVALID, "session_id: expected an id, or null"},
      {"{\"session_id\":\"sesn_1\",\"agent_id\":[]}", -MBP_E_INVALID, "agent_id: expected an id"},
      {"{\"session_id\":\"sesn_1\",\"agent_version\":1.5}", -MBP_E_INVALID, "agent_version: expected a whole number"},
      {"{\"session_id\":\"sesn_1\",\"environment_version\":4294967296}", -MBP_E_INVALID, "environment_version: "},
      {"{\"session_id\":\"sesn_1\",\"version\":\"1\"}", -MBP_E_INVALID, "version: expected a whole number"},
      {"{\"session_id\":\"sesn_1\",\"version\":2}", -MBP_E_UNSUPPORTED, "written by a newer magent (version 2)"},
  };
  struct rig rig;
  struct mag_ids ids = {.agent_version = 7};
  sessions_open(&rig, NULL);
  const char *path = rig_path(&rig, "ids.json");
  for (size_t i = 0; i < MAG_COUNT(bad); i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    rig_write_file(&rig, "ids.json", bad[i].text);
    ck_assert_msg(mag_ids_load(path, &ids, &err) == bad[i].r, "%s: %s", bad[i].text, err.message);
    ck_assert_msg(strstr(err.message, path) == err.message, "%s", err.message);
    ck_assert_msg(strstr(err.message, bad[i].message) != NULL, "%s", err.message);
    ck_assert_uint_eq(ids.agent_version, 7);
  }
  sessions_close(&rig, NULL);
}
END_TEST

TCase *view_tests(void)
{
  TCase *t = tcase_create("view");
  tcase_add_test(t, every_member_is_there_from_the_beginning);
  tcase_add_test(t, sessions_are_found_by_the_whole_name_of_their_agent);
  tcase_add_test(t, lists_are_filtered_paged_and_newest_first);
  tcase_add_test(t, a_running_session_is_running_and_can_be_renamed);
  tcase_add_test(t, a_session_whose_runner_died_is_idle_and_interrupted);
  tcase_add_test(t, an_archived_session_can_be_read_and_forked_but_not_run);
  tcase_add_test(t, ids_are_saved_at_once_and_restored_only_if_the_session_is_there);
  tcase_add_test(t, a_bad_file_of_ids_is_told_with_file_and_key);
  return t;
}
