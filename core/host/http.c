/* The caller's side of an exchange: what plugins call. Knows nothing of libcurl. */
#include "host/http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/call.h"
#include "host/http_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

void mag_http_unref(struct mbp_http *http)
{
  bool borrowed = http->request.flags & MBP_HTTP_BODY_STAYS;
  unsigned before = atomic_fetch_sub(&http->refs, 1);
  if (borrowed && before == 2)
    mag_http_tell_let_go();
  if (before > 1)
    return;
  mag_http_upgrade_free(http->upgrade);
  mag_http_request_done(&http->request);
  mag_http_head_done(&http->head);
  mag_buf_done(&http->in);
  mag_buf_done(&http->out);
  mag_buf_done(&http->local);
  mag_buf_done(&http->body);
  mag_sse_done(&http->sse);
  mag_cleanup_close(&http->efd);
  mag_cleanup_close(&http->out_efd);
  (void) pthread_mutex_destroy(&http->lock);
  free(http);
}

static void drain_eventfd(int fd)
{
  eventfd_t value;
  (void) eventfd_read(fd, &value);
}

void mag_http_signal(struct mbp_http *http)
{
  if (!http->signalled)
    (void) eventfd_write(http->efd, 1);
  http->signalled = true;
}

void mag_http_signal_out(struct mbp_http *http)
{
  if (http->out_efd >= 0 && !http->out_signalled)
    (void) eventfd_write(http->out_efd, 1);
  http->out_signalled = true;
}

/* The exchange is over for its caller, and tells why from now on; the transfer is ended on the HTTP thread. */
static int give_up(struct mbp_http *http, const struct mbp_error *why, struct mbp_error *err)
{
  struct mbp_error told;
  pthread_mutex_lock(&http->lock);
  http->ended = http->closed = true;
  if (!http->error.code)
    http->error = *why;
  told = http->error;
  mag_buf_done(&http->in); /* what came will not be taken any more */
  pthread_mutex_unlock(&http->lock);
  if (!http->upgrade)
    mag_http_post(http, MAG_HTTP_CLOSE);
  return mag_error_import(err, &told);
}

static int give_up_cancelled(struct mbp_http *http, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  (void) mag_call_cancel_error(http->call, &why);
  return give_up(http, &why, err);
}

int mag_http_wait(struct mbp_http *http, int fd, short events, int64_t wait_ms, struct mbp_error *err)
{
  int64_t until_ms = wait_ms < 0 ? INT64_MAX : mag_clock_monotonic_ms() + wait_ms;
  for (;;) {
    struct pollfd fds[2] = {{fd, events, 0}, {-1, POLLIN, 0}};
    if (http->call && mag_call_cancelled(http->call))
      return give_up_cancelled(http, err);
    int64_t left = until_ms == INT64_MAX ? -1 : MAG_MAX(until_ms - mag_clock_monotonic_ms(), (int64_t) 0);
    if (http->call) {
      fds[1].fd = mag_call_cancel_fd(http->call);
      if (fds[1].fd < 0) /* no descriptor left for it: look now and then */
        left = left < 0 ? 100 : MAG_MIN(left, (int64_t) 100);
    }
    int n = poll(fds, 2, (int) MAG_MIN(left, (int64_t) INT32_MAX));
    if (n < 0 && errno != EINTR)
      return mag_error_errno(err, errno, "poll");
    if (n > 0 && fds[0].revents)
      return 1;
    if (n > 0 && fds[1].revents && mag_call_cancelled(http->call))
      return give_up_cancelled(http, err);
    if (until_ms != INT64_MAX && mag_clock_monotonic_ms() >= until_ms)
      return 0;
  }
}

/* Lock held: before a wait, or to keep poll_fd honest. */
static void settle(struct mbp_http *http)
{
  if (http->signalled && http->in.len == 0 && !http->ended) {
    drain_eventfd(http->efd);
    http->signalled = false;
  }
}

/* Until `done` (called with the lock held) says so or the exchange has ended. Returns with the lock held if 0. */
static int wait_until(struct mbp_http *http, bool (*done)(const struct mbp_http *), struct mbp_error *err)
{
  pthread_mutex_lock(&http->lock);
  while (!done(http) && !http->ended) {
    settle(http);
    pthread_mutex_unlock(&http->lock);
    int r = mag_http_wait(http, http->efd, POLLIN, -1, err);
    if (r < 0)
      return r;
    pthread_mutex_lock(&http->lock);
    if (http->signalled) {
      drain_eventfd(http->efd);
      http->signalled = false;
    }
  }
  if (http->ended && !http->signalled) /* poll_fd stays readable after the end */
    mag_http_signal(http);
  return 0;
}

