/* session_old.h - removing the sessions that nothing has happened in for a while. */
#ifndef MAG_CLI_SESSION_OLD_H
#define MAG_CLI_SESSION_OLD_H

#include "agent/engine.h"

#include <stdbool.h>

/* Prints a line for each; `dry_run` only that. One that cannot go, because it runs or its workspace resists, is told on
 * stderr, holds up no other, and makes this -MBP_E_BUSY. `age`: as mag_parse_duration. */
int session_remove_old(struct mag_instance *store, struct mag_engine *engine, const char *age, bool dry_run,
                       struct mbp_error *err);

#endif
