/* Contexts, errors, and structs of callers that may be older than the library. */
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"

#include <stdio.h>
#include <string.h>

const char *magent_version(void)
{
  return PACKAGE_VERSION;
}

int embed_fail(struct magent_error *error, const struct mbp_error *err)
{
  if (error) {
    memset(error, 0, sizeof(*error));
    error->code = err->code ? err->code : MBP_E_INTERNAL;
    (void) snprintf(error->message, sizeof(error->message), "%s", err->message);
  }
  return err->code ? -err->code : -MBP_E_INTERNAL;
}

int embed_import(void *to, size_t to_size, const void *from, const char *name, struct mbp_error *err)
{
  size_t size = from ? *(const size_t *) from : 0;
  memset(to, 0, to_size);
  if (from && size < sizeof(size))
    return mag_error(err, MBP_E_INVALID, "the size of struct %s is not set: its first member is sizeof(struct %s)",
                     name, name);
  if (from)
    memcpy(to, from, MAG_MIN(size, to_size));
  return 0;
}

int magent_open(const struct magent_options *given, struct magent **ret_magent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_options options;
  mag_autofree char *store_options = NULL;
  mag_autofree struct magent *magent = calloc(1, sizeof(*magent));
  int r = embed_import(&options, sizeof(options), given, "magent_options", &err);
  if (r == 0 && !magent)
    r = mag_error_no_memory(&err);
  if (r == 0 && options.store_options)
    r = mag_yaml_to_json(mbp_str(options.store_options), "store_options", &store_options, &err);
  struct mag_engine_options engine = {
      .plugin_dirs = options.plugin_dirs, .store = options.store, .store_config = mbp_str(store_options)};
  if (r == 0)
    r = mag_engine_new(&engine, &magent->engine, &err);
  if (r < 0)
    return embed_fail(error, &err);
  *ret_magent = mag_steal(&magent);
  return 0;
}

void magent_close(struct magent *magent)
{
  if (magent)
    mag_engine_free(magent->engine);
  free(magent);
}
