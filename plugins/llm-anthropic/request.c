#include "request.h"

#include <stdio.h>

#define MAX_MARKS 4

static const char cache_mark[] = "{\"type\":\"ephemeral\"}";

/* Model parameters that go through by their name. */
static const char *const passed[] = {
    "thinking",     "output_config", "stop_sequences", "tool_choice",   "metadata",  "service_tier",
    "speed",        "inference_geo", "container",      "cache_control", "compaction", "context_management",
    "diagnostics",  "fallbacks",     NULL,
};
/* Parameters of older versions of the API. */
static const char *const sampling[] = {"temperature", "top_p", "top_k", NULL};

struct writing {
  const struct mbp_json_v1 *json;
  const struct mbp_llm_request *request;
  const struct anthropic_options *options;
  struct llm_buf *body;
  int marks; /* left */
};

static int add_quoted(struct writing *w, struct mbp_str text, struct mbp_error *err)
{
  return llm_quote(w->json, text, w->body, err);
}

/* The entry of the list, or NULL. */
static const char *is_in(struct mbp_str name, const char *const *names)
{
  for (; *names; names++)
    if (mbp_str_eq(name, *names))
      return *names;
  return NULL;
}

/* ---- Model parameters ----------------------------------------------------------------------------------------- */

static int check_params(struct writing *w, const struct mbp_json *params, struct mbp_error *err)
{
  static const char *const own[] = {"max_tokens", "effort", NULL};
  const char *known[32];
  size_t n = 0;
  if (w->json->type(params) != MBP_JSON_OBJECT)
    return llm_error(err, MBP_E_INVALID, "model parameters must be a JSON object");
  for (const char *const *p = own; *p; p++)
    known[n++] = *p;
  for (const char *const *p = passed; *p; p++)
    known[n++] = *p;
  for (const char *const *p = sampling; *p; p++)
    known[n++] = *p;
  known[n] = NULL;
  for (const char *const *p = sampling; *p; p++)
    if (w->json->get(params, *p) && !w->options->sampling)
      return llm_error(
          err, MBP_E_INVALID,
          "model parameter \"%s\" does not exist any more in this version of the Messages API: leave it out, "
          "or set the option version to 2023-06-01 for an older model",
          *p);
  int r = llm_check_members(w->json, params, known, "model parameter", err);
  if (r == 0 && w->json->get(params, "effort") && w->json->get(w->json->get(params, "output_config"), "effort"))
    return llm_error(err, MBP_E_INVALID, "model parameters give the effort twice: \"effort\" and \"output_config\"");
  return r;
}

/* effort is "high" or {"type":"high"}; it belongs into output_config. */
static int add_effort(struct writing *w, const struct mbp_json *params, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  const struct mbp_json *effort = json->get(params, "effort");
  struct mbp_str level = json->str(json->type(effort) == MBP_JSON_OBJECT ? json->get(effort, "type") : effort), raw;
  llm_autobuf config = {0}, quoted = {0};
  if (level.len == 0)
    return llm_error(err, MBP_E_INVALID, "model parameter \"effort\" must be a level such as \"high\"");
  llm_buf_text(&config, "{}");
  if (json->slice(w->request->params, "output_config", &raw)) {
    llm_buf_clear(&config);
    llm_buf_str(&config, raw);
  }
  int r = llm_quote(json, level, &quoted, err);
  if (r == 0)
    r = llm_splice(json, &config, "effort", llm_buf_view(&quoted), err);
  llm_buf_text(w->body, ",\"output_config\":");
  llm_buf_str(w->body, llm_buf_view(&config));
  return r;
}

