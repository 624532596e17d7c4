/* PID 1 of a sandbox on this machine, or the supervisor of one without isolation: serves over a socket. */
#include "sandbox/modes.h"
#include "sandbox/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

/* False: no room, or the host is gone (which the next receive shows). */
static bool reply(uint32_t op, uint32_t id, int32_t value, int32_t extra)
{
  struct mag_box_reply message = {MAG_BOX_MAGIC, op, id, value, extra, 0};
  return send(MAG_BOX_CONTROL_FD, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(message);
}

/* Says what there is to say about one process. False: there is more, but no room. */
static bool tell(struct slot *slot)
{
  if (!slot->told_started && slots_pid(slot)) {
    if (!reply(MAG_BOX_STARTED, slot->id, slots_pid(slot), 0))
      return false;
    slot->told_started = true;
  }
  for (int limit = MAG_BOX_LIMIT_MEMORY; limit <= MAG_BOX_LIMIT_TASKS && slot->told_started && !slot->told_end; limit++)
    if ((slot->limits & ~slot->told_limits) & 1u << limit) {
      if (!reply(MAG_BOX_LIMIT, slot->id, limit, 0))
        return false;
      slot->told_limits |= 1u << limit;
    }
  if (slots_has_ended(slot) && !slot->told_end) {
    struct slot_end end = slots_end(slot);
    if (end.failed ? !reply(MAG_BOX_FAILED, slot->id, end.failed, end.failed_at)
                   : !reply(MAG_BOX_EXITED, slot->id, end.code, end.signal))
      return false;
    slot->told_end = true;
  }
  if (slot->gone && slot->told_end) {
    if (!reply(MAG_BOX_GONE, slot->id, 0, 0))
      return false;
    slot->id = 0;
  }
  return true;
}

/* A request that did not even get a slot; the next one is not read before this has been told. */
static struct {
  uint32_t id;
  int number;
} refused;

static bool tell_all(void)
{
  bool all = true;
  if (refused.id) {
    if (!reply(MAG_BOX_FAILED, refused.id, refused.number, MAG_BOX_AT_INIT))
      return false;
    refused.id = 0;
  }
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots_at(i)->id && !tell(slots_at(i)))
      all = false;
  return all;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static char *read_blob(int fd, uint32_t len)
{
  char *blob = malloc((size_t) len + 1);
  if (!blob)
    return NULL;
  for (size_t at = 0; at < len;) {
    ssize_t n = pread(fd, blob + at, len - at, (off_t) at);
    if (n <= 0) {
      free(blob);
      return NULL;
    }
    at += (size_t) n;
  }
  blob[len] = 0;
  return blob;
}

static int start(const struct mag_box_request *request, int *fds, int n_fds)
{
  int next = 1;
  if (n_fds < 1 || request->blob_len > MAG_BOX_BLOB || request->argc < 1 || request->argc > request->blob_len ||
      request->envc > request->blob_len || request->id == 0)
    return EINVAL;
  struct exec_args args = {.in = -1, .out = -1, .err = -1, .merge = request->flags & MAG_BOX_MERGE,
                           .spool_limit = request->spool_limit};
  int *places[] = {&args.in, &args.out, &args.err};
  for (int i = 0; i < 3; i++)
    if (request->flags & (MAG_BOX_HAS_STDIN << i)) {
      if (next >= n_fds)
        return EINVAL;
      *places[i] = fds[next++];
    }
  char *blob = read_blob(fds[0], request->blob_len);
  char **pointers = calloc((size_t) request->argc + request->envc + 2, sizeof(*pointers));
  int number = !blob || !pointers                                                                       ? ENOMEM
               : !slots_cut(blob, request->blob_len, request->argc, request->envc, pointers, &args) ? EINVAL
                                                                                                        : 0;
  if (number == 0)
    number = slots_start(request->id, &args);
  free(blob);
  free(pointers);
  return number;
}

/* Takes the descriptors out of a message. */
static int take_fds(struct msghdr *header, int *fds)
{
  int n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    int count = (int) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + (size_t) i * sizeof(int), sizeof(int));
      if (n < MAG_BOX_MAX_FDS)
        fds[n++] = fd;
      else
        (void) close(fd);
    }
  }
  return n;
}

