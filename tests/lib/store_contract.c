#include "store_subject.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static const struct store_subject *subject;
static char options[1024];

struct store_client subject_again(void)
{
  struct store_client client;
  ck_assert_msg(store_client_open(&client, subject->plugin, options) == 0, "%s", client.err.message);
  return client;
}

struct store_client subject_fresh(void)
{
  subject->fresh(options, sizeof(options));
  return subject_again();
}

void log_is(struct store_client *client, const char *session, const char *wanted)
{
  mag_autobuf text = MAG_BUF_INIT;
  OK(client, store_client_read(client, session, 1, 0, &text, NULL));
  ck_assert_str_eq(text.len ? text.ptr : "", wanted);
}

void list_is(struct store_client *client, const char *collection, const char *filter, bool descending,
             const char *wanted)
{
  mag_autobuf text = MAG_BUF_INIT;
  OK(client, store_client_list(client, collection, filter, 0, descending, NULL, &text));
  ck_assert_str_eq(text.len ? text.ptr : "", wanted);
}

/* ---- Logs ----------------------------------------------------------------------------------------------------- */

static int check_record(void *ctx, const struct mbp_event *event)
{
  const struct mbp_record *wanted = ctx;
  struct mbp_record record;
  memcpy(&record, event->data.ptr, sizeof(record));
  ck_assert_uint_eq(record.seq, 2);
  ck_assert_uint_eq(record.epoch, 1);
  ck_assert_uint_eq(record.klass, wanted->klass);
  ck_assert(record.time_ms > mag_clock_wall_ms() - 60000 && record.time_ms <= mag_clock_wall_ms());
  ck_assert(record.type.len == wanted->type.len && memcmp(record.type.ptr, wanted->type.ptr, record.type.len) == 0);
  ck_assert(record.payload.len == wanted->payload.len &&
            memcmp(record.payload.ptr, wanted->payload.ptr, record.payload.len) == 0);
  return 0;
}

START_TEST(a_record_comes_back_byte_for_byte)
{
  struct store_client client = subject_fresh();
  static const char payload[] = "{\"t\":\"\\u0000 \xc3\xa4 ' \\\" -- ; %s\"}";
  struct mbp_record record = {.klass = 77, .type = mbp_str("of.a.newer.class"), .payload = mbp_str(payload)};
  struct mbp_appended appended = {0};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .session = mbp_str("s"),
                              .epoch = 1,
                              .expected = 1,
                              .records = &record,
                              .n_records = 1};
  OK(&client, store_client_create(&client, "s", "first", NULL));
  OK(&client, store_client_claim(&client, "s", NULL));
  OK(&client, store_client_append(&client, &append, &appended));
  ck_assert_uint_eq(appended.first, 2);
  ck_assert_uint_eq(appended.last, 2);
  struct mbp_call *call = mag_call_new(&(struct mag_call_options){.sink = check_record, .ctx = &record});
  int r = client.ops->read(client.instance, call, append.session, 2, 0, &client.err);
  OK(&client, mag_call_wait(call, r, NULL, &client.err));
  mag_call_unref(call);
  store_client_close(&client);
}
END_TEST

START_TEST(a_log_is_numbered_from_one_and_outlives_its_instance)
{
  struct store_client client = subject_fresh();
  FAILS(&client, store_client_event(&client, "s", "x"), MBP_E_NOT_FOUND);
  FAILS(&client, store_client_read(&client, "s", 1, 0, NULL, NULL), MBP_E_NOT_FOUND);
  OK(&client, store_client_create(&client, "s", "a", NULL));
  FAILS(&client, store_client_create(&client, "s", "a", NULL), MBP_E_EXISTS);
  OK(&client, store_client_event(&client, "s", "b"));
  OK(&client, store_client_create(&client, "t", "c", NULL));
  store_client_close(&client);
  client = subject_again();
  OK(&client, store_client_event(&client, "s", ""));
  log_is(&client, "s", "1:a 2:b 3: ");
  log_is(&client, "t", "1:c ");
  struct mbp_head head;
  OK(&client, store_client_head(&client, "s", &head));
  ck_assert_uint_eq(head.last, 3);
  ck_assert_uint_eq(head.epoch, 0);
  ck_assert_uint_eq(head.claimed, 0);
  ck_assert(head.created_ms > 0 && head.updated_ms >= head.created_ms);
  FAILS(&client, store_client_head(&client, "u", &head), MBP_E_NOT_FOUND);
  store_client_close(&client);
}
END_TEST

