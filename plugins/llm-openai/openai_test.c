/* Chat Completions: what is asked, and what is understood of servers that differ. */
#include "../llm-common/llm_test.h"

#include "base/error.h"
#include "base/json.h"
#include "decoder.h"
#include "names.h"
#include "request.h"
#include "../../tests/lib/http_server.h"

#include <stdio.h>
#include <stdlib.h>

#define CORPUS "tests/fuzz/corpus/openai/"
#define DATA "plugins/llm-openai/testdata/"

/* ---- Decoding ------------------------------------------------------------------------------------------------- */

struct decoded {
  struct openai_decoder *decoder;
  struct test_shown shown;
  struct mbp_error err;
  struct mbp_llm_response response;
  int r;
};

static int feed(void *ctx, struct mbp_str name, struct mbp_str data, struct mbp_error *err)
{
  (void) name;
  return openai_decoder_feed(ctx, data, err);
}

static void decode(struct decoded *d, const char *stream, size_t len, const struct mbp_llm_request *request)
{
  int stop_after = d->shown.stop_after;
  *d = (struct decoded){.err = MAG_ERROR_INIT, .shown.stop_after = stop_after};
  struct llm_out out = {test_show, &d->shown};
  d->decoder = openai_decoder_new(&mag_json_table, &out, request);
  d->r = test_stream(mbp_str_n(stream, len), feed, d->decoder, &d->err);
  if (d->r >= 0)
    d->r = openai_decoder_answer(d->decoder, &d->response, &d->err);
}

static void done(struct decoded *d)
{
  openai_decoder_free(d->decoder);
}

static void decode_file(struct decoded *d, const char *path)
{
  char *stream = test_read(path);
  decode(d, stream, strlen(stream), NULL);
  ck_assert_msg(d->r == 0, "%s: %s", path, d->err.message);
  free(stream);
}

static void ck_content(const struct decoded *d, const char *want)
{
  ck_assert_msg(mbp_str_eq(d->response.content, want), "got  %.*s\nwant %s", (int) d->response.content.len,
                d->response.content.ptr, want);
}

#define TOOL(id, name, input) "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":" input "}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

START_TEST(streams_of_many_servers_give_the_same_blocks)
{
  static const struct {
    const char *file, *content;
    uint32_t stop;
  } table[] = {
      {"text", "[" TEXT("Hello w\xc3\xb6rld") "]", MBP_STOP_END_TURN},
      {"tools",
       "[" TEXT("Running.") "," TOOL("call_a", "bash", "{\"command\": \"ls\", \"n\": 1.50}") "," TOOL(
           "call_b", "read", "{\"file_path\":\"x\"}") "]",
       MBP_STOP_TOOL_USE},
      {"no_index", "[" TOOL("call_a", "bash", "{\"command\":\"ls\"}") "," TOOL("call_b", "read", "{}") "]",
       MBP_STOP_TOOL_USE},
      {"whole_no_id",
       "[" TOOL("call_m0_0", "bash", "{\"command\":\"ls\"}") "," TOOL("call_m0_1", "bash", "{\"command\":\"pwd\"}") "]",
       MBP_STOP_TOOL_USE},
      {"same_index", "[" TOOL("c1", "bash", "{\"command\":\"ls\"}") "," TOOL("c2", "bash", "{\"command\":\"pwd\"}") "]",
       MBP_STOP_TOOL_USE},
      {"repeated_id", "[" TOOL("c1", "bash", "{\"command\":1}") "]", MBP_STOP_TOOL_USE},
      {"object_args", "[" TOOL("c1", "bash", "{\"command\":\"ls\",\"n\":1.00}") "," TOOL("c2", "noargs", "{}") "]",
       MBP_STOP_TOOL_USE},
      {"reasoning",
       "[{\"type\":\"openai_reasoning\",\"field\":\"reasoning_content\",\"text\":\"Let me see\"}," TEXT("Yes") "," TOOL(
           "call_a", "bash", "{}") ",{\"type\":\"openai_call_extra\",\"id\":\"call_a\",\"extra_content\":{\"google\":{"
                                   "\"thought_signature\":\"AAA=\"}}}]",
       MBP_STOP_TOOL_USE},
      {"old_call", "[" TOOL("call_m0_0", "bash", "{\"command\":\"ls\"}") "]", MBP_STOP_TOOL_USE},
      {"refusal", "[" TEXT("I can't do that") "]", MBP_STOP_REFUSAL},
      {"filtered", "[" TEXT("So") "]", MBP_STOP_REFUSAL},
      {"cut", "[" TEXT("Ok") "]", MBP_STOP_MAX_TOKENS},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct decoded d = {0};
    char path[128];
    (void) snprintf(path, sizeof(path), CORPUS "%s.sse", table[i].file);
    decode_file(&d, path);
    ck_content(&d, table[i].content);
    ck_assert_uint_eq(d.response.stop, table[i].stop);
    done(&d);
  }
}
END_TEST

