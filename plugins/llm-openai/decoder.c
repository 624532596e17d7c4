#include "decoder.h"

#include "calls.h"
#include "names.h"

#include <stdio.h>
#include <stdlib.h>

struct openai_decoder {
  const struct mbp_json_v1 *json;
  struct llm_out out;
  struct blocks blocks;
  size_t received; /* bytes that blocks hold */
  struct llm_buf finish, model, refusal, content, stop_details;
  struct mbp_usage usage;
  int has_usage, done, has_calls;
};

struct openai_decoder *openai_decoder_new(const struct mbp_json_v1 *json, const struct llm_out *out,
                                          const struct mbp_llm_request *request)
{
  struct openai_decoder *decoder = calloc(1, sizeof(*decoder));
  if (!decoder)
    return NULL;
  decoder->json = json;
  if (out)
    decoder->out = *out;
  decoder->blocks.json = json;
  decoder->blocks.request = request;
  decoder->usage.size = MBP_SIZE(struct mbp_usage, cache_write);
  return decoder;
}

void openai_decoder_free(struct openai_decoder *decoder)
{
  if (!decoder)
    return;
  blocks_done(&decoder->blocks);
  llm_buf_done(&decoder->finish);
  llm_buf_done(&decoder->model);
  llm_buf_done(&decoder->refusal);
  llm_buf_done(&decoder->content);
  llm_buf_done(&decoder->stop_details);
  free(decoder);
}

static size_t number_of(const struct openai_decoder *decoder, const struct block *block)
{
  return (size_t) (block - decoder->blocks.list);
}

/* ---- Deltas --------------------------------------------------------------------------------------------------- */

static int take_words(struct openai_decoder *decoder, enum kind kind, const char *field, struct mbp_str piece,
                      struct mbp_error *err)
{
  struct block *block;
  if (piece.len == 0)
    return 0;
  int r = blocks_find(&decoder->blocks, kind, &block, err);
  if (r < 0)
    return r;
  if (block->name.len == 0)
    llm_buf_text(&block->name, field);
  if ((r = llm_buf_receive(&block->text, &decoder->received, piece, err)) < 0)
    return r;
  return llm_emit(&decoder->out, kind == KIND_TEXT ? MBP_EV_LLM_TEXT : MBP_EV_LLM_THINKING, number_of(decoder, block),
                  mbp_str(""), piece, err);
}

/* A string, or an array of parts of which the text ones count. */
static int take_content(struct openai_decoder *decoder, const struct mbp_json *content, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  int r = take_words(decoder, KIND_TEXT, "content", json->str(content), err);
  if (json->type(content) != MBP_JSON_ARRAY)
    return r;
  for (const struct mbp_json *part = json->first(content); part && r == 0; part = json->next(part))
    r = take_words(decoder, KIND_TEXT, "content", json->str(json->get(part, "text")), err);
  return r;
}

static int take_reasoning(struct openai_decoder *decoder, const struct mbp_json *delta, struct mbp_error *err)
{
  struct mbp_str piece = decoder->json->str(decoder->json->get(delta, "reasoning_content"));
  if (piece.len)
    return take_words(decoder, KIND_REASONING, "reasoning_content", piece, err);
  return take_words(decoder, KIND_REASONING, "reasoning", decoder->json->str(decoder->json->get(delta, "reasoning")),
                    err);
}

static int take_name(struct openai_decoder *decoder, struct block *call, struct mbp_str name, struct mbp_error *err)
{
  struct mbp_str known = llm_buf_view(&call->name);
  int r = 0;
  /* Repeated in every piece by some, cut into pieces by others. */
  if (name.len && (known.len != name.len || memcmp(known.ptr, name.ptr, name.len) != 0) && call->text.len == 0)
    r = llm_buf_receive(&call->name, &decoder->received, name, err);
  if (r < 0 || call->shown || call->name.len == 0)
    return r;
  call->shown = 1;
  return llm_emit(&decoder->out, MBP_EV_LLM_TOOL_START, number_of(decoder, call),
                  openai_name_in(decoder->blocks.request, llm_buf_view(&call->name)), llm_buf_view(&call->id), err);
}

