/* Where a service is, and what every exchange with it does the same way. */
#include "llm.h"

#include <stdlib.h>

static struct mbp_str trim_slashes(struct mbp_str url)
{
  while (url.len && url.ptr[url.len - 1] == '/')
    url.len--;
  return url;
}

static int ends_with(struct mbp_str text, const char *suffix)
{
  size_t n = strlen(suffix);
  return text.len >= n && memcmp(text.ptr + text.len - n, suffix, n) == 0;
}

int llm_endpoint_init(struct llm_endpoint *endpoint, struct mbp_str url, const char *suffix, struct mbp_error *err)
{
  *endpoint = (struct llm_endpoint){0};
  if (url.len > 5 && memcmp(url.ptr, "unix:", 5) == 0) {
    endpoint->socket = strndup(url.ptr + 5, url.len - 5);
    url = mbp_str("http://localhost");
    if (!endpoint->socket)
      return llm_no_memory(err);
  }
  url = trim_slashes(url);
  if (ends_with(url, suffix))
    url = trim_slashes(mbp_str_n(url.ptr, url.len - strlen(suffix)));
  endpoint->base = strndup(url.ptr, url.len);
  if (!endpoint->base) {
    llm_endpoint_done(endpoint);
    return llm_no_memory(err);
  }
  return 0;
}

void llm_endpoint_done(struct llm_endpoint *endpoint)
{
  free(endpoint->base);
  free(endpoint->socket);
  *endpoint = (struct llm_endpoint){0};
}

int llm_http_error(const struct llm_fetch *fetch, struct mbp_http *exchange, struct mbp_json **ret_body,
                   struct mbp_str *ret_text, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = fetch->json;
  struct mbp_error ignored = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_json *document = NULL;
  struct mbp_str body = {0};
  /* A body that cannot be read or is no JSON (a proxy's page) leaves the status to speak for itself. */
  if (fetch->http->body(exchange, &body, &ignored) == 0)
    (void) json->parse(body, &document, &ignored);
  int r = fetch->http->fail(exchange, fetch->what, llm_error_text(json, document), err);
  if (ret_text)
    *ret_text = body;
  if (ret_body)
    *ret_body = document;
  else
    json->free(document);
  return r < 0 ? r : llm_error_retry(err, MBP_E_PROTOCOL, "%s: unexpected status", fetch->what);
}

int llm_fetch_json(const struct llm_fetch *fetch, struct mbp_call *call, struct mbp_json **ret_document,
                   struct mbp_error *err)
{
  struct mbp_http *exchange = NULL;
  struct mbp_str body;
  int r = fetch->http->open(call, &fetch->request, &exchange, err);
  if (r < 0)
    return r;
  int status = fetch->http->status(exchange);
  if (status < 200 || status > 299)
    r = llm_http_error(fetch, exchange, NULL, NULL, err);
  else
    r = fetch->http->body(exchange, &body, err);
  if (r == 0 && (r = fetch->json->parse(body, ret_document, err)) < 0)
    llm_error_prefix(err, fetch->what);
  fetch->http->close(exchange);
  return r;
}
