#include "cutter.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define MARK_MAX 64
#define LINE_MAX 1024

struct connection {
  struct cutter *cutter;
  pthread_t thread;
  int client, engine;
  bool over;               /* its thread is about to end */
  char request[LINE_MAX];  /* method and path of the newest one */
  char tail[LINE_MAX + 1]; /* of what the client has sent: a request may come in pieces */
};

struct cutter {
  pthread_mutex_t lock;
  pthread_t thread;
  int listener;
  struct sockaddr_un target;
  char mark[MARK_MAX];
  int64_t after, counted;
  bool armed, of_requests, cut;
  struct connection connections[CONNECTIONS_MAX];
  size_t n_connections;
};

static void need(bool fine, const char *what)
{
  if (fine)
    return;
  perror(what);
  abort();
}

static struct sockaddr_un address_of(const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  need(snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) < (int) sizeof(address.sun_path), path);
  return address;
}

static bool send_all(int fd, const char *data, size_t len)
{
  while (len > 0) {
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    data += n;
    len -= (size_t) n;
  }
  return true;
}

/* Keeps the line of the newest request; the end of what came before belongs to it. */
static void note_request(struct connection *connection, const char *data, size_t len)
{
  static const char version[] = " HTTP/1.1\r\n";
  char text[65536 + sizeof(connection->tail)];
  size_t kept = strlen(connection->tail);
  memcpy(text, connection->tail, kept);
  for (size_t i = 0; i < len; i++)
    text[kept + i] = data[i] ? data[i] : '.';
  text[kept + len] = 0;
  char *end = NULL;
  for (char *next = text; (next = strstr(next, version)) != NULL; next++)
    end = next;
  char *line = end;
  while (line && line > text && line[-1] != '\n')
    line--;
  (void) pthread_mutex_lock(&connection->cutter->lock);
  if (line)
    (void) snprintf(connection->request, sizeof(connection->request), "%.*s", (int) (end - line), line);
  (void) pthread_mutex_unlock(&connection->cutter->lock);
  size_t all = kept + len, keep = all < LINE_MAX ? all : LINE_MAX;
  memmove(connection->tail, text + all - keep, keep);
  connection->tail[keep] = 0;
}

/* How many of the bytes of an answer or a request may pass. */
static size_t allowed(struct connection *connection, bool request, size_t len)
{
  struct cutter *cutter = connection->cutter;
  size_t pass = len;
  (void) pthread_mutex_lock(&cutter->lock);
  if (cutter->armed && cutter->of_requests == request && strstr(connection->request, cutter->mark)) {
    if (!cutter->cut && cutter->counted + (int64_t) len > cutter->after) {
      pass = (size_t) (cutter->after - cutter->counted);
      cutter->cut = true;
    }
    cutter->counted += (int64_t) pass;
  }
  (void) pthread_mutex_unlock(&cutter->lock);
  return pass;
}

static void pump(struct connection *connection)
{
  char data[65536];
  struct pollfd fds[2] = {{.fd = connection->client, .events = POLLIN}, {.fd = connection->engine, .events = POLLIN}};
  while (fds[1].fd >= 0) {
    if (poll(fds, 2, -1) < 0)
      return;
    if (fds[0].revents) {
      ssize_t n = recv(connection->client, data, sizeof(data), 0);
      if (n > 0)
        note_request(connection, data, (size_t) n);
      if (n <= 0)
        fds[0].fd = -1;
      if (n <= 0 && (n < 0 || shutdown(connection->engine, SHUT_WR) < 0))
        return;
      size_t pass = n > 0 ? allowed(connection, true, (size_t) n) : 0;
      if (n > 0 && (!send_all(connection->engine, data, pass) || pass < (size_t) n))
        return;
    }
    if (fds[1].revents) {
      ssize_t n = recv(connection->engine, data, sizeof(data), 0);
      size_t pass = n > 0 ? allowed(connection, false, (size_t) n) : 0;
      if (!send_all(connection->client, data, pass) || n <= 0 || pass < (size_t) n)
        return;
    }
  }
}