/* `function` at `path` in `data`; the arguments are a string in pieces, or an object at once. */
static int take_function(struct openai_decoder *decoder, struct block *call, const struct mbp_json *function,
                         struct mbp_str data, const char *path, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *arguments = json->get(function, "arguments");
  struct mbp_str piece = json->str(arguments);
  char whole[96];
  int r = take_name(decoder, call, json->str(json->get(function, "name")), err);
  if (json->type(arguments) == MBP_JSON_OBJECT) {
    (void) snprintf(whole, sizeof(whole), "%s/arguments", path);
    if (!json->slice(data, whole, &piece) || call->text.len)
      return llm_broken_stream(err, "a tool call with its arguments twice");
  }
  if (r == 0 && piece.len)
    r = llm_buf_receive(&call->text, &decoder->received, piece, err);
  if (r < 0 || piece.len == 0)
    return r;
  return llm_emit(&decoder->out, MBP_EV_LLM_TOOL_INPUT, number_of(decoder, call), mbp_str(""), piece, err);
}

static int take_calls(struct openai_decoder *decoder, const struct mbp_json *pieces, struct mbp_str data,
                      const char *path, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  size_t position = 0, count = json->type(pieces) == MBP_JSON_ARRAY ? json->count(pieces) : 0;
  int r = 0;
  if (count == 0)
    return 0;
  for (const struct mbp_json *piece = json->first(pieces); piece && r == 0; piece = json->next(piece), position++) {
    struct block *call;
    struct mbp_str extra;
    char inner[80];
    if (json->type(piece) != MBP_JSON_OBJECT)
      return llm_broken_stream(err, "a tool call that is no object");
    if ((r = blocks_find_call(&decoder->blocks, piece, position, count, &call, err)) < 0)
      return r;
    (void) snprintf(inner, sizeof(inner), "%s/%zu/extra_content", path, position);
    if (json->type(json->get(piece, "extra_content")) == MBP_JSON_OBJECT && json->slice(data, inner, &extra)) {
      llm_buf_clear(&call->extra);
      if ((r = llm_buf_receive(&call->extra, &decoder->received, extra, err)) < 0)
        return r;
    }
    (void) snprintf(inner, sizeof(inner), "%s/%zu/function", path, position);
    r = take_function(decoder, call, json->get(piece, "function"), data, inner, err);
  }
  return r;
}

/* The form that came before tool_calls: one call, without an id. */
static int take_old_call(struct openai_decoder *decoder, const struct mbp_json *function, struct mbp_str data,
                         const char *path, struct mbp_error *err)
{
  struct block *call;
  if (decoder->json->type(function) != MBP_JSON_OBJECT)
    return 0;
  int r = blocks_find_call(&decoder->blocks, NULL, 0, 1, &call, err);
  return r < 0 ? r : take_function(decoder, call, function, data, path, err);
}

static int take_choice(struct openai_decoder *decoder, const struct mbp_json *choice, size_t position,
                       struct mbp_str data, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  const char *field = json->type(json->get(choice, "delta")) == MBP_JSON_OBJECT ? "delta" : "message";
  const struct mbp_json *delta = json->get(choice, field);
  struct mbp_str refusal = json->str(json->get(delta, "refusal"));
  struct mbp_str finish = json->str(json->get(choice, "finish_reason"));
  char path[64];
  int r = take_reasoning(decoder, delta, err);
  if (r == 0)
    r = take_content(decoder, json->get(delta, "content"), err);
  if (r == 0 && refusal.len && (r = llm_buf_receive(&decoder->refusal, &decoder->received, refusal, err)) == 0)
    r = take_words(decoder, KIND_TEXT, "refusal", refusal, err);
  (void) snprintf(path, sizeof(path), "choices/%zu/%s/tool_calls", position, field);
  if (r == 0)
    r = take_calls(decoder, json->get(delta, "tool_calls"), data, path, err);
  (void) snprintf(path, sizeof(path), "choices/%zu/%s/function_call", position, field);
  if (r == 0)
    r = take_old_call(decoder, json->get(delta, "function_call"), data, path, err);
  if (finish.len) {
    llm_buf_clear(&decoder->finish);
    llm_buf_str(&decoder->finish, finish);
  }
  return r;
}

/* ---- Chunks --------------------------------------------------------------------------------------------------- */

static int64_t tokens(const struct mbp_json_v1 *json, const struct mbp_json *from, const char *key)
{
  int64_t n = json->num(json->get(from, key), 0);
  return n > 0 ? n : 0;
}

static void take_usage(struct openai_decoder *decoder, const struct mbp_json *from)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *details = json->get(from, "prompt_tokens_details");
  if (json->type(from) != MBP_JSON_OBJECT)
    return;
  int64_t prompt = tokens(json, from, "prompt_tokens");
  int64_t read = tokens(json, details, "cached_tokens"), written = tokens(json, details, "cache_write_tokens");
  if (read == 0)
    read = tokens(json, from, "prompt_cache_hit_tokens");
  read = read < prompt ? read : prompt;
  written = written < prompt - read ? written : prompt - read;
  decoder->usage.input = prompt - read - written;
  decoder->usage.output = tokens(json, from, "completion_tokens");
  decoder->usage.cache_read = read;
  decoder->usage.cache_write = written;
  decoder->has_usage = 1;
}

