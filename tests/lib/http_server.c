#include "http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX ((size_t) 1 << 20)
#define BODY_MAX ((size_t) 256 << 20)

struct test_conn {
  struct test_server *server;
  int fd;
  pthread_t thread;
  bool closed, done;
  char *buf; /* bytes that came and were not taken yet */
  size_t len, cap;
  struct test_conn *next;
};

struct test_server {
  test_handler handler;
  void *ctx;
  int fd, port;
  bool early, stopping;
  char *unix_path;
  char url[64];
  pthread_t thread;
  pthread_mutex_t lock;
  struct test_conn *conns;
  struct test_request **requests;
  size_t n_requests;
};

static void must(bool good, const char *what)
{
  if (good)
    return;
  fprintf(stderr, "test server: %s failed (errno %d)\n", what, errno);
  abort();
}

static void *need(void *memory)
{
  must(memory != NULL, "allocation");
  return memory;
}

/* ---- Reading ---- */

static bool fill(struct test_conn *conn)
{
  if (conn->cap - conn->len < 16384) {
    conn->cap = conn->cap ? conn->cap * 2 : 32768;
    conn->buf = need(realloc(conn->buf, conn->cap));
  }
  ssize_t n;
  do
    n = recv(conn->fd, conn->buf + conn->len, conn->cap - conn->len, 0);
  while (n < 0 && errno == EINTR);
  if (n <= 0)
    return false;
  conn->len += (size_t) n;
  return true;
}

static void consume(struct test_conn *conn, size_t n)
{
  conn->len -= n;
  memmove(conn->buf, conn->buf + n, conn->len);
}

/* A copy of the bytes up to and with `end`, taken out; NULL: the client has gone. */
static char *take_until(struct test_conn *conn, const char *end, size_t max)
{
  for (;;) {
    char *found = conn->len ? memmem(conn->buf, conn->len, end, strlen(end)) : NULL;
    if (found) {
      size_t n = (size_t) (found - conn->buf) + strlen(end);
      char *text = need(strndup(conn->buf, n));
      consume(conn, n);
      return text;
    }
    if (conn->len > max || !fill(conn))
      return NULL;
  }
}

static bool take_bytes(struct test_conn *conn, struct test_request *request, size_t n)
{
  if (n > BODY_MAX - request->body_len)
    return false;
  while (conn->len < n)
    if (!fill(conn))
      return false;
  request->body = need(realloc(request->body, request->body_len + n + 1));
  if (n)
    memcpy(request->body + request->body_len, conn->buf, n);
  request->body_len += n;
  request->body[request->body_len] = 0;
  consume(conn, n);
  return true;
}

static bool take_chunks(struct test_conn *conn, struct test_request *request)
{
  for (;;) {
    char *line = take_until(conn, "\r\n", 1024);
    if (!line)
      return false;
    size_t n = strtoull(line, NULL, 16);
    free(line);
    if (n > 0 && !take_bytes(conn, request, n))
      return false;
    line = take_until(conn, "\r\n", 1024); /* after the chunk; after the last one: no trailers */
    if (!line)
      return false;
    free(line);
    if (n == 0)
      return true;
  }
}

static bool take_body(struct test_conn *conn, struct test_request *request)
{
  const char *coding = test_request_header(request, "Transfer-Encoding");
  const char *length = test_request_header(request, "Content-Length");
  if (coding && strcasecmp(coding, "chunked") == 0)
    return take_chunks(conn, request);
  return !length || take_bytes(conn, request, strtoull(length, NULL, 10));
}

static void free_request(struct test_request *request)
{
  free(request->method);
  free(request->path);
  free(request->headers);
  free(request->body);
  free(request);
}