START_TEST(previews_come_in_order_and_know_their_block)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "reasoning.sse");
  ck_assert_str_eq(d.shown.text, "thinking 0 Let me\nthinking 0  see\ntext 1 Yes\nstart 2 bash call_a\ninput 2 {}\n");
  done(&d);
}
END_TEST

START_TEST(cached_tokens_are_told_apart)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "text.sse");
  ck_assert_int_eq(d.response.usage->input, 36);
  ck_assert_int_eq(d.response.usage->cache_read, 64);
  ck_assert_int_eq(d.response.usage->cache_write, 0);
  ck_assert_int_eq(d.response.usage->output, 20);
  ck_assert(mbp_str_eq(d.response.model, "gpt-5-mini"));
  done(&d);
  decode_file(&d, CORPUS "whole_no_id.sse");
  ck_assert_ptr_null(d.response.usage);
  done(&d);
}
END_TEST

START_TEST(refusals_say_why)
{
  struct decoded d = {0};
  decode_file(&d, CORPUS "refusal.sse");
  ck_assert(mbp_str_eq(d.response.stop_details,
                       "{\"type\":\"refusal\",\"category\":null,\"explanation\":\"I can't do that\"}"));
  done(&d);
  decode_file(&d, CORPUS "filtered.sse");
  ck_assert(mbp_str_eq(d.response.stop_details,
                       "{\"type\":\"refusal\",\"category\":\"content_filter\",\"explanation\":null}"));
  done(&d);
}
END_TEST

START_TEST(a_stream_without_finish_reason_gives_nothing)
{
  static const char *const files[] = {"text",      "tools",    "no_index", "same_index",
                                      "reasoning", "old_call", "refusal",  "cut"};
  for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
    char path[128];
    (void) snprintf(path, sizeof(path), CORPUS "%s.sse", files[f]);
    char *stream = test_read(path);
    const char *finish = strstr(stream, "\"finish_reason\":\"");
    ck_assert_ptr_nonnull(finish);
    size_t last = (size_t) (strstr(finish, "\n\n") - stream) + 1;
    for (size_t len = 0; len < last; len++) {
      struct decoded d = {0};
      decode(&d, stream, len, NULL);
      ck_assert_msg(d.r == -MBP_E_NETWORK && d.err.flags & MBP_ERR_RETRYABLE, "%s cut at %zu: %d", path, len, d.r);
      done(&d);
    }
    struct decoded d = {0};
    decode(&d, stream, last + 1, NULL);
    ck_assert_msg(d.r == 0, "%s: %s", path, d.err.message); /* [DONE] may be missing */
    done(&d);
    free(stream);
  }
}
END_TEST

#define EV(json) "data: " json "\n\n"
#define DELTA(delta) EV("{\"choices\":[{\"index\":0,\"delta\":" delta "}]}")
#define FINISH(reason) EV("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}")
#define CALL(args)                                                                                                     \
  DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"n\",\"arguments\":\"" args "\"}}]}")

