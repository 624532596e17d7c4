#include "agent/ids.h"

#include "agent/agents.h"
#include "agent/session.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (64 * 1024)

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static void write_id(struct mbp_writer *w, const char *key, const char *id)
{
  if (*id)
    mag_writer_string(w, key, mbp_str(id));
  else
    mag_writer_null(w, key);
}

static void write_version(struct mbp_writer *w, const char *key, uint32_t version)
{
  if (version)
    mag_writer_number(w, key, version);
  else
    mag_writer_null(w, key);
}

char *mag_ids_text(const struct mag_ids *ids)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_number(w, "version", 1);
  write_id(w, "agent_id", ids->agent_id);
  write_version(w, "agent_version", ids->agent_version);
  write_id(w, "environment_id", ids->environment_id);
  write_version(w, "environment_version", ids->environment_version);
  write_id(w, "session_id", ids->session_id);
  mag_writer_end(w);
  return mag_writer_take(w);
}

static bool is_nothing(const struct mbp_json *value)
{
  return !value || mag_json_type(value) == MBP_JSON_NULL;
}

/* An id is printed, and becomes a path: it has no other characters than ours have. Empty: none. */
static bool is_id(struct mbp_str text)
{
  static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
  return text.len < MAG_ID_SIZE && strspn(text.ptr, letters) == text.len;
}

static int read_id(const struct mbp_json *object, const char *key, char id[MAG_ID_SIZE], struct mbp_error *err)
{
  const struct mbp_json *value = mag_json_get(object, key);
  struct mbp_str text = mag_json_str(value);
  bool nothing = is_nothing(value);
  if (!nothing && (mag_json_type(value) != MBP_JSON_STRING || !is_id(text)))
    return mag_error(err, MBP_E_INVALID, "%s: expected an id, or null", key);
  memset(id, 0, MAG_ID_SIZE);
  if (!nothing)
    memcpy(id, text.ptr, text.len);
  return 0;
}

