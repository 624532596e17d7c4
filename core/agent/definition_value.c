#include "agent/definition_value.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "host/late.h"
#include "host/redact.h"

#include <math.h>
#include <string.h>

#define NUMBER_MAX (INT64_C(1) << 53) /* what every reader of JSON keeps */
#define ITEMS_MAX 1000                /* of a list or mapping that has no bound of its own */
#define NAME_MAX_CHARACTERS 64        /* of metadata */
#define VALUE_MAX_CHARACTERS 512

_Static_assert(MAG_KEYS_MAX <= 64, "a row is a bit of mag_reading.cleared");

/* One value being taken. */
struct taking {
  struct mag_reading *reading;
  const struct mag_key *key;
  const char *place;
  struct mbp_str text;
  const struct mbp_json *json;
};

static int wrong(const struct taking *taking, const char *wanted)
{
  return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID, "expected %s", wanted);
}

static int wrong_type(const struct taking *taking)
{
  uint32_t type = mag_json_type(taking->json);
  bool unquoted = type == MBP_JSON_NUMBER || type == MBP_JSON_BOOL;
  if (unquoted && (taking->key->type == MAG_KEY_TEXT || taking->key->type == MAG_KEY_TEXTS))
    return wrong(taking, "text; put it in quotes");
  return wrong(taking, mag_key_wanted(taking->key));
}

static int keep(const struct taking *taking, char *text)
{
  char **place = mag_key_text(&taking->reading->said, taking->key);
  if (!text)
    return mag_error_no_memory(taking->reading->err);
  free(*place);
  *place = text;
  return 0;
}

char *mag_json_unquote(struct mbp_str quoted)
{
  mag_autojson json = NULL;
  if (!memchr(quoted.ptr, '\\', quoted.len))
    return mag_str_dup(mbp_str_n(quoted.ptr + 1, quoted.len - 2));
  return mag_json_parse(quoted, &json, NULL) < 0 ? NULL : mag_str_dup(mag_json_str(json));
}

/* Without the space between the tokens: a record and an event are one line. NULL without memory. */
static char *compact(struct mbp_str json)
{
  mag_autobuf out = MAG_BUF_INIT;
  bool quoted = false;
  for (size_t i = 0; i < json.len; i++) {
    char c = json.ptr[i];
    if (quoted && c == '\\')
      mag_buf_add_char(&out, json.ptr[i++]);
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
      continue;
    mag_buf_add_char(&out, json.ptr[i]);
  }
  return mag_buf_take(&out);
}

static size_t characters(struct mbp_str text)
{
  size_t n = 0;
  for (size_t i = 0; i < text.len; i++)
    n += ((unsigned char) text.ptr[i] & 0xc0) != 0x80;
  return n;
}

/* ---- References ------------------------------------------------------------------------------------------------- */

static int check_late_text(const struct taking *taking, struct mbp_str text)
{
  struct mbp_error why = MAG_ERROR_INIT;
  if (!(taking->key->flags & MAG_KEY_LATE) || !mag_late_wanted(text))
    return 0;
  if (mag_late_check(text, &why) < 0)
    return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID, "%s", why.message);
  if (taking->reading->place == MAG_IN_PROJECT)
    return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID,
                            "a project's file cannot ask for variables of your environment; say it in the agent file");
  return 0;
}

/* The depth is bounded by the reader of JSON. */
static int check_late(const struct taking *taking, const struct mbp_json *json)
{
  int r = check_late_text(taking, mag_json_str(json));
  if (mag_json_type(json) != MBP_JSON_OBJECT && mag_json_type(json) != MBP_JSON_ARRAY)
    return r;
  for (const struct mbp_json *i = mag_json_first(json); i && r == 0; i = mag_json_next(i))
    r = check_late(taking, i);
  return r;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

static int check_choice(const struct taking *taking, const char *text)
{
  mag_autobuf all = MAG_BUF_INIT;
  for (size_t i = 0; taking->key->choices[i]; i++) {
    if (strcmp(text, taking->key->choices[i]) == 0)
      return 0;
    mag_buf_printf(&all, "%s%s", i ? ", " : "", taking->key->choices[i]);
  }
  int nearest = mag_nearest(text, taking->key->choices);
  if (nearest >= 0)
    return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID,
                            "\"%.60s\" is not known; did you mean \"%s\"?", text, taking->key->choices[nearest]);
  return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID,
                          "\"%.60s\" is not known; there are %s", text, all.ptr);
}

static int take_text(const struct taking *taking)
{
  struct mbp_str text = mag_json_str(taking->json);
  const struct mag_key *key = taking->key;
  if (mag_json_type(taking->json) != MBP_JSON_STRING)
    return wrong_type(taking);
  if (key->max && characters(text) > (size_t) key->max)
    return mag_reading_fail(taking->reading, taking->place, key->path, MBP_E_LIMIT, "longer than %lld characters",
                            (long long) key->max);
  if (key->type == MAG_KEY_PATH && text.ptr[0] != '/')
    return wrong(taking, mag_key_wanted(key));
  int r = key->type == MAG_KEY_CHOICE ? check_choice(taking, text.ptr) : 0;
  return r < 0 ? r : keep(taking, mag_str_dup(text));
}