START_TEST(reading_begins_and_ends_where_it_is_told)
{
  struct store_client client = subject_fresh();
  struct mbp_record records[700];
  uint64_t count;
  for (size_t i = 0; i < MAG_COUNT(records); i++)
    records[i] = (struct mbp_record){.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("p")};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .flags = MBP_APPEND_CREATE,
                              .session = mbp_str("s"),
                              .expected = 0,
                              .records = records,
                              .n_records = MAG_COUNT(records)};
  struct mbp_appended appended = {0};
  for (int i = 0; i < 3; i++) {
    OK(&client, store_client_append(&client, &append, &appended));
    append.flags = 0;
    append.expected = appended.last;
  }
  ck_assert_uint_eq(appended.first, 1401);
  ck_assert_uint_eq(appended.last, 2100);
  static const struct {
    uint64_t from;
    uint32_t limit, count;
  } cases[] = {{1, 0, 2100}, {2, 0, 2099}, {1, 1, 1},         {600, 1000, 1000},
               {2100, 5, 1}, {2101, 0, 0}, {UINT64_MAX, 0, 0}};
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    OK(&client, store_client_read(&client, "s", cases[i].from, cases[i].limit, NULL, &count));
    ck_assert_uint_eq(count, cases[i].count);
  }
  store_client_close(&client);
}
END_TEST

START_TEST(an_append_that_expects_another_log_changes_nothing)
{
  struct store_client client = subject_fresh();
  OK(&client, store_client_create(&client, "s", "a", NULL));
  OK(&client, store_client_claim(&client, "s", NULL));
  FAILS(&client, store_client_private(&client, "s", 1, 0, "x"), MBP_E_CONFLICT);
  FAILS(&client, store_client_private(&client, "s", 1, 2, "x"), MBP_E_CONFLICT);
  FAILS(&client, store_client_private(&client, "s", 2, 1, "x"), MBP_E_CONFLICT);
  FAILS(&client, store_client_private(&client, "s", 0, 1, "x"), MBP_E_INVALID);
  OK(&client, store_client_private(&client, "s", 1, 1, "b"));
  struct mbp_record bad[2] = {{.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("p")},
                              {.klass = MBP_RECORD_EVENT, .payload = mbp_str("without a type")}};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .session = mbp_str("s"),
                              .epoch = 1,
                              .expected = MBP_SEQ_ANY,
                              .records = bad,
                              .n_records = 2};
  struct mbp_appended appended = {0};
  FAILS(&client, store_client_append(&client, &append, &appended), MBP_E_INVALID);
  append.n_records = 1;
  append.summary = mbp_str("[1]");
  FAILS(&client, store_client_append(&client, &append, &appended), MBP_E_INVALID);
  append.n_records = 0;
  FAILS(&client, store_client_append(&client, &append, &appended), MBP_E_INVALID);
  log_is(&client, "s", "1:a 2:b ");
  store_client_close(&client);
}
END_TEST

/* ---- Claims --------------------------------------------------------------------------------------------------- */

