/* Forks: a prefix of a log is a session of its own, wherever it is cut. */
#include "sessions_test.h"

#include <stdio.h>
#include <string.h>

/* The n-th is the answer to a conversation with n tool results. */
static const struct answer rich[] = {
    {.content = "[{\"type\":\"text\",\"text\":\"I look.\"}," BASH("t1", "echo x >> effects; echo ran") "," CALL(
         "t2", "read", "{\"file_path\":\"effects\"}") "]"},
    {.content = TEXT("is never asked for")},
    {.content = "[" BASH("t3", "echo x >> effects; cat effects") "]"},
    {.content = TEXT("done")},
};

static void fork_at(struct rig *rig, const char *event, char id[MAG_ID_SIZE])
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_fork_options options = {.event = event};
  int r = mag_sessions_fork(rig->engine, rig->session->log.id, &options, id, &err);
  ck_assert_msg(r == 0, "%s", err.message);
}

static void check_log(struct rig *rig, const char *id)
{
  struct records records;
  rig_read(rig, id, &records);
  records_check(&records);
  records_done(&records);
}

/* Opens the fork beside the original and runs it to its end. */
static void run_fork(struct rig *rig, const char *id, const char *text, enum mag_ending ending)
{
  struct mag_session *original = rig->session;
  rig_resume(rig, id);
  rig->answer = 1;
  ck_assert_msg(rig_run(rig, text, NULL) == ending, "%s", rig->outcome.error.message);
  mag_session_close(rig->session);
  rig->session = original;
  check_log(rig, id);
}

/* By the store's own operation, so that every record is a place, not only events. */
static void cut(struct rig *rig, uint64_t upto, const char *id)
{
  struct mag_instance *store;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.timeout_ms = 10000};
  ck_assert_int_eq(mag_engine_store(rig->engine, &store, &err), 0);
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  mag_autofree char *summary = mag_sprintf("{\"id\":\"%s\"}", id);
  int r = MAG_RUN(store, &options, &err,
                  ops->fork(plugin, call, mbp_str(rig->session->log.id), upto, mbp_str(id), mbp_str(summary), &err));
  ck_assert_msg(r == 0, "%s", err.message);
}

/* The log of a session that did most of what there is. */
static void make_rich(struct rig *rig, struct service *service)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_change change = {.title = "renamed", .budget = "{\"steps\":100}"};
  sessions_open(rig, service);
  rig_create(rig);
  ck_assert_int_eq(rig_run(rig, "please", NULL), MAG_END_TURN);
  ck_assert_int_eq(mag_sessions_update(rig->engine, rig->session->log.id, &change, &err), 0);
  ck_assert_int_eq(
      mag_outside_say(rig->engine, rig->session->log.id, mbp_str("thanks"), MAG_DELIVERY_FOLLOW_UP, NULL, &err), 0);
  ck_assert_int_eq(rig_run(rig, NULL, NULL), MAG_END_TURN);
}

/* The old session counts what it asked; the turn counts in both. */
static void check_open_request(struct rig *rig, const char *id)
{
  struct records records;
  size_t closed = 0;
  rig_read(rig, id, &records);
  for (size_t i = 0; i < records.n; i++)
    if (strcmp(records.items[i].type, MAG_EV_REQUEST_END) == 0 &&
        strstr(records.items[i].payload, "\"is_error\":true")) {
      closed++;
      ck_assert_ptr_nonnull(strstr(records.items[i].payload, "\"input_tokens\":0,"));
    }
  ck_assert_uint_eq(closed, 1);
  ck_assert_str_ne(view(rig, id, "turns"), "0");
  records_done(&records);
}

