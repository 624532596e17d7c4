/* What plugins lean on: calls, configuration, redaction. */
#include "../lib/run.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "host/call.h"
#include "host/config.h"
#include "host/host.h"
#include "host/redact.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>

/* ---- Calls: a plugin is played by functions of the test ---- */

struct seen {
  int events, results;
  char text[64];
  int stop_after;
};

static int see(void *ctx, const struct mbp_event *event)
{
  struct seen *seen = ctx;
  seen->events++;
  strncat(seen->text, event->data.ptr, event->data.len);
  return seen->stop_after && seen->events >= seen->stop_after ? -1 : 0;
}

static int take(void *ctx, const void *result, struct mbp_error *err)
{
  (void) result;
  (void) err;
  ((struct seen *) ctx)->results++;
  return 0;
}

static struct mbp_call *new_call(struct seen *seen, struct mbp_call *parent, int64_t timeout_ms, bool asynchronous)
{
  struct mag_call_options options = {.parent = parent,
                                     .timeout_ms = timeout_ms,
                                     .asynchronous = asynchronous,
                                     .sink = see,
                                     .on_result = take,
                                     .ctx = seen};
  return mag_call_new(&options);
}

static int emit(struct mbp_call *call, const char *text)
{
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROGRESS, .data = mbp_str(text)};
  return mag_call_emit(call, &event);
}

START_TEST(a_call_shows_events_and_ends_once)
{
  struct seen seen = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_call *call = new_call(&seen, NULL, 0, false);
  ck_assert_int_eq(emit(call, "a"), 0);
  mag_call_done(call, NULL, NULL);
  ck_assert_int_eq(mag_call_wait(call, 0, NULL, &err), 0);
  mag_call_unref(call);
  ck_assert_int_eq(seen.events, 1);
  ck_assert_int_eq(seen.results, 1);
}
END_TEST

START_TEST(an_error_of_done_is_the_calls_error)
{
  struct seen seen = {0};
  struct mbp_error err = MAG_ERROR_INIT, said = MAG_ERROR_INIT;
  struct mbp_call *call = new_call(&seen, NULL, 0, false);
  mag_error(&said, MBP_E_RATE, "slow down");
  said.retry_after_ms = 7;
  mag_call_done(call, NULL, &said);
  ck_assert_int_eq(mag_call_wait(call, 0, NULL, &err), -MBP_E_RATE);
  mag_call_unref(call);
  ck_assert_int_eq(err.retry_after_ms, 7);
  ck_assert_str_eq(err.message, "slow down");
  ck_assert_int_eq(seen.results, 0);
}
END_TEST

static void *emit_many(void *arg)
{
  struct mbp_call *call = arg;
  static char big[100 * 1024];
  memset(big, 'x', sizeof(big) - 1);
  for (int i = 0; i < 50; i++)
    while (emit(call, big) == MBP_AGAIN) {
      struct pollfd p = {.fd = mag_call_emit_fd(call), .events = POLLIN};
      ck_assert_int_eq(poll(&p, 1, 5000), 1);
    }
  mag_call_done(call, NULL, NULL);
  return NULL;
}

static int count(void *ctx, const struct mbp_event *event)
{
  *(size_t *) ctx += event->data.len;
  return 0;
}

START_TEST(an_asynchronous_plugin_is_told_to_come_again)
{
  size_t bytes = 0;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.asynchronous = true, .sink = count, .ctx = &bytes};
  struct mbp_call *call = mag_call_new(&options);
  pthread_t thread;
  pthread_create(&thread, NULL, emit_many, call);
  ck_assert_int_eq(mag_call_wait(call, 0, NULL, &err), 0);
  pthread_join(thread, NULL);
  mag_call_unref(call);
  ck_assert_uint_eq(bytes, 50 * (100 * 1024 - 1));
}
END_TEST