START_TEST(broken_streams_are_refused)
{
  static const struct {
    const char *stream;
    int code;
  } table[] = {
      {DELTA("{\"content\":\"x\"}") EV("[DONE]"), MBP_E_PROTOCOL},
      {EV("nonsense"), MBP_E_PROTOCOL},
      {EV("[]"), MBP_E_PROTOCOL},
      {EV("{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"), MBP_E_PROTOCOL},
      {CALL("{\\\"a\\\":") FINISH("tool_calls"), MBP_E_PROTOCOL},
      {CALL("[1]") FINISH("stop"), MBP_E_PROTOCOL},
      {DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}") FINISH("tool_calls"),
       MBP_E_PROTOCOL},
      {DELTA("{\"tool_calls\":[3]}") FINISH("tool_calls"), MBP_E_PROTOCOL},
      {DELTA("{\"content\":\"x\"}") FINISH("tool_calls"), MBP_E_PROTOCOL},
      {DELTA("{\"content\":\"x\"}") FINISH("error"), MBP_E_UPSTREAM},
      {EV("{\"error\":\"out of memory\"}"), MBP_E_UPSTREAM},
      {EV("{\"error\":{\"code\":429,\"message\":\"slow down\"}}"), MBP_E_RATE},
      {EV("{\"error\":{\"code\":\"503\",\"type\":\"overloaded_error\",\"message\":\"m\"}}"), MBP_E_OVERLOADED},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct decoded d = {0};
    decode(&d, table[i].stream, strlen(table[i].stream), NULL);
    ck_assert_msg(d.r == -table[i].code && d.err.flags & MBP_ERR_RETRYABLE, "%zu: %d %s", i, d.r, d.err.message);
    done(&d);
  }
  struct decoded d = {0};
  static const char quota[] = EV("{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"m\"}}");
  decode(&d, quota, sizeof(quota) - 1, NULL);
  ck_assert_int_eq(d.r, -MBP_E_BILLING);
  ck_assert_uint_eq(d.err.flags, 0);
  done(&d);
}
END_TEST

START_TEST(every_finish_reason_has_its_meaning)
{
  static const struct {
    const char *stream;
    uint32_t stop;
  } table[] = {
      {DELTA("{\"content\":\"x\"}") FINISH("stop"), MBP_STOP_END_TURN},
      {DELTA("{\"content\":\"x\"}") FINISH("length"), MBP_STOP_MAX_TOKENS},
      {DELTA("{\"content\":\"x\"}") FINISH("content_filter"), MBP_STOP_REFUSAL},
      {DELTA("{\"content\":\"x\"}") FINISH("eos"), MBP_STOP_END_TURN},
      {CALL("{}") FINISH("stop"), MBP_STOP_TOOL_USE},
      {CALL("{}") FINISH("tool_calls"), MBP_STOP_TOOL_USE},
      {CALL("{}") FINISH("length"), MBP_STOP_TOOL_USE},  /* whole */
      {CALL("") FINISH("length"), MBP_STOP_MAX_TOKENS},  /* perhaps not */
      {CALL("{}") FINISH("content_filter"), MBP_STOP_REFUSAL},
      {DELTA("{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}") FINISH("stop"), MBP_STOP_END_TURN},
      {EV("{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}"), MBP_STOP_END_TURN},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct decoded d = {0};
    decode(&d, table[i].stream, strlen(table[i].stream), NULL);
    ck_assert_msg(d.r == 0, "%zu: %s", i, d.err.message);
    ck_assert_msg(d.response.stop == table[i].stop, "%zu", i);
    done(&d);
  }
}
END_TEST

START_TEST(ids_that_are_taken_are_replaced)
{
  struct mbp_message messages[] = {
      {MBP_ROLE_USER, 0, mbp_str("[" TEXT("hi") "]")},
      {MBP_ROLE_ASSISTANT, 0, mbp_str("[" TOOL("c", "n", "{}") "]")},
      {MBP_ROLE_USER, 0, mbp_str("[{\"type\":\"tool_result\",\"tool_use_id\":\"c\"}]")},
  };
  struct mbp_llm_request request = {.messages = messages, .n_messages = 3};
  static const char stream[] = CALL("{}") FINISH("stop");
  struct decoded d = {0};
  decode(&d, stream, sizeof(stream) - 1, &request);
  ck_content(&d, "[" TOOL("call_m3_0", "n", "{}") "]");
  done(&d);
}
END_TEST