static int in_stream_error(struct openai_decoder *decoder, const struct mbp_json *chunk, struct mbp_error *err)
{
  uint32_t flags = MBP_ERR_RETRYABLE;
  struct mbp_str message = llm_error_text(decoder->json, chunk);
  int code = openai_error_code(decoder->json, decoder->json->get(chunk, "error"), &flags);
  if (code == 0) {
    code = MBP_E_UPSTREAM;
    flags = MBP_ERR_RETRYABLE;
  }
  (void) llm_error(err, code, "the service broke off%s%.*s", message.len ? ": " : "",
                   message.len < 300 ? (int) message.len : 300, message.len ? message.ptr : "");
  if (err)
    err->flags = flags;
  return -code;
}

static int take_chunk(struct openai_decoder *decoder, const struct mbp_json *chunk, struct mbp_str data,
                      struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *error = json->get(chunk, "error");
  size_t position = 0;
  if (json->type(chunk) != MBP_JSON_OBJECT)
    return llm_broken_stream(err, "a chunk that is no object");
  if (json->type(error) == MBP_JSON_OBJECT || json->type(error) == MBP_JSON_STRING)
    return in_stream_error(decoder, chunk, err);
  if (decoder->model.len == 0)
    llm_buf_str(&decoder->model, json->str(json->get(chunk, "model")));
  take_usage(decoder, json->get(chunk, "usage"));
  const struct mbp_json *choice = json->first(json->get(chunk, "choices"));
  for (; choice; choice = json->next(choice), position++)
    if (json->num(json->get(choice, "index"), 0) == 0)
      return take_choice(decoder, choice, position, data, err);
  return 0;
}

int openai_decoder_complete(const struct openai_decoder *decoder)
{
  return decoder->finish.len > 0;
}

int openai_decoder_feed(struct openai_decoder *decoder, struct mbp_str data, struct mbp_error *err)
{
  struct mbp_json *chunk = NULL;
  while (data.len && llm_is_blank(mbp_str_n(data.ptr + data.len - 1, 1)))
    data.len--;
  if (data.len == 0 || decoder->done)
    return decoder->done;
  if (mbp_str_eq(data, "[DONE]")) {
    decoder->done = 1;
    return openai_decoder_complete(decoder) ? 1 : llm_broken_stream(err, "it ended without a finish reason");
  }
  int r = decoder->json->parse(data, &chunk, err);
  if (r < 0)
    return r == -MBP_E_NO_MEMORY ? r : llm_broken_stream(err, "a chunk that is not JSON");
  r = take_chunk(decoder, chunk, data, err);
  decoder->json->free(chunk);
  if (r < 0)
    return r;
  /* Some servers neither say [DONE] nor close: what follows both is of no interest. */
  return openai_decoder_complete(decoder) && decoder->has_usage;
}

/* ---- The answer ----------------------------------------------------------------------------------------------- */

static int finished_as(const struct openai_decoder *decoder, const char *reason)
{
  return mbp_str_eq(llm_buf_view(&decoder->finish), reason);
}

static int is_refusal(const struct openai_decoder *decoder)
{
  return decoder->refusal.len || finished_as(decoder, "content_filter");
}

static int was_cut_off(const struct openai_decoder *decoder)
{
  return finished_as(decoder, "length");
}

/* The call's input, or empty if the call is to be left out. */
static int input_of(const struct openai_decoder *decoder, const struct block *call, struct mbp_str *ret_input,
                    struct mbp_error *err)
{
  struct mbp_str text = llm_buf_view(&call->text);
  int empty = llm_is_blank(text) || mbp_str_eq(text, "null");
  int last = call == &decoder->blocks.list[decoder->blocks.n - 1];
  *ret_input = mbp_str("");
  if (was_cut_off(decoder) && ((empty && last) || call->name.len == 0))
    return 0;
  if (call->name.len == 0)
    return llm_broken_stream(err, "a tool call without a name");
  if (empty)
    *ret_input = mbp_str("{}");
  else if (llm_is_object(decoder->json, text))
    *ret_input = text;
  else if (!was_cut_off(decoder))
    return llm_broken_stream(err, "the arguments of a tool call are not a JSON object");
  return 0;
}

