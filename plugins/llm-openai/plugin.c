/* Chat Completions as a plugin: configuration, headers and exchanges; the rest is in request.c and decoder.c. */
#include "decoder.h"
#include "request.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DEFAULT_BASE "https://api.openai.com/v1"

struct mbp_instance {
  struct llm_service service;
  int is_default_base;
  struct mbp_str organization, project;
  struct openai_options options;
  atomic_int no_stream_options; /* the server has refused them once */
};

/* ---- Configuration -------------------------------------------------------------------------------------------- */

#define PARAM_SIZE MBP_SIZE(struct mbp_param, help)
static const char *const fields[] = {"auto", "max_tokens", "max_completion_tokens", NULL};
static const char *const roles[] = {"system", "developer", NULL};
static const struct mbp_param param_api_key = {
    .size = PARAM_SIZE, .type = MBP_PARAM_SECRET, .name = "api_key", .env = "OPENAI_API_KEY",
    .help = "API key. Not needed for servers that ask for none, when base_url is set."};
static const struct mbp_param param_base_url = {
    .size = PARAM_SIZE,
    .type = MBP_PARAM_URL,
    .name = "base_url",
    .default_value = DEFAULT_BASE,
    .env = "OPENAI_BASE_URL",
    .help =
        "Where the service is, usually ending in /v1: http://localhost:11434/v1. unix:/PATH speaks to a local socket."};
static const struct mbp_param param_organization = {
    .size = PARAM_SIZE, .type = MBP_PARAM_STRING, .name = "organization", .env = "OPENAI_ORG_ID",
    .help = "Organization to bill (OpenAI-Organization)."};
static const struct mbp_param param_project = {
    .size = PARAM_SIZE, .type = MBP_PARAM_STRING, .name = "project", .env = "OPENAI_PROJECT_ID",
    .help = "Project to bill (OpenAI-Project)."};
static const struct mbp_param param_max_tokens = {
    .size = PARAM_SIZE, .type = MBP_PARAM_INT, .name = "max_tokens", .default_value = "0", .min = 0, .max = 10000000,
    .help = "Longest answer in tokens, where the agent does not say; 0 leaves it to the server."};
static const struct mbp_param param_max_tokens_field = {
    .size = PARAM_SIZE,
    .type = MBP_PARAM_CHOICE,
    .name = "max_tokens_field",
    .default_value = "auto",
    .choices = fields,
    .help = "Name of that limit on the wire. auto: max_completion_tokens for OpenAI, max_tokens for other servers."};
static const struct mbp_param param_system_role = {
    .size = PARAM_SIZE, .type = MBP_PARAM_CHOICE, .name = "system_role", .default_value = "system", .choices = roles,
    .help = "Role of the system prompt."};
static const struct mbp_param param_send_reasoning = {
    .size = PARAM_SIZE, .type = MBP_PARAM_BOOL, .name = "send_reasoning", .default_value = "true",
    .help = "Send back reasoning text that the server gave; some need it within a run of tool calls."};
static const struct mbp_param param_connect_timeout = {
    .size = PARAM_SIZE, .type = MBP_PARAM_DURATION, .name = "connect_timeout", .default_value = "30s", .min = 1,
    .max = 3600000, .help = "How long connecting may take."};
static const struct mbp_param param_idle_timeout = {
    .size = PARAM_SIZE, .type = MBP_PARAM_DURATION, .name = "idle_timeout", .default_value = "10m", .min = 1,
    .max = 86400000, .help = "The longest silence of the service before a request is given up."};
static const struct mbp_param *const params[] = {
    &param_api_key,    &param_base_url,        &param_organization, &param_project,
    &param_max_tokens, &param_max_tokens_field, &param_system_role, &param_send_reasoning,
    &param_connect_timeout, &param_idle_timeout, NULL,
};

static void instance_close(struct mbp_instance *instance)
{
  if (!instance)
    return;
  llm_service_done(&instance->service);
  openai_history_free(instance->options.history);
  free(instance);
}

