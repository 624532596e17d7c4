/* idle.h - one thread of the process that looks at things which have been left alone, such as the sandboxes of idle
 * sessions. */
#ifndef MAG_AGENT_IDLE_H
#define MAG_AGENT_IDLE_H

#include <stdbool.h>

/* Something that is looked at every few seconds. The memory is the caller's, and must stay until it is unwatched. */
struct mag_idle {
  void (*look)(void *ctx); /* runs in the thread; must not watch or unwatch */
  void *ctx;
  /* The thread's own. */
  struct mag_idle *next;
  bool due, busy;
};

/* Starts the thread if it is the first one. Without memory for a thread nothing is looked at. */
void mag_idle_watch(struct mag_idle *idle);
/* Returns when it is not being looked at any more, and never will. The thread ends with the last one. */
void mag_idle_unwatch(struct mag_idle *idle);

#endif