START_TEST(every_prefix_of_a_log_can_be_gone_on_with)
{
  if (!computes()[0])
    return;
  struct rig rig;
  struct records before, after;
  struct service *service = service_new(rich, MAG_COUNT(rich));
  service_by_results(service);
  make_rich(&rig, service);
  rig_read(&rig, NULL, &before);
  for (size_t upto = 1; upto <= before.n; upto++) {
    char id[MAG_ID_SIZE];
    mag_id_new(id, "sesn_");
    cut(&rig, upto, id);
    run_fork(&rig, id, NULL, MAG_END_TURN); /* its fork record is missing, as after a death: it gets one */
    if (strcmp(before.items[upto - 1].type, MAG_EV_REQUEST_START) == 0)
      check_open_request(&rig, id);
    run_fork(&rig, id, "hello", MAG_END_TURN);
    ck_assert_str_eq(view(&rig, id, "status"), "\"idle\"");
    ck_assert_ptr_nonnull(strstr(view(&rig, id, "forked_from"), rig.session->log.id));
  }
  rig_read(&rig, NULL, &after);
  ck_assert_uint_eq(before.n, after.n);
  records_done(&before);
  records_done(&after);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_fork_behind_any_event_is_legal_and_keeps_answers_whole)
{
  if (!computes()[0])
    return;
  struct rig rig;
  struct records records, forked;
  struct service *service = service_new(rich, MAG_COUNT(rich));
  service_by_results(service);
  make_rich(&rig, service);
  rig_read(&rig, NULL, &records);
  for (size_t i = 0; i < records.n; i++) {
    char event[MAG_ID_SIZE], id[MAG_ID_SIZE];
    struct mbp_str slice;
    if (records.items[i].klass != MBP_RECORD_EVENT)
      continue;
    ck_assert_int_eq(mag_json_slice(mbp_str(records.items[i].payload), "id", &slice), 1);
    (void) snprintf(event, sizeof(event), "%.*s", (int) slice.len - 2, slice.ptr + 1);
    fork_at(&rig, event, id);
    rig_read(&rig, id, &forked);
    records_check(&forked);
    ck_assert_uint_ge(forked.n, i + 2);
    ck_assert_str_eq(forked.items[forked.n - 1].type, MAG_REC_FORK);
    ck_assert_uint_eq(records_count(&forked, MAG_REC_RESPONSE), records_count(&forked, MAG_EV_REQUEST_END));
    records_done(&forked);
    run_fork(&rig, id, NULL, MAG_END_TURN);
  }
  records_done(&records);
  sessions_close(&rig, service);
}
END_TEST

/* What lists show of a fork is what its log says. */
static void check_listed(struct rig *rig, const char *id)
{
  static const char *const members[] = {"created_at", "title", "cost", "usage", "turns", "budget", "forked_from"};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *listed = NULL;
  ck_assert_int_eq(mag_sessions_listed(rig->engine, id, &listed, &err), 0);
  for (size_t i = 0; i < MAG_COUNT(members); i++) {
    struct mbp_str value = {"", 0};
    ck_assert_msg(mag_json_slice(mbp_str(listed), members[i], &value) && mbp_str_eq(value, view(rig, id, members[i])),
                  "%s: %.*s in lists, but %s", members[i], (int) value.len, value.ptr, view(rig, id, members[i]));
  }
}