START_TEST(names_are_mapped_and_found_again)
{
  char long_name[100], a[OPENAI_NAME_CAP], b[OPENAI_NAME_CAP];
  memset(long_name, 'x', 99);
  long_name[99] = 0;
  struct mbp_tool tools[] = {{mbp_str("plain-name_1"), {0}, {0}},
                             {mbp_str("with.dot"), {0}, {0}},
                             {mbp_str("with:dot"), {0}, {0}},
                             {mbp_str(long_name), {0}, {0}}};
  struct mbp_llm_request request = {.tools = tools, .n_tools = 4};
  openai_name_out(tools[0].name, a);
  ck_assert_str_eq(a, "plain-name_1");
  openai_name_out(tools[1].name, a);
  openai_name_out(tools[2].name, b);
  ck_assert_str_ne(a, b);
  for (size_t i = 0; i < 4; i++) {
    openai_name_out(tools[i].name, a);
    ck_assert_uint_le(strlen(a), 64);
    ck_assert_uint_eq(strspn(a, "abcdefghijklmnopqrstuvwxyz0123456789_-"), strlen(a));
    struct mbp_str back = openai_name_in(&request, mbp_str(a));
    ck_assert_ptr_eq(back.ptr, tools[i].name.ptr);
  }
  ck_assert(mbp_str_eq(openai_name_in(&request, mbp_str("other")), "other"));
}
END_TEST

START_TEST(endless_answers_are_bounded)
{
  size_t size = 1 << 20;
  char *piece = malloc(size + 128);
  struct mbp_error err = MAG_ERROR_INIT;
  struct openai_decoder *decoder = openai_decoder_new(&mag_json_table, NULL, NULL);
  int n = snprintf(piece, 128, "{\"choices\":[{\"delta\":{\"content\":\""), r = 0, passed = 0;
  memset(piece + n, 'a', size);
  memcpy(piece + n + size, "\"}}]}", 6);
  for (; r == 0 && passed < 100; passed += r == 0)
    r = openai_decoder_feed(decoder, mbp_str(piece), &err);
  ck_assert_int_eq(r, -MBP_E_LIMIT);
  openai_decoder_free(decoder);
  decoder = openai_decoder_new(&mag_json_table, NULL, NULL);
  for (r = 0, passed = 0; r == 0 && passed < 5000; passed += r == 0) {
    (void) snprintf(piece, 128, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d}]}}]}", passed);
    r = openai_decoder_feed(decoder, mbp_str(piece), &err);
  }
  ck_assert_int_eq(r, -MBP_E_LIMIT);
  openai_decoder_free(decoder);
  free(piece);
}
END_TEST

START_TEST(who_watches_can_stop)
{
  struct decoded d = {.shown.stop_after = 1};
  char *stream = test_read(CORPUS "text.sse");
  decode(&d, stream, strlen(stream), NULL);
  ck_assert_int_eq(d.r, -MBP_E_CANCELLED);
  done(&d);
  free(stream);
}
END_TEST

/* ---- Requests ------------------------------------------------------------------------------------------------- */

