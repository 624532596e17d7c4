/* The Messages API: what is asked, what is understood, and what is refused. */
#include "../llm-common/llm_test.h"

#include "base/error.h"
#include "base/json.h"
#include "decoder.h"
#include "request.h"
#include "../../tests/lib/http_server.h"

#include <stdio.h>
#include <stdlib.h>


#define CORPUS "tests/fuzz/corpus/anthropic/"
#define DATA "plugins/llm-anthropic/testdata/"

/* ---- Decoding ------------------------------------------------------------------------------------------------- */

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

#define START                                                                                                          \
  "event: message_start\ndata: "                                                                                       \
  "{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n"
#define EV(json) "data: " json "\n\n"
#define BLOCK(i, block) EV("{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" block "}")
#define DELTA(i, delta) EV("{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":" delta "}")
#define STOP(i) EV("{\"type\":\"content_block_stop\",\"index\":" #i "}")
#define REASON(reason)                                                                                                 \
  EV("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{\"output_tokens\":2}}")
#define END EV("{\"type\":\"message_stop\"}")
#define TEXT0 BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") DELTA(0, "{\"type\":\"text_delta\",\"text\":\"x\"}") STOP(0)
#define CALL "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}"

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

/* ---- Requests ------------------------------------------------------------------------------------------------- */

#define USER(text) {MBP_ROLE_USER, 0, {text, sizeof(text) - 1}}
#define USER_CACHED(text) {MBP_ROLE_USER, MBP_MESSAGE_CACHE, {text, sizeof(text) - 1}}
#define ASSISTANT(text) {MBP_ROLE_ASSISTANT, 0, {text, sizeof(text) - 1}}
#define TEXT_BLOCK "{\"type\":\"text\",\"text\":\"hi\"}"
#define RESULT_BLOCK                                                                                                   \
  "{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_01\",\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}"

#define S(text) {text, sizeof(text) - 1}
static const struct mbp_tool tools[] = {
    {S("bash"), S("Run a command"),
     S("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"}},\"required\":[\"command\"]}")},
    {S("read"), S(""), S("{\"type\":\"object\"}")},
};

static struct mbp_llm_request request_of(const struct mbp_message *messages, size_t n, const char *system,
                                         const char *params)
{
  return (struct mbp_llm_request){.size = MBP_SIZE(struct mbp_llm_request, params),
                                  .model = mbp_str("claude-haiku-4-5"),
                                  .system = mbp_str(system),
                                  .messages = messages,
                                  .n_messages = n,
                                  .tools = tools,
                                  .n_tools = 2,
                                  .params = mbp_str(params)};
}

