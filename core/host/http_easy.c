/* One transfer of libcurl's: its options, its callbacks, what its end means. Runs in the HTTP thread. */
#include "base/cleanup.h"
#include "base/error.h"
#include "host/http_private.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#define REDIRECTS_MAX 5
#define REDIRECT_BODY_MAX ((size_t) 1 << 20)
#define KEEPALIVE_IDLE_S 60L
#define RECEIVE_BYTES 4096L /* of each transfer: many wait for their answer at the same time, and deltas are small */
#define KEEPALIVE_INTERVAL_S 30L

struct mag_http_easy {
  CURL *curl;
  struct curl_slist *headers;
  char detail[CURL_ERROR_SIZE];
};

/* ---- Callbacks: each takes the exchange's lock, for its caller runs in another thread ---- */

static bool is_redirect(const struct mbp_http *http)
{
  int status = http->head.status;
  return http->request.follow && (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
         mag_http_head_find(&http->head.lines, "location").len > 0;
}

/* Lock held: the end of a head, interim or final. */
static void head_ended(struct mbp_http *http)
{
  if (http->head.status < 200)
    return;
  if (is_redirect(http)) {
    http->redirecting = true;
    http->dropped = 0;
    return;
  }
  http->head_ready = true;
  mag_http_signal(http);
}

static void refuse(struct mbp_http *http, int r)
{
  if (r == -MBP_E_LIMIT)
    (void) mag_error(&http->error, MBP_E_LIMIT, "%s: the response's headers are larger than %zu bytes",
                     http->request.host, MAG_HTTP_HEAD_MAX);
  else if (r == -MBP_E_NO_MEMORY)
    (void) mag_error_no_memory(&http->error);
  else
    (void) mag_error(&http->error, MBP_E_PROTOCOL, "%s: the response has no valid status line", http->request.host);
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
  struct mbp_http *http = ctx;
  size_t len = size * n;
  int r = 0;
  pthread_mutex_lock(&http->lock);
  bool closed = http->closed;
  http->active_ms = mag_http_now();
  if (!closed && http->head_ready) {
    r = mag_http_head_trailer(&http->head, line, len);
  } else if (!closed) {
    r = mag_http_head_line(&http->head, line, len);
    if (r == 0 && (line[0] == '\r' || line[0] == '\n'))
      head_ended(http);
  }
  if (r < 0)
    refuse(http, r);
  pthread_mutex_unlock(&http->lock);
  return closed || r < 0 ? 0 : len;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
  struct mbp_http *http = ctx;
  size_t len = size * n, ret = len;
  pthread_mutex_lock(&http->lock);
  http->active_ms = mag_http_now();
  if (http->closed) {
    ret = 0;
  } else if (http->redirecting) {
    http->dropped += len;
    if (http->dropped > REDIRECT_BODY_MAX) {
      (void) mag_error(&http->error, MBP_E_PROTOCOL, "%s: a redirect with an endless body", http->request.host);
      ret = 0;
    }
  } else if (http->in.len >= MAG_HTTP_HIGH_WATER) {
    http->in_paused = true;
    ret = CURL_WRITEFUNC_PAUSE;
  } else {
    mag_buf_add(&http->in, bytes, len);
    if (http->in.failed) {
      (void) mag_error_no_memory(&http->error);
      ret = 0;
    }
    mag_http_signal(http);
  }
  pthread_mutex_unlock(&http->lock);
  return ret;
}

static size_t on_read(char *bytes, size_t size, size_t n, void *ctx)
{
  struct mbp_http *http = ctx;
  size_t cap = size * n, ret;
  pthread_mutex_lock(&http->lock);
  http->active_ms = mag_http_now();
  size_t left = http->out.len - http->out_at;
  if (http->closed) {
    ret = CURL_READFUNC_ABORT;
  } else if (left == 0 && !http->out_done) {
    http->out_paused = true;
    ret = CURL_READFUNC_PAUSE;
  } else {
    ret = MAG_MIN(left, cap);
    if (ret > 0)
      memcpy(bytes, http->out.ptr + http->out_at, ret);
    http->out_at += ret;
    if (http->out_at == http->out.len) {
      http->out_at = 0;
      mag_buf_clear(&http->out);
    }
    if (left - ret <= MAG_HTTP_HIGH_WATER / 2)
      mag_http_signal_out(http);
  }
  pthread_mutex_unlock(&http->lock);
  return ret;
}

/* Connected, nothing sent yet: from here on silence is counted. */
static int on_request(void *ctx, char *local_ip, char *remote_ip, int local_port, int remote_port)
{
  (void) local_ip;
  (void) remote_ip;
  (void) local_port;
  (void) remote_port;
  mag_http_idle_from(ctx);
  return CURL_PREREQFUNC_OK;
}

/* ---- Options ---- */

#define SET(option, value)                                                                                             \
  if (code == CURLE_OK)                                                                                                \
  code = curl_easy_setopt(curl, option, value)

int mag_http_easy_common(void *handle, const struct mag_http_request *request, char *detail)
{
  CURL *curl = handle;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_ERRORBUFFER, detail);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_NOPROGRESS, 1L);
  SET(CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  SET(CURLOPT_URL, request->url);
  if (request->unix_socket) {
    SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    SET(CURLOPT_PROXY, "");
  } else if (request->proxy) {
    SET(CURLOPT_PROXY, request->proxy);
    SET(CURLOPT_NOPROXY, "");
  }
#if LIBCURL_VERSION_NUM >= 0x075700
  /* Ending a transfer whose name is still being looked up would wait for the look-up, and hold up all others. */
  SET(CURLOPT_QUICK_EXIT, 1L);
#endif
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (request->ca_file)
    SET(CURLOPT_CAINFO, request->ca_file);
  if (request->cert_file)
    SET(CURLOPT_SSLCERT, request->cert_file);
  if (request->key_file)
    SET(CURLOPT_SSLKEY, request->key_file);
  return (int) code;
}

