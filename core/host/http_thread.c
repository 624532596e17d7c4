/* The HTTP thread: one multi handle, driven by epoll, for all transfers of the process.
 *
 * libcurl is told nothing but which sockets are ready (curl_multi_socket_action), so the work for one delta does not
 * grow with the number of streams. Callers leave commands in a list and wake the thread by an eventfd; it alone touches
 * libcurl's handles.
 *
 * Requests do not share a connection at the same time, not even over HTTP/2: one whose reader is slow would hold up the
 * others (libcurl 7.88 stops reading the whole connection), and one cut would end many turns. Idle connections are
 * reused.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "host/http.h"
#include "host/http_private.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define STACK_BYTES ((size_t) 512 << 10)
#define IDLE_CONNECTIONS 64L
#define EVENTS 64

static struct {
  pthread_mutex_t lock;
  pthread_cond_t let_go;
  bool initialised, running, stopping, warming;
  pthread_t thread, warm_thread;
  int wake_fd, epoll_fd;
  struct mbp_http *first, *last; /* commands */
  /* The thread's own. */
  CURLM *multi;
  struct mbp_http *transfers;
  int64_t now_ms, timer_ms, idle_ms; /* the next time to look; INT64_MAX: none */
} service = {.lock = PTHREAD_MUTEX_INITIALIZER, .let_go = PTHREAD_COND_INITIALIZER, .wake_fd = -1, .epoll_fd = -1};

int64_t mag_http_now(void)
{
  return service.now_ms;
}

void mag_http_idle_from(struct mbp_http *http)
{
  http->active_ms = service.now_ms;
  service.idle_ms = MAG_MIN(service.idle_ms, service.now_ms + http->request.idle_timeout_ms);
}

void mag_http_post(struct mbp_http *http, unsigned commands)
{
  pthread_mutex_lock(&service.lock);
  bool wake = !service.first;
  http->commands |= commands;
  if (!http->queued) {
    atomic_fetch_add(&http->refs, 1);
    http->queued = true;
    http->next_command = NULL;
    if (service.last)
      service.last->next_command = http;
    else
      service.first = http;
    service.last = http;
  }
  if (wake && service.running)
    (void) eventfd_write(service.wake_fd, 1);
  pthread_mutex_unlock(&service.lock);
}

void mag_http_wait_let_go(struct mbp_http *http)
{
  pthread_mutex_lock(&service.lock);
  while (atomic_load(&http->refs) > 1)
    pthread_cond_wait(&service.let_go, &service.lock);
  pthread_mutex_unlock(&service.lock);
}

void mag_http_tell_let_go(void)
{
  pthread_mutex_lock(&service.lock);
  pthread_cond_broadcast(&service.let_go);
  pthread_mutex_unlock(&service.lock);
}

/* ---- Transfers ---- */

/* Takes a transfer out of libcurl's hands; `err` NULL: it is at its good end. */
static void end_transfer(struct mbp_http *http, const struct mbp_error *err)
{
  (void) curl_multi_remove_handle(service.multi, mag_http_easy_handle(http->easy));
  mag_http_easy_free(http->easy);
  http->easy = NULL;
  if (http->previous)
    http->previous->next = http->next;
  else
    service.transfers = http->next;
  if (http->next)
    http->next->previous = http->previous;
  pthread_mutex_lock(&http->lock);
  if (!http->ended && err)
    http->error = *err;
  http->ended = true;
  mag_http_signal(http);
  mag_http_signal_out(http);
  pthread_mutex_unlock(&http->lock);
  mag_http_unref(http);
}

static void add_transfer(struct mbp_http *http)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = mag_http_easy_new(http, &err);
  if (r == 0) {
    atomic_fetch_add(&http->refs, 1);
    http->previous = NULL;
    http->next = service.transfers;
    if (http->next)
      http->next->previous = http;
    service.transfers = http;
    CURLMcode code = curl_multi_add_handle(service.multi, mag_http_easy_handle(http->easy));
    if (code == CURLM_OK)
      return;
    (void) mag_error(&err, MBP_E_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
    end_transfer(http, &err);
    return;
  }
  pthread_mutex_lock(&http->lock);
  http->error = err;
  http->ended = true;
  mag_http_signal(http);
  mag_http_signal_out(http);
  pthread_mutex_unlock(&http->lock);
}

static void resume(struct mbp_http *http)
{
  pthread_mutex_lock(&http->lock);
  int mask = (http->in_paused ? CURLPAUSE_RECV : 0) | (http->out_paused ? CURLPAUSE_SEND : 0);
  pthread_mutex_unlock(&http->lock);
  if (http->active_ms)
    mag_http_idle_from(http);
  (void) curl_easy_pause(mag_http_easy_handle(http->easy), mask);
}

