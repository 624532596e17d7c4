#include "service.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include <check.h>
#include <stdatomic.h>
#include <string.h>

struct service {
  struct test_server *server;
  const struct answer *answers;
  size_t n;
  atomic_bool by_results;
};

static bool has_calls(const struct answer *answer)
{
  return strstr(answer->content, "\"tool_use\"") != NULL;
}

static const char *stop_of(const struct answer *answer)
{
  return answer->stop ? answer->stop : has_calls(answer) ? "tool_use" : "end_turn";
}

/* ---- Messages API
 * -------------------------------------------------------------------------------------------------- */

static void add_event(struct mag_buf *out, const char *type, struct mbp_writer *w)
{
  struct mbp_str text;
  mag_writer_end(w);
  ck_assert_int_eq(mag_writer_text(w, &text), 0);
  mag_buf_printf(out, "event: %s\ndata: %.*s\n\n", type, (int) text.len, text.ptr);
  mag_writer_reset(w);
}

static struct mbp_writer *begin(struct mbp_writer *w, const char *type, int64_t index)
{
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str(type));
  if (index >= 0)
    mag_writer_number(w, "index", index);
  return w;
}

static void add_delta(struct mag_buf *out, struct mbp_writer *w, int64_t index, const char *type, const char *key,
                      struct mbp_str text)
{
  begin(w, "content_block_delta", index);
  mag_writer_object(w, "delta");
  mag_writer_string(w, "type", mbp_str(type));
  mag_writer_string(w, key, text);
  mag_writer_end(w);
  add_event(out, "content_block_delta", w);
}

/* In two pieces, cut at a character. */
static void add_halves(struct mag_buf *out, struct mbp_writer *w, int64_t index, const char *type, const char *key,
                       struct mbp_str text)
{
  size_t half = mag_utf8_valid_prefix(text.ptr, text.len / 2);
  add_delta(out, w, index, type, key, mbp_str_n(text.ptr, half));
  add_delta(out, w, index, type, key, mbp_str_n(text.ptr + half, text.len - half));
}

static void add_block(struct mag_buf *out, struct mbp_writer *w, int64_t index, const struct mbp_json *block,
                      struct mbp_str slice)
{
  struct mbp_str type = mag_json_str(mag_json_get(block, "type")), input;
  begin(w, "content_block_start", index);
  mag_writer_object(w, "content_block");
  mag_writer_string(w, "type", type);
  if (mbp_str_eq(type, "tool_use")) {
    mag_writer_string(w, "id", mag_json_str(mag_json_get(block, "id")));
    mag_writer_string(w, "name", mag_json_str(mag_json_get(block, "name")));
    mag_writer_raw(w, "input", mbp_str("{}"));
  } else if (mbp_str_eq(type, "thinking")) {
    mag_writer_string(w, "thinking", mbp_str(""));
    mag_writer_string(w, "signature", mbp_str(""));
  } else {
    mag_writer_string(w, "text", mbp_str(""));
  }
  mag_writer_end(w);
  add_event(out, "content_block_start", w);
  if (mbp_str_eq(type, "tool_use")) {
    ck_assert_int_eq(mag_json_slice(slice, "input", &input), 1);
    add_halves(out, w, index, "input_json_delta", "partial_json", input);
  } else if (mbp_str_eq(type, "thinking")) {
    add_halves(out, w, index, "thinking_delta", "thinking", mag_json_str(mag_json_get(block, "thinking")));
    add_delta(out, w, index, "signature_delta", "signature", mag_json_str(mag_json_get(block, "signature")));
  } else {
    add_halves(out, w, index, "text_delta", "text", mag_json_str(mag_json_get(block, "text")));
  }
  begin(w, "content_block_stop", index);
  add_event(out, "content_block_stop", w);
}

