/* Checking a value: a rule for each keyword, and lines that a model can act on. */
#include "agent/json_schema_parts.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200
#define WORK_MAX 4000000
#define PATTERNS_WORK 20000 /* what matching a pattern once counts as */
#define PROBLEM_MAX 400

struct check {
  const struct mag_schema *schema;
  struct mag_buf *problems; /* NULL: only yes or no is wanted, and "no" ends it. Else a "no" anywhere is final */
  unsigned n_problems, problems_max;
  struct mag_buf path;
  unsigned depth;
  int64_t work;   /* what is left */
  bool exhausted; /* nothing that was found holds */
};

static bool holds(struct check *check, const struct mbp_json *schema, const struct mbp_json *value);

/* ---- Problems ------------------------------------------------------------------------------------------------- */

/* Says why, if somebody listens; always false. */
__attribute__((format(printf, 2, 3))) static bool problem(struct check *check, const char *format, ...)
{
  char line[PROBLEM_MAX];
  va_list args;
  if (!check->problems || check->n_problems >= check->problems_max)
    return false;
  va_start(args, format);
  (void) vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  if (check->n_problems++)
    mag_buf_add_char(check->problems, '\n');
  struct mbp_str path = check->path.len ? mag_buf_str(&check->path) : mbp_str("the input");
  mag_buf_printf(check->problems, "%.*s: %.*s",
                 (int) mag_utf8_valid_prefix(path.ptr, MAG_MIN(path.len, (size_t) PROBLEM_MAX)), path.ptr,
                 (int) mag_utf8_valid_prefix(line, strlen(line)), line);
  return false;
}

static bool spend(struct check *check, int64_t work)
{
  check->work -= work;
  check->exhausted |= check->work < 0;
  return !check->exhausted;
}

static const char *type_name(const struct mbp_json *value)
{
  static const char *const names[] = {"nothing", "null", "boolean", "number", "string", "array", "object"};
  uint32_t type = mag_json_type(value);
  return type < MAG_COUNT(names) ? names[type] : names[0];
}

/* A value in short, for a message. */
static void add_value(struct mag_buf *line, const struct mbp_json *value)
{
  struct mbp_str text = mag_json_str(value);
  switch (mag_json_type(value)) {
  case MBP_JSON_STRING:
    mag_buf_printf(line, "\"%.*s\"", (int) mag_utf8_valid_prefix(text.ptr, MAG_MIN(text.len, (size_t) 40)), text.ptr);
    break;
  case MBP_JSON_NUMBER:
    mag_buf_printf(line, "%.15g", mag_json_double(value, 0));
    break;
  case MBP_JSON_BOOL:
    mag_buf_add_text(line, mag_json_truth(value, 0) ? "true" : "false");
    break;
  case MBP_JSON_NULL:
    mag_buf_add_text(line, "null");
    break;
  default:
    mag_buf_printf(line, "an %s", type_name(value));
  }
}

/* ---- Below a value -------------------------------------------------------------------------------------------- */

static bool holds_below(struct check *check, const struct mbp_json *schema, const struct mbp_json *value,
                        struct mbp_str key)
{
  size_t before = check->path.len;
  mag_schema_path_key(&check->path, key);
  bool held = holds(check, schema, value);
  if (check->path.ptr) {
    check->path.len = before;
    check->path.ptr[before] = 0;
  }
  return held;
}

static bool item_holds(struct check *check, const struct mbp_json *schema, const struct mbp_json *item, size_t index)
{
  char number[24];
  (void) snprintf(number, sizeof(number), "%zu", index);
  return holds_below(check, schema, item, mbp_str(number));
}

/* Only yes or no. */
static bool holds_quietly(struct check *check, const struct mbp_json *schema, const struct mbp_json *value)
{
  struct mag_buf *problems = check->problems;
  check->problems = NULL;
  bool held = holds(check, schema, value);
  check->problems = problems;
  return held;
}

/* ---- Equality ------------------------------------------------------------------------------------------------- */

