/* process.h - children of the host: magent.process/1.
 *
 * All are forked by one thread that lives as long as the process, because a parent death signal means the death of the
 * thread that forked. magent is a guest in its program: no SIGCHLD handler, and only own children are waited for, by
 * pidfd. A program that waits for every child (waitpid(-1)) or ignores SIGCHLD takes our exit codes away: such a child
 * is reported as ended with code 255. fork without exec leaves this thread behind; the child of such a fork gets a
 * new one.
 */
#ifndef MAG_HOST_PROCESS_H
#define MAG_HOST_PROCESS_H

#include <magent/mbp-host.h>

extern const struct mbp_process_v1 mag_process_table;

#endif
