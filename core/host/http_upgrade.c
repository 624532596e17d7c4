/* Raw duplex after an upgrade, as the exec and attach of container engines use it: libcurl connects (TLS, proxy, unix
 * socket), the request and the answer's head are ours.
 *
 * It runs in its callers' threads on a multi handle of its own, so connecting can be cancelled. One thread may write
 * while another reads: libcurl's send and receive do not block and are called under a lock.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "host/call.h"
#include "host/http_chunk.h"
#include "host/http_private.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define PIECE ((size_t) 16 << 10)
#define POLL_MS 1000

enum body { BODY_RAW, BODY_LENGTH, BODY_CHUNKED, BODY_NONE };

struct mag_http_upgrade {
  CURLM *multi;
  CURL *curl;
  int fd; /* the socket: libcurl's */
  int epoll_fd;
  pthread_mutex_t lock; /* around libcurl's send and receive */
  bool added, half_closed;
  enum body body;
  uint64_t left;
  struct mag_http_chunk chunk;
  struct mag_buf head; /* bytes until the head is complete */
  char detail[CURL_ERROR_SIZE];
};

void mag_http_upgrade_free(struct mag_http_upgrade *upgrade)
{
  if (!upgrade)
    return;
  if (upgrade->added)
    (void) curl_multi_remove_handle(upgrade->multi, upgrade->curl);
  if (upgrade->curl)
    curl_easy_cleanup(upgrade->curl);
  if (upgrade->multi)
    (void) curl_multi_cleanup(upgrade->multi);
  mag_cleanup_close(&upgrade->epoll_fd);
  mag_buf_done(&upgrade->head);
  (void) pthread_mutex_destroy(&upgrade->lock);
  free(upgrade);
}

static int cut(const struct mbp_http *http, const char *where, struct mbp_error *err)
{
  (void) mag_error(err, MBP_E_NETWORK, "%s: the connection was closed %s", http->request.host, where);
  if (err)
    err->flags |= MBP_ERR_RETRYABLE;
  return -MBP_E_NETWORK;
}

/* ---- Connecting ---- */

static int make_handles(struct mbp_http *http, struct mag_http_upgrade *upgrade, struct mbp_error *err)
{
  upgrade->multi = curl_multi_init();
  upgrade->curl = curl_easy_init();
  if (!upgrade->multi || !upgrade->curl)
    return mag_error_no_memory(err);
  CURL *curl = upgrade->curl;
  int code = mag_http_easy_common(curl, &http->request, upgrade->detail);
  if (code == CURLE_OK)
    code = (int) curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  if (code == CURLE_OK) /* ALPN must not pick HTTP/2 */
    code = (int) curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
  if (code == CURLE_OK && !http->request.unix_socket)
    code = (int) curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
  if (code != CURLE_OK)
    return mag_http_easy_error(&http->request, code, upgrade->detail, err);
  upgrade->added = curl_multi_add_handle(upgrade->multi, curl) == CURLM_OK;
  return upgrade->added ? 0 : mag_error_no_memory(err);
}

