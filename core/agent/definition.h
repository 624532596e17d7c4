/* definition.h - what a session is made from: an agent (model, system prompt, tools) and an environment (compute,
 * network).
 *
 * One file, YAML or JSON, holds both; options of the command line come on top. The result is two JSON resources, with
 * all defaults filled in, that stand in the session's first record.
 */
#ifndef MAG_AGENT_DEFINITION_H
#define MAG_AGENT_DEFINITION_H

#include <magent/mbp.h>
#include <stdbool.h>

/* Text members are owned; NULL: not said. */
struct mag_definition {
  char *name, *description;
  char *model;         /* "provider/name" or a name */
  char *model_params;  /* JSON object, or NULL */
  char *system;
  char *tools;         /* JSON array */
  char *chosen_tools;  /* names of the default toolset's tools, until the defaults say which that is */
  char *compute;       /* provider's name */
  char *compute_options; /* JSON object of the provider's own options */
  char *network;       /* "none", "limited", "unrestricted", "host", "provider"; NULL: the strictest that there is */
  char *working_dir;   /* inside the sandbox */
  char *workspace;     /* host directory, absolute */
  char *image;
  char *env;           /* JSON object of strings */
  char *metadata;      /* JSON object */
  int64_t memory_bytes, cpu_millis, pids; /* 0: the provider's default */
  char *store;   /* of the defaults file only: name of the store plugin */
  char *plugins; /* of the defaults file only: JSON object of "kind-name" to that plugin's options */
  int64_t idle_ms; /* a sandbox unused for so long goes; 0: 5 minutes */
  /* What a session may use up in all; 0: no bound. Cost is in millionths of the currency unit. */
  int64_t budget_tokens, budget_cost_micros, budget_steps, budget_tool_calls, budget_time_ms;
};

void mag_definition_done(struct mag_definition *definition);

/* Defaults of this installation: defaults.json below sysconfdir (MAGENT_CONF_DIR by secure_getenv overrides), laid
 * under what is there already. */
int mag_definition_defaults(struct mag_definition *definition, struct mbp_error *err);

/* The same from the file's JSON text; `where` is for messages. Not all need to be there. */
int mag_definition_take_defaults(struct mag_definition *definition, struct mbp_str json, const char *where,
                                 struct mbp_error *err);

/* The same without asking that model and compute are known: a missing file is no error. *ret_path (caller frees) is
 * where it is looked for; may be NULL. */
int mag_definition_read_defaults(struct mag_definition *definition, bool *ret_missing, char **ret_path,
                                 struct mbp_error *err);

/* Reads an agent file; the name's ending does not matter. Errors name file, line and key. What is there already
 * stays. */
int mag_definition_load(struct mag_definition *definition, const char *path, struct mbp_error *err);
/* The same from JSON text; `where` is for messages. */
int mag_definition_take(struct mag_definition *definition, struct mbp_str json, const char *where,
                        struct mbp_error *err);

/* "bash,read" or "none": the tools are those of the defaults' first toolset, of which all but these are turned off. */
int mag_definition_set_tools(struct mag_definition *definition, const char *list, struct mbp_error *err);

/* The two resources. Caller frees. */
int mag_definition_resources(const struct mag_definition *definition, char **ret_agent, char **ret_environment,
                             struct mbp_error *err);
/* And back, from a session's first record. */
int mag_definition_from_resources(struct mag_definition *definition, struct mbp_str agent, struct mbp_str environment,
                                  struct mbp_error *err);

#endif
