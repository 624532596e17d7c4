/* Reading a definition from JSON text by the schema. The text's lines are those of the file that it comes from
 * (yaml.h), so that an error can name its line. */
#include "agent/definition.h"
#include "agent/definition_value.h"
#include "agent/yaml.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

static int line_of(const struct mag_reading *reading, const char *place)
{
  int line = 1;
  for (const char *p = reading->document.ptr; p < place; p++)
    line += *p == '\n';
  return line;
}

int mag_reading_fail(struct mag_reading *reading, const char *place, const char *path, int code, const char *format,
                     ...)
{
  char message[sizeof(((struct mbp_error *) 0)->message)], line[16] = "";
  va_list args;
  va_start(args, format);
  (void) vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  if (reading->lines)
    (void) snprintf(line, sizeof(line), ":%d", line_of(reading, place));
  return mag_error(reading->err, code, "%s%s%s%.100s%s%s", reading->where, line, *reading->where ? ": " : "", path,
                   *path ? ": " : "", message);
}

/* The keys beside an unknown one; at most `cap` with the NULL at the end. */
static void siblings(const struct mag_reading *reading, const char *group, const char *names[], size_t cap)
{
  size_t n = 0, len = strlen(group);
  for (const struct mag_key *key = mag_schema; key->path && n + 1 < cap; key++) {
    const char *name = key->path + (len ? len + 1 : 0);
    if ((len && (strncmp(key->path, group, len) != 0 || key->path[len] != '.')) || strchr(name, '.') ||
        !(key->flags & reading->place & 0xf))
      continue;
    names[n++] = name;
  }
  names[n] = NULL;
}

/* "memory" at the top is meant as "compute.memory". */
static const char *elsewhere(const struct mag_reading *reading, const char *name)
{
  for (const struct mag_key *key = mag_schema; key->path; key++) {
    const char *dot = strrchr(key->path, '.');
    if (key->flags & reading->place && (strcmp(key->path, name) == 0 || (dot && strcmp(dot + 1, name) == 0)))
      return key->path;
  }
  return NULL;
}

static int unknown_key(struct mag_reading *reading, const char *place, const char *group, const char *path,
                       const char *name)
{
  const char *names[40], *other = elsewhere(reading, name);
  siblings(reading, group, names, MAG_COUNT(names));
  int nearest = mag_nearest(name, names);
  if (other)
    return mag_reading_fail(reading, place, path, MBP_E_INVALID, "unknown key; did you mean \"%s\"%s?", other,
                            strchr(other, '.') ? " (a key inside of a mapping)" : "");
  if (nearest >= 0)
    return mag_reading_fail(reading, place, path, MBP_E_INVALID, "unknown key; did you mean \"%s\"?", names[nearest]);
  mag_autobuf all = MAG_BUF_INIT;
  for (size_t i = 0; names[i]; i++)
    mag_buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
  return mag_reading_fail(reading, place, path, MBP_E_INVALID, "unknown key; known are %s", all.len ? all.ptr : "none");
}

static int not_here(struct mag_reading *reading, const char *place, const struct mag_key *key)
{
  return mag_reading_fail(reading, place, key->path, MBP_E_INVALID,
                          reading->place == MAG_IN_PROJECT
                              ? "a project's file cannot say this, because it may come from somebody else; say it in "
                                "the agent file or as an option"
                          : reading->place == MAG_IN_DEFAULTS ? "this has no place among the defaults"
                                                              : "this has a place in defaults.json only");
}

/* ---- Keys ------------------------------------------------------------------------------------------------------- */

static int take_members(struct mag_reading *reading, const char *group, struct mbp_str object);

static int take_group(struct mag_reading *reading, const char *place, const struct mag_key *key, struct mbp_str value)
{
  const struct mag_key *scalar = key->scalar ? mag_schema_find(mbp_str(key->scalar)) : NULL;
  if (value.ptr[0] == '{')
    return take_members(reading, key->path, value);
  if (!scalar || value.ptr[0] == '[')
    return mag_reading_fail(reading, place, key->path, MBP_E_INVALID, "expected %s", mag_key_wanted(key));
  if (!(scalar->flags & reading->place))
    return not_here(reading, place, scalar);
  return mag_reading_value(reading, place, scalar, value);
}

/* null: in a change it clears the key and, of a group, all that is in it. */
static int take_null(struct mag_reading *reading, const char *place, const struct mag_key *key)
{
  size_t len = strlen(key->path);
  if (!reading->change)
    return mag_reading_fail(reading, place, key->path, MBP_E_INVALID,
                            "it has no value; expected %s, or leave the key out", mag_key_wanted(key));
  for (size_t i = 0; mag_schema[i].path; i++)
    if (strncmp(mag_schema[i].path, key->path, len) == 0 && strchr(".", mag_schema[i].path[len]))
      reading->cleared |= UINT64_C(1) << i;
  return 0;
}

