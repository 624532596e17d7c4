/* fake_compute.h - a compute plugin for tests: "sandboxes" are temporary directories, processes are children of the
 * test. */
#ifndef FAKE_COMPUTE_H
#define FAKE_COMPUTE_H

#include <magent/mbp-compute.h>
#include <stdatomic.h>
#include <stdbool.h>

extern const struct mbp_plugin fake_compute;

/* What the test wants and what has happened. */
extern struct fake_state {
  atomic_int create_delay_ms;
  atomic_int fail_creates, fail_attaches; /* the next so many fail */
  atomic_int creates, attaches, destroys, execs, puts, statuses;
  atomic_int alive;        /* sandboxes */
  atomic_bool no_helper;   /* says that no helper is inside */
  atomic_bool no_bash;     /* there is no /bin/bash here */
  atomic_int isolation_none;
  const char *helper;      /* path of magent-sandbox */
  char owner[128], session[64]; /* what the last one that was made is labelled with */
} fake_state;

/* All sandboxes vanish behind the host's back. */
void fake_lose_all(void);

#endif
