#include "play.h"

#define DEFAULT_CHUNK 24

void play_done(struct play *play)
{
  llm_buf_done(&play->content);
}

static int take_a_while(struct play *play, int64_t ms, struct mbp_error *err)
{
  if (ms > 0 && play->wait && play->wait(play->wait_ctx, ms) < 0)
    return llm_error(err, MBP_E_CANCELLED, "the request was stopped");
  return 0;
}

static int add_block(struct play *play, struct mbp_str block, struct mbp_error *err)
{
  if (play->content.len + block.len > LLM_MAX_RESPONSE)
    return llm_error(err, MBP_E_LIMIT, "the reply is larger than %zu MiB", LLM_MAX_RESPONSE >> 20);
  llm_buf_text(&play->content, play->n_blocks++ ? "," : "[");
  llm_buf_str(&play->content, block);
  return play->content.failed ? llm_no_memory(err) : 0;
}

/* Bytes of the first n characters. */
static size_t characters(struct mbp_str text, int64_t n)
{
  size_t at = 0;
  while (at < text.len && n-- > 0)
    for (at++; at < text.len && ((unsigned char) text.ptr[at] & 0xc0) == 0x80;)
      at++;
  return at;
}

int play_text(struct play *play, uint32_t event, struct mbp_str text, int64_t chunk, int64_t pace_ms,
              struct mbp_error *err)
{
  llm_autobuf block = {0};
  int r = 0;
  for (struct mbp_str rest = text; rest.len && r == 0;) {
    struct mbp_str piece = mbp_str_n(rest.ptr, characters(rest, chunk > 0 ? chunk : DEFAULT_CHUNK));
    r = llm_emit(&play->out, event, play->n_blocks, mbp_str(""), piece, err);
    rest = mbp_str_n(rest.ptr + piece.len, rest.len - piece.len);
    if (r == 0 && rest.len)
      r = take_a_while(play, pace_ms, err);
  }
  if (r < 0)
    return r;
  llm_buf_text(&block,
               event == MBP_EV_LLM_TEXT ? "{\"type\":\"text\",\"text\":" : "{\"type\":\"thinking\",\"thinking\":");
  r = llm_quote(play->json, text, &block, err);
  llm_buf_text(&block, event == MBP_EV_LLM_TEXT ? "}" : ",\"signature\":\"scripted\"}");
  if (r == 0 && block.failed)
    r = llm_no_memory(err);
  return r < 0 ? r : add_block(play, llm_buf_view(&block), err);
}

int play_call(struct play *play, struct mbp_str name, struct mbp_str id, struct mbp_str input, struct mbp_error *err)
{
  llm_autobuf made = {0}, block = {0};
  if (id.len == 0) {
    llm_buf_printf(&made, "toolu_scripted_%zu_%zu", play->assistants, play->n_calls);
    id = llm_buf_view(&made);
  }
  play->n_calls++;
  int r = llm_emit(&play->out, MBP_EV_LLM_TOOL_START, play->n_blocks, name, id, err);
  if (r == 0)
    r = llm_emit(&play->out, MBP_EV_LLM_TOOL_INPUT, play->n_blocks, mbp_str(""), input, err);
  llm_buf_text(&block, "{\"type\":\"tool_use\",\"id\":");
  if (r == 0)
    r = llm_quote(play->json, id, &block, err);
  llm_buf_text(&block, ",\"name\":");
  if (r == 0)
    r = llm_quote(play->json, name, &block, err);
  llm_buf_text(&block, ",\"input\":");
  llm_buf_str(&block, input);
  llm_buf_text(&block, "}");
  if (r == 0 && (block.failed || made.failed))
    r = llm_no_memory(err);
  return r < 0 ? r : add_block(play, llm_buf_view(&block), err);
}

/* ---- Replies of a script -------------------------------------------------------------------------------------- */

/* What stands between {{ and }} at `mark` is added to `value`: 1; 0 if it is nothing that we know. */
static int mark_value(struct play *play, const char *mark, size_t len, const struct view *view, struct llm_buf *value,
                      struct mbp_error *err)
{
  static const char recall[] = "recall:";
  if (len > sizeof(recall) - 1 && strncmp(mark, recall, sizeof(recall) - 1) == 0) {
    struct mbp_str words = mbp_str_n(mark + sizeof(recall) - 1, len - (sizeof(recall) - 1));
    int r = view_recall(play->json, view, words, value, err);
    return r < 0 ? r : 1;
  }
  struct mbp_str name = mbp_str_n(mark, len);
  if (!mbp_str_eq(name, "user") && !mbp_str_eq(name, "tool_result"))
    return 0;
  llm_buf_str(value, llm_buf_view(mbp_str_eq(name, "user") ? &view->user : &view->result));
  return value->failed ? llm_no_memory(err) : 1;
}

