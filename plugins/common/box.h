/* box.h - one sandbox on this machine, as the host sees it: the socket of its init, its processes, its limit group.
 *
 * No thread belongs to a sandbox: whoever waits for a process polls the socket too, reads what has come and wakes the
 * process that it is about. Everything that comes out of the socket is hostile.
 */
#ifndef MAG_COMMON_BOX_H
#define MAG_COMMON_BOX_H

#include "plugins/common/plug.h"
#include "sandbox/protocol.h"

#include <magent/mbp-host.h>
#include <pthread.h>
#include <stdbool.h>

struct mag_box;

/* A process in a sandbox. State is written under the box's lock; `changed` is an eventfd that says "look again". */
struct mag_proc {
  struct mag_proc *next;
  struct mag_box *box; /* not counted: who works with a process holds its box */
  unsigned refs;
  uint32_t id;
  char *key;     /* empty: the provider's own */
  char *command; /* for lists */
  int changed;
  bool background, started, failed, exited, gone;
  int32_t pid, number, at; /* number and at: why it failed, errno and MAG_BOX_AT_* */
  int32_t code, signal;
  unsigned limits; /* bits 1 << MAG_BOX_LIMIT_*: for what it, or a part of it, was killed */
  pthread_mutex_t stdin_lock;
  int stdin_fd; /* ours, not blocking; -1: none or closed */
};

struct mag_box {
  struct mag_box *next; /* in its instance's table */
  unsigned refs;
  const struct mbp_host *host;
  const struct mbp_process_v1 *process;
  pthread_mutex_t lock;
  int control;
  bool dead, ready;
  struct mbp_process *init; /* bubblewrap, or the supervisor itself */
  struct mbp_group *group;
  uint32_t next_id;
  struct mag_proc *procs;

  char *key, *session, *working_dir, *helper, *limits;
  char *beneath;         /* put and get stay below this directory; NULL: the sandbox has walls */
  struct plug_list env;  /* of every process */
  int64_t memory_bytes;  /* the limit, for messages */
  uint32_t pids;
  bool weak_limits;      /* some limit is not held by the kernel */
  int64_t created_ms;
  uint32_t network;
  void *own;             /* the provider's, for `on_end` */
  void (*on_end)(struct mag_box *box, void *own); /* once, after everything in it is dead */
};

/* Empty, one reference, nothing started. NULL without memory. */
struct mag_box *mag_box_new(const struct mbp_host *host, const struct mbp_process_v1 *process, struct mbp_str key,
                            struct mbp_str session);
struct mag_box *mag_box_ref(struct mag_box *box);
void mag_box_unref(struct mag_box *box); /* the last one ends it */

/* Ends everything that runs in it, now. Any thread, more than once. */
void mag_box_end(struct mag_box *box);

/* Starts init: `spawn` is complete but for the descriptors 2 (where it complains) and MAG_BOX_CONTROL_FD, which come
 * first in fds and are filled in here. Waits until it says that it is ready. On failure `complaint` holds what it
 * said. */
int mag_box_launch(struct mag_box *box, struct mbp_call *call, struct mbp_spawn *spawn, struct mbp_fd *fds,
                   char *complaint, size_t complaint_cap, struct mbp_error *err);

/* Reads what has come from init without waiting. */
void mag_box_pump(struct mag_box *box);

/* One message of init's, any bytes: checks and applies it. Public for the fuzzer. False: it was refused. */
bool mag_box_apply(struct mag_box *box, const void *message, size_t len);

struct mag_start {
  const struct mbp_str *argv;
  size_t n_argv;
  const struct mbp_pair *env;
  size_t n_env;
  struct mbp_str cwd, spool, key;
  uint32_t flags;        /* MAG_BOX_MERGE, MAG_BOX_SPOOL */
  uint64_t spool_limit;
  int in, out, err;      /* the child's ends; -1: /dev/null */
};

/* Asks init to start a process; what becomes of it shows in the record (one reference is the caller's). */
int mag_box_start(struct mag_box *box, struct mbp_call *call, const struct mag_start *start,
                  struct mag_proc **ret_proc, struct mbp_error *err);

/* By key, with a reference; NULL if there is none. */
struct mag_proc *mag_box_find(struct mag_box *box, struct mbp_str key);
void mag_proc_unref(struct mag_proc *proc);

/* A process that has ended is no error. */
int mag_proc_signal(struct mag_proc *proc, struct mbp_call *call, int signal, bool tree, struct mbp_error *err);

#endif
