#include "request.h"

#include "messages.h"
#include "names.h"

/* Model parameters that go through by their name. */
static const char *const passed[] = {
    "temperature",
    "top_p",
    "stop",
    "reasoning_effort",
    "parallel_tool_calls",
    "response_format",
    "seed",
    "metadata",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "prompt_cache_key",
    "service_tier",
    "verbosity",
    "user",
    "store",
    "safety_identifier",
    "prompt_cache_retention",
    NULL,
};
/* Others, and the members of the body that extra_body must not touch. */
static const char *const handled[] = {"max_tokens",     "max_completion_tokens", "effort", "stop_sequences",
                                      "tool_choice", "extra_body",            NULL};
static const char *const reserved[] = {"model", "messages", "tools", "stream", "stream_options", NULL};

struct writing {
  const struct mbp_json_v1 *json;
  const struct mbp_llm_request *request;
  const struct openai_options *options;
  struct llm_buf *body;
  const struct mbp_json *params; /* NULL: none */
};

static const char *is_in(struct mbp_str name, const char *const *names)
{
  for (; *names; names++)
    if (mbp_str_eq(name, *names))
      return *names;
  return NULL;
}

static void add_member(struct writing *w, const char *name, struct mbp_str value)
{
  llm_buf_text(w->body, ",\"");
  llm_buf_text(w->body, name);
  llm_buf_text(w->body, "\":");
  llm_buf_str(w->body, value);
}

static int add_string(struct writing *w, const char *name, struct mbp_str value, struct mbp_error *err)
{
  llm_autobuf quoted = {0};
  int r = llm_quote(w->json, value, &quoted, err);
  if (r == 0)
    add_member(w, name, llm_buf_view(&quoted));
  return r;
}

/* ---- Model parameters ----------------------------------------------------------------------------------------- */

static int check_params(struct writing *w, struct mbp_error *err)
{
  const char *known[40];
  size_t n = 0;
  if (w->json->type(w->params) != MBP_JSON_OBJECT)
    return llm_error(err, MBP_E_INVALID, "model parameters must be a JSON object");
  for (const char *const *p = passed; *p; p++)
    known[n++] = *p;
  for (const char *const *p = handled; *p; p++)
    known[n++] = *p;
  known[n] = NULL;
  for (const struct mbp_json *m = w->json->first(w->params); m; m = w->json->next(m))
    if (mbp_str_eq(w->json->key(m), "top_k") || mbp_str_eq(w->json->key(m), "min_p"))
      return llm_error(err, MBP_E_INVALID,
                       "model parameter \"%.*s\" is not part of Chat Completions; if the server takes it, "
                       "put it into \"extra_body\"",
                       (int) w->json->key(m).len, w->json->key(m).ptr);
  return llm_check_members(w->json, w->params, known, "model parameter", err);
}

static int add_max_tokens(struct writing *w, struct mbp_error *err)
{
  static const char *const fields[] = {"max_tokens", "max_completion_tokens", NULL};
  const char *field = w->options->max_tokens_field;
  int64_t n = w->options->max_tokens;
  for (size_t i = 0; fields[i]; i++) {
    const struct mbp_json *given = w->json->get(w->params, fields[i]);
    if (!w->json->type(given))
      continue;
    if ((n = w->json->num(given, -1)) < 0)
      return llm_error(err, MBP_E_INVALID, "model parameter \"%s\" must be a whole number", fields[i]);
    if (i == 1)
      field = fields[i];
  }
  if (w->request->max_tokens)
    n = w->request->max_tokens;
  if (n > 0)
    llm_buf_printf(w->body, ",\"%s\":%lld", field, (long long) n);
  return 0;
}

/* Canonical {"type":"auto"|"any"|"none"|"tool","name"} or the service's own form. */
static int add_tool_choice(struct writing *w, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  const struct mbp_json *choice = json->get(w->params, "tool_choice");
  struct mbp_str type = json->str(json->type(choice) == MBP_JSON_OBJECT ? json->get(choice, "type") : choice), raw;
  char name[OPENAI_NAME_CAP];
  if (type.len == 0)
    return 0;
  if (json->truth(json->get(choice, "disable_parallel_tool_use"), 0) && !json->get(w->params, "parallel_tool_calls"))
    add_member(w, "parallel_tool_calls", mbp_str("false"));
  if (mbp_str_eq(type, "tool")) {
    openai_name_out(json->str(json->get(choice, "name")), name);
    llm_buf_text(w->body, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"");
    llm_buf_text(w->body, name);
    llm_buf_text(w->body, "\"}}");
    return 0;
  }
  if (mbp_str_eq(type, "any"))
    return add_string(w, "tool_choice", mbp_str("required"), err);
  if (mbp_str_eq(type, "auto") || mbp_str_eq(type, "none") || mbp_str_eq(type, "required"))
    return add_string(w, "tool_choice", type, err);
  if (!json->slice(w->request->params, "tool_choice", &raw))
    return llm_error(err, MBP_E_INVALID, "model parameter \"tool_choice\" cannot be read");
  add_member(w, "tool_choice", raw);
  return 0;
}

