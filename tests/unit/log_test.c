/* docs/LOG-FORMAT.md held to its word: any prefix of any log folds and projects to a legal request for every
 * provider, and what is damaged is refused by name. Logs are made by a random runner that follows the grammar of
 * section 4. */
#include "../lib/run.h"
#include "agent/project.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <check.h>
#include <stdio.h>

/* ---- A random runner ---- */

static unsigned seed;

static unsigned pick(unsigned n)
{
  seed = seed * 1103515245u + 12345u;
  return (seed >> 16) % n;
}

struct script {
  struct mag_batch batch;
  char calls[4][MAG_ID_SIZE];
  bool custom[4];
  unsigned n_calls, serial;
  bool request_open;
  char request[MAG_ID_SIZE];
};

static void say(struct script *s, const char *text)
{
  char id[MAG_ID_SIZE] = "";
  mag_autofree char *content = mag_sprintf("[{\"type\":\"text\",\"text\":\"%s %u\"}]", text, s->serial++);
  mag_batch_user_message(&s->batch, id, mbp_str(content));
  mag_batch_processed(&s->batch, mbp_str(id));
}

static void start_request(struct script *s)
{
  s->request[0] = 0;
  struct mbp_writer *w = mag_batch_event(&s->batch, MAG_EV_REQUEST_START, s->request);
  mag_writer_object(w, "x_magent");
  mag_writer_number(w, "estimated_input_tokens", 7);
  mag_writer_end(w);
  mag_batch_end(&s->batch);
}

static void write_call(struct mbp_writer *w, const char *model_id)
{
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("tool_use"));
  mag_writer_string(w, "id", mbp_str(model_id));
  mag_writer_string(w, "name", mbp_str("bash"));
  mag_writer_raw(w, "input", mbp_str("{\"n\":12345678901234567890}"));
  mag_writer_end(w);
}

/* stop: an index into the names below. */
static void answer(struct script *s, unsigned n_calls, const char *stop, const char *provider)
{
  char model_ids[4][32];
  mag_autowriter content = mag_writer_new();
  struct mbp_str text;
  mag_writer_array(content, NULL);
  if (pick(2)) {
    mag_writer_object(content, NULL);
    mag_writer_string(content, "type", mbp_str("thinking"));
    mag_writer_string(content, "thinking", mbp_str("hm"));
    mag_writer_string(content, "signature", mbp_str("c2ln"));
    mag_writer_end(content);
  }
  if (pick(3))
    mag_write_text_block(content, mbp_str("said"));
  for (unsigned i = 0; i < n_calls; i++) {
    (void) snprintf(model_ids[i], sizeof(model_ids[i]), "toolu_%u", s->serial++);
    write_call(content, model_ids[i]);
  }
  mag_writer_end(content);
  ck_assert_int_eq(mag_writer_text(content, &text), 0);
  struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_RESPONSE);
  mag_writer_string(w, "request", mbp_str(s->request));
  mag_writer_string(w, "provider", mbp_str(provider));
  mag_writer_string(w, "stop", mbp_str(stop));
  mag_writer_raw(w, "content", text);
  mag_writer_array(w, "calls");
  for (unsigned i = 0; i < n_calls; i++) {
    mag_id_new(s->calls[i], "sevt_");
    mag_writer_object(w, NULL);
    mag_writer_string(w, "event_id", mbp_str(s->calls[i]));
    mag_writer_string(w, "id", mbp_str(model_ids[i]));
    mag_writer_string(w, "name", mbp_str("bash"));
    mag_writer_raw(w, "input", mbp_str("{}"));
    mag_writer_string(w, "permission", mbp_str(pick(4) ? "allow" : "ask"));
    s->custom[i] = pick(3) == 0;
    if (s->custom[i] || pick(9) == 0)
      mag_writer_boolean(w, "custom", s->custom[i]);
    if (pick(8) == 0)
      mag_writer_string(w, "problem", mbp_str("/a: expected string, got number"));
    mag_writer_end(w);
  }
  mag_writer_end(w);
  mag_batch_end(&s->batch);
  s->n_calls = n_calls;
  mag_batch_request_end(&s->batch, mbp_str(s->request), false, NULL, NULL);
}

