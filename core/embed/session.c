/* Which session an agent is talking in. */
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"

#include <string.h>

/* The agent becomes that of the session, with its conversation. Alone. */
static int take_session(struct magent_agent *agent, struct mag_session *session, struct mbp_error *err)
{
  mag_autofree char *resource = NULL, *environment = NULL;
  struct mag_definition definition = {0};
  int r = mag_definition_resources(&session->definition, &resource, &environment, err);
  if (r == 0)
    r = mag_definition_from_resources(&definition, mbp_str(resource), mbp_str(environment), err);
  if (r < 0) {
    mag_definition_done(&definition);
    return r;
  }
  pthread_mutex_lock(&agent->lock);
  struct mag_session *old = agent->session;
  agent->session = session;
  pthread_mutex_unlock(&agent->lock);
  mag_session_close(old);
  mag_definition_done(&agent->definition);
  agent->definition = definition;
  return 0;
}

static int resume(struct magent_agent *agent, const char *session_id, struct mbp_error *err)
{
  struct mag_session *session;
  if (agent->session && strcmp(agent->session->log.id, session_id) == 0)
    return 0;
  int r = mag_session_open(agent->magent->engine, session_id, /* overrides= */ NULL, &session, err);
  if (r < 0)
    return r;
  r = take_session(agent, session, err);
  if (r < 0)
    mag_session_close(session);
  return r;
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
  pthread_mutex_lock(&agent->lock);
  struct mag_session *old = mag_steal(&agent->session);
  pthread_mutex_unlock(&agent->lock);
  mag_session_close(old);
  embed_leave(agent, EMBED_ALONE);
  return 0;
}
