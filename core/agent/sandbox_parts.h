/* sandbox_parts.h - what the files behind sandbox.h share; nobody else includes it.
 *
 * Locks: the sandbox's and a stream's are never held together, and none is held while a plugin or a callback runs.
 */
#ifndef MAG_AGENT_SANDBOX_PARTS_H
#define MAG_AGENT_SANDBOX_PARTS_H

#include "agent/sandbox.h"
#include "base/cleanup.h"

#include <pthread.h>
#include <stdatomic.h>

/* One sandbox that the provider made: counted, so that who still uses it after it was replaced keeps its names. */
struct box {
  atomic_uint refs;
  struct mbp_sandbox_info info; /* points into `text` */
  char *text;
  bool attached;
  bool told;    /* `made` has agreed; under the sandbox's lock */
  char *helper; /* put there by us, under the sandbox's lock; info.helper comes first */
};

/* Somebody who waits for a change of the sandbox; lives on the waiter's stack. */
struct waiter {
  struct waiter *next;
  int fd;
};

struct mag_sandbox {
  atomic_uint refs; /* the owner, streams, a thread that makes it */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* beside `waiters`, for who has no call or gets no descriptor */
  struct mag_instance *compute;
  const struct mbp_compute_ops *ops;
  struct mbp_call *scope; /* parent of what belongs to the session and not to one tool */
  struct mag_sandbox_options options;
  char *session, *attach_id, *stray_key, *spec_text;
  char *setup; /* JSON array of shell commands, or NULL */
  struct mbp_pair *spec_env;

  struct box *box;  /* NULL: none */
  bool busy;        /* somebody makes, tells or drops it */
  bool helper_busy; /* somebody puts the helper there */
  bool freed;
  bool error_kept; /* of a creation in the background that nobody has heard of yet */
  bool failed;     /* who needed it last got none, because of `error` */
  struct mbp_error error; /* of the last attempt */
  uint64_t attempt, failed_attempt;
  uint64_t n_keys, n_processes;
  char run[8]; /* random: an earlier process may have left processes of its own in the same sandbox */
  size_t users; /* operations and streams of one call */
  int64_t last_use_ms;
  struct waiter *waiters;
  struct mbp_stream *streams;
};

struct mag_sandbox *mag_sandbox_ref(struct mag_sandbox *sandbox);
void mag_sandbox_unref(struct mag_sandbox *sandbox);

/* The sandbox, made if there is none; it is in use until release. */
int mag_sandbox_acquire(struct mag_sandbox *sandbox, struct mbp_call *call, struct box **ret_box,
                        struct mbp_error *err);
/* `r` is what the operation gave: after MBP_E_LOST or MBP_E_NOT_FOUND the provider is asked whether it is still
 * there. */
void mag_sandbox_release(struct mag_sandbox *sandbox, struct box *box, int r);
void mag_sandbox_use(struct mag_sandbox *sandbox, int change);

/* With the lock held: waits for a wake-up or a cancellation of `call` (may be NULL), then holds the lock again. May
 * return early: the caller looks again. Fails only for the cancellation. */
int mag_sandbox_wait(struct mag_sandbox *sandbox, struct mbp_call *call, struct mbp_error *err);
void mag_sandbox_wake(struct mag_sandbox *sandbox); /* lock held */

/* ---- sandbox_box.c; mag_sandbox_destroy is there too ---- */

#define MAG_SANDBOX_DESTROY_MS 30000 /* for destroy and status: nobody waits longer for them */

void mag_box_unref(struct box *box);
/* on_result of create and attach: ctx is where the new box goes. */
int mag_box_take(void *ctx, const void *result, struct mbp_error *err);
/* Copies a text to *at, which moves behind its 0. */
struct mbp_str mag_text_place(char **at, struct mbp_str text);

/* ---- sandbox_setup.c ---- */

/* Runs the setup commands in a new sandbox. */
int mag_sandbox_set_up(struct mag_sandbox *sandbox, struct mbp_call *parent, struct box *box, struct mbp_error *err);

/* ---- sandbox_leftovers.c ---- */

/* Kills every process that an earlier runner of the session has left in its sandbox. */
int mag_sandbox_end_leftovers(struct mag_sandbox *sandbox, struct mbp_call *parent, const struct box *box,
                              struct mbp_error *err);

/* ---- sandbox_stream.c ---- */

int mag_stream_open(struct mag_sandbox *sandbox, struct box *box, struct mbp_call *call, const struct mbp_exec *exec,
                    struct mbp_stream **ret_stream, struct mbp_error *err);
int mag_stream_next(struct mbp_stream *stream, struct mbp_call *call, int64_t wait_ms, struct mbp_event *ret_event,
                    struct mbp_error *err);
int mag_stream_write(struct mbp_stream *stream, struct mbp_call *owner, struct mbp_str data, uint32_t flags,
                     struct mbp_error *err);
int mag_stream_signal(struct mbp_stream *stream, struct mbp_call *owner, uint32_t number, uint32_t flags,
                      struct mbp_error *err);
const struct mbp_exec_result *mag_stream_result(struct mbp_stream *stream);
void mag_stream_close(struct mbp_stream *stream);
/* Ends every stream of the sandbox; their owners see MBP_E_LOST and still close them. */
void mag_streams_end(struct mag_sandbox *sandbox);

#endif