/* From outside. */
static void custom_result(struct script *s, const char *call, const char *content, bool taken)
{
  char id[MAG_ID_SIZE] = "";
  struct mbp_writer *w = mag_batch_event(&s->batch, MAG_EV_USER_CUSTOM_RESULT, id);
  mag_writer_string(w, "custom_tool_use_id", mbp_str(call));
  mag_writer_raw(w, "content", mbp_str(content));
  mag_batch_end(&s->batch);
  if (taken)
    mag_batch_processed(&s->batch, mbp_str(id));
}

static void settle(struct script *s)
{
  unsigned order[4] = {0, 1, 2, 3};
  for (unsigned i = 0; i < s->n_calls; i++) { /* results may arrive in any order */
    unsigned j = i + pick(s->n_calls - i), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (unsigned i = 0; i < s->n_calls; i++)
    if (pick(2)) {
      struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_TOOL_STARTED);
      mag_writer_string(w, "event_id", mbp_str(s->calls[i]));
      mag_writer_boolean(w, "repeatable", (int) pick(2));
      mag_batch_end(&s->batch);
    }
  for (unsigned i = 0; i < s->n_calls; i++) {
    unsigned n = order[i];
    struct mag_result result = {.tool_event = mbp_str(s->calls[n]), .custom = s->custom[n], .is_error = pick(3) == 0};
    if (s->custom[n] && pick(3) == 0)
      custom_result(s, s->calls[n], "\"nonsense\"", true); /* processed as nothing */
    if (s->custom[n] && pick(2))
      custom_result(s, s->calls[n], pick(2) ? "[{\"type\":\"text\",\"text\":\"outside\"}]" : "[]", true);
    else if (pick(5))
      mag_batch_result_text(&s->batch, &result, mbp_str("out"));
    else
      mag_batch_result(&s->batch, &result, mbp_str("[]"));
    if (s->custom[n] && pick(3) == 0)
      custom_result(s, s->calls[n], "[]", pick(2)); /* too late */
  }
}

/* A user event that is taken at once, or stays in the inbox. */
static void user_event(struct script *s, const char *type, const char *call, bool taken)
{
  char id[MAG_ID_SIZE] = "";
  struct mbp_writer *w = mag_batch_event(&s->batch, type, id);
  if (call) {
    mag_writer_string(w, "tool_use_id", mbp_str(call));
    mag_writer_string(w, "result", mbp_str(pick(2) ? "allow" : "deny"));
  }
  mag_batch_end(&s->batch);
  if (taken)
    mag_batch_processed(&s->batch, mbp_str(id));
}

/* From here on the log is another session's. */
static void be_forked(struct script *s)
{
  static const char *const workspaces[] = {"copied", "shared", "empty"};
  struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_FORK);
  mag_autofree char *id = mag_sprintf("sesn_%u", s->serial++);
  mag_writer_string(w, "id", mbp_str(id));
  mag_writer_string(w, "from", mbp_str("sesn_x"));
  mag_writer_string(w, "workspace", mbp_str(workspaces[pick(3)]));
  mag_batch_end(&s->batch);
}

/* What may stand anywhere: records that do not move the conversation. */
static void by_the_way(struct script *s)
{
  static const char *const states[] = {"intent", "made", "attached", "gone"};
  switch (pick(10)) {
  case 0:
    mag_batch_sandbox(&s->batch, "p", mbp_str("k-1"), mbp_str("i"), states[pick(4)]);
    break;
  case 1:
    mag_batch_event(&s->batch, MAG_EV_ERROR, NULL);
    mag_batch_end(&s->batch);
    break;
  case 2:
    user_event(s, pick(2) ? MAG_EV_USER_MESSAGE : MAG_EV_USER_INTERRUPT, NULL, false);
    break;
  case 3:
    mag_batch_private(&s->batch, MAG_REC_LIMIT);
    mag_batch_end(&s->batch);
    break;
  case 4: {
    struct mbp_writer *w = mag_batch_event(&s->batch, MAG_EV_UPDATED, NULL);
    mag_writer_string(w, "title", mbp_str("another"));
    mag_writer_raw(w, "x_magent", mbp_str("{\"budget\":{\"tokens\":5,\"steps\":null}}"));
    mag_batch_end(&s->batch);
    break;
  }
  case 5:
    be_forked(s);
    break;
  case 6: {
    struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_AGENT);
    mag_writer_raw(w, "agent", mbp_str("{\"model\":{\"id\":\"another\"}}"));
    mag_writer_raw(w, "environment", mbp_str("{}"));
    mag_batch_end(&s->batch);
    break;
  }
  default:
    break;
  }
}