static CURLcode set_method(CURL *curl, const struct mag_http_request *request)
{
  CURLcode code = CURLE_OK;
  const char *method = request->method;
  bool takes_body = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
  if (request->flags & MBP_HTTP_STREAM_BODY) {
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->content_length);
  } else if (request->body.len > 0 || takes_body) {
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body.len);
    SET(CURLOPT_POSTFIELDS, request->body.len ? request->body.ptr : "");
  } else if (strcmp(method, "HEAD") == 0) {
    SET(CURLOPT_NOBODY, 1L);
    return code;
  }
  SET(CURLOPT_CUSTOMREQUEST, method);
  return code;
}

/* libcurl before 8.0 cannot use a plain HTTP/2 connection twice (its pull request 10643). */
static CURLcode set_reuse(CURL *curl, const struct mag_http_request *request)
{
  CURLcode code = CURLE_OK;
  if (LIBCURL_VERSION_NUM < 0x080000 && (request->flags & MBP_HTTP_H2_PRIOR) && !request->is_tls) {
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
  }
  return code;
}

static CURLcode set_callbacks(CURL *curl, struct mbp_http *http)
{
  CURLcode code = CURLE_OK;
  SET(CURLOPT_PRIVATE, http);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, http);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, http);
  SET(CURLOPT_READFUNCTION, on_read);
  SET(CURLOPT_READDATA, http);
  SET(CURLOPT_PREREQFUNCTION, on_request);
  SET(CURLOPT_PREREQDATA, http);
  return code;
}

static bool add_header(struct mag_http_easy *easy, const char *line)
{
  struct curl_slist *list = curl_slist_append(easy->headers, line);
  if (!list)
    return false;
  easy->headers = list;
  return true;
}

/* What a request carries to a host that a redirect of another host named: nothing that could be a secret. */
static bool travels(const char *line)
{
  static const char *const names[] = {"Accept:", "Accept-Language:", "User-Agent:", "Range:"};
  for (size_t i = 0; i < MAG_COUNT(names); i++)
    if (strncasecmp(line, names[i], strlen(names[i])) == 0)
      return true;
  return false;
}

