#include "agent/definition.h"

#include "agent/schema.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>

void mag_definition_done(struct mag_definition *definition)
{
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (mag_key_is_text(key)) {
      free(*mag_key_text(definition, key));
      *mag_key_text(definition, key) = NULL; /* two rows may share a member */
    }
  mag_definition_forget_sources(definition);
  memset(definition, 0, sizeof(*definition));
}

bool mag_key_is_said(const struct mag_definition *given, const struct mag_key *key)
{
  struct mag_definition *definition = (struct mag_definition *) given; /* only read */
  return mag_key_is_text(key)     ? *mag_key_text(definition, key) != NULL
         : mag_key_is_number(key) ? *mag_key_number(definition, key) != 0
                                  : false;
}

/* ---- Where they stand in files ---------------------------------------------------------------------------------- */

void mag_definition_forget_sources(struct mag_definition *definition)
{
  mag_tools_source_done(&definition->tools_source);
  mag_key_places_done(&definition->places);
}

int mag_definition_copy_sources(struct mag_definition *to, const struct mag_definition *from, struct mbp_error *err)
{
  int r = mag_tools_source_copy(&to->tools_source, &from->tools_source, err);
  return r < 0 ? r : mag_key_places_copy(&to->places, &from->places, err);
}

int mag_definition_blame(const struct mag_definition *definition, const char *path, struct mbp_error *err)
{
  const struct mag_key *key = mag_schema_find(mbp_str(path));
  const char *place = key ? mag_key_places_get(&definition->places, (size_t) (key - mag_schema)) : NULL;
  if (!err || !place)
    return err ? -err->code : -MBP_E_INTERNAL;
  if (key->flags & MAG_KEY_REST) /* "model.*" is told as "model" */
    return mag_error_wrap(err, "%s: %.*s", place, (int) strcspn(path, "."), path);
  return mag_str_starts(mbp_str(err->message), path) ? mag_error_wrap(err, "%s", place)
                                                     : mag_error_wrap(err, "%s: %s", place, path);
}

/* ---- One below the other ---------------------------------------------------------------------------------------- */

static bool has_member(struct mbp_str object, struct mbp_str wanted)
{
  struct mbp_str key, value;
  size_t at = 0;
  while (mag_json_step(object, &at, &key, &value))
    if (mag_str_eq(key, wanted))
      return true;
  return false;
}

/* The members of both, those of `over` first; a null in it takes the member of `under` away. Keys are written as they
 * stand in the texts, escapes and all. NULL without memory. */
static char *join_maps(struct mbp_str over, struct mbp_str under)
{
  mag_autobuf joined = MAG_BUF_INIT;
  struct mbp_str key, value;
  size_t at = 0;
  mag_buf_add_char(&joined, '{');
  while (mag_json_step(over, &at, &key, &value))
    if (!mbp_str_eq(value, "null"))
      mag_buf_printf(&joined, "%s\"%.*s\":%.*s", joined.len > 1 ? "," : "", (int) key.len, key.ptr, (int) value.len,
                     value.ptr);
  for (at = 0; mag_json_step(under, &at, &key, &value);)
    if (!has_member(over, key))
      mag_buf_printf(&joined, "%s\"%.*s\":%.*s", joined.len > 1 ? "," : "", (int) key.len, key.ptr, (int) value.len,
                     value.ptr);
  mag_buf_add_char(&joined, '}');
  return mag_buf_take(&joined);
}

static int lay_text(char **over, const char *under, bool map, struct mbp_error *err)
{
  char *text = NULL;
  if (!under || (*over && !map))
    return 0;
  text = *over ? join_maps(mbp_str(*over), mbp_str(under)) : mag_str_dup(mbp_str(under));
  if (!text)
    return mag_error_no_memory(err);
  free(*over);
  *over = text;
  return 0;
}

int mag_definition_lay(struct mag_definition *definition, const struct mag_definition *given, struct mbp_error *err)
{
  struct mag_definition *under = (struct mag_definition *) given; /* only read */
  bool model_said = definition->model != NULL;
  int r = 0;
  if (!definition->tools && under->tools)
    r = mag_tools_source_copy(&definition->tools_source, &under->tools_source, err);
  for (const struct mag_key *key = mag_schema; key->path && r == 0; key++) {
    if (model_said && strncmp(key->path, "model.", 6) == 0)
      continue;
    size_t row = (size_t) (key - mag_schema);
    if (!mag_key_is_said(definition, key) && mag_key_is_said(under, key))
      r = mag_key_places_set(&definition->places, row, mag_key_places_get(&under->places, row), err);
    if (r < 0)
      break;
    if (mag_key_is_text(key))
      r = lay_text(mag_key_text(definition, key), *mag_key_text(under, key), mag_key_is_map(key), err);
    else if (mag_key_is_number(key) && *mag_key_number(definition, key) == 0)
      *mag_key_number(definition, key) = *mag_key_number(under, key);
  }
  return r;
}

/* ---- To resources ----------------------------------------------------------------------------------------------- */

/* The mappings that are open, as a wire path: "config.networking". */
struct nesting {
  struct mbp_writer *w;
  char path[128];
  size_t len;
};

static void open_mapping(struct nesting *nesting, const char *name, size_t len)
{
  mag_autofree char *copy = mag_str_dup(mbp_str_n(name, len));
  mag_writer_object(nesting->w, copy);
  if (mbp_str_eq(mbp_str_n(name, len), "config"))
    mag_writer_string(nesting->w, "type", mbp_str("cloud"));
  if (mbp_str_eq(mbp_str_n(name, len), "packages"))
    mag_writer_string(nesting->w, "type", mbp_str("packages"));
}