static void turn(struct script *s)
{
  static const char *const providers[] = {"one", "two"};
  say(s, "please");
  mag_batch_running(&s->batch);
  for (unsigned steps = 1 + pick(4);; steps--) {
    start_request(s);
    if (pick(8) == 0) { /* the stream was cut */
      mag_batch_request_end(&s->batch, mbp_str(s->request), true, NULL, NULL);
      break;
    }
    unsigned calls = steps > 1 ? pick(4) : 0;
    const char *stop = calls ? "tool_use" : pick(6) == 0 ? "refusal" : pick(8) == 0 ? "pause" : "end_turn";
    by_the_way(s);
    answer(s, calls, stop, providers[pick(4) == 0]);
    by_the_way(s);
    for (unsigned i = 0; i < calls; i++)
      if (pick(3) == 0)
        user_event(s, MAG_EV_USER_CONFIRMATION, s->calls[i], pick(2));
    settle(s);
    if (calls && pick(6) == 0) {
      user_event(s, MAG_EV_USER_INTERRUPT, NULL, true);
      break;
    }
    if (calls && pick(4) == 0)
      say(s, "steered"); /* at the tool boundary */
    if (calls == 0 && strcmp(stop, "pause") != 0)
      break;
    if (steps == 1)
      break;
  }
  mag_batch_idle(&s->batch, "end_turn", mbp_str(""), mbp_str(""));
}

static void archive(struct script *s)
{
  mag_batch_event(&s->batch, MAG_EV_TERMINATED, NULL);
  mag_batch_end(&s->batch);
  if (pick(2))
    be_forked(s);
}

static void make_log(struct script *s)
{
  struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_SESSION);
  mag_writer_number(w, "version", 1);
  mag_writer_string(w, "id", mbp_str("sesn_x"));
  mag_writer_raw(w, "agent", mbp_str("{\"model\":{\"id\":\"m\"}}"));
  mag_batch_end(&s->batch);
  for (unsigned turns = 1 + pick(4); turns; turns--)
    turn(s);
  if (pick(3) == 0)
    archive(s);
  ck_assert_int_eq(mag_batch_check(&s->batch, NULL), 0);
  for (size_t i = 0; i < s->batch.n; i++)
    s->batch.records[i].seq = i + 1;
}

/* ---- What every provider wants of a request ---- */

static size_t ids_of(struct mbp_str content, const char *type, const char *key, struct mbp_str *ids)
{
  size_t at = 0, n = 0;
  struct mbp_str block, name;
  while (mag_json_step(content, &at, NULL, &block))
    if (mag_json_slice(block, "type", &name) && mbp_str_eq(name, type) && n < 8)
      ck_assert_int_eq(mag_json_slice(block, key, &ids[n++]), 1);
  return n;
}

static void check_legal(const struct mag_projection *p)
{
  for (size_t i = 0; i < p->n; i++) {
    struct mbp_str uses[8], results[8], content = p->messages[i].content;
    ck_assert_int_eq(mag_json_check(content, NULL), 0);
    ck_assert(content.len > 2 && content.ptr[0] == '[');
    size_t n_uses = ids_of(content, "\"tool_use\"", "id", uses), n_results = 0;
    if (n_uses) {
      ck_assert_uint_eq(p->messages[i].role, MBP_ROLE_ASSISTANT);
      ck_assert_msg(i + 1 < p->n && p->messages[i + 1].role == MBP_ROLE_USER, "a call is not followed by its results");
      n_results = ids_of(p->messages[i + 1].content, "\"tool_result\"", "tool_use_id", results);
      ck_assert_uint_eq(n_uses, n_results);
      for (size_t j = 0; j < n_uses; j++)
        ck_assert_msg(mag_str_eq(uses[j], results[j]), "results are not in call order");
    } else if (i + 1 < p->n) {
      ck_assert_uint_eq(ids_of(p->messages[i + 1].content, "\"tool_result\"", "tool_use_id", results), 0);
    }
  }
  if (p->n)
    ck_assert_uint_eq(p->messages[0].role, MBP_ROLE_USER);
}

