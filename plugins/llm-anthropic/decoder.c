#include "decoder.h"

#include <stdlib.h>

/* What deltas a block takes. */
enum kind { KIND_NONE, KIND_TEXT, KIND_THINKING, KIND_TOOL, KIND_OTHER };

struct block {
  enum kind kind;
  struct llm_buf start; /* JSON text of content_block as it began */
  struct llm_buf text;  /* text or thinking so far, decoded */
  struct llm_buf signature;
  struct llm_buf input; /* JSON text of the input so far */
  struct llm_buf citations; /* comma-joined */
  struct llm_buf content, encrypted_content; /* compaction: JSON texts */
  int has_text, has_signature;
};

struct anthropic_decoder {
  const struct mbp_json_v1 *json;
  struct llm_out out;
  struct block block;    /* the open one, if its kind is not KIND_NONE */
  int64_t next_index;    /* of the next block on the wire */
  size_t kept;           /* blocks in content */
  struct llm_buf content; /* "[" and comma-joined blocks */
  size_t received;       /* bytes that blocks hold */
  size_t calls;          /* tool_use blocks in content */
  int last_is_call;      /* the last block is a tool_use */
  size_t before_last;    /* length of content before the last block */
  int cut;               /* the last block lacks its input or signature: it goes if the answer was cut off */
  int broken;            /* ... and it makes no sense otherwise: a call without a legal input */
  int started, stopped;
  struct llm_buf stop_reason, stop_details, model;
  struct mbp_usage usage;
  int has_usage;
};

static void block_done(struct block *block)
{
  llm_buf_done(&block->start);
  llm_buf_done(&block->text);
  llm_buf_done(&block->signature);
  llm_buf_done(&block->input);
  llm_buf_done(&block->citations);
  llm_buf_done(&block->content);
  llm_buf_done(&block->encrypted_content);
  *block = (struct block){0};
}

struct anthropic_decoder *anthropic_decoder_new(const struct mbp_json_v1 *json, const struct llm_out *out)
{
  struct anthropic_decoder *decoder = calloc(1, sizeof(*decoder));
  if (!decoder)
    return NULL;
  decoder->json = json;
  if (out)
    decoder->out = *out;
  decoder->usage.size = MBP_SIZE(struct mbp_usage, cache_write);
  llm_buf_text(&decoder->content, "[");
  return decoder;
}

void anthropic_decoder_free(struct anthropic_decoder *decoder)
{
  if (!decoder)
    return;
  block_done(&decoder->block);
  llm_buf_done(&decoder->content);
  llm_buf_done(&decoder->stop_reason);
  llm_buf_done(&decoder->stop_details);
  llm_buf_done(&decoder->model);
  free(decoder);
}

static void set(struct llm_buf *buf, struct mbp_str value)
{
  llm_buf_clear(buf);
  llm_buf_str(buf, value);
}

/* ---- Usage ---------------------------------------------------------------------------------------------------- */

static int64_t tokens(const struct mbp_json_v1 *json, const struct mbp_json *usage, const char *key)
{
  int64_t n = json->num(json->get(usage, key), 0);
  return n > 0 ? n : 0;
}

static void add_usage(const struct mbp_json_v1 *json, const struct mbp_json *from, struct mbp_usage *usage)
{
  usage->input += tokens(json, from, "input_tokens");
  usage->output += tokens(json, from, "output_tokens");
  usage->cache_read += tokens(json, from, "cache_read_input_tokens");
  usage->cache_write += tokens(json, from, "cache_creation_input_tokens");
}

static int64_t larger(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static void take_usage(struct anthropic_decoder *decoder, const struct mbp_json *from)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct mbp_usage told = {0}, sum = {0};
  if (json->type(from) != MBP_JSON_OBJECT)
    return;
  add_usage(json, from, &told);
  const struct mbp_json *pass = json->first(json->get(from, "iterations"));
  for (size_t n = 0; pass && n < 1000; pass = json->next(pass), n++)
    add_usage(json, pass, &sum);
  /* Cumulative, and events may leave out what does not change: the largest figure is the last one. */
  decoder->usage.input = larger(decoder->usage.input, larger(told.input, sum.input));
  decoder->usage.output = larger(decoder->usage.output, larger(told.output, sum.output));
  decoder->usage.cache_read = larger(decoder->usage.cache_read, larger(told.cache_read, sum.cache_read));
  decoder->usage.cache_write = larger(decoder->usage.cache_write, larger(told.cache_write, sum.cache_write));
  decoder->has_usage = 1;
}

