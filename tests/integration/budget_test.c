/* What a session uses, what that costs, and where a budget stops it. */
#include "sessions_test.h"

#include <string.h>
#include <sys/stat.h>

static const struct answer one[] = {{.content = TEXT("one")}, {.content = TEXT("two")}, {.content = TEXT("three")}};

/* ---- Usage and cost ---- */

START_TEST(usage_is_whole_and_the_cost_is_exact)
{
  struct rig rig;
  struct records records;
  struct service *service = service_new(one, 2);
  sessions_open(&rig, service);
  rig_create(&rig);
  ck_assert_str_eq(view(&rig, NULL, "usage"), "{\"input_tokens\":0,\"output_tokens\":0,\"cache_read_input_tokens\":0,"
                                              "\"cache_creation_input_tokens\":0}");
  ck_assert_int_eq(rig_run(&rig, "hi", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  const char *end = records_find(&records, MAG_EV_REQUEST_END, 0)->payload;
  ck_assert_msg(strstr(end,
                       "\"model_usage\":{\"input_tokens\":11,\"output_tokens\":7,\"cache_creation_input_tokens\":3,"
                       "\"cache_read_input_tokens\":5}"),
                "%s", end);
  ck_assert_msg(strstr(end, "\"cost_micros\":151,\"currency\":\"USD\""), "%s", end);
  records_done(&records);
  ck_assert_int_eq(rig_run(&rig, "again", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  const char *sums = records_find(&records, MAG_EV_USAGE, 1)->payload;
  ck_assert_msg(strstr(sums, "\"usage\":{\"input_tokens\":22,\"output_tokens\":14,\"cache_read_input_tokens\":10,"
                             "\"cache_creation\":{\"ephemeral_5m_input_tokens\":6}}"),
                "%s", sums);
  ck_assert_msg(strstr(sums, "\"cost_micros\":302,\"turn\":{\"input_tokens\":11,\"output_tokens\":7,"
                             "\"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":3,\"cost_micros\":151}"),
                "%s", sums);
  records_done(&records);
  ck_assert_str_eq(view(&rig, NULL, "usage"), "{\"input_tokens\":22,\"output_tokens\":14,"
                                              "\"cache_read_input_tokens\":10,\"cache_creation_input_tokens\":6}");
  ck_assert_str_eq(view(&rig, NULL, "cost"), "{\"micros\":302,\"currency\":\"USD\"}");
  ck_assert_str_eq(view(&rig, NULL, "turns"), "2");
  ck_assert_str_eq(view(&rig, NULL, "steps"), "2");
  sessions_close(&rig, service);
}
END_TEST

START_TEST(without_a_price_the_cost_is_null_and_never_0)
{
  struct rig rig;
  struct service *service = service_new(one, 2);
  sessions_open(&rig, service);
  rig_define(&rig, "anthropic/claude-other", NULL, NULL);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "hi", NULL), MAG_END_TURN);
  ck_assert_str_eq(view(&rig, NULL, "cost"), "null");
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_change change = {.budget = "{\"cost\":0.000005}"};
  ck_assert_int_eq(mag_sessions_update(rig.engine, rig.session->log.id, &change, &err), -MBP_E_UNSUPPORTED);
  ck_assert_msg(strstr(err.message, "no known price"), "%s", err.message);
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_users_own_price_comes_first)
{
  struct rig rig;
  struct service *service = service_new(one, 2);
  sessions_open(&rig, service);
  ck_assert_int_eq(mkdir(rig_path(&rig, "config"), 0700), 0);
  ck_assert_int_eq(mkdir(rig_path(&rig, "config/magent"), 0700), 0);
  rig_write_file(
      &rig, "config/magent/prices.json",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"anthropic/*-test\",\"input\":1,\"output\":0.000001}]}");
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "hi", NULL), MAG_END_TURN);
  ck_assert_str_eq(view(&rig, NULL, "cost"), "{\"micros\":19,\"currency\":\"USD\"}"); /* 11 + 3 + 5, as input */
  sessions_close(&rig, service);
}
END_TEST

