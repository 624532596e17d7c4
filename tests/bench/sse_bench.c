/* CPU for one server-sent event from the bytes of the socket to the caller, in one process with the server of the tests
 * in another, so that only the client is counted. One line of JSON for each measurement. */
#include "../lib/http_server.h"
#include "base/error.h"
#include "host/http.h"
#include "host/sse.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DELTAS 200000
#define EVENT                                                                                                          \
  "event: content_block_delta\ndata: "                                                                                 \
  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n"

/* "/N/SIZE/US": N events in writes of SIZE events, US microseconds between the writes. */
static void serve(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  int n = 0, size = 1, wait_us = 0;
  (void) ctx;
  (void) sscanf(request->path, "/%d/%d/%d", &n, &size, &wait_us);
  size_t len = strlen(EVENT);
  char *piece = malloc(len * (size_t) size);
  for (int i = 0; i < size; i++)
    memcpy(piece + (size_t) i * len, EVENT, len);
  (void) test_reply_begin(conn, 200, "Content-Type: text/event-stream\r\n");
  for (int sent = 0; sent < n && test_reply_chunk(conn, piece, len * (size_t) size); sent += size)
    if (wait_us)
      (void) nanosleep(&(struct timespec){.tv_nsec = wait_us * 1000L}, NULL);
  (void) test_reply_end(conn);
  free(piece);
}

static double cpu_us(void)
{
  struct rusage use;
  (void) getrusage(RUSAGE_SELF, &use);
  return (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
         (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void *stream(void *url)
{
  const struct mbp_http_v1 *http = &mag_http_table;
  struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body), .url = mbp_str(url)};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http *exchange;
  struct mbp_sse_event event = {.size = MBP_SIZE(struct mbp_sse_event, retry_ms)};
  long count = 0;
  if (http->open(NULL, &request, &exchange, &err) < 0) {
    fprintf(stderr, "%s\n", err.message);
    return NULL;
  }
  while (http->next_event(exchange, &event, &err) > 0)
    count++;
  http->close(exchange);
  return (void *) count;
}

static void measure(const char *name, const char *base, int streams, int events, int size, int wait_us)
{
  char url[128];
  pthread_t threads[256];
  long total = 0;
  (void) snprintf(url, sizeof(url), "%s/%d/%d/%d", base, events, size, wait_us);
  double before = cpu_us();
  for (int i = 0; i < streams; i++)
    if (pthread_create(&threads[i], NULL, stream, url))
      abort();
  for (int i = 0; i < streams; i++) {
    void *count;
    (void) pthread_join(threads[i], &count);
    total += (long) count;
  }
  double used = cpu_us() - before;
  printf("{\"metric\":\"%s\",\"events\":%ld,\"cpu_us_per_event\":%.3f}\n", name, total,
         total ? used / (double) total : 0);
}

static void measure_parser(void)
{
  size_t len = strlen(EVENT);
  char *text = malloc(len * 1000);
  struct mag_sse sse;
  for (int i = 0; i < 1000; i++)
    memcpy(text + (size_t) i * len, EVENT, len);
  mag_sse_init(&sse, 0);
  double before = cpu_us();
  long count = 0;
  for (int round = 0; round < 1000; round++)
    for (size_t at = 0, used; at < len * 1000; at += used) {
      struct mbp_sse_event event;
      count += mag_sse_feed(&sse, text + at, len * 1000 - at, &used, &event) == 1;
    }
  printf("{\"metric\":\"sse_parse\",\"events\":%ld,\"cpu_us_per_event\":%.3f}\n", count,
         (cpu_us() - before) / (double) count);
  mag_sse_done(&sse);
  free(text);
}

int main(void)
{
  int ready[2], stop[2];
  char base[64] = "";
  if (pipe(ready) < 0 || pipe(stop) < 0)
    return 1;
  pid_t child = fork();
  if (child == 0) {
    close(stop[1]);
    struct test_server *server = test_server_new(serve, NULL);
    (void) !write(ready[1], test_server_url(server), strlen(test_server_url(server)));
    (void) !read(stop[0], base, 1);
    test_server_free(server);
    _exit(0);
  }
  close(stop[0]);
  if (read(ready[0], base, sizeof(base) - 1) <= 0)
    return 1;
  measure_parser();
  measure("sse_http_bulk", base, 1, DELTAS, 100, 0);
  measure("sse_http_20_a_write", base, 1, DELTAS, 20, 0);
  measure("sse_http_one_at_a_time", base, 1, 20000, 1, 100);
  measure("sse_http_200_streams_one_at_a_time", base, 200, 200, 1, 10000);
  mag_http_stop();
  close(stop[1]);
  (void) waitpid(child, NULL, 0);
  return 0;
}
