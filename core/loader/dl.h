/* dl.h - opening shared objects: the one file that knows dlopen or libltdl.
 *
 * Modules are opened RTLD_NOW | RTLD_LOCAL and never closed: unmapping a module whose threads, thread-specific
 * destructors or exit handlers are still known to the process is how such programs crash. (libltdl opens lazily; a
 * plugin that is to be refused for an unresolved symbol there must be linked with -z now.)
 */
#ifndef MAG_LOADER_DL_H
#define MAG_LOADER_DL_H

#include <magent/mbp.h>

/* `path` has a directory part, so that nothing is searched. The error names the real cause: a missing dependency, an
 * unresolved symbol. Any thread; opening the same file again gives the same module. */
int mag_dl_open(const char *path, void **ret_module, struct mbp_error *err);

/* NULL if the module does not export it. */
void *mag_dl_symbol(void *module, const char *name);

#endif