static void *connection_main(void *pointer)
{
  struct connection *connection = pointer;
  pump(connection);
  (void) shutdown(connection->client, SHUT_RDWR);
  (void) shutdown(connection->engine, SHUT_RDWR);
  (void) pthread_mutex_lock(&connection->cutter->lock);
  connection->over = true;
  (void) pthread_mutex_unlock(&connection->cutter->lock);
  return NULL;
}

static void bury(struct connection *connection)
{
  (void) pthread_join(connection->thread, NULL);
  (void) close(connection->client);
  (void) close(connection->engine);
}

/* A new one, or that of a connection that is over. The lock is held. */
static struct connection *free_slot(struct cutter *cutter)
{
  for (size_t i = 0; i < cutter->n_connections; i++)
    if (cutter->connections[i].over) {
      bury(&cutter->connections[i]);
      return &cutter->connections[i];
    }
  need(cutter->n_connections < CONNECTIONS_MAX, "too many connections");
  return &cutter->connections[cutter->n_connections++];
}

static void *accept_main(void *pointer)
{
  struct cutter *cutter = pointer;
  int client;
  while ((client = accept4(cutter->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
    int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(engine, (struct sockaddr *) &cutter->target, sizeof(cutter->target)) < 0) {
      (void) close(engine); /* there is no engine at the moment */
      (void) close(client);
      continue;
    }
    (void) pthread_mutex_lock(&cutter->lock);
    struct connection *connection = free_slot(cutter);
    *connection = (struct connection){.cutter = cutter, .client = client, .engine = engine};
    need(pthread_create(&connection->thread, NULL, connection_main, connection) == 0, "thread");
    (void) pthread_mutex_unlock(&cutter->lock);
  }
  return NULL;
}

struct cutter *cutter_new(const char *path, const char *target)
{
  struct cutter *cutter = calloc(1, sizeof(*cutter));
  need(cutter != NULL, "cutter");
  struct sockaddr_un address = address_of(path);
  cutter->target = address_of(target);
  (void) pthread_mutex_init(&cutter->lock, NULL);
  cutter->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void) unlink(path);
  need(bind(cutter->listener, (struct sockaddr *) &address, sizeof(address)) == 0, path);
  need(listen(cutter->listener, 64) == 0, path);
  need(pthread_create(&cutter->thread, NULL, accept_main, cutter) == 0, "thread");
  return cutter;
}

void cutter_free(struct cutter *cutter)
{
  (void) shutdown(cutter->listener, SHUT_RDWR); /* ends accept */
  (void) pthread_join(cutter->thread, NULL);
  (void) close(cutter->listener);
  for (size_t i = 0; i < cutter->n_connections; i++) {
    struct connection *connection = &cutter->connections[i];
    (void) shutdown(connection->client, SHUT_RDWR);
    (void) shutdown(connection->engine, SHUT_RDWR);
    bury(connection);
  }
  (void) pthread_mutex_destroy(&cutter->lock);
  free(cutter);
}

static void arm(struct cutter *cutter, const char *mark, int64_t after, bool of_requests)
{
  (void) pthread_mutex_lock(&cutter->lock);
  need(strlen(mark) < MARK_MAX, mark);
  memcpy(cutter->mark, mark, strlen(mark) + 1);
  cutter->after = after;
  cutter->of_requests = of_requests;
  cutter->counted = 0;
  cutter->cut = false;
  cutter->armed = true;
  (void) pthread_mutex_unlock(&cutter->lock);
}

void cutter_arm(struct cutter *cutter, const char *mark, int64_t after)
{
  arm(cutter, mark, after, false);
}

void cutter_arm_requests(struct cutter *cutter, const char *mark, int64_t after)
{
  arm(cutter, mark, after, true);
}

void cutter_disarm(struct cutter *cutter)
{
  (void) pthread_mutex_lock(&cutter->lock);
  cutter->armed = false;
  (void) pthread_mutex_unlock(&cutter->lock);
}

int64_t cutter_counted(struct cutter *cutter)
{
  (void) pthread_mutex_lock(&cutter->lock);
  int64_t counted = cutter->counted;
  (void) pthread_mutex_unlock(&cutter->lock);
  return counted;
}

int cutter_has_cut(struct cutter *cutter)
{
  (void) pthread_mutex_lock(&cutter->lock);
  bool cut = cutter->cut;
  (void) pthread_mutex_unlock(&cutter->lock);
  return cut;
}