/* ---- Blocks --------------------------------------------------------------------------------------------------- */

static enum kind kind_of(struct mbp_str type)
{
  if (mbp_str_eq(type, "text"))
    return KIND_TEXT;
  if (mbp_str_eq(type, "thinking"))
    return KIND_THINKING;
  return mbp_str_eq(type, "tool_use") ? KIND_TOOL : KIND_OTHER;
}

static int block_start(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_str data,
                       struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct block *block = &decoder->block;
  const struct mbp_json *content = json->get(event, "content_block");
  struct mbp_str type = json->str(json->get(content, "type")), raw;
  if (block->kind != KIND_NONE)
    return llm_broken_stream(err, "a block began inside another");
  if (json->num(json->get(event, "index"), -1) != decoder->next_index)
    return llm_broken_stream(err, "a block has the wrong index");
  if (type.len == 0 || !json->slice(data, "content_block", &raw))
    return llm_broken_stream(err, "a block without a type");
  if (decoder->broken)
    return llm_broken_stream(err, "the input of a tool call is not a JSON object");
  block->kind = kind_of(type);
  int r = llm_buf_receive(&block->start, &decoder->received, raw, err);
  if (r < 0)
    return r;
  if (block->kind == KIND_TOOL) {
    struct mbp_str name = json->str(json->get(content, "name")), id = json->str(json->get(content, "id"));
    if (name.len == 0 || id.len == 0)
      return llm_broken_stream(err, "a tool call without a name or an id");
    return llm_emit(&decoder->out, MBP_EV_LLM_TOOL_START, decoder->kept, name, id, err);
  }
  /* Some servers put the first words into the start. */
  const char *key = block->kind == KIND_THINKING ? "thinking" : "text";
  struct mbp_str text = json->str(json->get(content, key));
  if (text.len) {
    block->has_text = 1;
    if ((r = llm_buf_receive(&block->text, &decoder->received, text, err)) < 0)
      return r;
    if (block->kind == KIND_TEXT)
      return llm_emit(&decoder->out, MBP_EV_LLM_TEXT, decoder->kept, mbp_str(""), text, err);
  }
  if (block->kind == KIND_THINKING)
    return llm_emit(&decoder->out, MBP_EV_LLM_THINKING, decoder->kept, mbp_str(""), text, err);
  return 0;
}

static int take_text(struct anthropic_decoder *decoder, struct mbp_str text, uint32_t event_type, struct mbp_error *err)
{
  struct block *block = &decoder->block;
  block->has_text = 1;
  int r = llm_buf_receive(&block->text, &decoder->received, text, err);
  if (r < 0 || text.len == 0)
    return r;
  return llm_emit(&decoder->out, event_type, decoder->kept, mbp_str(""), text, err);
}

static int take_input(struct anthropic_decoder *decoder, struct mbp_str piece, struct mbp_error *err)
{
  int r = llm_buf_receive(&decoder->block.input, &decoder->received, piece, err);
  if (r < 0 || piece.len == 0 || decoder->block.kind != KIND_TOOL)
    return r;
  return llm_emit(&decoder->out, MBP_EV_LLM_TOOL_INPUT, decoder->kept, mbp_str(""), piece, err);
}

static int take_citation(struct anthropic_decoder *decoder, struct mbp_str data, struct mbp_error *err)
{
  struct mbp_str citation;
  if (!decoder->json->slice(data, "delta/citation", &citation))
    return 0;
  if (decoder->block.citations.len)
    llm_buf_text(&decoder->block.citations, ",");
  return llm_buf_receive(&decoder->block.citations, &decoder->received, citation, err);
}

