/* Loading a schema: every keyword is known and has the shape that it must have, every reference leads somewhere. */
#include "agent/json_schema_parts.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (1u << 20)
#define PATTERNS_MAX 1000
#define REFERENCES_MAX 1000
#define KEY_SHOWN 64

enum shape {
  ANYTHING,
  TYPES,
  LIST, /* not empty */
  FLAG,
  NUMBER,
  POSITIVE,
  COUNT,
  NAMES,
  PATTERN,
  SCHEMA,
  SCHEMA_LIST, /* not empty */
  SCHEMA_MAP,
  PATTERN_MAP,
  REFERENCE,
  TOP_ONLY,
};

static const struct keyword {
  const char *name;
  enum shape shape;
} keywords[] = {
    {"type", TYPES},
    {"enum", LIST},
    {"const", ANYTHING},
    {"properties", SCHEMA_MAP},
    {"required", NAMES},
    {"additionalProperties", SCHEMA},
    {"patternProperties", PATTERN_MAP},
    {"propertyNames", SCHEMA},
    {"minProperties", COUNT},
    {"maxProperties", COUNT},
    {"items", SCHEMA},
    {"prefixItems", SCHEMA_LIST},
    {"minItems", COUNT},
    {"maxItems", COUNT},
    {"uniqueItems", FLAG},
    {"minLength", COUNT},
    {"maxLength", COUNT},
    {"pattern", PATTERN},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", NUMBER},
    {"exclusiveMaximum", NUMBER},
    {"multipleOf", POSITIVE},
    {"anyOf", SCHEMA_LIST},
    {"oneOf", SCHEMA_LIST},
    {"allOf", SCHEMA_LIST},
    {"not", SCHEMA},
    {"$ref", REFERENCE},
    {"$defs", SCHEMA_MAP},
    {"definitions", SCHEMA_MAP},
    /* Only told to the model. */
    {"$schema", ANYTHING},
    {"$id", TOP_ONLY},
    {"$comment", ANYTHING},
    {"title", ANYTHING},
    {"description", ANYTHING},
    {"default", ANYTHING},
    {"examples", ANYTHING},
    {"format", ANYTHING},
    {"deprecated", ANYTHING},
    {"readOnly", ANYTHING},
    {"writeOnly", ANYTHING},
    {"contentEncoding", ANYTHING},
    {"contentMediaType", ANYTHING},
};

static const struct keyword *find_keyword(struct mbp_str name)
{
  static const struct keyword extension = {"x-", ANYTHING};
  for (size_t i = 0; i < MAG_COUNT(keywords); i++)
    if (mbp_str_eq(name, keywords[i].name))
      return &keywords[i];
  return mag_str_starts(name, "x-") ? &extension : NULL;
}

/* ---- Places --------------------------------------------------------------------------------------------------- */

void mag_schema_path_key(struct mag_buf *path, struct mbp_str key)
{
  size_t shown = mag_utf8_valid_prefix(key.ptr, MAG_MIN(key.len, (size_t) KEY_SHOWN));
  mag_buf_add_char(path, '/');
  for (size_t i = 0; i < shown; i++) {
    unsigned char c = (unsigned char) key.ptr[i];
    if (c == '~' || c == '/')
      mag_buf_add_text(path, c == '~' ? "~0" : "~1");
    else if (c < 0x20 || c == 0x7f)
      mag_buf_printf(path, "\\u%04x", c);
    else
      mag_buf_add_char(path, (char) c);
  }
  if (shown < key.len)
    mag_buf_add_text(path, "...");
}