/* The caller's headers, and nothing that libcurl would add by itself but Host and the framing. */
static bool set_headers(struct mag_http_easy *easy, const struct mag_http_request *request, bool elsewhere)
{
  static const char *const unwanted[] = {"Expect", "Accept", "Content-Type"};
  curl_slist_free_all(easy->headers);
  easy->headers = NULL;
  for (size_t i = 0; i < request->n_headers; i++)
    if ((!elsewhere || travels(request->headers[i])) && !add_header(easy, request->headers[i]))
      return false;
  for (size_t i = 0; i < MAG_COUNT(unwanted); i++) {
    char line[32];
    size_t n = strlen(unwanted[i]);
    memcpy(line, unwanted[i], n);
    memcpy(line + n, ":", 2);
    if (!mag_http_request_has(request, unwanted[i]) && !add_header(easy, line))
      return false;
  }
  if (!mag_http_request_has(request, "User-Agent") && !add_header(easy, "User-Agent: magent/" PACKAGE_VERSION))
    return false;
  return curl_easy_setopt(easy->curl, CURLOPT_HTTPHEADER, easy->headers) == CURLE_OK;
}

int mag_http_easy_new(struct mbp_http *http, struct mbp_error *err)
{
  const struct mag_http_request *request = &http->request;
  struct mag_http_easy *easy = calloc(1, sizeof(*easy));
  if (!easy)
    return mag_error_no_memory(err);
  easy->curl = curl_easy_init();
  CURLcode code = easy->curl ? mag_http_easy_common(easy->curl, request, easy->detail) : CURLE_OUT_OF_MEMORY;
  if (code == CURLE_OK)
    code = curl_easy_setopt(easy->curl, CURLOPT_HTTP_VERSION,
                            (request->flags & MBP_HTTP_H2_PRIOR) && !request->is_tls
                                ? (long) CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                : (long) CURL_HTTP_VERSION_2TLS);
  if (code == CURLE_OK)
    code = set_reuse(easy->curl, request);
  if (code == CURLE_OK)
    code = set_method(easy->curl, request);
  if (code == CURLE_OK)
    code = set_callbacks(easy->curl, http);
  if (code == CURLE_OK && !set_headers(easy, request, false))
    code = CURLE_OUT_OF_MEMORY;
  if (code != CURLE_OK) {
    int r = mag_http_easy_error(request, (int) code, easy->detail, err);
    mag_http_easy_free(easy);
    return r;
  }
  http->easy = easy;
  return 0;
}

void mag_http_easy_free(struct mag_http_easy *easy)
{
  if (!easy)
    return;
  curl_easy_cleanup(easy->curl);
  curl_slist_free_all(easy->headers);
  free(easy);
}

void *mag_http_easy_handle(struct mag_http_easy *easy)
{
  return easy->curl;
}

/* ---- Redirects: own, because libcurl would take the caller's headers, keys too, to any host ---- */

static bool url_part(CURLU *url, CURLUPart part, char **ret)
{
  return curl_url_get(url, part, ret, CURLU_DEFAULT_PORT) == CURLUE_OK;
}

/* 1: scheme, host and port are the same; 0: they are not; -1: the step down from https to http, or no URL. */
static int same_origin(const char *from, const char *to)
{
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  CURLU *a = curl_url(), *b = curl_url();
  int same = a && b && curl_url_set(a, CURLUPART_URL, from, 0) == CURLUE_OK &&
                     curl_url_set(b, CURLUPART_URL, to, 0) == CURLUE_OK
                 ? 1
                 : -1;
  for (size_t i = 0; i < MAG_COUNT(parts) && same >= 0; i++) {
    char *x = NULL, *y = NULL;
    if (!url_part(a, parts[i], &x) || !url_part(b, parts[i], &y))
      same = -1;
    else if (strcasecmp(x, y) != 0)
      same = i == 0 && strcasecmp(y, "https") != 0 ? -1 : 0;
    curl_free(x);
    curl_free(y);
  }
  curl_url_cleanup(a);
  curl_url_cleanup(b);
  return same;
}

