/* The decoder of streams, against recorded ones and made ones. */
#include "anthropic_test.h"

#include "base/error.h"
#include "base/json.h"
#include "decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decoded {
  struct anthropic_decoder *decoder;
  struct test_shown shown;
  struct mbp_error err;
  struct mbp_llm_response response;
  int r;
};

static int feed(void *ctx, struct mbp_str name, struct mbp_str data, struct mbp_error *err)
{
  return anthropic_decoder_feed(ctx, name, data, err);
}

static void decode(struct decoded *d, const char *stream, size_t len)
{
  int stop_after = d->shown.stop_after;
  *d = (struct decoded){.err = MAG_ERROR_INIT, .shown.stop_after = stop_after};
  struct llm_out out = {test_show, &d->shown};
  d->decoder = anthropic_decoder_new(&mag_json_table, &out);
  d->r = test_stream(mbp_str_n(stream, len), feed, d->decoder, &d->err);
  if (d->r >= 0)
    d->r = anthropic_decoder_answer(d->decoder, &d->response, &d->err);
}

static void done(struct decoded *d)
{
  anthropic_decoder_free(d->decoder);
}

static void decode_file(struct decoded *d, const char *path)
{
  char *stream = test_read(path);
  decode(d, stream, strlen(stream));
  ck_assert_msg(d->r == 0, "%s: %s", path, d->err.message);
  free(stream);
}

static void ck_content(const struct decoded *d, const char *want)
{
  ck_assert_int_eq(d->r, 0);
  ck_assert_msg(mbp_str_eq(d->response.content, want), "got  %.*s\nwant %s", (int) d->response.content.len,
                d->response.content.ptr, want);
}

START_TEST(text_is_shown_as_it_comes_and_kept_whole)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "text.sse");
  ck_content(&d, "[{\"type\":\"text\",\"text\":\"Hello w\xc3\xb6rld \\\"x\\\"\\n\"}]");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_END_TURN);
  ck_assert_str_eq(d.shown.text, "text 0 Hello\ntext 0  w\xc3\xb6rld \"x\"\n\n");
  ck_assert(mbp_str_eq(d.response.model, "claude-haiku-4-5"));
  ck_assert_int_eq(d.response.usage->input, 25);
  ck_assert_int_eq(d.response.usage->output, 15);
  ck_assert_int_eq(d.response.usage->cache_read, 2000);
  ck_assert_int_eq(d.response.usage->cache_write, 100);
  done(&d);
}
END_TEST

START_TEST(thinking_and_tool_calls_are_put_together_with_every_digit)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "tools.sse");
  ck_content(
      &d, "[{\"type\":\"thinking\",\"thinking\":\"Let me see.\",\"signature\":\"EqQBCg==\"},"
          "{\"type\":\"text\",\"text\":\"I'll run it.\"},"
          "{\"type\":\"tool_use\",\"id\":\"toolu_01\",\"name\":\"bash\",\"input\":{\"command\": \"echo \\\"hi\\\"\", "
          "\"timeout_ms\": 12345678901234567890.10}},"
          "{\"type\":\"tool_use\",\"id\":\"toolu_02\",\"name\":\"noargs\",\"input\":{}}]");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_TOOL_USE);
  ck_assert_ptr_nonnull(strstr(d.shown.text, "thinking 0 Let me\n"));
  ck_assert_ptr_nonnull(strstr(d.shown.text, "start 2 bash toolu_01\ninput 2 {\"command\": \"echo \n"));
  done(&d);
}
END_TEST

START_TEST(server_tools_and_citations_stay_verbatim)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "server_tools.sse");
  ck_content(
      &d, "[{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\",\"name\":\"web_search\",\"input\":{\"query\":\"c11\"},"
          "\"caller\":{\"type\":\"direct\"}},"
          "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_1\",\"caller\":{\"type\":\"direct\"},"
          "\"content\":[{"
          "\"type\":\"web_search_result\",\"title\":\"C11\",\"url\":\"https://example.com/"
          "\",\"encrypted_content\":\"AAAA\","
          "\"page_age\":1.0000000000000000001e2}]},"
          "{\"type\":\"text\",\"text\":\"C11 is a "
          "standard\",\"citations\":[{\"type\":\"web_search_result_location\",\"url\":"
          "\"https://example.com/\",\"title\":\"C11\",\"encrypted_index\":\"Eo8\",\"cited_text\":\"x\"},{\"type\":"
          "\"web_search_result_location\",\"url\":\"https://example.com/2\",\"title\":null,\"encrypted_index\":\"Eo9\","
          "\"cited_text\":\"y\"}]}]");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_PAUSE);
  done(&d);
}
END_TEST

