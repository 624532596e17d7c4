#include "plugins/common/box.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ENDED_KEPT 64 /* background processes that lists still show */
#define SEND_WAIT_MS 5000

struct mag_box *mag_box_new(const struct mbp_host *host, const struct mbp_process_v1 *process, struct mbp_str key,
                            struct mbp_str session)
{
  struct mag_box *box = calloc(1, sizeof(*box));
  if (!box)
    return NULL;
  (void) pthread_mutex_init(&box->lock, NULL);
  box->refs = 1;
  box->host = host;
  box->process = process;
  box->control = -1;
  box->key = plug_dup(key);
  box->session = plug_dup(session);
  box->created_ms = host->clock_ms(host->ctx, MBP_CLOCK_WALL);
  if (!box->key || !box->session) {
    mag_box_unref(box);
    return NULL;
  }
  return box;
}

struct mag_box *mag_box_ref(struct mag_box *box)
{
  __atomic_add_fetch(&box->refs, 1, __ATOMIC_RELAXED);
  return box;
}

static void wake(struct mag_proc *proc)
{
  uint64_t one = 1;
  ssize_t n = write(proc->changed, &one, sizeof(one));
  (void) n;
}

/* With the lock held. */
static void mark_dead(struct mag_box *box)
{
  box->dead = true;
  for (struct mag_proc *proc = box->procs; proc; proc = proc->next)
    wake(proc);
}

void mag_box_end(struct mag_box *box)
{
  (void) pthread_mutex_lock(&box->lock);
  bool first = !box->dead;
  mark_dead(box);
  if (box->control >= 0)
    (void) shutdown(box->control, SHUT_RDWR); /* init leaves; who polls it wakes */
  (void) pthread_mutex_unlock(&box->lock);
  if (first && box->init && box->process->wait(box->init, 1000, NULL, NULL) != 1)
    (void) box->process->kill(box->init, SIGKILL);
}

static void free_procs(struct mag_box *box)
{
  while (box->procs) {
    struct mag_proc *proc = box->procs;
    box->procs = proc->next;
    proc->next = NULL;
    mag_proc_unref(proc);
  }
}