START_TEST(a_damaged_price_table_is_refused_by_name)
{
  static const char *const tables[] = {
      "{",
      "[]",
      "{\"currency\":\"usd\",\"prices\":[]}",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"x\",\"input\":1}]}",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"x\",\"input\":-1,\"output\":1}]}",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"x\",\"input\":\"1\",\"output\":1}]}",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"x\",\"input\":0.0000001,\"output\":1}]}",
      "{\"currency\":\"USD\",\"prices\":[{\"model\":\"x\",\"input\":1e3,\"output\":1}]}",
  };
  for (size_t i = 0; i < MAG_COUNT(tables); i++) {
    struct rig rig;
    struct mbp_error err = MAG_ERROR_INIT;
    sessions_open(&rig, NULL);
    rig_write_file(&rig, "prices.json", tables[i]);
    ck_assert_int_lt(mag_session_create(rig.engine, &rig.definition, mbp_str(""), &rig.session, &err), 0);
    ck_assert_msg(strstr(err.message, "prices.json: "), "%s", err.message);
    rig_close(&rig);
  }
}
END_TEST

static int64_t cost(int64_t price, int64_t tokens)
{
  const struct mag_price of = {.input = price};
  const struct mbp_usage usage = {.input = tokens};
  return mag_price_cost(&of, &usage);
}

START_TEST(costs_are_rounded_once_and_never_overflow)
{
  ck_assert_int_eq(cost(250000, 1), 0); /* a quarter of a millionth */
  ck_assert_int_eq(cost(250000, 2), 1); /* half up */
  ck_assert_int_eq(cost(80000, 1000000), 80000);
  ck_assert_int_eq(cost(80000, 12), 1);
  ck_assert_int_eq(cost(1, 999999), 1);
  ck_assert_int_eq(cost(INT64_C(1000000000000), INT64_MAX), INT64_MAX);
  const struct mag_price all = {3000000, 15000000, 3750000, 300000, "USD"};
  const struct mbp_usage usage = {.input = 11, .output = 7, .cache_read = 5, .cache_write = 3};
  ck_assert_int_eq(mag_price_cost(&all, &usage), 151);
}
END_TEST

/* ---- Budgets ---- */

static const struct answer tool_then_text[] = {
    {.content = "[" BASH("t1", "echo 1") "]"}, {.content = "[" BASH("t2", "echo 2") "]"}, {.content = TEXT("done")}};

static void stops_at(struct rig *rig, const char *name, const char *message)
{
  mag_autofree char *budget = mag_sprintf("\"budget\":\"%s\"", name), *limit = mag_sprintf("\"budget_%s\"", name);
  struct records records;
  ck_assert_int_eq(rig->outcome.ending, MAG_END_LIMIT);
  ck_assert_msg(strstr(rig->outcome.error.message, message), "%s", rig->outcome.error.message);
  rig_read(rig, NULL, &records);
  ck_assert_msg(records_hold(&records, limit), "no limit record %s", limit);
  const char *idle = records.items[records.n - 1].payload;
  ck_assert_msg(strstr(idle, "budget_reached") && strstr(idle, budget), "%s", idle);
  ck_assert_str_eq(view(rig, NULL, "stop_reason"), "\"budget_reached\"");
  ck_assert_msg(strstr(view(rig, NULL, "error"), message), "%s", view(rig, NULL, "error"));
  records_check(&records);
  records_done(&records);
}

static void raise_budget(struct rig *rig, const char *budget)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_change change = {.budget = budget};
  ck_assert_msg(mag_sessions_update(rig->engine, rig->session->log.id, &change, &err) == 0, "%s", err.message);
}

