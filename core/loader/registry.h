/* registry.h - which plugins there are, and opening the ones that a run needs.
 *
 * Directories are searched in this order, and the first plugin of a kind and name is the one: those given by hand
 * (trusted: only the kind of file is checked), the installed one, those of MAGENT_PLUGIN_PATH (colon-separated,
 * absolute; not read by set-id programs). So the environment can add a plugin but not replace an installed one.
 * Making a registry only reads file names. A plugin is opened when it is asked for; one that cannot be is
 * reported and harms no other. A registry may be used from any thread.
 */
#ifndef MAG_LOADER_REGISTRY_H
#define MAG_LOADER_REGISTRY_H

#include "loader/check.h"

struct mag_registry;

/* trusted_dirs: NULL-terminated, or NULL. installed_dir: NULL for the built-in one. A directory that does not exist is
 * only an error if it was given by hand. */
int mag_registry_new(const char *const *trusted_dirs, const char *installed_dir, struct mag_registry **ret_registry,
                     struct mbp_error *err);
/* A plugin file that is not known to be well is first asked in a child process (see inspect.h; `exe` is the program to
 * run), so that one that crashes or hangs is only one that cannot be used. Where no list of known files can be kept
 * this is not done, as it would be done at every start. Before the registry is used. 0 or -MBP_E_NO_MEMORY. */
int mag_registry_ask_in(struct mag_registry *registry, const char *exe, struct mbp_error *err);

/* Plugins that were found are freed with it, but modules stay open: nothing of them may run any more. Accepts NULL. */
void mag_registry_free(struct mag_registry *registry);

/* Opens it if need be. *ret_plugin lives as long as the registry. `kind` is an MBP_KIND_*. Not found: the message names
 * the nearest name and the directories that were searched; not usable: why. */
int mag_registry_find(struct mag_registry *registry, uint32_t kind, const char *name,
                      const struct mag_plugin **ret_plugin, struct mbp_error *err);

/* "provider/name", or a bare name that exactly one llm plugin answers to by its patterns. *ret_bare points into
 * `model`. */
int mag_registry_find_model(struct mag_registry *registry, const char *model, const struct mag_plugin **ret_plugin,
                            const char **ret_bare, struct mbp_error *err);

/* A plugin file that was found by its name. Strings live as long as the registry. */
struct mag_candidate {
  uint32_t kind;      /* MBP_KIND_* */
  const char *name;
  const char *path;   /* as found */
  const char *directory;
  int trust;          /* MAG_TRUST_* of file.h */
};

/* Calls `each` for every candidate, by kind and name, without opening any; ends early when it answers non-zero and
 * returns that. */
int mag_registry_each(struct mag_registry *registry, int (*each)(void *ctx, const struct mag_candidate *candidate),
                      void *ctx);

/* One thing that was skipped, for list and doctor. */
struct mag_report {
  const char *path;    /* file or directory */
  const char *message; /* one line, begins with the path */
  int notice;          /* 1: no fault, e.g. of a kind that only a newer magent knows */
};
/* The index-th report so far; 0 past the last one, else 1. Strings live as long as the registry. */
int mag_registry_report(struct mag_registry *registry, size_t index, struct mag_report *ret_report);

/* The index-th directory of the search, NULL past the last one. */
const char *mag_registry_directory(struct mag_registry *registry, size_t index);

/* One file, outside of any registry: checked, opened, asked. 0, MAG_CHECK_UNKNOWN_KIND or negative, as
 * mag_plugin_check. */
int mag_plugin_open(const char *path, int trust, struct mag_plugin **ret_plugin, struct mbp_error *err);

#endif