static int take_compaction(struct anthropic_decoder *decoder, struct mbp_str data, struct mbp_error *err)
{
  struct mbp_str value;
  int r = 0;
  if (decoder->json->slice(data, "delta/content", &value)) {
    llm_buf_clear(&decoder->block.content);
    r = llm_buf_receive(&decoder->block.content, &decoder->received, value, err);
  }
  if (r == 0 && decoder->json->slice(data, "delta/encrypted_content", &value)) {
    llm_buf_clear(&decoder->block.encrypted_content);
    r = llm_buf_receive(&decoder->block.encrypted_content, &decoder->received, value, err);
  }
  return r;
}

static int block_delta(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_str data,
                       struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *delta = json->get(event, "delta");
  struct mbp_str type = json->str(json->get(delta, "type"));
  enum kind kind = decoder->block.kind, wants;
  if (kind == KIND_NONE)
    return llm_broken_stream(err, "a delta outside of a block");
  if (json->num(json->get(event, "index"), -1) != decoder->next_index)
    return llm_broken_stream(err, "a delta has the wrong index");
  if (mbp_str_eq(type, "text_delta") || mbp_str_eq(type, "citations_delta"))
    wants = KIND_TEXT;
  else if (mbp_str_eq(type, "thinking_delta") || mbp_str_eq(type, "signature_delta"))
    wants = KIND_THINKING;
  else if (mbp_str_eq(type, "input_json_delta"))
    wants = KIND_TOOL;
  else if (mbp_str_eq(type, "compaction_delta"))
    wants = KIND_OTHER;
  else
    return 0;
  if (kind != wants && kind != KIND_OTHER)
    return llm_broken_stream(err, "a delta of another kind than its block");
  switch (type.ptr[0]) {
  case 't':
    return wants == KIND_TEXT ? take_text(decoder, json->str(json->get(delta, "text")), MBP_EV_LLM_TEXT, err)
                              : take_text(decoder, json->str(json->get(delta, "thinking")), MBP_EV_LLM_THINKING, err);
  case 's':
    decoder->block.has_signature = 1;
    return llm_buf_receive(&decoder->block.signature, &decoder->received, json->str(json->get(delta, "signature")),
                           err);
  case 'i':
    return take_input(decoder, json->str(json->get(delta, "partial_json")), err);
  default:
    return wants == KIND_TEXT ? take_citation(decoder, data, err) : take_compaction(decoder, data, err);
  }
}

/* Sets a member of the block to a string. */
static int set_string(struct anthropic_decoder *decoder, const char *member, struct mbp_str value,
                      struct mbp_error *err)
{
  llm_autobuf quoted = {0};
  int r = llm_quote(decoder->json, value, &quoted, err);
  return r < 0 ? r : llm_splice(decoder->json, &decoder->block.start, member, llm_buf_view(&quoted), err);
}

static int set_citations(struct anthropic_decoder *decoder, struct mbp_error *err)
{
  struct block *block = &decoder->block;
  struct mbp_str before = {0};
  llm_autobuf all = {0};
  /* The start holds null, [] or some citations already. */
  if (decoder->json->slice(llm_buf_view(&block->start), "citations", &before) && before.len > 2 &&
      before.ptr[0] == '[' && !llm_is_blank(mbp_str_n(before.ptr + 1, before.len - 2))) {
    llm_buf_add(&all, before.ptr, before.len - 1);
    llm_buf_text(&all, ",");
  } else {
    llm_buf_text(&all, "[");
  }
  llm_buf_str(&all, llm_buf_view(&block->citations));
  llm_buf_text(&all, "]");
  if (all.failed)
    return llm_no_memory(err);
  return llm_splice(decoder->json, &block->start, "citations", llm_buf_view(&all), err);
}