START_TEST(each_budget_stops_by_its_name_and_a_raised_one_goes_on)
{
  static const struct {
    const char *name, *message, *raised;
    size_t offset;
    int64_t value;
    size_t requests;
  } cases[] = {
      /* 26 used; the second request has at least 19 */
      {"tokens", "the next request would exceed the session's budget of 40 tokens (26 used)", "{\"tokens\":1000}",
       offsetof(struct mag_definition, budget_tokens), 40, 1},
      {"tokens", "the session's budget of 20 tokens is used up (26 used)", "{\"tokens\":null}",
       offsetof(struct mag_definition, budget_tokens), 20, 1},
      {"tokens", "the session's budget of 52 tokens is used up (52 used)", "{\"tokens\":1000}",
       offsetof(struct mag_definition, budget_tokens), 52, 2},
      {"cost_micros", "budget of 0.000155 of cost (0.000151 used)", "{\"cost\":0.1}",
       offsetof(struct mag_definition, budget_cost_micros), 155, 1},
      {"cost_micros", "budget of 0.000302 of cost is used up", "{\"cost\":null}",
       offsetof(struct mag_definition, budget_cost_micros), 302, 2},
      {"steps", "budget of 2 model requests is used up (2 used)", "{\"steps\":3}",
       offsetof(struct mag_definition, budget_steps), 2, 2},
      {"tool_calls", "budget of 1 tool call is used up (1 used)", "{\"tool_calls\":9}",
       offsetof(struct mag_definition, budget_tool_calls), 1, 2},
  };
  if (!computes()[0])
    return;
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct rig rig;
    struct service *service = service_new(tool_then_text, 3);
    sessions_open(&rig, service);
    memcpy((char *) &rig.definition + cases[i].offset, &cases[i].value, sizeof(int64_t));
    rig_create(&rig);
    (void) rig_run(&rig, "go", NULL);
    stops_at(&rig, cases[i].name, cases[i].message);
    ck_assert_uint_eq(service_count(service), cases[i].requests);
    (void) rig_run(&rig, NULL, NULL); /* as long as it is not raised, it stops again, without a request */
    stops_at(&rig, cases[i].name, cases[i].message);
    ck_assert_uint_eq(service_count(service), cases[i].requests);
    raise_budget(&rig, cases[i].raised);
    ck_assert_msg(rig_run(&rig, NULL, NULL) == MAG_END_TURN, "%zu: %s", i, rig.outcome.error.message);
    ck_assert_uint_eq(service_count(service), 3);
    service_check_prefixes(service, 0);
    sessions_close(&rig, service);
  }
}
END_TEST

START_TEST(a_budget_that_is_exactly_enough_stops_nothing)
{
  if (!computes()[0])
    return;
  struct rig rig;
  struct service *service = service_new(tool_then_text, 3);
  sessions_open(&rig, service);
  rig.definition.budget_steps = 3;
  rig.definition.budget_tool_calls = 2;
  rig.definition.budget_tokens = 78;
  rig.definition.budget_cost_micros = 453;
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  ck_assert_str_eq(view(&rig, NULL, "budget"), "{\"tokens\":78,\"cost_micros\":453,\"steps\":3,\"tool_calls\":2}");
  sessions_close(&rig, service);
}
END_TEST

START_TEST(the_budget_of_time_ends_a_running_tool)
{
  static const struct answer slow[] = {{.content = "[" BASH("t1", "sleep 20") "]"}, {.content = TEXT("done")}};
  if (!computes()[0])
    return;
  struct rig rig;
  struct service *service = service_new(slow, 2);
  sessions_open(&rig, service);
  rig.definition.budget_time_ms = 3000;
  rig_create(&rig);
  (void) rig_run(&rig, "go", NULL);
  stops_at(&rig, "time_ms", "budget of 3.0 s of running is used up");
  raise_budget(&rig, "{\"time\":\"10m\"}");
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  sessions_close(&rig, service);
}
END_TEST

/* Of which nothing was seen: what it has used is not known, and it counts. */
START_TEST(a_request_that_is_given_up_counts_at_its_estimate)
{
  static const struct answer silent[] = {{.how = HOW_STALL, .content = TEXT("never")}, {.content = TEXT("done")}};
  struct rig rig;
  struct service *service = service_new(silent, 2);
  sessions_open(&rig, service);
  rig.definition.budget_time_ms = 2000;
  rig_create(&rig);
  (void) rig_run(&rig, "What is behind the door at the end of the corridor?", NULL);
  ck_assert_uint_eq(service_count(service), 1);
  ck_assert_msg(strncmp(view(&rig, NULL, "usage"), "{\"input_tokens\":0,", 18) != 0, "%s", view(&rig, NULL, "usage"));
  sessions_close(&rig, service);
}
END_TEST

