/* session_old.h - removing the sessions that nothing has happened in for a while. */
#ifndef MAG_CLI_SESSION_OLD_H
#define MAG_CLI_SESSION_OLD_H

#include "agent/engine.h"

#include <stdbool.h>

/* Those that were last changed before `before_ms` (wall clock), archived ones too. Prints a line for each; `dry_run`:
 * only that. One that cannot go, because it runs or its workspace resists, is told on stderr, holds up no other, and
 * makes this -MBP_E_BUSY. */
int session_remove_old(struct mag_engine *engine, int64_t before_ms, bool dry_run, bool json, struct mbp_error *err);

#endif