static int take_member(struct mag_reading *reading, const char *group, const char *place, const char *name,
                       struct mbp_str value)
{
  mag_autofree char *path = mag_sprintf("%s%s%s", group, *group ? "." : "", name);
  mag_autofree char *rest = mag_sprintf("%s.*", group);
  if (!path || !rest)
    return mag_error_no_memory(reading->err);
  const struct mag_key *key = strpbrk(name, ".*") ? NULL : mag_schema_find(mbp_str(path));
  const struct mag_key *others = mag_schema_find(mbp_str(rest));
  if (!key && others && others->flags & reading->place)
    return mag_reading_rest(reading, place, others, name, value);
  if (!key)
    return unknown_key(reading, place, group, path, name);
  if (!(key->flags & reading->place))
    return not_here(reading, place, key);
  if (mbp_str_eq(value, "null"))
    return take_null(reading, place, key);
  if (key->type == MAG_KEY_GROUP)
    return take_group(reading, place, key, value);
  return mag_reading_value(reading, place, key, value);
}

static int take_members(struct mag_reading *reading, const char *group, struct mbp_str object)
{
  struct mbp_str raw, value;
  size_t at = 0;
  int r = 0;
  while (r == 0 && mag_json_step(object, &at, &raw, &value)) {
    mag_autofree char *name = mag_json_unquote(mbp_str_n(raw.ptr - 1, raw.len + 2));
    r = name ? take_member(reading, group, raw.ptr, name, value) : mag_error_no_memory(reading->err);
  }
  return r;
}

/* ---- Combinations ----------------------------------------------------------------------------------------------- */

static const char *place_of(const struct mag_reading *reading, const char *path)
{
  const struct mag_key *key = mag_schema_find(mbp_str(path));
  const char *place = key ? reading->places[key - mag_schema] : NULL;
  return place ? place : reading->document.ptr;
}

static int check_combinations(struct mag_reading *reading)
{
  const struct mag_definition *said = &reading->said;
  bool limited = said->network && strcmp(said->network, "limited") == 0;
  const char *only = said->allowed_hosts            ? "networking.allowed_hosts"
                     : said->allow_mcp_servers      ? "networking.allow_mcp_servers"
                     : said->allow_package_managers ? "networking.allow_package_managers"
                                                    : NULL;
  if (only && !limited && !reading->change)
    return mag_reading_fail(reading, place_of(reading, only), only, MBP_E_INVALID,
                            "this goes with networking.type limited only");
  if (said->network && reading->place == MAG_IN_PROJECT && strcmp(said->network, "none") != 0)
    return mag_reading_fail(reading, place_of(reading, "networking.type"), "networking.type", MBP_E_INVALID,
                            "a project's file can say none only, because it may come from somebody else; say more in "
                            "the agent file or as an option");
  return 0;
}

/* For what is found wrong later. */
static int keep_places(struct mag_reading *reading)
{
  int r = 0;
  for (size_t i = 0; mag_schema[i].path && r == 0; i++)
    if (reading->places[i]) {
      mag_autofree char *text = mag_sprintf("%s:%d", reading->where, line_of(reading, reading->places[i]));
      r = text ? mag_key_places_set(&reading->said.places, i, text, reading->err) : mag_error_no_memory(reading->err);
    }
  return r;
}

/* ---- Whole documents -------------------------------------------------------------------------------------------- */

static int read_all(struct mag_reading *reading, struct mbp_str json)
{
  mag_autojson document = NULL;
  reading->document = json;
  int r = mag_json_parse(json, &document, reading->err);
  if (r < 0)
    return *reading->where ? mag_error_wrap(reading->err, "%s", reading->where) : r;
  while (json.len && strchr(" \t\r\n", json.ptr[0]))
    json = mbp_str_n(json.ptr + 1, json.len - 1);
  if (mag_json_type(document) != MBP_JSON_OBJECT)
    return mag_reading_fail(reading, json.ptr, "", MBP_E_INVALID, "expected a mapping of keys to values");
  r = take_members(reading, "", json);
  if (r == 0 && reading->lines && *reading->where && reading->said.tools)
    r = mag_tools_source_read(&reading->said.tools_source, reading->document, reading->where, reading->err);
  if (r == 0 && reading->lines && *reading->where)
    r = keep_places(reading);
  return r < 0 ? r : check_combinations(reading);
}

int mag_definition_take_in(struct mag_definition *definition, struct mbp_str json, uint32_t place, const char *where,
                           bool lines, struct mbp_error *err)
{
  struct mbp_error own = MAG_ERROR_INIT;
  struct mag_reading reading = {.place = place, .where = where, .lines = lines, .err = err ? err : &own};
  int r = read_all(&reading, json);
  if (r == 0)
    r = mag_definition_lay(definition, &reading.said, reading.err);
  mag_definition_done(&reading.said);
  return r;
}

int mag_definition_take(struct mag_definition *definition, struct mbp_str json, const char *where,
                        struct mbp_error *err)
{
  return mag_definition_take_in(definition, json, MAG_IN_AGENT, where, true, err);
}

static void clear_key(struct mag_definition *definition, const struct mag_key *key)
{
  if (mag_key_is_text(key)) {
    free(*mag_key_text(definition, key));
    *mag_key_text(definition, key) = NULL;
  } else if (mag_key_is_number(key)) {
    *mag_key_number(definition, key) = 0;
  }
}