/* A bare "http://localhost:11434" means its API, which every server has below /v1. */
static int add_default_path(struct llm_endpoint *endpoint, struct mbp_error *err)
{
  const char *host = strstr(endpoint->base, "://");
  if (host && strchr(host + 3, '/'))
    return 0;
  size_t cap = strlen(endpoint->base) + sizeof("/v1");
  char *base = malloc(cap);
  if (!base)
    return llm_no_memory(err);
  (void) snprintf(base, cap, "%s/v1", endpoint->base);
  free(endpoint->base);
  endpoint->base = base;
  return 0;
}

static void read_options(struct mbp_instance *self, const struct mbp_host *host, const struct mbp_config *config)
{
  struct mbp_str choice;
  int64_t n = 1;
  (void) host->config_int(config, "max_tokens", &self->options.max_tokens);
  self->options.send_reasoning = !host->config_int(config, "send_reasoning", &n) || n;
  self->options.stream_usage = 1;
  self->options.system_role = "system";
  if (host->config_str(config, "system_role", &choice) && mbp_str_eq(choice, "developer"))
    self->options.system_role = "developer";
  self->options.max_tokens_field = self->is_default_base ? "max_completion_tokens" : "max_tokens";
  if (host->config_str(config, "max_tokens_field", &choice) && !mbp_str_eq(choice, "auto"))
    self->options.max_tokens_field = mbp_str_eq(choice, "max_tokens") ? "max_tokens" : "max_completion_tokens";
}

static int read_config(struct mbp_instance *self, const struct mbp_host *host, const struct mbp_config *config,
                       struct mbp_error *err)
{
  (void) host->config_str(config, "organization", &self->organization);
  (void) host->config_str(config, "project", &self->project);
  int r = llm_service_init(&self->service, host, config, "api_key", DEFAULT_BASE, "/chat/completions", err);
  if (r == 0)
    r = add_default_path(&self->service.endpoint, err);
  if (r < 0)
    return r;
  self->is_default_base = strcmp(self->service.endpoint.base, DEFAULT_BASE) == 0;
  read_options(self, host, config);
  return 0;
}

static int instance_open(const struct mbp_host *host, const struct mbp_config *config,
                         struct mbp_instance **ret_instance, struct mbp_error *err)
{
  struct mbp_instance *self = calloc(1, sizeof(*self));
  if (!self)
    return llm_no_memory(err);
  int r = read_config(self, host, config, err);
  if (r < 0) {
    instance_close(self);
    return r;
  }
  self->options.history = openai_history_new(); /* without memory it goes without */
  *ret_instance = self;
  return 0;
}

/* ---- Exchanges ------------------------------------------------------------------------------------------------ */

static int prepare(const struct mbp_instance *self, struct llm_exchange *exchange, const char *path, const char *what,
                   struct mbp_error *err)
{
  int r = llm_exchange_init(exchange, &self->service, path, what, err);
  if (r < 0)
    return r;
  if (!self->service.bearer && self->is_default_base)
    return llm_error(err, MBP_E_AUTH,
                     "no API key for Chat Completions: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server "
                     "that needs none");
  llm_exchange_header(exchange, "Authorization", mbp_str(self->service.bearer));
  llm_exchange_header(exchange, "OpenAI-Organization", self->organization);
  llm_exchange_header(exchange, "OpenAI-Project", self->project);
  return 0;
}

static int status_is_ok(const struct mbp_instance *self, struct mbp_http *http)
{
  int status = self->service.http->status(http);
  return status >= 200 && status <= 299;
}