START_TEST(one_runner_at_a_time_and_the_older_one_cannot_write)
{
  struct store_client one = subject_fresh(), two = subject_again();
  struct mbp_claim claim;
  struct mbp_head head;
  FAILS(&one, store_client_claim(&one, "s", &claim), MBP_E_NOT_FOUND);
  OK(&one, store_client_create(&one, "s", "a", NULL));
  OK(&one, store_client_claim(&one, "s", &claim));
  ck_assert_uint_eq(claim.epoch, 1);
  ck_assert_uint_eq(claim.last, 1);
  FAILS(&one, store_client_claim(&one, "s", &claim), MBP_E_BUSY);
  FAILS(&two, store_client_claim(&two, "s", &claim), MBP_E_BUSY);
  ck_assert(two.err.flags & MBP_ERR_RETRYABLE);
  FAILS(&two, store_client_remove(&two, "s"), MBP_E_BUSY);
  FAILS(&one, store_client_remove(&one, "s"), MBP_E_BUSY);
  OK(&two, store_client_head(&two, "s", &head));
  ck_assert_uint_eq(head.claimed, 1);
  store_client_release(&one, "s");
  store_client_release(&one, "s");
  store_client_release(&one, "never seen");
  OK(&two, store_client_claim(&two, "s", &claim));
  ck_assert_uint_eq(claim.epoch, 2);
  FAILS(&one, store_client_private(&one, "s", 1, MBP_SEQ_ANY, "x"), MBP_E_CONFLICT);
  ck_assert_msg(strstr(one.err.message, "another process took over"), "%s", one.err.message);
  OK(&one, store_client_event(&one, "s", "from outside"));
  OK(&two, store_client_private(&two, "s", 2, 2, "b"));
  store_client_close(&two);
  OK(&one, store_client_head(&one, "s", &head));
  ck_assert_uint_eq(head.claimed, 0);
  ck_assert_uint_eq(head.epoch, 2);
  OK(&one, store_client_claim(&one, "s", &claim));
  ck_assert_uint_eq(claim.epoch, 3);
  ck_assert_uint_eq(claim.last, 3);
  store_client_close(&one);
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------------------------- */

struct appender {
  pthread_t thread;
  struct store_client client; /* its own error */
  const char *session;
  int failed;
};

static void *append_events(void *arg)
{
  struct appender *appender = arg;
  for (int i = 0; i < 100; i++)
    appender->failed += store_client_event(&appender->client, appender->session, "e") != 0;
  return NULL;
}

START_TEST(threads_append_beside_each_other)
{
  static const char *const sessions[] = {"s", "s", "s", "s", "a", "b", "c", "d"};
  struct appender appenders[8];
  struct store_client client = subject_fresh();
  uint64_t count;
  for (size_t i = 0; i < 8; i++) {
    if (i == 0 || i >= 4)
      OK(&client, store_client_create(&client, sessions[i], "first", NULL));
    appenders[i] = (struct appender){.client = client, .session = sessions[i]};
  }
  for (size_t i = 0; i < 8; i++)
    pthread_create(&appenders[i].thread, NULL, append_events, &appenders[i]);
  for (size_t i = 0; i < 8; i++) {
    pthread_join(appenders[i].thread, NULL);
    ck_assert_int_eq(appenders[i].failed, 0);
  }
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, &count));
  ck_assert_uint_eq(count, 401);
  OK(&client, store_client_read(&client, "d", 1, 0, NULL, &count));
  ck_assert_uint_eq(count, 101);
  store_client_close(&client);
}
END_TEST

/* ---- Watching ------------------------------------------------------------------------------------------------- */

struct watch {
  struct store_client client;
  struct mbp_call *call;
  pthread_t thread;
  atomic_int seen;
  atomic_llong seen_ns;
  int r;
};

static int see(void *ctx, const struct mbp_event *event)
{
  struct watch *watch = ctx;
  struct mbp_record record;
  memcpy(&record, event->data.ptr, sizeof(record));
  watch->seen_ns = mag_clock_monotonic_ns();
  watch->seen = (int) record.seq == watch->seen + 1 ? watch->seen + 1 : -1000;
  return 0;
}

static void *run_watch(void *arg)
{
  struct watch *watch = arg;
  struct store_client *client = &watch->client;
  int r = client->ops->watch(client->instance, watch->call, mbp_str("s"), 1, &client->err);
  watch->r = mag_call_wait(watch->call, r, NULL, &client->err);
  return NULL;
}

static void wait_seen(struct watch *watch, int wanted)
{
  int64_t until = mag_clock_monotonic_ms() + 10000;
  while (watch->seen != wanted && mag_clock_monotonic_ms() < until)
    usleep(500);
  ck_assert_int_eq(watch->seen, wanted);
}