static void run_commands(void)
{
  pthread_mutex_lock(&service.lock);
  struct mbp_http *http = service.first;
  service.first = service.last = NULL;
  while (http) {
    struct mbp_http *next = http->next_command;
    unsigned commands = http->commands;
    http->commands = 0;
    http->queued = false;
    pthread_mutex_unlock(&service.lock);
    if ((commands & MAG_HTTP_ADD) && !(commands & MAG_HTTP_CLOSE))
      add_transfer(http);
    if (http->easy && (commands & MAG_HTTP_CLOSE)) {
      struct mbp_error err = MAG_ERROR_INIT;
      (void) mag_error(&err, MBP_E_CANCELLED, "%s: the exchange was closed", http->request.host);
      end_transfer(http, &err);
    } else if (http->easy && (commands & (MAG_HTTP_RESUME_IN | MAG_HTTP_RESUME_OUT))) {
      resume(http);
    }
    mag_http_unref(http);
    pthread_mutex_lock(&service.lock);
    http = next;
  }
  pthread_mutex_unlock(&service.lock);
}

static void take_results(void)
{
  int left;
  for (CURLMsg *message = curl_multi_info_read(service.multi, &left); message;
       message = curl_multi_info_read(service.multi, &left)) {
    struct mbp_http *http = NULL;
    struct mbp_error err = MAG_ERROR_INIT;
    if (message->msg != CURLMSG_DONE)
      continue;
    CURL *curl = message->easy_handle;
    CURLcode result = message->data.result;
    (void) curl_easy_getinfo(curl, CURLINFO_PRIVATE, &http);
    int r = mag_http_easy_ended(http, (int) result, &err);
    if (r == 1) { /* a redirect: the same handle once more */
      (void) curl_multi_remove_handle(service.multi, curl);
      if (curl_multi_add_handle(service.multi, curl) == CURLM_OK)
        continue;
      (void) mag_error_no_memory(&err);
    }
    end_transfer(http, err.code ? &err : NULL);
  }
}

/* ---- Silence ---- */

/* When it will have been silent for too long; INT64_MAX while silence is nobody's fault: connecting (libcurl's own
 * timeout), or waiting for the caller to read or to write. */
static int64_t idle_until(struct mbp_http *http)
{
  if (!http->active_ms)
    return INT64_MAX;
  pthread_mutex_lock(&http->lock);
  bool ours = http->in_paused || http->out_paused;
  pthread_mutex_unlock(&http->lock);
  if (ours)
    return INT64_MAX;
  curl_off_t sent = 0;
  (void) curl_easy_getinfo(mag_http_easy_handle(http->easy), CURLINFO_SIZE_UPLOAD_T, &sent);
  if (sent != http->sent) {
    http->sent = sent;
    http->active_ms = service.now_ms;
  }
  return http->active_ms + http->request.idle_timeout_ms;
}

/* Activity only moves the moments away, so all are looked at no more often than the earliest was due. */
static void end_idle(void)
{
  if (service.now_ms < service.idle_ms)
    return;
  service.idle_ms = INT64_MAX;
  for (struct mbp_http *http = service.transfers, *next; http; http = next) {
    next = http->next;
    int64_t until = idle_until(http);
    if (until > service.now_ms) {
      service.idle_ms = MAG_MIN(service.idle_ms, until);
      continue;
    }
    struct mbp_error err = MAG_ERROR_INIT;
    (void) mag_error(&err, MBP_E_TIMEOUT, "%s: nothing came for %lld ms", http->request.host,
                     (long long) http->request.idle_timeout_ms);
    err.flags |= MBP_ERR_RETRYABLE;
    end_transfer(http, &err);
  }
}

