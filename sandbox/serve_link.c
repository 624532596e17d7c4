/* Connections of hosts: frames in, frames out. */
#include "sandbox/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 128
#define OUT_MAX (1u << 20) /* answers that nobody fetches */
#define READ_SIZE (64u << 10)

struct bytes {
  char *ptr;
  size_t len, cap;
};

struct link {
  struct link *next;
  int socket;  /* of `connect`: closed when its process is gone */
  int in, out; /* its stdin and stdout; -1 until they have come */
  struct bytes received, sending;
  size_t sent;
  struct job *job;               /* that it watches */
  char write_key[MAG_FRAME_KEY]; /* of the WRITE under way, or empty */
  size_t write_at, write_end;    /* in `received` */
  bool write_eof, closing;
};

static struct link *links;
static unsigned n_links;
static int64_t last_use_ms;
static uint64_t server_number;

void link_open(uint64_t number)
{
  server_number = number;
}

int64_t link_last_use_ms(void)
{
  for (struct link *link = links; link; link = link->next)
    if (link->job || link->write_key[0])
      last_use_ms = slots_now_ms();
  return last_use_ms;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

static bool reserve(struct bytes *bytes, size_t more)
{
  if (bytes->len + more <= bytes->cap)
    return true;
  size_t cap = 2 * (bytes->len + more);
  char *ptr = realloc(bytes->ptr, cap);
  if (!ptr)
    return false;
  bytes->ptr = ptr;
  bytes->cap = cap;
  return true;
}

static void drop_front(struct bytes *bytes, size_t n)
{
  memmove(bytes->ptr, bytes->ptr + n, bytes->len - n);
  bytes->len -= n;
}

static void add(struct link *link, const void *data, size_t len)
{
  struct bytes *out = &link->sending;
  if (out->len + len > OUT_MAX || !reserve(out, len)) {
    link->closing = true;
    return;
  }
  memcpy(out->ptr + out->len, data, len);
  out->len += len;
}

static void answer(struct link *link, uint32_t op, const void *payload, size_t len)
{
  struct mag_frame head = {op, (uint32_t) len};
  add(link, &head, sizeof(head));
  add(link, payload, len);
}

static void done(struct link *link, int number)
{
  struct mag_frame_number payload = {number};
  answer(link, MAG_FRAME_DONE, &payload, sizeof(payload));
}

static void failed(struct link *link, int number, int at)
{
  struct mag_frame_failed payload = {number, at};
  answer(link, MAG_FRAME_FAILED, &payload, sizeof(payload));
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void let_go(struct link *link)
{
  if (link->job)
    link->job->watcher = NULL;
  link->job = NULL;
}

static void close_fd(int fd)
{
  if (fd >= 0)
    (void) close(fd);
}

static void link_free(struct link *link)
{
  let_go(link);
  close_fd(link->in);
  close_fd(link->out);
  close_fd(link->socket);
  free(link->received.ptr);
  free(link->sending.ptr);
  free(link);
  n_links--;
}

/* Who stands at the other end was put into this namespace from outside, as container engines do it: what runs in the
 * sandbox has a parent there. */
static bool is_from_outside(int socket)
{
  struct ucred peer;
  socklen_t len = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0 && init_parent_of(peer.pid) == 0;
}

void link_accept(int listener, bool only_from_outside)
{
  int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0)
    return;
  bool welcome = n_links < LINKS_MAX && (!only_from_outside || is_from_outside(socket));
  struct link *link = welcome ? calloc(1, sizeof(*link)) : NULL;
  if (!link) {
    (void) close(socket);
    return;
  }
  *link = (struct link){.next = links, .socket = socket, .in = -1, .out = -1};
  links = link;
  n_links++;
}

/* The stdin and stdout of `connect`. */
static void take_fds(struct link *link)
{
  char byte;
  int fds[2];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(fds))];
  } control;
  struct iovec part = {&byte, 1};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  ssize_t n = recvmsg(link->socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&header) : NULL;
  bool good = c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fds));
  if (good)
    memcpy(fds, CMSG_DATA(c), sizeof(fds));
  if (!good || link->in >= 0) { /* the end of `connect`, or nonsense */
    close_fd(good ? fds[0] : -1);
    close_fd(good ? fds[1] : -1);
    link->closing = true;
    return;
  }
  link->in = fds[0];
  link->out = fds[1];
  (void) fcntl(link->in, F_SETFL, O_NONBLOCK);
  (void) fcntl(link->out, F_SETFL, O_NONBLOCK);
  struct mag_frame_hello hello = {.magic = MAG_FRAME_MAGIC, .server = server_number};
  answer(link, MAG_FRAME_HELLO, &hello, sizeof(hello));
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void watch(struct link *link, struct job *job)
{
  if (job->watcher && job->watcher != link) { /* of a host that has lost it */
    failed(job->watcher, ESTALE, MAG_BOX_AT_INIT);
    let_go(job->watcher);
  }
  job->watcher = link;
  link->job = job;
}