/* One request. False: the host has closed the socket. */
static bool receive(void)
{
  struct mag_box_request request;
  int fds[MAG_BOX_MAX_FDS];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MAG_BOX_MAX_FDS)];
  } control;
  struct iovec part = {&request, sizeof(request)};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control)};
  ssize_t n = recvmsg(MAG_BOX_CONTROL_FD, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n <= 0)
    return n < 0 && (errno == EAGAIN || errno == EINTR);
  int n_fds = take_fds(&header, fds);
  if (n == (ssize_t) sizeof(request) && request.magic == MAG_BOX_MAGIC) {
    int number = request.op == MAG_BOX_EXEC ? start(&request, fds, n_fds) : 0;
    if (number) {
      refused.id = request.id;
      refused.number = number;
    }
    if (request.op == MAG_BOX_SIGNAL)
      slots_signal(request.id, (int) request.signal, request.flags & MAG_BOX_TREE);
  }
  for (int i = 0; i < n_fds; i++)
    (void) close(fds[i]);
  return true;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void serve(int64_t lifetime_ms)
{
  int64_t end = lifetime_ms > 0 ? slots_now_ms() + lifetime_ms : INT64_MAX;
  bool told = reply(MAG_BOX_READY, 0, (int32_t) MAG_BOX_MAGIC, 0);
  while (told && slots_now_ms() < end) {
    bool all = tell_all();
    int64_t left = end == INT64_MAX ? -1 : end - slots_now_ms();
    struct pollfd fds[3] = {{MAG_BOX_CONTROL_FD, all ? POLLIN : POLLOUT, 0}};
    int wait = slots_poll(fds + 1, left > 3600000 ? 3600000 : (int) left);
    (void) poll(fds, 3, wait);
    slots_run(fds + 1);
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !receive())
      break;
  }
  slots_leave();
}

/* The host has looked at what it binds by its paths, which somebody may have changed meanwhile: an init that does not
 * find the same things ends before anything runs. NULL, or the path that is another. */
static const char *find_replaced(int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    unsigned long long dev, ino;
    int at = 0;
    struct stat st;
    if (sscanf(argv[i], "same=%llx:%llx:%n", &dev, &ino, &at) != 2 || !at)
      continue;
    if (lstat(argv[i] + at, &st) < 0 || st.st_dev != dev || st.st_ino != ino)
      return argv[i] + at;
  }
  return NULL;
}

/* init isolated=0|1 no_unix=0|1 nproc=N nofile=N fsize=BYTES data=BYTES watch_memory=BYTES watch_tasks=N lifetime=MS
 *      scratch=DIR same=DEV:INO:PATH... */
int mag_sandbox_init(int argc, char **argv)
{
  /* What bubblewrap or the host program left open is none of ours. */
  (void) syscall(SYS_close_range, MAG_BOX_CONTROL_FD + 1u, ~0u, 0u);
  bool isolated = slots_word(argc, argv, "isolated") != 0;
  int failed = slots_open(argc, argv, isolated);
  if (failed)
    return failed;
  if (isolated) /* whoever kills the program around the sandbox means the sandbox */
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  (void) fcntl(MAG_BOX_CONTROL_FD, F_SETFD, FD_CLOEXEC);
  const char *replaced = find_replaced(argc, argv);
  if (replaced) {
    (void) fprintf(stderr, "magent-sandbox: %s was replaced while the sandbox was being made: try again\n", replaced);
    return 1;
  }
  if (isolated) {
    int r = init_filter(slots_word(argc, argv, "no_unix") != 0);
    if (r < 0)
      return slots_fail("the system call filter cannot be installed", -r);
  }
  int r = slots_close_standard();
  if (r)
    return r;
  serve(slots_word(argc, argv, "lifetime"));
  return 0;
}