START_TEST(of_parallel_calls_those_that_fit_run)
{
  static const struct answer four[] = {
      {.content = "[" BASH("t1", "echo 1") "," CALL("t2", "read", "{\"file_path\":\"a\"}") "," CALL(
           "t3", "read", "{\"file_path\":\"b\"}") "," BASH("t4", "echo 4") "]"},
      {.content = TEXT("done")}};
  static const bool ran[][4] = {{1, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 0}};
  if (!computes()[0])
    return;
  for (size_t budget = 1; budget <= MAG_COUNT(ran); budget++) {
    struct rig rig;
    struct records records;
    struct service *service = service_new(four, 2);
    sessions_open(&rig, service);
    rig.definition.budget_tool_calls = (int64_t) budget;
    rig_create(&rig);
    (void) rig_run(&rig, "go", NULL);
    mag_autofree char *told = mag_sprintf("of %zu tool call%s is used up", budget, mag_plural((int64_t) budget));
    stops_at(&rig, "tool_calls", told);
    rig_read(&rig, NULL, &records);
    ck_assert_uint_eq(records_count(&records, MAG_REC_TOOL_STARTED), budget);
    ck_assert_uint_eq(records_count(&records, MAG_EV_TOOL_RESULT), 4);
    for (size_t i = 0; i < 4; i++)
      ck_assert_msg(!strstr(records_result(&records, i, NULL), "did not run") == ran[budget - 1][i], "%zu of %zu", i,
                    budget);
    records_done(&records);
    ck_assert_uint_eq(service_count(service), 1);
    raise_budget(&rig, "{\"tool_calls\":10}");
    ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
    sessions_close(&rig, service);
  }
}
END_TEST

START_TEST(a_budget_in_money_needs_a_price)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_filter all = {.status = NULL};
  struct mag_session_change change = {.budget = "{\"cost\":0.000005}"};
  char *next = NULL;
  sessions_open(&rig, NULL);
  rig_define(&rig, "anthropic/claude-other", NULL, NULL);
  rig.definition.budget_cost_micros = 1000;
  ck_assert_int_eq(mag_session_create(rig.engine, &rig.definition, mbp_str(""), &rig.session, &err),
                   -MBP_E_UNSUPPORTED);
  ck_assert_msg(strstr(err.message, "no price for model anthropic/claude-other"), "%s", err.message);
  ck_assert_uint_eq(rig_appends(), 0);
  ck_assert_int_eq(mag_sessions_list(rig.engine, &all, NULL, NULL, &next, &err), 0);
  rig.definition.budget_cost_micros = 0;
  rig_create(&rig);
  ck_assert_int_eq(mag_sessions_update(rig.engine, rig.session->log.id, &change, &err), -MBP_E_UNSUPPORTED);
  change.budget = "{\"tokens\":-1}";
  ck_assert_int_eq(mag_sessions_update(rig.engine, rig.session->log.id, &change, &err), -MBP_E_INVALID);
  change.budget = "{\"tokens\":1.5}";
  ck_assert_int_eq(mag_sessions_update(rig.engine, rig.session->log.id, &change, &err), -MBP_E_INVALID);
  sessions_close(&rig, NULL);
}
END_TEST

/* What a process leaves that dies while the model is being asked. */
static void lose_a_request(struct rig *rig, const char *estimate)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_batch batch = MAG_BATCH_INIT;
  char message[MAG_ID_SIZE] = "";
  mag_batch_user_message(&batch, message, mbp_str(TEXT("go")));
  mag_batch_running(&batch);
  mag_batch_processed(&batch, mbp_str(message));
  struct mbp_writer *w = mag_batch_event(&batch, MAG_EV_REQUEST_START, NULL);
  mag_writer_raw(w, "x_magent", mbp_str(estimate));
  mag_batch_end(&batch);
  ck_assert_int_eq(mag_session_commit(rig->session, &batch, &err), 0);
  mag_batch_done(&batch);
}

