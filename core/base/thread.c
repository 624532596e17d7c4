#include "base/thread.h"

#include <magent/mbp.h>
#include <signal.h>

#ifdef MAGENT_SANITIZED
#define STACK_BYTES (2048u * 1024) /* red zones need room */
#else
#define STACK_BYTES (256u * 1024)
#endif

int mag_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
  sigset_t all, old;
  pthread_t thread;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes))
    return -MBP_E_NO_MEMORY;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_attr_setdetachstate(&attributes, ret_thread ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int number = pthread_create(&thread, &attributes, run, argument);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  if (number)
    return -MBP_E_LIMIT;
  if (ret_thread)
    *ret_thread = thread;
  return 0;
}