static struct llm_buf write_request(const struct mbp_llm_request *request, int cache)
{
  struct anthropic_options options = {.max_tokens = 16384, .cache = cache};
  struct mbp_error err = MAG_ERROR_INIT;
  struct llm_buf body = {0};
  int r = anthropic_request_write(&mag_json_table, request, &options, &body, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  ck_assert_msg(mag_json_check(llm_buf_view(&body), &err) == 0, "%s: %s", err.message, body.ptr);
  return body;
}

static const struct mbp_message history[] = {
    USER_CACHED("[" TEXT_BLOCK "]"),
    ASSISTANT("[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"EqQ=\"},{\"type\":\"tool_use\",\"id\":\"toolu_"
              "01\",\"name\":"
              "\"bash\",\"input\":{\"n\":1.00}}]"),
    USER_CACHED("[" RESULT_BLOCK "]"),
    ASSISTANT("[{\"type\":\"text\",\"text\":\"Done.\"}]"),
    USER_CACHED(
        "[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBOR\"}}]"),
    ASSISTANT("[{\"type\":\"text\",\"text\":\"Seen.\"}]"),
    USER_CACHED("[" TEXT_BLOCK ",{\"type\":\"text\",\"text\":\"\"}]"),
};

START_TEST(requests_are_what_they_were)
{
  static const char params[] =
      "{\"max_tokens\":2000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"effort\":"
      "{\"type\":\"high\"},\"stop_sequences\":[\"END\"],\"tool_choice\":{\"type\":\"auto\"},\"metadata\":{"
      "\"user_id\":\"u\"},\"service_tier\":\"auto\"}";
  struct mbp_llm_request request = request_of(history, 7, "You are \"helpful\".", params);
  struct llm_buf body = write_request(&request, 1);
  test_golden(DATA "request-full.json", body.ptr);
  llm_buf_done(&body);
  request = request_of(history, 1, "", "");
  request.n_tools = 0;
  body = write_request(&request, 1);
  test_golden(DATA "request-small.json", body.ptr);
  llm_buf_done(&body);
  request = request_of(history, 3, "", "");
  body = write_request(&request, 1);
  test_golden(DATA "request-tools.json", body.ptr);
  llm_buf_done(&body);
}
END_TEST

START_TEST(a_request_is_a_byte_prefix_of_the_next_one)
{
  struct llm_buf before = {0};
  for (size_t n = 1; n <= 7; n += 2) {
    struct mbp_llm_request request = request_of(history, n, "sys", "");
    struct llm_buf body = write_request(&request, 0);
    if (before.len)
      ck_assert_int_eq(memcmp(before.ptr, body.ptr, before.len - 2), 0); /* less the closing "]}" */
    llm_buf_done(&before);
    before = body;
  }
  llm_buf_done(&before);
}
END_TEST

static int count_marks(const char *text)
{
  int n = 0;
  for (const char *at = text; (at = strstr(at, "\"cache_control\":{\"type\":\"ephemeral\"}")) != NULL; at++)
    n++;
  return n;
}

START_TEST(there_are_at_most_four_cache_marks_and_they_are_the_only_difference)
{
  struct mbp_llm_request request = request_of(history, 7, "sys", "");
  struct llm_buf with = write_request(&request, 1), without = write_request(&request, 0);
  static const char mark[] = ",\"cache_control\":{\"type\":\"ephemeral\"}";
  ck_assert_int_eq(count_marks(with.ptr), 4);
  ck_assert_int_eq(count_marks(without.ptr), 0);
  for (char *at; (at = strstr(with.ptr, mark)) != NULL;)
    memmove(at, at + sizeof(mark) - 1, strlen(at + sizeof(mark) - 1) + 1);
  ck_assert_str_eq(with.ptr, without.ptr);
  llm_buf_done(&with);
  llm_buf_done(&without);
  request.params = mbp_str("{\"cache_control\":{\"type\":\"ephemeral\"}}"); /* the service sets one itself */
  with = write_request(&request, 1);
  ck_assert_int_eq(count_marks(with.ptr), 4);
  llm_buf_done(&with);
}
END_TEST

START_TEST(marks_go_where_the_service_takes_them)
{
  static const struct {
    const char *content, *marked;
  } table[] = {
      {"[" TEXT_BLOCK "]", "[{\"type\":\"text\",\"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\"}}]"},
      {"[" TEXT_BLOCK " ,{\"type\":\"text\",\"text\":\" \"}]",
       "[{\"type\":\"text\",\"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\"}} "
       ",{\"type\":\"text\",\"text\":\" \"}]"},
      {"[{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"y\"}]", NULL},
      {"[{\"type\":\"redacted_thinking\",\"data\":\"x\"}]", NULL},
      {"[{\"type\":\"hologram\"}]", NULL},
      {"[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]", NULL},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct mbp_message message = {MBP_ROLE_USER, MBP_MESSAGE_CACHE, mbp_str(table[i].content)};
    struct mbp_llm_request request = request_of(&message, 1, "", "");
    request.n_tools = 0;
    struct llm_buf body = write_request(&request, 1);
    const char *content = strstr(body.ptr, "\"content\":") + 10;
    const char *want = table[i].marked ? table[i].marked : table[i].content;
    ck_assert_msg(strncmp(content, want, strlen(want)) == 0, "%zu: %s", i, content);
    llm_buf_done(&body);
  }
}
END_TEST

START_TEST(parameters_that_make_no_sense_are_refused_with_the_reason)
{
  static const struct {
    const char *params, *says;
  } table[] = {
      {"{\"temperature\":1}", "2023-06-01"},
      {"{\"top_k\":5}", "does not exist any more"},
      {"{\"thinkin\":{}}", "did you mean \"thinking\""},
      {"{\"messages\":[]}", "unknown model parameter \"messages\""},
      {"{\"max_tokens\":\"many\"}", "whole number"},
      {"{\"effort\":\"low\",\"output_config\":{\"effort\":\"high\"}}", "twice"},
      {"{\"effort\":3}", "level"},
      {"[]", "JSON object"},
      {"{", "invalid JSON"},
  };
  struct anthropic_options options = {.max_tokens = 1};
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct mbp_llm_request request = request_of(history, 1, "", table[i].params);
    struct mbp_error err = MAG_ERROR_INIT;
    llm_autobuf body = {0};
    ck_assert_int_lt(anthropic_request_write(&mag_json_table, &request, &options, &body, &err), 0);
    ck_assert_msg(strstr(err.message, table[i].says) != NULL, "%zu: %s", i, err.message);
  }
  struct mbp_llm_request request = request_of(history, 1, "", "{\"temperature\":0.5}");
  llm_autobuf body = {0};
  options.sampling = 1;
  ck_assert_int_eq(anthropic_request_write(&mag_json_table, &request, &options, &body, NULL), 0);
  ck_assert_ptr_nonnull(strstr(body.ptr, ",\"temperature\":0.5,"));
}
END_TEST

