/* The Messages API: what is asked, what is understood, and what is refused. */
#include "anthropic_test.h"

#include "base/error.h"
#include "base/json.h"
#include "request.h"
#include "../../tests/lib/http_server.h"

#include <stdio.h>
#include <stdlib.h>

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
  anthropic_decoder_tests(suite);
  TCase *t = tcase_create("request");
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