/* Joining takes out the nulls also where there is nothing to join with; an empty map is none. */
static int settle_maps(struct mag_definition *definition, struct mbp_error *err)
{
  const struct mag_definition nothing = {
      .metadata = (char *) "{}", .env = (char *) "{}", .model_params = (char *) "{}", .compute_options = (char *) "{}"};
  int r = mag_definition_lay(definition, &nothing, err);
  for (const struct mag_key *key = mag_schema; key->path && r == 0; key++)
    if (mag_key_is_map(key) && *mag_key_text(definition, key) && strcmp(*mag_key_text(definition, key), "{}") == 0)
      clear_key(definition, key);
  return r;
}

int mag_definition_change(struct mag_definition *definition, struct mbp_str json, const char *where, bool lines,
                          struct mbp_error *err)
{
  struct mbp_error own = MAG_ERROR_INIT;
  struct mag_reading reading = {
      .place = MAG_IN_AGENT, .where = where, .lines = lines, .change = true, .err = err ? err : &own};
  struct mag_definition *said = &reading.said;
  int r = read_all(&reading, json);
  if (r == 0 && said->model && definition->model && strcmp(said->model, definition->model) == 0) {
    free(said->model); /* the same again: its parameters stay */
    said->model = NULL;
  }
  for (size_t i = 0; r == 0 && mag_schema[i].path; i++)
    if (reading.cleared >> i & 1)
      clear_key(definition, &mag_schema[i]);
  if (r == 0)
    r = mag_definition_lay(said, definition, reading.err);
  if (r == 0)
    r = settle_maps(said, reading.err);
  if (r == 0) {
    mag_definition_done(definition);
    *definition = *said;
    return 0;
  }
  mag_definition_done(said);
  return r;
}

/* ---- One key ---------------------------------------------------------------------------------------------------- */

/* Is it JSON or YAML, rather than text? Where both may stand, a bracket begins the former. */
static bool is_structured(const struct mag_key *key, const char *value)
{
  const char *start = value + strspn(value, " \t\r\n");
  bool bracket = *start == '[' || *start == '{';
  return key && (key->type == MAG_KEY_LIST || mag_key_is_map(key) || (key->type == MAG_KEY_GROUP && !key->scalar) ||
                 ((key->type == MAG_KEY_TEXTS || key->type == MAG_KEY_GROUP) && bracket));
}

/* A value as it is typed: JSON where the key wants a number, a truth or several things, text elsewhere. */
static int write_value(struct mbp_writer *w, const char *name, const struct mag_key *key, const char *value,
                       struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  bool plain = !key || key->type == MAG_KEY_NUMBER || key->type == MAG_KEY_CPU || key->type == MAG_KEY_TRUTH;
  int r = value && is_structured(key, value) ? mag_yaml_to_json(mbp_str(value), "", &json, err) : 0;
  if (r < 0)
    return mag_error_wrap(err, "%s", key->path);
  if (!value)
    mag_writer_null(w, name);
  else if (json)
    mag_writer_raw(w, name, mbp_str(json));
  else if (plain && mag_json_check(mbp_str(value), NULL) == 0)
    mag_writer_raw(w, name, mbp_str(value));
  else
    mag_writer_string(w, name, mbp_str(value));
  return 0;
}

int mag_definition_one_key(const char *path, const char *value, char **ret_json, struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  const struct mag_key *map = NULL;
  const char *rest = path, *dot;
  int r = 0, depth = 1;
  if (!path || !mag_utf8_valid(path, strlen(path)))
    return mag_error(err, MBP_E_INVALID, "a key has no name, or one that is not UTF-8 text");
  if (value && !mag_utf8_valid(value, strlen(value)))
    return mag_error(err, MBP_E_INVALID, "%.60s: the value is not UTF-8 text", path);
  mag_writer_object(w, NULL);
  while (!map && (dot = strchr(rest, '.')) && depth < 8) {
    mag_autofree char *name = mag_str_dup(mbp_str_n(rest, (size_t) (dot - rest)));
    if (!name)
      return mag_error_no_memory(err);
    mag_writer_object(w, name);
    depth++;
    map = mag_schema_find(mbp_str_n(path, (size_t) (dot - path)));
    map = map && mag_key_is_map(map) ? map : NULL; /* what follows is the name of a member, dots and all */
    rest = dot + 1;
  }
  if (map) {
    struct mag_key member = *map;
    member.type = MAG_KEY_TEXT;
    r = write_value(w, rest, map->type == MAG_KEY_TEXT_MAP ? &member : NULL, value, err);
  } else {
    r = write_value(w, rest, mag_schema_find(mbp_str(path)), value, err);
  }
  while (depth--)
    mag_writer_end(w);
  if (r < 0)
    return r;
  char *json = mag_writer_take(w);
  if (!json)
    return mag_error_no_memory(err);
  *ret_json = json;
  return 0;
}

int mag_definition_set(struct mag_definition *definition, const char *path, const char *value, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  int r = mag_definition_one_key(path, value, &json, err);
  return r < 0 ? r : mag_definition_change(definition, mbp_str(json), "", false, err);
}