static void serve_exec(struct link *link, char *payload, size_t len)
{
  struct job *job = NULL;
  int number = link->job ? EBUSY : job_exec(payload, len, &job);
  if (number)
    failed(link, number, MAG_BOX_AT_INIT);
  else
    watch(link, job);
}

static void serve_attach(struct link *link, const char *payload, size_t len)
{
  struct mag_frame_attach attach;
  if (len != sizeof(attach) || link->job) {
    link->closing = true;
    return;
  }
  memcpy(&attach, payload, sizeof(attach));
  struct job *job = job_find(attach.key);
  int number = job ? job_attach(job, attach.from) : ESRCH;
  if (number)
    failed(link, number, MAG_BOX_AT_INIT);
  else
    watch(link, job);
}

static void serve_signal(struct link *link, const char *payload, size_t len)
{
  struct mag_frame_signal request;
  if (len != sizeof(request)) {
    link->closing = true;
    return;
  }
  memcpy(&request, payload, sizeof(request));
  struct job *job = job_find(request.key);
  if (job)
    job_signal(job, (int) request.signal, request.flags & MAG_SIGNAL_TREE);
  if (!(request.flags & MAG_SIGNAL_QUIET))
    done(link, 0);
}

static void serve_acknowledge(struct link *link, const char *payload, size_t len)
{
  struct mag_frame_ack ack;
  if (len != sizeof(ack))
    return;
  memcpy(&ack, payload, sizeof(ack));
  if (link->job)
    job_acknowledge(link->job, ack.stream, ack.offset);
}

static void serve_list(struct link *link)
{
  for (struct job *job = job_first(); job; job = job->next) {
    struct mag_frame_process process = {.running = !job->exited};
    size_t n = strnlen(job->command, 1024);
    if (!job->key[0])
      continue;
    memcpy(process.key, job->key, sizeof(process.key));
    struct mag_frame head = {MAG_FRAME_PROCESS, (uint32_t) (sizeof(process) + n)};
    add(link, &head, sizeof(head));
    add(link, &process, sizeof(process));
    add(link, job->command, n);
  }
  done(link, 0);
}

static void wrote(struct link *link, const struct job *job, int number)
{
  struct mag_frame_wrote payload = {.number = number, .taken = job ? job->in_taken : 0};
  answer(link, MAG_FRAME_WROTE, &payload, sizeof(payload));
  link->write_key[0] = 0;
}

/* Goes on with the WRITE under way; its frame stays in `received` until it is done. */
static void go_on_writing(struct link *link)
{
  struct job *job = job_find(link->write_key);
  if (!job) {
    wrote(link, NULL, EPIPE);
  } else {
    const char *data = link->received.ptr + link->write_at;
    size_t len = link->write_end - link->write_at;
    int number = job_write(job, &data, &len);
    link->write_at = link->write_end - len;
    if (number == EAGAIN)
      return;
    if (number == 0 && link->write_eof)
      job_close_stdin(job);
    wrote(link, job, number);
  }
  drop_front(&link->received, link->write_end);
}

/* True: the frame is taken care of. */
static bool serve_write(struct link *link, size_t end)
{
  struct mag_frame_write request;
  size_t at = sizeof(struct mag_frame);
  if (end < at + sizeof(request)) {
    link->closing = true;
    return false;
  }
  memcpy(&request, link->received.ptr + at, sizeof(request));
  at += sizeof(request);
  request.key[MAG_FRAME_KEY - 1] = 0;
  struct job *job = job_find(request.key);
  int64_t known = job && request.offset >= 0 ? job->in_taken - request.offset : 0;
  if (!job || known < 0 || (job->in < 0 && end > at)) {
    wrote(link, job, known < 0 ? EINVAL : EPIPE);
    return false;
  }
  at = (uint64_t) known < end - at ? at + (size_t) known : end;
  memcpy(link->write_key, request.key, sizeof(request.key));
  link->write_at = at;
  link->write_end = end;
  link->write_eof = request.eof;
  go_on_writing(link);
  return true;
}

static void serve(struct link *link, uint32_t op, char *payload, size_t len)
{
  switch (op) {
  case MAG_FRAME_EXEC:
    serve_exec(link, payload, len);
    break;
  case MAG_FRAME_ATTACH:
    serve_attach(link, payload, len);
    break;
  case MAG_FRAME_ACK:
    serve_acknowledge(link, payload, len);
    break;
  case MAG_FRAME_DETACH:
    let_go(link);
    done(link, 0);
    break;
  case MAG_FRAME_SIGNAL:
    serve_signal(link, payload, len);
    break;
  case MAG_FRAME_LIST:
    serve_list(link);
    break;
  case MAG_FRAME_TOUCH:
    done(link, 0);
    break;
  default:
    link->closing = true;
  }
}

