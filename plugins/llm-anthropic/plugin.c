/* The Messages API as a plugin: configuration, headers and one exchange; the rest is in request.c and decoder.c. */
#include "decoder.h"
#include "request.h"

#include <stdlib.h>
#include <strings.h>

#define DEFAULT_BASE "https://api.anthropic.com"

struct mbp_instance {
  struct llm_service service;
  int is_default_base;
  struct mbp_str api_key;  /* of the configuration */
  struct mbp_str version;
  struct llm_buf betas;    /* comma-joined */
  int64_t max_tokens;
  int cache, sampling;
};

/* ---- Configuration -------------------------------------------------------------------------------------------- */

#define PARAM_SIZE MBP_SIZE(struct mbp_param, help)
static const char *const versions[] = {"2026-10-21", "2023-06-01", NULL};
static const struct mbp_param param_api_key = {
    .size = PARAM_SIZE, .type = MBP_PARAM_SECRET, .name = "api_key", .env = "ANTHROPIC_API_KEY",
    .help = "API key, sent as x-api-key. If auth_token is set too, the key is used."};
static const struct mbp_param param_auth_token = {
    .size = PARAM_SIZE, .type = MBP_PARAM_SECRET, .name = "auth_token", .env = "ANTHROPIC_AUTH_TOKEN",
    .help = "Bearer token, sent as Authorization: for gateways and tokens that are no API keys."};
static const struct mbp_param param_base_url = {
    .size = PARAM_SIZE, .type = MBP_PARAM_URL, .name = "base_url", .default_value = DEFAULT_BASE,
    .env = "ANTHROPIC_BASE_URL",
    .help = "Where the service is; with or without /v1. unix:/PATH speaks to a local socket."};
static const struct mbp_param param_version = {
    .size = PARAM_SIZE, .type = MBP_PARAM_CHOICE, .name = "version", .default_value = "2026-10-21", .choices = versions,
    .help = "Version of the API. Only 2023-06-01 takes temperature, top_p and top_k."};
static const struct mbp_param param_beta = {
    .size = PARAM_SIZE, .type = MBP_PARAM_STRING, .flags = MBP_PARAM_REPEATABLE, .name = "beta",
    .help = "Beta features to switch on (anthropic-beta)."};
static const struct mbp_param param_max_tokens = {
    .size = PARAM_SIZE, .type = MBP_PARAM_INT, .name = "max_tokens", .default_value = "16384", .min = 1, .max = 1000000,
    .help = "Longest answer in tokens, where the agent does not say."};
static const struct mbp_param param_cache = {
    .size = PARAM_SIZE, .type = MBP_PARAM_BOOL, .name = "cache", .default_value = "true",
    .help = "Mark the prompt for the service's cache."};
static const struct mbp_param param_connect_timeout = {
    .size = PARAM_SIZE, .type = MBP_PARAM_DURATION, .name = "connect_timeout", .default_value = "30s", .min = 1,
    .max = 3600000, .help = "How long connecting may take."};
static const struct mbp_param param_idle_timeout = {
    .size = PARAM_SIZE, .type = MBP_PARAM_DURATION, .name = "idle_timeout", .default_value = "5m", .min = 1,
    .max = 86400000, .help = "The longest silence of the service before a request is given up."};
static const struct mbp_param *const params[] = {
    &param_api_key,    &param_auth_token, &param_base_url,        &param_version,      &param_beta,
    &param_max_tokens, &param_cache,      &param_connect_timeout, &param_idle_timeout, NULL,
};

static void instance_close(struct mbp_instance *instance)
{
  if (!instance)
    return;
  llm_service_done(&instance->service);
  llm_buf_done(&instance->betas);
  free(instance);
}

static int read_config(struct mbp_instance *self, const struct mbp_host *host, const struct mbp_config *config,
                       struct mbp_error *err)
{
  struct mbp_str beta;
  int64_t n = 0;
  (void) host->config_str(config, "api_key", &self->api_key);
  if (host->config_str(config, "version", &self->version) && mbp_str_eq(self->version, "2023-06-01"))
    self->sampling = 1;
  (void) host->config_int(config, "max_tokens", &self->max_tokens);
  self->cache = host->config_int(config, "cache", &n) && n;
  for (size_t i = 0; host->config_item(config, "beta", i, &beta); i++) {
    llm_buf_text(&self->betas, i ? "," : "");
    llm_buf_str(&self->betas, beta);
  }
  int r = llm_service_init(&self->service, host, config, "auth_token", DEFAULT_BASE, "/v1", err);
  self->is_default_base = r == 0 && strcmp(self->service.endpoint.base, DEFAULT_BASE) == 0;
  return r == 0 && self->betas.failed ? llm_no_memory(err) : r;
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
  if (!self->api_key.len && !self->service.bearer && self->is_default_base)
    return llm_error(err, MBP_E_AUTH,
                     "no API key for the Messages API: set ANTHROPIC_API_KEY, or ANTHROPIC_AUTH_TOKEN");
  /* Never both: the service would take the key, and parts of it refuse the pair. */
  if (self->api_key.len)
    llm_exchange_header(exchange, "x-api-key", self->api_key);
  else
    llm_exchange_header(exchange, "Authorization", mbp_str(self->service.bearer));
  llm_exchange_header(exchange, "anthropic-version", self->version);
  llm_exchange_header(exchange, "anthropic-beta", llm_buf_view(&self->betas));
  return 0;
}

