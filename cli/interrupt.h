/* interrupt.h - Ctrl-C: the first ends the turn, the second ends the program. */
#ifndef MAG_CLI_INTERRUPT_H
#define MAG_CLI_INTERRUPT_H

#include "agent/session.h"

/* Before any other thread is started: SIGINT and SIGTERM go to a thread of their own from now on. */
void interrupt_start(void);
/* Which session they interrupt; NULL: none, and the first one ends the program. */
void interrupt_session(struct mag_session *session);

/* While a question is asked: a signal makes the descriptor readable instead. It is ours; -1: there is none. */
int interrupt_ask_begin(void);
void interrupt_ask_end(void);

#endif
