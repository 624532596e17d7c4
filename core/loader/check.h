/* check.h - negotiation: is what a plugin says of itself whole, understood and allowed?
 *
 * The host works with its own copy, in structs of its own size: what the plugin did not know is 0 or NULL there, what
 * the host does not know is left out. Strings and functions stay the module's, which is never closed.
 */
#ifndef MAG_LOADER_CHECK_H
#define MAG_LOADER_CHECK_H

#include <magent/mbp-compute.h>
#include <magent/mbp-llm.h>
#include <magent/mbp-store.h>
#include <magent/mbp-toolset.h>
#include <magent/mbp.h>
#include <stdbool.h>

#define MAG_KNOWN_NEEDS UINT64_C(0) /* bits of `needs` that this host understands */

/* Bounds of a descriptor. */
#define MAG_STRUCT_MAX 4096 /* bytes that any struct of the interface may claim to be */
#define MAG_PARAMS_MAX 256
#define MAG_MODELS_MAX 256
#define MAG_CHOICES_MAX 256
#define MAG_LINE_MAX 512     /* name, version, license, origin, summary, patterns, defaults */
#define MAG_TEXT_MAX 65536   /* help */

/* A plugin that was found good. */
struct mag_plugin {
  struct mbp_plugin descriptor; /* its `ops`, `info` and `params` point into this struct */
  union {
    struct mbp_compute_ops compute;
    struct mbp_toolset_ops toolset;
    struct mbp_llm_ops llm;
    struct mbp_store_ops store;
  } ops;
  union {
    struct mbp_compute_info compute;
    struct mbp_toolset_info toolset;
    struct mbp_llm_info llm;
  } info; /* all zero if the plugin states nothing */
  struct mbp_param *params;
  const struct mbp_param **param_list; /* NULL-terminated */
  size_t n_params;
  uint32_t declared_size, declared_ops_size; /* as the plugin gave them */
  char *path;
};

/* Of a kind that this host does not know: skip it, tell, but it is no fault. */
#define MAG_CHECK_UNKNOWN_KIND 1

/* `file_name` is the name under which it was found, without directory; NULL: any. `path` is for messages and is copied.
 * 0 and a copy; MAG_CHECK_UNKNOWN_KIND with the notice in `err`; or negative: the message names file, field, found and
 * expected. `given` must be readable as far as it says. */
int mag_plugin_check(const struct mbp_plugin *given, const char *path, const char *file_name,
                     struct mag_plugin **ret_plugin, struct mbp_error *err);
void mag_plugin_free(struct mag_plugin *plugin); /* accepts NULL */

/* "llm" ... and back; NULL and 0 if unknown. Static. */
const char *mag_kind_name(uint32_t kind);
uint32_t mag_kind_of(struct mbp_str name);

/* "magent-<kind>-<name>.so" to kind and name: true if the name has that form, also when the kind is unknown. */
bool mag_file_name_parse(const char *file_name, struct mbp_str *ret_kind, struct mbp_str *ret_name);

/* "serial", "instance", "parallel"; NULL if unknown. */
const char *mag_threads_name(uint32_t threads);

/* Private to loader: copies and checks the table of parameters into `plugin`. */
int mag_plugin_check_params(struct mag_plugin *plugin, const struct mbp_param *const *given, struct mbp_error *err);
/* Is it a string of at most `max` bytes of UTF-8 without control characters (but newline and tab where `lines`)? NULL,
 * or what is wrong with it; static. */
const char *mag_text_fault(const char *text, size_t max, bool lines);

#endif
