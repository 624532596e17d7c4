#include "agent/custom_entry.h"

#include "agent/demand.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DESCRIPTION_MAX 16384
#define DIGITS_OF(number) #number
#define DIGITS(number) DIGITS_OF(number)

/* clang-format off */
const struct mag_custom_key mag_custom_keys[MAG_CUSTOM_KEYS] = {
    {"type", true, "{\"const\":\"custom\"}"},
    {"name", true, "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_-]{1,128}$\"}"},
    {"description", true, "{\"type\":\"string\",\"minLength\":1,\"maxLength\":" DIGITS(DESCRIPTION_MAX) "}"},
    {"input_schema", true,
     "{\"type\":\"object\",\"required\":[\"type\"],\"properties\":{\"type\":{\"const\":\"object\"}}}"},
    {"permission_policy", false,
     "{\"type\":\"object\",\"properties\":{\"type\":{\"enum\":[\"always_allow\",\"always_ask\",\"always_deny\"]}}}"},
    {"read_only", false, "{\"type\":\"boolean\"}"},
    {"timeout", false, "{\"type\":[\"integer\",\"string\"]}"},
    {"command", false,
     "{\"type\":[\"array\",\"string\"],\"items\":{\"type\":\"string\"},\"minItems\":1,"
     "\"maxItems\":" DIGITS(MAG_CUSTOM_ARGUMENTS) "}"},
    {"run_on", false, "{\"enum\":[\"sandbox\",\"host\"]}"},
    {"env", false, "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"},
};
/* clang-format on */

struct reading {
  struct mag_custom_entry *entry;
  const struct mbp_json *json;
  char *wrong_key; /* of MAG_CUSTOM_KEY bytes */
  struct mbp_error *err;
};

__attribute__((format(printf, 3, 4))) static int wrong(struct reading *reading, const char *key, const char *format,
                                                       ...)
{
  va_list args;
  va_start(args, format);
  int r = mag_error_v(reading->err, MBP_E_INVALID, format, args);
  va_end(args);
  (void) snprintf(reading->wrong_key, MAG_CUSTOM_KEY, "%s", key);
  return r;
}

static int check_keys(struct reading *reading)
{
  const char *keys[MAG_CUSTOM_KEYS + 1] = {NULL};
  for (size_t i = 0; i < MAG_CUSTOM_KEYS; i++)
    keys[i] = mag_custom_keys[i].name;
  for (const struct mbp_json *i = mag_json_first(reading->json); i; i = mag_json_next(i)) {
    size_t known = 0;
    while (keys[known] && !mbp_str_eq(mag_json_key(i), keys[known]))
      known++;
    if (keys[known])
      continue;
    int nearest = mag_nearest(mag_json_key(i).ptr, keys);
    return wrong(reading, mag_json_key(i).ptr, "unknown key \"%.60s\"%s%s%s", mag_json_key(i).ptr,
                 nearest < 0 ? "" : "; did you mean \"", nearest < 0 ? "" : keys[nearest], nearest < 0 ? "" : "\"?");
  }
  return 0;
}

static int check_name(struct reading *reading)
{
  const struct mbp_json *json = reading->json;
  struct mbp_str name = mag_json_str(mag_json_get(json, "name")),
                 about = mag_json_str(mag_json_get(json, "description"));
  bool legal = name.len > 0 && name.len <= 128;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    legal &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  }
  if (!legal)
    return wrong(reading, "name", "the name of a custom tool must be 1 to 128 of A-Z, a-z, 0-9, _ and -");
  if (mag_str_starts(name, "mcp__"))
    return wrong(reading, "name", "names that begin with mcp__ are those of MCP servers' tools");
  if (about.len == 0 || about.len > DESCRIPTION_MAX)
    return wrong(reading, "description", "a description is needed: it tells the model what the tool is for%s",
                 about.len ? " (in at most 16 KiB)" : "");
  return 0;
}

/* What every service that models come from refuses is refused here, before anything has begun. */
static int check_top(struct reading *reading)
{
  static const char *const refused[] = {"anyOf", "oneOf", "allOf", "not", "enum", "const", "$ref"};
  const struct mbp_json *schema = mag_json_get(reading->json, "input_schema");
  if (!mbp_str_eq(mag_json_str(mag_json_get(schema, "type")), "object"))
    return wrong(reading, "input_schema", "input_schema must be an object whose type is \"object\"");
  for (size_t i = 0; i < MAG_COUNT(refused); i++)
    if (mag_json_get(schema, refused[i]))
      return wrong(reading, "input_schema", "input_schema: %s cannot stand at the top; put it below a property",
                   refused[i]);
  return 0;
}