char *service_anthropic(const struct answer *answer)
{
  struct mag_buf out = MAG_BUF_INIT;
  mag_autowriter w = mag_writer_new();
  mag_autojson content = NULL;
  struct mbp_str slice;
  size_t at = 0;
  int64_t index = 0;
  ck_assert_int_eq(mag_json_parse(mbp_str(answer->content), &content, NULL), 0);
  mag_buf_add_text(
      &out,
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
      "\"role\":\"assistant\",\"model\":\"claude-test\",\"content\":[],\"stop_reason\":null,"
      "\"stop_sequence\":null,\"usage\":{\"input_tokens\":11,\"cache_creation_input_tokens\":3,"
      "\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n");
  for (const struct mbp_json *i = mag_json_first(content); i; i = mag_json_next(i)) {
    ck_assert_int_eq(mag_json_step(mbp_str(answer->content), &at, NULL, &slice), 1);
    add_block(&out, w, index++, i, slice);
  }
  mag_buf_printf(&out,
                 "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\","
                 "\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\n",
                 stop_of(answer));
  mag_buf_add_text(&out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  return mag_buf_take(&out);
}

/* ---- Chat Completions
 * ----------------------------------------------------------------------------------------------- */

static struct mbp_writer *begin_chunk(struct mbp_writer *w)
{
  mag_writer_object(w, NULL);
  mag_writer_string(w, "id", mbp_str("chatcmpl-1"));
  mag_writer_string(w, "object", mbp_str("chat.completion.chunk"));
  mag_writer_string(w, "model", mbp_str("gpt-test"));
  mag_writer_array(w, "choices");
  mag_writer_object(w, NULL);
  mag_writer_number(w, "index", 0);
  return w;
}

static void end_chunk(struct mag_buf *out, struct mbp_writer *w, const char *finish)
{
  struct mbp_str text;
  if (finish)
    mag_writer_string(w, "finish_reason", mbp_str(finish));
  else
    mag_writer_null(w, "finish_reason");
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_end(w);
  ck_assert_int_eq(mag_writer_text(w, &text), 0);
  mag_buf_printf(out, "data: %.*s\n\n", (int) text.len, text.ptr);
  mag_writer_reset(w);
}

static void add_openai_text(struct mag_buf *out, struct mbp_writer *w, struct mbp_str text)
{
  begin_chunk(w);
  mag_writer_object(w, "delta");
  mag_writer_string(w, "content", text);
  mag_writer_end(w);
  end_chunk(out, w, NULL);
}

static void add_openai_call(struct mag_buf *out, struct mbp_writer *w, int64_t index, const struct mbp_json *block,
                            struct mbp_str arguments, bool first)
{
  begin_chunk(w);
  mag_writer_object(w, "delta");
  mag_writer_array(w, "tool_calls");
  mag_writer_object(w, NULL);
  mag_writer_number(w, "index", index);
  if (first) {
    mag_writer_string(w, "id", mag_json_str(mag_json_get(block, "id")));
    mag_writer_string(w, "type", mbp_str("function"));
  }
  mag_writer_object(w, "function");
  if (first)
    mag_writer_string(w, "name", mag_json_str(mag_json_get(block, "name")));
  mag_writer_string(w, "arguments", arguments);
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_end(w);
  end_chunk(out, w, NULL);
}

static const char *finish_of(const char *stop)
{
  return strcmp(stop, "tool_use") == 0     ? "tool_calls"
         : strcmp(stop, "max_tokens") == 0 ? "length"
         : strcmp(stop, "refusal") == 0    ? "content_filter"
                                           : "stop";
}

char *service_openai(const struct answer *answer)
{
  struct mag_buf out = MAG_BUF_INIT;
  mag_autowriter w = mag_writer_new();
  mag_autojson content = NULL;
  struct mbp_str slice, input;
  size_t at = 0;
  int64_t index = 0;
  ck_assert_int_eq(mag_json_parse(mbp_str(answer->content), &content, NULL), 0);
  for (const struct mbp_json *i = mag_json_first(content); i; i = mag_json_next(i)) {
    struct mbp_str type = mag_json_str(mag_json_get(i, "type")), text = mag_json_str(mag_json_get(i, "text"));
    ck_assert_int_eq(mag_json_step(mbp_str(answer->content), &at, NULL, &slice), 1);
    size_t half = mag_utf8_valid_prefix(text.ptr, text.len / 2);
    if (mbp_str_eq(type, "text")) {
      add_openai_text(&out, w, mbp_str_n(text.ptr, half));
      add_openai_text(&out, w, mbp_str_n(text.ptr + half, text.len - half));
    } else if (mbp_str_eq(type, "tool_use")) {
      ck_assert_int_eq(mag_json_slice(slice, "input", &input), 1);
      half = mag_utf8_valid_prefix(input.ptr, input.len / 2);
      add_openai_call(&out, w, index, i, mbp_str_n(input.ptr, half), true);
      add_openai_call(&out, w, index++, i, mbp_str_n(input.ptr + half, input.len - half), false);
    }
  }
  begin_chunk(w);
  mag_writer_object(w, "delta");
  mag_writer_end(w);
  end_chunk(&out, w, finish_of(stop_of(answer)));
  mag_buf_add_text(
      &out, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-test\",\"choices\":[],"
            "\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":7,\"total_tokens\":26}}\n\n"
            "data: [DONE]\n\n");
  return mag_buf_take(&out);
}

/* ---- Answering
 * ------------------------------------------------------------------------------------------------------ */

static void stream(struct test_conn *conn, const struct answer *answer, const char *text)
{
  if (answer->how == HOW_CUT) {
    (void) test_reply_sse_cut(conn, text, answer->len);
  } else if (answer->how == HOW_DRIP) {
    (void) test_reply_sse_slow(conn, text, answer->split, answer->wait_ms);
  } else if (answer->how == HOW_STALL) {
    if (test_reply_begin(conn, 200, "Content-Type: text/event-stream\r\n") &&
        test_reply_chunk(conn, text, MAG_MIN(answer->len, strlen(text))))
      test_conn_stall(conn);
  } else {
    (void) test_reply_sse(conn, text, answer->split);
  }
}

static size_t count_results(const char *body)
{
  size_t n = 0;
  for (; (body = strstr(body, "\"type\":\"tool_result\"")) != NULL; body++)
    n++;
  return n;
}

static void handle(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const struct service *service = ctx;
  size_t number = service->by_results ? count_results(request->body) : request->number;
  if (number >= service->n) {
    (void) test_reply(
        conn, 400, "Content-Type: application/json\r\n",
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"asked more often than the "
        "test has answers\"}}");
    return;
  }
  const struct answer *answer = &service->answers[number];
  if (answer->how == HOW_STATUS) {
    (void) test_reply(conn, answer->status, answer->headers, answer->body ? answer->body : "");
  } else if (answer->how == HOW_BODY) {
    (void) test_reply_sse(conn, answer->body, answer->split);
  } else {
    mag_autofree char *text =
        strstr(request->path, "/chat/completions") ? service_openai(answer) : service_anthropic(answer);
    stream(conn, answer, text);
  }
}

struct service *service_new(const struct answer *answers, size_t n)
{
  struct service *service = calloc(1, sizeof(*service));
  ck_assert_ptr_nonnull(service);
  service->answers = answers;
  service->n = n;
  service->server = test_server_new(handle, service);
  return service;
}

void service_by_results(struct service *service)
{
  service->by_results = true;
}

void service_free(struct service *service)
{
  test_server_free(service->server);
  free(service);
}

const char *service_url(struct service *service)
{
  return test_server_url(service->server);
}

size_t service_count(struct service *service)
{
  return test_server_count(service->server);
}

const char *service_body(struct service *service, size_t n)
{
  const struct test_request *request = test_server_request(service->server, n);
  ck_assert_msg(request, "there was no request %zu", n);
  return request->body;
}

bool service_wait_closed(struct service *service)
{
  return test_server_wait_closed(service->server);
}

char *service_messages(struct service *service, size_t n)
{
  static const char mark[] = ",\"cache_control\":{\"type\":\"ephemeral\"}";
  struct mbp_str slice;
  ck_assert_int_eq(mag_json_check(mbp_str(service_body(service, n)), NULL), 0);
  ck_assert_msg(mag_json_slice(mbp_str(service_body(service, n)), "messages", &slice), "a request without messages");
  char *text = mag_str_dup(slice);
  for (char *found; (found = strstr(text, mark)) != NULL;)
    memmove(found, found + sizeof(mark) - 1, strlen(found + sizeof(mark) - 1) + 1);
  return text;
}

void service_check_prefixes(struct service *service, size_t from)
{
  for (size_t i = from; i + 1 < service_count(service); i++) {
    mag_autofree char *one = service_messages(service, i);
    mag_autofree char *two = service_messages(service, i + 1);
    size_t n = strlen(one) - 1; /* without the bracket */
    ck_assert_msg(strncmp(one, two, n) == 0, "request %zu is no prefix of the next one:\n%s\n%s", i, one, two);
  }
}
