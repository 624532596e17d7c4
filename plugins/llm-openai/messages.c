#include "messages.h"

#include "decoder.h"
#include "names.h"

#include <stdio.h>

struct writing {
  const struct mbp_json_v1 *json;
  const struct mbp_llm_request *request;
  const struct openai_options *options;
  struct llm_buf *body;
};

/* The user message in the making: what a run of user messages holds besides tool results. */
struct user {
  struct llm_buf text;   /* all texts, if there is nothing else */
  struct llm_buf images; /* parts of tool results, comma-joined */
  struct llm_buf parts;  /* own parts, comma-joined, texts included */
  int rich;              /* something besides text */
};

static int quote(struct writing *w, struct mbp_str text, struct llm_buf *buf, struct mbp_error *err)
{
  return llm_quote(w->json, text, buf, err);
}

static void begin_message(struct writing *w, const char *role)
{
  llm_buf_text(w->body, "{\"role\":\"");
  llm_buf_text(w->body, role);
  llm_buf_text(w->body, "\"");
}

/* Each ends with a comma, so that what was written can be written again without looking at what stands around it. */
static void end_message(struct writing *w)
{
  llm_buf_text(w->body, "},");
}

static struct mbp_str type_of(struct writing *w, const struct mbp_json *block)
{
  return w->json->str(w->json->get(block, "type"));
}

/* ---- Parts of user messages ----------------------------------------------------------------------------------- */

static int text_part(struct writing *w, struct mbp_str text, struct llm_buf *parts, struct mbp_error *err)
{
  llm_buf_text(parts, parts->len ? ",{\"type\":\"text\",\"text\":" : "{\"type\":\"text\",\"text\":");
  int r = quote(w, text, parts, err);
  llm_buf_text(parts, "}");
  return r;
}

static void add_data_url(struct writing *w, const struct mbp_json *source, struct llm_buf *url)
{
  llm_buf_text(url, "data:");
  llm_buf_str(url, w->json->str(w->json->get(source, "media_type")));
  llm_buf_text(url, ";base64,");
  llm_buf_str(url, w->json->str(w->json->get(source, "data")));
}

static int image_part(struct writing *w, const struct mbp_json *block, struct llm_buf *parts, struct mbp_error *err)
{
  const struct mbp_json *source = w->json->get(block, "source");
  llm_autobuf url = {0};
  if (mbp_str_eq(type_of(w, source), "base64"))
    add_data_url(w, source, &url);
  else if (mbp_str_eq(type_of(w, source), "url"))
    llm_buf_str(&url, w->json->str(w->json->get(source, "url")));
  else
    return llm_error(err, MBP_E_UNSUPPORTED, "this provider takes images as base64 data or URLs only");
  llm_buf_text(parts, parts->len ? ",{\"type\":\"image_url\",\"image_url\":{\"url\":"
                                 : "{\"type\":\"image_url\",\"image_url\":{\"url\":");
  int r = url.failed ? llm_no_memory(err) : quote(w, llm_buf_view(&url), parts, err);
  llm_buf_text(parts, "}}");
  return r;
}

static int document_part(struct writing *w, const struct mbp_json *block, struct user *user, struct mbp_error *err)
{
  const struct mbp_json *source = w->json->get(block, "source");
  llm_autobuf url = {0};
  if (mbp_str_eq(type_of(w, source), "text"))
    return text_part(w, w->json->str(w->json->get(source, "data")), &user->parts, err);
  if (!mbp_str_eq(type_of(w, source), "base64"))
    return llm_error(err, MBP_E_UNSUPPORTED, "this provider takes documents as text or base64 data only");
  add_data_url(w, source, &url);
  llm_buf_text(&user->parts, user->parts.len ? "," : "");
  llm_buf_text(&user->parts, "{\"type\":\"file\",\"file\":{\"filename\":\"document.pdf\",\"file_data\":");
  int r = url.failed ? llm_no_memory(err) : quote(w, llm_buf_view(&url), &user->parts, err);
  llm_buf_text(&user->parts, "}}");
  return r;
}

/* ---- Tool results --------------------------------------------------------------------------------------------- */

static int result_content(struct writing *w, const struct mbp_json *content, struct mbp_str id, struct llm_buf *text,
                          struct user *user, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  int r = 0, images = 0;
  llm_buf_str(text, json->str(content));
  if (json->type(content) != MBP_JSON_ARRAY)
    return 0;
  for (const struct mbp_json *block = json->first(content); block && r == 0; block = json->next(block)) {
    if (mbp_str_eq(type_of(w, block), "text")) {
      llm_buf_text(text, text->len ? "\n" : "");
      llm_buf_str(text, json->str(json->get(block, "text")));
    } else if (mbp_str_eq(type_of(w, block), "image")) {
      llm_autobuf label = {0};
      llm_buf_text(&label, "Image of tool result ");
      llm_buf_str(&label, id);
      if (images++ == 0 && (r = text_part(w, llm_buf_view(&label), &user->images, err)) < 0)
        return r;
      r = image_part(w, block, &user->images, err);
      user->rich = 1;
    }
  }
  if (images && llm_is_blank(llm_buf_view(text)))
    llm_buf_text(text, "(see the image that follows)");
  return r;
}

