/* init.h - the parts of `magent-sandbox init`.
 *
 *   init ─┬─ leader ── process ── whatever it starts
 *         └─ leader ── process ── ...
 *
 * Each exec gets a leader: a fork of init that is a child subreaper, so that everything the process starts stays below
 * it, whatever it does with sessions and double forks. The leader tells through shared memory and an eventfd how its
 * process is, and leaves when nothing is below it.
 *
 * A tree is killed by killing its leader: all that was below becomes a child of init, and init kills every child that
 * is no leader until there is none. That needs no cooperation, and the same happens if a process of the sandbox kills a
 * leader (they share one uid): it kills a tree, and nothing escapes. Init itself takes no signal from inside its
 * namespace, is not dumpable (no tracing, no /proc/1/fd, no pidfd_getfd), and waits for nothing but poll.
 */
#ifndef MAGENT_SANDBOX_INIT_H
#define MAGENT_SANDBOX_INIT_H

#include "sandbox/protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a leader and its process tell init: written there, read here; never seen by what is exec'ed. */
struct shared {
  _Atomic int32_t pid;     /* of the process; 0: not started yet */
  _Atomic int32_t failed;  /* errno, once starting has failed */
  int32_t failed_at;       /* MAG_BOX_AT_*; written before `failed` */
  _Atomic int32_t exited;  /* 1 once `status` holds */
  int32_t status;          /* as of waitpid */
};

/* One exec, as init keeps it. */
struct slot {
  uint32_t id;   /* 0: free */
  pid_t leader;  /* 0: has ended */
  bool killed;   /* its leader did not end by itself: told as exited only when all of it is gone */
  bool told_started, told_end, gone;
  bool has_status; /* of an orphaned process, reaped by init */
  int status;
};

struct exec_args {
  const char *cwd, *spool; /* spool: empty if none */
  char **argv, **envp;
  int in, out, err;        /* -1: /dev/null */
  bool merge;
};

/* init_exec.c: forks the leader, which starts the process. Its pid, or -errno. */
pid_t init_start(const struct exec_args *args, struct shared *shared, int wake_fd, const int *close_fds, int n_close);

/* init_tree.c: processes as /proc shows them. */
/* Kills every child of ours that is not in `leaders`. Returns how many there were. */
int init_kill_orphans(const pid_t *leaders, int n_leaders);
/* Sends a signal to everything below `leader`. */
void init_signal_tree(pid_t leader, int signal);

/* init_filter.c: system calls that nothing in the sandbox may make, init included. `no_unix`: no AF_UNIX sockets
 * besides socketpair. 0 or -errno. */
int init_filter(bool no_unix);

#endif