static bool has_head(const struct mbp_http *http)
{
  return http->head_ready;
}

static bool has_bytes(const struct mbp_http *http)
{
  return http->in.len > 0;
}

static int wait_head(struct mbp_http *http, struct mbp_error *err)
{
  int r = wait_until(http, has_head, err);
  if (r < 0)
    return r;
  if (!http->head_ready)
    r = http->error.code ? mag_error_import(err, &http->error)
                         : mag_error(err, MBP_E_NETWORK, "%s: no response", http->request.host);
  pthread_mutex_unlock(&http->lock);
  return r;
}

static int refill_upgrade(struct mbp_http *http, struct mbp_error *err)
{
  pthread_mutex_lock(&http->lock);
  struct mbp_error why = http->error;
  pthread_mutex_unlock(&http->lock);
  return why.code ? mag_error_import(err, &why) : mag_http_upgrade_refill(http, err);
}

/* Makes `local` non-empty: 1; 0 at the end of the body. One lock for all that has come; both buffers keep their memory,
 * so a steady stream allocates nothing. */
static int refill(struct mbp_http *http, struct mbp_error *err)
{
  if (http->local.cap > MAG_HTTP_KEEP)
    mag_buf_done(&http->local);
  mag_buf_clear(&http->local);
  http->local_at = 0;
  if (http->call && mag_call_cancelled(http->call))
    return give_up_cancelled(http, err);
  if (http->upgrade)
    return refill_upgrade(http, err);
  int r = wait_until(http, has_bytes, err);
  if (r < 0)
    return r;
  bool resume = false;
  if (http->in.len > 0) {
    struct mag_buf taken = http->in;
    http->in = http->local;
    http->local = taken;
    resume = http->in_paused;
    http->in_paused = false;
    r = 1;
  } else if (http->error.code) {
    r = mag_error_import(err, &http->error);
  }
  pthread_mutex_unlock(&http->lock);
  if (resume)
    mag_http_post(http, MAG_HTTP_RESUME_IN);
  return r;
}

static size_t local_left(const struct mbp_http *http)
{
  return http->local.len - http->local_at;
}

/* poll_fd is in use and all that was taken is used up: readable only if there is more. */
static void settle_polled(struct mbp_http *http)
{
  if (http->upgrade)
    mag_http_upgrade_settle(http);
  if (!http->polled || http->upgrade || local_left(http) > 0)
    return;
  pthread_mutex_lock(&http->lock);
  settle(http);
  pthread_mutex_unlock(&http->lock);
}

/* ---- The table ---- */

static struct mbp_http *http_new(struct mbp_call *call, const struct mbp_http_request *request, struct mbp_error *err)
{
  struct mbp_http *http = calloc(1, sizeof(*http));
  if (!http) {
    (void) mag_error_no_memory(err);
    return NULL;
  }
  http->refs = 1;
  http->out_efd = -1;
  (void) pthread_mutex_init(&http->lock, NULL);
  http->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (http->efd >= 0 && (request->flags & MBP_HTTP_STREAM_BODY))
    http->out_efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (http->efd < 0 || ((request->flags & MBP_HTTP_STREAM_BODY) && http->out_efd < 0))
    (void) mag_error_errno(err, errno, "HTTP: no descriptor left");
  else if (mag_http_request_init(&http->request, request, err) == 0) {
    http->call = call ? mag_call_ref(call) : NULL;
    return http;
  }
  mag_http_unref(http);
  return NULL;
}

static void http_close(struct mbp_http *http)
{
  if (!http)
    return;
  pthread_mutex_lock(&http->lock);
  bool running = !http->ended;
  http->closed = true;
  pthread_mutex_unlock(&http->lock);
  if (running && !http->upgrade)
    mag_http_post(http, MAG_HTTP_CLOSE);
  if (http->request.flags & MBP_HTTP_BODY_STAYS)
    mag_http_wait_let_go(http);
  mag_call_unref(http->call);
  http->call = NULL;
  mag_http_unref(http);
}