START_TEST(unknown_events_deltas_and_blocks_are_no_obstacle)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "unknown.sse");
  ck_content(
      &d,
      "[{\"type\":\"redacted_thinking\",\"data\":\"EmwKAhgB\"},{\"type\":\"hologram\",\"depth\":3,\"input\":{\"a\":1}},"
      "{\"type\":\"compaction\",\"content\":\"sum\",\"encrypted_content\":\"QUJD\"},"
      "{\"type\":\"fallback\",\"from\":{\"model\":\"a\"},\"to\":{\"model\":\"b\"}}]");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_PAUSE);
  done(&d);
}
END_TEST

START_TEST(a_refusal_tells_its_details)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "refusal.sse");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_REFUSAL);
  ck_assert(
      mbp_str_eq(d.response.stop_details, "{\"type\":\"refusal\",\"category\":\"cyber\",\"explanation\":\"no\"}"));
  done(&d);
}
END_TEST

START_TEST(a_call_that_was_cut_off_is_left_out)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "cut_tool.sse");
  ck_content(&d, "[{\"type\":\"text\",\"text\":\"Writing.\"}]");
  ck_assert_uint_eq(d.response.stop, MBP_STOP_MAX_TOKENS);
  done(&d);
}
END_TEST

START_TEST(usage_with_iterations_counts_every_pass)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "iterations.sse");
  ck_assert_int_eq(d.response.usage->input, 1030);
  ck_assert_int_eq(d.response.usage->output, 54);
  ck_assert_int_eq(d.response.usage->cache_read, 9000);
  done(&d);
}
END_TEST

START_TEST(a_stream_that_ends_early_gives_nothing)
{
  static const char *const files[] = {"text", "tools", "server_tools", "refusal", "cut_tool", "unknown", "iterations"};
  for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
    char path[128];
    (void) snprintf(path, sizeof(path), CORPUS "%s.sse", files[f]);
    char *stream = test_read(path);
    /* After every event but the last, and at every byte. */
    size_t whole = strlen(stream) - 1;
    for (size_t len = 0; len < whole; len++) {
      struct decoded d = {0};
      decode(&d, stream, len);
      ck_assert_msg(d.r == -MBP_E_NETWORK && d.err.flags & MBP_ERR_RETRYABLE, "%s cut at %zu: %d %s", path, len, d.r,
                    d.err.message);
      done(&d);
    }
    free(stream);
  }
}
END_TEST

START_TEST(every_stop_reason_has_its_meaning)
{
  static const struct {
    const char *stream;
    uint32_t stop;
  } table[] = {
      {START TEXT0 REASON("end_turn") END, MBP_STOP_END_TURN},
      {START TEXT0 REASON("stop_sequence") END, MBP_STOP_SEQUENCE},
      {START TEXT0 REASON("max_tokens") END, MBP_STOP_MAX_TOKENS},
      {START TEXT0 REASON("pause_turn") END, MBP_STOP_PAUSE},
      {START TEXT0 REASON("refusal") END, MBP_STOP_REFUSAL},
      {START TEXT0 REASON("model_context_window_exceeded") END, MBP_STOP_CONTEXT},
      {START TEXT0 REASON("compaction") END, MBP_STOP_PAUSE},
      {START TEXT0 REASON("something_new") END, MBP_STOP_END_TURN},
      {START TEXT0 REASON("tool_use") END, MBP_STOP_END_TURN}, /* without a call there is nothing to run */
      {START BLOCK(0, CALL) STOP(0) REASON("tool_use") END, MBP_STOP_TOOL_USE},
      {START BLOCK(0, CALL) STOP(0) REASON("end_turn") END, MBP_STOP_TOOL_USE},
      {START BLOCK(0, CALL) DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}") STOP(0)
           REASON("max_tokens") END, MBP_STOP_TOOL_USE}, /* whole, so it can be run */
      {START BLOCK(0, CALL) STOP(0) REASON("refusal") END, MBP_STOP_REFUSAL},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct decoded d = {0};
    decode(&d, table[i].stream, strlen(table[i].stream));
    ck_assert_msg(d.r == 0, "%zu: %s", i, d.err.message);
    ck_assert_uint_eq(d.response.stop, table[i].stop);
    done(&d);
  }
}
END_TEST