static int tool_message(struct writing *w, const struct mbp_json *block, struct user *user, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  struct mbp_str id = json->str(json->get(block, "tool_use_id"));
  llm_autobuf text = {0}, result = {0};
  int r = result_content(w, json->get(block, "content"), id, &result, user, err);
  if (json->truth(json->get(block, "is_error"), 0) && !(result.len >= 5 && memcmp(result.ptr, "Error", 5) == 0))
    llm_buf_text(&text, "Error: ");
  llm_buf_str(&text, llm_buf_view(&result));
  begin_message(w, "tool");
  llm_buf_text(w->body, ",\"tool_call_id\":");
  if (r == 0)
    r = quote(w, id, w->body, err);
  llm_buf_text(w->body, ",\"content\":");
  if (r == 0)
    r = quote(w, llm_buf_view(&text), w->body, err);
  end_message(w);
  return r == 0 && (text.failed || result.failed) ? llm_no_memory(err) : r;
}

/* ---- Messages ------------------------------------------------------------------------------------------------- */

static int user_block(struct writing *w, const struct mbp_json *block, struct user *user, struct mbp_error *err)
{
  struct mbp_str type = type_of(w, block);
  if (mbp_str_eq(type, "tool_result"))
    return tool_message(w, block, user, err);
  if (mbp_str_eq(type, "text")) {
    struct mbp_str text = w->json->str(w->json->get(block, "text"));
    llm_buf_text(&user->text, user->text.len ? "\n\n" : "");
    llm_buf_str(&user->text, text);
    return text_part(w, text, &user->parts, err);
  }
  if (mbp_str_eq(type, "image")) {
    user->rich = 1;
    return image_part(w, block, &user->parts, err);
  }
  if (mbp_str_eq(type, "document")) {
    user->rich = 1;
    return document_part(w, block, user, err);
  }
  return 0; /* another provider's */
}

static int parse_content(struct writing *w, size_t i, struct mbp_json **ret_content, struct mbp_error *err)
{
  int r = w->json->parse(w->request->messages[i].content, ret_content, err);
  if (r == 0 && w->json->type(*ret_content) != MBP_JSON_ARRAY)
    return llm_error(err, MBP_E_INVALID, "message %zu is not an array of blocks", i);
  return r;
}

static int end_user(struct writing *w, struct user *user, struct mbp_error *err)
{
  int r = 0;
  if (user->parts.len == 0 && user->images.len == 0)
    return 0;
  begin_message(w, "user");
  llm_buf_text(w->body, ",\"content\":");
  if (user->rich) {
    llm_buf_text(w->body, "[");
    llm_buf_str(w->body, llm_buf_view(&user->images));
    llm_buf_text(w->body, user->images.len && user->parts.len ? "," : "");
    llm_buf_str(w->body, llm_buf_view(&user->parts));
    llm_buf_text(w->body, "]");
  } else {
    r = quote(w, llm_buf_view(&user->text), w->body, err);
  }
  end_message(w);
  return r == 0 && (user->text.failed || user->images.failed || user->parts.failed) ? llm_no_memory(err) : r;
}

/* Messages i to n-1 are the user's. Tool results come first: they must follow the calls. */
static int user_run(struct writing *w, size_t i, size_t n, struct mbp_error *err)
{
  struct user user = {0};
  int r = 0;
  for (; i < n && r == 0; i++) {
    struct mbp_json *content = NULL;
    r = parse_content(w, i, &content, err);
    for (const struct mbp_json *block = r == 0 ? w->json->first(content) : NULL; block && r == 0;
         block = w->json->next(block))
      r = user_block(w, block, &user, err);
    w->json->free(content);
  }
  if (r == 0)
    r = end_user(w, &user, err);
  llm_buf_done(&user.text);
  llm_buf_done(&user.images);
  llm_buf_done(&user.parts);
  return r;
}

/* The opaque block that belongs to a call: extra_content of some servers. */
static int find_extra(struct writing *w, const struct mbp_json *content, struct mbp_str id)
{
  int i = 0;
  for (const struct mbp_json *block = w->json->first(content); block; block = w->json->next(block), i++) {
    struct mbp_str other = w->json->str(w->json->get(block, "id"));
    if (mbp_str_eq(type_of(w, block), OPENAI_CALL_EXTRA) && other.len == id.len &&
        memcmp(other.ptr, id.ptr, id.len) == 0)
      return i;
  }
  return -1;
}