static int check_count(const struct taking *taking)
{
  size_t max = taking->key->max ? (size_t) taking->key->max : ITEMS_MAX;
  if (mag_json_count(taking->json) <= max)
    return 0;
  return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_LIMIT, "more than %zu entries", max);
}

static int take_texts(const struct taking *taking)
{
  mag_autowriter w = mag_writer_new();
  const struct mbp_json *json = taking->json;
  bool list = mag_json_type(json) == MBP_JSON_ARRAY;
  mag_writer_array(w, NULL);
  for (const struct mbp_json *i = list ? mag_json_first(json) : json; i; i = list ? mag_json_next(i) : NULL) {
    if (mag_json_type(i) != MBP_JSON_STRING)
      return list ? wrong(taking, "a list of texts; put numbers in quotes") : wrong_type(taking);
    if (mag_json_str(i).len == 0)
      return wrong(taking, "no empty text in it");
    mag_writer_string(w, NULL, mag_json_str(i));
  }
  mag_writer_end(w);
  int r = list ? check_count(taking) : 0;
  return r < 0 ? r : keep(taking, mag_writer_take(w));
}

/* ---- Mappings --------------------------------------------------------------------------------------------------- */

static int check_name(const struct taking *taking, const char *name)
{
  size_t len = strlen(name);
  bool letters = len && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == len &&
                 !(name[0] >= '0' && name[0] <= '9');
  if (!(taking->key->flags & MAG_KEY_LATE)) /* metadata */
    return len && characters(mbp_str(name)) <= NAME_MAX_CHARACTERS ? 0 : wrong(taking, "names of 1 to 64 characters");
  return letters ? 0
                 : mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID,
                                    "\"%.60s\" is no name of a variable: letters, digits and _", name);
}

static int take_pair(const struct taking *taking, struct mbp_writer *w, const struct mbp_json *json, struct mbp_str raw)
{
  const char *name = mag_json_key(json).ptr;
  uint32_t type = mag_json_type(json);
  struct mbp_str text = type == MBP_JSON_STRING ? mag_json_str(json) : raw;
  int r = check_name(taking, name);
  if (r < 0)
    return r;
  if (type == MBP_JSON_NULL && taking->reading->change) {
    mag_writer_null(w, name);
    return 0;
  }
  if (type != MBP_JSON_STRING && type != MBP_JSON_NUMBER && type != MBP_JSON_BOOL)
    return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_INVALID, "%.60s: expected text",
                            name);
  if (!(taking->key->flags & MAG_KEY_LATE) && characters(text) > VALUE_MAX_CHARACTERS)
    return mag_reading_fail(taking->reading, taking->place, taking->key->path, MBP_E_LIMIT,
                            "%.60s: longer than %d characters", name, VALUE_MAX_CHARACTERS);
  mag_writer_string(w, name, text);
  return check_late_text(taking, text);
}

static int take_text_map(const struct taking *taking)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str raw;
  size_t at = 0;
  if (mag_json_type(taking->json) != MBP_JSON_OBJECT)
    return wrong_type(taking);
  int r = check_count(taking);
  mag_writer_object(w, NULL);
  for (const struct mbp_json *i = mag_json_first(taking->json); i && r == 0; i = mag_json_next(i))
    r = mag_json_step(taking->text, &at, NULL, &raw) ? take_pair(taking, w, i, raw) : -MBP_E_INTERNAL;
  mag_writer_end(w);
  return r < 0 ? r : keep(taking, mag_writer_take(w));
}

static int take_whole(const struct taking *taking)
{
  if (mag_json_type(taking->json) != (taking->key->type == MAG_KEY_LIST ? MBP_JSON_ARRAY : MBP_JSON_OBJECT))
    return wrong_type(taking);
  int r = check_count(taking);
  if (r == 0)
    r = check_late(taking, taking->json);
  return r < 0 ? r : keep(taking, compact(taking->text));
}

/* ---- Numbers ---------------------------------------------------------------------------------------------------- */

static int parse_cpu(const struct mbp_json *json, int64_t *ret_millis)
{
  double cpus = mag_json_double(json, -1);
  if (!(cpus >= 0.001 && cpus <= 4096))
    return -MBP_E_INVALID;
  *ret_millis = (int64_t) llround(cpus * 1000);
  return 0;
}