/* ---- The plugin ----------------------------------------------------------------------------------------------- */

static void play(const struct test_answer *answers, int n)
{
  test_http.answers = answers;
  test_http.n = n;
  test_http.used = 0;
}

START_TEST(an_answer_arrives_through_the_plugin)
{
  char *stream = test_read(CORPUS "tools.sse");
  struct test_answer answer = {200, "text/event-stream; charset=utf-8", stream, 0};
  struct mbp_llm_request request = request_of(history, 3, "sys", "");
  struct test_outcome result = {0};
  play(&answer, 1);
  test_generate(mbp_plugin_v0(), "{\"api_key\":\"sk-secret-1\",\"auth_token\":\"tok\",\"beta\":[\"a-1\",\"b-2\"]}",
                &request, &result);
  ck_assert_msg(result.r == 0, "%s", result.err.message);
  ck_assert_str_eq(test_http.url, "https://api.anthropic.com/v1/messages");
  ck_assert_str_eq(test_http.headers, "x-api-key: sk-secret-1\nanthropic-version: 2026-10-21\nanthropic-beta: a-1,b-2\n"
                                      "content-type: application/json\n");
  ck_assert_uint_eq(result.stop, MBP_STOP_TOOL_USE);
  ck_assert_str_eq(result.request_id, "req_1");
  ck_assert_int_eq(result.usage.output, 89);
  ck_assert_ptr_nonnull(strstr(result.shown.text, "text 1 I'll run it."));
  free(stream);
}
END_TEST

START_TEST(base_urls_may_be_written_in_any_way)
{
  static const struct {
    const char *config, *url, *header;
  } table[] = {
      {"{\"base_url\":\"http://h:1\",\"auth_token\":\"t1234567\"}", "http://h:1/v1/messages",
       "Authorization: Bearer t1234567\n"},
      {"{\"base_url\":\"http://h:1/\"}", "http://h:1/v1/messages", "anthropic-version"},
      {"{\"base_url\":\"http://h:1/v1\"}", "http://h:1/v1/messages", "anthropic-version"},
      {"{\"base_url\":\"http://h:1/proxy/v1/\"}", "http://h:1/proxy/v1/messages", "anthropic-version"},
      {"{\"base_url\":\"unix:/run/llm.sock\"}", "http://localhost/v1/messages", "anthropic-version"},
  };
  struct test_answer answer = {200, "text/event-stream", START TEXT0 REASON("end_turn") END, 0};
  struct mbp_llm_request request = request_of(history, 1, "", "");
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct test_outcome result = {0};
    play(&answer, 1);
    test_generate(mbp_plugin_v0(), table[i].config, &request, &result);
    ck_assert_msg(result.r == 0, "%s", result.err.message);
    ck_assert_str_eq(test_http.url, table[i].url);
    ck_assert_ptr_nonnull(strstr(test_http.headers, table[i].header));
    ck_assert_ptr_null(strstr(test_http.headers, "x-api-key"));
  }
}
END_TEST