#define S(text) {text, sizeof(text) - 1}
#define PNG "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBOR\"}}"
static const struct mbp_tool tools[] = {
    {S("bash"), S("Run a command"),
     S("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"}},\"required\":[\"command\"]}")},
    {S("look.at"), S(""), S("{\"type\":\"object\"}")},
};
static const struct mbp_message history[] = {
    {MBP_ROLE_USER, 0, S("[" TEXT("hi") "," TEXT("there") "]")},
    {MBP_ROLE_ASSISTANT, 0,
     S("[{\"type\":\"openai_reasoning\",\"field\":\"reasoning_content\",\"text\":\"hm\"},"
       "{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"y\"}," TEXT("I'll look.") "," TOOL(
           "call_a", "bash",
           "{\"command\": \"ls\", \"n\":1.00}") "," TOOL("call_b", "look.at",
                                                         "{}") ",{\"type\":\"openai_call_extra\",\"id\":\"call_b\","
                                                               "\"extra_content\":{\"g\":1}}]")},
    {MBP_ROLE_USER, 0,
     S("[{\"type\":\"tool_result\",\"tool_use_id\":\"call_a\",\"content\":\"no such file\",\"is_error\":true},"
       "{\"type\":\"tool_result\",\"tool_use_id\":\"call_b\",\"content\":[" TEXT("a picture") "," PNG
                                                                                              "]}," TEXT("go on") "]")},
    {MBP_ROLE_USER, 0, S("[" PNG "]")},
    {MBP_ROLE_ASSISTANT, 0, S("[" TOOL("call_c", "bash", "{}") "]")},
    {MBP_ROLE_USER, 0, S("[{\"type\":\"tool_result\",\"tool_use_id\":\"call_c\"}]")},
};

static struct mbp_llm_request request_of(size_t n, const char *system, const char *params)
{
  return (struct mbp_llm_request){.size = MBP_SIZE(struct mbp_llm_request, params), .model = mbp_str("gpt-5-mini"),
                                  .system = mbp_str(system), .messages = history, .n_messages = n, .tools = tools,
                                  .n_tools = 2, .params = mbp_str(params)};
}

static struct llm_buf write_request(const struct mbp_llm_request *request, const struct openai_options *options)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct llm_buf body = {0};
  int r = openai_request_write(&mag_json_table, request, options, &body, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  ck_assert_msg(mag_json_check(llm_buf_view(&body), &err) == 0, "%s: %s", err.message, body.ptr);
  return body;
}

START_TEST(requests_are_what_they_were)
{
  struct openai_options options = {
      .max_tokens_field = "max_completion_tokens", .system_role = "system", .stream_usage = 1};
  struct mbp_llm_request request =
      request_of(6, "You are \"helpful\".",
                 "{\"max_tokens\":2000,\"effort\":{\"type\":\"low\"},"
                 "\"tool_choice\":{\"type\":\"tool\",\"name\":\"look.at\",\"disable_parallel_tool_use\":"
                 "true},\"stop_sequences\":[\"END\"],\"temperature\":0.50,\"seed\":7}");
  struct llm_buf body = write_request(&request, &options);
  test_golden(DATA "request-full.json", body.ptr);
  llm_buf_done(&body);
  request = request_of(1, "", "");
  request.n_tools = 0;
  body = write_request(&request, &options);
  test_golden(DATA "request-small.json", body.ptr);
  llm_buf_done(&body);
  options = (struct openai_options){.max_tokens = 99, .max_tokens_field = "max_tokens", .system_role = "developer",
                                    .send_reasoning = 1};
  request = request_of(2, "sys", "{\"extra_body\":{\"top_k\":5,\"chat_template_kwargs\":{\"x\":1}}}");
  body = write_request(&request, &options);
  test_golden(DATA "request-clone.json", body.ptr);
  llm_buf_done(&body);
}
END_TEST

/* With a history and without, for the same request. */
static void is_written_as_ever(const struct mbp_llm_request *request, struct openai_options *options)
{
  struct openai_history *known = options->history;
  llm_autobuf with = write_request(request, options);
  options->history = NULL;
  llm_autobuf without = write_request(request, options);
  options->history = known;
  ck_assert_str_eq(with.ptr, without.ptr);
}