/* ---- The loop ---- */

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *known)
{
  (void) curl;
  (void) ctx;
  struct epoll_event event = {.data.fd = fd};
  if (what == CURL_POLL_REMOVE) {
    (void) epoll_ctl(service.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  event.events = (what & CURL_POLL_IN ? (uint32_t) EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t) EPOLLOUT : 0);
  if (epoll_ctl(service.epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
    /* A number that was closed and given out again, in either order. */
    (void) epoll_ctl(service.epoll_fd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
  if (!known)
    (void) curl_multi_assign(service.multi, fd, &service);
  return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *ctx)
{
  (void) multi;
  (void) ctx;
  service.timer_ms = wait_ms < 0 ? INT64_MAX : mag_clock_monotonic_ms() + wait_ms;
  return 0;
}

static int wait_ms(void)
{
  int64_t until = MAG_MIN(service.timer_ms, service.idle_ms);
  if (until == INT64_MAX)
    return -1;
  int64_t left = until - mag_clock_monotonic_ms();
  return (int) MAG_MIN(MAG_MAX(left, (int64_t) 0), (int64_t) INT32_MAX);
}

static void one_round(void)
{
  struct epoll_event events[EVENTS];
  int running, n = epoll_wait(service.epoll_fd, events, EVENTS, wait_ms());
  service.now_ms = mag_clock_monotonic_ms();
  for (int i = 0; i < n; i++) {
    int fd = events[i].data.fd, bits = 0;
    if (fd == service.wake_fd) {
      eventfd_t value;
      (void) eventfd_read(fd, &value);
      continue;
    }
    if (events[i].events & EPOLLIN)
      bits |= CURL_CSELECT_IN;
    if (events[i].events & EPOLLOUT)
      bits |= CURL_CSELECT_OUT;
    if (events[i].events & (EPOLLERR | EPOLLHUP))
      bits |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
    (void) curl_multi_socket_action(service.multi, fd, bits, &running);
  }
  run_commands();
  if (service.timer_ms <= service.now_ms) {
    service.timer_ms = INT64_MAX;
    (void) curl_multi_socket_action(service.multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  take_results();
  end_idle();
}

static void *thread_main(void *ctx)
{
  (void) ctx;
  for (;;) {
    pthread_mutex_lock(&service.lock);
    bool stop = service.stopping;
    pthread_mutex_unlock(&service.lock);
    if (stop)
      break;
    one_round();
  }
  run_commands();
  while (service.transfers) {
    struct mbp_error err = MAG_ERROR_INIT;
    (void) mag_error(&err, MBP_E_CANCELLED, "the HTTP client was stopped");
    end_transfer(service.transfers, &err);
  }
  (void) curl_multi_cleanup(service.multi);
  service.multi = NULL;
  return NULL;
}

/* ---- Start and stop ---- */

static int make_multi(struct mbp_error *err)
{
  struct epoll_event event = {.events = EPOLLIN};
  service.multi = curl_multi_init();
  service.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  service.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  event.data.fd = service.wake_fd;
  if (!service.multi)
    return mag_error_no_memory(err);
  if (service.epoll_fd < 0 || service.wake_fd < 0 ||
      epoll_ctl(service.epoll_fd, EPOLL_CTL_ADD, service.wake_fd, &event) < 0)
    return mag_error_errno(err, errno, "HTTP: cannot start");
  (void) curl_multi_setopt(service.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  (void) curl_multi_setopt(service.multi, CURLMOPT_TIMERFUNCTION, on_timer);
  (void) curl_multi_setopt(service.multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING);
  (void) curl_multi_setopt(service.multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
  service.now_ms = mag_clock_monotonic_ms();
  service.timer_ms = service.idle_ms = INT64_MAX;
  return 0;
}

static void unmake_multi(void)
{
  if (service.multi)
    (void) curl_multi_cleanup(service.multi);
  service.multi = NULL;
  mag_cleanup_close(&service.epoll_fd);
  mag_cleanup_close(&service.wake_fd);
  service.epoll_fd = service.wake_fd = -1;
}

/* No signal is for such a thread: not the program's, nor a SIGPIPE from a TLS write. */
static int make_thread(pthread_t *thread, void *(*run)(void *ctx), const char *name)
{
  int r = mag_thread_start_sized(STACK_BYTES, run, NULL, thread);
  if (r == 0)
    (void) pthread_setname_np(*thread, name);
  return r;
}

/* Lock held. */
static int init_curl(struct mbp_error *err)
{
  if (service.initialised)
    return 0;
  CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK)
    return mag_error(err, MBP_E_UNAVAILABLE, "libcurl cannot be used: %s", curl_easy_strerror(code));
  service.initialised = true;
  return 0;
}

int mag_http_global_init(struct mbp_error *err)
{
  pthread_mutex_lock(&service.lock);
  int r = init_curl(err);
  pthread_mutex_unlock(&service.lock);
  return r;
}

int mag_http_start(struct mbp_error *err)
{
  pthread_mutex_lock(&service.lock);
  int r = 0;
  if (!service.running) {
    r = init_curl(err);
    if (r == 0)
      r = make_multi(err);
    if (r == 0 && make_thread(&service.thread, thread_main, "magent-http") < 0)
      r = mag_error_errno(err, EAGAIN, "HTTP: cannot start a thread");
    if (r < 0)
      unmake_multi();
    service.running = r == 0;
  }
  pthread_mutex_unlock(&service.lock);
  return r;
}

static void *warm_main(void *ctx)
{
  struct mbp_error ignored = MAG_ERROR_INIT; /* whoever needs HTTP tries again, and is told */
  (void) ctx;
  (void) mag_http_start(&ignored);
  return NULL;
}

void mag_http_warm(void)
{
  pthread_mutex_lock(&service.lock);
  if (!service.running && !service.warming)
    service.warming = make_thread(&service.warm_thread, warm_main, "magent-warm") == 0;
  pthread_mutex_unlock(&service.lock);
}

void mag_http_settle(void)
{
  pthread_mutex_lock(&service.lock);
  bool warming = service.warming;
  service.warming = false;
  pthread_mutex_unlock(&service.lock);
  if (warming)
    (void) pthread_join(service.warm_thread, NULL);
}

void mag_http_stop(void)
{
  mag_http_settle();
  pthread_mutex_lock(&service.lock);
  bool running = service.running && !service.stopping;
  if (running) {
    service.stopping = true;
    (void) eventfd_write(service.wake_fd, 1);
  }
  pthread_mutex_unlock(&service.lock);
  if (!running)
    return;
  (void) pthread_join(service.thread, NULL);
  pthread_mutex_lock(&service.lock);
  unmake_multi();
  service.running = service.stopping = false;
  pthread_mutex_unlock(&service.lock);
  run_commands(); /* closes that came too late: they only drop what they hold */
}