static int check_command(struct reading *reading)
{
  const struct mbp_json *command = mag_json_get(reading->json, "command");
  bool list = mag_json_type(command) == MBP_JSON_ARRAY;
  bool right = list ? mag_json_count(command) > 0 && mag_json_count(command) <= MAG_CUSTOM_ARGUMENTS
                    : mag_json_str(command).len > 0;
  for (const struct mbp_json *i = list ? mag_json_first(command) : NULL; i; i = mag_json_next(i))
    right &= mag_json_type(i) == MBP_JSON_STRING;
  if (list && mag_json_str(mag_json_first(command)).len == 0)
    right = false;
  return right ? 0
               : wrong(reading, "command",
                       "command must be a list of a program and its arguments (at most %d), or a line for sh",
                       MAG_CUSTOM_ARGUMENTS);
}

/* What could never be given to the program is refused now. */
static int read_env(struct reading *reading, struct mbp_str text)
{
  struct mag_custom_entry *entry = reading->entry;
  struct mbp_str slice;
  if (!mag_json_slice(text, "env", &slice))
    return 0;
  entry->env = mag_str_dup(slice);
  int r = entry->env ? mag_demand_check_env(slice, "env", reading->err) : mag_error_no_memory(reading->err);
  if (r < 0)
    (void) snprintf(reading->wrong_key, MAG_CUSTOM_KEY, "env");
  return r;
}

static int read_placement(struct reading *reading)
{
  struct mag_custom_entry *entry = reading->entry;
  static const char *const places[] = {"sandbox", "host", NULL};
  const struct mbp_json *run_on = mag_json_get(entry->json, "run_on");
  entry->has_command = mag_json_get(entry->json, "command") != NULL;
  entry->on_host = mbp_str_eq(mag_json_str(run_on), "host");
  if (run_on && !entry->on_host && !mbp_str_eq(mag_json_str(run_on), "sandbox")) {
    int nearest = mag_json_str(run_on).len ? mag_nearest(mag_json_str(run_on).ptr, places) : -1;
    return wrong(reading, "run_on", "run_on must be sandbox or host%s%s%s", nearest < 0 ? "" : "; did you mean ",
                 nearest < 0 ? "" : places[nearest], nearest < 0 ? "" : "?");
  }
  if (!entry->has_command && (run_on || mag_json_get(entry->json, "env")))
    return wrong(reading, run_on ? "run_on" : "env", "%s is for tools with a command", run_on ? "run_on" : "env");
  return entry->has_command ? check_command(reading) : 0;
}

static int read_timeout(struct reading *reading)
{
  struct mag_custom_entry *entry = reading->entry;
  const struct mbp_json *timeout = mag_json_get(entry->json, "timeout"), *flag = mag_json_get(entry->json, "read_only");
  if (flag && mag_json_type(flag) != MBP_JSON_BOOL)
    return wrong(reading, "read_only", "read_only must be true or false");
  entry->timeout_ms = MAG_CUSTOM_TIMEOUT_MS;
  if (!timeout)
    return 0;
  entry->timeout_ms = mag_json_num(timeout, 0) * 1000;
  if (mag_json_type(timeout) == MBP_JSON_STRING && mag_parse_duration(mag_json_str(timeout), &entry->timeout_ms) < 0)
    entry->timeout_ms = 0;
  return entry->timeout_ms > 0 && entry->timeout_ms <= 86400000
             ? 0
             : wrong(reading, "timeout", "timeout must be a duration such as 30s, of at most a day");
}

int mag_custom_entry_new(struct mbp_str text, struct mag_custom_entry **ret_entry, char ret_key[MAG_CUSTOM_KEY],
                         struct mbp_error *err)
{
  struct mag_custom_entry *entry = calloc(1, sizeof(*entry));
  ret_key[0] = 0;
  if (!entry)
    return mag_error_no_memory(err);
  int r = mag_json_parse(text, &entry->json, err);
  struct reading reading = {entry, entry->json, ret_key, err};
  if (r == 0)
    r = check_keys(&reading);
  if (r == 0)
    r = check_name(&reading);
  if (r == 0)
    r = check_top(&reading);
  if (r == 0)
    r = read_placement(&reading);
  if (r == 0)
    r = read_env(&reading, text);
  if (r == 0)
    r = read_timeout(&reading);
  if (r < 0) {
    struct mbp_str name = mag_json_str(mag_json_get(entry->json, "name"));
    r = mag_error_wrap(err, "custom tool \"%.*s\"", (int) MAG_MIN(name.len, (size_t) 64), name.len ? name.ptr : "");
    mag_custom_entry_free(entry);
    return r;
  }
  *ret_entry = entry;
  return 0;
}

void mag_custom_entry_free(struct mag_custom_entry *entry)
{
  if (!entry)
    return;
  mag_json_free(entry->json);
  free(entry->env);
  free(entry);
}
