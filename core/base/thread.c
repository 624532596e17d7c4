#include "base/thread.h"

#include <errno.h>
#include <magent/mbp.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#define STACK_BYTES ((size_t) 256 << 10)
#ifdef MAGENT_SANITIZED
#define RED_ZONES ((size_t) 2048 << 10)
#else
#define RED_ZONES ((size_t) 0)
#endif

/* What the C library itself takes from a stack: the thread-local storage of the whole program lies there. */
static size_t own_share(void)
{
  long least = sysconf(_SC_THREAD_STACK_MIN);
  return least > 0 ? (size_t) least : PTHREAD_STACK_MIN;
}

static int create(size_t stack, bool detached, void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
  pthread_attr_t attributes;
  int number = pthread_attr_init(&attributes);
  if (number)
    return number;
  if (stack)
    (void) pthread_attr_setstacksize(&attributes, stack);
  (void) pthread_attr_setdetachstate(&attributes, detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
  number = pthread_create(ret_thread, &attributes, run, argument);
  (void) pthread_attr_destroy(&attributes);
  return number;
}

int mag_thread_start_sized(size_t stack, void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
  sigset_t all, old;
  pthread_t thread;
  (void) sigfillset(&all);
  (void) pthread_sigmask(SIG_SETMASK, &all, &old);
  int number = create(own_share() + stack + RED_ZONES, !ret_thread, run, argument, &thread);
  if (number == EINVAL) /* a C library that does not tell the whole of its share: then the size is its own affair */
    number = create(0, !ret_thread, run, argument, &thread);
  (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (number)
    return -MBP_E_LIMIT;
  if (ret_thread)
    *ret_thread = thread;
  return 0;
}

int mag_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
  return mag_thread_start_sized(STACK_BYTES, run, argument, ret_thread);
}
