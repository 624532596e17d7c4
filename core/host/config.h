/* config.h - a plugin's configuration: text from files, options and the environment, checked against the plugin's
 * table of parameters. */
#ifndef MAG_HOST_CONFIG_H
#define MAG_HOST_CONFIG_H

#include <magent/mbp.h>

/* Checks `json` (an object, or empty) against `params` (NULL-terminated, or NULL). Unknown keys name the nearest one;
 * missing values come from the parameter's environment variable (secure_getenv), then its default. Secret values are
 * told to the redaction, and so is what ${NAME} in a value stands for (late.h). Values may be JSON strings, numbers or
 * booleans; arrays for repeatable ones. */
int mag_config_new(const char *plugin, const struct mbp_param *const *params, struct mbp_str json,
                   struct mbp_config **ret_config, struct mbp_error *err);
void mag_config_free(struct mbp_config *config); /* accepts NULL; wipes secrets */

/* The path that an option's text such as "@libexecdir@/x" or "~/x" stands for; NULL without memory or, for @statedir@,
 * a home. Caller frees. */
char *mag_config_expand(const char *text);

int mag_config_str(const struct mbp_config *config, const char *key, struct mbp_str *ret_value);
int mag_config_int(const struct mbp_config *config, const char *key, int64_t *ret_value);
int mag_config_item(const struct mbp_config *config, const char *key, size_t index, struct mbp_str *ret_value);

/* Name of a parameter type for people: "string", "duration" ... static. */
const char *mag_param_type_name(uint32_t type);

#endif