static struct test_request *read_request(struct test_conn *conn)
{
  char *head = take_until(conn, "\r\n\r\n", HEAD_MAX);
  if (!head)
    return NULL;
  struct test_request *request = need(calloc(1, sizeof(*request)));
  char *line = strstr(head, "\r\n"), *space = strchr(head, ' '), *second = space ? strchr(space + 1, ' ') : NULL;
  bool good = second && second < line;
  if (good) {
    request->method = need(strndup(head, (size_t) (space - head)));
    request->path = need(strndup(space + 1, (size_t) (second - space - 1)));
    request->headers = need(strdup(line + 2));
    request->body = need(calloc(1, 1));
    good = conn->server->early || take_body(conn, request);
  }
  free(head);
  if (good)
    return request;
  free_request(request);
  return NULL;
}

const char *test_request_header(const struct test_request *request, const char *name)
{
  static _Thread_local char values[4][8192];
  static _Thread_local unsigned turn;
  size_t n = strlen(name);
  for (const char *line = request->headers; line && *line;
       line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL) {
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
      continue;
    char *value = values[turn++ % 4];
    const char *from = line + n + 1;
    from += strspn(from, " \t");
    (void) snprintf(value, sizeof(values[0]), "%.*s", (int) strcspn(from, "\r\n"), from);
    return value;
  }
  return NULL;
}

/* ---- Connections ---- */

static void record(struct test_server *server, struct test_request *request)
{
  pthread_mutex_lock(&server->lock);
  server->requests = need(realloc(server->requests, (server->n_requests + 1) * sizeof(*server->requests)));
  request->number = server->n_requests;
  server->requests[server->n_requests++] = request;
  pthread_mutex_unlock(&server->lock);
}

static void *conn_main(void *ctx)
{
  struct test_conn *conn = ctx;
  while (!conn->closed) {
    struct test_request *request = read_request(conn);
    if (!request)
      break;
    const char *connection = test_request_header(request, "Connection");
    bool last = connection && strcasecmp(connection, "close") == 0;
    record(conn->server, request);
    conn->server->handler(conn, request, conn->server->ctx);
    if (last)
      break;
  }
  test_conn_close(conn);
  /* Closing with bytes unread would reset the connection, and the answer to a body that nobody read would be lost. */
  if (conn->server->early)
    while (poll(&(struct pollfd){conn->fd, POLLIN, 0}, 1, 200) > 0 && (conn->len = 0, fill(conn)))
      continue;
  pthread_mutex_lock(&conn->server->lock);
  close(conn->fd);
  conn->fd = -1;
  conn->done = true;
  pthread_mutex_unlock(&conn->server->lock);
  free(conn->buf);
  conn->buf = NULL;
  return NULL;
}

/* Lock held: gives back what ended connections hold. */
static void reap(struct test_server *server, bool all)
{
  for (struct test_conn **at = &server->conns; *at;) {
    struct test_conn *conn = *at;
    if (!all && !conn->done) {
      at = &conn->next;
      continue;
    }
    *at = conn->next;
    pthread_mutex_unlock(&server->lock);
    must(pthread_join(conn->thread, NULL) == 0, "join");
    pthread_mutex_lock(&server->lock);
    free(conn);
    at = &server->conns;
  }
}

static void *server_main(void *ctx)
{
  struct test_server *server = ctx;
  for (;;) {
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
      continue;
    if (fd < 0)
      return NULL;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct test_conn *conn = need(calloc(1, sizeof(*conn)));
    conn->server = server;
    conn->fd = fd;
    pthread_mutex_lock(&server->lock);
    reap(server, false);
    if (server->stopping) {
      close(fd);
      free(conn);
    } else {
      pthread_attr_t attributes;
      (void) pthread_attr_init(&attributes);
      (void) pthread_attr_setstacksize(&attributes, (size_t) 256 << 10);
      conn->next = server->conns;
      server->conns = conn;
      must(pthread_create(&conn->thread, &attributes, conn_main, conn) == 0, "thread");
      (void) pthread_attr_destroy(&attributes);
    }
    pthread_mutex_unlock(&server->lock);
  }
}

static struct test_server *start(int fd, test_handler handler, void *ctx)
{
  struct test_server *server = need(calloc(1, sizeof(*server)));
  must(listen(fd, 512) == 0, "listen");
  server->fd = fd;
  server->handler = handler;
  server->ctx = ctx;
  (void) pthread_mutex_init(&server->lock, NULL);
  return server;
}

