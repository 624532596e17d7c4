#include "model_server.h"

#include "base/buf.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 512
#define EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define DELTA EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}")
#define DELTAS_A_WRITE 16

static struct model_server server;
static int listener;
static struct pollfd fds[1 + CONNECTIONS];
static struct mag_buf inputs[1 + CONNECTIONS];

static void send_all(int fd, const char *data, size_t len)
{
  for (size_t at = 0; at < len;) {
    ssize_t n = send(fd, data + at, len - at, MSG_NOSIGNAL);
    if (n <= 0)
      return; /* the client has gone: it will be noticed when it is read from */
    at += (size_t) n;
  }
}

static void send_chunk(int fd, struct mag_buf *text)
{
  struct mag_buf chunk = MAG_BUF_INIT;
  mag_buf_printf(&chunk, "%zx\r\n", text->len);
  mag_buf_add(&chunk, text->ptr, text->len);
  mag_buf_add(&chunk, "\r\n", 2);
  send_all(fd, chunk.ptr, chunk.len);
  mag_buf_done(&chunk);
  mag_buf_clear(text);
}

static void begin(struct mag_buf *out, size_t number)
{
  mag_buf_printf(
      out,
      EVENT("message_start",
            ",\"message\":{\"id\":\"msg_%zu\",\"type\":\"message\","
            "\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
            "\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}"),
      number);
  mag_buf_printf(out, EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"));
}

static void end(struct mag_buf *out, const char *stop)
{
  mag_buf_printf(out,
                 EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
                                        "\"usage\":{\"output_tokens\":20}"),
                 stop);
  mag_buf_printf(out, EVENT("message_stop", ""));
}

static void ask_for_tool(struct mag_buf *out, size_t number)
{
  mag_buf_printf(out,
                 EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\","
                                              "\"text\":\"Step %zu.\"}"),
                 number);
  mag_buf_printf(out, EVENT("content_block_stop", ",\"index\":0"));
  mag_buf_printf(out,
                 EVENT("content_block_start", ",\"index\":1,"
                                              "\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_%zu\","
                                              "\"name\":\"bash\",\"input\":{}}"),
                 number);
  mag_buf_printf(out,
                 EVENT("content_block_delta", ",\"index\":1,"
                                              "\"delta\":{\"type\":\"input_json_delta\","
                                              "\"partial_json\":\"{\\\"command\\\":\\\"echo %zu\\\"}\"}"),
                 number);
  mag_buf_printf(out, EVENT("content_block_stop", ",\"index\":1"));
  end(out, "tool_use");
}

/* Are a tool's results the last thing that the conversation holds? */
static bool ends_with_results(const struct mag_buf *input)
{
  const char *last = NULL, *end = input->ptr + input->len;
  for (const char *at = input->ptr; (at = memmem(at, (size_t) (end - at), "\"role\":\"user\"", 13)); at++)
    last = at;
  return last && memmem(last, (size_t) (end - last), "\"type\":\"tool_result\"", 20);
}

static void answer(int fd, size_t number, bool ask)
{
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             "Transfer-Encoding: chunked\r\nrequest-id: req\r\n\r\n";
  struct mag_buf out = MAG_BUF_INIT;
  send_all(fd, head, sizeof(head) - 1);
  begin(&out, number);
  if (ask) {
    ask_for_tool(&out, number);
  } else {
    for (size_t i = 0; i < server.deltas; i++) {
      mag_buf_add(&out, DELTA, sizeof(DELTA) - 1);
      if (i % DELTAS_A_WRITE == DELTAS_A_WRITE - 1)
        send_chunk(fd, &out);
    }
    mag_buf_printf(&out, EVENT("content_block_stop", ",\"index\":0"));
    end(&out, "end_turn");
  }
  send_chunk(fd, &out);
  send_all(fd, "0\r\n\r\n", 5);
  mag_buf_done(&out);
}

/* Length of the first whole request in the buffer, 0: not all of it has come. */
static size_t whole_request(const struct mag_buf *input)
{
  const char *body = input->len ? memmem(input->ptr, input->len, "\r\n\r\n", 4) : NULL;
  if (!body)
    return 0;
  size_t len = (size_t) (body + 4 - input->ptr);
  for (const char *line = input->ptr; line < body; line = strstr(line, "\r\n") + 2)
    if (strncasecmp(line, "content-length:", 15) == 0)
      len += strtoul(line + 15, NULL, 10);
  return input->len >= len ? len : 0;
}

static void read_from(size_t i)
{
  char chunk[65536];
  ssize_t n = recv(fds[i].fd, chunk, sizeof(chunk), 0);
  if (n <= 0) {
    close(fds[i].fd);
    fds[i].fd = -1;
    mag_buf_clear(&inputs[i]);
    return;
  }
  mag_buf_add(&inputs[i], chunk, (size_t) n);
  if (whole_request(&inputs[i]) == 0 || server.n_requests == MODEL_REQUESTS_MAX)
    return;
  size_t number = server.n_requests;
  server.arrived_ns[number] = mag_clock_monotonic_ns();
  server.n_requests++;
  bool ask = server.by_turn ? !ends_with_results(&inputs[i]) : number < server.steps;
  mag_buf_clear(&inputs[i]);
  if (server.arrived)
    server.arrived(server.ctx, number);
  if (server.silent)
    return;
  answer(fds[i].fd, number, ask);
  server.answered_ns[number] = mag_clock_monotonic_ns();
}

static void take_connection(void)
{
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  for (size_t i = 1; i <= CONNECTIONS && fd >= 0; i++)
    if (fds[i].fd < 0) {
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
      fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
      return;
    }
  if (fd >= 0)
    close(fd);
}

static void *serve(void *arg)
{
  (void) arg;
  for (;;) {
    if (poll(fds, 1 + CONNECTIONS, -1) < 0)
      continue;
    if (fds[0].revents)
      take_connection();
    for (size_t i = 1; i <= CONNECTIONS; i++)
      if (fds[i].fd >= 0 && fds[i].revents)
        read_from(i);
  }
  return NULL;
}

struct model_server *model_server_start(void)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof(address);
  pthread_t thread;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *) &address, len) < 0 || listen(listener, 1024) < 0 ||
      getsockname(listener, (struct sockaddr *) &address, &len) < 0)
    abort();
  server.port = ntohs(address.sin_port);
  fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
  for (size_t i = 1; i <= CONNECTIONS; i++)
    fds[i].fd = -1;
  if (pthread_create(&thread, NULL, serve, NULL))
    abort();
  return &server;
}

void model_server_reset(struct model_server *which, size_t steps)
{
  which->n_requests = 0;
  which->steps = steps;
  which->deltas = 0;
  which->by_turn = which->silent = false;
  which->arrived = NULL;
}