void mag_box_unref(struct mag_box *box)
{
  if (!box || __atomic_sub_fetch(&box->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return;
  mag_box_end(box);
  free_procs(box);
  box->process->free(box->init);
  box->process->group_free(box->group);
  if (box->on_end)
    box->on_end(box, box->own);
  if (box->control >= 0)
    (void) close(box->control);
  plug_list_free(&box->env);
  free(box->key);
  free(box->session);
  free(box->working_dir);
  free(box->helper);
  free(box->limits);
  free(box->beneath);
  (void) pthread_mutex_destroy(&box->lock);
  free(box);
}

/* ---- Processes -------------------------------------------------------------------------------------------------- */

/* A record is held by its box's list (until it is gone) and by who works with it; it does not hold the box: who works
 * with it does. */
void mag_proc_unref(struct mag_proc *proc)
{
  if (!proc || __atomic_sub_fetch(&proc->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return;
  if (proc->changed >= 0)
    (void) close(proc->changed);
  if (proc->stdin_fd >= 0)
    (void) close(proc->stdin_fd);
  (void) pthread_mutex_destroy(&proc->stdin_lock);
  free(proc->key);
  free(proc->command);
  free(proc);
}

static char *command_line(const struct mag_start *start)
{
  size_t len = 0, at = 0;
  for (size_t i = 0; i < start->n_argv; i++)
    len += start->argv[i].len + 1;
  len = PLUG_MIN(len, (size_t) 4096);
  char *text = malloc(len + 1);
  for (size_t i = 0; text && i < start->n_argv && at < len; i++) {
    size_t n = PLUG_MIN(start->argv[i].len, len - at);
    memcpy(text + at, start->argv[i].ptr, n);
    at += n;
    if (at < len && i + 1 < start->n_argv)
      text[at++] = ' ';
  }
  if (text)
    text[at] = 0;
  return text;
}

static struct mag_proc *proc_new(struct mag_box *box, const struct mag_start *start)
{
  struct mag_proc *proc = calloc(1, sizeof(*proc));
  if (!proc)
    return NULL;
  proc->refs = 1;
  proc->box = box;
  proc->stdin_fd = -1;
  proc->background = start->flags & MAG_BOX_SPOOL;
  (void) pthread_mutex_init(&proc->stdin_lock, NULL);
  proc->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  proc->key = plug_dup(start->key);
  proc->command = command_line(start);
  if (proc->changed < 0 || !proc->key || !proc->command) {
    mag_proc_unref(proc);
    return NULL;
  }
  return proc;
}

static struct mag_proc *find_key(struct mag_box *box, struct mbp_str key)
{
  for (struct mag_proc *proc = box->procs; proc && key.len; proc = proc->next)
    if (mbp_str_eq(key, proc->key))
      return proc;
  return NULL;
}

struct mag_proc *mag_box_find(struct mag_box *box, struct mbp_str key)
{
  mag_box_pump(box);
  (void) pthread_mutex_lock(&box->lock);
  struct mag_proc *proc = find_key(box, key);
  if (proc)
    __atomic_add_fetch(&proc->refs, 1, __ATOMIC_RELAXED);
  (void) pthread_mutex_unlock(&box->lock);
  return proc;
}

/* With the lock held. */
static void forget(struct mag_box *box, struct mag_proc *proc)
{
  for (struct mag_proc **at = &box->procs; *at; at = &(*at)->next)
    if (*at == proc) {
      *at = proc->next;
      proc->next = NULL;
      mag_proc_unref(proc);
      return;
    }
}

/* With the lock held: background processes that have ended stay for lists, the newest ones. The list is newest first.
 * */
static void prune(struct mag_box *box)
{
  unsigned kept = 0;
  for (struct mag_proc *proc = box->procs, *next; proc; proc = next) {
    next = proc->next;
    if (proc->gone && (!proc->background || ++kept > ENDED_KEPT))
      forget(box, proc);
  }
}

/* ---- Messages from init ----------------------------------------------------------------------------------------- */

/* Replies must come in their order; init is trusted no more than what it guards. */
static bool apply_to(struct mag_proc *proc, const struct mag_box_reply *reply)
{
  switch (reply->op) {
  case MAG_BOX_STARTED:
    if (proc->started || proc->failed || reply->value <= 0)
      return false;
    proc->started = true;
    proc->pid = reply->value;
    return true;
  case MAG_BOX_FAILED:
    if (proc->started || proc->failed || reply->value <= 0 || reply->value > 4095)
      return false;
    proc->failed = true;
    proc->number = reply->value;
    proc->at = reply->extra;
    /* What was never there sends no more, unless a leader was. */
    proc->gone = reply->extra == MAG_BOX_AT_INIT;
    return true;
  case MAG_BOX_LIMIT:
    if (!proc->started || proc->exited || reply->value < MAG_BOX_LIMIT_MEMORY || reply->value > MAG_BOX_LIMIT_TASKS ||
        proc->limits & 1u << reply->value)
      return false;
    proc->limits |= 1u << reply->value;
    return true;
  case MAG_BOX_EXITED:
    if (!proc->started || proc->exited || reply->value < 0 || reply->value > 255 || reply->extra < 0 ||
        reply->extra > 64)
      return false;
    proc->exited = true;
    proc->code = reply->value;
    proc->signal = reply->extra;
    return true;
  case MAG_BOX_GONE:
    if ((!proc->exited && !proc->failed) || proc->gone)
      return false;
    proc->gone = true;
    return true;
  default:
    return false;
  }
}

bool mag_box_apply(struct mag_box *box, const void *message, size_t len)
{
  struct mag_box_reply reply;
  if (len != sizeof(reply))
    return false;
  memcpy(&reply, message, sizeof(reply));
  if (reply.magic != MAG_BOX_MAGIC)
    return false;
  if (reply.op == MAG_BOX_READY && reply.id == 0 && reply.value == (int32_t) MAG_BOX_MAGIC) {
    bool first = !box->ready;
    box->ready = true;
    return first;
  }
  for (struct mag_proc *proc = box->procs; proc; proc = proc->next)
    if (proc->id == reply.id) {
      bool good = apply_to(proc, &reply);
      if (good)
        wake(proc);
      if (proc->gone)
        prune(box);
      return good;
    }
  return false;
}

void mag_box_pump(struct mag_box *box)
{
  (void) pthread_mutex_lock(&box->lock);
  for (int i = 0; i < 1024 && !box->dead; i++) {
    /* Space for more than a message, so that a longer one is seen as such; descriptors are not received at all. */
    char message[sizeof(struct mag_box_reply) + 8];
    ssize_t n = recv(box->control, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    if (n <= 0)
      mark_dead(box);
    else
      (void) mag_box_apply(box, message, (size_t) n);
  }
  (void) pthread_mutex_unlock(&box->lock);
}

/* ---- Requests to init ------------------------------------------------------------------------------------------- */

static int send_request(struct mag_box *box, struct mbp_call *call, const struct mag_box_request *request,
                        const int *fds, size_t n_fds, struct mbp_error *err)
{
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MAG_BOX_MAX_FDS)];
  } control;
  struct iovec part = {(void *) (uintptr_t) request, sizeof(*request)};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  memset(&control, 0, sizeof(control));
  if (n_fds) {
    header.msg_control = &control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
  }
  for (int64_t until = plug_now_ms(box->host) + SEND_WAIT_MS;;) {
    if (sendmsg(box->control, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return 0;
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
      return plug_error(err, MBP_E_LOST, "the sandbox is gone");
    if (plug_now_ms(box->host) > until)
      return plug_error(err, MBP_E_BUSY, "the sandbox does not take requests");
    if (call && box->host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled");
    mag_box_pump(box); /* init reads on once it could tell us what it has to tell */
    struct pollfd wait = {box->control, POLLOUT, 0};
    (void) poll(&wait, 1, 20);
  }
}

struct blob {
  char *bytes;
  size_t len, cap;
  bool failed;
};

static void blob_add(struct blob *blob, const char *text, size_t len, char end)
{
  if (memchr(text ? text : "", 0, len))
    blob->failed = true; /* would be another string inside */
  if (blob->len + len + 1 > blob->cap) {
    size_t cap = 2 * (blob->len + len + 1) + 1024;
    char *bytes = cap > 4u * MAG_BOX_BLOB ? NULL : realloc(blob->bytes, cap);
    if (bytes) {
      blob->bytes = bytes;
      blob->cap = cap;
    }
  }
  if (blob->failed || blob->len + len + 1 > blob->cap) {
    blob->failed = true;
    return;
  }
  if (len)
    memcpy(blob->bytes + blob->len, text, len);
  blob->bytes[blob->len + len] = end;
  blob->len += len + 1;
}

/* Later values replace earlier ones of the same name. */
static bool is_replaced(const char *entry, const struct mbp_pair *env, size_t n_env)
{
  size_t len = strcspn(entry, "=");
  for (size_t i = 0; i < n_env; i++)
    if (env[i].name.len == len && memcmp(env[i].name.ptr, entry, len) == 0)
      return true;
  return false;
}

static int make_blob(struct mag_box *box, const struct mag_start *start, struct mag_box_request *request, int *ret_fd,
                     struct mbp_error *err)
{
  struct blob blob = {0};
  struct mbp_str cwd = start->cwd.len ? start->cwd : mbp_str(box->working_dir);
  bool relative = cwd.len && cwd.ptr[0] != '/';
  mag_autofree char *joined = relative ? plug_printf("%s/%.*s", box->working_dir, (int) cwd.len, cwd.ptr) : NULL;
  if (relative)
    cwd = mbp_str(joined);
  blob_add(&blob, cwd.ptr, cwd.len, 0);
  blob_add(&blob, start->spool.ptr, start->spool.len, 0);
  for (size_t i = 0; i < start->n_argv; i++)
    blob_add(&blob, start->argv[i].ptr, start->argv[i].len, 0);
  for (size_t i = 0; i < box->env.n; i++)
    if (!is_replaced(box->env.items[i], start->env, start->n_env)) {
      blob_add(&blob, box->env.items[i], strlen(box->env.items[i]), 0);
      request->envc++;
    }
  for (size_t i = 0; i < start->n_env; i++) {
    blob_add(&blob, start->env[i].name.ptr, start->env[i].name.len, '=');
    blob_add(&blob, start->env[i].value.ptr, start->env[i].value.len, 0);
    request->envc++;
  }
  request->argc = (uint32_t) start->n_argv;
  request->blob_len = (uint32_t) blob.len;
  int fd = -1, r = 0;
  if (blob.failed || blob.len > MAG_BOX_BLOB)
    r = plug_error(err, MBP_E_LIMIT, "the command and its environment must be without NUL bytes and at most %u KiB",
                   MAG_BOX_BLOB >> 10);
  else if ((fd = memfd_create("exec", MFD_CLOEXEC)) < 0 || write(fd, blob.bytes, blob.len) != (ssize_t) blob.len)
    r = plug_errno(err, errno, "cannot hand over the command");
  free(blob.bytes);
  if (r == 0)
    *ret_fd = fd;
  else if (fd >= 0)
    (void) close(fd);
  return r;
}

/* With the lock held: gives the record its id and its place. */
static int enlist(struct mag_box *box, struct mag_proc *proc, struct mbp_error *err)
{
  struct mag_proc *same = find_key(box, mbp_str(proc->key));
  if (box->dead)
    return plug_error(err, MBP_E_LOST, "the sandbox is gone");
  if (same && !same->exited && !same->failed)
    return plug_error(err, MBP_E_EXISTS, "process '%s' runs already", proc->key);
  if (same) {
    /* Its tree may live on, but the name is the new one's. */
    same->key[0] = 0;
  }
  proc->id = ++box->next_id;
  proc->refs++;
  proc->next = box->procs;
  box->procs = proc;
  return 0;
}

int mag_box_start(struct mag_box *box, struct mbp_call *call, const struct mag_start *start, struct mag_proc **ret_proc,
                  struct mbp_error *err)
{
  struct mag_box_request request = {.magic = MAG_BOX_MAGIC, .op = MAG_BOX_EXEC, .flags = start->flags,
                                    .spool_limit = start->spool_limit};
  int fds[MAG_BOX_MAX_FDS], own[] = {start->in, start->out, start->err};
  size_t n = 1;
  if (start->n_argv == 0 || start->argv[0].len == 0)
    return plug_error(err, MBP_E_INVALID, "exec: argv is empty");
  for (int i = 0; i < 3; i++)
    if (own[i] >= 0) {
      request.flags |= MAG_BOX_HAS_STDIN << i;
      fds[n++] = own[i];
    }
  mag_autoclose int blob_fd = -1;
  int r = make_blob(box, start, &request, &blob_fd, err);
  if (r < 0)
    return r;
  struct mag_proc *proc = proc_new(box, start);
  if (!proc)
    return plug_no_memory(err);
  (void) pthread_mutex_lock(&box->lock);
  r = enlist(box, proc, err);
  (void) pthread_mutex_unlock(&box->lock);
  if (r == 0) {
    fds[0] = blob_fd;
    request.id = proc->id;
    r = send_request(box, call, &request, fds, n, err);
    if (r < 0) {
      (void) pthread_mutex_lock(&box->lock);
      forget(box, proc);
      (void) pthread_mutex_unlock(&box->lock);
    }
  }
  if (r < 0)
    mag_proc_unref(proc);
  else
    *ret_proc = proc;
  return r;
}

int mag_proc_signal(struct mag_proc *proc, struct mbp_call *call, int signal, bool tree, struct mbp_error *err)
{
  struct mag_box *box = proc->box;
  if (signal < 1 || signal > 31)
    return plug_error(err, MBP_E_INVALID, "signal %d: 1 to 31 are signals", signal);
  (void) pthread_mutex_lock(&box->lock);
  bool over = proc->gone || proc->failed || box->dead || (proc->exited && !tree);
  (void) pthread_mutex_unlock(&box->lock);
  if (over)
    return 0;
  struct mag_box_request request = {.magic = MAG_BOX_MAGIC,
                                    .op = MAG_BOX_SIGNAL,
                                    .id = proc->id,
                                    .flags = tree ? MAG_BOX_TREE : 0,
                                    .signal = (uint32_t) signal};
  return send_request(box, call, &request, NULL, 0, err);
}

/* ---- Start ------------------------------------------------------------------------------------------------------ */

#define READY_WAIT_MS 10000

/* What it says while it lives; bounded. */
static void read_complaint(int fd, char *text, size_t cap)
{
  size_t used = 0;
  for (ssize_t n; used + 1 < cap && (n = read(fd, text + used, cap - 1 - used)) > 0;)
    used += (size_t) n;
  text[used] = 0;
  while (used && (text[used - 1] == '\n' || text[used - 1] == ' '))
    text[--used] = 0;
}

static int wait_ready(struct mag_box *box, struct mbp_call *call, struct mbp_error *err)
{
  int64_t until = plug_now_ms(box->host) + READY_WAIT_MS;
  for (;;) {
    mag_box_pump(box);
    if (box->ready)
      return 0;
    if (box->dead)
      return plug_error(err, MBP_E_UNAVAILABLE, "the sandbox ended before it was ready");
    if (box->host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled while the sandbox was being made");
    if (plug_now_ms(box->host) >= until)
      return plug_error(err, MBP_E_TIMEOUT, "the sandbox was not ready within %d seconds", READY_WAIT_MS / 1000);
    struct pollfd fds[] = {{box->control, POLLIN, 0}, {box->host->cancel_fd(call), POLLIN, 0}};
    (void) poll(fds, 2, 200);
  }
}

int mag_box_launch(struct mag_box *box, struct mbp_call *call, struct mbp_spawn *spawn, struct mbp_fd *fds,
                   char *complaint, size_t complaint_cap, struct mbp_error *err)
{
  int pair[2], pipe_ends[2];
  complaint[0] = 0;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return plug_errno(err, errno, "cannot make the sandbox's socket");
  box->control = pair[0];
  mag_autoclose int theirs = pair[1];
  if (pipe2(pipe_ends, O_CLOEXEC) < 0)
    return plug_errno(err, errno, "cannot make a pipe");
  mag_autoclose int listen = pipe_ends[0], speak = pipe_ends[1];
  (void) plug_set_nonblocking(listen);
  fds[0] = (struct mbp_fd){speak, 2};
  fds[1] = (struct mbp_fd){theirs, MAG_BOX_CONTROL_FD};
  spawn->group = box->group;
  int r = box->process->spawn(spawn, &box->init, err);
  if (r < 0)
    return r;
  /* Our copies go, or neither end would ever see the other leave. */
  (void) close(theirs);
  (void) close(speak);
  theirs = speak = -1;
  r = wait_ready(box, call, err);
  if (r < 0) {
    if (box->dead)
      (void) box->process->wait(box->init, 500, NULL, NULL);
    read_complaint(listen, complaint, complaint_cap);
  }
  return r;
}