/* Is `shorter` a prefix of `longer`, byte for byte? */
static void check_prefix(char *const *shorter, size_t n, const struct mag_projection *longer)
{
  ck_assert_uint_le(n, longer->n);
  for (size_t i = 0; i < n; i++)
    ck_assert_msg(mbp_str_eq(longer->messages[i].content, shorter[i]), "message %zu changed between requests", i);
}

static void check_every_prefix(const struct script *s)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_state state;
  char *before[256];
  size_t n_before = 0;
  mag_state_init(&state);
  for (size_t i = 0; i < s->batch.n; i++) {
    ck_assert_msg(mag_state_fold(&state, &s->batch.records[i], &err) == 0, "%s", err.message);
    static const char *const providers[] = {"one", "two", "three"};
    for (size_t j = 0; j < MAG_COUNT(providers); j++) {
      struct mag_projection p;
      ck_assert_int_eq(mag_project(&state, providers[j], &p, &err), 0);
      check_legal(&p);
      if (j == 0 && mbp_str_eq(s->batch.records[i].type, MAG_EV_REQUEST_START)) {
        check_prefix(before, n_before, &p);
        while (n_before)
          free(before[--n_before]);
        for (; n_before < p.n && n_before < MAG_COUNT(before); n_before++)
          before[n_before] = mag_str_dup(p.messages[n_before].content);
      }
      mag_projection_done(&p);
    }
  }
  while (n_before)
    free(before[--n_before]);
  mag_state_done(&state);
}

START_TEST(every_prefix_of_every_log_is_legal)
{
  for (unsigned run = 0; run < 400; run++) {
    struct script s = {.batch = MAG_BATCH_INIT};
    seed = run * 7919 + 1;
    make_log(&s);
    check_every_prefix(&s);
    mag_batch_done(&s.batch);
  }
}
END_TEST

/* ---- What a damaged log says ---- */

static int fold_all(struct script *s, struct mag_state *state, struct mbp_error *err)
{
  int r = 0;
  mag_state_init(state);
  for (size_t i = 0; i < s->batch.n && r == 0; i++)
    r = mag_state_fold(state, &s->batch.records[i], err);
  return r;
}

START_TEST(a_missing_record_is_noticed)
{
  struct script s = {.batch = MAG_BATCH_INIT};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_state state;
  seed = 3;
  make_log(&s);
  s.batch.records[2].seq = 9;
  ck_assert_int_eq(fold_all(&s, &state, &err), -MBP_E_CORRUPT);
  ck_assert_ptr_nonnull(strstr(err.message, "missing"));
  mag_state_done(&state);
  mag_batch_done(&s.batch);
}
END_TEST

START_TEST(damaged_payloads_never_crash)
{
  for (unsigned run = 0; run < 300; run++) {
    struct script s = {.batch = MAG_BATCH_INIT};
    struct mbp_error err = MAG_ERROR_INIT;
    struct mag_state state;
    seed = run;
    make_log(&s);
    struct mbp_record *victim = &s.batch.records[pick((unsigned) s.batch.n)];
    char *payload = (char *) (uintptr_t) victim->payload.ptr;
    payload[pick((unsigned) victim->payload.len)] = "{}[]\",:0x"[pick(9)];
    (void) fold_all(&s, &state, &err);
    struct mag_projection p;
    if (mag_project(&state, "one", &p, &err) == 0)
      mag_projection_done(&p);
    mag_state_done(&state);
    mag_batch_done(&s.batch);
  }
}
END_TEST