START_TEST(a_watcher_sees_the_past_and_what_is_appended_anywhere)
{
  struct store_client client = subject_fresh(), other = subject_again();
  struct watch watch = {.client = client};
  OK(&client, store_client_create(&client, "s", "1", NULL));
  OK(&client, store_client_event(&client, "s", "2"));
  watch.call = mag_call_new(&(struct mag_call_options){.sink = see, .ctx = &watch});
  pthread_create(&watch.thread, NULL, run_watch, &watch);
  wait_seen(&watch, 2);
  int64_t own = 0, foreign = 0;
  for (int i = 3; i < 23; i += 2) {
    OK(&client, store_client_event(&client, "s", "own"));
    int64_t done = mag_clock_monotonic_ns();
    wait_seen(&watch, i);
    own = MAG_MAX(own, watch.seen_ns - done);
    OK(&other, store_client_event(&other, "s", "of another instance"));
    done = mag_clock_monotonic_ns();
    wait_seen(&watch, i + 1);
    foreign = MAG_MAX(foreign, watch.seen_ns - done);
  }
  (void) printf("# watch: own append seen after at most %.2f ms, another instance's %.2f ms\n", (double) own / 1e6,
                (double) foreign / 1e6);
  ck_assert_int_lt(foreign / 1000000, 3000);
  mag_call_cancel(watch.call);
  pthread_join(watch.thread, NULL);
  ck_assert_int_eq(watch.r, -MBP_E_CANCELLED);
  mag_call_unref(watch.call);
  store_client_close(&other);
  store_client_close(&client);
}
END_TEST

START_TEST(a_watch_ends_at_its_deadline_or_with_its_session)
{
  struct store_client client = subject_fresh();
  struct watch watch = {.client = client};
  OK(&client, store_client_create(&client, "s", "1", NULL));
  watch.call = mag_call_new(&(struct mag_call_options){.sink = see, .ctx = &watch, .timeout_ms = 50});
  run_watch(&watch);
  ck_assert_int_eq(watch.r, -MBP_E_TIMEOUT);
  ck_assert_int_eq(watch.seen, 1);
  mag_call_unref(watch.call);
  watch.seen = 0;
  watch.call = mag_call_new(&(struct mag_call_options){.sink = see, .ctx = &watch});
  pthread_create(&watch.thread, NULL, run_watch, &watch);
  wait_seen(&watch, 1);
  OK(&client, store_client_remove(&client, "s"));
  pthread_join(watch.thread, NULL);
  ck_assert_int_eq(watch.r, -MBP_E_NOT_FOUND);
  mag_call_unref(watch.call);
  store_client_close(&client);
}
END_TEST

/* ---- Lists ---------------------------------------------------------------------------------------------------- */

START_TEST(sessions_are_listed_by_creation_and_filtered_by_summary)
{
  struct store_client client = subject_fresh();
  list_is(&client, NULL, NULL, false, "");
  OK(&client,
     store_client_create(&client, "c", "x", "{\"status\":\"idle\",\"agent\":\"a1\",\"n\":1,\"deep\":{\"x\":1}}"));
  OK(&client, store_client_create(&client, "a", "x", "{\"status\":\"running\",\"agent\":\"a1\",\"n\":\"1\"}"));
  OK(&client,
     store_client_create(&client, "b", "x", "{\"status\":\"idle\",\"agent\":\"a\\u0032\",\"n\":true,\"z\":null}"));
  OK(&client, store_client_create(&client, "d", "x", NULL));
  OK(&client, store_client_event(&client, "a", "y"));
  list_is(&client, NULL, NULL, false, "c=1 a=2 b=1 d=1 ");
  list_is(&client, NULL, "{}", true, "d=1 b=1 a=2 c=1 ");
  list_is(&client, NULL, "{\"status\":\"idle\"}", false, "c=1 b=1 ");
  list_is(&client, NULL, "{\"status\":\"idle\"}", true, "b=1 c=1 ");
  list_is(&client, NULL, "{\"status\":\"idle\",\"agent\":\"a1\"}", false, "c=1 ");
  list_is(&client, NULL, "{\"agent\":\"a2\"}", false, "b=1 ");
  list_is(&client, NULL, "{\"n\":1}", false, "c=1 ");
  list_is(&client, NULL, "{\"n\":\"1\"}", false, "a=2 ");
  list_is(&client, NULL, "{\"n\":true}", false, "b=1 ");
  list_is(&client, NULL, "{\"z\":null}", false, "b=1 ");
  list_is(&client, NULL, "{\"n\":2}", false, "");
  list_is(&client, NULL, "{\"no such\":2}", false, "");
  list_is(&client, NULL, "{\"status\":\"' OR 1 --\"}", false, "");
  FAILS(&client, store_client_list(&client, NULL, "{\"n\":[1]}", 0, false, NULL, NULL), MBP_E_INVALID);
  FAILS(&client, store_client_list(&client, NULL, "{\"n\":", 0, false, NULL, NULL), MBP_E_INVALID);
  FAILS(&client, store_client_list(&client, NULL, "[]", 0, false, NULL, NULL), MBP_E_INVALID);
  FAILS(&client, store_client_list(&client, NULL, NULL, 1001, false, NULL, NULL), MBP_E_INVALID);
  /* An append carries a new summary. */
  struct mbp_record record = {.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("p")};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .session = mbp_str("c"),
                              .expected = MBP_SEQ_ANY,
                              .records = &record,
                              .n_records = 1,
                              .summary = mbp_str("{\"status\":\"running\"}")};
  struct mbp_appended appended = {0};
  OK(&client, store_client_append(&client, &append, &appended));
  list_is(&client, NULL, "{\"status\":\"running\"}", false, "c=2 a=2 ");
  list_is(&client, NULL, "{\"agent\":\"a1\"}", false, "a=2 ");
  OK(&client, store_client_event(&client, "c", "without a summary"));
  list_is(&client, NULL, "{\"status\":\"running\"}", true, "a=2 c=3 ");
  store_client_close(&client);
}
END_TEST

