/* http_private.h - one exchange, as its two sides see it: the caller (http.c, http_upgrade.c) and the HTTP thread
 * (http_thread.c, http_easy.c). Only the files that talk to libcurl include its header. */
#ifndef MAG_HOST_HTTP_PRIVATE_H
#define MAG_HOST_HTTP_PRIVATE_H

#include "host/http_head.h"
#include "host/http_request.h"
#include "host/sse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MAG_HTTP_HIGH_WATER ((size_t) 1 << 20) /* bytes of a body that wait for their reader, either way */
#define MAG_HTTP_KEEP ((size_t) 128 << 10)     /* an empty buffer larger than this is given back */

/* What the caller asks of the HTTP thread. */
#define MAG_HTTP_ADD 0x1u
#define MAG_HTTP_CLOSE 0x2u
#define MAG_HTTP_RESUME_IN 0x4u
#define MAG_HTTP_RESUME_OUT 0x8u

struct mag_http_easy;    /* libcurl's side of a transfer: the HTTP thread's alone */
struct mag_http_upgrade; /* raw duplex: no HTTP thread */

struct mbp_http {
  atomic_uint refs; /* the caller, the running transfer, a command in the queue */
  struct mag_http_request request;
  int efd;     /* readable: `in` has bytes, the head is there or it has ended */
  int out_efd; /* readable: there is room in `out` or it has ended; -1 without a streamed body */

  /* ---- Under `lock`. */
  pthread_mutex_t lock;
  struct mag_http_head head; /* the caller may read head.lines without the lock once it has seen head_ready */
  struct mag_buf in;         /* body that nobody has taken yet */
  struct mag_buf out;        /* body that is not sent yet, from out_at on */
  size_t out_at;
  bool head_ready, ended, closed;
  bool in_paused;                /* the transfer waits until `in` was taken */
  bool out_paused;               /* the transfer waits for `out` */
  bool out_done;                 /* nothing is added to `out` any more */
  bool signalled, out_signalled; /* efd, out_efd were written since they were last read */
  struct mbp_error error;        /* code 0: the end was a good one */

  /* ---- The caller's. */
  struct mbp_call *call;
  struct mag_buf local; /* body taken out of `in`, from local_at on */
  size_t local_at;
  struct mag_buf body;
  struct mag_sse sse;
  bool sse_started, polled;
  struct mag_http_upgrade *upgrade;

  /* ---- The HTTP thread's. */
  struct mag_http_easy *easy;
  struct mbp_http *next, *previous; /* running transfers */
  int64_t active_ms;                /* last sign of life; 0 until the request is being sent */
  int64_t sent;                     /* bytes of the request body at the last look */
  unsigned redirects;
  bool redirecting; /* the response is a redirect that will be followed: its body is dropped */
  size_t dropped;

  /* ---- Under the service's lock. */
  struct mbp_http *next_command;
  unsigned commands;
  bool queued;
};

/* ---- http.c */
void mag_http_unref(struct mbp_http *http);
/* Waits until `fd` has `events`, or the call is cancelled (error). `wait_ms` -1: for ever; 0 is returned after it. */
int mag_http_wait(struct mbp_http *http, int fd, short events, int64_t wait_ms, struct mbp_error *err);
/* With the lock held: wake who waits for the response, or for room in the request's body. */
void mag_http_signal(struct mbp_http *http);
void mag_http_signal_out(struct mbp_http *http);

/* ---- http_thread.c */
int mag_http_start(struct mbp_error *err); /* the thread, if it does not run; also libcurl's initialisation */
int mag_http_global_init(struct mbp_error *err);
void mag_http_post(struct mbp_http *http, unsigned commands);
/* A borrowed body must not be read any more: returns when the caller is the only one who holds the exchange. */
void mag_http_wait_let_go(struct mbp_http *http);
void mag_http_tell_let_go(void);
int64_t mag_http_now(void);                     /* the HTTP thread's clock: read once a round */
void mag_http_idle_from(struct mbp_http *http); /* the request is being sent: the idle time counts from now */

/* ---- http_easy.c: in the HTTP thread, but for the last two */
int mag_http_easy_new(struct mbp_http *http, struct mbp_error *err);
void mag_http_easy_free(struct mag_http_easy *easy);
void *mag_http_easy_handle(struct mag_http_easy *easy); /* CURL * */
/* The transfer ended with a CURLcode. 1: it is a redirect and the handle was set up for the next request; else 0 or the
 * error. */
int mag_http_easy_ended(struct mbp_http *http, int result, struct mbp_error *err);
/* An error from a CURLcode; `detail` as libcurl said it. */
int mag_http_easy_error(const struct mag_http_request *request, int result, const char *detail, struct mbp_error *err);
/* Options that every transfer has: `handle` is a CURL *. 0 or a CURLcode. */
int mag_http_easy_common(void *handle, const struct mag_http_request *request, char *detail);
/* Seconds since 1970 of an HTTP date; -1 if it is none. */
int64_t mag_http_date_s(const char *date);

/* ---- http_upgrade.c: in the caller's thread */
int mag_http_upgrade_open(struct mbp_http *http, struct mbp_error *err);
/* Puts the next bytes into http->local: 1, or 0 at the end. */
int mag_http_upgrade_refill(struct mbp_http *http, struct mbp_error *err);
int mag_http_upgrade_write(struct mbp_http *http, struct mbp_str data, struct mbp_error *err);
int mag_http_upgrade_finish(struct mbp_http *http, struct mbp_error *err);
int mag_http_upgrade_fd(struct mbp_http *http);
void mag_http_upgrade_settle(struct mbp_http *http); /* after a read: keeps that descriptor true */
void mag_http_upgrade_free(struct mag_http_upgrade *upgrade);

#endif