static int hex(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* One part of a pointer that stands in a URL: first %hh, then ~0 and ~1. */
static void decode_part(struct mbp_str part, struct mag_buf *key)
{
  size_t to = 0;
  for (size_t i = 0; i < part.len; i++) {
    bool escaped = part.ptr[i] == '%' && i + 2 < part.len && hex(part.ptr[i + 1]) >= 0 && hex(part.ptr[i + 2]) >= 0;
    mag_buf_add_char(key, escaped ? (char) (hex(part.ptr[i + 1]) * 16 + hex(part.ptr[i + 2])) : part.ptr[i]);
    i += escaped ? 2 : 0;
  }
  for (size_t i = 0; i < key->len; i++, to++) {
    bool escaped = key->ptr[i] == '~' && (key->ptr[i + 1] == '0' || key->ptr[i + 1] == '1');
    key->ptr[to] = escaped ? "~/"[key->ptr[i + 1] - '0'] : key->ptr[i];
    i += escaped;
  }
  key->len = to;
  if (key->ptr)
    key->ptr[to] = 0;
}

static const struct mbp_json *step_into(const struct mbp_json *value, const struct mag_buf *key)
{
  int64_t index;
  if (mag_json_type(value) == MBP_JSON_OBJECT)
    return mag_json_get(value, key->len ? key->ptr : "");
  if (mag_json_type(value) != MBP_JSON_ARRAY || mag_parse_int(mag_buf_str(key), &index) < 0 || index < 0)
    return NULL;
  const struct mbp_json *item = mag_json_first(value);
  while (item && index-- > 0)
    item = mag_json_next(item);
  return item;
}

const struct mbp_json *mag_schema_resolve(const struct mag_schema *schema, struct mbp_str reference)
{
  const struct mbp_json *place = schema->document;
  if (reference.len == 0 || reference.ptr[0] != '#' || (reference.len > 1 && reference.ptr[1] != '/'))
    return NULL;
  for (size_t at = 1; place && at < reference.len;) {
    mag_autobuf key = MAG_BUF_INIT;
    const char *part = reference.ptr + at + 1, *end = memchr(part, '/', reference.len - at - 1);
    size_t len = end ? (size_t) (end - part) : reference.len - at - 1;
    decode_part(mbp_str_n(part, len), &key);
    if (key.failed || (key.len && memchr(key.ptr, 0, key.len)))
      return NULL;
    place = step_into(place, &key);
    at += 1 + len;
  }
  return place;
}

const struct mag_pattern *mag_schema_pattern(const struct mag_schema *schema, const struct mbp_json *where)
{
  for (size_t i = 0; i < schema->n_patterns; i++)
    if (schema->patterns[i].where == where)
      return schema->patterns[i].pattern;
  return NULL;
}

/* ---- Loading -------------------------------------------------------------------------------------------------- */

struct loading {
  struct mag_schema *schema;
  const struct mbp_json **references; /* what they lead to */
  size_t n_references;
  struct mag_buf path;
  struct mbp_error *err;
};

static int load(struct loading *loading, const struct mbp_json *schema);

static int refuse(struct loading *loading, int code, const char *what)
{
  const struct mag_buf *path = &loading->path;
  return mag_error(loading->err, code, "%.200s: %s", path->len ? path->ptr : "/", what);
}

static int load_below(struct loading *loading, const struct mbp_json *schema, struct mbp_str key)
{
  size_t before = loading->path.len;
  mag_schema_path_key(&loading->path, key);
  int r = load(loading, schema);
  if (r == 0 && loading->path.ptr) {
    loading->path.len = before;
    loading->path.ptr[before] = 0;
  }
  return r;
}

static int add_pattern(struct loading *loading, const struct mbp_json *where, struct mbp_str expression)
{
  struct mag_schema *schema = loading->schema;
  if (mag_schema_pattern(schema, where))
    return 0;
  if (schema->n_patterns == PATTERNS_MAX)
    return refuse(loading, MBP_E_LIMIT, "too many patterns");
  struct mag_schema_pattern *patterns = realloc(schema->patterns, (schema->n_patterns + 1) * sizeof(*patterns));
  if (!patterns)
    return mag_error_no_memory(loading->err);
  schema->patterns = patterns;
  int r = mag_pattern_new(expression, &patterns[schema->n_patterns].pattern, loading->err);
  if (r < 0)
    return mag_error_wrap(loading->err, "%.200s", loading->path.len ? loading->path.ptr : "/");
  patterns[schema->n_patterns++].where = where;
  return 0;
}

/* Says how far it leads. */
static int refuse_reference(struct loading *loading, struct mbp_str reference)
{
  if (reference.len == 0 || reference.ptr[0] != '#' || (reference.len > 1 && reference.ptr[1] != '/'))
    return refuse(loading, MBP_E_UNSUPPORTED, "this must name a place in the same schema, by \"#\" or \"#/...\"");
  size_t from = 1, to = 1; /* of the part that is missing, with its slash */
  do {
    from = to;
    const char *end = memchr(reference.ptr + from + 1, '/', reference.len - from - 1);
    to = end ? (size_t) (end - reference.ptr) : reference.len;
  } while (to < reference.len && mag_schema_resolve(loading->schema, mbp_str_n(reference.ptr, to)));
  mag_autofree char *what = mag_sprintf("\"%.80s\" leads nowhere: there is no \"%.*s\" %s%.*s", reference.ptr,
                                        (int) MAG_MIN(to - from - 1, (size_t) 40), reference.ptr + from + 1,
                                        from == 1 ? "at the top of the schema" : "in ",
                                        from == 1 ? 0 : (int) MAG_MIN(from, (size_t) 80), reference.ptr);
  return what ? refuse(loading, MBP_E_UNSUPPORTED, what) : mag_error_no_memory(loading->err);
}

/* What it leads to is loaded later, and once: it may stand below a keyword that holds no schemas, where nobody else
 * would look, and references may form a circle. */
static int load_reference(struct loading *loading, const struct mbp_json *keyword)
{
  const struct mbp_json *target = mag_schema_resolve(loading->schema, mag_json_str(keyword));
  if (!target)
    return refuse_reference(loading, mag_json_str(keyword));
  for (size_t i = 0; i < loading->n_references; i++)
    if (loading->references[i] == target)
      return 0;
  if (loading->n_references == REFERENCES_MAX)
    return refuse(loading, MBP_E_LIMIT, "too many references");
  void *grown = realloc(loading->references, (loading->n_references + 1) * sizeof(*loading->references));
  if (!grown)
    return mag_error_no_memory(loading->err);
  loading->references = grown;
  loading->references[loading->n_references++] = target;
  return 0;
}

static int load_types(struct loading *loading, const struct mbp_json *keyword)
{
  static const char *const types[] = {"null", "boolean", "number", "integer", "string", "array", "object"};
  bool list = mag_json_type(keyword) == MBP_JSON_ARRAY;
  for (const struct mbp_json *i = list ? mag_json_first(keyword) : keyword; i; i = list ? mag_json_next(i) : NULL) {
    size_t known = 0;
    while (known < MAG_COUNT(types) && !mbp_str_eq(mag_json_str(i), types[known]))
      known++;
    if (known == MAG_COUNT(types))
      return refuse(loading, MBP_E_INVALID, "type must be null, boolean, number, integer, string, array or object");
  }
  return list && mag_json_count(keyword) == 0 ? refuse(loading, MBP_E_INVALID, "type is an empty list") : 0;
}

static int load_names(struct loading *loading, const struct mbp_json *keyword)
{
  bool right = mag_json_type(keyword) == MBP_JSON_ARRAY;
  for (const struct mbp_json *i = right ? mag_json_first(keyword) : NULL; i; i = mag_json_next(i))
    right &= mag_json_type(i) == MBP_JSON_STRING;
  return right ? 0 : refuse(loading, MBP_E_INVALID, "required must be a list of names");
}

static int load_members(struct loading *loading, const struct mbp_json *keyword, enum shape shape)
{
  bool map = shape != SCHEMA_LIST;
  uint32_t wanted = map ? MBP_JSON_OBJECT : MBP_JSON_ARRAY;
  if (mag_json_type(keyword) != wanted || (!map && mag_json_count(keyword) == 0))
    return refuse(loading, MBP_E_INVALID, map ? "must be an object of schemas" : "must be a list of schemas");
  char number[24];
  int r = 0, n = 0;
  for (const struct mbp_json *i = mag_json_first(keyword); i && r == 0; i = mag_json_next(i), n++) {
    (void) snprintf(number, sizeof(number), "%d", n);
    if (shape == PATTERN_MAP)
      r = add_pattern(loading, i, mag_json_key(i));
    if (r == 0)
      r = load_below(loading, i, map ? mag_json_key(i) : mbp_str(number));
  }
  return r;
}

static int load_number(struct loading *loading, const struct mbp_json *keyword, enum shape shape)
{
  double value = mag_json_double(keyword, -1);
  if (mag_json_type(keyword) != MBP_JSON_NUMBER)
    return refuse(loading, MBP_E_INVALID, "must be a number");
  if (shape == POSITIVE && !(value > 0))
    return refuse(loading, MBP_E_INVALID, "must be greater than 0");
  if (shape == COUNT && (value < 0 || value > 9007199254740992.0 || value != (double) (int64_t) value))
    return refuse(loading, MBP_E_INVALID, "must be a whole number from 0 on");
  return 0;
}

static int load_shape(struct loading *loading, const struct mbp_json *keyword, enum shape shape)
{
  switch (shape) {
  case TYPES:
    return load_types(loading, keyword);
  case LIST:
    return mag_json_type(keyword) == MBP_JSON_ARRAY && mag_json_count(keyword)
               ? 0
               : refuse(loading, MBP_E_INVALID, "must be a list that is not empty");
  case FLAG:
    return mag_json_type(keyword) == MBP_JSON_BOOL ? 0 : refuse(loading, MBP_E_INVALID, "must be true or false");
  case NUMBER:
  case POSITIVE:
  case COUNT:
    return load_number(loading, keyword, shape);
  case NAMES:
    return load_names(loading, keyword);
  case PATTERN:
    return mag_json_type(keyword) == MBP_JSON_STRING ? add_pattern(loading, keyword, mag_json_str(keyword))
                                                     : refuse(loading, MBP_E_INVALID, "must be text");
  case SCHEMA:
    return load(loading, keyword);
  case SCHEMA_LIST:
  case SCHEMA_MAP:
  case PATTERN_MAP:
    return load_members(loading, keyword, shape);
  case REFERENCE:
    return load_reference(loading, keyword);
  default:
    return 0;
  }
}

static int unknown_keyword(struct loading *loading, struct mbp_str name)
{
  static const char not_supported[] = "this keyword of JSON Schema is not supported";
  const char *names[MAG_COUNT(keywords) + 1] = {NULL};
  mag_autofree char *text = mag_str_dup(name);
  for (size_t i = 0; i < MAG_COUNT(keywords); i++)
    names[i] = keywords[i].name;
  int nearest = text && !find_keyword(name) ? mag_nearest(text, names) : -1;
  if (nearest < 0)
    return refuse(loading, MBP_E_UNSUPPORTED, not_supported);
  mag_autofree char *message = mag_sprintf("%s; did you mean \"%s\"?", not_supported, names[nearest]);
  return refuse(loading, MBP_E_UNSUPPORTED, message ? message : not_supported);
}

/* The depth of a document is bounded. */
static int load(struct loading *loading, const struct mbp_json *schema)
{
  if (mag_json_type(schema) == MBP_JSON_BOOL)
    return 0;
  if (mag_json_type(schema) != MBP_JSON_OBJECT)
    return refuse(loading, MBP_E_INVALID, "a schema must be an object, true or false");
  for (const struct mbp_json *i = mag_json_first(schema); i; i = mag_json_next(i)) {
    struct mbp_str name = mag_json_key(i);
    const struct keyword *keyword = find_keyword(name);
    size_t before = loading->path.len;
    mag_schema_path_key(&loading->path, name);
    if (loading->path.failed)
      return mag_error_no_memory(loading->err);
    if (!keyword || (keyword->shape == TOP_ONLY && schema != loading->schema->document))
      return unknown_keyword(loading, name);
    int r = load_shape(loading, i, keyword->shape);
    if (r < 0)
      return r;
    loading->path.len = before;
    loading->path.ptr[before] = 0;
  }
  return 0;
}

int mag_schema_new(struct mbp_str text, struct mag_schema **ret_schema, struct mbp_error *err)
{
  if (text.len > TEXT_MAX)
    return mag_error(err, MBP_E_LIMIT, "a schema is larger than %u MiB", TEXT_MAX >> 20);
  struct mag_schema *schema = calloc(1, sizeof(*schema));
  if (!schema)
    return mag_error_no_memory(err);
  struct loading loading = {.schema = schema, .path = MAG_BUF_INIT, .err = err};
  int r = mag_json_parse(text, &schema->document, err);
  if (r == 0)
    r = load(&loading, schema->document);
  for (size_t i = 0; i < loading.n_references && r == 0; i++) /* may become more on the way */
    r = load(&loading, loading.references[i]);
  mag_buf_done(&loading.path);
  free(loading.references);
  if (r < 0) {
    mag_schema_free(schema);
    return r;
  }
  *ret_schema = schema;
  return 0;
}

void mag_schema_free(struct mag_schema *schema)
{
  if (!schema)
    return;
  for (size_t i = 0; i < schema->n_patterns; i++)
    mag_pattern_free(schema->patterns[i].pattern);
  free(schema->patterns);
  mag_json_free(schema->document);
  free(schema);
}
