/* demand.h - what a definition asks for that a provider, or this version, cannot do: refused before anything is
 * created. */
#ifndef MAG_AGENT_DEMAND_H
#define MAG_AGENT_DEMAND_H

#include "agent/definition.h"
#include "host/instance.h"

/* Does it ask for something of a sandbox also if no tool needs one? Such a demand must not be passed over. */
bool mag_demand_needs_compute(const struct mag_definition *definition);
/* `network`: the MBP_NET_* that the sandbox will have. */
int mag_demand_check(const struct mag_definition *definition, struct mag_instance *compute, uint32_t network,
                     struct mbp_error *err);

/* An environment for what runs in a sandbox, with its references filled in. `texts` keeps what the pairs point to; all
 * empty in the beginning. */
struct mag_demand_env {
  struct mbp_pair *pairs;
  size_t n;
  char **texts;
};
/* `json`: object of texts, or empty; `where` is for messages. */
int mag_demand_env(struct mbp_str json, const char *where, struct mag_demand_env *ret_env, struct mbp_error *err);
void mag_demand_env_done(struct mag_demand_env *env);
/* Would that be refused for another reason than a variable which is not set here? */
int mag_demand_check_env(struct mbp_str json, const char *where, struct mbp_error *err);

#endif
