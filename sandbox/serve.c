/* The main process of a container, and the way to it from outside. */
#include "sandbox/serve.h"

#include "sandbox/modes.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS 2048
#define CONNECT_TRIES 200 /* 10 ms each: the server of a container that has just been started */

/* A name without a file: it works on read-only roots, and goes with its server. Each user has a server of its own. */
static socklen_t server_address(struct sockaddr_un *address)
{
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int n = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "magent-sandbox-%u", (unsigned) geteuid());
  return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + (size_t) n);
}

static int open_listener(void)
{
  struct sockaddr_un address;
  socklen_t len = server_address(&address);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && (bind(fd, (struct sockaddr *) &address, len) < 0 || listen(fd, 64) < 0)) {
    int number = errno;
    (void) close(fd);
    errno = number;
    return -1;
  }
  return fd;
}

static void run(int listener, bool only_from_outside, int64_t lifetime_ms, int64_t idle_ms)
{
  static struct pollfd fds[MAX_FDS];
  int64_t begun = slots_now_ms();
  for (;;) {
    int64_t now = slots_now_ms(), used = link_last_use_ms(), wake = INT64_MAX;
    if (lifetime_ms > 0)
      wake = begun + lifetime_ms;
    if (idle_ms > 0 && (used ? used : begun) + idle_ms < wake)
      wake = (used ? used : begun) + idle_ms;
    if (now >= wake)
      return;
    fds[2] = (struct pollfd){listener, POLLIN, 0};
    size_t n_links = link_poll(fds + 3, MAX_FDS / 2);
    size_t n_jobs = job_poll(fds + 3 + n_links, MAX_FDS - 3 - n_links, &wake);
    int64_t left = wake == INT64_MAX ? -1 : wake > now ? wake - now : 0;
    (void) poll(fds, 3 + n_links + n_jobs, slots_poll(fds, left > INT_MAX ? INT_MAX : (int) left));
    slots_run(fds);
    job_run(fds + 3 + n_links, n_jobs);
    link_run(fds + 3, n_links);
    if (fds[2].revents)
      link_accept(listener, only_from_outside);
  }
}

/* serve [lifetime=MS] [idle=MS] [nofile=N]: until its time is over, or for idle milliseconds nobody has asked for
 * anything. As PID 1 it takes the container along. */
int mag_sandbox_serve(int argc, char **argv)
{
  int failed = slots_open(argc, argv, getpid() == 1);
  if (failed)
    return failed;
  int listener = open_listener();
  if (listener < 0)
    return errno == EADDRINUSE ? 0 : slots_fail("its socket", errno);
  int r = init_filter(false);
  if (r < 0)
    return slots_fail("the system call filter cannot be installed", -r);
  uint64_t number;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number))
    return slots_fail("random numbers", errno);
  link_open(number);
  failed = slots_close_standard();
  if (failed)
    return failed;
  /* Without a process namespace of its own everybody has a parent: then nobody can be told from anybody. */
  run(listener, init_parent_of(getpid()) == 0, slots_word(argc, argv, "lifetime"), slots_word(argc, argv, "idle"));
  slots_leave();
}

/* ---- connect ---------------------------------------------------------------------------------------------------- */

static int hand_over(int server)
{
  const int fds[2] = {0, 1};
  char byte = 0;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(fds))];
  } control;
  struct iovec part = {&byte, 1};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  memset(&control, 0, sizeof(control));
  struct cmsghdr *c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(fds));
  memcpy(CMSG_DATA(c), fds, sizeof(fds));
  return sendmsg(server, &header, MSG_NOSIGNAL) == 1 ? 0 : slots_fail("the sandbox's server", errno);
}

/* Nothing in the sandbox can pose as the server of a user that has none yet. */
static bool is_server(int server)
{
  struct ucred peer;
  socklen_t len = sizeof(peer);
  return getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid() &&
         (init_parent_of(getpid()) != 0 || init_parent_of(peer.pid) == 0);
}

/* connect: lends its stdin and stdout to the server of its user, and stays until that lets go of them. */
int mag_sandbox_connect(int argc, char **argv)
{
  struct sockaddr_un address;
  socklen_t len = server_address(&address);
  char byte;
  (void) argc;
  (void) argv;
  (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -1;
  for (int i = 0; server >= 0 && r < 0 && i < CONNECT_TRIES; i++) {
    r = connect(server, (struct sockaddr *) &address, len);
    if (r < 0)
      (void) usleep(10000);
  }
  if (r < 0)
    return slots_fail("the sandbox's server does not answer", errno);
  if (!is_server(server))
    return slots_fail("somebody poses as the sandbox's server", EACCES);
  r = hand_over(server);
  if (r)
    return r;
  (void) close(0);
  (void) close(1);
  while (read(server, &byte, 1) < 0 && errno == EINTR)
    ;
  return 0;
}