/* {{user}}, {{tool_result}} and {{recall:WORDS}}; inside JSON their text is escaped. */
static int fill_in(struct play *play, const char *from, const struct view *view, int in_json, struct llm_buf *to,
                   struct mbp_error *err)
{
  for (const char *mark; (mark = strstr(from, "{{")) != NULL;) {
    const char *end = strstr(mark, "}}");
    llm_autobuf value = {0}, quoted = {0};
    int known = end ? mark_value(play, mark + 2, (size_t) (end - mark - 2), view, &value, err) : 0;
    if (known < 0)
      return known;
    llm_buf_add(to, from, (size_t) (mark - from) + (known ? 0 : 1));
    from = known ? end + 2 : mark + 1;
    if (known && in_json && llm_quote(play->json, llm_buf_view(&value), &quoted, err) < 0)
      return -MBP_E_NO_MEMORY;
    if (known && in_json)
      llm_buf_str(to, mbp_str_n(quoted.ptr + 1, quoted.len - 2));
    else
      llm_buf_str(to, llm_buf_view(&value));
    if (to->len > LLM_MAX_RESPONSE)
      return llm_error(err, MBP_E_LIMIT, "the reply is larger than %zu MiB", LLM_MAX_RESPONSE >> 20);
  }
  llm_buf_text(to, from);
  return to->failed ? llm_no_memory(err) : 0;
}

static int play_error(struct script_step *step, struct mbp_error *err)
{
  if (step->error.times && atomic_fetch_add(&step->failed, 1) >= step->error.times)
    return 0;
  (void) llm_error(err, step->error.code, "%s", step->text);
  if (err) {
    err->flags = step->error.flags;
    err->upstream_status = step->error.status;
    err->retry_after_ms = step->error.retry_after_ms;
  }
  return -step->error.code;
}

static int play_step(struct play *play, struct script_step *step, const struct view *view, struct mbp_error *err)
{
  llm_autobuf text = {0};
  int r;
  switch (step->kind) {
  case STEP_TEXT:
  case STEP_THINKING:
    r = fill_in(play, step->text, view, 0, &text, err);
    return r < 0 ? r
                 : play_text(play, step->kind == STEP_TEXT ? MBP_EV_LLM_TEXT : MBP_EV_LLM_THINKING, llm_buf_view(&text),
                             step->chunk, step->pace_ms, err);
  case STEP_CALL:
    r = fill_in(play, step->json, view, 1, &text, err);
    return r < 0 ? r : play_call(play, mbp_str(step->name), mbp_str(step->id), llm_buf_view(&text), err);
  case STEP_BLOCK:
    return add_block(play, mbp_str(step->json), err);
  case STEP_DELAY:
    return take_a_while(play, step->delay_ms, err);
  default:
    return play_error(step, err);
  }
}

int play_reply(struct play *play, struct script_reply *reply, const struct view *view, struct mbp_error *err)
{
  int r = 0;
  for (size_t i = 0; i < reply->n_steps && r == 0; i++)
    r = play_step(play, &reply->steps[i], view, err);
  return r;
}

int play_response(struct play *play, const struct script_reply *reply, struct mbp_usage *usage,
                  struct mbp_llm_response *ret_response, struct mbp_error *err)
{
  uint32_t stop = reply ? reply->stop : 0;
  llm_buf_text(&play->content, play->n_blocks ? "]" : "[]");
  if (play->content.failed)
    return llm_no_memory(err);
  if (reply && reply->has_usage)
    *usage = reply->usage;
  else
    usage->output = (int64_t) play->content.len / 4; /* an estimate, and always the same */
  if (stop == 0)
    stop = play->n_calls ? MBP_STOP_TOOL_USE : MBP_STOP_END_TURN;
  const char *details = reply ? reply->stop_details : NULL;
  if (!details && stop == MBP_STOP_REFUSAL)
    details = "{\"type\":\"refusal\",\"category\":null,\"explanation\":null}";
  *ret_response = (struct mbp_llm_response){
      .size = MBP_SIZE(struct mbp_llm_response, usage),
      .stop = stop,
      .content = llm_buf_view(&play->content),
      .stop_details = mbp_str(details),
      .model = mbp_str(reply && reply->model ? reply->model : ""),
      .usage = usage,
  };
  return 0;
}
