/* exec.h - one command from start to end: its pipes, its time limits, its result. Blocking. */
#ifndef MAG_COMMON_EXEC_H
#define MAG_COMMON_EXEC_H

#include "plugins/common/box.h"

/* What the command does to who asked for it. NULL members: not wanted. Negative answers stop it. */
struct mag_exec_sink {
  void *ctx;
  int (*started)(void *ctx, int32_t pid, const char *key);
  int (*output)(void *ctx, unsigned stream, int64_t offset, const char *data, size_t len);
  int64_t (*input)(void *ctx, char *buf, size_t cap); /* bytes for stdin; 0: no more */
};

struct mag_exec_end {
  struct mbp_exec_result result;
  char message[160]; /* what result.message points to */
};

/* `exec` is complete (zeroed beyond its size). A command that could not be started, was killed or ran out of time is
 * a result; an error is -MBP_E_LOST, a bad request or no memory. */
int mag_exec_run(struct mag_box *box, struct mbp_call *call, const struct mbp_exec *exec,
                 const struct mag_exec_sink *sink, struct mag_exec_end *ret_end, struct mbp_error *err);

/* The result of a command that could not be started: an errno, and MAG_BOX_AT_* where it happened. */
void mag_exec_not_started(struct mag_exec_end *end, int number, int at);

/* Writes all of `data` to a process's stdin; see write_stdin in mbp-compute.h. */
int mag_exec_write(struct mag_proc *proc, struct mbp_call *call, struct mbp_str data, bool end, struct mbp_error *err);

#endif
