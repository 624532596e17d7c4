/* fixture.h - a directory of plugins for one test. */
#ifndef TESTS_LOADER_FIXTURE_H
#define TESTS_LOADER_FIXTURE_H

#include <limits.h>
#include <stddef.h>

struct zoo {
  char root[PATH_MAX]; /* removed at the end; a place that passes the loader's own checks */
};

/* "zoo" in the build tree. -1: no place on this machine passes the checks of owner and mode (the test is skipped). */
int zoo_open(struct zoo *zoo);
void zoo_close(struct zoo *zoo);

/* Makes ROOT/directory. Returns its path; static, overwritten by the sixteenth next call, like those below. */
const char *zoo_directory(struct zoo *zoo, const char *directory);
/* Copies the built module "zoo-MODULE" to ROOT/directory/file. Returns the copy's path. */
const char *zoo_add(struct zoo *zoo, const char *module, const char *directory, const char *file);
/* Writes bytes to ROOT/directory/file. */
const char *zoo_write(struct zoo *zoo, const char *directory, const char *file, const void *data, size_t len);
const char *zoo_path(struct zoo *zoo, const char *directory, const char *file);

#endif
