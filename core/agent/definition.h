/* definition.h - what a session is made from: an agent (model, system prompt, tools) and an environment (compute,
 * network).
 *
 * One file, YAML or JSON, holds both; options of the command line come on top. schema.h has the keys. The result is two
 * JSON resources, with all defaults filled in, that stand in the session's first record.
 */
#ifndef MAG_AGENT_DEFINITION_H
#define MAG_AGENT_DEFINITION_H

#include "agent/key_places.h"
#include "agent/tools_source.h"

#include <magent/mbp.h>
#include <stdbool.h>

#define MAG_PACKAGE_MANAGERS 6 /* apt, cargo, gem, go, npm, pip */

/* Text members are owned; NULL: not said. Numbers: 0: not said. Truths: 1 yes, -1 no, 0 not said. */
struct mag_definition {
  char *name, *description;
  char *model;           /* "provider/name" or a name */
  char *model_params;    /* JSON object, or NULL */
  char *model_fallbacks; /* JSON array of such names */
  char *system;
  char *tools;           /* JSON array */
  char *compute;         /* provider's name */
  char *compute_options; /* JSON object of the provider's own options */
  char *network;         /* "none", "limited", "unrestricted", "host", "provider"; NULL: the strictest that there is */
  char *allowed_hosts;   /* JSON array */
  char *working_dir;     /* inside the sandbox */
  char *workspace;       /* host directory, absolute */
  char *image;
  char *env;                              /* JSON object of strings, which may hold ${NAME}: host/late.h */
  char *setup;                            /* JSON array of shell commands */
  char *mounts, *gpu;                     /* JSON array; a name */
  char *packages[MAG_PACKAGE_MANAGERS];   /* JSON arrays */
  char *metadata;                         /* JSON object of strings */
  int64_t memory_bytes, cpu_millis, pids; /* 0: the provider's default */
  char *store;                            /* of the defaults file only: name of the store plugin */
  char *plugins;       /* of the defaults file only: JSON object of "kind-name" to that plugin's options */
  int64_t idle_ms;     /* a sandbox unused for so long goes; 0: 5 minutes */
  int64_t lifetime_ms; /* a sandbox goes after so long; 0: no bound */
  int64_t host_packages_ok, allow_mcp_servers, allow_package_managers;
  /* What a session may use up in all; 0: no bound. Cost is in millionths of the currency unit. */
  int64_t budget_tokens, budget_cost_micros, budget_steps, budget_tool_calls, budget_time_ms;
  /* Not from files: which stored resources it is a snapshot of, and the project's file that took part. */
  char *agent_id, *environment_id;
  int64_t agent_version, environment_version;
  char *project;
  int64_t project_code;                 /* 1: it says what runs in the sandbox: image, setup or env */
  struct mag_tools_source tools_source; /* of a file that `tools` was read from */
  struct mag_key_places places;         /* of all keys that were read from files */
};

void mag_definition_done(struct mag_definition *definition);

/* Puts `under` below what is there: what was said first stays; maps are joined. A model that was said keeps the
 * parameters and fallbacks of `under` away: they belong to that one's. */
int mag_definition_lay(struct mag_definition *definition, const struct mag_definition *under, struct mbp_error *err);

/* "FILE:LINE: KEY: " before a message about this key, where it is known that a file said it; a message that begins with
 * the key has it already. Returns the negative code; `err` may be NULL. */
int mag_definition_blame(const struct mag_definition *definition, const char *path, struct mbp_error *err);
/* Where `to` got its keys from. */
int mag_definition_copy_sources(struct mag_definition *to, const struct mag_definition *from, struct mbp_error *err);
void mag_definition_forget_sources(struct mag_definition *definition);

/* ---- definition_read.c ------------------------------------------------------------------------------------------ */

/* Lays what `json` says below what is there: an agent, a project's environment or the defaults (MAG_IN_* of schema.h).
 * Errors begin with `where` ("": nothing) and, with `lines`, the line. */
int mag_definition_take_in(struct mag_definition *definition, struct mbp_str json, uint32_t place, const char *where,
                           bool lines, struct mbp_error *err);
/* An agent, with lines. */
int mag_definition_take(struct mag_definition *definition, struct mbp_str json, const char *where,
                        struct mbp_error *err);
/* The same for a change of `definition`: what `json` says replaces what is there, null clears it, maps are joined (a
 * null in one removes that member). */
int mag_definition_change(struct mag_definition *definition, struct mbp_str json, const char *where, bool lines,
                          struct mbp_error *err);
/* Such a change of one key by its path: "compute.memory" and "512M"; lists, mappings and groups as JSON or YAML, and
 * "compute.env.NAME" for one member; NULL clears it. */
int mag_definition_set(struct mag_definition *definition, const char *path, const char *value, struct mbp_error *err);
/* The JSON document that says this one key: {"compute":{"memory":"512M"}}; `value` NULL: null. Caller frees. */
int mag_definition_one_key(const char *path, const char *value, char **ret_json, struct mbp_error *err);

/* ---- definition_file.c ------------------------------------------------------------------------------------------ */

/* The text of a file of at most 1 MiB as JSON, whose lines are those of the file. Caller frees. */
int mag_definition_read_file(const char *path, char **ret_json, struct mbp_error *err);
int mag_definition_read_fd(int fd, const char *path, char **ret_json, struct mbp_error *err);
/* Reads an agent file; the name's ending does not matter. Errors name file, line and key. */
int mag_definition_load(struct mag_definition *definition, const char *path, struct mbp_error *err);

/* Defaults of this installation: defaults.json below sysconfdir (MAGENT_CONF_DIR by secure_getenv overrides), laid
 * under what is there already. */
int mag_definition_defaults(struct mag_definition *definition, struct mbp_error *err);
/* The same without asking that model and compute are known: a missing file is no error. *ret_path (caller frees) is
 * where it is looked for; may be NULL. */
int mag_definition_read_defaults(struct mag_definition *definition, bool *ret_missing, char **ret_path,
                                 struct mbp_error *err);

/* "bash,read" or "none": names of the default toolset's tools, for mag_toolbox_expand. */
int mag_definition_set_tools(struct mag_definition *definition, const char *list, struct mbp_error *err);

/* The two resources. Caller frees. */
int mag_definition_resources(const struct mag_definition *definition, char **ret_agent, char **ret_environment,
                             struct mbp_error *err);
/* And back, from a session's first record. */
int mag_definition_from_resources(struct mag_definition *definition, struct mbp_str agent, struct mbp_str environment,
                                  struct mbp_error *err);

#endif