/* Closes and opens mappings until those around `wire` are open. */
static void go_to(struct nesting *nesting, const char *wire)
{
  const char *dot = strrchr(wire, '.');
  size_t wanted = dot ? (size_t) (dot - wire) : 0;
  while (nesting->len &&
         (nesting->len > wanted || strncmp(nesting->path, wire, nesting->len) != 0 || wire[nesting->len] != '.')) {
    while (nesting->len && nesting->path[--nesting->len] != '.')
      ;
    mag_writer_end(nesting->w);
  }
  while (nesting->len < wanted && wanted < sizeof(nesting->path)) {
    size_t start = nesting->len ? nesting->len + 1 : 0, len = strcspn(wire + start, ".");
    open_mapping(nesting, wire + start, len);
    nesting->len = start + len;
    memcpy(nesting->path, wire, nesting->len);
  }
}

static void write_key(struct nesting *nesting, struct mag_definition *definition, const struct mag_key *key)
{
  const char *dot = strrchr(key->wire, '.'), *name = dot ? dot + 1 : key->wire;
  go_to(nesting, key->wire);
  if (!mag_key_is_said(definition, key) && mag_key_is_map(key))
    mag_writer_raw(nesting->w, name, mbp_str("{}"));
  else if (!mag_key_is_said(definition, key) && key->type == MAG_KEY_LIST)
    mag_writer_raw(nesting->w, name, mbp_str("[]"));
  else if (!mag_key_is_said(definition, key))
    mag_writer_null(nesting->w, name);
  else if (key->type == MAG_KEY_TEXT || key->type == MAG_KEY_PATH || key->type == MAG_KEY_CHOICE)
    mag_writer_string(nesting->w, name, mbp_str(*mag_key_text(definition, key)));
  else if (mag_key_is_text(key))
    mag_writer_raw(nesting->w, name, mbp_str(*mag_key_text(definition, key)));
  else if (key->type == MAG_KEY_TRUTH)
    mag_writer_boolean(nesting->w, name, *mag_key_number(definition, key) > 0);
  else
    mag_writer_number(nesting->w, name, *mag_key_number(definition, key));
}

static void write_keys(struct mbp_writer *w, struct mag_definition *definition, enum mag_resource resource)
{
  struct nesting nesting = {.w = w};
  for (int own = 0; own < 2; own++) /* magent's own keys stand together, behind the others */
    for (const struct mag_key *key = mag_schema; key->path; key++)
      if (key->resource == resource && (strncmp(key->wire, "x_magent.", 9) == 0) == own &&
          (key->flags & MAG_KEY_SHOWN || mag_key_is_said(definition, key)))
        write_key(&nesting, definition, key);
  go_to(&nesting, "");
}

int mag_definition_resources(const struct mag_definition *given, char **ret_agent, char **ret_environment,
                             struct mbp_error *err)
{
  struct mag_definition definition = *given; /* borrowed members */
  mag_autowriter w = mag_writer_new();
  if (!definition.name)
    definition.name = (char *) "agent";
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("agent"));
  write_keys(w, &definition, MAG_AGENT);
  mag_writer_end(w);
  mag_autofree char *agent = mag_writer_take(w);
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("environment"));
  mag_writer_string(w, "name", mbp_str(definition.name));
  write_keys(w, &definition, MAG_ENVIRONMENT);
  mag_writer_end(w);
  char *environment = mag_writer_take(w);
  if (!agent || !environment) {
    free(environment);
    return mag_error_no_memory(err);
  }
  *ret_agent = mag_steal(&agent);
  *ret_environment = environment;
  return 0;
}

/* ---- And back --------------------------------------------------------------------------------------------------- */

static int copy_text(char **place, struct mbp_str text)
{
  free(*place);
  *place = mag_str_dup(text);
  return *place ? 0 : -MBP_E_NO_MEMORY;
}

static int read_key(struct mag_definition *definition, const struct mag_key *key, struct mbp_str resource)
{
  char path[128];
  size_t n = strlen(key->wire);
  struct mbp_str slice;
  mag_autojson value = NULL;
  for (size_t i = 0; i <= n && i < sizeof(path); i++)
    path[i] = key->wire[i] == '.' ? '/' : key->wire[i];
  if (!mag_json_slice(resource, path, &slice) || mbp_str_eq(slice, "null") ||
      (mag_key_is_map(key) && mbp_str_eq(slice, "{}")))
    return 0;
  if (mag_key_is_text(key) && key->type > MAG_KEY_CHOICE)
    return copy_text(mag_key_text(definition, key), slice);
  if (mag_json_parse(slice, &value, NULL) < 0)
    return -MBP_E_NO_MEMORY;
  if (mag_key_is_text(key))
    return copy_text(mag_key_text(definition, key), mag_json_str(value));
  *mag_key_number(definition, key) =
      key->type == MAG_KEY_TRUTH ? (mag_json_truth(value, 0) ? 1 : -1) : mag_json_num(value, 0);
  return 0;
}

int mag_definition_from_resources(struct mag_definition *ret_definition, struct mbp_str agent,
                                  struct mbp_str environment, struct mbp_error *err)
{
  struct mag_definition d = {0};
  mag_autojson a = NULL;
  mag_autojson e = NULL;
  int r = mag_json_parse(agent, &a, err);
  if (environment.len == 0)
    environment = mbp_str("{}");
  if (r == 0)
    r = mag_json_parse(environment, &e, err);
  if (r < 0)
    return r;
  for (const struct mag_key *key = mag_schema; key->path && r == 0; key++)
    if (key->resource != MAG_NO_RESOURCE)
      r = read_key(&d, key, key->resource == MAG_AGENT ? agent : environment);
  if (r < 0) {
    mag_definition_done(&d);
    return mag_error_no_memory(err);
  }
  *ret_definition = d;
  return 0;
}
