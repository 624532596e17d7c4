#include "agent/ids.h"

#include "agent/session.h"
#include "agent/sessions.h"
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

static void write_text(struct mbp_writer *w, const char *key, const char *text)
{
  if (*text)
    mag_writer_string(w, key, mbp_str(text));
  else
    mag_writer_null(w, key);
}

char *mag_ids_text(const struct mag_ids *ids)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_number(w, "version", 1);
  write_text(w, "agent_id", ids->agent_id);
  if (ids->agent_version)
    mag_writer_number(w, "agent_version", ids->agent_version);
  else
    mag_writer_null(w, "agent_version");
  write_text(w, "environment_id", ids->environment_id);
  mag_writer_string(w, "session_id", mbp_str(ids->session_id));
  mag_writer_end(w);
  return mag_writer_take(w);
}

/* Null, missing or text. */
static int read_text(const struct mbp_json *object, const char *key, char *to, size_t size, struct mbp_error *err)
{
  const struct mbp_json *value = mag_json_get(object, key);
  struct mbp_str text = mag_json_str(value);
  bool null = !value || mag_json_type(value) == MBP_JSON_NULL;
  if (!null &&
      (mag_json_type(value) != MBP_JSON_STRING || text.len == 0 || text.len >= size || strlen(text.ptr) != text.len))
    return mag_error(err, MBP_E_INVALID, "%s is not an id", key);
  memset(to, 0, size);
  if (!null)
    memcpy(to, text.ptr, text.len);
  return 0;
}

static int take(const struct mbp_json *json, struct mag_ids *ids, struct mbp_error *err)
{
  int64_t version = mag_json_num(mag_json_get(json, "version"), 0);
  if (mag_json_type(json) != MBP_JSON_OBJECT || version < 1)
    return mag_error(err, MBP_E_INVALID, "not a file of ids");
  if (version > 1)
    return mag_error(err, MBP_E_UNSUPPORTED, "written by a newer magent (version %lld)", (long long) version);
  int r = read_text(json, "agent_id", ids->agent_id, sizeof(ids->agent_id), err);
  if (r == 0)
    r = read_text(json, "environment_id", ids->environment_id, sizeof(ids->environment_id), err);
  if (r == 0)
    r = read_text(json, "session_id", ids->session_id, sizeof(ids->session_id), err);
  if (r == 0 && !ids->session_id[0])
    r = mag_error(err, MBP_E_INVALID, "session_id is missing");
  ids->agent_version = mag_json_num(mag_json_get(json, "agent_version"), 0);
  if (r == 0 && ids->agent_version < 0)
    r = mag_error(err, MBP_E_INVALID, "agent_version is not a version");
  return r;
}

int mag_ids_read(struct mbp_str json, const char *where, struct mag_ids *ret_ids, struct mbp_error *err)
{
  mag_autojson document = NULL;
  struct mag_ids ids = {.agent_version = 0};
  int r = mag_json_parse(json, &document, err);
  if (r == 0)
    r = take(document, &ids, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", where);
  *ret_ids = ids;
  return 0;
}

int mag_ids_of(struct mag_engine *engine, const char *session_id, struct mag_ids *ret_ids, struct mbp_error *err)
{
  mag_autofree char *info = NULL;
  mag_autojson json = NULL;
  struct mag_ids ids = {.agent_version = 0};
  int r = mag_sessions_info(engine, session_id, &info, err);
  if (r == 0)
    r = mag_json_parse(mbp_str(info), &json, err);
  const struct mbp_json *agent = mag_json_get(json, "agent");
  if (r == 0)
    r = read_text(agent, "id", ids.agent_id, sizeof(ids.agent_id), err);
  if (r == 0)
    r = read_text(json, "environment_id", ids.environment_id, sizeof(ids.environment_id), err);
  if (r == 0)
    r = read_text(json, "id", ids.session_id, sizeof(ids.session_id), err);
  ids.agent_version = mag_json_num(mag_json_get(agent, "version"), 0);
  if (r == 0)
    *ret_ids = ids;
  return r;
}

/* ---- The file ------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text)
{
  for (size_t at = 0, len = strlen(text); at < len;) {
    ssize_t n = write(fd, text + at, len - at);
    if (n < 0)
      return errno;
    at += (size_t) n;
  }
  return fsync(fd) < 0 ? errno : 0;
}

int mag_ids_save(const struct mag_ids *ids, const char *path, struct mbp_error *err)
{
  mag_autofree char *text = mag_ids_text(ids), *line = text ? mag_sprintf("%s\n", text) : NULL;
  mag_autofree char *temporary = mag_sprintf("%s.XXXXXX", path);
  if (!line || !temporary)
    return mag_error_no_memory(err);
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

int mag_ids_restore(struct mag_engine *engine, const char *path, struct mag_ids *ret_ids, struct mbp_error *err)
{
  struct mag_session_facts facts;
  mag_autobuf text = MAG_BUF_INIT;
  char chunk[4096];
  ssize_t n = 0;
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", path);
  while (text.len <= FILE_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
    mag_buf_add(&text, chunk, (size_t) n);
  if (n < 0)
    return mag_error_errno(err, errno, "%s", path);
  if (text.len > FILE_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: not a file of ids", path);
  struct mag_ids ids;
  int r = mag_ids_read(mag_buf_str(&text), path, &ids, err);
  if (r == 0)
    r = mag_session_check_id(ids.session_id, err);
  if (r == 0)
    r = mag_sessions_facts(engine, ids.session_id, &facts, err);
  if (r < 0)
    return r;
  *ret_ids = ids;
  return 0;
}