START_TEST(what_is_known_of_a_history_changes_no_byte)
{
  struct openai_options options = {.max_tokens_field = "max_tokens", .system_role = "system", .send_reasoning = 1,
                                   .history = openai_history_new()};
  struct mbp_message other[6], messages[12];
  memcpy(other, history, sizeof(other));
  other[2].content = mbp_str("[" TEXT("something else") "]");
  memcpy(messages, history, sizeof(history));
  memcpy(messages + 6, history, sizeof(history));
  for (size_t n = 1; n <= 12; n++) {
    struct mbp_llm_request request = request_of(n, n == 5 ? "another" : "", "");
    request.messages = messages;
    is_written_as_ever(&request, &options);
    is_written_as_ever(&request, &options);
  }
  for (size_t n = 1; n <= 6; n++) { /* two conversations by turns, also shorter ones */
    struct mbp_llm_request request = request_of(n, "system", ""), branch = request;
    branch.messages = other;
    is_written_as_ever(&request, &options);
    is_written_as_ever(&branch, &options);
    branch.n_messages = 7 - n;
    is_written_as_ever(&branch, &options);
  }
  openai_history_free(options.history);
}
END_TEST

START_TEST(a_message_that_cannot_be_written_is_not_known)
{
  struct openai_options options = {.max_tokens_field = "max_tokens", .system_role = "system",
                                   .history = openai_history_new()};
  struct mbp_message messages[4];
  struct mbp_error err = MAG_ERROR_INIT;
  memcpy(messages, history, sizeof(messages));
  messages[2].content = mbp_str("3");
  struct mbp_llm_request request = request_of(4, "", "");
  request.messages = messages;
  for (int i = 0; i < 2; i++) {
    llm_autobuf body = {0};
    ck_assert_int_eq(openai_request_write(&mag_json_table, &request, &options, &body, &err), -MBP_E_INVALID);
  }
  request.messages = history;
  is_written_as_ever(&request, &options);
  openai_history_free(options.history);
}
END_TEST

START_TEST(parameters_that_make_no_sense_are_refused_with_the_reason)
{
  static const struct {
    const char *params, *says;
  } table[] = {
      {"{\"temprature\":1}", "did you mean \"temperature\""},
      {"{\"top_k\":5}", "extra_body"},
      {"{\"thinking\":{}}", "unknown model parameter \"thinking\""},
      {"{\"max_tokens\":1.5}", "whole number"},
      {"{\"extra_body\":{\"messages\":[]}}", "must not hold \"messages\""},
      {"{\"extra_body\":3}", "must be an object"},
      {"{\"effort\":3}", "level"},
      {"3", "JSON object"},
  };
  struct openai_options options = {.max_tokens_field = "max_tokens", .system_role = "system"};
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct mbp_llm_request request = request_of(1, "", table[i].params);
    struct mbp_error err = MAG_ERROR_INIT;
    llm_autobuf body = {0};
    ck_assert_int_lt(openai_request_write(&mag_json_table, &request, &options, &body, &err), 0);
    ck_assert_msg(strstr(err.message, table[i].says) != NULL, "%zu: %s", i, err.message);
  }
}
END_TEST

/* ---- The plugin ----------------------------------------------------------------------------------------------- */

static void play(const struct test_answer *answers, int n)
{
  test_http.answers = answers;
  test_http.n = n;
  test_http.used = 0;
}