static int follow(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_http_easy *easy = http->easy;
  const char *host = http->request.host;
  char *next = NULL, *now = NULL;
  (void) curl_easy_getinfo(easy->curl, CURLINFO_REDIRECT_URL, &next);
  (void) curl_easy_getinfo(easy->curl, CURLINFO_EFFECTIVE_URL, &now);
  int same = next && now ? same_origin(now, next) : -1;
  if (same < 0 || (same == 0 && http->request.unix_socket))
    return mag_error(err, MBP_E_PROTOCOL,
                     "%s: a redirect that is not followed (only http and https, never from https to http)", host);
  if (++http->redirects > REDIRECTS_MAX)
    return mag_error(err, MBP_E_PROTOCOL, "%s: more than %d redirects", host, REDIRECTS_MAX);
  /* Once elsewhere, the keys stay at home, also if another redirect leads back. */
  if (same == 0 &&
      (!set_headers(easy, &http->request, true) || curl_easy_setopt(easy->curl, CURLOPT_SSLCERT, NULL) != CURLE_OK ||
       curl_easy_setopt(easy->curl, CURLOPT_SSLKEY, NULL) != CURLE_OK))
    return mag_error_no_memory(err);
  if (curl_easy_setopt(easy->curl, CURLOPT_URL, next) != CURLE_OK) /* copies */
    return mag_error_no_memory(err);
  http->redirecting = false;
  http->active_ms = 0;
  return 1;
}

/* ---- The end ---- */

static int code_of_result(CURLcode result, bool *ret_retryable)
{
  *ret_retryable = false;
  switch (result) {
  case CURLE_URL_MALFORMAT:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CIPHER:
  case CURLE_BAD_FUNCTION_ARGUMENT:
    return MBP_E_INVALID;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    return MBP_E_NETWORK;
  case CURLE_OUT_OF_MEMORY:
    return MBP_E_NO_MEMORY;
  case CURLE_NOT_BUILT_IN:
  case CURLE_UNKNOWN_OPTION:
    return MBP_E_UNSUPPORTED;
  case CURLE_UNSUPPORTED_PROTOCOL: /* the URL was checked: this is an answer that is not HTTP/1.0 or later */
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_BAD_CONTENT_ENCODING:
  case CURLE_TOO_MANY_REDIRECTS:
    return MBP_E_PROTOCOL;
  case CURLE_OPERATION_TIMEDOUT:
    *ret_retryable = true;
    return MBP_E_TIMEOUT;
  default: /* name not found, refused, reset, cut */
    *ret_retryable = true;
    return MBP_E_NETWORK;
  }
}

int mag_http_easy_error(const struct mag_http_request *request, int result, const char *detail, struct mbp_error *err)
{
  bool retryable;
  int code = code_of_result((CURLcode) result, &retryable);
  const char *text = detail && detail[0] ? detail : curl_easy_strerror((CURLcode) result);
  const char *cure = result == CURLE_PEER_FAILED_VERIFICATION
                         ? " (the TLS certificate is not trusted; ca_file names others)"
                     : result == CURLE_SSL_CACERT_BADFILE ? " (see ca_file)"
                     : result == CURLE_SSL_CERTPROBLEM    ? " (see cert_file and key_file)"
                                                          : "";
  /* What libcurl says of a URL may quote it, and it may hold a password. */
  if (result == CURLE_URL_MALFORMAT)
    text = curl_easy_strerror((CURLcode) result);
  if (result == CURLE_COULDNT_CONNECT && request->unix_socket) /* it speaks of a host and a port */
    text = "no server listens on this socket";
  (void) mag_error(err, code, "%s: %s%s", request->host, text, cure);
  if (err && retryable)
    err->flags |= MBP_ERR_RETRYABLE;
  return -code;
}

int mag_http_easy_ended(struct mbp_http *http, int result, struct mbp_error *err)
{
  pthread_mutex_lock(&http->lock);
  struct mbp_error own = http->error; /* a callback of ours stopped it */
  bool ready = http->head_ready, redirecting = http->redirecting;
  pthread_mutex_unlock(&http->lock);
  if (own.code)
    return mag_error_import(err, &own);
  if (result != CURLE_OK)
    return mag_http_easy_error(&http->request, result, http->easy->detail, err);
  if (redirecting)
    return follow(http, err);
  if (ready)
    return 0;
  (void) mag_error(err, MBP_E_NETWORK, "%s: the connection was closed before the response's headers were complete",
                   http->request.host);
  if (err)
    err->flags |= MBP_ERR_RETRYABLE;
  return -MBP_E_NETWORK;
}

int64_t mag_http_date_s(const char *date)
{
  return (int64_t) curl_getdate(date, NULL);
}
