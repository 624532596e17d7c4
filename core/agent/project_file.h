/* project_file.h - .magent/environment.yaml: what a project says of the environment that its agents need.
 *
 * It is found by walking up from a directory, and holds keys of the environment only. It comes with a project, which
 * may be somebody else's: so it cannot choose the compute provider, the workspace or its mounts, cannot open the
 * network, cannot ask for variables of the user's environment, and is refused where there is no sandbox. What of it is
 * code (image, setup, env) is refused where the sandbox has a network too, unless the user trusts it: it would meet
 * there what the agent is given. A file that others than the user can write is left out.
 */
#ifndef MAG_AGENT_PROJECT_FILE_H
#define MAG_AGENT_PROJECT_FILE_H

#include "agent/definition.h"

#define MAG_PROJECT_FILE ".magent/environment.yaml"

/* Lays the file that is found in `start` or above it below what is there. *ret_path: it, or NULL if there is none;
 * *ret_notice: why one that is there was left out, or NULL. Caller frees both. */
int mag_project_lay(struct mag_definition *definition, const char *start, char **ret_path, char **ret_notice,
                    struct mbp_error *err);

#endif