static int connect_it(struct mbp_http *http, struct mag_http_upgrade *upgrade, struct mbp_error *err)
{
  for (;;) {
    int running = 0, left = 0;
    if (curl_multi_perform(upgrade->multi, &running) != CURLM_OK)
      return mag_error(err, MBP_E_INTERNAL, "libcurl cannot connect");
    CURLMsg *message = curl_multi_info_read(upgrade->multi, &left);
    if (message && message->msg == CURLMSG_DONE) {
      curl_socket_t fd = CURL_SOCKET_BAD;
      int result = (int) message->data.result;
      if (result != CURLE_OK)
        return mag_http_easy_error(&http->request, result, upgrade->detail, err);
      if (curl_easy_getinfo(upgrade->curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return mag_error(err, MBP_E_INTERNAL, "libcurl connected and has no socket");
      upgrade->fd = fd;
      return 0;
    }
    struct curl_waitfd extra = {.fd = -1, .events = CURL_WAIT_POLLIN};
    if (http->call) {
      if (mag_call_cancelled(http->call))
        return mag_call_cancel_error(http->call, err);
      extra.fd = mag_call_cancel_fd(http->call);
    }
    if (curl_multi_poll(upgrade->multi, &extra, extra.fd >= 0 ? 1 : 0, POLL_MS, NULL) != CURLM_OK)
      return mag_error(err, MBP_E_INTERNAL, "libcurl cannot wait");
  }
}

/* ---- Bytes ---- */

/* Waits for bytes; idle_ms -1: for ever. The number, 0 at the end of the stream. */
static int64_t receive(struct mbp_http *http, void *buf, size_t cap, int64_t idle_ms, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  for (;;) {
    size_t n = 0;
    pthread_mutex_lock(&upgrade->lock);
    CURLcode code = curl_easy_recv(upgrade->curl, buf, cap, &n);
    pthread_mutex_unlock(&upgrade->lock);
    if (code == CURLE_OK)
      return (int64_t) n;
    if (code != CURLE_AGAIN)
      return mag_http_easy_error(&http->request, (int) code, upgrade->detail, err);
    int r = mag_http_wait(http, upgrade->fd, POLLIN, idle_ms, err);
    if (r < 0)
      return r;
    if (r == 0) {
      (void) mag_error(err, MBP_E_TIMEOUT, "%s: nothing came for %lld ms", http->request.host, (long long) idle_ms);
      if (err)
        err->flags |= MBP_ERR_RETRYABLE;
      return -MBP_E_TIMEOUT;
    }
  }
}

int mag_http_upgrade_write(struct mbp_http *http, struct mbp_str data, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  while (data.len > 0) {
    size_t n = 0;
    pthread_mutex_lock(&upgrade->lock);
    bool half_closed = upgrade->half_closed;
    CURLcode code = half_closed ? CURLE_OK : curl_easy_send(upgrade->curl, data.ptr, data.len, &n);
    pthread_mutex_unlock(&upgrade->lock);
    if (half_closed)
      return mag_error(err, MBP_E_INVALID, "HTTP: write after finish");
    if (code != CURLE_OK && code != CURLE_AGAIN)
      return mag_http_easy_error(&http->request, (int) code, upgrade->detail, err);
    data = mbp_str_n(data.ptr + n, data.len - n);
    if (code == CURLE_AGAIN) {
      int r = mag_http_wait(http, upgrade->fd, POLLOUT, -1, err);
      if (r < 0)
        return r;
    }
  }
  return 0;
}

int mag_http_upgrade_finish(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  if (http->request.is_tls)
    return mag_error(err, MBP_E_UNSUPPORTED, "%s: one direction of a TLS connection cannot be closed",
                     http->request.host);
  pthread_mutex_lock(&upgrade->lock);
  upgrade->half_closed = true;
  int number = shutdown(upgrade->fd, SHUT_WR) < 0 ? errno : 0;
  pthread_mutex_unlock(&upgrade->lock);
  return number && number != ENOTCONN ? mag_error_errno(err, number, "%s: cannot end the input", http->request.host)
                                      : 0;
}

/* ---- Request and head ---- */

static void add_host(const struct mag_http_request *request, CURLU *url, struct mag_buf *out)
{
  char *host = NULL, *port = NULL;
  if (mag_http_request_has(request, "Host"))
    return;
  (void) curl_url_get(url, CURLUPART_HOST, &host, 0);
  (void) curl_url_get(url, CURLUPART_PORT, &port, 0);
  mag_buf_printf(out, "Host: %s%s%s\r\n", host ? host : "", port ? ":" : "", port ? port : "");
  curl_free(host);
  curl_free(port);
}

static int write_request(struct mbp_http *http, struct mag_buf *out, struct mbp_error *err)
{
  const struct mag_http_request *request = &http->request;
  CURLU *url = curl_url();
  char *path = NULL, *query = NULL, *user = NULL;
  if (!url || curl_url_set(url, CURLUPART_URL, request->url, 0) != CURLUE_OK) {
    curl_url_cleanup(url);
    return mag_error(err, MBP_E_INVALID, "HTTP request: the URL is not valid");
  }
  (void) curl_url_get(url, CURLUPART_PATH, &path, 0);
  (void) curl_url_get(url, CURLUPART_QUERY, &query, 0);
  (void) curl_url_get(url, CURLUPART_USER, &user, 0);
  mag_buf_printf(out, "%s %s%s%s HTTP/1.1\r\n", request->method, path ? path : "/", query ? "?" : "",
                 query ? query : "");
  add_host(request, url, out);
  for (size_t i = 0; i < request->n_headers; i++) {
    size_t len = strlen(request->headers[i]); /* "Name;" is the list's way of an empty value */
    bool is_empty = !strchr(request->headers[i], ':');
    mag_buf_add(out, request->headers[i], is_empty ? len - 1 : len);
    mag_buf_add_text(out, is_empty ? ":\r\n" : "\r\n");
  }
  if (request->body.len > 0 || strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0)
    mag_buf_printf(out, "Content-Length: %zu\r\n", request->body.len);
  mag_buf_add_text(out, "\r\n");
  mag_buf_add_str(out, request->body);
  bool has_user = user != NULL;
  curl_free(path);
  curl_free(query);
  curl_free(user);
  curl_url_cleanup(url);
  if (has_user)
    return mag_error(err, MBP_E_INVALID, "HTTP request: an upgrade's URL takes no user; send an Authorization header");
  return out->failed ? mag_error_no_memory(err) : 0;
}

/* What follows the head. A 2xx without a length is the stream itself: container engines answer so where they are not
 * asked to upgrade. */
static int choose_body(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  int status = http->head.status;
  struct mbp_str coding = mag_http_head_find(&http->head.lines, "transfer-encoding");
  struct mbp_str length = mag_http_head_find(&http->head.lines, "content-length");
  upgrade->body = BODY_RAW;
  if (status == 101)
    return 0;
  if (status == 204 || status == 304) {
    upgrade->body = BODY_NONE;
  } else if (coding.len > 0) {
    if (coding.len != 7 || strncasecmp(coding.ptr, "chunked", 7) != 0)
      return mag_error(err, MBP_E_PROTOCOL, "%s: a transfer coding that is not known", http->request.host);
    upgrade->body = BODY_CHUNKED;
  } else if (length.len > 0) {
    for (size_t i = 0; i < length.len; i++) {
      if (length.ptr[i] < '0' || length.ptr[i] > '9' || i > 17)
        return mag_error(err, MBP_E_PROTOCOL, "%s: the response's Content-Length is not a number", http->request.host);
      upgrade->left = upgrade->left * 10 + (uint64_t) (length.ptr[i] - '0');
    }
    upgrade->body = BODY_LENGTH;
  }
  return 0;
}

static int head_error(const struct mbp_http *http, int r, struct mbp_error *err)
{
  if (r == -MBP_E_LIMIT)
    return mag_error(err, MBP_E_LIMIT, "%s: the response's headers are larger than %zu bytes", http->request.host,
                     MAG_HTTP_HEAD_MAX);
  if (r == -MBP_E_NO_MEMORY)
    return mag_error_no_memory(err);
  return mag_error(err, MBP_E_PROTOCOL, "%s: the response has no valid head", http->request.host);
}

/* Takes whole lines out of `head`. 1: the final head is complete, what is left belongs to the stream. */
static int take_lines(struct mbp_http *http, struct mag_buf *in, struct mbp_error *err)
{
  size_t at = 0;
  int r = 0;
  while (r == 0 && at < in->len) {
    const char *line = in->ptr + at, *lf = memchr(line, '\n', in->len - at);
    if (!lf)
      break;
    size_t len = (size_t) (lf + 1 - line);
    bool is_blank = len == 1 || (len == 2 && line[0] == '\r');
    if (http->head.status == 0 && (len < 5 || memcmp(line, "HTTP/", 5) != 0))
      r = -MBP_E_PROTOCOL;
    else
      r = mag_http_head_line(&http->head, line, len);
    at += len;
    if (r < 0)
      return head_error(http, r, err);
    if (is_blank && (http->head.status == 101 || http->head.status >= 200))
      r = 1;
  }
  mag_buf_consume(in, at);
  if (r == 0 && in->len > MAG_HTTP_HEAD_MAX - http->head.total)
    return head_error(http, -MBP_E_LIMIT, err);
  return r;
}

static int read_head(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_buf *in = &http->upgrade->head;
  int r = 0;
  while (r == 0) {
    if (mag_buf_reserve(in, PIECE) < 0)
      return mag_error_no_memory(err);
    int64_t n = receive(http, in->ptr + in->len, PIECE, http->request.idle_timeout_ms, err);
    if (n < 0)
      return (int) n;
    if (n == 0)
      return cut(http, "before the response's headers were complete", err);
    in->len += (size_t) n;
    in->ptr[in->len] = 0;
    r = take_lines(http, in, err);
  }
  if (r > 0)
    r = choose_body(http, err);
  http->head_ready = r == 0;
  return r;
}

/* ---- What is read ---- */

/* Cuts `local` to what belongs to the body. 1: bytes, 0: none yet, 2: the end (what is in `local` is the last). */
static int frame(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  struct mag_buf *local = &http->local;
  if (upgrade->body == BODY_LENGTH) {
    local->len = (size_t) MAG_MIN((uint64_t) local->len, upgrade->left);
    upgrade->left -= local->len;
    if (upgrade->left == 0)
      upgrade->body = BODY_NONE;
  } else if (upgrade->body == BODY_CHUNKED) {
    int r = mag_http_chunk_decode(&upgrade->chunk, local->ptr, local->len, &local->len);
    if (r < 0)
      return mag_error(err, MBP_E_PROTOCOL, "%s: the response's chunks are malformed", http->request.host);
    if (r == MAG_HTTP_CHUNK_END)
      upgrade->body = BODY_NONE;
  }
  return local->len > 0;
}

/* TLS takes more from the socket than it hands out, and no descriptor tells of it: true if there is something to read,
 * or the end. */
static bool look_ahead(struct mag_http_upgrade *upgrade)
{
  size_t n = 0;
  if (mag_buf_reserve(&upgrade->head, PIECE) < 0)
    return true; /* who reads is told */
  pthread_mutex_lock(&upgrade->lock);
  CURLcode code = curl_easy_recv(upgrade->curl, upgrade->head.ptr, PIECE, &n);
  pthread_mutex_unlock(&upgrade->lock);
  if (code == CURLE_OK)
    upgrade->head.len = n;
  return code != CURLE_AGAIN;
}

/* poll_fd must tell of bytes that were taken from the socket and not read yet. */
void mag_http_upgrade_settle(struct mbp_http *http)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  bool leftover = upgrade->head.len > 0 || http->local_at < http->local.len || upgrade->body == BODY_NONE;
  eventfd_t value;
  if (upgrade->epoll_fd < 0)
    return;
  if (!leftover && http->request.is_tls)
    leftover = look_ahead(upgrade);
  if (leftover)
    (void) eventfd_write(http->efd, 1);
  else
    (void) eventfd_read(http->efd, &value);
}

int mag_http_upgrade_refill(struct mbp_http *http, struct mbp_error *err)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  struct mag_buf *local = &http->local;
  int r = 0;
  while (r == 0) {
    if (upgrade->body == BODY_NONE || (upgrade->body == BODY_LENGTH && upgrade->left == 0))
      return 0;
    mag_buf_clear(local);
    if (upgrade->head.len > 0) {
      mag_buf_add_str(local, mag_buf_str(&upgrade->head));
      mag_buf_done(&upgrade->head);
    } else if (mag_buf_reserve(local, PIECE) == 0) {
      int64_t n = receive(http, local->ptr, PIECE, upgrade->body == BODY_RAW ? -1 : http->request.idle_timeout_ms, err);
      if (n < 0)
        return (int) n;
      if (n == 0)
        return upgrade->body == BODY_RAW ? 0 : cut(http, "before the response was complete", err);
      local->len = (size_t) n;
    }
    if (local->failed)
      return mag_error_no_memory(err);
    r = frame(http, err);
  }
  return r;
}

