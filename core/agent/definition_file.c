/* Definitions from files: agent files, and the defaults of this installation. */
#include "agent/definition.h"
#include "agent/schema.h"
#include "agent/yaml.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_MAX (1024 * 1024)

static int read_text(int fd, const char *path, struct mag_buf *buf, struct mbp_error *err)
{
  for (;;) {
    if (mag_buf_reserve(buf, 65536) < 0)
      return mag_error_no_memory(err);
    ssize_t n = read(fd, buf->ptr + buf->len, 65536);
    if (n < 0)
      return mag_error_errno(err, errno, "%s", path);
    if (n == 0)
      return 0;
    buf->len += (size_t) n;
    buf->ptr[buf->len] = 0;
    if (buf->len > FILE_MAX)
      return mag_error(err, MBP_E_LIMIT, "%s: longer than 1 MiB: not an agent file", path);
  }
}

int mag_definition_read_fd(int fd, const char *path, char **ret_json, struct mbp_error *err)
{
  mag_autobuf text = MAG_BUF_INIT;
  int r = read_text(fd, path, &text, err);
  if (r < 0)
    return r;
  return mag_yaml_to_json(mag_buf_str(&text), path, ret_json, err);
}

int mag_definition_read_file(const char *path, char **ret_json, struct mbp_error *err)
{
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", path);
  return mag_definition_read_fd(fd, path, ret_json, err);
}

int mag_definition_load(struct mag_definition *definition, const char *path, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  int r = mag_definition_read_file(path, &json, err);
  return r < 0 ? r : mag_definition_take(definition, mbp_str(json), path, err);
}

/* ---- Defaults --------------------------------------------------------------------------------------------------- */

int mag_definition_read_defaults(struct mag_definition *definition, bool *ret_missing, char **ret_path,
                                 struct mbp_error *err)
{
  const char *dir = secure_getenv("MAGENT_CONF_DIR");
  mag_autofree char *path = mag_sprintf("%s/defaults.json", dir ? dir : MAGENT_SYSCONFDIR);
  mag_autofree char *json = NULL;
  struct mbp_error own = MAG_ERROR_INIT;
  if (!path)
    return mag_error_no_memory(err);
  int r = mag_definition_read_file(path, &json, &own);
  bool missing = r == -MBP_E_NOT_FOUND;
  if (r == 0)
    r = mag_definition_take_in(definition, mbp_str(json), MAG_IN_DEFAULTS, path, true, err);
  else if (missing)
    r = 0;
  else if (err)
    *err = own;
  if (r < 0)
    return r;
  *ret_missing = missing;
  if (ret_path)
    *ret_path = mag_steal(&path);
  return 0;
}

int mag_definition_defaults(struct mag_definition *definition, struct mbp_error *err)
{
  mag_autofree char *path = NULL;
  bool missing = false;
  int r = mag_definition_read_defaults(definition, &missing, &path, err);
  if (r < 0)
    return r;
  if (!definition->tools && !(definition->tools = mag_str_dup(mbp_str("[]"))))
    return mag_error_no_memory(err);
  if (!definition->model || !definition->compute)
    r = mag_error(err, MBP_E_INVALID, "no default %s: %s %s; say which in the agent file or as an option",
                  definition->model ? "compute" : "model", path, missing ? "is missing" : "names none");
  return r;
}

/* ---- Chosen tools ----------------------------------------------------------------------------------------------- */

int mag_definition_set_tools(struct mag_definition *definition, const char *list, struct mbp_error *err)
{
  if (!*list)
    return mag_error(err, MBP_E_INVALID, "the list is empty; \"none\" is for no tools");
  if (*list == ',' || strstr(list, ",,") || !mag_utf8_valid(list, strlen(list)))
    return mag_error(err, MBP_E_INVALID, "\"%s\" is not a list such as bash,read", list);
  mag_autowriter w = mag_writer_new();
  mag_writer_array(w, NULL);
  if (strcmp(list, "none") == 0)
    list = "";
  while (*list) {
    size_t len = strcspn(list, ",");
    mag_writer_string(w, NULL, mbp_str_n(list, len));
    list += len;
    list += *list == ',';
  }
  mag_writer_end(w);
  char *tools = mag_writer_take(w);
  if (!tools)
    return mag_error_no_memory(err);
  free(definition->tools);
  mag_tools_source_done(&definition->tools_source);
  definition->tools = tools;
  return 0;
}