START_TEST(a_newer_class_or_record_makes_it_read_only)
{
  struct script s = {.batch = MAG_BATCH_INIT};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_state state;
  seed = 5;
  make_log(&s);
  s.batch.records[s.batch.n - 1].klass = 77;
  ck_assert_int_eq(fold_all(&s, &state, &err), 0);
  ck_assert(state.read_only);
  mag_state_done(&state);
  s.batch.records[s.batch.n - 1].klass = MBP_RECORD_PRIVATE;
  s.batch.records[s.batch.n - 1].type = mbp_str("from_the_future");
  ck_assert_int_eq(fold_all(&s, &state, &err), 0);
  ck_assert(state.read_only);
  mag_state_done(&state);
  mag_batch_done(&s.batch);
}
END_TEST

START_TEST(a_fork_counts_anew_and_keeps_the_conversation)
{
  struct script s = {.batch = MAG_BATCH_INIT};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_state state;
  seed = 11;
  make_log(&s);
  be_forked(&s);
  s.batch.records[s.batch.n - 1].seq = s.batch.n;
  ck_assert_int_eq(fold_all(&s, &state, &err), 0);
  ck_assert_ptr_nonnull(state.fork_of);
  ck_assert_str_eq(state.fork_of, "sesn_x");
  ck_assert_str_ne(state.id, "sesn_x");
  ck_assert_int_eq(state.turns + state.steps + state.tool_runs + state.cost_micros + state.archived_ms, 0);
  ck_assert_int_eq(state.usage.input + state.usage.output, 0);
  ck_assert_uint_gt(state.n_messages, 1);
  ck_assert(!state.sandbox_there);
  mag_state_done(&state);
  mag_batch_done(&s.batch);
}
END_TEST

/* Folds records of one epoch at the given times, with the status that the type says. */
static void fold_at(struct mag_state *state, const char *type, uint64_t epoch, int64_t time_ms)
{
  struct mbp_record record = {.seq = state->last_seq + 1,
                              .epoch = epoch,
                              .time_ms = time_ms,
                              .klass = state->last_seq ? MBP_RECORD_EVENT : MBP_RECORD_PRIVATE,
                              .type = mbp_str(type),
                              .payload = mbp_str("{\"version\":1,\"id\":\"sesn_x\",\"agent\":{}}")};
  ck_assert_int_eq(mag_state_fold(state, &record, NULL), 0);
}

START_TEST(time_counts_while_a_turn_runs_and_not_between_runners)
{
  struct mag_state state;
  mag_state_init(&state);
  fold_at(&state, MAG_REC_SESSION, 1, 1000);
  fold_at(&state, MAG_EV_RUNNING, 1, 5000);
  fold_at(&state, MAG_EV_THINKING, 1, 5100);
  fold_at(&state, MAG_EV_UPDATED, 0, 5150); /* somebody else's */
  fold_at(&state, MAG_EV_THINKING, 1, 5200);
  fold_at(&state, MAG_EV_THINKING, 2, 90000); /* the next runner, after a crash */
  fold_at(&state, MAG_EV_IDLE, 2, 90050);
  fold_at(&state, MAG_EV_RUNNING, 2, 200000);
  fold_at(&state, MAG_EV_IDLE, 2, 200007);
  ck_assert_int_eq(state.active_ms, 257);
  fold_at(&state, MAG_EV_RUNNING, 2, 300000);
  fold_at(&state, MAG_EV_IDLE, 2, 299000); /* the clock was set back */
  ck_assert_int_eq(state.active_ms, 257);
  mag_state_done(&state);
}
END_TEST

