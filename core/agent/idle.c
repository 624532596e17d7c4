#include "agent/idle.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define INTERVAL_S 5
#define STACK (256 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct mag_idle *watched;
static bool running;

static struct mag_idle *next_due(void)
{
  struct mag_idle *idle = watched;
  while (idle && !idle->due)
    idle = idle->next;
  return idle;
}

/* Looks without the lock: what is done to one thing must not hold up those who come and go. */
static void look_at_all(void)
{
  struct mag_idle *idle;
  for (idle = watched; idle; idle = idle->next)
    idle->due = true;
  while ((idle = next_due())) {
    idle->due = false;
    idle->busy = true;
    pthread_mutex_unlock(&lock);
    idle->look(idle->ctx);
    pthread_mutex_lock(&lock);
    idle->busy = false;
    pthread_cond_broadcast(&changed);
  }
}

static void *look_around(void *unused)
{
  (void) unused;
  pthread_mutex_lock(&lock);
  while (watched) {
    struct timespec until;
    (void) clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += INTERVAL_S;
    if (pthread_cond_timedwait(&changed, &lock, &until) != 0)
      look_at_all();
  }
  running = false;
  pthread_mutex_unlock(&lock);
  return NULL;
}

static bool start(void)
{
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, old;
  sigfillset(&all);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool started = pthread_create(&thread, &attributes, look_around, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  return started;
}

void mag_idle_watch(struct mag_idle *idle)
{
  pthread_mutex_lock(&lock);
  idle->due = idle->busy = false;
  idle->next = watched;
  watched = idle;
  if (!running)
    running = start();
  pthread_mutex_unlock(&lock);
}

void mag_idle_unwatch(struct mag_idle *idle)
{
  pthread_mutex_lock(&lock);
  for (struct mag_idle **place = &watched; *place; place = &(*place)->next)
    if (*place == idle) {
      *place = idle->next;
      break;
    }
  while (idle->busy)
    pthread_cond_wait(&changed, &lock);
  if (!watched)
    pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}
