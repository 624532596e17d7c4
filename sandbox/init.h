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

/* One exec, as its server keeps it. */
struct slot {
  uint32_t id;   /* 0: free */
  pid_t leader;  /* 0: has ended */
  bool killed;   /* its leader did not end by itself: told as exited only when all of it is gone */
  bool told_started, told_end, gone;
  unsigned limits, told_limits; /* bits 1 << MAG_BOX_LIMIT_*: those that it has broken */
  bool has_status; /* of an orphaned process, reaped by the server */
  int status;
};

struct exec_args {
  const char *cwd, *spool; /* spool: empty if none */
  char **argv, **envp;
  int in, out, err;        /* -1: /dev/null */
  bool merge;
  uint64_t spool_limit;
};

/* init_exec.c: forks the leader, which starts the process. Its pid, or -errno. The leader keeps no descriptor but
 * `wake_fd`. */
pid_t init_start(const struct exec_args *args, struct shared *shared, int wake_fd);

/* init_tree.c: processes as /proc shows them. */
struct process {
  pid_t pid, parent, group;
  uint32_t threads;
  bool going;            /* has ended, or is about to: what it holds is as good as free */
  uint64_t start, ticks; /* when it was started, and the processor time that it has used */
  uint64_t pages;        /* resident */
  /* init_watch.c's: */
  int slot;              /* below which leader; -1: none, or it does not count */
  pid_t branch;          /* 0: none */
  int64_t bytes, branch_bytes;
};
extern struct process init_table[];
/* Fill the table and give the number of its entries: all that /proc shows, or what is below us (which leaves out what
 * moves at that moment, and costs less where the machine has many others). They stop at `most` or a few more. */
int init_read_all(int most);
int init_read_below(int most);
int64_t init_memory_of(pid_t pid);
void init_kill_process(const struct process *process);
/* Kills every child of ours that is not in `leaders`. Returns how many there were. */
int init_kill_orphans(const pid_t *leaders, int n_leaders);
/* Sends a signal to everything below `leader`. */
void init_signal_tree(pid_t leader, int signal);

/* The parent of a process, or -1; 0: it was put into this namespace from outside. */
pid_t init_parent_of(pid_t pid);

/* init_watch.c: limits of the whole, where no cgroup holds them. 0: no limit. `own_table`: /proc shows nothing but the
 * sandbox. */
struct watch_limits {
  int64_t memory, tasks;
  bool own_table;
};
/* Looks, marks the slot that takes the most if that is too much, and kills in it what its first process has started and
 * is the heaviest. Where that does not help, ret_kill is the slot whose whole tree must go; else it is -1. Returns the
 * milliseconds until it has to look again. */
int init_watch(const struct watch_limits *limits, struct slot *slots, const struct shared *shared, int *ret_kill);

/* init_filter.c: system calls that nothing in the sandbox may make, init included. `no_unix`: no AF_UNIX sockets
 * besides socketpair. 0 or -errno. */
int init_filter(bool no_unix);

#endif