static int http_open(struct mbp_call *call, const struct mbp_http_request *request, struct mbp_http **ret_exchange,
                     struct mbp_error *err)
{
  if (call && mag_call_cancelled(call))
    return mag_call_cancel_error(call, err);
  struct mbp_error why = MAG_ERROR_INIT;
  struct mbp_http *http = http_new(call, request, &why);
  if (!http)
    return mag_error_import(err, &why);
  int r;
  if (http->request.flags & MBP_HTTP_UPGRADE) {
    r = mag_http_upgrade_open(http, &why);
  } else {
    r = mag_http_start(&why);
    if (r == 0)
      mag_http_post(http, MAG_HTTP_ADD);
    else
      http->ended = true;
    if (r == 0 && !(http->request.flags & MBP_HTTP_STREAM_BODY))
      r = wait_head(http, &why);
  }
  if (r < 0) {
    http_close(http);
    return mag_error_import(err, &why);
  }
  *ret_exchange = http;
  return 0;
}

static int http_status(struct mbp_http *http)
{
  int r = http->upgrade ? 0 : wait_head(http, NULL);
  if (r < 0)
    return r;
  settle_polled(http);
  return http->head.status;
}

static struct mbp_str http_header(struct mbp_http *http, const char *name)
{
  pthread_mutex_lock(&http->lock);
  bool ready = http->head_ready;
  pthread_mutex_unlock(&http->lock);
  return ready ? mag_http_head_find(&http->head.lines, name) : mbp_str_n("", 0);
}

static struct mbp_str http_trailer(struct mbp_http *http, const char *name)
{
  pthread_mutex_lock(&http->lock);
  bool ready = http->ended && http->head_ready;
  pthread_mutex_unlock(&http->lock);
  return ready ? mag_http_head_find(&http->head.trailers, name) : mbp_str_n("", 0);
}

static int64_t http_read(struct mbp_http *http, void *buf, size_t cap, struct mbp_error *err)
{
  if (cap == 0)
    return 0;
  if (local_left(http) == 0) {
    int r = refill(http, err);
    if (r <= 0)
      return r;
  }
  size_t n = MAG_MIN(local_left(http), cap);
  memcpy(buf, http->local.ptr + http->local_at, n);
  http->local_at += n;
  settle_polled(http);
  return (int64_t) n;
}

static int http_body(struct mbp_http *http, struct mbp_str *ret_body, struct mbp_error *err)
{
  for (;;) {
    size_t left = local_left(http);
    if ((uint64_t) left > (uint64_t) http->request.max_body - http->body.len) {
      struct mbp_error why = MAG_ERROR_INIT;
      (void) mag_error(&why, MBP_E_LIMIT, "%s: the response is larger than %lld bytes", http->request.host,
                       (long long) http->request.max_body);
      http->local_at = http->local.len;
      return give_up(http, &why, err);
    }
    mag_buf_add(&http->body, left ? http->local.ptr + http->local_at : "", left);
    http->local_at += left;
    if (http->body.failed)
      return mag_error_no_memory(err);
    int r = refill(http, err);
    if (r < 0)
      return r;
    if (r == 0)
      break;
  }
  *ret_body = mag_buf_str(&http->body);
  return 0;
}

static int event_error(struct mbp_http *http, int r, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  if (r == -MBP_E_LIMIT)
    (void) mag_error(&why, MBP_E_LIMIT, "%s: a server-sent event is larger than %zu bytes", http->request.host,
                     http->sse.max);
  else
    (void) mag_error_no_memory(&why);
  http->local_at = http->local.len;
  return give_up(http, &why, err);
}

static int http_next_event(struct mbp_http *http, struct mbp_sse_event *ret_event, struct mbp_error *err)
{
  if (!http->sse_started)
    mag_sse_init(&http->sse, 0);
  http->sse_started = true;
  for (;;) {
    if (local_left(http) > 0) {
      struct mbp_sse_event event;
      size_t used = 0;
      int r = mag_sse_feed(&http->sse, http->local.ptr + http->local_at, local_left(http), &used, &event);
      http->local_at += used;
      if (r == 1) {
        if (ret_event->size && ret_event->size < event.size) /* of an older plugin */
          event.size = ret_event->size;
        memcpy(ret_event, &event, event.size);
        settle_polled(http);
        return 1;
      }
      if (r < 0)
        return event_error(http, r, err);
    }
    int r = refill(http, err);
    if (r <= 0)
      return r;
  }
}

