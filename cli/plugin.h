/* plugin.h - magent plugin list, inspect and help. */
#ifndef MAGENT_CLI_PLUGIN_H
#define MAGENT_CLI_PLUGIN_H

#include "loader/registry.h"

/* argv[0] is "plugin". Returns the exit status: 0, 1 an error, 2 wrong usage. */
int magent_cmd_plugin(struct mag_registry *registry, int argc, char **argv);

/* ---- Private to the plugin commands ---------------------------------------------------------------------------- */

#include "base/json.h"
#include "loader/inspect.h"

#include <stdio.h>

struct plugin_options {
  bool json, exists;
  const char *atleast; /* version, or NULL */
  const char *name;    /* the one argument, or NULL */
};

int plugin_list(struct mag_registry *registry, const struct plugin_options *options);
int plugin_inspect(struct mag_registry *registry, const struct plugin_options *options);
int plugin_help(struct mag_registry *registry, const struct plugin_options *options);

/* "llm-openai", "llm/openai", or "openai" if only one kind has it. 0 or a negative code. */
int plugin_resolve(struct mag_registry *registry, const char *name, struct mag_candidate *ret_candidate,
                   struct mbp_error *err);
/* Asks a plugin and parses what it says; NULL if there is a problem. Free the document and the inspection. */
struct mbp_json *plugin_ask(const char *path, int trust, struct mag_inspection *ret_inspection);

/* A member's text, or "" */
struct mbp_str plugin_text(const struct mbp_json *object, const char *key);
/* Prints text without control characters, in lines of at most 80 columns: the first goes on at column `at`, the others
 * begin at `indent`. A newline of the text is kept. Ends with a newline. */
void plugin_wrap(FILE *out, int at, int indent, struct mbp_str text);
/* Prints and pads to `width` columns. */
void plugin_cell(FILE *out, struct mbp_str text, int width);
/* Bold where `out` is a terminal, else nothing: plugin_bold(out, 1) ... plugin_bold(out, 0). */
void plugin_bold(FILE *out, int on);

#endif