START_TEST(failures_say_what_happened)
{
  static const struct {
    struct test_answer answer;
    int code;
    uint32_t flags;
    const char *says;
  } table[] = {
      {{529, "application/json", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
        0},
       MBP_E_OVERLOADED,
       MBP_ERR_RETRYABLE,
       "model request: busy"},
      {{400, "application/json",
        "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"no credit\"}}", 0},
       MBP_E_BILLING,
       0,
       "no credit"},
      {{502, "text/html", "<html>bad gateway</html>", 0}, MBP_E_UPSTREAM, MBP_ERR_RETRYABLE, "model request"},
      {{200, "text/html", "<html>welcome</html>", 0}, MBP_E_PROTOCOL, 0, "base_url"},
      {{200, "text/event-stream", START TEXT0, 0}, MBP_E_NETWORK, MBP_ERR_RETRYABLE, "ended early"},
      {{200, "text/event-stream", START TEXT0, 1}, MBP_E_NETWORK, 0, "cut"},
      {{200, "text/event-stream", START "data: {\n\n", 0}, MBP_E_PROTOCOL, MBP_ERR_RETRYABLE, "broken stream"},
  };
  struct mbp_llm_request request = request_of(history, 1, "", "");
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct test_outcome result = {0};
    play(&table[i].answer, 1);
    test_generate(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", &request, &result);
    ck_assert_msg(result.r == -table[i].code && result.err.flags == table[i].flags, "%zu: %d %s", i, result.r,
                  result.err.message);
    ck_assert_msg(strstr(result.err.message, table[i].says) != NULL, "%zu: %s", i, result.err.message);
    ck_assert_str_eq(result.content, "");
  }
  struct test_outcome result = {0};
  test_generate(mbp_plugin_v0(), "", &request, &result);
  ck_assert_int_eq(result.r, -MBP_E_AUTH);
  ck_assert_ptr_nonnull(strstr(result.err.message, "ANTHROPIC_API_KEY"));
}
END_TEST

