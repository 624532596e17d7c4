#include "interrupt.h"

#include "cli.h"

#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mag_session *current;
static sigset_t watched;
static int ask_fd = -1;
static bool asking;

static void *watch(void *unused)
{
  (void) unused;
  for (bool again = false;;) {
    int number;
    if (sigwait(&watched, &number) != 0)
      continue;
    pthread_mutex_lock(&lock);
    if (asking) {
      (void) !write(ask_fd, &(uint64_t){1}, sizeof(uint64_t));
    } else {
      if (!current || again)
        _exit(EXIT_INTERRUPTED); /* the sandbox dies with us */
      mag_session_interrupt(current);
      again = true;
    }
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

/* What a shell makes its background jobs ignore is not meant for us, but sigwait would take it all the same. */
static void watch_unless_ignored(int number)
{
  struct sigaction now;
  if (sigaction(number, NULL, &now) < 0 || now.sa_handler != SIG_IGN)
    sigaddset(&watched, number);
}

void interrupt_start(void)
{
  sigemptyset(&watched);
  watch_unless_ignored(SIGINT);
  watch_unless_ignored(SIGTERM);
  pthread_sigmask(SIG_BLOCK, &watched, NULL);
  if (mag_thread_start(watch, NULL, NULL) < 0)
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL); /* then Ctrl-C simply ends us */
}

int interrupt_ask_begin(void)
{
  pthread_mutex_lock(&lock);
  if (ask_fd < 0)
    ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  asking = ask_fd >= 0;
  int fd = ask_fd;
  pthread_mutex_unlock(&lock);
  return fd;
}

void interrupt_ask_end(void)
{
  pthread_mutex_lock(&lock);
  asking = false;
  if (ask_fd >= 0)
    (void) !read(ask_fd, &(uint64_t){0}, sizeof(uint64_t));
  pthread_mutex_unlock(&lock);
}

void interrupt_session(struct mag_session *session)
{
  pthread_mutex_lock(&lock);
  current = session;
  pthread_mutex_unlock(&lock);
}