START_TEST(cancelling_reaches_inner_calls_and_descriptors)
{
  struct seen seen = {0};
  struct mbp_call *outer = mag_call_new_scope(&(struct mag_call_options){.timeout_ms = 60000});
  struct mbp_call *inner = new_call(&seen, outer, 0, false);
  struct pollfd p = {.fd = mag_call_cancel_fd(inner), .events = POLLIN};
  ck_assert_int_eq(poll(&p, 1, 0), 0);
  ck_assert(mag_call_deadline_ms(inner) == mag_call_deadline_ms(outer));
  mag_call_cancel(outer);
  ck_assert_int_eq(mag_call_cancelled(inner), 1);
  ck_assert_int_eq(poll(&p, 1, 1000), 1);
  ck_assert_int_lt(emit(inner, "late"), 0);
  mag_call_done(inner, NULL, NULL);
  ck_assert_int_eq(mag_call_wait(inner, 0, NULL, NULL), 0);
  mag_call_unref(inner);
  mag_call_unref(outer);
  ck_assert_int_eq(seen.events, 0);
}
END_TEST

START_TEST(the_deadline_makes_the_descriptor_readable)
{
  struct seen seen = {0};
  struct mbp_call *call = new_call(&seen, NULL, 20, false);
  struct pollfd p = {.fd = mag_call_cancel_fd(call), .events = POLLIN};
  ck_assert_int_eq(poll(&p, 1, 2000), 1);
  ck_assert_int_eq(mag_call_cancelled(call), 1);
  ck_assert_int_eq(mag_call_wait(call, -MBP_E_TIMEOUT, NULL, NULL), -MBP_E_TIMEOUT);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_sink_that_says_stop_cancels)
{
  struct seen seen = {.stop_after = 1};
  struct mbp_call *call = new_call(&seen, NULL, 0, false);
  ck_assert_int_lt(emit(call, "1"), 0);
  ck_assert_int_eq(mag_call_cancelled(call), 1);
  ck_assert_int_lt(emit(call, "2"), 0);
  mag_call_done(call, NULL, NULL);
  mag_call_wait(call, 0, NULL, NULL);
  mag_call_unref(call);
  ck_assert_int_eq(seen.events, 1);
}
END_TEST

/* ---- Configuration ---- */

static const char *const colours[] = {"red", "blue", NULL};
static const struct mbp_param p_key = {.size = sizeof(struct mbp_param),
                                       .type = MBP_PARAM_SECRET,
                                       .name = "api_key",
                                       .env = "MAGENT_TEST_KEY",
                                       .flags = MBP_PARAM_REQUIRED};
static const struct mbp_param p_size = {.size = sizeof(struct mbp_param),
                                        .type = MBP_PARAM_SIZE,
                                        .name = "memory",
                                        .default_value = "64M",
                                        .min = 1,
                                        .max = 1 << 30};
static const struct mbp_param p_colour = {.size = sizeof(struct mbp_param),
                                          .type = MBP_PARAM_CHOICE,
                                          .name = "colour",
                                          .choices = colours,
                                          .default_value = "red"};
static const struct mbp_param p_dirs = {
    .size = sizeof(struct mbp_param), .type = MBP_PARAM_PATH, .name = "dirs", .flags = MBP_PARAM_REPEATABLE};
static const struct mbp_param *const params[] = {&p_key, &p_size, &p_colour, &p_dirs, NULL};

static void refused(const char *json, const char *fragment)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_config *config = NULL;
  ck_assert_int_lt(mag_config_new("t", params, mbp_str(json), &config, &err), 0);
  ck_assert_msg(strstr(err.message, fragment) != NULL, "%s: %s", json, err.message);
}

START_TEST(configuration_is_checked_against_its_table)
{
  unsetenv("MAGENT_TEST_KEY");
  refused("", "set MAGENT_TEST_KEY");
  setenv("MAGENT_TEST_KEY", "sk-verysecret-1", 1);
  refused("{\"memroy\":1}", "did you mean \"memory\"");
  refused("{\"memory\":\"5X\"}", "a size such as");
  refused("{\"memory\":\"2G\"}", "out of range");
  refused("{\"colour\":\"green\"}", "one of red, blue");
  refused("{\"memory\":[1]}", "expected a size");
  refused("[]", "must be an object");
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_config *config = NULL;
  ck_assert_int_eq(
      mag_config_new("t", params, mbp_str("{\"dirs\":[\"/a\",\"@libexecdir@/b\"],\"memory\":4096}"), &config, &err), 0);
  int64_t n;
  struct mbp_str s;
  ck_assert(mag_config_int(config, "memory", &n) == 1 && n == 4096);
  ck_assert(mag_config_str(config, "colour", &s) == 1 && mbp_str_eq(s, "red"));
  ck_assert(mag_config_item(config, "dirs", 1, &s) == 1 && s.ptr[0] == '/');
  ck_assert(mag_config_item(config, "dirs", 2, &s) == 0);
  ck_assert(mag_redact_wanted(mbp_str("key is sk-verysecret-1.")));
  mag_config_free(config);
}
END_TEST