/* The block's input as one JSON object; `cut` and `broken` say where there is none. */
static int set_input(struct anthropic_decoder *decoder, struct mbp_error *err)
{
  struct block *block = &decoder->block;
  struct mbp_str input = llm_buf_view(&block->input), at_start;
  if (llm_is_blank(input)) {
    int given = decoder->json->slice(llm_buf_view(&block->start), "input", &at_start) && at_start.ptr[0] == '{';
    decoder->cut = !given || llm_is_blank(mbp_str_n(at_start.ptr + 1, at_start.len - 2));
    return given ? 0 : llm_splice(decoder->json, &block->start, "input", mbp_str("{}"), err);
  }
  if (llm_is_object(decoder->json, input))
    return llm_splice(decoder->json, &block->start, "input", input, err);
  decoder->cut = decoder->broken = 1;
  return 0;
}

static int finish_block(struct anthropic_decoder *decoder, struct mbp_error *err)
{
  struct block *block = &decoder->block;
  int r = 0;
  if (block->has_text)
    r = set_string(decoder, block->kind == KIND_THINKING ? "thinking" : "text", llm_buf_view(&block->text), err);
  if (r == 0 && block->has_signature)
    r = set_string(decoder, "signature", llm_buf_view(&block->signature), err);
  if (r == 0 && block->citations.len)
    r = set_citations(decoder, err);
  if (r == 0 && block->content.len)
    r = llm_splice(decoder->json, &block->start, "content", llm_buf_view(&block->content), err);
  if (r == 0 && block->encrypted_content.len)
    r = llm_splice(decoder->json, &block->start, "encrypted_content", llm_buf_view(&block->encrypted_content), err);
  if (r == 0 && (block->kind == KIND_TOOL || block->input.len))
    r = set_input(decoder, err);
  return r;
}

static int is_unsigned(struct anthropic_decoder *decoder)
{
  struct mbp_str signature = {0};
  if (decoder->block.kind != KIND_THINKING || decoder->block.signature.len)
    return 0;
  return !decoder->json->slice(llm_buf_view(&decoder->block.start), "signature", &signature) || signature.len <= 2;
}

static int block_stop(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_error *err)
{
  struct block *block = &decoder->block;
  if (block->kind == KIND_NONE)
    return llm_broken_stream(err, "a block ended that had not begun");
  if (decoder->json->num(decoder->json->get(event, "index"), -1) != decoder->next_index)
    return llm_broken_stream(err, "a block ended with the wrong index");
  decoder->last_is_call = block->kind == KIND_TOOL;
  decoder->cut = is_unsigned(decoder);
  int r = finish_block(decoder, err);
  if (r < 0)
    return r;
  decoder->next_index++;
  decoder->before_last = decoder->content.len;
  if (block->kind != KIND_TEXT || block->text.len) {
    if (decoder->kept++)
      llm_buf_text(&decoder->content, ",");
    llm_buf_str(&decoder->content, llm_buf_view(&block->start));
    decoder->calls += (size_t) decoder->last_is_call;
  }
  block_done(block);
  return decoder->content.failed ? llm_no_memory(err) : 0;
}

/* ---- The message ---------------------------------------------------------------------------------------------- */

static int message_start(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *message = json->get(event, "message");
  if (decoder->started)
    return llm_broken_stream(err, "two messages in one answer");
  if (json->type(message) != MBP_JSON_OBJECT)
    return llm_broken_stream(err, "message_start without a message");
  decoder->started = 1;
  set(&decoder->model, json->str(json->get(message, "model")));
  take_usage(decoder, json->get(message, "usage"));
  return 0;
}

static int message_delta(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_str data)
{
  const struct mbp_json_v1 *json = decoder->json;
  const struct mbp_json *delta = json->get(event, "delta");
  struct mbp_str reason = json->str(json->get(delta, "stop_reason")), details;
  if (reason.len)
    set(&decoder->stop_reason, reason);
  if (json->type(json->get(delta, "stop_details")) == MBP_JSON_OBJECT &&
      json->slice(data, "delta/stop_details", &details))
    set(&decoder->stop_details, details);
  take_usage(decoder, json->get(event, "usage"));
  return 0;
}