static int write_call(struct openai_decoder *decoder, const struct block *call, struct mbp_writer *writer,
                      struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct mbp_str input;
  if (is_refusal(decoder))
    return 0;
  int r = input_of(decoder, call, &input, err);
  if (r < 0 || input.len == 0)
    return r;
  decoder->has_calls = 1;
  json->object(writer, NULL);
  json->string(writer, "type", mbp_str("tool_use"));
  json->string(writer, "id", llm_buf_view(&call->id));
  json->string(writer, "name", openai_name_in(decoder->blocks.request, llm_buf_view(&call->name)));
  json->raw(writer, "input", input);
  json->end(writer);
  if (call->extra.len) {
    json->object(writer, NULL);
    json->string(writer, "type", mbp_str(OPENAI_CALL_EXTRA));
    json->string(writer, "id", llm_buf_view(&call->id));
    json->raw(writer, "extra_content", llm_buf_view(&call->extra));
    json->end(writer);
  }
  return 0;
}

static int write_block(struct openai_decoder *decoder, const struct block *block, struct mbp_writer *writer,
                       struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  if (block->kind == KIND_CALL)
    return write_call(decoder, block, writer, err);
  /* White space before calls is no text, and other services refuse it. */
  if (block->kind == KIND_TEXT && llm_is_blank(llm_buf_view(&block->text)))
    return 0;
  json->object(writer, NULL);
  json->string(writer, "type", mbp_str(block->kind == KIND_TEXT ? "text" : OPENAI_REASONING));
  if (block->kind == KIND_REASONING)
    json->string(writer, "field", llm_buf_view(&block->name));
  json->string(writer, "text", llm_buf_view(&block->text));
  json->end(writer);
  return 0;
}

static int write_content(struct openai_decoder *decoder, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct mbp_writer *writer = json->writer_new();
  struct mbp_str text;
  int r = writer ? 0 : llm_no_memory(err);
  json->array(writer, NULL);
  for (size_t i = 0; i < decoder->blocks.n && r == 0; i++)
    r = write_block(decoder, &decoder->blocks.list[i], writer, err);
  json->end(writer);
  if (r == 0 && json->text(writer, &text) < 0)
    r = llm_no_memory(err);
  if (r == 0)
    llm_buf_str(&decoder->content, text);
  json->writer_free(writer);
  return r == 0 && decoder->content.failed ? llm_no_memory(err) : r;
}

static int write_refusal(struct openai_decoder *decoder, struct mbp_error *err)
{
  struct llm_buf *details = &decoder->stop_details;
  int r = 0;
  llm_buf_text(details, "{\"type\":\"refusal\",\"category\":");
  llm_buf_text(details, finished_as(decoder, "content_filter") ? "\"content_filter\"" : "null");
  llm_buf_text(details, ",\"explanation\":");
  if (decoder->refusal.len)
    r = llm_quote(decoder->json, llm_buf_view(&decoder->refusal), details, err);
  else
    llm_buf_text(details, "null");
  llm_buf_text(details, "}");
  return r == 0 && details->failed ? llm_no_memory(err) : r;
}

static uint32_t stop_of(const struct openai_decoder *decoder)
{
  if (is_refusal(decoder))
    return MBP_STOP_REFUSAL;
  if (decoder->has_calls)
    return MBP_STOP_TOOL_USE;
  return was_cut_off(decoder) ? MBP_STOP_MAX_TOKENS : MBP_STOP_END_TURN;
}

int openai_decoder_answer(struct openai_decoder *decoder, struct mbp_llm_response *ret_response, struct mbp_error *err)
{
  int r = 0;
  if (!openai_decoder_complete(decoder))
    return llm_error_retry(err, MBP_E_NETWORK, "the service's answer ended early");
  if (finished_as(decoder, "error"))
    return llm_error_retry(err, MBP_E_UPSTREAM, "the service broke off with an error that it did not explain");
  if ((r = write_content(decoder, err)) < 0)
    return r;
  if ((finished_as(decoder, "tool_calls") || finished_as(decoder, "function_call")) && !decoder->has_calls &&
      !is_refusal(decoder))
    return llm_broken_stream(err, "tool calls were announced and none came");
  if (is_refusal(decoder) && (r = write_refusal(decoder, err)) < 0)
    return r;
  *ret_response = (struct mbp_llm_response){
      .size = MBP_SIZE(struct mbp_llm_response, usage),
      .stop = stop_of(decoder),
      .content = llm_buf_view(&decoder->content),
      .stop_details = llm_buf_view(&decoder->stop_details),
      .model = llm_buf_view(&decoder->model),
      .usage = decoder->has_usage ? &decoder->usage : NULL,
  };
  return 0;
}