START_TEST(a_request_whose_end_was_lost_counts_at_its_estimate)
{
  struct rig rig;
  struct service *service = service_new(one, 2);
  sessions_open(&rig, service);
  rig.definition.budget_tokens = 1000;
  rig_create(&rig);
  lose_a_request(&rig, "{\"estimated_input_tokens\":1000,\"estimated_cost_micros\":3000}");
  ck_assert_str_eq(view(&rig, NULL, "usage/input_tokens"), "1000");
  ck_assert_str_eq(view(&rig, NULL, "cost/micros"), "3000");
  mag_autofree char *id = mag_str_dup(mbp_str(rig.session->log.id));
  mag_session_close(rig.session);
  rig_resume(&rig, id);
  (void) rig_run(&rig, NULL, NULL);
  stops_at(&rig, "tokens", "budget of 1000 tokens is used up (1000 used)");
  ck_assert_uint_eq(service_count(service), 0);
  ck_assert_str_eq(view(&rig, NULL, "cost/micros"), "3000");
  raise_budget(&rig, "{\"tokens\":2000}");
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  sessions_close(&rig, service);
}
END_TEST

/* Named and written as in an agent file; what is not known changes nothing. */
START_TEST(a_budget_is_changed_in_the_words_of_an_agent_file)
{
  static const struct {
    const char *change, *message;
  } wrong[] = {{"{\"stepz\":4}", "did you mean \"steps\""}, {"{\"tokenz\":3}", "did you mean \"tokens\""},
               {"{\"time\":\"soon\"}", "a duration"},       {"{\"steps\":0}", "a whole number from 1 on"},
               {"{\"steps\":1,\"x\":1}", "unknown key"},      {"[]", "not a mapping"}};
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  sessions_open(&rig, NULL);
  rig_create(&rig);
  raise_budget(&rig, "{\"tokens\":9,\"cost\":2.5,\"steps\":4,\"tool_calls\":3,\"time\":\"30m\"}");
  const char *all = "{\"tokens\":9,\"cost_micros\":2500000,\"steps\":4,\"tool_calls\":3,\"time_ms\":1800000}";
  ck_assert_str_eq(view(&rig, NULL, "budget"), all);
  for (size_t i = 0; i < MAG_COUNT(wrong); i++) {
    struct mag_session_change change = {.budget = wrong[i].change};
    ck_assert_int_eq(mag_sessions_update(rig.engine, rig.session->log.id, &change, &err), -MBP_E_INVALID);
    ck_assert_msg(strstr(err.message, wrong[i].message), "%s", err.message);
  }
  ck_assert_str_eq(view(&rig, NULL, "budget"), all);
  raise_budget(&rig, "{\"tokens\":null,\"cost\":\"1.25\",\"time\":null}");
  ck_assert_str_eq(view(&rig, NULL, "budget"), "{\"cost_micros\":1250000,\"steps\":4,\"tool_calls\":3}");
  sessions_close(&rig, NULL);
}
END_TEST

START_TEST(a_budget_that_was_raised_from_outside_holds_for_the_next_turn)
{
  static const struct answer quick[] = {{.content = "[" BASH("t1", "echo started") "]"}, {.content = TEXT("done")}};
  if (!computes()[0])
    return;
  struct rig rig;
  struct service *service = service_new(quick, 2);
  sessions_open(&rig, service);
  rig.definition.budget_steps = 1;
  rig_create(&rig);
  raise_budget(&rig, "{\"steps\":2}");
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  sessions_close(&rig, service);
}
END_TEST

TCase *budget_tests(void)
{
  TCase *t = tcase_create("budget");
  tcase_add_test(t, usage_is_whole_and_the_cost_is_exact);
  tcase_add_test(t, without_a_price_the_cost_is_null_and_never_0);
  tcase_add_test(t, a_users_own_price_comes_first);
  tcase_add_test(t, a_damaged_price_table_is_refused_by_name);
  tcase_add_test(t, costs_are_rounded_once_and_never_overflow);
  tcase_add_test(t, each_budget_stops_by_its_name_and_a_raised_one_goes_on);
  tcase_add_test(t, a_budget_that_is_exactly_enough_stops_nothing);
  tcase_add_test(t, the_budget_of_time_ends_a_running_tool);
  tcase_add_test(t, a_request_that_is_given_up_counts_at_its_estimate);
  tcase_add_test(t, of_parallel_calls_those_that_fit_run);
  tcase_add_test(t, a_budget_in_money_needs_a_price);
  tcase_add_test(t, a_request_whose_end_was_lost_counts_at_its_estimate);
  tcase_add_test(t, a_budget_is_changed_in_the_words_of_an_agent_file);
  tcase_add_test(t, a_budget_that_was_raised_from_outside_holds_for_the_next_turn);
  return t;
}