START_TEST(base_urls_may_be_written_in_any_way)
{
  static const struct {
    const char *config, *url, *header, *field;
  } table[] = {
      {"{\"api_key\":\"sk-123456\"}", "https://api.openai.com/v1/chat/completions", "Authorization: Bearer sk-123456\n",
       "max_completion_tokens"},
      {"{\"base_url\":\"http://localhost:11434\"}", "http://localhost:11434/v1/chat/completions", "content-type",
       "max_tokens"},
      {"{\"base_url\":\"http://h/v1/\"}", "http://h/v1/chat/completions", "content-type", "max_tokens"},
      {"{\"base_url\":\"http://h/openai/chat/completions\"}", "http://h/openai/chat/completions", "content-type",
       "max_tokens"},
      {"{\"base_url\":\"http://h/v1\",\"max_tokens_field\":\"max_completion_tokens\"}", "http://h/v1/chat/completions",
       "content-type", "max_completion_tokens"},
  };
  struct test_answer answer = {200, "text/event-stream", DELTA("{\"content\":\"x\"}") FINISH("stop") EV("[DONE]"), 0};
  struct mbp_llm_request request = request_of(1, "", "{\"max_tokens\":5}");
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct test_outcome result = {0};
    char field[64];
    play(&answer, 1);
    test_generate(mbp_plugin_v0(), table[i].config, &request, &result);
    ck_assert_msg(result.r == 0, "%s", result.err.message);
    ck_assert_str_eq(result.content, "[" TEXT("x") "]");
    ck_assert_str_eq(test_http.url, table[i].url);
    ck_assert_ptr_nonnull(strstr(test_http.headers, table[i].header));
    (void) snprintf(field, sizeof(field), "\"%s\":5", table[i].field);
    ck_assert_ptr_nonnull(strstr(test_http.body.ptr, field));
  }
}
END_TEST

START_TEST(a_server_without_stream_options_is_asked_again)
{
  static const struct test_answer answers[] = {
      {400, "application/json", "{\"error\":{\"message\":\"Unrecognized request argument: stream_options\"}}", 0},
      {200, "text/event-stream", DELTA("{\"content\":\"x\"}") FINISH("stop"), 0},
  };
  struct mbp_llm_request request = request_of(1, "", "");
  struct test_outcome result = {0};
  play(answers, 2);
  test_generate(mbp_plugin_v0(), "{\"base_url\":\"http://h/v1\"}", &request, &result);
  ck_assert_msg(result.r == 0, "%s", result.err.message);
  ck_assert_int_eq(test_http.used, 2);
  ck_assert_ptr_null(strstr(test_http.body.ptr, "stream_options"));
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
      {{429, "application/json", "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"pay\"}}", 0},
       MBP_E_BILLING,
       0,
       "pay"},
      {{429, "application/json", "{\"error\":{\"message\":\"slow\"}}", 0}, MBP_E_RATE, MBP_ERR_RETRYABLE, "slow"},
      {{400, "application/json", "[{\"error\":{\"code\":400,\"message\":\"odd\"}}]", 0}, MBP_E_INVALID, 0, "odd"},
      {{404, "application/json", "{\"error\":\"model not found\"}", 0}, MBP_E_NOT_FOUND, 0, "model not found"},
      {{200, "text/html", "<html></html>", 0}, MBP_E_PROTOCOL, 0, "base_url"},
      {{200, "text/event-stream", DELTA("{\"content\":\"x\"}"), 0}, MBP_E_NETWORK, MBP_ERR_RETRYABLE, "ended early"},
      {{200, "text/event-stream", DELTA("{\"content\":\"x\"}"), 1}, MBP_E_NETWORK, 0, "cut"},
  };
  struct mbp_llm_request request = request_of(1, "", "");
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
  ck_assert_ptr_nonnull(strstr(result.err.message, "OPENAI_API_KEY"));
}
END_TEST

START_TEST(answers_without_a_stream_and_cuts_after_the_end_are_whole)
{
  static const struct test_answer answers[] = {
      {200, "application/json",
       "{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}],\"usage\":{"
       "\"prompt_tokens\":5,\"completion_tokens\":2}}",
       0},
      {200, "text/event-stream", DELTA("{\"content\":\"whole\"}") FINISH("stop"), 1},
  };
  struct mbp_llm_request request = request_of(1, "", "");
  for (int i = 0; i < 2; i++) {
    struct test_outcome result = {0};
    play(&answers[i], 1);
    test_generate(mbp_plugin_v0(), "{\"api_key\":\"k1234567\"}", &request, &result);
    ck_assert_msg(result.r == 0, "%d: %s", i, result.err.message);
    ck_assert_str_eq(result.content, "[" TEXT("whole") "]");
    ck_assert_int_eq(result.usage.input, i == 0 ? 5 : 0);
  }
}
END_TEST