START_TEST(the_head_shows_the_summary)
{
  struct store_client client = subject_fresh();
  mag_autobuf summary = MAG_BUF_INIT;
  FAILS(&client, store_client_summary(&client, "s", &summary), MBP_E_NOT_FOUND);
  OK(&client, store_client_create(&client, "s", "x", "{\"status\":\"idle\"}"));
  OK(&client, store_client_create(&client, "plain", "x", NULL));
  OK(&client, store_client_fork(&client, "s", 1, "f", NULL));
  OK(&client, store_client_fork(&client, "s", 1, "g", "{\"k\":1}"));
  OK(&client, store_client_summary(&client, "s", &summary));
  ck_assert_str_eq(summary.ptr, "{\"status\":\"idle\"}");
  OK(&client, store_client_summary(&client, "f", &summary));
  ck_assert_str_eq(summary.ptr, "{\"status\":\"idle\"}");
  OK(&client, store_client_summary(&client, "g", &summary));
  ck_assert_str_eq(summary.ptr, "{\"k\":1}");
  OK(&client, store_client_summary(&client, "plain", &summary));
  ck_assert_str_eq(summary.ptr, "{}");
  store_client_close(&client);
}
END_TEST

static void pages_are(struct store_client *client, const char *filter, bool descending, const char *wanted)
{
  mag_autobuf page = MAG_BUF_INIT, text = MAG_BUF_INIT;
  do {
    OK(client, store_client_list(client, NULL, filter, 2, descending, &page, &text));
    mag_buf_add_char(&text, '|');
  } while (page.len);
  ck_assert_str_eq(text.ptr, wanted);
}