/* Why nothing more of the body can be sent; lock held. */
static int write_ended(struct mbp_http *http, struct mbp_error *err)
{
  if (http->error.code)
    return mag_error_import(err, &http->error);
  return mag_error(err, MBP_E_LOST, "%s: answered with HTTP status %d before the whole body was sent",
                   http->request.host, http->head.status);
}

/* Lock held. Takes what fits; returns how much. */
static size_t add_out(struct mbp_http *http, struct mbp_str data)
{
  if (http->out_at > 0 && http->out_at >= http->out.len / 2) {
    mag_buf_consume(&http->out, http->out_at);
    http->out_at = 0;
  }
  size_t used = http->out.len - http->out_at;
  size_t n = used >= MAG_HTTP_HIGH_WATER ? 0 : MAG_MIN(data.len, MAG_HTTP_HIGH_WATER - used);
  mag_buf_add(&http->out, data.ptr, n);
  return n;
}

static int http_write(struct mbp_http *http, struct mbp_str data, struct mbp_error *err)
{
  if (http->upgrade)
    return mag_http_upgrade_write(http, data, err);
  if (!(http->request.flags & MBP_HTTP_STREAM_BODY))
    return mag_error(err, MBP_E_INVALID, "HTTP: write without STREAM_BODY or UPGRADE");
  while (data.len > 0) {
    int r = 0;
    bool resume = false;
    pthread_mutex_lock(&http->lock);
    if (http->ended) {
      r = write_ended(http, err);
    } else if (http->out_done) {
      r = mag_error(err, MBP_E_INVALID, "HTTP: write after finish");
    } else {
      size_t n = add_out(http, data);
      data = mbp_str_n(data.ptr + n, data.len - n);
      if (http->out.failed)
        r = mag_error_no_memory(err);
      resume = http->out_paused && n > 0;
      if (resume)
        http->out_paused = false;
      if (data.len > 0 && http->out_signalled) {
        drain_eventfd(http->out_efd);
        http->out_signalled = false;
      }
    }
    pthread_mutex_unlock(&http->lock);
    if (resume)
      mag_http_post(http, MAG_HTTP_RESUME_OUT);
    if (r < 0)
      return r;
    if (data.len > 0)
      r = mag_http_wait(http, http->out_efd, POLLIN, -1, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int http_finish(struct mbp_http *http, struct mbp_error *err)
{
  if (http->upgrade)
    return mag_http_upgrade_finish(http, err);
  if (!(http->request.flags & MBP_HTTP_STREAM_BODY))
    return mag_error(err, MBP_E_INVALID, "HTTP: finish without STREAM_BODY or UPGRADE");
  pthread_mutex_lock(&http->lock);
  int r = http->ended && http->error.code ? write_ended(http, err) : 0;
  http->out_done = true;
  bool resume = !http->ended && http->out_paused;
  http->out_paused = false;
  pthread_mutex_unlock(&http->lock);
  if (resume)
    mag_http_post(http, MAG_HTTP_RESUME_OUT);
  return r;
}

static int http_poll_fd(struct mbp_http *http)
{
  if (http->upgrade)
    return mag_http_upgrade_fd(http);
  http->polled = true;
  settle_polled(http);
  return http->efd;
}

static int http_fail(struct mbp_http *http, const char *what, struct mbp_str message, struct mbp_error *err)
{
  pthread_mutex_lock(&http->lock);
  bool ready = http->head_ready;
  struct mbp_error why = http->error;
  pthread_mutex_unlock(&http->lock);
  if (ready)
    return mag_http_head_fail(&http->head, what, message, err);
  return why.code ? mag_error_import(err, &why)
                  : mag_error(err, MBP_E_INTERNAL, "%s: no response yet", http->request.host);
}

const struct mbp_http_v1 mag_http_table = {
    .size = MBP_SIZE(struct mbp_http_v1, fail),
    .open = http_open,
    .status = http_status,
    .header = http_header,
    .trailer = http_trailer,
    .read = http_read,
    .body = http_body,
    .next_event = http_next_event,
    .write = http_write,
    .finish = http_finish,
    .poll_fd = http_poll_fd,
    .close = http_close,
    .fail = http_fail,
};
