/* service.h - a model service on the loopback that answers from a list, in the shape of whichever API it is asked by.
 * */
#ifndef TEST_SERVICE_H
#define TEST_SERVICE_H

#include "../lib/http_server.h"

#include <magent/mbp.h>

/* How an answer is sent. */
enum how {
  HOW_STREAM,  /* the blocks as a stream; `split`: bytes of a piece */
  HOW_CUT,     /* only the first `len` bytes of the stream, then the connection is closed */
  HOW_DRIP,    /* a piece of `split` bytes every `wait_ms`, then whole */
  HOW_STALL,   /* the first `len` bytes, then nothing until the client goes */
  HOW_STATUS,  /* `status`, `headers`, `body` */
  HOW_BODY,    /* `body` as an event stream, ended properly */
};

struct answer {
  enum how how;
  const char *content; /* canonical blocks as a JSON array */
  const char *stop;    /* "end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"; NULL: by the content */
  size_t split, len;
  int wait_ms, status;
  const char *headers, *body;
};

struct service;

/* `answers` are given in order and must outlive the service. What is asked beyond them gets a 400 that says so. */
struct service *service_new(const struct answer *answers, size_t n);
/* From now on the n-th answer is for a conversation with n tool results, however often it is asked for. */
void service_by_results(struct service *service);
void service_free(struct service *service);
const char *service_url(struct service *service);
size_t service_count(struct service *service);
/* Body of the n-th request. */
const char *service_body(struct service *service, size_t n);
/* "messages" of the n-th request as JSON text, caller frees. Cache marks are taken out. */
char *service_messages(struct service *service, size_t n);
/* Asserts that each request's messages are a byte prefix of the next one's, from request `from` on. */
void service_check_prefixes(struct service *service, size_t from);
bool service_wait_closed(struct service *service);

/* The stream that such an answer is, as text. Caller frees. */
char *service_anthropic(const struct answer *answer);
char *service_openai(const struct answer *answer);

/* ,-free shorthands for contents. */
#define TEXT(text) "[{\"type\":\"text\",\"text\":\"" text "\"}]"
#define CALL(id, name, input) "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":" input "}"

#endif