/* ---- Open ---- */

int mag_http_upgrade_open(struct mbp_http *http, struct mbp_error *err)
{
  int r = mag_http_global_init(err);
  if (r < 0)
    return r;
  struct mag_http_upgrade *upgrade = calloc(1, sizeof(*upgrade));
  if (!upgrade)
    return mag_error_no_memory(err);
  (void) pthread_mutex_init(&upgrade->lock, NULL);
  upgrade->epoll_fd = upgrade->fd = -1;
  http->upgrade = upgrade;
  mag_autobuf request = MAG_BUF_INIT;
  r = write_request(http, &request, err);
  if (r == 0)
    r = make_handles(http, upgrade, err);
  if (r == 0)
    r = connect_it(http, upgrade, err);
  if (r == 0)
    r = mag_http_upgrade_write(http, mag_buf_str(&request), err);
  if (r == 0 || r == -MBP_E_NETWORK) { /* who refuses a long request early may have said why */
    bool sent = r == 0;
    int head = upgrade->fd >= 0 ? read_head(http, sent ? err : NULL) : r;
    r = sent || head == 0 ? head : r;
  }
  if (request.ptr)
    explicit_bzero(request.ptr, request.len);
  return r;
}

int mag_http_upgrade_fd(struct mbp_http *http)
{
  struct mag_http_upgrade *upgrade = http->upgrade;
  struct epoll_event event = {.events = EPOLLIN};
  if (upgrade->epoll_fd >= 0)
    return upgrade->epoll_fd;
  upgrade->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (upgrade->epoll_fd < 0)
    return -1;
  (void) epoll_ctl(upgrade->epoll_fd, EPOLL_CTL_ADD, upgrade->fd, &event);
  (void) epoll_ctl(upgrade->epoll_fd, EPOLL_CTL_ADD, http->efd, &event);
  mag_http_upgrade_settle(http);
  return upgrade->epoll_fd;
}
