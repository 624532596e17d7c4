/* agents.h - stored agents: documents with versions, of which every one is kept.
 *
 * An agent is kept as the two resources of docs/CONFIG.md: the agent itself, which names its environment and the
 * environment's version in x_magent. A session is a snapshot: later changes do not touch it.
 */
#ifndef MAG_AGENT_AGENTS_H
#define MAG_AGENT_AGENTS_H

#include "agent/definition.h"
#include "agent/engine.h"

/* A stored version. Text members are owned. */
struct mag_agent {
  struct mag_definition definition; /* agent_id and agent_version say which one it is */
  char *agent, *environment;        /* the resources */
  bool archived;
};

void mag_agent_done(struct mag_agent *agent);

/* `definition` with all defaults filled in. MBP_E_EXISTS: an agent of that name is there already. */
int mag_agent_create(struct mag_engine *engine, const struct mag_definition *definition, struct mag_agent *ret_agent,
                     struct mbp_error *err);

/* `reference`: a name or id, with "@VERSION" for one that is not the newest. MBP_E_NOT_FOUND. */
int mag_agent_get(struct mag_engine *engine, const char *reference, struct mag_agent *ret_agent, struct mbp_error *err);

/* Stores a new version: `definition` is what mag_agent_get gave, changed (definition.h). Nothing changed: the version
 * stays. MBP_E_CONFLICT: somebody else has stored one meanwhile, or the stored version is not `expected` (0: any).
 * MBP_E_READ_ONLY: it is archived. */
int mag_agent_update(struct mag_engine *engine, const struct mag_definition *definition, int64_t expected,
                     struct mag_agent *ret_agent, struct mbp_error *err);

/* No more updates and no new sessions from now on; that is a version of its own. Archived already: nothing happens. */
int mag_agent_archive(struct mag_engine *engine, const char *reference, struct mag_agent *ret_agent,
                      struct mbp_error *err);

/* The newest version of each, newest first, as JSON. `each` returns negative to stop. */
int mag_agent_list(struct mag_engine *engine, bool archived_too, int (*each)(void *ctx, struct mbp_str json), void *ctx,
                   struct mbp_error *err);

/* What a new session is to be made from, laid below what is there: the file or the stored agent that `reference`
 * names. MBP_E_READ_ONLY: it is archived. */
int mag_agent_use(struct mag_engine *engine, const char *reference, struct mag_definition *definition,
                  struct mbp_error *err);

/* Is this the name of a file and not of a stored agent? It has a slash or the ending .yaml, .yml or .json. */
bool mag_agent_is_file(const char *reference);

#endif
