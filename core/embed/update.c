/* Changing an agent between turns. */
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"

#include <string.h>

struct resources {
  char *agent, *environment;
};

static void resources_done(struct resources *resources)
{
  free(resources->agent);
  free(resources->environment);
}

/* With `counts`, what changed is a new version of that. */
static int compare(const struct mag_definition *before, struct mag_definition *after, bool counts, bool *ret_changed,
                   struct mbp_error *err)
{
  struct resources old = {0}, new = {0};
  int r = mag_definition_resources(before, &old.agent, &old.environment, err);
  if (r == 0)
    r = mag_definition_resources(after, &new.agent, &new.environment, err);
  if (r == 0) {
    bool agent = strcmp(old.agent, new.agent) != 0, environment = strcmp(old.environment, new.environment) != 0;
    after->environment_version += counts && environment;
    after->agent_version += counts && (agent || environment);
    *ret_changed = agent || environment;
  }
  resources_done(&old);
  resources_done(&new);
  return r;
}

int embed_redefine(struct magent_agent *agent, struct mag_definition *changed, bool counts, struct mbp_error *err)
{
  bool is_changed = false;
  int r = compare(&agent->definition, changed, counts, &is_changed, err);
  if (r == 0 && is_changed)
    r = agent->session ? mag_session_redefine(agent->session, changed, err)
                       : mag_session_check(agent->magent->engine, changed, err);
  if (r == 0 && is_changed) {
    struct mag_definition old = agent->definition;
    agent->definition = *changed;
    *changed = old;
  }
  return r;
}

static int update(struct magent_agent *agent, const struct magent_config *changes, uint32_t expected_version,
                  struct mbp_error *err)
{
  struct mag_definition changed = {0};
  uint32_t version = (uint32_t) agent->definition.agent_version;
  if (expected_version && expected_version != version)
    return mag_error(err, MBP_E_CONFLICT, "the agent has version %u, not %u: look again what it is now", version,
                     expected_version);
  int r = embed_copy(&agent->definition, &changed, err);
  if (r == 0)
    r = embed_change(changes, &changed, err);
  if (r == 0)
    r = embed_tools_join(agent, &changed, err);
  if (r == 0)
    r = embed_redefine(agent, &changed, /* counts= */ true, err);
  mag_definition_done(&changed);
  return r;
}

int magent_update_agent(struct magent_agent *agent, const struct magent_config *changes, uint32_t expected_version,
                        struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r == 0) {
    r = update(agent, changes, expected_version, &err);
    embed_leave(agent, EMBED_ALONE);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}