/* The body's `error` is more exact than the status. 1: stream_options were refused, ask again without. */
static int refused(const struct mbp_instance *self, const struct llm_exchange *exchange, struct mbp_http *http,
                   struct mbp_error *err)
{
  const struct mbp_json_v1 *json = self->service.json;
  struct mbp_json *body = NULL;
  struct mbp_str text = {0};
  uint32_t flags = 0;
  int status = self->service.http->status(http);
  int r = llm_http_error(&exchange->fetch, http, &body, &text, err);
  const struct mbp_json *error = json->get(json->type(body) == MBP_JSON_ARRAY ? json->first(body) : body, "error");
  int code = json->str(json->get(error, "code")).len || json->str(json->get(error, "type")).len
                 ? openai_error_code(json, error, &flags)
                 : 0;
  json->free(body);
  /* "invalid_request_error" stands in bodies of every 4xx status. */
  if (code == MBP_E_BILLING || (code && code != MBP_E_INVALID)) {
    err->code = code;
    if (code == MBP_E_BILLING)
      err->flags &= ~MBP_ERR_RETRYABLE;
    r = -code;
  }
  if ((status == 400 || status == 422) && !atomic_load(&self->no_stream_options) && text.len &&
      memmem(text.ptr, text.len, "stream_options", 14))
    return 1;
  return r;
}

static int read_stream(const struct mbp_instance *self, struct mbp_http *http, struct openai_decoder *decoder,
                       struct mbp_error *err)
{
  int r;
  do {
    struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
    r = self->service.http->next_event(http, &event, err);
    if (r <= 0)
      break;
    r = openai_decoder_feed(decoder, event.data, err);
  } while (r == 0);
  /* A connection that is cut after the last choice has told everything but the usage. */
  if (r == -MBP_E_NETWORK && openai_decoder_complete(decoder))
    return 0;
  return r < 0 ? r : 0;
}

/* Servers without streaming answer with the whole completion at once. */
static int read_answer(const struct mbp_instance *self, struct mbp_http *http, struct openai_decoder *decoder,
                       struct mbp_error *err)
{
  struct mbp_str type = self->service.http->header(http, "content-type"), body;
  if (type.len >= 16 && strncasecmp(type.ptr, "application/json", 16) == 0) {
    int r = self->service.http->body(http, &body, err);
    if (r == 0)
      r = openai_decoder_feed(decoder, body, err);
    return r < 0 ? r : 0;
  }
  if (type.len >= 9 && strncasecmp(type.ptr, "text/html", 9) == 0)
    return llm_error(err, MBP_E_PROTOCOL,
                     "the service answered with a web page: does base_url name a Chat Completions API? It usually ends "
                     "in /v1");
  return read_stream(self, http, decoder, err);
}

/* 1: to be tried again without stream_options. */
static int try_once(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                    const struct llm_exchange *exchange, struct mbp_error *err)
{
  struct llm_call to = {self->service.host, call};
  struct llm_out out = {llm_emit_to_call, &to};
  struct mbp_http *http = NULL;
  struct mbp_llm_response response;
  struct openai_decoder *decoder = openai_decoder_new(self->service.json, &out, request);
  int r = decoder ? self->service.http->open(call, &exchange->fetch.request, &http, err) : llm_no_memory(err);
  if (r < 0)
    goto out;
  struct mbp_str request_id = self->service.http->header(http, "x-request-id");
  r = status_is_ok(self, http) ? read_answer(self, http, decoder, err) : refused(self, exchange, http, err);
  if (r == 0)
    r = openai_decoder_answer(decoder, &response, err);
  if (r == 0)
    response.request_id = request_id;
  else if (r < 0)
    llm_error_request(err, request_id);
out:
  if (r <= 0)
    (void) llm_done(self->service.host, call, r, &response, err);
  self->service.http->close(http);
  openai_decoder_free(decoder);
  return r > 0;
}

static int write_body(struct mbp_instance *self, const struct mbp_llm_request *request, struct llm_exchange *exchange,
                      struct mbp_error *err)
{
  struct openai_options options = self->options;
  options.stream_usage = !atomic_load(&self->no_stream_options);
  llm_buf_clear(&exchange->body);
  int r = openai_request_write(self->service.json, request, &options, &exchange->body, err);
  exchange->fetch.request.body = llm_buf_view(&exchange->body);
  exchange->fetch.request.flags |= MBP_HTTP_BODY_STAYS;
  return r;
}