/* Depth is that of the documents, which is bounded. */
static bool equal(struct check *check, const struct mbp_json *a, const struct mbp_json *b)
{
  uint32_t type = mag_json_type(a);
  if (!spend(check, 1) || type != mag_json_type(b))
    return false;
  switch (type) {
  case MBP_JSON_NULL:
    return true;
  case MBP_JSON_BOOL:
    return mag_json_truth(a, 0) == mag_json_truth(b, 0);
  case MBP_JSON_NUMBER:
    return mag_json_double(a, 0) == mag_json_double(b, 0);
  case MBP_JSON_STRING:
    return mag_str_eq(mag_json_str(a), mag_json_str(b));
  default:
    break;
  }
  size_t n = mag_json_count(a);
  if (n != mag_json_count(b) || !spend(check, (int64_t) n))
    return false;
  const struct mbp_json *i = mag_json_first(a), *j = mag_json_first(b);
  for (; i; i = mag_json_next(i), j = mag_json_next(j)) {
    bool object = type == MBP_JSON_OBJECT;
    if (object && !spend(check, (int64_t) n))
      return false;
    if (!equal(check, i, object ? mag_json_get(b, mag_json_key(i).ptr) : j))
      return false;
  }
  return true;
}

/* ---- Rules: does the value hold to one keyword? ---------------------------------------------------------------- */

struct rule {
  const char *keyword;
  uint32_t type; /* of values that it speaks about; 0: all */
  bool (*holds)(struct check *check, const struct mbp_json *schema, const struct mbp_json *keyword,
                const struct mbp_json *value);
};

#define RULE(name)                                                                                                     \
  static bool name(struct check *check, const struct mbp_json *schema, const struct mbp_json *keyword,                 \
                   const struct mbp_json *value)

static bool is_of_type(struct mbp_str type, const struct mbp_json *value)
{
  double number = mag_json_double(value, 0);
  if (mbp_str_eq(type, "integer"))
    return mag_json_type(value) == MBP_JSON_NUMBER && isfinite(number) && number == floor(number);
  return mbp_str_eq(type, type_name(value));
}

RULE(check_type)
{
  mag_autobuf wanted = MAG_BUF_INIT;
  bool list = mag_json_type(keyword) == MBP_JSON_ARRAY;
  (void) schema;
  for (const struct mbp_json *i = list ? mag_json_first(keyword) : keyword; i; i = list ? mag_json_next(i) : NULL) {
    if (is_of_type(mag_json_str(i), value))
      return true;
    mag_buf_printf(&wanted, "%s%s", wanted.len ? " or " : "", mag_json_str(i).ptr);
  }
  bool fraction = mag_json_type(value) == MBP_JSON_NUMBER && wanted.len && strstr(wanted.ptr, "integer");
  return problem(check, "expected %s, got %s", wanted.len ? wanted.ptr : "",
                 fraction ? "a fraction" : type_name(value));
}

RULE(check_enum)
{
  mag_autobuf choices = MAG_BUF_INIT;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i; i = mag_json_next(i))
    if (equal(check, i, value))
      return true;
  for (const struct mbp_json *i = mag_json_first(keyword); i && choices.len < 240; i = mag_json_next(i)) {
    mag_buf_add_text(&choices, choices.len ? ", " : "");
    add_value(&choices, i);
    if (choices.len >= 240 && mag_json_next(i))
      mag_buf_add_text(&choices, ", ...");
  }
  return problem(check, "must be one of %s", choices.len ? choices.ptr : "");
}

RULE(check_const)
{
  mag_autobuf wanted = MAG_BUF_INIT;
  (void) schema;
  if (equal(check, keyword, value))
    return true;
  add_value(&wanted, keyword);
  return problem(check, "must be %s", wanted.len ? wanted.ptr : "");
}

RULE(check_properties)
{
  bool held = true;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i && (held || check->problems); i = mag_json_next(i)) {
    const struct mbp_json *member = mag_json_get(value, mag_json_key(i).ptr);
    if (!spend(check, 1 + (int64_t) mag_json_count(value) / 8))
      return false;
    if (member)
      held &= holds_below(check, i, member, mag_json_key(i));
  }
  return held;
}

RULE(check_required)
{
  bool held = true;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i; i = mag_json_next(i)) {
    struct mbp_str name = mag_json_str(i);
    if (!spend(check, 1 + (int64_t) mag_json_count(value) / 8))
      return false;
    if (!mag_json_get(value, name.ptr))
      held = problem(check, "required property \"%.*s\" is missing", (int) MAG_MIN(name.len, (size_t) 100), name.ptr);
  }
  return held;
}