static int add_effort(struct writing *w, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  const struct mbp_json *effort = json->get(w->params, "effort");
  struct mbp_str level = json->str(json->type(effort) == MBP_JSON_OBJECT ? json->get(effort, "type") : effort);
  if (!effort || json->get(w->params, "reasoning_effort"))
    return 0;
  if (level.len == 0)
    return llm_error(err, MBP_E_INVALID, "model parameter \"effort\" must be a level such as \"high\"");
  return add_string(w, "reasoning_effort", level, err);
}

/* Members for servers that know more than the API. */
static int add_extra_body(struct writing *w, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  const struct mbp_json *extra = json->get(w->params, "extra_body");
  struct mbp_str raw;
  if (!extra)
    return 0;
  if (json->type(extra) != MBP_JSON_OBJECT || !json->slice(w->request->params, "extra_body", &raw))
    return llm_error(err, MBP_E_INVALID, "model parameter \"extra_body\" must be an object");
  for (const struct mbp_json *m = json->first(extra); m; m = json->next(m)) {
    struct mbp_str key = json->key(m);
    if (is_in(key, reserved) || is_in(key, passed) || is_in(key, handled))
      return llm_error(err, MBP_E_INVALID, "model parameter \"extra_body\" must not hold \"%.*s\"",
                       key.len < 60 ? (int) key.len : 60, key.ptr);
  }
  if (json->count(extra)) {
    llm_buf_text(w->body, ",");
    llm_buf_add(w->body, raw.ptr + 1, raw.len - 2); /* without the braces */
  }
  return 0;
}

static int add_params(struct writing *w, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = w->json;
  struct mbp_str value;
  for (const struct mbp_json *m = json->first(w->params); m; m = json->next(m)) {
    const char *key = is_in(json->key(m), passed);
    if (key && json->type(m) != MBP_JSON_NULL && json->slice(w->request->params, key, &value))
      add_member(w, key, value);
  }
  if (json->get(w->params, "stop_sequences") && !json->get(w->params, "stop") &&
      json->slice(w->request->params, "stop_sequences", &value))
    add_member(w, "stop", value);
  int r = add_effort(w, err);
  if (r == 0 && w->request->n_tools)
    r = add_tool_choice(w, err);
  return r == 0 ? add_extra_body(w, err) : r;
}

/* ---- Tools ---------------------------------------------------------------------------------------------------- */

/* The service refuses an object schema without properties. */
static int add_schema(struct writing *w, struct mbp_str schema, struct mbp_error *err)
{
  struct mbp_json *document = NULL;
  llm_autobuf text = {0};
  int r;
  llm_buf_str(&text, schema.len ? schema : mbp_str("{\"type\":\"object\"}"));
  if ((r = w->json->parse(llm_buf_view(&text), &document, err)) < 0)
    return r;
  if (mbp_str_eq(w->json->str(w->json->get(document, "type")), "object") && !w->json->get(document, "properties"))
    r = llm_splice(w->json, &text, "properties", mbp_str("{}"), err);
  w->json->free(document);
  llm_buf_str(w->body, llm_buf_view(&text));
  return r;
}

static int add_tools(struct writing *w, struct mbp_error *err)
{
  int r = 0;
  if (w->request->n_tools == 0)
    return 0;
  llm_buf_text(w->body, ",\"tools\":[");
  for (size_t i = 0; i < w->request->n_tools && r == 0; i++) {
    const struct mbp_tool *tool = &w->request->tools[i];
    char name[OPENAI_NAME_CAP];
    openai_name_out(tool->name, name);
    llm_buf_text(w->body, i ? "," : "");
    llm_buf_text(w->body, "{\"type\":\"function\",\"function\":{\"name\":\"");
    llm_buf_text(w->body, name);
    llm_buf_text(w->body, "\"");
    if (tool->description.len)
      r = add_string(w, "description", tool->description, err);
    llm_buf_text(w->body, ",\"parameters\":");
    if (r == 0)
      r = add_schema(w, tool->input_schema, err);
    llm_buf_text(w->body, "}}");
  }
  llm_buf_text(w->body, "]");
  return r;
}

int openai_request_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                         const struct openai_options *options, struct llm_buf *ret_body, struct mbp_error *err)
{
  struct writing w = {.json = json, .request = request, .options = options, .body = ret_body};
  struct mbp_json *params = NULL;
  int r = 0;
  if (request->model.len == 0)
    return llm_error(err, MBP_E_INVALID, "no model is given");
  if (request->n_messages == 0)
    return llm_error(err, MBP_E_INVALID, "the request holds no message");
  if (request->params.len && (r = json->parse(request->params, &params, err)) == 0) {
    w.params = params;
    r = check_params(&w, err);
  }
  if (r < 0)
    goto out;
  llm_buf_text(ret_body, "{\"model\":");
  r = llm_quote(json, request->model, ret_body, err);
  llm_buf_text(ret_body, options->stream_usage ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
                                               : ",\"stream\":true");
  if (r == 0)
    r = add_max_tokens(&w, err);
  if (r == 0)
    r = add_params(&w, err);
  if (r == 0)
    r = add_tools(&w, err);
  if (r == 0)
    r = openai_messages_write(json, request, options, ret_body, err);
  llm_buf_text(ret_body, "}");
  if (r == 0 && ret_body->failed)
    r = llm_no_memory(err);
out:
  json->free(params);
  return r;
}