START_TEST(what_was_cut_off_leaves_no_illegal_block)
{
  static const struct {
    const char *stream, *content;
  } table[] = {
      /* A last call without any input may have been about to get one. */
      {START TEXT0 BLOCK(1, CALL) STOP(1) REASON("max_tokens") END, "[{\"type\":\"text\",\"text\":\"x\"}]"},
      /* Thinking without a signature is refused in the next request. */
      {START BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
           DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}") STOP(0) REASON("max_tokens") END,
       "[]"},
      /* So is empty text, whatever the reason to stop. */
      {START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") STOP(0) BLOCK(1, CALL) STOP(1) REASON("tool_use") END,
       "[" CALL "]"},
      {START REASON("end_turn") END, "[]"},
      {START BLOCK(0, CALL) DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}") STOP(0)
           REASON("model_context_window_exceeded") END,
       "[]"},
      /* Text that comes with the start counts; so does an input. */
      {START BLOCK(0, "{\"type\":\"text\",\"text\":\"a\"}") DELTA(0, "{\"type\":\"text_delta\",\"text\":\"b\"}") STOP(0)
           REASON("end_turn") END,
       "[{\"type\":\"text\",\"text\":\"ab\"}]"},
      {START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{\"a\":1}}") STOP(0)
           REASON("tool_use") END,
       "[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{\"a\":1}}]"},
      {START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\"}") STOP(0) REASON("tool_use") END,
       "[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}]"},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct decoded d = {0};
    decode(&d, table[i].stream, strlen(table[i].stream));
    ck_assert_msg(d.r == 0, "%zu: %s", i, d.err.message);
    ck_content(&d, table[i].content);
    done(&d);
  }
}
END_TEST

START_TEST(streams_out_of_order_are_refused)
{
  static const char *const streams[] = {
      TEXT0,
      REASON("end_turn"),
      END,
      START START,
      EV("{\"type\":\"message_start\"}"),
      START DELTA(0, "{\"type\":\"text_delta\",\"text\":\"x\"}"),
      START STOP(0),
      START BLOCK(1, "{\"type\":\"text\",\"text\":\"\"}"),
      START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") BLOCK(1, "{\"type\":\"text\",\"text\":\"\"}"),
      START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") DELTA(1, "{\"type\":\"text_delta\",\"text\":\"x\"}"),
      START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") STOP(1),
      START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") REASON("end_turn") END,
      START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}")
          DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}"),
      START BLOCK(0, CALL) DELTA(0, "{\"type\":\"text_delta\",\"text\":\"x\"}"),
      START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"t\"}"),
      START BLOCK(0, "{\"text\":\"\"}"),
      START TEXT0 END,
      START EV("{\"type\":\"content_block_start\",\"index\":0}"),
      START EV("not json"),
      START EV(
          "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\xff\"}}"),
      START EV("{\"type\":\"ping\"} trailing"),
      /* A call with an illegal input, without an excuse. */
      START BLOCK(0, CALL) DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}") STOP(0)
          REASON("tool_use") END,
      START BLOCK(0, CALL) DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"[1]\"}") STOP(0)
          REASON("tool_use") END,
      START BLOCK(0, CALL) DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}") STOP(0)
          BLOCK(1, "{\"type\":\"text\",\"text\":\"\"}"),
  };
  for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
    struct decoded d = {0};
    decode(&d, streams[i], strlen(streams[i]));
    ck_assert_msg(d.r == -MBP_E_PROTOCOL && d.err.flags & MBP_ERR_RETRYABLE, "%zu: %d %s", i, d.r, d.err.message);
    done(&d);
  }
}
END_TEST