/* -MBP_E_LIMIT counts as exhausted. */
static bool matches(struct check *check, const struct mbp_json *where, struct mbp_str text)
{
  const struct mag_pattern *pattern = mag_schema_pattern(check->schema, where);
  int r = spend(check, PATTERNS_WORK + (int64_t) text.len) && pattern ? mag_pattern_match(pattern, text) : 0;
  if (r < 0)
    (void) spend(check, WORK_MAX);
  return r > 0;
}

RULE(check_pattern_properties)
{
  bool held = true;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i; i = mag_json_next(i))
    for (const struct mbp_json *member = mag_json_first(value); member && (held || check->problems);
         member = mag_json_next(member))
      if (matches(check, i, mag_json_key(member)))
        held &= holds_below(check, i, member, mag_json_key(member));
  return held;
}

static bool is_named(struct check *check, const struct mbp_json *schema, struct mbp_str name)
{
  const struct mbp_json *properties = mag_json_get(schema, "properties");
  (void) spend(check, 1 + (int64_t) mag_json_count(properties) / 8);
  if (mag_json_get(properties, name.ptr))
    return true;
  for (const struct mbp_json *i = mag_json_first(mag_json_get(schema, "patternProperties")); i; i = mag_json_next(i))
    if (matches(check, i, name))
      return true;
  return false;
}

static bool unknown_property(struct check *check, const struct mbp_json *schema, struct mbp_str name)
{
  const char *names[33];
  size_t n = 0;
  int shown = (int) mag_utf8_valid_prefix(name.ptr, MAG_MIN(name.len, (size_t) 64));
  for (const struct mbp_json *i = mag_json_first(mag_json_get(schema, "properties")); i && n < 32; i = mag_json_next(i))
    names[n++] = mag_json_key(i).ptr;
  names[n] = NULL;
  int near = name.len < 64 ? mag_nearest(name.ptr, names) : -1;
  if (near >= 0)
    return problem(check, "unknown property \"%.*s\"; did you mean \"%.64s\"?", shown, name.ptr, names[near]);
  return problem(check, "unknown property \"%.*s\"", shown, name.ptr);
}

RULE(check_additional_properties)
{
  bool held = true, none = mag_json_type(keyword) == MBP_JSON_BOOL && !mag_json_truth(keyword, 1);
  for (const struct mbp_json *i = mag_json_first(value); i && (held || check->problems); i = mag_json_next(i)) {
    if (!spend(check, 1) || is_named(check, schema, mag_json_key(i)))
      continue;
    held &= none ? unknown_property(check, schema, mag_json_key(i)) : holds_below(check, keyword, i, mag_json_key(i));
  }
  return held;
}

/* Names are no values of the document: each becomes one. */
RULE(check_property_names)
{
  bool held = true;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(value); i && (held || check->problems); i = mag_json_next(i)) {
    mag_autowriter w = mag_writer_new();
    mag_autojson name = NULL;
    struct mbp_str text;
    mag_writer_string(w, NULL, mag_json_key(i));
    if (mag_writer_text(w, &text) < 0 || mag_json_parse(text, &name, NULL) < 0)
      return problem(check, "out of memory");
    held &= holds_quietly(check, keyword, name) ||
            problem(check, "a property must not be named \"%.64s\"", mag_json_key(i).ptr);
  }
  return held;
}

RULE(check_items)
{
  size_t skip = mag_json_count(mag_json_get(schema, "prefixItems")), n = 0;
  bool held = true;
  for (const struct mbp_json *i = mag_json_first(value); i && (held || check->problems); i = mag_json_next(i), n++)
    if (n >= skip)
      held &= item_holds(check, keyword, i, n);
  return held;
}

RULE(check_prefix_items)
{
  const struct mbp_json *item = mag_json_first(value);
  bool held = true;
  size_t n = 0;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i && item; i = mag_json_next(i), item = mag_json_next(item))
    held &= item_holds(check, i, item, n++);
  return held;
}

RULE(check_unique_items)
{
  size_t n = 0, m;
  (void) schema;
  if (!mag_json_truth(keyword, 0))
    return true;
  for (const struct mbp_json *i = mag_json_first(value); i; i = mag_json_next(i), n++) {
    m = n + 1;
    for (const struct mbp_json *j = mag_json_next(i); j; j = mag_json_next(j), m++)
      if (equal(check, i, j))
        return problem(check, "items %zu and %zu are equal", n, m);
      else if (check->exhausted)
        return false;
  }
  return true;
}