START_TEST(models_are_listed)
{
  static const struct test_answer list = {200, "application/json", "{\"data\":[{\"id\":\"qwen3\"},{\"id\":\"gpt-5\"}]}",
                                          0};
  struct test_outcome result = {0};
  play(&list, 1);
  test_other(mbp_plugin_v0(), "{\"base_url\":\"http://h/v1\"}", TEST_LIST, NULL, &result);
  ck_assert_int_eq(result.r, 0);
  ck_assert_str_eq(result.shown.text, "model 0 qwen3 \nmodel 0 gpt-5 \n");
  ck_assert_str_eq(test_http.url, "http://h/v1/models");
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
    (void) test_reply(conn, 503, "Retry-After: 3\r\nContent-Type: application/json\r\nx-request-id: req_77\r\n",
                      "{\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}");
    break;
  default:
    (void) test_reply(conn, 401, "Content-Type: application/json\r\n",
                      "{\"error\":{\"message\":\"bad key\",\"code\":\"invalid_api_key\"}}");
  }
}

START_TEST(it_works_over_a_real_connection)
{
  char *stream = test_read(CORPUS "tools.sse"), config[256];
  struct test_server *server = test_server_new(serve, stream);
  struct mbp_llm_request request = request_of(1, "sys", "");
  struct test_outcome o = {0};
  test_real_http = 1;
  (void) snprintf(config, sizeof(config), "{\"api_key\":\"k1234567\",\"base_url\":\"%s\"}", test_server_url(server));
  test_generate(mbp_plugin_v0(), config, &request, &o);
  ck_assert_msg(o.r == 0, "%s", o.err.message);
  ck_assert_uint_eq(o.stop, MBP_STOP_TOOL_USE);
  ck_assert_str_eq(test_server_request(server, 0)->path, "/v1/chat/completions");
  ck_assert_str_eq(test_server_request(server, 0)->method, "POST");
  ck_assert_ptr_nonnull(strstr(test_server_request(server, 0)->body, "\"stream\":true"));
  ck_assert_str_eq(test_request_header(test_server_request(server, 0), "Authorization"), "Bearer k1234567");
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
  Suite *suite = suite_create("llm-openai");
  TCase *t = tcase_create("decoder");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, streams_of_many_servers_give_the_same_blocks);
  tcase_add_test(t, previews_come_in_order_and_know_their_block);
  tcase_add_test(t, cached_tokens_are_told_apart);
  tcase_add_test(t, refusals_say_why);
  tcase_add_test(t, a_stream_without_finish_reason_gives_nothing);
  tcase_add_test(t, broken_streams_are_refused);
  tcase_add_test(t, every_finish_reason_has_its_meaning);
  tcase_add_test(t, ids_that_are_taken_are_replaced);
  tcase_add_test(t, names_are_mapped_and_found_again);
  tcase_add_test(t, endless_answers_are_bounded);
  tcase_add_test(t, who_watches_can_stop);
  suite_add_tcase(suite, t);
  t = tcase_create("request");
  tcase_add_test(t, requests_are_what_they_were);
  tcase_add_test(t, what_is_known_of_a_history_changes_no_byte);
  tcase_add_test(t, a_message_that_cannot_be_written_is_not_known);
  tcase_add_test(t, parameters_that_make_no_sense_are_refused_with_the_reason);
  suite_add_tcase(suite, t);
  t = tcase_create("plugin");
  tcase_add_test(t, base_urls_may_be_written_in_any_way);
  tcase_add_test(t, a_server_without_stream_options_is_asked_again);
  tcase_add_test(t, failures_say_what_happened);
  tcase_add_test(t, answers_without_a_stream_and_cuts_after_the_end_are_whole);
  tcase_add_test(t, models_are_listed);
  suite_add_tcase(suite, t);
  t = tcase_create("wire");
  tcase_set_timeout(t, 30);
  tcase_add_test(t, it_works_over_a_real_connection);
  suite_add_tcase(suite, t);
  return test_run(suite);
}
