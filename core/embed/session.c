/* Which session an agent is talking in. */
#include "agent/agents.h"
#include "agent/outside.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "embed/embed.h"

#include <string.h>

/* Alone: nobody else uses it. */
static struct mag_session *take_away(struct magent_agent *agent)
{
  pthread_mutex_lock(&agent->lock);
  struct mag_session *session = mag_steal(&agent->session);
  pthread_mutex_unlock(&agent->lock);
  return session;
}

/* The program's own tools, also in a session that was begun without them. */
static int keep_tools(struct magent_agent *agent, struct mbp_error *err)
{
  struct mag_definition changed;
  int r = embed_copy(&agent->definition, &changed, err);
  if (r < 0)
    return r;
  r = embed_tools_join(agent, &changed, err);
  if (r == 0)
    r = embed_redefine(agent, &changed, /* counts= */ false, err);
  mag_definition_done(&changed);
  return r < 0 ? r : embed_tools_give(agent, agent->session, err);
}

/* The agent becomes that of the session, with its conversation, and keeps the program's own tools. Alone. */
static int take_over(struct magent_agent *agent, struct mag_session *session, struct mbp_error *err)
{
  struct mag_definition definition;
  int r = embed_copy(&session->definition, &definition, err);
  if (r < 0) {
    mag_session_close(session);
    return r;
  }
  mag_session_close(take_away(agent));
  pthread_mutex_lock(&agent->lock);
  agent->session = session;
  pthread_mutex_unlock(&agent->lock);
  mag_definition_done(&agent->definition);
  agent->definition = definition;
  return keep_tools(agent, err);
}

static int resume(struct magent_agent *agent, const char *session_id, struct mbp_error *err)
{
  struct mag_session *session;
  int r = mag_session_check_id(session_id, err);
  if (r < 0)
    return r;
  if (agent->session && strcmp(agent->session->log.id, session_id) == 0)
    return 0;
  r = mag_session_open(agent->magent->engine, session_id, /* overrides= */ NULL, &session, err);
  if (r < 0)
    return r;
  return take_over(agent, session, err);
}

int magent_resume_session(struct magent_agent *agent, const char *session_id, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r == 0) {
    r = resume(agent, session_id, &err);
    embed_leave(agent, EMBED_ALONE);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_reset_session(struct magent_agent *agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r < 0)
    return embed_fail(error, &err);
  mag_session_close(take_away(agent));
  embed_leave(agent, EMBED_ALONE);
  return 0;
}

/* What the ids name: the stored agent in that version, else the agent as it is, by these names. */
static int named(struct magent_agent *agent, const struct magent_ids *ids, struct mag_definition *definition,
                 struct mbp_error *err)
{
  mag_autofree char *reference = mag_sprintf(ids->agent_version ? "%s@%u" : "%s", ids->agent_id, ids->agent_version);
  struct mbp_error own = MAG_ERROR_INIT;
  int r = reference ? mag_agent_use(agent->magent->engine, reference, definition, &own) : mag_error_no_memory(&own);
  if (r != -MBP_E_NOT_FOUND)
    return r < 0 ? mag_error_import(err, &own) : 0;
  r = embed_copy(&agent->definition, definition, err);
  if (r < 0)
    return r;
  free(definition->agent_id);
  free(definition->environment_id);
  definition->agent_id = mag_str_dup(mbp_str(ids->agent_id));
  definition->environment_id = mag_str_dup(mbp_str(ids->environment_id));
  definition->agent_version = ids->agent_version;
  definition->environment_version = ids->environment_version;
  return definition->agent_id && definition->environment_id ? 0 : mag_error_no_memory(err);
}

int embed_become(struct magent_agent *agent, const struct magent_ids *ids, struct mbp_error *err)
{
  struct mag_definition definition = {0};
  int r = embed_enter(agent, EMBED_ALONE, err);
  if (r < 0)
    return r;
  r = named(agent, ids, &definition, err);
  if (r == 0)
    r = embed_tools_join(agent, &definition, err);
  if (r == 0) {
    struct mag_definition old = agent->definition;
    mag_session_close(take_away(agent));
    agent->definition = definition;
    definition = old;
  }
  mag_definition_done(&definition);
  embed_leave(agent, EMBED_ALONE);
  return r;
}

/* As the agent was made. Alone. */
static int reset_all(struct magent_agent *agent, struct mbp_error *err)
{
  struct mag_definition definition;
  int r = embed_copy(&agent->made, &definition, err);
  if (r < 0)
    return r;
  r = embed_tools_join(agent, &definition, err);
  if (r < 0) {
    mag_definition_done(&definition);
    return r;
  }
  mag_session_close(take_away(agent));
  mag_definition_done(&agent->definition);
  agent->definition = definition;
  return 0;
}

int magent_reset_all(struct magent_agent *agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r == 0) {
    r = reset_all(agent, &err);
    embed_leave(agent, EMBED_ALONE);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

/* ---- Speaking meanwhile ----------------------------------------------------------------------------------------- */

static int say(struct magent_agent *agent, const char *text, const char *delivery, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session;
  int r = embed_enter(agent, EMBED_BESIDE, &err);
  if (r < 0)
    return embed_fail(error, &err);
  r = embed_session(agent, &session, &err);
  if (r == 0)
    r = mag_outside_say(agent->magent->engine, session->log.id, mbp_str(text), delivery, NULL, &err);
  embed_leave(agent, EMBED_BESIDE);
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_steer(struct magent_agent *agent, const char *text, struct magent_error *error)
{
  return say(agent, text, MAG_DELIVERY_STEER, error);
}

int magent_follow_up(struct magent_agent *agent, const char *text, struct magent_error *error)
{
  return say(agent, text, MAG_DELIVERY_FOLLOW_UP, error);
}