static int was_cut_off(const struct anthropic_decoder *decoder)
{
  struct mbp_str reason = llm_buf_view(&decoder->stop_reason);
  return mbp_str_eq(reason, "max_tokens") || mbp_str_eq(reason, "model_context_window_exceeded");
}

static int message_stop(struct anthropic_decoder *decoder, struct mbp_error *err)
{
  if (decoder->block.kind != KIND_NONE)
    return llm_broken_stream(err, "the message ended inside a block");
  if (decoder->stop_reason.len == 0)
    return llm_broken_stream(err, "the message ended without a stop reason");
  if (decoder->cut && was_cut_off(decoder)) {
    decoder->content.len = decoder->before_last;
    decoder->kept--;
    decoder->calls -= (size_t) decoder->last_is_call;
  } else if (decoder->broken) {
    return llm_broken_stream(err, "the input of a tool call is not a JSON object");
  }
  llm_buf_text(&decoder->content, "]");
  if (decoder->content.failed || decoder->stop_reason.failed || decoder->stop_details.failed || decoder->model.failed)
    return llm_no_memory(err);
  decoder->stopped = 1;
  return 1;
}

int anthropic_error_code(struct mbp_str type, uint32_t *ret_flags)
{
  static const struct {
    const char *type;
    int code;
    uint32_t flags;
  } table[] = {
      {"invalid_request_error", MBP_E_INVALID, 0},
      {"authentication_error", MBP_E_AUTH, 0},
      {"billing_error", MBP_E_BILLING, 0},
      {"permission_error", MBP_E_PERMISSION, 0},
      {"not_found_error", MBP_E_NOT_FOUND, 0},
      {"conflict_error", MBP_E_CONFLICT, MBP_ERR_RETRYABLE},
      {"request_too_large", MBP_E_LIMIT, 0},
      {"rate_limit_error", MBP_E_RATE, MBP_ERR_RETRYABLE},
      {"api_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE},
      {"timeout_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE},
      {"overloaded_error", MBP_E_OVERLOADED, MBP_ERR_RETRYABLE},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
    if (mbp_str_eq(type, table[i].type)) {
      *ret_flags = table[i].flags;
      return table[i].code;
    }
  return 0;
}

static int in_stream_error(struct anthropic_decoder *decoder, const struct mbp_json *event, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct mbp_str type = json->str(json->get(json->get(event, "error"), "type"));
  struct mbp_str message = llm_error_text(json, event);
  uint32_t flags = MBP_ERR_RETRYABLE;
  int code = anthropic_error_code(type, &flags);
  if (code == 0)
    code = MBP_E_UPSTREAM;
  int len = message.len < 300 ? (int) message.len : 300;
  (void) llm_error(err, code, "the service broke off: %.*s%s%.*s", type.len < 60 ? (int) type.len : 60, type.ptr,
                   type.len && len ? ": " : "", len, len ? message.ptr : "");
  if (err)
    err->flags = flags;
  return -code;
}

/* ---- Short cut ------------------------------------------------------------------------------------------------ */

static int skip(struct mbp_str *text, const char *prefix)
{
  size_t n = strlen(prefix);
  if (text->len < n || memcmp(text->ptr, prefix, n) != 0)
    return 0;
  *text = mbp_str_n(text->ptr + n, text->len - n);
  return 1;
}

/* Nearly all events are text deltas, written by the service in one way. In that very form, without an escape, the text
 * is taken as it stands; only the string itself is parsed, which checks it. 0: anything else, for the long way. */
static int plain_text_delta(const struct anthropic_decoder *decoder, struct mbp_str data, struct mbp_str *ret_quoted)
{
  int64_t index = 0;
  if (decoder->block.kind != KIND_TEXT || !skip(&data, "{\"type\":\"content_block_delta\",\"index\":"))
    return 0;
  const char *digits = data.ptr;
  for (; data.len && *data.ptr >= '0' && *data.ptr <= '9' && index < 100000; data.ptr++, data.len--)
    index = 10 * index + (*data.ptr - '0');
  if (data.ptr == digits || (*digits == '0' && data.ptr > digits + 1) || index != decoder->next_index ||
      !skip(&data, ",\"delta\":{\"type\":\"text_delta\",\"text\":\""))
    return 0;
  const char *end = memchr(data.ptr, '"', data.len);
  if (!end || memchr(data.ptr, '\\', (size_t) (end - data.ptr)))
    return 0;
  *ret_quoted = mbp_str_n(data.ptr - 1, (size_t) (end - data.ptr) + 2);
  data = mbp_str_n(end + 1, data.len - (size_t) (end - data.ptr) - 1);
  return skip(&data, "}}") && llm_is_blank(data);
}

int anthropic_decoder_feed(struct anthropic_decoder *decoder, struct mbp_str name, struct mbp_str data,
                           struct mbp_error *err)
{
  const struct mbp_json_v1 *json = decoder->json;
  struct mbp_json *event = NULL;
  struct mbp_str quoted;
  if (mbp_str_eq(name, "ping"))
    return 0;
  if (decoder->stopped)
    return 1;
  if (plain_text_delta(decoder, data, &quoted) && json->parse(quoted, &event, err) == 0) {
    int taken = take_text(decoder, json->str(event), MBP_EV_LLM_TEXT, err);
    json->free(event);
    return taken;
  }
  int r = json->parse(data, &event, err);
  if (r < 0)
    return r == -MBP_E_NO_MEMORY ? r : llm_broken_stream(err, "an event that is not JSON");
  struct mbp_str type = json->str(json->get(event, "type"));
  if (type.len == 0)
    type = name;
  int of_message = mbp_str_eq(type, "message_delta") || mbp_str_eq(type, "message_stop");
  int of_block = mbp_str_eq(type, "content_block_start") || mbp_str_eq(type, "content_block_delta") ||
                 mbp_str_eq(type, "content_block_stop");
  if ((of_message || of_block) && !decoder->started)
    r = llm_broken_stream(err, "it did not begin with message_start");
  else if (mbp_str_eq(type, "content_block_delta"))
    r = block_delta(decoder, event, data, err);
  else if (mbp_str_eq(type, "content_block_start"))
    r = block_start(decoder, event, data, err);
  else if (mbp_str_eq(type, "content_block_stop"))
    r = block_stop(decoder, event, err);
  else if (mbp_str_eq(type, "message_start"))
    r = message_start(decoder, event, err);
  else if (mbp_str_eq(type, "message_delta"))
    r = message_delta(decoder, event, data);
  else if (mbp_str_eq(type, "message_stop"))
    r = message_stop(decoder, err);
  else if (mbp_str_eq(type, "error"))
    r = in_stream_error(decoder, event, err);
  json->free(event);
  return r;
}

static uint32_t stop_of(const struct anthropic_decoder *decoder)
{
  static const struct {
    const char *reason;
    uint32_t stop;
  } table[] = {
      {"end_turn", MBP_STOP_END_TURN},
      {"tool_use", MBP_STOP_TOOL_USE},
      {"max_tokens", MBP_STOP_MAX_TOKENS},
      {"stop_sequence", MBP_STOP_SEQUENCE},
      {"pause_turn", MBP_STOP_PAUSE},
      {"compaction", MBP_STOP_PAUSE},
      {"refusal", MBP_STOP_REFUSAL},
      {"model_context_window_exceeded", MBP_STOP_CONTEXT},
  };
  uint32_t stop = MBP_STOP_END_TURN;
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
    if (mbp_str_eq(llm_buf_view(&decoder->stop_reason), table[i].reason))
      stop = table[i].stop;
  if (stop == MBP_STOP_REFUSAL)
    return stop;
  if (decoder->calls)
    return MBP_STOP_TOOL_USE;
  return stop == MBP_STOP_TOOL_USE ? MBP_STOP_END_TURN : stop;
}

int anthropic_decoder_answer(struct anthropic_decoder *decoder, struct mbp_llm_response *ret_response,
                             struct mbp_error *err)
{
  if (!decoder->stopped)
    return llm_error_retry(err, MBP_E_NETWORK, "the service's answer ended early");
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
