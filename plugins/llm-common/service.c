/* A service as an instance knows it, and one request to it. */
#include "llm.h"

#include <stdio.h>
#include <stdlib.h>

static int make_bearer(struct llm_service *service, struct mbp_str token, struct mbp_error *err)
{
  size_t cap = token.len + sizeof("Bearer ");
  if (token.len == 0)
    return 0;
  service->bearer = malloc(cap);
  if (!service->bearer)
    return llm_no_memory(err);
  (void) snprintf(service->bearer, cap, "Bearer %.*s", (int) token.len, token.ptr);
  return 0;
}

int llm_service_init(struct llm_service *service, const struct mbp_host *host, const struct mbp_config *config,
                     const char *token_key, const char *base, const char *suffix, struct mbp_error *err)
{
  struct mbp_str url = mbp_str(base), token = {0};
  service->host = host;
  service->json = host->get_interface(host->ctx, MBP_JSON_V1);
  service->http = host->get_interface(host->ctx, MBP_HTTP_V1);
  if (!service->json || !service->http)
    return llm_error(err, MBP_E_UNAVAILABLE, "this host lacks " MBP_JSON_V1 " or " MBP_HTTP_V1);
  (void) host->config_str(config, token_key, &token);
  (void) host->config_str(config, "base_url", &url);
  (void) host->config_int(config, "connect_timeout", &service->connect_timeout_ms);
  (void) host->config_int(config, "idle_timeout", &service->idle_timeout_ms);
  int r = make_bearer(service, token, err);
  return r < 0 ? r : llm_endpoint_init(&service->endpoint, url, suffix, err);
}

void llm_service_done(struct llm_service *service)
{
  llm_endpoint_done(&service->endpoint);
  if (service->bearer)
    explicit_bzero(service->bearer, strlen(service->bearer));
  free(service->bearer);
}

int llm_exchange_init(struct llm_exchange *exchange, const struct llm_service *service, const char *path,
                      const char *what, struct mbp_error *err)
{
  *exchange = (struct llm_exchange){.fetch = {.http = service->http, .json = service->json, .what = what}};
  llm_buf_text(&exchange->url, service->endpoint.base);
  llm_buf_text(&exchange->url, path);
  if (exchange->url.failed)
    return llm_no_memory(err);
  exchange->fetch.request = (struct mbp_http_request){
      .size = MBP_SIZE(struct mbp_http_request, max_body),
      .url = llm_buf_view(&exchange->url),
      .unix_socket = mbp_str(service->endpoint.socket),
      .connect_timeout_ms = service->connect_timeout_ms,
      .idle_timeout_ms = service->idle_timeout_ms,
      .headers = exchange->headers,
  };
  return 0;
}

void llm_exchange_header(struct llm_exchange *exchange, const char *name, struct mbp_str value)
{
  size_t n = exchange->fetch.request.n_headers;
  if (value.len == 0 || n == sizeof(exchange->headers) / sizeof(exchange->headers[0]))
    return;
  exchange->headers[n] = (struct mbp_pair){mbp_str(name), value};
  exchange->fetch.request.n_headers++;
}

void llm_exchange_done(struct llm_exchange *exchange)
{
  llm_buf_done(&exchange->url);
  llm_buf_done(&exchange->body);
}

void llm_error_request(struct mbp_error *err, struct mbp_str id)
{
  if (err->upstream_request[0] == 0 && id.len)
    (void) snprintf(err->upstream_request, sizeof(err->upstream_request), "%.*s", id.len < 60 ? (int) id.len : 60,
                    id.ptr);
}