static int read_version(const struct mbp_json *object, const char *key, uint32_t *ret_version, struct mbp_error *err)
{
  const struct mbp_json *value = mag_json_get(object, key);
  int64_t version = is_nothing(value) ? 0 : mag_json_num(value, -1);
  if (version < 0 || version > UINT32_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: expected a whole number from 1 on, or null", key);
  *ret_version = (uint32_t) version;
  return 0;
}

/* The ids of an object that has them under these keys. */
static int read_pair(const struct mbp_json *object, const char *id_key, char id[MAG_ID_SIZE], const char *version_key,
                     uint32_t *ret_version, struct mbp_error *err)
{
  int r = read_id(object, id_key, id, err);
  return r < 0 ? r : read_version(object, version_key, ret_version, err);
}

static int take(const struct mbp_json *json, struct mag_ids *ids, struct mbp_error *err)
{
  uint32_t version = 0;
  if (mag_json_type(json) != MBP_JSON_OBJECT)
    return mag_error(err, MBP_E_INVALID, "expected a JSON object with a session_id");
  int r = read_version(json, "version", &version, err);
  if (r == 0 && version > 1)
    r = mag_error(err, MBP_E_UNSUPPORTED, "written by a newer magent (version %u)", version);
  if (r == 0 && !mag_json_get(json, "session_id"))
    r = mag_error(err, MBP_E_INVALID, "session_id is missing");
  if (r == 0)
    r = read_pair(json, "agent_id", ids->agent_id, "agent_version", &ids->agent_version, err);
  if (r == 0)
    r = read_pair(json, "environment_id", ids->environment_id, "environment_version", &ids->environment_version, err);
  return r < 0 ? r : read_id(json, "session_id", ids->session_id, err);
}

int mag_ids_read(struct mbp_str json, const char *where, struct mag_ids *ret_ids, struct mbp_error *err)
{
  mag_autojson document = NULL;
  struct mag_ids ids = {.agent_version = 0};
  struct mbp_error own = MAG_ERROR_INIT;
  int r = mag_json_parse(json, &document, &own);
  r = r == -MBP_E_PROTOCOL ? mag_error(err, MBP_E_INVALID, "%s", own.message)
      : r < 0              ? mag_error_import(err, &own)
                           : take(document, &ids, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", where);
  *ret_ids = ids;
  return 0;
}

/* ---- Sessions and agents ---------------------------------------------------------------------------------------- */

/* The id and version that a resource of the session's log has. */
static int read_resource(const char *resource, char id[MAG_ID_SIZE], uint32_t *ret_version, struct mbp_error *err)
{
  mag_autojson json = NULL;
  int r = resource ? mag_json_parse(mbp_str(resource), &json, err) : 0;
  return r < 0 ? r : read_pair(json, "id", id, "version", ret_version, err);
}

int mag_ids_of(struct mag_engine *engine, const char *session_id, struct mag_ids *ret_ids, struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_ids ids = {.agent_version = 0};
  struct mag_log log;
  int r = mag_session_check_id(session_id, err);
  if (r == 0)
    r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = mag_log_open(&log, store, session_id, /* claim= */ false, err);
  if (r < 0)
    return r;
  (void) snprintf(ids.session_id, sizeof(ids.session_id), "%s", session_id);
  r = read_resource(log.state.agent, ids.agent_id, &ids.agent_version, err);
  if (r == 0)
    r = read_resource(log.state.environment, ids.environment_id, &ids.environment_version, err);
  mag_log_close(&log);
  if (r < 0)
    return mag_error_wrap(err, "session %s", session_id);
  *ret_ids = ids;
  return 0;
}

static int check_id(const char *session_id, const char *what, const char *known, const char *id, struct mbp_error *err)
{
  return !*id || strcmp(known, id) == 0
             ? 0
             : mag_error(err, MBP_E_NOT_FOUND, "session %s is not one of %s %s", session_id, what, id);
}

/* Versions count from 1 on, and every one is kept. `newest` 0: nobody knows. */
static int check_version(const char *what, const char *id, uint32_t newest, uint32_t version, struct mbp_error *err)
{
  if (!newest || version <= newest)
    return 0;
  id = *id ? id : "of the session";
  return newest == 1
             ? mag_error(err, MBP_E_NOT_FOUND, "%s %s has no version %u; there is 1", what, id, version)
             : mag_error(err, MBP_E_NOT_FOUND, "%s %s has no version %u; there are 1 to %u", what, id, version, newest);
}

static void raise_to(uint32_t *version, int64_t to)
{
  *version = (uint32_t) MAG_MAX((int64_t) *version, to);
}

/* Versions of an agent that is stored, beyond those that the session knows. One that is not has no more. */
static int add_stored(struct mag_engine *engine, const struct mag_ids *ids, struct mag_ids *known,
                      struct mbp_error *err)
{
  struct mag_agent agent = {0};
  struct mbp_error own = MAG_ERROR_INIT;
  int r = mag_agent_get(engine, ids->agent_id, &agent, &own);
  if (r == -MBP_E_NOT_FOUND)
    return 0;
  if (r < 0)
    return mag_error_import(err, &own);
  const struct mag_definition *definition = &agent.definition;
  if (strcmp(definition->agent_id, ids->agent_id) == 0)
    raise_to(&known->agent_version, definition->agent_version);
  if (definition->environment_id && strcmp(definition->environment_id, ids->environment_id) == 0)
    raise_to(&known->environment_version, definition->environment_version);
  mag_agent_done(&agent);
  return 0;
}

int mag_ids_check(struct mag_engine *engine, const struct mag_ids *ids, struct mbp_error *err)
{
  struct mag_ids known = {.agent_version = 0};
  int r = is_id(mbp_str(ids->agent_id)) && is_id(mbp_str(ids->environment_id))
              ? 0
              : mag_error(err, MBP_E_INVALID, "agent_id and environment_id: expected ids");
  if (r == 0 && ids->session_id[0]) {
    r = mag_ids_of(engine, ids->session_id, &known, err);
    if (r == 0)
      r = check_id(ids->session_id, "agent", known.agent_id, ids->agent_id, err);
    if (r == 0)
      r = check_id(ids->session_id, "environment", known.environment_id, ids->environment_id, err);
  }
  if (r == 0 && ids->agent_id[0])
    r = add_stored(engine, ids, &known, err);
  if (r == 0)
    r = check_version("agent", ids->agent_id, known.agent_version, ids->agent_version, err);
  if (r == 0)
    r = check_version("environment", ids->environment_id, known.environment_version, ids->environment_version, err);
  return r;
}

/* ---- The file --------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text)
{
  for (size_t at = 0, len = strlen(text); at < len;) {
    ssize_t n = write(fd, text + at, len - at);
    if (n < 0 && errno != EINTR)
      return errno;
    at += n < 0 ? 0 : (size_t) n;
  }
  return fsync(fd) < 0 ? errno : 0;
}

int mag_ids_save(const struct mag_ids *ids, const char *path, struct mbp_error *err)
{
  struct mag_ids again;
  mag_autofree char *text = mag_ids_text(ids), *line = text ? mag_sprintf("%s\n", text) : NULL;
  mag_autofree char *temporary = mag_sprintf("%s.XXXXXX", path);
  if (!line || !temporary)
    return mag_error_no_memory(err);
  int r = mag_ids_read(mbp_str(text), path, &again, err);
  if (r < 0)
    return r;
  mag_autoclose int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", path);
  int failed = write_all(fd, line);
  if (!failed && rename(temporary, path) < 0)
    failed = errno;
  if (failed)
    (void) unlink(temporary);
  return failed ? mag_error_errno(err, failed, "%s", path) : 0;
}

int mag_ids_load(const char *path, struct mag_ids *ret_ids, struct mbp_error *err)
{
  mag_autobuf text = MAG_BUF_INIT;
  char chunk[4096];
  ssize_t n = 0;
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", path);
  while (text.len <= FILE_MAX && ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)))
    mag_buf_add(&text, chunk, (size_t) MAG_MAX(n, 0));
  if (n < 0)
    return mag_error_errno(err, errno, "%s", path);
  if (text.len > FILE_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: not a file of ids: larger than %d KiB", path, FILE_MAX >> 10);
  return mag_ids_read(mag_buf_str(&text), path, ret_ids, err);
}
