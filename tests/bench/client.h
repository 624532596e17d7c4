/* client.h - programs that talk to the model server, and what they cost. */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

struct client {
  pid_t pid;
  int64_t begun_ns; /* just before it was started */
  double cpu_us;    /* of it and of its children, once it has ended */
};

/* stdout and stderr go to `log`. Aborts if it cannot be started. */
void client_start(struct client *client, const char *const *argv, const char *log);
/* Ends the program if the client failed. */
void client_wait(struct client *client);
/* Ends it without asking. */
void client_stop(struct client *client);

/* Proportional set size in bytes of one process, of what of it is no file's (heap, stacks, written data), and of it
 * with all its descendants. */
int64_t client_pss(pid_t pid);
int64_t client_anonymous_pss(pid_t pid);
int64_t client_tree_pss(pid_t pid);

#endif