static int add_call(struct writing *w, const struct mbp_json *content, const struct mbp_json *block, size_t i,
                    struct mbp_str text, struct llm_buf *calls, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  struct mbp_str id = json->str(json->get(block, "id")), input = mbp_str("{}"), extra;
  char name[OPENAI_NAME_CAP], path[48];
  (void) snprintf(path, sizeof(path), "%zu/input", i);
  (void) json->slice(text, path, &input);
  openai_name_out(json->str(json->get(block, "name")), name);
  llm_buf_text(calls, calls->len ? ",{\"id\":" : "{\"id\":");
  int r = quote(w, id, calls, err);
  llm_buf_text(calls, ",\"type\":\"function\",\"function\":{\"name\":\"");
  llm_buf_text(calls, name);
  llm_buf_text(calls, "\",\"arguments\":");
  if (r == 0)
    r = quote(w, input, calls, err);
  llm_buf_text(calls, "}");
  (void) snprintf(path, sizeof(path), "%d/extra_content", find_extra(w, content, id));
  if (path[0] != '-' && json->slice(text, path, &extra)) {
    llm_buf_text(calls, ",\"extra_content\":");
    llm_buf_str(calls, extra);
  }
  llm_buf_text(calls, "}");
  return r;
}

static int add_reasoning(struct writing *w, const struct mbp_json *block, struct llm_buf *reasoning,
                         struct mbp_error *err)
{
  struct mbp_str field = w->json->str(w->json->get(block, "field"));
  if (!w->options->send_reasoning || reasoning->len)
    return 0;
  llm_buf_text(reasoning, mbp_str_eq(field, "reasoning") ? ",\"reasoning\":" : ",\"reasoning_content\":");
  return quote(w, w->json->str(w->json->get(block, "text")), reasoning, err);
}

static int assistant_message(struct writing *w, size_t index, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  struct mbp_json *content = NULL;
  llm_autobuf text = {0}, calls = {0}, reasoning = {0};
  size_t i = 0;
  int r = parse_content(w, index, &content, err);
  for (const struct mbp_json *block = r == 0 ? json->first(content) : NULL; block && r == 0;
       block = json->next(block), i++) {
    struct mbp_str type = type_of(w, block);
    if (mbp_str_eq(type, "text"))
      llm_buf_str(&text, json->str(json->get(block, "text")));
    else if (mbp_str_eq(type, "tool_use"))
      r = add_call(w, content, block, i, w->request->messages[index].content, &calls, err);
    else if (mbp_str_eq(type, OPENAI_REASONING))
      r = add_reasoning(w, block, &reasoning, err);
  }
  json->free(content);
  if (r < 0 || (text.len == 0 && calls.len == 0 && reasoning.len == 0))
    return r; /* nothing that this provider could be told */
  begin_message(w, "assistant");
  llm_buf_text(w->body, ",\"content\":");
  if (text.len || calls.len == 0)
    r = quote(w, llm_buf_view(&text), w->body, err);
  else
    llm_buf_text(w->body, "null");
  llm_buf_str(w->body, llm_buf_view(&reasoning));
  if (calls.len) {
    llm_buf_text(w->body, ",\"tool_calls\":[");
    llm_buf_str(w->body, llm_buf_view(&calls));
    llm_buf_text(w->body, "]");
  }
  end_message(w);
  return r == 0 && (text.failed || calls.failed || reasoning.failed) ? llm_no_memory(err) : r;
}

static int system_message(struct writing *w, struct mbp_error *err)
{
  if (w->request->system.len == 0)
    return 0;
  begin_message(w, w->options->system_role);
  llm_buf_text(w->body, ",\"content\":");
  int r = quote(w, w->request->system, w->body, err);
  end_message(w);
  return r;
}

/* From message `i` on. *ret_n and *ret_end: the messages up to the model's last one, and where they end in the body.
 * What stands behind it may be one message together with what is said next. */
static int messages_from(struct writing *w, size_t i, size_t *ret_n, size_t *ret_end, struct mbp_error *err)
{
  const struct mbp_llm_request *request = w->request;
  int r = 0;
  *ret_n = i;
  *ret_end = w->body->len;
  while (i < request->n_messages && r == 0) {
    size_t end = i + 1;
    if (request->messages[i].role == MBP_ROLE_ASSISTANT) {
      r = assistant_message(w, i, err);
      *ret_n = end;
      *ret_end = w->body->len;
    } else {
      while (end < request->n_messages && request->messages[end].role != MBP_ROLE_ASSISTANT)
        end++;
      r = user_run(w, i, end, err);
    }
    i = end;
  }
  return r;
}

static void drop_last_comma(struct llm_buf *body)
{
  if (body->len && body->ptr[body->len - 1] == ',')
    body->ptr[--body->len] = 0;
}

int openai_messages_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                          const struct openai_options *options, struct llm_buf *body, struct mbp_error *err)
{
  struct writing w = {.json = json, .request = request, .options = options, .body = body};
  struct mbp_str known = {0};
  size_t n = 0, end = 0;
  llm_buf_text(body, ",\"messages\":[");
  int r = system_message(&w, err);
  int ours = r == 0 && openai_history_take(options->history, request, &n, &known);
  llm_buf_reserve(body, known.len + known.len / 8);
  llm_buf_str(body, known);
  size_t from = body->len;
  if (r == 0)
    r = messages_from(&w, n, &n, &end, err);
  if (ours) /* what failed is not known */
    openai_history_give(options->history, request, r == 0 && !body->failed ? n : 0,
                        r == 0 && !body->failed ? mbp_str_n(body->ptr + from, end - from) : mbp_str(""));
  drop_last_comma(body);
  llm_buf_text(body, "]");
  return r;
}
