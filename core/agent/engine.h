/* engine.h - what all sessions of a process share: the registry, the store, opened models and compute providers. Any
 * thread. */
#ifndef MAG_AGENT_ENGINE_H
#define MAG_AGENT_ENGINE_H

#include "host/instance.h"
#include "loader/registry.h"

struct mag_engine;

struct mag_engine_options {
  const char *const *plugin_dirs; /* trusted, NULL-terminated, or NULL */
  const char *store;              /* plugin name; NULL: what the defaults file says */
  struct mbp_str store_config;    /* JSON object or empty */
  const char *exe;                /* who asks unknown plugins in a child, see mag_registry_ask_in; NULL: nobody does */
};

int mag_engine_new(const struct mag_engine_options *options, struct mag_engine **ret_engine, struct mbp_error *err);
void mag_engine_free(struct mag_engine *engine); /* no session may be open; accepts NULL */

/* What the defaults file says of a plugin's options: a JSON object, or empty. Borrowed from the engine. */
struct mbp_str mag_engine_config(struct mag_engine *engine, uint32_t kind, const char *name);

/* The plugin that keeps sessions. */
const char *mag_engine_store_name(const struct mag_engine *engine);
/* The type of the toolset that the defaults file begins with, from which tools are chosen by name; NULL: it names none.
 */
const char *mag_engine_toolset(const struct mag_engine *engine);

struct mag_registry *mag_engine_registry(struct mag_engine *engine);

/* Opened on first use and kept; borrowed from the engine. In the place of one that has become unhealthy another is
 * opened. */
int mag_engine_store(struct mag_engine *engine, struct mag_instance **ret_store, struct mbp_error *err);
/* `model`: "provider/name" or a name. *ret_model points into `model`. */
int mag_engine_llm(struct mag_engine *engine, const char *model, struct mag_instance **ret_llm, const char **ret_model,
                   struct mbp_error *err);
int mag_engine_compute(struct mag_engine *engine, const char *provider, struct mbp_str options,
                       struct mag_instance **ret_compute, struct mbp_error *err);

/* The price table; loaded on first use. Borrowed from the engine; NULL: there is none. */
struct mag_prices;
int mag_engine_prices(struct mag_engine *engine, const struct mag_prices **ret_prices, struct mbp_error *err);

#define MAG_TURNS_MAX 256 /* running at the same time in one process; more wait for their turn */

/* Waits until there is room for one more running turn, or the call is cancelled. */
int mag_engine_begin_turn(struct mag_engine *engine, struct mbp_call *call, struct mbp_error *err);
void mag_engine_end_turn(struct mag_engine *engine);

/* $XDG_STATE_HOME/magent or ~/.local/state/magent. Caller frees; NULL without HOME or memory. */
char *mag_state_dir(void);

#endif
