/* remove.h - removes a directory with all that is in it, whatever its modes are. */
#ifndef MAG_CLI_REMOVE_H
#define MAG_CLI_REMOVE_H

#include <magent/mbp.h>

/* What is not there is removed already. Links are removed, not followed; other file systems are not entered. After an
 * error it can be called again. */
int cli_remove_tree(const char *path, struct mbp_error *err);

#endif
