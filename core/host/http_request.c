#include "host/http_request.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MS 30000
#define IDLE_TIMEOUT_MS 300000
#define TIMEOUT_MAX_MS 86400000
#define BODY_MAX ((int64_t) 32 << 20)
#define HEADERS_MAX 256

/* The characters of RFC 9110's token. */
static bool is_token(struct mbp_str s)
{
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          (c && strchr("!#$%&'*+-.^_`|~", c))))
      return false;
  }
  return s.len > 0;
}

/* No control characters: what could end a header or hide the rest of a path. */
static bool is_clean(struct mbp_str s, bool tab_allowed)
{
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char) s.ptr[i];
    if ((c < 0x20 && !(tab_allowed && c == '\t')) || c == 0x7f)
      return false;
  }
  return true;
}

static int copy_text(struct mbp_str from, const char *what, char **ret, struct mbp_error *err)
{
  if (from.len == 0)
    return 0;
  if (!is_clean(from, false))
    return mag_error(err, MBP_E_INVALID, "HTTP request: %s holds a control character", what);
  *ret = mag_str_dup(from);
  return *ret ? 0 : mag_error_no_memory(err);
}

static int copy_url(struct mag_http_request *request, struct mbp_str url, struct mbp_error *err)
{
  size_t scheme = url.len > 7 && strncasecmp(url.ptr, "http://", 7) == 0    ? 7
                  : url.len > 8 && strncasecmp(url.ptr, "https://", 8) == 0 ? 8
                                                                            : 0;
  if (!scheme)
    return mag_error(err, MBP_E_INVALID, "HTTP request: the URL must begin with http:// or https:// and name a host");
  for (size_t i = 0; i < url.len; i++)
    if (url.ptr[i] == ' ')
      return mag_error(err, MBP_E_INVALID, "HTTP request: the URL holds a space (write %%20)");
  int r = copy_text(url, "the URL", &request->url, err);
  if (r < 0)
    return r;
  request->is_tls = scheme == 8;
  const char *host = request->url + scheme;
  size_t len = strcspn(host, "/?#");
  const char *at = memrchr(host, '@', len);
  if (at) {
    len -= (size_t) (at + 1 - host);
    host = at + 1;
  }
  if (len == 0)
    return mag_error(err, MBP_E_INVALID, "HTTP request: the URL names no host");
  request->host = request->unix_socket ? mag_str_dup(mbp_str(request->unix_socket)) : mag_str_dup(mbp_str_n(host, len));
  return request->host ? 0 : mag_error_no_memory(err);
}

/* Framing is ours. A streamed body may tell its length. */
static int take_framing(struct mag_http_request *request, const struct mbp_pair *header, bool *ret_taken,
                        struct mbp_error *err)
{
  if (header->name.len == 17 && strncasecmp(header->name.ptr, "Transfer-Encoding", 17) == 0)
    return mag_error(err, MBP_E_INVALID, "HTTP request: the header Transfer-Encoding is set by the host");
  *ret_taken = header->name.len == 14 && strncasecmp(header->name.ptr, "Content-Length", 14) == 0;
  if (!*ret_taken || !(request->flags & MBP_HTTP_STREAM_BODY))
    return 0;
  if (mag_parse_int(header->value, &request->content_length) < 0 || request->content_length < 0)
    return mag_error(err, MBP_E_INVALID, "HTTP request: the header Content-Length is not a number");
  return 0;
}

static int copy_headers(struct mag_http_request *request, const struct mbp_http_request *from, struct mbp_error *err)
{
  if (from->n_headers > HEADERS_MAX)
    return mag_error(err, MBP_E_INVALID, "HTTP request: more than %d headers", HEADERS_MAX);
  request->headers = calloc(from->n_headers + 1, sizeof(char *));
  if (!request->headers)
    return mag_error_no_memory(err);
  for (size_t i = 0; i < from->n_headers; i++) {
    const struct mbp_pair *header = &from->headers[i];
    bool taken = false;
    if (!is_token(header->name))
      return mag_error(err, MBP_E_INVALID, "HTTP request: header %zu has no valid name", i + 1);
    if (!is_clean(header->value, true))
      return mag_error(err, MBP_E_INVALID, "HTTP request: the value of header %.*s holds a control character",
                       (int) MAG_MIN(header->name.len, (size_t) 64), header->name.ptr);
    int r = take_framing(request, header, &taken, err);
    if (r < 0)
      return r;
    if (taken)
      continue;
    /* A header without a value is written with a semicolon in libcurl's list: "Name:" would mean to leave it out. */
    mag_autobuf line = MAG_BUF_INIT;
    mag_buf_add_str(&line, header->name);
    mag_buf_add_text(&line, header->value.len ? ": " : ";");
    mag_buf_add_str(&line, header->value);
    request->headers[request->n_headers] = mag_buf_take(&line);
    if (!request->headers[request->n_headers])
      return mag_error_no_memory(err);
    request->n_headers++;
  }
  return 0;
}