static int add_params(struct writing *w, const struct mbp_json *params, struct mbp_error *err)
{
  int has_effort = w->json->get(params, "effort") != NULL;
  for (const struct mbp_json *member = w->json->first(params); member; member = w->json->next(member)) {
    struct mbp_str value;
    const char *key = is_in(w->json->key(member), passed);
    if (!key)
      key = is_in(w->json->key(member), sampling);
    if (!key || (has_effort && strcmp(key, "output_config") == 0) || w->json->type(member) == MBP_JSON_NULL)
      continue;
    if (!w->json->slice(w->request->params, key, &value))
      return llm_error(err, MBP_E_INVALID, "model parameter \"%s\" cannot be read", key);
    if (strcmp(key, "cache_control") == 0)
      w->marks--; /* the service sets that one itself */
    llm_buf_text(w->body, ",\"");
    llm_buf_text(w->body, key);
    llm_buf_text(w->body, "\":");
    llm_buf_str(w->body, value);
  }
  return has_effort ? add_effort(w, params, err) : 0;
}

static int add_max_tokens(struct writing *w, const struct mbp_json *params, struct mbp_error *err)
{
  const struct mbp_json *given = w->json->get(params, "max_tokens");
  int64_t n = w->request->max_tokens;
  if (w->json->type(given) && (n = w->json->num(given, -1)) < 0)
    return llm_error(err, MBP_E_INVALID, "model parameter \"max_tokens\" must be a whole number");
  if (w->request->max_tokens)
    n = w->request->max_tokens;
  if (!w->request->max_tokens && !w->json->type(given))
    n = w->options->max_tokens;
  llm_buf_printf(w->body, ",\"max_tokens\":%lld,\"stream\":true", (long long) n);
  return 0;
}

/* ---- System and tools ----------------------------------------------------------------------------------------- */

static int add_system(struct writing *w, struct mbp_error *err)
{
  if (w->request->system.len == 0)
    return 0;
  llm_buf_text(w->body, ",\"system\":[{\"type\":\"text\",\"text\":");
  int r = add_quoted(w, w->request->system, err);
  if (w->options->cache && w->marks > 0 && !llm_is_blank(w->request->system)) {
    llm_buf_text(w->body, ",\"cache_control\":");
    llm_buf_text(w->body, cache_mark);
    w->marks--;
  }
  llm_buf_text(w->body, "}]");
  return r;
}

static int add_tools(struct writing *w, struct mbp_error *err)
{
  const struct mbp_llm_request *request = w->request;
  int r = 0;
  if (request->n_tools == 0)
    return 0;
  llm_buf_text(w->body, ",\"tools\":[");
  for (size_t i = 0; i < request->n_tools && r == 0; i++) {
    const struct mbp_tool *tool = &request->tools[i];
    llm_buf_text(w->body, i ? ",{\"name\":" : "{\"name\":");
    r = add_quoted(w, tool->name, err);
    if (r == 0 && tool->description.len) {
      llm_buf_text(w->body, ",\"description\":");
      r = add_quoted(w, tool->description, err);
    }
    llm_buf_text(w->body, ",\"input_schema\":");
    if (tool->input_schema.len)
      llm_buf_str(w->body, tool->input_schema);
    else
      llm_buf_text(w->body, "{\"type\":\"object\"}");
    /* The system prompt's mark covers the tools, which come before it. */
    if (i + 1 == request->n_tools && request->system.len == 0 && w->options->cache && w->marks > 0) {
      llm_buf_text(w->body, ",\"cache_control\":");
      llm_buf_text(w->body, cache_mark);
      w->marks--;
    }
    llm_buf_text(w->body, "}");
  }
  llm_buf_text(w->body, "]");
  return r;
}

/* ---- Messages ------------------------------------------------------------------------------------------------- */

static int can_carry_mark(const struct mbp_json_v1 *json, const struct mbp_json *block)
{
  static const char *const types[] = {"image", "document", "search_result", "tool_use", "tool_result", NULL};
  struct mbp_str type = json->str(json->get(block, "type"));
  if (json->get(block, "cache_control"))
    return 0;
  if (mbp_str_eq(type, "text"))
    return !llm_is_blank(json->str(json->get(block, "text")));
  return is_in(type, types) != NULL;
}