static int generate(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                    struct mbp_error *err)
{
  struct llm_exchange exchange;
  struct mbp_error failed = {.size = MBP_SIZE(struct mbp_error, message)};
  int r = prepare(self, &exchange, "/chat/completions", "model request", err);
  if (r == 0) {
    llm_exchange_header(&exchange, "content-type", mbp_str("application/json"));
    r = write_body(self, request, &exchange, err);
  }
  if (r == 0 && try_once(self, call, request, &exchange, &failed)) {
    atomic_store(&self->no_stream_options, 1);
    r = write_body(self, request, &exchange, err);
    if (r == 0)
      (void) try_once(self, call, request, &exchange, &failed);
  }
  llm_exchange_done(&exchange);
  return r;
}

static int fetch_models(struct mbp_instance *self, struct mbp_call *call, const char *what,
                        struct mbp_json **ret_document, struct mbp_error *err)
{
  struct llm_exchange exchange;
  int r = prepare(self, &exchange, "/models", what, err);
  if (r == 0)
    r = llm_fetch_json(&exchange.fetch, call, ret_document, err);
  llm_exchange_done(&exchange);
  return r;
}

static int list_models(struct mbp_instance *self, struct mbp_call *call, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = self->service.json;
  struct mbp_json *document = NULL;
  int r = fetch_models(self, call, "list models", &document, err);
  if (r < 0)
    return r;
  for (const struct mbp_json *model = json->first(json->get(document, "data")); model && r >= 0;
       model = json->next(model)) {
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_LLM_MODEL,
                              .name = json->str(json->get(model, "id"))};
    if (event.name.len)
      r = self->service.host->emit(call, &event);
  }
  json->free(document);
  struct mbp_error stopped = {.size = MBP_SIZE(struct mbp_error, message)};
  if (r < 0)
    r = llm_error(&stopped, MBP_E_CANCELLED, "listing models was stopped");
  return llm_done(self->service.host, call, r, NULL, &stopped);
}

static int check_params(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                        struct mbp_error *err)
{
  struct openai_options options = self->options;
  llm_autobuf body = {0};
  options.history = NULL;
  int r = openai_request_write(self->service.json, request, &options, &body, err);
  if (r == 0)
    self->service.host->done(call, NULL, NULL);
  return r;
}

static int probe(struct mbp_instance *self, struct mbp_call *call, struct mbp_error *err)
{
  struct mbp_json *document = NULL;
  int r = fetch_models(self, call, "check of the server", &document, err);
  self->service.json->free(document);
  /* Servers without a list of models are usable. */
  return r < 0 && r != -MBP_E_NOT_FOUND ? r : llm_done(self->service.host, call, 0, NULL, NULL);
}

/* ---- Plugin --------------------------------------------------------------------------------------------------- */

static const char *const models[] = {"gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", NULL};
static const struct mbp_llm_info info = {.size = MBP_SIZE(struct mbp_llm_info, models), .models = models};
static const struct mbp_llm_ops ops = {
    .size = MBP_SIZE(struct mbp_llm_ops, check_params),
    .generate = generate,
    .list_models = list_models,
    .check_params = check_params,
};
static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .caps = MBP_CAP_LLM_IMAGES | MBP_CAP_LLM_RESULT_IMAGES,
    .kind = MBP_KIND_LLM,
    .kind_version = MBP_LLM_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "openai",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "OpenAI and compatible servers over Chat Completions",
    .help = "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server (Ollama, vLLM, llama.cpp, LiteLLM). Models "
            "of such "
            "servers are named \"openai/NAME\". Model parameters go through by their name; extra_body holds those that "
            "only "
            "the server knows.",
    .params = params,
    .info = &info,
    .ops = &ops,
    .open = instance_open,
    .probe = probe,
    .close = instance_close,
};
MBP_PLUGIN(plugin);
