/* rounds.h - things that are looked at from time to time, by one thread that lives while there are any. */
#ifndef MAG_AGENT_ROUNDS_H
#define MAG_AGENT_ROUNDS_H

#include <pthread.h>
#include <stdbool.h>

struct mag_round;

/* Static. What may take long has rounds of its own, so that it delays nobody else. */
struct mag_rounds {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct mag_round *first;
  bool running;
  int interval_ms;
};
#define MAG_ROUNDS_INIT(interval_ms)                                                                                   \
  {                                                                                                                    \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false, interval_ms                                      \
  }

/* Something that is looked at. The memory is the caller's, and must stay until it has left. */
struct mag_round {
  void (*look)(void *ctx); /* runs in the thread; must not join or leave */
  void *ctx;
  /* The thread's own. */
  struct mag_round *next;
  bool due, busy;
};

/* Starts the thread if it is the first one. Without memory for a thread nothing is looked at. */
void mag_rounds_join(struct mag_rounds *rounds, struct mag_round *round);
/* Returns when it is not being looked at any more, and never will. The thread ends with the last one. */
void mag_rounds_leave(struct mag_rounds *rounds, struct mag_round *round);

#endif
