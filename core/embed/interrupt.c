/* Interrupting, from threads and from signal handlers: those can only write to a descriptor, which a thread reads. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/thread.h"
#include "embed/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

void magent_interrupt(struct magent_agent *agent)
{
  pthread_mutex_lock(&agent->lock);
  if (agent->running)
    mag_session_interrupt(agent->running);
  else
    agent->interrupted = true;
  pthread_mutex_unlock(&agent->lock);
}

static void *listen_for_bytes(void *argument)
{
  struct magent_agent *agent = argument;
  struct pollfd fds[2] = {{.fd = agent->interrupt_fds[0], .events = POLLIN},
                          {.fd = agent->interrupt_stop, .events = POLLIN}};
  char bytes[64];
  while (fds[1].revents == 0) {
    if (poll(fds, 2, -1) < 0)
      continue;
    ssize_t n = fds[0].revents ? read(fds[0].fd, bytes, sizeof(bytes)) : -1;
    if (n > 0)
      magent_interrupt(agent);
    else if (n == 0) /* the program closed what is ours */
      fds[0].fd = -1;
  }
  return NULL;
}

static void close_both(struct magent_agent *agent)
{
  mag_cleanup_close(&agent->interrupt_fds[0]);
  mag_cleanup_close(&agent->interrupt_fds[1]);
  mag_cleanup_close(&agent->interrupt_stop);
  agent->interrupt_fds[0] = agent->interrupt_fds[1] = agent->interrupt_stop = -1;
}

static int start(struct magent_agent *agent, struct mbp_error *err)
{
  agent->interrupt_stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int number = agent->interrupt_stop < 0 || pipe2(agent->interrupt_fds, O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0;
  int r = 0;
  if (number)
    r = mag_error_errno(err, number, "a descriptor to interrupt with");
  else if (mag_thread_start(listen_for_bytes, agent, &agent->interrupt_thread) < 0)
    r = mag_error(err, MBP_E_LIMIT, "no thread to wait for interrupts: too many are running");
  if (r < 0)
    close_both(agent);
  return r;
}

int magent_interrupt_fd(struct magent_agent *agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  pthread_mutex_lock(&agent->making);
  int r = agent->interrupt_stop >= 0 ? 0 : start(agent, &err);
  int fd = agent->interrupt_fds[1];
  pthread_mutex_unlock(&agent->making);
  return r < 0 ? embed_fail(error, &err) : fd;
}

void embed_interrupt_done(struct magent_agent *agent)
{
  if (agent->interrupt_stop < 0)
    return;
  (void) !write(agent->interrupt_stop, &(uint64_t){1}, sizeof(uint64_t));
  (void) pthread_join(agent->interrupt_thread, NULL);
  close_both(agent);
}