START_TEST(models_are_listed_and_tokens_counted)
{
  static const struct test_answer pages[] = {
      {200, "application/json", "{\"data\":[{\"id\":\"claude-a\"},{\"id\":\"claude-b\"}],\"has_more\":true}", 0},
      {200, "application/json", "{\"data\":[{\"id\":\"claude-c\"}],\"has_more\":false}", 0},
  };
  static const struct test_answer count = {200, "application/json", "{\"input_tokens\":1234}", 0};
  static const struct test_answer missing = {404, "application/json", "{}", 0},
                                  denied = {401, "application/json", "{}", 0};
  struct mbp_llm_request request = request_of(history, 1, "", "");
  struct test_outcome result = {0};
  play(pages, 2);
  test_other(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", TEST_LIST, NULL, &result);
  ck_assert_int_eq(result.r, 0);
  ck_assert_str_eq(result.shown.text, "model 0 claude-a \nmodel 0 claude-b \nmodel 0 claude-c \n");
  ck_assert_str_eq(test_http.url, "https://api.anthropic.com/v1/models?limit=1000&after_id=claude-b");
  play(&count, 1);
  test_other(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", TEST_COUNT, &request, &result);
  ck_assert_int_eq(result.usage.input, 1234);
  ck_assert_ptr_null(strstr(test_http.body.ptr, "max_tokens"));
  play(&missing, 1);
  test_other(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", TEST_PROBE, NULL, &result);
  ck_assert_int_eq(result.r, 0);
  play(&denied, 1);
  test_other(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", TEST_PROBE, NULL, &result);
  ck_assert_int_eq(result.r, -MBP_E_AUTH);
}
END_TEST

/* ---- The wire ------------------------------------------------------------------------------------------------- */

/* What the server does with each request, in order. */
static void serve(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const char *stream = ctx;
  switch (request->number) {
  case 0:
    (void) test_reply_sse(conn, stream, 1);
    break;
  case 1:
    (void) test_reply_sse_cut(conn, stream, strlen(stream) / 2);
    break;
  case 2:
    (void) test_reply(conn, 529, "Retry-After: 3\r\nContent-Type: application/json\r\nrequest-id: req_77\r\n",
                      "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}");
    break;
  default:
    (void) test_reply(conn, 401, "Content-Type: application/json\r\n",
                      "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"bad key\"}}");
  }
}

START_TEST(it_works_over_a_real_connection)
{
  char *stream = test_read(CORPUS "tools.sse"), config[256];
  struct test_server *server = test_server_new(serve, stream);
  struct mbp_llm_request request = request_of(history, 1, "sys", "");
  struct test_outcome o = {0};
  test_real_http = 1;
  (void) snprintf(config, sizeof(config), "{\"api_key\":\"k1234567\",\"base_url\":\"%s\"}", test_server_url(server));
  test_generate(mbp_plugin_v0(), config, &request, &o);
  ck_assert_msg(o.r == 0, "%s", o.err.message);
  ck_assert_uint_eq(o.stop, MBP_STOP_TOOL_USE);
  ck_assert_str_eq(test_server_request(server, 0)->path, "/v1/messages");
  ck_assert_str_eq(test_server_request(server, 0)->method, "POST");
  ck_assert_ptr_nonnull(strstr(test_server_request(server, 0)->body, "\"stream\":true"));
  ck_assert_str_eq(test_request_header(test_server_request(server, 0), "x-api-key"), "k1234567");
  test_generate(mbp_plugin_v0(), config, &request, &o);
  ck_assert_int_eq(o.r, -MBP_E_NETWORK);
  ck_assert_uint_eq(o.err.flags, MBP_ERR_RETRYABLE);
  ck_assert_str_eq(o.content, "");
  test_generate(mbp_plugin_v0(), config, &request, &o);
  ck_assert_int_eq(o.r, -MBP_E_OVERLOADED);
  ck_assert_uint_eq(o.err.flags, MBP_ERR_RETRYABLE);
  ck_assert_int_eq(o.err.retry_after_ms, 3000);
  ck_assert_str_eq(o.err.upstream_request, "req_77");
  test_generate(mbp_plugin_v0(), config, &request, &o);
  ck_assert_int_eq(o.r, -MBP_E_AUTH);
  ck_assert_uint_eq(o.err.flags, 0);
  ck_assert_ptr_null(strstr(o.err.message, "k1234567"));
  test_real_http = 0;
  test_server_free(server);
  free(stream);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("llm-anthropic");
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
  t = tcase_create("request");
  tcase_add_test(t, requests_are_what_they_were);
  tcase_add_test(t, a_request_is_a_byte_prefix_of_the_next_one);
  tcase_add_test(t, there_are_at_most_four_cache_marks_and_they_are_the_only_difference);
  tcase_add_test(t, marks_go_where_the_service_takes_them);
  tcase_add_test(t, parameters_that_make_no_sense_are_refused_with_the_reason);
  suite_add_tcase(suite, t);
  t = tcase_create("plugin");
  tcase_add_test(t, an_answer_arrives_through_the_plugin);
  tcase_add_test(t, base_urls_may_be_written_in_any_way);
  tcase_add_test(t, failures_say_what_happened);
  tcase_add_test(t, models_are_listed_and_tokens_counted);
  suite_add_tcase(suite, t);
  t = tcase_create("wire");
  tcase_set_timeout(t, 30);
  tcase_add_test(t, it_works_over_a_real_connection);
  suite_add_tcase(suite, t);
  return test_run(suite);
}