struct test_server *test_server_new(test_handler handler, void *ctx)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(fd >= 0 && bind(fd, (struct sockaddr *) &address, len) == 0, "bind");
  must(getsockname(fd, (struct sockaddr *) &address, &len) == 0, "getsockname");
  struct test_server *server = start(fd, handler, ctx);
  server->port = ntohs(address.sin_port);
  (void) snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d", server->port);
  must(pthread_create(&server->thread, NULL, server_main, server) == 0, "thread");
  return server;
}

struct test_server *test_server_new_unix(const char *path, test_handler handler, void *ctx)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(strlen(path) < sizeof(address.sun_path), "length of the socket's path");
  memcpy(address.sun_path, path, strlen(path) + 1);
  (void) unlink(path);
  must(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0, "bind");
  struct test_server *server = start(fd, handler, ctx);
  server->unix_path = need(strdup(path));
  (void) snprintf(server->url, sizeof(server->url), "http://localhost");
  must(pthread_create(&server->thread, NULL, server_main, server) == 0, "thread");
  return server;
}

void test_server_early(struct test_server *server)
{
  server->early = true;
}

void test_server_free(struct test_server *server)
{
  if (!server)
    return;
  pthread_mutex_lock(&server->lock);
  server->stopping = true;
  (void) shutdown(server->fd, SHUT_RDWR);
  for (struct test_conn *conn = server->conns; conn; conn = conn->next)
    if (conn->fd >= 0)
      (void) shutdown(conn->fd, SHUT_RDWR);
  pthread_mutex_unlock(&server->lock);
  must(pthread_join(server->thread, NULL) == 0, "join");
  pthread_mutex_lock(&server->lock);
  reap(server, true);
  pthread_mutex_unlock(&server->lock);
  close(server->fd);
  if (server->unix_path)
    (void) unlink(server->unix_path);
  free(server->unix_path);
  for (size_t i = 0; i < server->n_requests; i++)
    free_request(server->requests[i]);
  free(server->requests);
  (void) pthread_mutex_destroy(&server->lock);
  free(server);
}

const char *test_server_url(struct test_server *server)
{
  return server->url;
}

int test_server_port(struct test_server *server)
{
  return server->port;
}

size_t test_server_count(struct test_server *server)
{
  pthread_mutex_lock(&server->lock);
  size_t n = server->n_requests;
  pthread_mutex_unlock(&server->lock);
  return n;
}

const struct test_request *test_server_request(struct test_server *server, size_t number)
{
  pthread_mutex_lock(&server->lock);
  const struct test_request *request = number < server->n_requests ? server->requests[number] : NULL;
  pthread_mutex_unlock(&server->lock);
  return request;
}

size_t test_server_open(struct test_server *server)
{
  size_t n = 0;
  pthread_mutex_lock(&server->lock);
  for (struct test_conn *conn = server->conns; conn; conn = conn->next)
    n += !conn->done;
  pthread_mutex_unlock(&server->lock);
  return n;
}