/* The error type in the body is more exact than the status. */
static int refused(const struct llm_exchange *exchange, struct mbp_http *http, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = exchange->fetch.json;
  struct mbp_json *body = NULL;
  uint32_t flags;
  int r = llm_http_error(&exchange->fetch, http, &body, NULL, err);
  int code = anthropic_error_code(json->str(json->get(json->get(body, "error"), "type")), &flags);
  json->free(body);
  if (code == 0)
    return r;
  err->code = code;
  return -code;
}

static int read_stream(const struct mbp_instance *self, struct mbp_http *http, struct anthropic_decoder *decoder,
                       struct mbp_error *err)
{
  int r;
  do {
    struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
    r = self->service.http->next_event(http, &event, err);
    if (r <= 0)
      break;
    r = anthropic_decoder_feed(decoder, event.event, event.data, err);
  } while (r == 0);
  return r < 0 ? r : 0;
}

/* A page of a proxy or another service answers 200 too. */
static int check_content_type(struct mbp_str type, struct mbp_error *err)
{
  static const char wanted[] = "text/event-stream";
  if (type.len == 0 || (type.len >= sizeof(wanted) - 1 && strncasecmp(type.ptr, wanted, sizeof(wanted) - 1) == 0))
    return 0;
  return llm_error(err, MBP_E_PROTOCOL,
                   "the service answered with %.*s instead of an event stream: does base_url name a Messages API?",
                   type.len < 60 ? (int) type.len : 60, type.ptr);
}

static int exchange_messages(struct mbp_instance *self, struct mbp_call *call, const struct llm_exchange *exchange)
{
  struct mbp_error error = {.size = MBP_SIZE(struct mbp_error, message)}, *err = &error;
  struct llm_call to = {self->service.host, call};
  struct llm_out out = {llm_emit_to_call, &to};
  struct mbp_http *http = NULL;
  struct mbp_llm_response response;
  struct anthropic_decoder *decoder = anthropic_decoder_new(self->service.json, &out);
  int r = decoder ? self->service.http->open(call, &exchange->fetch.request, &http, err) : llm_no_memory(err);
  if (r < 0)
    goto out;
  struct mbp_str request_id = self->service.http->header(http, "request-id");
  int status = self->service.http->status(http);
  if (status < 200 || status > 299)
    r = refused(exchange, http, err);
  if (r == 0)
    r = check_content_type(self->service.http->header(http, "content-type"), err);
  if (r == 0)
    r = read_stream(self, http, decoder, err);
  if (r == 0)
    r = anthropic_decoder_answer(decoder, &response, err);
  if (r == 0)
    response.request_id = request_id;
  else
    llm_error_request(err, request_id);
out:
  (void) llm_done(self->service.host, call, r, &response, err);
  self->service.http->close(http);
  anthropic_decoder_free(decoder);
  return 0;
}

static int generate(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                    struct mbp_error *err)
{
  struct llm_exchange exchange;
  struct anthropic_options options = {.max_tokens = self->max_tokens, .cache = self->cache, .sampling = self->sampling};
  int r = prepare(self, &exchange, "/v1/messages", "model request", err);
  if (r == 0)
    r = anthropic_request_write(self->service.json, request, &options, &exchange.body, err);
  if (r == 0) {
    llm_exchange_header(&exchange, "content-type", mbp_str("application/json"));
    exchange.fetch.request.body = llm_buf_view(&exchange.body);
    exchange.fetch.request.flags |= MBP_HTTP_BODY_STAYS;
    r = exchange_messages(self, call, &exchange);
  }
  llm_exchange_done(&exchange);
  return r;
}

