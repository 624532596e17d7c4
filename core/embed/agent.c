/* Agents: what they are made from, who uses them at the moment, and the session that they have. */
#include "agent/agents.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "embed/embed.h"

#include <string.h>

static struct magent_agent *agent_alloc(struct magent *magent)
{
  struct magent_agent *agent = calloc(1, sizeof(*agent));
  if (!agent)
    return NULL;
  agent->magent = magent;
  agent->interrupt_fds[0] = agent->interrupt_fds[1] = agent->interrupt_stop = -1;
  pthread_mutex_init(&agent->lock, NULL);
  pthread_mutex_init(&agent->making, NULL);
  return agent;
}

static int copy_text(char **to, const char *from, struct mbp_error *err)
{
  free(*to);
  *to = from ? mag_str_dup(mbp_str(from)) : NULL;
  return from && !*to ? mag_error_no_memory(err) : 0;
}

int embed_copy(const struct mag_definition *from, struct mag_definition *ret_definition, struct mbp_error *err)
{
  struct mag_definition copy = {.agent_version = from->agent_version, .environment_version = from->environment_version};
  int r = mag_definition_lay(&copy, from, err);
  if (r == 0)
    r = copy_text(&copy.agent_id, from->agent_id, err);
  if (r == 0)
    r = copy_text(&copy.environment_id, from->environment_id, err);
  if (r < 0) {
    mag_definition_done(&copy);
    return r;
  }
  *ret_definition = copy;
  return 0;
}

/* What was said is in the definition. */
static int complete(struct magent_agent *agent, struct mbp_error *err)
{
  struct mag_definition *definition = &agent->definition;
  int r = mag_definition_defaults(definition, err);
  if (r == 0)
    r = mag_session_check(agent->magent->engine, definition, err);
  if (r == 0 && !definition->agent_id)
    definition->agent_version = definition->environment_version = 1;
  return r < 0 ? r : embed_copy(definition, &agent->made, err);
}

/* `reference` NULL: only `config`. */
static int make(struct magent *magent, const char *reference, const struct magent_config *config,
                struct magent_agent **ret_agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_agent *agent = agent_alloc(magent);
  int r = agent ? 0 : mag_error_no_memory(&err);
  if (r == 0 && reference)
    r = mag_agent_use(magent->engine, reference, &agent->definition, &err);
  if (r == 0)
    r = embed_change(config, &agent->definition, &err);
  if (r == 0)
    r = complete(agent, &err);
  if (r < 0) {
    magent_agent_free(agent);
    return embed_fail(error, &err);
  }
  *ret_agent = agent;
  return 0;
}

int magent_agent_new(struct magent *magent, const struct magent_config *config, struct magent_agent **ret_agent,
                     struct magent_error *error)
{
  return make(magent, NULL, config, ret_agent, error);
}

int magent_agent_open(struct magent *magent, const char *reference, const struct magent_config *config,
                      struct magent_agent **ret_agent, struct magent_error *error)
{
  return make(magent, reference, config, ret_agent, error);
}

void magent_agent_free(struct magent_agent *agent)
{
  if (!agent)
    return;
  embed_interrupt_done(agent);
  mag_session_close(agent->session);
  embed_tools_free(agent);
  mag_definition_done(&agent->definition);
  mag_definition_done(&agent->made);
  pthread_mutex_destroy(&agent->lock);
  pthread_mutex_destroy(&agent->making);
  free(agent);
}

/* ---- Who uses it ------------------------------------------------------------------------------------------------ */

int embed_enter(struct magent_agent *agent, enum embed_use use, struct mbp_error *err)
{
  pthread_mutex_lock(&agent->lock);
  bool refused = agent->alone || (use != EMBED_BESIDE && agent->turn) || (use == EMBED_ALONE && agent->beside);
  bool by_turn = agent->turn;
  if (!refused) {
    agent->turn |= use == EMBED_TURN;
    agent->alone |= use == EMBED_ALONE;
    agent->beside += use == EMBED_BESIDE;
  }
  pthread_mutex_unlock(&agent->lock);
  if (!refused)
    return 0;
  return mag_error(err, MBP_E_BUSY,
                   by_turn ? "the agent is running a turn: wait for its end, or interrupt it"
                           : "the agent is used by another thread: wait for it");
}

void embed_leave(struct magent_agent *agent, enum embed_use use)
{
  pthread_mutex_lock(&agent->lock);
  agent->turn &= use != EMBED_TURN;
  if (use == EMBED_TURN)
    agent->running = NULL;
  agent->alone &= use != EMBED_ALONE;
  agent->beside -= use == EMBED_BESIDE;
  pthread_mutex_unlock(&agent->lock);
}

struct mag_session *embed_present(struct magent_agent *agent)
{
  pthread_mutex_lock(&agent->lock);
  struct mag_session *session = agent->session;
  pthread_mutex_unlock(&agent->lock);
  return session;
}

/* An agent that is not a stored one has ids of its own from its first session on. */
static int name_agent(struct mag_definition *definition, struct mbp_error *err)
{
  char id[MAG_ID_SIZE];
  if (!definition->agent_id) {
    mag_id_new(id, "agent_");
    definition->agent_id = mag_str_dup(mbp_str(id));
  }
  if (!definition->environment_id) {
    mag_id_new(id, "env_");
    definition->environment_id = mag_str_dup(mbp_str(id));
  }
  return definition->agent_id && definition->environment_id ? 0 : mag_error_no_memory(err);
}

int embed_session(struct magent_agent *agent, struct mag_session **ret_session, struct mbp_error *err)
{
  int r = 0;
  pthread_mutex_lock(&agent->making);
  struct mag_session *session = embed_present(agent);
  if (!session) {
    r = name_agent(&agent->definition, err);
    if (r == 0)
      r = mag_session_create(agent->magent->engine, &agent->definition, mbp_str(""), &session, err);
    if (r == 0 && (r = embed_tools_give(agent, session, err)) < 0)
      mag_session_close(session);
    if (r == 0) {
      pthread_mutex_lock(&agent->lock);
      agent->session = session;
      pthread_mutex_unlock(&agent->lock);
    }
  }
  pthread_mutex_unlock(&agent->making);
  if (r == 0)
    *ret_session = session;
  return r;
}

int magent_on_confirm(struct magent_agent *agent, int (*confirm)(void *ctx, const char *tool, const char *input),
                      void *ctx, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r < 0)
    return embed_fail(error, &err);
  agent->confirm = confirm;
  agent->confirm_ctx = ctx;
  embed_leave(agent, EMBED_ALONE);
  return 0;
}