START_TEST(pages_follow_each_other_and_tokens_belong_to_their_list)
{
  struct store_client client = subject_fresh();
  for (char name[] = "a"; name[0] <= 'f'; name[0]++)
    OK(&client, store_client_create(&client, name, "x", name[0] == 'c' ? "{\"k\":2}" : "{\"k\":1}"));
  pages_are(&client, NULL, false, "a=1 b=1 |c=1 d=1 |e=1 f=1 |");
  pages_are(&client, NULL, true, "f=1 e=1 |d=1 c=1 |b=1 a=1 |");
  pages_are(&client, "{\"k\":1}", false, "a=1 b=1 |d=1 e=1 |f=1 |");
  pages_are(&client, "{\"k\":1}", true, "f=1 e=1 |d=1 b=1 |a=1 |");
  mag_autobuf page = MAG_BUF_INIT, other = MAG_BUF_INIT;
  OK(&client, store_client_list(&client, NULL, NULL, 2, false, &page, NULL));
  /* The next page holds even if what the token points to goes. */
  OK(&client, store_client_remove(&client, "b"));
  OK(&client, store_client_remove(&client, "c"));
  mag_buf_add_str(&other, mag_buf_str(&page));
  mag_autobuf text = MAG_BUF_INIT;
  OK(&client, store_client_list(&client, NULL, NULL, 2, false, &other, &text));
  ck_assert_str_eq(text.ptr, "d=1 e=1 ");
  FAILS(&client, store_client_list(&client, NULL, NULL, 2, true, &page, NULL), MBP_E_INVALID);
  FAILS(&client, store_client_list(&client, NULL, "{\"k\":1}", 2, false, &page, NULL), MBP_E_INVALID);
  FAILS(&client, store_client_list(&client, "agents", NULL, 2, false, &page, NULL), MBP_E_INVALID);
  static const char *const bad[] = {"x", "0", "zzzzzzzzzzzzzzzzzzzz", "0000000000000000", "00000000000000001' OR 1"};
  for (size_t i = 0; i < MAG_COUNT(bad); i++) {
    mag_buf_clear(&page);
    mag_buf_add_text(&page, bad[i]);
    FAILS(&client, store_client_list(&client, NULL, NULL, 2, false, &page, NULL), MBP_E_INVALID);
  }
  store_client_close(&client);
}
END_TEST

/* ---- Fork and remove ------------------------------------------------------------------------------------------ */

START_TEST(forks_share_the_past_and_go_their_own_ways)
{
  struct store_client client = subject_fresh();
  struct mbp_head head;
  OK(&client, store_client_create(&client, "s", "1", "{\"k\":1}"));
  for (char text[] = "2"; text[0] <= '5'; text[0]++)
    OK(&client, store_client_event(&client, "s", text));
  OK(&client, store_client_claim(&client, "s", NULL));
  OK(&client, store_client_fork(&client, "s", 3, "f", "{\"k\":2}"));
  OK(&client, store_client_event(&client, "f", "f4"));
  OK(&client, store_client_event(&client, "f", "f5"));
  OK(&client, store_client_fork(&client, "f", 4, "g", NULL));
  OK(&client, store_client_fork(&client, "f", 2, "h", NULL)); /* shares nothing that is f's own */
  OK(&client, store_client_fork(&client, "h", 0, "empty", NULL));
  OK(&client, store_client_event(&client, "g", "g5"));
  OK(&client, store_client_event(&client, "s", "6"));
  log_is(&client, "s", "1:1 2:2 3:3 4:4 5:5 6:6 ");
  log_is(&client, "f", "1:1 2:2 3:3 4:f4 5:f5 ");
  log_is(&client, "g", "1:1 2:2 3:3 4:f4 5:g5 ");
  log_is(&client, "h", "1:1 2:2 ");
  log_is(&client, "empty", "");
  OK(&client, store_client_head(&client, "f", &head));
  ck_assert_uint_eq(head.epoch, 1);
  ck_assert_uint_eq(head.claimed, 0);
  list_is(&client, NULL, "{\"k\":2}", false, "f=5 g=5 h=2 empty=0 ");
  FAILS(&client, store_client_fork(&client, "s", 7, "i", NULL), MBP_E_INVALID);
  FAILS(&client, store_client_fork(&client, "s", 1, "g", NULL), MBP_E_EXISTS);
  FAILS(&client, store_client_fork(&client, "no", 1, "i", NULL), MBP_E_NOT_FOUND);
  FAILS(&client, store_client_fork(&client, "s", 1, "i", "nonsense"), MBP_E_INVALID);
  mag_autobuf text = MAG_BUF_INIT;
  OK(&client, store_client_read(&client, "g", 3, 2, &text, NULL));
  ck_assert_str_eq(text.ptr, "3:3 4:f4 ");
  store_client_close(&client);
}
END_TEST

