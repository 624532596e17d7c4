/* What another process needs to go on: ids in a struct, and in a file. */
#include "agent/ids.h"
#include "base/error.h"
#include "embed/embed.h"

#include <stdio.h>
#include <string.h>

int magent_save_ids(struct magent_agent *agent, struct magent_ids *ret_ids, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_BESIDE, &err);
  if (r < 0)
    return embed_fail(error, &err);
  pthread_mutex_lock(&agent->making); /* the first session names the agent */
  const struct mag_session *session = embed_present(agent);
  const struct mag_definition *definition = session ? &session->definition : &agent->definition;
  memset(ret_ids, 0, sizeof(*ret_ids));
  if (session)
    (void) snprintf(ret_ids->session_id, MAGENT_ID_SIZE, "%s", session->log.id);
  (void) snprintf(ret_ids->agent_id, MAGENT_ID_SIZE, "%s", definition->agent_id ? definition->agent_id : "");
  (void) snprintf(ret_ids->environment_id, MAGENT_ID_SIZE, "%s",
                  definition->environment_id ? definition->environment_id : "");
  ret_ids->agent_version = (uint32_t) definition->agent_version;
  ret_ids->environment_version = (uint32_t) definition->environment_version;
  pthread_mutex_unlock(&agent->making);
  embed_leave(agent, EMBED_BESIDE);
  return 0;
}

static struct mag_ids import(const struct magent_ids *ids)
{
  struct mag_ids same;
  _Static_assert(sizeof(same) == sizeof(*ids) && offsetof(struct mag_ids, agent_id) == 0 &&
                     offsetof(struct mag_ids, environment_id) == offsetof(struct magent_ids, environment_id) &&
                     offsetof(struct mag_ids, session_id) == offsetof(struct magent_ids, session_id) &&
                     offsetof(struct mag_ids, agent_version) == offsetof(struct magent_ids, agent_version) &&
                     offsetof(struct mag_ids, environment_version) == offsetof(struct magent_ids, environment_version),
                 "the ids of magent.h are those of the agent layer");
  memcpy(&same, ids, sizeof(same));
  return same;
}

int magent_restore_ids(struct magent_agent *agent, const struct magent_ids *ids, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_ids given = import(ids);
  bool session = given.session_id[0];
  int r = session || (given.agent_id[0] && given.environment_id[0])
              ? mag_ids_check(agent->magent->engine, &given, &err)
              : mag_error(&err, MBP_E_INVALID, "the ids name no session: they were saved before the first prompt");
  if (r == 0 && session)
    return magent_resume_session(agent, given.session_id, error);
  if (r == 0)
    r = embed_become(agent, ids, &err);
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_ids_write(const struct magent_ids *ids, const char *path, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_ids given = import(ids);
  return mag_ids_save(&given, path, &err) < 0 ? embed_fail(error, &err) : 0;
}

int magent_ids_read(const char *path, struct magent_ids *ret_ids, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_ids ids;
  if (mag_ids_load(path, &ids, &err) < 0)
    return embed_fail(error, &err);
  memcpy(ret_ids, &ids, sizeof(*ret_ids));
  return 0;
}
