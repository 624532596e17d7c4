/* model_server.h - a fast model on loopback: Messages API, server-sent events, connections kept alive. It asks for one
 * shell command a step until the conversation has had enough of them, and notes when requests came and answers went. */
#ifndef TESTS_BENCH_MODEL_SERVER_H
#define TESTS_BENCH_MODEL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_REQUESTS_MAX 8192

struct model_server {
  int port;
  /* Set before a client is started. */
  size_t steps;  /* tool calls before the last answer */
  size_t deltas; /* > 0: the last answer is of so many text deltas */
  bool by_turn;  /* one tool call a turn, of however many conversations: what was asked last decides, not `steps` */
  bool silent;   /* requests are taken and never answered */
  /* Called in the server's thread when request `number` (from 0) has come, before it is answered. May be NULL. */
  void (*arrived)(void *ctx, size_t number);
  void *ctx;
  /* What happened since model_server_reset; read once the client has ended. Monotonic clock. */
  size_t n_requests;
  int64_t arrived_ns[MODEL_REQUESTS_MAX];
  int64_t answered_ns[MODEL_REQUESTS_MAX];
};

/* One for the whole program; aborts if it cannot be. Its thread lives as long as the program. */
struct model_server *model_server_start(void);
void model_server_reset(struct model_server *server, size_t steps);

#endif