/* Of characters, items or members. */
static bool check_count(struct check *check, const struct mbp_json *keyword, size_t count, bool most, const char *what)
{
  double bound = mag_json_double(keyword, 0);
  return (most ? (double) count <= bound : (double) count >= bound) ||
         problem(check, "has %zu %s%s, must have at %s %.15g", count, what, count == 1 ? "" : "s",
                 most ? "most" : "least", bound);
}

static size_t characters(const struct mbp_json *value)
{
  struct mbp_str text = mag_json_str(value);
  size_t n = 0;
  for (size_t i = 0; i < text.len; i++)
    n += ((unsigned char) text.ptr[i] & 0xc0) != 0x80;
  return n;
}

#define COUNT_RULE(name, count, most, what)                                                                            \
  RULE(name)                                                                                                           \
  {                                                                                                                    \
    (void) schema;                                                                                                     \
    return check_count(check, keyword, count, most, what);                                                             \
  }
COUNT_RULE(check_min_length, characters(value), false, "character")
COUNT_RULE(check_max_length, characters(value), true, "character")
COUNT_RULE(check_min_items, mag_json_count(value), false, "item")
COUNT_RULE(check_max_items, mag_json_count(value), true, "item")
/* "property" has no plain plural. */
COUNT_RULE(check_min_properties, mag_json_count(value), false, "member")
COUNT_RULE(check_max_properties, mag_json_count(value), true, "member")

RULE(check_pattern)
{
  (void) schema;
  if (matches(check, keyword, mag_json_str(value)))
    return true;
  return problem(check, "does not match the pattern %.200s", mag_json_str(keyword).ptr);
}

#define BOUND_RULE(name, operator_, words)                                                                             \
  RULE(name)                                                                                                           \
  {                                                                                                                    \
    double bound = mag_json_double(keyword, 0), number = mag_json_double(value, 0);                                    \
    (void) schema;                                                                                                     \
    return number operator_ bound || problem(check, "is %.15g, must be " words " %.15g", number, bound);               \
  }
BOUND_RULE(check_minimum, >=, "at least")
BOUND_RULE(check_maximum, <=, "at most")
BOUND_RULE(check_exclusive_minimum, >, "greater than")
BOUND_RULE(check_exclusive_maximum, <, "less than")

/* 0.0075 is a multiple of 0.0001, although the nearest doubles are not quite. */
RULE(check_multiple_of)
{
  double step = mag_json_double(keyword, 1), number = mag_json_double(value, 0), quotient = number / step;
  (void) schema;
  if (isfinite(quotient) && fabs(quotient - round(quotient)) <= fabs(quotient) * 4.5e-16)
    return true;
  return problem(check, "is %.15g, must be a multiple of %.15g", number, step);
}

/* Each of the alternatives in a few words, for who has met none. */
static bool fits_none(struct check *check, const struct mbp_json *alternatives, const struct mbp_json *value,
                      const char *keyword)
{
  mag_autobuf all = MAG_BUF_INIT;
  if (!check->problems)
    return false;
  for (const struct mbp_json *i = mag_json_first(alternatives); i && all.len < 300; i = mag_json_next(i)) {
    mag_autobuf why = MAG_BUF_INIT;
    struct check one = *check;
    one.problems = &why;
    one.n_problems = 0;
    one.problems_max = 1;
    (void) holds(&one, i, value);
    check->work = one.work;
    check->path = one.path;
    check->exhausted |= one.exhausted;
    if (why.len)
      mag_buf_printf(&all, "%s%s", all.len ? "; or " : "", why.ptr);
  }
  return problem(check, "fits no alternative of %s (%s)", keyword, all.len ? all.ptr : "");
}

RULE(check_any_of)
{
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i; i = mag_json_next(i))
    if (holds_quietly(check, i, value))
      return true;
  return fits_none(check, keyword, value, "anyOf");
}

RULE(check_one_of)
{
  unsigned n = 0;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i; i = mag_json_next(i))
    n += holds_quietly(check, i, value);
  if (n == 0)
    return fits_none(check, keyword, value, "oneOf");
  return n == 1 || problem(check, "fits %u alternatives of oneOf, must fit exactly one", n);
}