static int take_number(const struct taking *taking)
{
  const struct mag_key *key = taking->key;
  uint32_t type = mag_json_type(taking->json);
  /* As it is written: a number and its text are the same. */
  struct mbp_str text = type == MBP_JSON_STRING ? mag_json_str(taking->json) : taking->text;
  int64_t number = 0;
  int r = type != MBP_JSON_STRING && type != MBP_JSON_NUMBER ? -MBP_E_INVALID
          : key->type == MAG_KEY_SIZE                        ? mag_parse_size(text, &number)
          : key->type == MAG_KEY_DURATION                    ? mag_parse_duration(text, &number)
          : key->type == MAG_KEY_MONEY                       ? mag_parse_micros(text, &number)
          : key->type == MAG_KEY_CPU                         ? parse_cpu(taking->json, &number)
          : type == MBP_JSON_NUMBER                          ? mag_parse_int(text, &number)
                                                             : -MBP_E_INVALID;
  if (r < 0 || number < 1 || number > (key->max ? key->max : NUMBER_MAX))
    return wrong_type(taking);
  *mag_key_number(&taking->reading->said, key) = number;
  return 0;
}

static int take_truth(const struct taking *taking)
{
  if (mag_json_type(taking->json) != MBP_JSON_BOOL)
    return wrong_type(taking);
  *mag_key_number(&taking->reading->said, taking->key) = mag_json_truth(taking->json, 0) ? 1 : -1;
  return 0;
}

/* ---- Models by key ---------------------------------------------------------------------------------------------- */

/* Is one of them set, or are there none? Each may hold a key, whichever model is used in the end. */
static bool any_is_set(const struct mbp_json *names)
{
  const struct mbp_json *name = mag_json_first(names);
  bool set = name == NULL;
  for (; name; name = mag_json_next(name)) {
    const char *variable = mag_json_str(name).len ? mag_json_str(name).ptr : "", *value = secure_getenv(variable);
    mag_redact_add_variable(variable);
    set |= value && *value;
  }
  return set;
}

/* [{"env": [NAME ...], "model": MODEL} ...]; the first one of which a variable is set, or that names none, gives the
 * model. */
static int take_models(const struct taking *taking)
{
  int r = 0;
  bool found = false;
  if (mag_json_type(taking->json) != MBP_JSON_ARRAY)
    return wrong(taking, "a list");
  for (const struct mbp_json *i = mag_json_first(taking->json); i && r == 0; i = mag_json_next(i)) {
    const struct mbp_json *env = mag_json_get(i, "env"), *model = mag_json_get(i, "model");
    if (mag_json_str(model).len == 0 || (env && mag_json_type(env) != MBP_JSON_ARRAY))
      return wrong(taking, "entries with a model, and a list of names as env");
    if (any_is_set(env) && !found) {
      r = keep(taking, mag_str_dup(mag_json_str(model)));
      found = true;
    }
  }
  return r;
}

/* ---- All -------------------------------------------------------------------------------------------------------- */

int mag_reading_value(struct mag_reading *reading, const char *place, const struct mag_key *key, struct mbp_str value)
{
  mag_autojson json = NULL;
  int r = mag_json_parse(value, &json, reading->err);
  if (r < 0)
    return r;
  struct taking taking = {reading, key, place, value, json};
  reading->places[key - mag_schema] = place;
  switch (key->type) {
  case MAG_KEY_TEXT:
  case MAG_KEY_PATH:
  case MAG_KEY_CHOICE:
    return take_text(&taking);
  case MAG_KEY_TEXTS:
    return take_texts(&taking);
  case MAG_KEY_TEXT_MAP:
    return take_text_map(&taking);
  case MAG_KEY_LIST:
  case MAG_KEY_MAP:
    return take_whole(&taking);
  case MAG_KEY_TRUTH:
    return take_truth(&taking);
  case MAG_KEY_MODELS:
    return take_models(&taking);
  case MAG_KEY_GROUP:
    return mag_error(reading->err, MBP_E_INTERNAL, "%s has no value", key->path);
  default:
    return take_number(&taking);
  }
}

int mag_reading_rest(struct mag_reading *reading, const char *place, const struct mag_key *key, const char *name,
                     struct mbp_str value)
{
  char **kept = mag_key_text(&reading->said, key);
  mag_autofree char *clean = compact(value);
  mag_autowriter w = mag_writer_new();
  struct mbp_str raw, item;
  size_t at = 0, n = 0;
  if (!clean)
    return mag_error_no_memory(reading->err);
  mag_writer_object(w, NULL);
  while (*kept && mag_json_step(mbp_str(*kept), &at, &raw, &item)) {
    mag_autofree char *key_text = mag_json_unquote(mbp_str_n(raw.ptr - 1, raw.len + 2));
    if (!key_text)
      return mag_error_no_memory(reading->err);
    mag_writer_raw(w, key_text, item);
    n++;
  }
  if (n >= VALUE_MAX_CHARACTERS)
    return mag_reading_fail(reading, place, key->path, MBP_E_LIMIT, "more than %d entries", VALUE_MAX_CHARACTERS);
  mag_writer_raw(w, name, mbp_str(clean));
  mag_writer_end(w);
  if (!reading->places[key - mag_schema])
    reading->places[key - mag_schema] = place;
  struct taking taking = {reading, key, place, value, NULL};
  return keep(&taking, mag_writer_take(w));
}
