/* known.h - plugin files that have been asked in a child process and were well: what need not be asked there again.
 *
 * A list of file identities (device, inode, size, times) of this version of magent, in $XDG_CACHE_HOME/magent (or
 * ~/.cache/magent). It saves time and grants nothing: a file that it names is opened as if there were no such list. One
 * that others could write to is not used.
 */
#ifndef MAG_LOADER_KNOWN_H
#define MAG_LOADER_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

struct mag_known {
  int fd; /* of the list; -1: there is none, and nothing can be remembered */
  char *text;
  size_t len;
};

/* False, and an empty list, where none can be kept. */
bool mag_known_open(struct mag_known *known);
void mag_known_done(struct mag_known *known);

bool mag_known_has(const struct mag_known *known, const char *path);
void mag_known_add(struct mag_known *known, const char *path);

#endif
