/* What another process needs to go on: ids in a struct, and in a file. */
#include "agent/sessions.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "embed/embed.h"
#include "embed/files.h"

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

static int check_id(const struct mbp_json *found, const char *what, const char *id, struct mbp_error *err)
{
  if (*id == 0 || mbp_str_eq(mag_json_str(found), id))
    return 0;
  return mag_error(err, MBP_E_NOT_FOUND, "the session is not one of %s %.48s", what, id);
}

/* The session says which agent and environment it has. */
static int check(struct mag_engine *engine, const struct magent_ids *ids, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  mag_autojson view = NULL;
  if (!ids->session_id[0])
    return mag_error(err, MBP_E_INVALID, "the ids name no session: they were saved before the first prompt");
  int r = mag_sessions_info(engine, ids->session_id, &json, err);
  if (r == 0)
    r = mag_json_parse(mbp_str(json), &view, err);
  if (r == 0)
    r = check_id(mag_json_get(mag_json_get(view, "agent"), "id"), "agent", ids->agent_id, err);
  if (r == 0)
    r = check_id(mag_json_get(view, "environment_id"), "environment", ids->environment_id, err);
  return r;
}

int magent_restore_ids(struct magent_agent *agent, const struct magent_ids *ids, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  if (!ids->session_id[0] && ids->agent_id[0] && ids->environment_id[0])
    return embed_become(agent, ids, &err) < 0 ? embed_fail(error, &err) : 0;
  if (check(agent->magent->engine, ids, &err) < 0)
    return embed_fail(error, &err);
  return magent_resume_session(agent, ids->session_id, error);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static char *as_json(const struct magent_ids *ids)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_string(w, "agent_id", mbp_str(ids->agent_id));
  mag_writer_number(w, "agent_version", ids->agent_version);
  mag_writer_string(w, "environment_id", mbp_str(ids->environment_id));
  mag_writer_number(w, "environment_version", ids->environment_version);
  mag_writer_string(w, "session_id", mbp_str(ids->session_id));
  mag_writer_end(w);
  return mag_writer_take(w);
}

int magent_ids_write(const struct magent_ids *ids, const char *path, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct embed_file file;
  mag_autofree char *json = as_json(ids);
  int r = json ? embed_file_create(&file, path, &err) : mag_error_no_memory(&err);
  if (r == 0) {
    r = embed_file_add(&file, mbp_str(json));
    if (r == 0)
      r = embed_file_add(&file, mbp_str("\n"));
    (void) fsync(file.fd);
    r = embed_file_finish(&file, r, &err);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

static int take_id(const struct mbp_json *json, const char *key, char id[MAGENT_ID_SIZE], struct mbp_error *err)
{
  const struct mbp_json *value = mag_json_get(json, key);
  struct mbp_str text = mag_json_str(value);
  if (value && mag_json_type(value) != MBP_JSON_STRING && mag_json_type(value) != MBP_JSON_NULL)
    return mag_error(err, MBP_E_INVALID, "%s: expected an id", key);
  if (text.len >= MAGENT_ID_SIZE)
    return mag_error(err, MBP_E_INVALID, "%s: longer than an id", key);
  if (text.len)
    memcpy(id, text.ptr, text.len);
  return 0;
}

static int take_version(const struct mbp_json *json, const char *key, uint32_t *ret_version, struct mbp_error *err)
{
  const struct mbp_json *value = mag_json_get(json, key);
  int64_t version = value && mag_json_type(value) != MBP_JSON_NULL ? mag_json_num(value, -1) : 0;
  if (version < 0 || version > UINT32_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: expected a version number", key);
  *ret_version = (uint32_t) version;
  return 0;
}

static int take_ids(struct mbp_str text, struct magent_ids *ret_ids, struct mbp_error *err)
{
  mag_autojson json = NULL;
  struct magent_ids ids = {0};
  int r = mag_json_parse(text, &json, err);
  if (r == 0 && !mag_json_get(json, "session_id"))
    r = mag_error(err, MBP_E_INVALID, "expected an object with a session_id");
  if (r == 0)
    r = take_id(json, "agent_id", ids.agent_id, err);
  if (r == 0)
    r = take_id(json, "environment_id", ids.environment_id, err);
  if (r == 0)
    r = take_id(json, "session_id", ids.session_id, err);
  if (r == 0)
    r = take_version(json, "agent_version", &ids.agent_version, err);
  if (r == 0)
    r = take_version(json, "environment_version", &ids.environment_version, err);
  if (r == 0)
    *ret_ids = ids;
  return r;
}

int magent_ids_read(const char *path, struct magent_ids *ret_ids, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_definition_read_file(path, &json, &err);
  if (r == 0 && take_ids(mbp_str(json), ret_ids, &err) < 0)
    r = mag_error_wrap(&err, "%s", path);
  return r < 0 ? embed_fail(error, &err) : 0;
}
