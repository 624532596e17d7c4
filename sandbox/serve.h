/* serve.h - the parts of `magent-sandbox serve`: the main process of a container, which runs commands for hosts that
 * come and go. What is said is in frames.h, how processes are kept in slots.h.
 *
 * One thread, one poll. A job is a command with its output; a link is a connection of a host. A job is told to the link
 * that watches it, if any; without one it goes on until its window is full.
 */
#ifndef MAGENT_SANDBOX_SERVE_H
#define MAGENT_SANDBOX_SERVE_H

#include "sandbox/frames.h"
#include "sandbox/slots.h"

#include <stddef.h>

struct link;

/* Bytes [base, end) of one output stream; base moves when the host acknowledges. */
struct stream {
  int fd;      /* our end of the pipe; -1: closed */
  char *bytes; /* a ring of MAG_FRAME_WINDOW; NULL until needed */
  int64_t base, end, sent;
};

struct job {
  struct job *next;
  char key[MAG_FRAME_KEY];
  uint64_t serial;
  uint32_t attempt, flags; /* MAG_EXEC_* */
  uint32_t id;             /* of its slot; 0: it has ended, and nothing of it is left */
  char *command, *spool;
  struct stream out[2];
  int in;
  int64_t in_taken;
  int64_t soft_at, hard_at, drain_at; /* 0: not, or no more */
  int64_t limit, taken;
  bool exited, ended; /* exited: its code is known; ended: `end` is complete */
  int failed, failed_at, pid;
  struct mag_frame_end end;
  int64_t kills_before;
  int64_t told_ms; /* when a host was told of its end; 0: not yet */

  struct link *watcher;
  bool told_started;
  int spool_fd; /* -1: not being read */
  int64_t spool_at;
};

/* job.c */
/* Starts what a whole EXEC frame asks for, or finds it again. 0 and *ret_job, or an errno. */
int job_exec(char *payload, size_t len, struct job **ret_job);
struct job *job_find(const char key[MAG_FRAME_KEY]);
struct job *job_first(void);
void job_acknowledge(struct job *job, unsigned stream, int64_t offset);
/* Sets from where the output is sent; of a background process that of its spool file. 0 or an errno. */
int job_attach(struct job *job, const int64_t from[2]);
void job_signal(struct job *job, int number, bool tree);
/* Takes what the pipe of its stdin takes: 0 all of it, EAGAIN, EPIPE. `data` and `len` move. */
int job_write(struct job *job, const char **data, size_t *len);
void job_close_stdin(struct job *job);
/* Next piece of output that has not been sent: its bytes, or 0. */
size_t job_next_output(struct job *job, struct mag_frame_output *head, char *data, size_t cap);
/* Fills entries for poll; their number. Puts the earliest deadline into *wake_ms. */
size_t job_poll(struct pollfd *fds, size_t cap, int64_t *wake_ms);
/* After poll: moves output, looks at ends and times. */
void job_run(const struct pollfd *fds, size_t n);

/* link.c */
void link_open(uint64_t server_number); /* what HELLO tells */
/* Takes a new connection off the listener. */
void link_accept(int listener, bool only_from_outside);
size_t link_poll(struct pollfd *fds, size_t cap);
void link_run(const struct pollfd *fds, size_t n);
/* When a host was last heard of or waited for something. */
int64_t link_last_use_ms(void);

/* memory.c: what the memory limit of this container has done. */
int64_t memory_kills(void); /* -1: not known */
int64_t memory_peak(void);  /* bytes, or 0 */

#endif
