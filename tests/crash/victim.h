/* victim.h - a magent process whose events are read as they come, and which is killed at an instant of one's choice.
 *
 * The caller becomes the reaper of all its descendants, so whatever a killed magent leaves behind, however it was
 * daemonised, becomes a child of the caller: nothing is left of a session when there is no child any more.
 */
#ifndef TESTS_CRASH_VICTIM_H
#define TESTS_CRASH_VICTIM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct victim {
  pid_t pid;
  int out;              /* read end of its stdout */
  struct mag_buf text;  /* what it has printed */
  size_t n_lines;
  int64_t begun_ns;
};

/* When to kill: after so many lines and then so many nanoseconds. */
struct victim_end {
  size_t lines;
  int64_t ns;
};

/* `argv` NULL-terminated; stderr is appended to `errors`. Aborts on failure. */
void victim_start(struct victim *victim, const char *const *argv, const char *errors);
/* Reads what it prints and kills it by `end`; NULL: lets it live. Returns its exit status, -1 if it was killed. */
int victim_watch(struct victim *victim, const struct victim_end *end);
void victim_done(struct victim *victim);

/* Waits until no process of any session is left, at most `ms`. False: some are, and are told on stderr and ended. */
bool victims_gone(int ms);

#endif
