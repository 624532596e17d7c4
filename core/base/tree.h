/* tree.h - directories with all that is in them, whatever a tool has left there. Links are never followed. */
#ifndef MAG_BASE_TREE_H
#define MAG_BASE_TREE_H

#include <magent/mbp.h>

/* Whatever the modes are. What is not there is removed already. Other file systems are not entered. After an error it
 * can be called again. */
int mag_tree_remove(const char *path, struct mbp_error *err);

/* Copies files, directories and links to `to`, which must not exist; its parent must. Data is shared with the original
 * where the file system can. Sockets, pipes and devices are left out, set-id bits too. The tree may change meanwhile:
 * each file is then as it was at some moment. After an error what was copied is removed again. */
int mag_tree_copy(const char *from, const char *to, struct mbp_error *err);

#endif