/* Offset of the closing brace of the block that takes the mark; 0: no block can. */
static size_t mark_place(const struct mbp_json_v1 *json, struct mbp_str content)
{
  struct mbp_error ignored = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_json *document = NULL;
  struct mbp_str block;
  long last = -1, i = 0;
  char path[24];
  if (json->parse(content, &document, &ignored) < 0)
    return 0;
  if (json->type(document) == MBP_JSON_ARRAY)
    for (const struct mbp_json *at = json->first(document); at; at = json->next(at), i++)
      if (can_carry_mark(json, at))
        last = i;
  json->free(document);
  if (last < 0)
    return 0;
  (void) snprintf(path, sizeof(path), "%ld", last);
  return json->slice(content, path, &block) ? (size_t) (block.ptr - content.ptr) + block.len - 1 : 0;
}

/* The first message that gets a mark: as many from the end as marks are left. */
static size_t first_marked(const struct writing *w)
{
  int left = w->options->cache ? w->marks : 0;
  size_t at = w->request->n_messages, first = at;
  while (left > 0 && at > 0)
    if (w->request->messages[--at].flags & MBP_MESSAGE_CACHE) {
      first = at;
      left--;
    }
  return first;
}

static void add_message(struct writing *w, const struct mbp_message *message, int marked)
{
  struct mbp_str content = message->content;
  size_t place = marked ? mark_place(w->json, content) : 0;
  llm_buf_text(w->body, message->role == MBP_ROLE_ASSISTANT ? "{\"role\":\"assistant\",\"content\":"
                                                            : "{\"role\":\"user\",\"content\":");
  llm_buf_add(w->body, content.ptr, place);
  if (place) {
    llm_buf_text(w->body, ",\"cache_control\":");
    llm_buf_text(w->body, cache_mark);
  }
  llm_buf_add(w->body, content.ptr + place, content.len - place);
  llm_buf_text(w->body, "}");
}

static int add_messages(struct writing *w, struct mbp_error *err)
{
  size_t first = first_marked(w);
  llm_buf_text(w->body, ",\"messages\":[");
  for (size_t i = 0; i < w->request->n_messages; i++) {
    const struct mbp_message *message = &w->request->messages[i];
    if (message->content.len == 0)
      return llm_error(err, MBP_E_INVALID, "message %zu is empty", i);
    if (i)
      llm_buf_text(w->body, ",");
    add_message(w, message, i >= first && message->flags & MBP_MESSAGE_CACHE);
  }
  llm_buf_text(w->body, "]}");
  return 0;
}

/* About what the body will be: a long history is copied once, and not each time that a buffer doubles. */
static size_t size_of(const struct mbp_llm_request *request)
{
  size_t size = 1024 + request->system.len + request->system.len / 8 + request->params.len;
  for (size_t i = 0; i < request->n_tools; i++)
    size += 128 + request->tools[i].description.len + request->tools[i].input_schema.len;
  for (size_t i = 0; i < request->n_messages; i++)
    size += 64 + request->messages[i].content.len;
  return size;
}

int anthropic_request_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                            const struct anthropic_options *options, struct llm_buf *ret_body, struct mbp_error *err)
{
  struct writing w = {.json = json, .request = request, .options = options, .body = ret_body, .marks = MAX_MARKS};
  struct mbp_json *params = NULL;
  int r = 0;
  if (request->model.len == 0)
    return llm_error(err, MBP_E_INVALID, "no model is given");
  if (request->n_messages == 0)
    return llm_error(err, MBP_E_INVALID, "the request holds no message");
  if (request->params.len && (r = json->parse(request->params, &params, err)) == 0)
    r = check_params(&w, params, err);
  if (r < 0)
    goto out;
  llm_buf_reserve(ret_body, size_of(request));
  llm_buf_text(ret_body, "{\"model\":");
  r = add_quoted(&w, request->model, err);
  if (r == 0 && !options->count)
    r = add_max_tokens(&w, params, err);
  if (r == 0)
    r = add_params(&w, params, err);
  if (r == 0)
    r = add_tools(&w, err);
  if (r == 0)
    r = add_system(&w, err);
  if (r == 0)
    r = add_messages(&w, err);
  if (r == 0 && ret_body->failed)
    r = llm_no_memory(err);
out:
  json->free(params);
  return r;
}