START_TEST(errors_in_the_stream_keep_their_kind)
{
  static const struct {
    const char *type;
    int code;
    uint32_t flags;
  } table[] = {
      {"invalid_request_error", MBP_E_INVALID, 0},      {"authentication_error", MBP_E_AUTH, 0},
      {"billing_error", MBP_E_BILLING, 0},              {"permission_error", MBP_E_PERMISSION, 0},
      {"not_found_error", MBP_E_NOT_FOUND, 0},          {"conflict_error", MBP_E_CONFLICT, MBP_ERR_RETRYABLE},
      {"request_too_large", MBP_E_LIMIT, 0},            {"rate_limit_error", MBP_E_RATE, MBP_ERR_RETRYABLE},
      {"api_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE}, {"timeout_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE},
      {"overloaded_error", MBP_E_OVERLOADED, MBP_ERR_RETRYABLE}, {"novel_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    char stream[512];
    struct decoded d = {0};
    (void) snprintf(stream, sizeof(stream),
                    START TEXT0 EV("{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"why\"}}"),
                    table[i].type);
    decode(&d, stream, strlen(stream));
    ck_assert_int_eq(d.r, -table[i].code);
    ck_assert_int_eq(d.err.code, table[i].code);
    ck_assert_uint_eq(d.err.flags, table[i].flags);
    ck_assert_ptr_nonnull(strstr(d.err.message, "why"));
    done(&d);
  }
}
END_TEST

START_TEST(big_pieces_pass_and_endless_answers_do_not)
{
  size_t size = 1 << 20;
  char *piece = malloc(size + 256);
  struct mbp_error err = MAG_ERROR_INIT;
  struct anthropic_decoder *decoder = anthropic_decoder_new(&mag_json_table, NULL);
  int n = snprintf(piece, 128,
                   "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"");
  memset(piece + n, 'a', size);
  memcpy(piece + n + size, "\"}}", 4);
  ck_assert_int_eq(
      anthropic_decoder_feed(decoder, mbp_str(""), mbp_str("{\"type\":\"message_start\",\"message\":{}}"), &err), 0);
  ck_assert_int_eq(anthropic_decoder_feed(decoder, mbp_str(""), mbp_str("{\"type\":\"content_block_start\",\"index\":0,"
                                          "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"), &err), 0);
  int r = 0, passed = 0;
  for (; r == 0 && passed < 100; passed += r == 0)
    r = anthropic_decoder_feed(decoder, mbp_str(""), mbp_str(piece), &err);
  ck_assert_int_eq(r, -MBP_E_LIMIT);
  ck_assert_int_eq(passed, 31);
  anthropic_decoder_free(decoder);
  free(piece);
}
END_TEST

START_TEST(who_watches_can_stop)
{
  struct decoded d = {.shown.stop_after = 2};
  char *stream = test_read(CORPUS "text.sse");
  decode(&d, stream, strlen(stream));
  ck_assert_int_eq(d.r, -MBP_E_CANCELLED);
  done(&d);
  free(stream);
}
END_TEST

void anthropic_decoder_tests(Suite *suite)
{
  TCase *t = tcase_create("decoder");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, text_is_shown_as_it_comes_and_kept_whole);
  tcase_add_test(t, thinking_and_tool_calls_are_put_together_with_every_digit);
  tcase_add_test(t, server_tools_and_citations_stay_verbatim);
  tcase_add_test(t, unknown_events_deltas_and_blocks_are_no_obstacle);
  tcase_add_test(t, a_refusal_tells_its_details);
  tcase_add_test(t, a_call_that_was_cut_off_is_left_out);
  tcase_add_test(t, usage_with_iterations_counts_every_pass);
  tcase_add_test(t, a_stream_that_ends_early_gives_nothing);
  tcase_add_test(t, every_stop_reason_has_its_meaning);
  tcase_add_test(t, what_was_cut_off_leaves_no_illegal_block);
  tcase_add_test(t, streams_out_of_order_are_refused);
  tcase_add_test(t, errors_in_the_stream_keep_their_kind);
  tcase_add_test(t, big_pieces_pass_and_endless_answers_do_not);
  tcase_add_test(t, who_watches_can_stop);
  suite_add_tcase(suite, t);
}