static void serve_received(struct link *link)
{
  while (!link->write_key[0] && !link->closing) {
    struct mag_frame head;
    if (link->received.len < sizeof(head))
      return;
    memcpy(&head, link->received.ptr, sizeof(head));
    size_t end = sizeof(head) + head.len;
    if (head.len > MAG_FRAME_MAX) {
      link->closing = true;
      return;
    }
    if (link->received.len < end)
      return;
    last_use_ms = slots_now_ms();
    if (head.op == MAG_FRAME_WRITE) {
      if (serve_write(link, end))
        continue;
    } else {
      serve(link, head.op, link->received.ptr + sizeof(head), head.len);
    }
    drop_front(&link->received, end);
  }
}

/* ---- In and out ------------------------------------------------------------------------------------------------- */

static void receive(struct link *link)
{
  if (link->received.len > MAG_FRAME_MAX + sizeof(struct mag_frame) || !reserve(&link->received, READ_SIZE)) {
    link->closing = true; /* nobody sends that much while a WRITE waits */
    return;
  }
  ssize_t n = read(link->in, link->received.ptr + link->received.len, READ_SIZE);
  if (n > 0)
    link->received.len += (size_t) n;
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    link->closing = true;
}

/* Once everything before has gone out: what there is to say about the watched process. */
static void tell(struct link *link)
{
  static char data[MAG_FRAME_DATA];
  struct job *job = link->job;
  struct mag_frame_output output;
  if (job->pid && !job->told_started) {
    struct mag_frame_number pid = {job->pid};
    answer(link, MAG_FRAME_STARTED, &pid, sizeof(pid));
    job->told_started = true;
    if ((job->flags & MAG_EXEC_BACKGROUND) && job->spool_fd < 0) {
      let_go(link);
      return;
    }
  }
  size_t n = job_next_output(job, &output, data, sizeof(data));
  if (n > 0) {
    struct mag_frame head = {MAG_FRAME_OUTPUT, (uint32_t) (sizeof(output) + n)};
    add(link, &head, sizeof(head));
    add(link, &output, sizeof(output));
    add(link, data, n);
  } else if (job->ended) {
    job->told_ms = slots_now_ms();
    if (job->failed)
      failed(link, job->failed, job->failed_at);
    else
      answer(link, MAG_FRAME_END, &job->end, sizeof(job->end));
    let_go(link);
  }
}

static void push_out(struct link *link)
{
  while (!link->closing && link->out >= 0) {
    if (link->sent == link->sending.len) {
      link->sent = link->sending.len = 0;
      if (link->job)
        tell(link);
      if (link->sending.len == 0)
        return;
    }
    ssize_t n = write(link->out, link->sending.ptr + link->sent, link->sending.len - link->sent);
    if (n > 0)
      link->sent += (size_t) n;
    else if (errno == EAGAIN)
      return;
    else if (errno != EINTR)
      link->closing = true;
  }
}

#define FDS_EACH 4

size_t link_poll(struct pollfd *fds, size_t cap)
{
  size_t n = 0;
  for (struct link *link = links; link && n + FDS_EACH <= cap; link = link->next) {
    struct job *job = link->write_key[0] ? job_find(link->write_key) : NULL;
    fds[n++] = (struct pollfd){link->socket, POLLIN, 0};
    fds[n++] = (struct pollfd){link->in, POLLIN, 0};
    fds[n++] = (struct pollfd){link->sent < link->sending.len ? link->out : -1, POLLOUT, 0};
    fds[n++] = (struct pollfd){job ? job->in : -1, POLLOUT, 0};
  }
  return n;
}

static void free_closing(void)
{
  for (struct link **place = &links; *place;) {
    struct link *link = *place;
    if (link->closing) {
      *place = link->next;
      link_free(link);
    } else {
      place = &link->next;
    }
  }
}

void link_run(const struct pollfd *fds, size_t n)
{
  size_t at = 0;
  for (struct link *link = links; link && at + FDS_EACH <= n; link = link->next, at += FDS_EACH) {
    if (fds[at].revents)
      take_fds(link);
    if (fds[at + 1].revents && link->in >= 0)
      receive(link);
    if (link->write_key[0])
      go_on_writing(link);
    serve_received(link);
  }
  for (struct link *link = links; link; link = link->next)
    push_out(link);
  free_closing();
}