START_TEST(a_fork_has_its_own_files_title_and_counters)
{
  if (!computes()[0])
    return;
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct records records;
  char id[MAG_ID_SIZE], bare[MAG_ID_SIZE], path[200];
  struct mag_fork_options options = {.title = "another way"}, empty = {.without_files = true};
  struct service *service = service_new(rich, MAG_COUNT(rich));
  service_by_results(service);
  make_rich(&rig, service);
  const char *from = rig.session->log.id;
  ck_assert_int_eq(mag_sessions_fork(rig.engine, from, &options, id, &err), 0);
  ck_assert_str_eq(view(&rig, id, "title"), "\"another way\"");
  ck_assert_str_eq(view(&rig, NULL, "title"), "\"renamed\"");
  ck_assert_str_eq(view(&rig, id, "turns"), "0");
  ck_assert_str_eq(view(&rig, id, "steps"), "0");
  ck_assert_str_eq(view(&rig, id, "tool_calls"), "0");
  ck_assert_str_eq(view(&rig, id, "usage/input_tokens"), "0");
  ck_assert_str_eq(view(&rig, id, "cost/micros"), "0");
  ck_assert_str_eq(view(&rig, id, "budget"), "{\"steps\":100}");
  check_listed(&rig, id);
  (void) snprintf(path, sizeof(path), "magent/workspaces/%s/effects", id);
  mag_autofree char *copied = rig_read_file(&rig, path);
  ck_assert_str_eq(copied, "x\nx\n");
  rig_write_file(&rig, path, "changed\n");
  (void) snprintf(path, sizeof(path), "magent/workspaces/%s/effects", from);
  mag_autofree char *own = rig_read_file(&rig, path);
  ck_assert_str_eq(own, "x\nx\n");
  ck_assert_int_eq(mag_sessions_fork(rig.engine, from, &empty, bare, &err), 0);
  (void) snprintf(path, sizeof(path), "magent/workspaces/%s/effects", bare);
  mag_autofree char *none = rig_read_file(&rig, path);
  ck_assert_str_eq(none, "");
  rig_read(&rig, bare, &records);
  ck_assert(records_hold(&records, "\"workspace\":\"empty\""));
  records_done(&records);
  ck_assert_int_eq(mag_sessions_remove(rig.engine, bare, &err), 0);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(the_model_is_told_of_files_that_a_fork_lacks)
{
  static const struct answer answers[] = {{.content = "[" BASH("t1", "echo 1 > a; echo ok") "]"},
                                          {.content = TEXT("one")},
                                          {.content = "[" BASH("t2", "ls") "]"},
                                          {.content = TEXT("two")}};
  if (!computes()[0])
    return;
  struct rig rig;
  struct records records;
  struct mbp_error err = MAG_ERROR_INIT;
  char id[MAG_ID_SIZE];
  struct mag_fork_options empty = {.without_files = true};
  struct service *service = service_new(answers, 4);
  sessions_open(&rig, service);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_int_eq(mag_sessions_fork(rig.engine, rig.session->log.id, &empty, id, &err), 0);
  run_fork(&rig, id, "look", MAG_END_TURN);
  rig_read(&rig, id, &records);
  ck_assert_msg(strstr(records_result(&records, 1, NULL), "No file and no process"), "%s",
                records_result(&records, 1, NULL));
  records_done(&records);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_question_can_be_answered_differently_in_a_fork)
{
  static const struct answer answers[] = {{.content = "[" BASH("t1", "echo x >> effects") "]"},
                                          {.content = TEXT("one")}};
  if (!computes()[0])
    return;
  struct rig rig;
  struct records records;
  char id[MAG_ID_SIZE];
  struct service *service = service_new(answers, 2);
  service_by_results(service);
  sessions_open(&rig, service);
  rig_define(&rig, MODEL,
             "[{\"type\":\"agent_toolset_20260401\",\"default_config\":{\"permission_policy\":{\"type\":"
             "\"always_ask\"}}}]",
             computes()[0]);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_REQUIRES_ACTION);
  fork_at(&rig, NULL, id);
  run_fork(&rig, id, NULL, MAG_END_TURN); /* yes */
  rig.answer = 0;
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN); /* no */
  rig_read(&rig, NULL, &records);
  ck_assert_ptr_nonnull(strstr(records_result(&records, 0, NULL), "did not allow"));
  records_done(&records);
  rig_read(&rig, id, &records);
  ck_assert_ptr_null(strstr(records_result(&records, 0, NULL), "did not allow"));
  records_done(&records);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(forks_of_forks_and_of_removed_sessions_stand)
{
  static const struct answer answers[] = {{.content = TEXT("one")}, {.content = TEXT("two")}};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_fork_options options = {.title = NULL};
  char first[MAG_ID_SIZE], second[MAG_ID_SIZE];
  struct service *service = service_new(answers, 2);
  sessions_open(&rig, service);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  fork_at(&rig, NULL, first); /* while the original is open here */
  ck_assert_int_eq(mag_sessions_fork(rig.engine, first, &options, second, &err), 0);
  ck_assert_int_eq(mag_sessions_remove(rig.engine, rig.session->log.id, &err), -MBP_E_BUSY);
  ck_assert_int_eq(mag_sessions_remove(rig.engine, first, &err), 0);
  run_fork(&rig, second, "and?", MAG_END_TURN);
  ck_assert_ptr_nonnull(strstr(service_body(service, 1), "one"));
  ck_assert_ptr_nonnull(strstr(view(&rig, second, "forked_from"), first));
  sessions_close(&rig, service);
}
END_TEST

START_TEST(what_cannot_be_forked_is_refused)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_fork_options nowhere = {.event = "sevt_none"}, all = {.event = NULL};
  char id[MAG_ID_SIZE];
  sessions_open(&rig, NULL);
  rig_create(&rig);
  ck_assert_int_eq(mag_sessions_fork(rig.engine, rig.session->log.id, &nowhere, id, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_sessions_fork(rig.engine, "sesn_none", &all, id, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_sessions_fork(rig.engine, "../x", &all, id, &err), -MBP_E_NOT_FOUND);
  sessions_close(&rig, NULL);
}
END_TEST

TCase *fork_tests(void)
{
  TCase *t = tcase_create("fork");
  tcase_add_test(t, every_prefix_of_a_log_can_be_gone_on_with);
  tcase_add_test(t, a_fork_behind_any_event_is_legal_and_keeps_answers_whole);
  tcase_add_test(t, a_fork_has_its_own_files_title_and_counters);
  tcase_add_test(t, the_model_is_told_of_files_that_a_fork_lacks);
  tcase_add_test(t, a_question_can_be_answered_differently_in_a_fork);
  tcase_add_test(t, forks_of_forks_and_of_removed_sessions_stand);
  tcase_add_test(t, what_cannot_be_forked_is_refused);
  return t;
}