static int copy_method(struct mag_http_request *request, struct mbp_str method, struct mbp_error *err)
{
  bool body = request->body.len > 0 || (request->flags & MBP_HTTP_STREAM_BODY);
  if (method.len == 0)
    method = mbp_str(body ? "POST" : "GET");
  if (!is_token(method) || method.len > 32)
    return mag_error(err, MBP_E_INVALID, "HTTP request: the method is not valid");
  request->method = mag_str_dup(method);
  if (!request->method)
    return mag_error_no_memory(err);
  request->follow = !body && !(request->flags & (MBP_HTTP_NO_REDIRECT | MBP_HTTP_UPGRADE)) &&
                    (mbp_str_eq(method, "GET") || mbp_str_eq(method, "HEAD"));
  return 0;
}

static int64_t bounded(int64_t value, int64_t otherwise, int64_t most)
{
  return value <= 0 ? otherwise : MAG_MIN(value, most);
}

int mag_http_request_init(struct mag_http_request *request, const struct mbp_http_request *from, struct mbp_error *err)
{
  struct mbp_http_request all;
  memset(request, 0, sizeof(*request));
  memset(&all, 0, sizeof(all));
  memcpy(&all, from, MAG_MIN((size_t) from->size, sizeof(all)));
  request->flags = all.flags;
  request->content_length = -1;
  request->connect_timeout_ms = bounded(all.connect_timeout_ms, CONNECT_TIMEOUT_MS, TIMEOUT_MAX_MS);
  request->idle_timeout_ms = bounded(all.idle_timeout_ms, IDLE_TIMEOUT_MS, TIMEOUT_MAX_MS);
  request->max_body = bounded(all.max_body, BODY_MAX, INT64_MAX);
  if ((all.flags & MBP_HTTP_STREAM_BODY) && (all.body.len > 0 || (all.flags & MBP_HTTP_UPGRADE)))
    return mag_error(err, MBP_E_INVALID, "HTTP request: a streamed body goes with neither `body` nor an upgrade");
  request->body = all.body;
  if (!(all.flags & MBP_HTTP_BODY_STAYS)) {
    mag_buf_add_str(&request->own_body, all.body);
    if (request->own_body.failed)
      return mag_error_no_memory(err);
    request->body = mag_buf_str(&request->own_body);
  }
  int r = copy_text(all.unix_socket, "the socket's path", &request->unix_socket, err);
  if (r == 0)
    r = copy_url(request, all.url, err);
  if (r == 0)
    r = copy_method(request, all.method, err);
  if (r == 0)
    r = copy_headers(request, &all, err);
  if (r == 0)
    r = copy_text(all.ca_file, "ca_file", &request->ca_file, err);
  if (r == 0)
    r = copy_text(all.cert_file, "cert_file", &request->cert_file, err);
  if (r == 0)
    r = copy_text(all.key_file, "key_file", &request->key_file, err);
  if (r == 0)
    r = copy_text(all.proxy, "proxy", &request->proxy, err);
  return r;
}

void mag_http_request_done(struct mag_http_request *request)
{
  /* Keys of services stand in the headers. The copies inside libcurl cannot be wiped. */
  for (size_t i = 0; i < request->n_headers; i++) {
    explicit_bzero(request->headers[i], strlen(request->headers[i]));
    free(request->headers[i]);
  }
  free(request->headers);
  free(request->method);
  free(request->url);
  free(request->host);
  free(request->unix_socket);
  free(request->ca_file);
  free(request->cert_file);
  free(request->key_file);
  free(request->proxy);
  mag_buf_done(&request->own_body);
  memset(request, 0, sizeof(*request));
}

bool mag_http_request_has(const struct mag_http_request *request, const char *name)
{
  size_t n = strlen(name);
  for (size_t i = 0; i < request->n_headers; i++)
    if (strncasecmp(request->headers[i], name, n) == 0 &&
        (request->headers[i][n] == ':' || request->headers[i][n] == ';'))
      return true;
  return false;
}