bool test_server_wait_closed(struct test_server *server)
{
  for (int i = 0; i < 1000; i++) {
    if (test_server_open(server) == 0)
      return true;
    (void) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
  return false;
}

/* ---- Answers ---- */

bool test_reply_raw(struct test_conn *conn, const void *data, size_t len)
{
  const char *at = data;
  while (len > 0 && !conn->closed) {
    ssize_t n = send(conn->fd, at, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      conn->closed = true;
    else {
      at += n;
      len -= (size_t) n;
    }
  }
  return !conn->closed;
}

bool test_reply_raw_split(struct test_conn *conn, const void *data, size_t len, size_t split)
{
  const char *bytes = data;
  if (split == 0)
    split = len;
  for (size_t at = 0; at < len; at += split) {
    if (!test_reply_raw(conn, bytes + at, len - at < split ? len - at : split))
      return false;
    if (at % (16 * split) == 0) /* let the other side see it in pieces */
      (void) sched_yield();
  }
  return true;
}

static bool reply_head(struct test_conn *conn, int status, const char *headers, const char *framing)
{
  size_t size = 256 + (headers ? strlen(headers) : 0);
  char *head = need(malloc(size));
  int n = snprintf(head, size, "HTTP/1.1 %d Status\r\n%s%s\r\n", status, headers ? headers : "", framing);
  bool good = test_reply_raw(conn, head, (size_t) n);
  free(head);
  return good;
}

bool test_reply_n(struct test_conn *conn, int status, const char *headers, const void *body, size_t len)
{
  char framing[64];
  (void) snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", len);
  return reply_head(conn, status, headers, framing) && test_reply_raw(conn, body, len);
}

bool test_reply(struct test_conn *conn, int status, const char *headers, const char *body)
{
  return test_reply_n(conn, status, headers, body, strlen(body));
}

bool test_reply_begin(struct test_conn *conn, int status, const char *headers)
{
  return reply_head(conn, status, headers, "Transfer-Encoding: chunked\r\n");
}

bool test_reply_chunk(struct test_conn *conn, const void *data, size_t len)
{
  char *chunk = need(malloc(len + 32));
  int n = snprintf(chunk, 32, "%zx\r\n", len);
  memcpy(chunk + n, data, len);
  memcpy(chunk + n + len, "\r\n", 2);
  bool good = len == 0 || test_reply_raw(conn, chunk, (size_t) n + len + 2);
  free(chunk);
  return good;
}

bool test_reply_end(struct test_conn *conn)
{
  return test_reply_raw(conn, "0\r\n\r\n", 5);
}

#define SSE_HEADERS "Content-Type: text/event-stream\r\n"

bool test_reply_sse_slow(struct test_conn *conn, const char *text, size_t split, int wait_ms)
{
  size_t len = strlen(text);
  if (!test_reply_begin(conn, 200, SSE_HEADERS))
    return false;
  if (split == 0)
    split = len ? len : 1;
  for (size_t at = 0; at < len; at += split)
    if (!test_reply_chunk(conn, text + at, len - at < split ? len - at : split) ||
        (wait_ms > 0 && !test_conn_sleep(conn, wait_ms)))
      return false;
  return test_reply_end(conn);
}

bool test_reply_sse(struct test_conn *conn, const char *text, size_t split)
{
  return test_reply_sse_slow(conn, text, split, 0);
}

bool test_reply_sse_cut(struct test_conn *conn, const char *text, size_t len)
{
  if (len > strlen(text))
    len = strlen(text);
  bool good = test_reply_begin(conn, 200, SSE_HEADERS) && test_reply_chunk(conn, text, len);
  test_conn_close(conn);
  return good;
}

/* ---- Misbehaviour ---- */

void test_conn_close(struct test_conn *conn)
{
  if (!conn->closed)
    (void) shutdown(conn->fd, conn->server->early ? SHUT_WR : SHUT_RDWR);
  conn->closed = true;
}

void test_conn_reset(struct test_conn *conn)
{
  /* The descriptor stays ours: connecting it to nothing is what resets it. */
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  if (!conn->closed)
    (void) connect(conn->fd, &none, sizeof(none));
  conn->closed = true;
}

void test_conn_half_close(struct test_conn *conn)
{
  (void) shutdown(conn->fd, SHUT_WR);
}

bool test_conn_sleep(struct test_conn *conn, int ms)
{
  struct pollfd fd = {conn->fd, POLLRDHUP, 0};
  return poll(&fd, 1, ms) == 0;
}

void test_conn_stall(struct test_conn *conn)
{
  (void) test_conn_sleep(conn, 60000);
  test_conn_close(conn);
}

int64_t test_conn_read(struct test_conn *conn, void *buf, size_t cap)
{
  if (conn->len == 0 && !fill(conn))
    return 0;
  size_t n = conn->len < cap ? conn->len : cap;
  memcpy(buf, conn->buf, n);
  consume(conn, n);
  return (int64_t) n;
}

int test_conn_fd(struct test_conn *conn)
{
  return conn->fd;
}