START_TEST(a_removed_session_leaves_what_its_forks_share)
{
  struct store_client client = subject_fresh();
  OK(&client, store_client_create(&client, "s", "1", "{\"k\":1}"));
  OK(&client, store_client_event(&client, "s", "2"));
  OK(&client, store_client_fork(&client, "s", 2, "f", NULL));
  OK(&client, store_client_event(&client, "f", "f3"));
  OK(&client, store_client_fork(&client, "f", 3, "g", NULL));
  OK(&client, store_client_remove(&client, "s"));
  FAILS(&client, store_client_remove(&client, "s"), MBP_E_NOT_FOUND);
  OK(&client, store_client_remove(&client, "f"));
  FAILS(&client, store_client_event(&client, "s", "x"), MBP_E_NOT_FOUND);
  FAILS(&client, store_client_read(&client, "f", 1, 0, NULL, NULL), MBP_E_NOT_FOUND);
  log_is(&client, "g", "1:1 2:2 3:f3 ");
  list_is(&client, NULL, NULL, false, "g=3 ");
  list_is(&client, NULL, "{\"k\":1}", false, "g=3 ");
  OK(&client, store_client_create(&client, "s", "new", NULL));
  log_is(&client, "s", "1:new ");
  store_client_close(&client);
  client = subject_again();
  log_is(&client, "g", "1:1 2:2 3:f3 ");
  OK(&client, store_client_event(&client, "g", "4"));
  log_is(&client, "g", "1:1 2:2 3:f3 4:4 ");
  OK(&client, store_client_remove(&client, "g"));
  list_is(&client, NULL, NULL, false, "s=1 ");
  store_client_close(&client);
}
END_TEST

/* ---- Documents ------------------------------------------------------------------------------------------------ */

static void doc_is(struct store_client *client, const char *id, uint64_t version, const char *wanted)
{
  mag_autobuf text = MAG_BUF_INIT;
  OK(client, store_client_get(client, "agents", id, version, &text));
  ck_assert_str_eq(text.ptr, wanted);
}

START_TEST(documents_keep_their_versions)
{
  struct store_client client = subject_fresh();
  uint64_t version = 0;
  FAILS(&client, store_client_get(&client, "agents", "a", 0, NULL), MBP_E_NOT_FOUND);
  FAILS(&client, store_client_put(&client, "agents", "a", 1, "{}", NULL), MBP_E_NOT_FOUND);
  FAILS(&client, store_client_put(&client, "agents", "a", MBP_SEQ_ANY, "", NULL), MBP_E_NOT_FOUND);
  OK(&client, store_client_put(&client, "agents", "a", 0, "{\"v\":1}", &version));
  ck_assert_uint_eq(version, 1);
  FAILS(&client, store_client_put(&client, "agents", "a", 0, "{}", NULL), MBP_E_EXISTS);
  FAILS(&client, store_client_put(&client, "agents", "a", 2, "{}", NULL), MBP_E_CONFLICT);
  FAILS(&client, store_client_put(&client, "agents", "a", 1, "{nonsense", NULL), MBP_E_INVALID);
  OK(&client, store_client_put(&client, "agents", "a", 1, "{\"v\":2}", &version));
  ck_assert_uint_eq(version, 2);
  OK(&client, store_client_put(&client, "agents", "a", MBP_SEQ_ANY, "{\"v\":3}", NULL));
  OK(&client, store_client_put(&client, "agents", "b", MBP_SEQ_ANY, "{\"v\":3}", NULL));
  OK(&client, store_client_put(&client, "environments", "a", 0, "{\"v\":9}", NULL));
  doc_is(&client, "a", 0, "3:{\"v\":3}");
  doc_is(&client, "a", 1, "1:{\"v\":1}");
  doc_is(&client, "a", 2, "2:{\"v\":2}");
  FAILS(&client, store_client_get(&client, "agents", "a", 4, NULL), MBP_E_NOT_FOUND);
  list_is(&client, "agents", NULL, false, "a=3 b=1 ");
  list_is(&client, "agents", "{\"v\":3}", true, "b=1 a=3 ");
  list_is(&client, "agents", "{\"v\":2}", false, "");
  list_is(&client, "none", NULL, false, "");
  mag_autobuf page = MAG_BUF_INIT, text = MAG_BUF_INIT;
  OK(&client, store_client_list(&client, "agents", NULL, 1, false, &page, &text));
  FAILS(&client, store_client_list(&client, "environments", NULL, 1, false, &page, &text), MBP_E_INVALID);
  OK(&client, store_client_list(&client, "agents", NULL, 1, false, &page, &text));
  ck_assert_str_eq(text.ptr, "a=3 b=1 ");
  ck_assert_uint_eq(page.len, 0);
  FAILS(&client, store_client_put(&client, "agents", "a", 2, "", NULL), MBP_E_CONFLICT);
  OK(&client, store_client_put(&client, "agents", "a", 3, "", NULL));
  FAILS(&client, store_client_get(&client, "agents", "a", 1, NULL), MBP_E_NOT_FOUND);
  OK(&client, store_client_put(&client, "agents", "a", 0, "{\"again\":1}", &version));
  ck_assert_uint_eq(version, 1);
  doc_is(&client, "a", 0, "1:{\"again\":1}");
  list_is(&client, "agents", NULL, false, "b=1 a=1 ");
  list_is(&client, "environments", NULL, false, "a=1 ");
  store_client_close(&client);
}
END_TEST