RULE(check_all_of)
{
  bool held = true;
  (void) schema;
  for (const struct mbp_json *i = mag_json_first(keyword); i && (held || check->problems); i = mag_json_next(i))
    held &= holds(check, i, value);
  return held;
}

RULE(check_not)
{
  (void) schema;
  return !holds_quietly(check, keyword, value) || problem(check, "fits what \"not\" excludes");
}

RULE(check_reference)
{
  (void) schema;
  return holds(check, mag_schema_resolve(check->schema, mag_json_str(keyword)), value);
}

static const struct rule rules[] = {
    {"type", 0, check_type},
    {"enum", 0, check_enum},
    {"const", 0, check_const},
    {"properties", MBP_JSON_OBJECT, check_properties},
    {"required", MBP_JSON_OBJECT, check_required},
    {"additionalProperties", MBP_JSON_OBJECT, check_additional_properties},
    {"patternProperties", MBP_JSON_OBJECT, check_pattern_properties},
    {"propertyNames", MBP_JSON_OBJECT, check_property_names},
    {"minProperties", MBP_JSON_OBJECT, check_min_properties},
    {"maxProperties", MBP_JSON_OBJECT, check_max_properties},
    {"items", MBP_JSON_ARRAY, check_items},
    {"prefixItems", MBP_JSON_ARRAY, check_prefix_items},
    {"minItems", MBP_JSON_ARRAY, check_min_items},
    {"maxItems", MBP_JSON_ARRAY, check_max_items},
    {"uniqueItems", MBP_JSON_ARRAY, check_unique_items},
    {"minLength", MBP_JSON_STRING, check_min_length},
    {"maxLength", MBP_JSON_STRING, check_max_length},
    {"pattern", MBP_JSON_STRING, check_pattern},
    {"minimum", MBP_JSON_NUMBER, check_minimum},
    {"maximum", MBP_JSON_NUMBER, check_maximum},
    {"exclusiveMinimum", MBP_JSON_NUMBER, check_exclusive_minimum},
    {"exclusiveMaximum", MBP_JSON_NUMBER, check_exclusive_maximum},
    {"multipleOf", MBP_JSON_NUMBER, check_multiple_of},
    {"anyOf", 0, check_any_of},
    {"oneOf", 0, check_one_of},
    {"allOf", 0, check_all_of},
    {"not", 0, check_not},
    {"$ref", 0, check_reference},
};

static const struct rule *find_rule(const struct mbp_json *keyword, const struct mbp_json *value)
{
  struct mbp_str name = mag_json_key(keyword);
  for (size_t i = 0; i < MAG_COUNT(rules); i++)
    if (mbp_str_eq(name, rules[i].keyword))
      return rules[i].type == 0 || rules[i].type == mag_json_type(value) ? &rules[i] : NULL;
  return NULL;
}

static bool holds(struct check *check, const struct mbp_json *schema, const struct mbp_json *value)
{
  bool held = true;
  if (!spend(check, 1))
    return false;
  if (mag_json_type(schema) == MBP_JSON_BOOL)
    return mag_json_truth(schema, 0) || problem(check, "nothing is allowed here");
  if (check->depth == DEPTH_MAX) {
    (void) spend(check, WORK_MAX);
    return false;
  }
  check->depth++;
  for (const struct mbp_json *i = mag_json_first(schema); i && (held || check->problems); i = mag_json_next(i)) {
    const struct rule *rule = find_rule(i, value);
    if (rule && spend(check, 1))
      held &= rule->holds(check, schema, i, value);
  }
  check->depth--;
  return held;
}

bool mag_schema_holds(const struct mag_schema *schema, const struct mbp_json *value, struct mag_buf *problems)
{
  struct check check = {.schema = schema,
                        .problems = problems,
                        .problems_max = MAG_SCHEMA_PROBLEMS,
                        .path = MAG_BUF_INIT,
                        .work = WORK_MAX};
  bool held = holds(&check, schema->document, value) && !check.exhausted;
  mag_buf_done(&check.path);
  if (check.exhausted && problems) {
    mag_buf_clear(problems);
    mag_buf_add_text(problems, "the input: too much to check");
  }
  return held;
}
