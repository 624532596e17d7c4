/* slots.h - the processes of a sandbox, below whoever serves it: `init` over a socket, `serve` over streams.
 *
 *   server ─┬─ leader ── process ── whatever it starts
 *           └─ leader ── process ── ...
 *
 * Each exec gets a slot and a leader: a fork of the server that is a child subreaper, so that everything the process
 * starts stays below it, whatever it does with sessions and double forks. The leader tells through shared memory and an
 * eventfd how its process is, and leaves when nothing is below it.
 *
 * A tree is killed by killing its leader: all that was below becomes a child of the server, which kills every child
 * that is no leader until there is none. That needs no cooperation, and the same happens if a process of the sandbox
 * kills a leader (they share one uid): it kills a tree, and nothing escapes. The server itself takes no signal from
 * inside its namespace (as PID 1), is not dumpable (no tracing, no /proc/1/fd, no pidfd_getfd), and waits for nothing
 * but poll.
 */
#ifndef MAGENT_SANDBOX_SLOTS_H
#define MAGENT_SANDBOX_SLOTS_H

#include "sandbox/init.h"

#include <poll.h>

struct slot_end {
  int failed, failed_at; /* errno and MAG_BOX_AT_*; 0: it had been started */
  int code, signal;      /* 128 + signal */
};

/* Takes the words of the command line that set limits, hides from tracing, blocks signals. `isolated`: PID 1 of a
 * namespace of our own. 0, or an exit status with the reason on stderr. */
int slots_open(int argc, char **argv, bool isolated);
/* The number of a word NAME=NUMBER of the command line, or 0. */
int64_t slots_word(int argc, char **argv, const char *name);
/* stderr was for what starting complains of; from here on nobody listens. 0, or an exit status. */
int slots_close_standard(void);
/* Says why on stderr; 1. */
int slots_fail(const char *what, int number);

/* Cuts `len` bytes of 0-terminated strings, of which the last byte is the last 0: cwd, spool, argc of argv, envc of
 * "NAME=value". `pointers` has room for argc + envc + 2 and is what args->argv and envp point into. False: they do not
 * hold that. */
bool slots_cut(char *blob, size_t len, uint32_t argc, uint32_t envc, char **pointers, struct exec_args *args);
/* 0 or an errno; `args` is used up when it returns. */
int slots_start(uint32_t id, const struct exec_args *args);
void slots_signal(uint32_t id, int number, bool tree);

/* Fills two entries for poll; how long it may wait at most, given how long the caller would. */
int slots_poll(struct pollfd fds[2], int wait_ms);
/* After poll: reaps, sweeps. */
void slots_run(const struct pollfd fds[2]);

struct slot *slots_at(int index); /* 0 .. MAG_BOX_SLOTS - 1 */
struct slot *slots_find(uint32_t id);
/* The process's pid, 0 as long as it has none. */
int slots_pid(const struct slot *slot);
/* Has its process ended (other parts of its tree may live on), or failed to start? */
bool slots_has_ended(const struct slot *slot);
struct slot_end slots_end(const struct slot *slot);

int64_t slots_now_ms(void); /* boot time: goes on in suspend */
/* Ends everything and the server itself. */
void slots_leave(void) __attribute__((noreturn));

#endif