/* ---- Bad arguments and cancelled calls ------------------------------------------------------------------------ */

START_TEST(names_are_checked)
{
  struct store_client client = subject_fresh();
  char longest[300];
  memset(longest, 'n', sizeof(longest) - 1);
  longest[sizeof(longest) - 1] = 0;
  const char *const bad[] = {"", "new\nline", longest};
  for (size_t i = 0; i < MAG_COUNT(bad); i++) {
    FAILS(&client, store_client_create(&client, bad[i], "x", NULL), MBP_E_INVALID);
    FAILS(&client, store_client_read(&client, bad[i], 1, 0, NULL, NULL), MBP_E_INVALID);
    FAILS(&client, store_client_claim(&client, bad[i], NULL), MBP_E_INVALID);
    FAILS(&client, store_client_remove(&client, bad[i]), MBP_E_INVALID);
    FAILS(&client, store_client_put(&client, "agents", bad[i], 0, "{}", NULL), MBP_E_INVALID);
  }
  store_client_close(&client);
}
END_TEST

START_TEST(a_cancelled_append_is_not_written)
{
  struct store_client client = subject_fresh();
  OK(&client, store_client_create(&client, "s", "1", NULL));
  struct mbp_record record = {.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("p")};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .session = mbp_str("s"),
                              .expected = MBP_SEQ_ANY,
                              .records = &record,
                              .n_records = 1};
  struct mbp_call *call = mag_call_new(&(struct mag_call_options){.sink = NULL});
  mag_call_cancel(call);
  int r = mag_call_wait(call, client.ops->append(client.instance, call, &append, &client.err), NULL, &client.err);
  ck_assert_int_eq(r, -MBP_E_CANCELLED);
  mag_call_unref(call);
  log_is(&client, "s", "1:1 ");
  store_client_close(&client);
}
END_TEST

void store_contract_add(Suite *suite, const struct store_subject *for_subject)
{
  TCase *t = tcase_create("contract");
  subject = for_subject;
  tcase_set_timeout(t, 120);
  tcase_add_test(t, a_record_comes_back_byte_for_byte);
  tcase_add_test(t, a_log_is_numbered_from_one_and_outlives_its_instance);
  tcase_add_test(t, reading_begins_and_ends_where_it_is_told);
  tcase_add_test(t, an_append_that_expects_another_log_changes_nothing);
  tcase_add_test(t, one_runner_at_a_time_and_the_older_one_cannot_write);
  tcase_add_test(t, threads_append_beside_each_other);
  tcase_add_test(t, a_watcher_sees_the_past_and_what_is_appended_anywhere);
  tcase_add_test(t, a_watch_ends_at_its_deadline_or_with_its_session);
  tcase_add_test(t, sessions_are_listed_by_creation_and_filtered_by_summary);
  tcase_add_test(t, the_head_shows_the_summary);
  tcase_add_test(t, pages_follow_each_other_and_tokens_belong_to_their_list);
  tcase_add_test(t, forks_share_the_past_and_go_their_own_ways);
  tcase_add_test(t, a_removed_session_leaves_what_its_forks_share);
  tcase_add_test(t, documents_keep_their_versions);
  tcase_add_test(t, names_are_checked);
  tcase_add_test(t, a_cancelled_append_is_not_written);
  store_model_add(t);
  suite_add_tcase(suite, t);
}