START_TEST(usage_is_summed_and_lost_requests_count)
{
  struct script s = {.batch = MAG_BATCH_INIT};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_state state;
  struct mbp_usage usage = {
      .size = MBP_SIZE(struct mbp_usage, cache_write), .input = 10, .output = 3, .cache_read = 2, .cache_write = 1};
  struct mbp_writer *w = mag_batch_private(&s.batch, MAG_REC_SESSION);
  mag_writer_number(w, "version", 1);
  mag_writer_string(w, "id", mbp_str("sesn_x"));
  mag_writer_raw(w, "agent", mbp_str("{}"));
  mag_batch_end(&s.batch);
  start_request(&s);
  mag_batch_request_end(&s.batch, mbp_str(s.request), false, &usage, NULL);
  mag_batch_request_end(&s.batch, mbp_str(s.request), true, &usage, NULL);
  start_request(&s);
  for (size_t i = 0; i < s.batch.n; i++)
    s.batch.records[i].seq = i + 1;
  ck_assert_int_eq(fold_all(&s, &state, &err), 0);
  ck_assert_int_eq(state.usage.input, 20);
  ck_assert_int_eq(state.usage.cache_read, 4);
  ck_assert_int_eq(state.request_estimate, 7);
  ck_assert_ptr_nonnull(state.request);
  mag_state_done(&state);
  mag_batch_done(&s.batch);
}
END_TEST

/* A session, a call in it, and these records of sandboxes: "intent", "made" and so on. */
static void fold_sandboxes(struct script *s, const char *const *states, const char *told, struct mag_state *state)
{
  struct mbp_error err = MAG_ERROR_INIT;
  *s = (struct script){.batch = MAG_BATCH_INIT};
  struct mbp_writer *w = mag_batch_private(&s->batch, MAG_REC_SESSION);
  mag_writer_number(w, "version", 1);
  mag_writer_string(w, "id", mbp_str("sesn_x"));
  mag_writer_raw(w, "agent", mbp_str("{}"));
  mag_batch_end(&s->batch);
  start_request(s);
  answer(s, 1, "tool_use", "p");
  for (bool there = false; *states; states++) {
    there = strcmp(*states, "intent") != 0 && (there || strcmp(*states, "gone") != 0);
    mag_batch_sandbox(&s->batch, "p", mbp_str("key"), mbp_str(there ? "id" : ""), *states);
  }
  if (told)
    mag_batch_result_text(
        &s->batch, &(struct mag_result){.tool_event = mbp_str(s->calls[0]), .custom = s->custom[0], .lost = told},
        mbp_str("note"));
  for (size_t i = 0; i < s->batch.n; i++)
    s->batch.records[i].seq = i + 1;
  ck_assert_int_eq(fold_all(s, state, &err), 0);
  mag_batch_done(&s->batch);
}

START_TEST(what_went_with_a_sandbox_is_told_once)
{
  static const struct {
    const char *states[5], *told;
    bool sandbox_lost, processes_lost;
  } cases[] = {
      {{"intent", "made"}, NULL, false, false},
      {{"intent", "gone", "intent"}, NULL, false, false}, /* there was none yet */
      {{"intent", "made", "gone"}, NULL, true, false},
      {{"intent", "made", "gone", "intent"}, NULL, true, false},
      {{"intent", "made", "gone"}, "sandbox_lost", false, false},
      {{"intent", "made", "attached"}, NULL, false, true},
      {{"intent", "made", "attached"}, "processes_lost", false, false},
      {{"intent", "made", "attached", "gone"}, NULL, true, true},
      {{"intent", "made", "attached", "gone"}, "sandbox_lost", false, false},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct script s;
    struct mag_state state;
    fold_sandboxes(&s, cases[i].states, cases[i].told, &state);
    ck_assert_msg(state.sandbox_lost == cases[i].sandbox_lost && state.processes_lost == cases[i].processes_lost,
                  "case %zu: %d %d", i, state.sandbox_lost, state.processes_lost);
    mag_state_done(&state);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("log");
  TCase *t = tcase_create("log");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, every_prefix_of_every_log_is_legal);
  tcase_add_test(t, a_missing_record_is_noticed);
  tcase_add_test(t, damaged_payloads_never_crash);
  tcase_add_test(t, a_newer_class_or_record_makes_it_read_only);
  tcase_add_test(t, usage_is_summed_and_lost_requests_count);
  tcase_add_test(t, a_fork_counts_anew_and_keeps_the_conversation);
  tcase_add_test(t, time_counts_while_a_turn_runs_and_not_between_runners);
  tcase_add_test(t, what_went_with_a_sandbox_is_told_once);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