static int count_tokens(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                        struct mbp_error *err)
{
  struct llm_exchange exchange;
  struct mbp_json *document = NULL;
  struct anthropic_options options = {.sampling = self->sampling, .count = 1};
  int r = prepare(self, &exchange, "/v1/messages/count_tokens", "count tokens", err);
  if (r == 0)
    r = anthropic_request_write(self->service.json, request, &options, &exchange.body, err);
  if (r == 0) {
    llm_exchange_header(&exchange, "content-type", mbp_str("application/json"));
    exchange.fetch.request.body = llm_buf_view(&exchange.body);
    r = llm_fetch_json(&exchange.fetch, call, &document, err);
  }
  llm_exchange_done(&exchange);
  if (r < 0)
    return r;
  struct mbp_usage usage = {.size = MBP_SIZE(struct mbp_usage, cache_write)};
  usage.input = self->service.json->num(self->service.json->get(document, "input_tokens"), -1);
  self->service.json->free(document);
  if (usage.input < 0)
    return llm_error(err, MBP_E_PROTOCOL, "count tokens: the service did not tell a number");
  self->service.host->done(call, &usage, NULL);
  return 0;
}

static int check_params(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                        struct mbp_error *err)
{
  struct anthropic_options options = {.max_tokens = self->max_tokens, .sampling = self->sampling};
  llm_autobuf body = {0};
  int r = anthropic_request_write(self->service.json, request, &options, &body, err);
  if (r == 0)
    self->service.host->done(call, NULL, NULL);
  return r;
}

static int emit_models(struct mbp_instance *self, struct mbp_call *call, const struct mbp_json *data,
                       struct mbp_str *ret_last)
{
  const struct mbp_json_v1 *json = self->service.json;
  for (const struct mbp_json *model = json->first(data); model; model = json->next(model)) {
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_LLM_MODEL,
                              .name = json->str(json->get(model, "id"))};
    *ret_last = event.name;
    if (event.name.len && self->service.host->emit(call, &event) < 0)
      return -MBP_E_CANCELLED;
  }
  return 0;
}

static int list_page(struct mbp_instance *self, struct mbp_call *call, struct llm_buf *path, int *ret_more,
                     struct mbp_error *err)
{
  struct llm_exchange exchange;
  struct mbp_json *document = NULL;
  struct mbp_str last = {0};
  int r = prepare(self, &exchange, path->ptr, "list models", err);
  if (r == 0)
    r = llm_fetch_json(&exchange.fetch, call, &document, err);
  llm_exchange_done(&exchange);
  if (r < 0)
    return r;
  if (emit_models(self, call, self->service.json->get(document, "data"), &last) < 0)
    r = llm_error(err, MBP_E_CANCELLED, "listing models was stopped");
  *ret_more = self->service.json->truth(self->service.json->get(document, "has_more"), 0) && last.len;
  llm_buf_clear(path);
  llm_buf_text(path, "/v1/models?limit=1000&after_id=");
  llm_buf_str(path, last);
  self->service.json->free(document);
  return r == 0 && path->failed ? llm_no_memory(err) : r;
}

static int list_models(struct mbp_instance *self, struct mbp_call *call, struct mbp_error *err)
{
  llm_autobuf path = {0};
  int more = 1, r = 0;
  llm_buf_text(&path, "/v1/models?limit=1000");
  for (int page = 0; page < 20 && more && r == 0; page++)
    r = path.failed ? llm_no_memory(err) : list_page(self, call, &path, &more, err);
  if (r == 0)
    self->service.host->done(call, NULL, NULL);
  return r;
}

static int probe(struct mbp_instance *self, struct mbp_call *call, struct mbp_error *err)
{
  struct llm_exchange exchange;
  struct mbp_json *document = NULL;
  int r = prepare(self, &exchange, "/v1/models?limit=1", "check of the key", err);
  if (r == 0)
    r = llm_fetch_json(&exchange.fetch, call, &document, err);
  llm_exchange_done(&exchange);
  self->service.json->free(document);
  /* Gateways that only have /v1/messages are usable. */
  if (r < 0 && r != -MBP_E_NOT_FOUND)
    return r;
  self->service.host->done(call, NULL, NULL);
  return 0;
}

/* ---- Plugin --------------------------------------------------------------------------------------------------- */

static const char *const models[] = {"claude-*", NULL};
static const struct mbp_llm_info info = {.size = MBP_SIZE(struct mbp_llm_info, models), .models = models};
static const struct mbp_llm_ops ops = {
    .size = MBP_SIZE(struct mbp_llm_ops, check_params),
    .generate = generate,
    .list_models = list_models,
    .count_tokens = count_tokens,
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
    .name = "anthropic",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "Claude models over the Messages API",
    .help =
        "Needs a key: set ANTHROPIC_API_KEY. ANTHROPIC_BASE_URL names another server of the same API. Model "
        "parameters go through by their name: thinking, output_config, effort, stop_sequences, tool_choice, metadata, "
        "service_tier and others.",
    .params = params,
    .info = &info,
    .ops = &ops,
    .open = instance_open,
    .probe = probe,
    .close = instance_close,
};
MBP_PLUGIN(plugin);
