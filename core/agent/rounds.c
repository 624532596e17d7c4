#include "agent/rounds.h"

#include "base/clock.h"
#include "base/thread.h"

#include <stddef.h>

static struct mag_round *next_due(const struct mag_rounds *rounds)
{
  struct mag_round *round = rounds->first;
  while (round && !round->due)
    round = round->next;
  return round;
}

/* Looks without the lock: what is done to one thing must not hold up those who come and go. */
static void look_at_all(struct mag_rounds *rounds)
{
  struct mag_round *round;
  for (round = rounds->first; round; round = round->next)
    round->due = true;
  while ((round = next_due(rounds))) {
    round->due = false;
    round->busy = true;
    pthread_mutex_unlock(&rounds->lock);
    round->look(round->ctx);
    pthread_mutex_lock(&rounds->lock);
    round->busy = false;
    pthread_cond_broadcast(&rounds->changed);
  }
}

static void *go_round(void *arg)
{
  struct mag_rounds *rounds = arg;
  pthread_mutex_lock(&rounds->lock);
  struct timespec until = mag_clock_wall_after(rounds->interval_ms);
  while (rounds->first) {
    if (pthread_cond_timedwait(&rounds->changed, &rounds->lock, &until) == 0)
      continue; /* somebody came or went: that puts nothing off */
    look_at_all(rounds);
    until = mag_clock_wall_after(rounds->interval_ms);
  }
  rounds->running = false;
  pthread_mutex_unlock(&rounds->lock);
  return NULL;
}

void mag_rounds_join(struct mag_rounds *rounds, struct mag_round *round)
{
  pthread_mutex_lock(&rounds->lock);
  round->due = round->busy = false;
  round->next = rounds->first;
  rounds->first = round;
  if (!rounds->running)
    rounds->running = mag_thread_start(go_round, rounds, NULL) == 0;
  pthread_mutex_unlock(&rounds->lock);
}

void mag_rounds_leave(struct mag_rounds *rounds, struct mag_round *round)
{
  pthread_mutex_lock(&rounds->lock);
  for (struct mag_round **place = &rounds->first; *place; place = &(*place)->next)
    if (*place == round) {
      *place = round->next;
      break;
    }
  while (round->busy)
    pthread_cond_wait(&rounds->changed, &rounds->lock);
  if (!rounds->first)
    pthread_cond_broadcast(&rounds->changed);
  pthread_mutex_unlock(&rounds->lock);
}
