/* init.h - what the parts of the sandbox's servers (init.c, serve.c; slots.c below both) have in common. */
#ifndef MAGENT_SANDBOX_INIT_H
#define MAGENT_SANDBOX_INIT_H

#include "sandbox/protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a leader and its process tell the server: written there, read here; never seen by what is exec'ed. */
struct shared {
  _Atomic int32_t pid;     /* of the process; 0: not started yet */
  _Atomic int32_t failed;  /* errno, once starting has failed */
  int32_t failed_at;       /* MAG_BOX_AT_*; written before `failed` */
  _Atomic int32_t exited;  /* 1 once `status` holds */
  int32_t status;          /* as of waitpid */
};

struct exec_args {
  const char *cwd, *spool; /* spool: empty if none */
  char **argv, **envp;
  int in, out, err;        /* -1: /dev/null */
  bool merge;
};

/* init_exec.c: forks the leader, which starts the process. Its pid, or -errno. The leader keeps no descriptor but
 * `wake_fd`. */
pid_t init_start(const struct exec_args *args, struct shared *shared, int wake_fd);

/* init_tree.c: processes as /proc shows them. */
/* Kills every child of ours that is not in `leaders`. Returns how many there were. */
int init_kill_orphans(const pid_t *leaders, int n_leaders);
/* Sends a signal to everything below `leader`. */
void init_signal_tree(pid_t leader, int signal);
/* The parent of a process, or -1; 0: it was put into this namespace from outside. */
pid_t init_parent_of(pid_t pid);

/* init_filter.c: system calls that nothing in the sandbox may make, init included. `no_unix`: no AF_UNIX sockets
 * besides socketpair. 0 or -errno. */
int init_filter(bool no_unix);

#endif
