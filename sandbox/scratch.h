/* scratch.h - the directory of one sandbox without isolation, for what must go with it. Also linked into compute-local.
 */
#ifndef MAGENT_SANDBOX_SCRATCH_H
#define MAGENT_SANDBOX_SCRATCH_H

/* Removes the directory with all that is in it, following no link; leaves what cannot be removed. */
void scratch_remove(const char *path);

#endif