/* ---- Redaction ---- */

START_TEST(secrets_are_found_in_every_dress)
{
  mag_redact_add(mbp_str("p/ss \"word\"+42"));
  static const char *const dresses[] = {
      "p/ss \"word\"+42",         "p/ss \\\"word\\\"+42", "p%2Fss%20%22word%22%2B42",
      "p%2fss%20%22word%22%2b42", "cC9zcyAid29yZCIrNDI=", /* at the start */
      "eHAvc3MgIndvcmQiKzQyeQ==",                         /* one byte before, one behind */
  };
  for (size_t i = 0; i < MAG_COUNT(dresses); i++) {
    mag_autobuf out = MAG_BUF_INIT;
    mag_redact_into(&out, mbp_str(dresses[i]));
    ck_assert_msg(strstr(out.ptr, MAG_REDACTED) != NULL, "%s", dresses[i]);
  }
  mag_autobuf out = MAG_BUF_INIT;
  mag_redact_into(&out, mbp_str("nothing here"));
  ck_assert_str_eq(out.ptr, "nothing here");
}
END_TEST

START_TEST(a_secret_that_comes_in_pieces_is_found)
{
  static const char text[] = "one sesame-street-17, sesame-tree, sesame-sesame-street-17 ses";
  mag_redact_add(mbp_str("sesame-street-17"));
  for (size_t piece = 1; piece < sizeof(text); piece++) {
    mag_autobuf held = MAG_BUF_INIT;
    mag_autobuf out = MAG_BUF_INIT;
    for (size_t at = 0; at < sizeof(text) - 1; at += piece)
      mag_redact_piece(&held, mbp_str_n(text + at, MAG_MIN(piece, sizeof(text) - 1 - at)), &out);
    ck_assert_str_eq(held.ptr, "ses"); /* it could still become one */
    ck_assert_str_eq(out.ptr, "one [redacted], sesame-tree, sesame-[redacted] ");
  }
}
END_TEST

START_TEST(errors_hold_no_secret)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_redact_add(mbp_str("sesame-street-17"));
  (void) mag_error(&err, MBP_E_AUTH, "invalid key sesame-street-17 given");
  mag_redact_error(&err);
  ck_assert_str_eq(err.message, "invalid key [redacted] given");
}
END_TEST

START_TEST(the_host_table_is_complete)
{
  static const struct mbp_host *host; /* lives as long as the process */
  host = mag_host_for("test");
  const void *const *slots = (const void *const *) (const void *) &host->log;
  for (; slots <= (const void *const *) (const void *) &host->session_id; slots++)
    ck_assert_ptr_nonnull(*slots);
  ck_assert_ptr_nonnull(host->get_interface(host->ctx, MBP_JSON_V1));
  ck_assert_ptr_null(host->get_interface(host->ctx, "magent.nothing/1"));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("host");
  TCase *t = tcase_create("host");
  tcase_add_test(t, a_call_shows_events_and_ends_once);
  tcase_add_test(t, an_error_of_done_is_the_calls_error);
  tcase_add_test(t, an_asynchronous_plugin_is_told_to_come_again);
  tcase_add_test(t, cancelling_reaches_inner_calls_and_descriptors);
  tcase_add_test(t, the_deadline_makes_the_descriptor_readable);
  tcase_add_test(t, a_sink_that_says_stop_cancels);
  tcase_add_test(t, configuration_is_checked_against_its_table);
  tcase_add_test(t, secrets_are_found_in_every_dress);
  tcase_add_test(t, a_secret_that_comes_in_pieces_is_found);
  tcase_add_test(t, errors_hold_no_secret);
  tcase_add_test(t, the_host_table_is_complete);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
