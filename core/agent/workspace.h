/* workspace.h - which directories of the host a sandbox may be given to work in. */
#ifndef MAG_AGENT_WORKSPACE_H
#define MAG_AGENT_WORKSPACE_H

#include "loader/registry.h"

/* `path` is absolute, and a directory. For an isolated sandbox refused are also what holds or lies in a place of this
 * program's own (sessions, configuration, plugins: who writes there decides what runs outside of any sandbox); and what
 * brings along a view of the machine itself, such as /proc. */
int mag_workspace_check(const char *path, bool isolated, struct mag_registry *registry, struct mbp_error *err);

#endif
