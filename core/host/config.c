#include "host/config.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "host/late.h"
#include "host/redact.h"

#include <stdio.h>
#include <string.h>

struct item {
  char *text;
  int64_t number;
};

struct value {
  const struct mbp_param *param;
  struct item *items;
  size_t n;
};

struct mbp_config {
  struct value *values;
  size_t n;
};

const char *mag_param_type_name(uint32_t type)
{
  static const char *const names[] = {"",        "string", "integer", "size", "duration",
                                      "boolean", "choice", "path",    "URL",  "secret"};
  return type < MAG_COUNT(names) ? names[type] : "unknown";
}

void mag_config_free(struct mbp_config *config)
{
  if (!config)
    return;
  for (size_t i = 0; i < config->n; i++) {
    struct value *value = &config->values[i];
    for (size_t j = 0; j < value->n; j++) {
      if (value->items[j].text && value->param->type == MBP_PARAM_SECRET)
        explicit_bzero(value->items[j].text, strlen(value->items[j].text));
      free(value->items[j].text);
    }
    free(value->items);
  }
  free(config->values);
  free(config);
}

/* ---- One value ------------------------------------------------------------------------------------------------ */

static int bad(struct mbp_error *err, const struct mbp_param *param, const char *text, const char *wanted)
{
  if (param->type == MBP_PARAM_SECRET)
    text = "...";
  return mag_error(err, MBP_E_INVALID, "%s: \"%.80s\" is not %s", param->name, text, wanted);
}

static int check_choice(const struct mbp_param *param, const char *text, struct mbp_error *err)
{
  mag_autobuf all = MAG_BUF_INIT;
  for (size_t i = 0; param->choices && param->choices[i]; i++) {
    if (strcmp(param->choices[i], text) == 0)
      return 0;
    mag_buf_printf(&all, "%s%s", i ? ", " : "one of ", param->choices[i]);
  }
  return bad(err, param, text, all.ptr ? all.ptr : "a known choice");
}

static int check_number(const struct mbp_param *param, struct item *item, struct mbp_error *err)
{
  struct mbp_str text = mbp_str(item->text);
  int r = param->type == MBP_PARAM_INT    ? mag_parse_int(text, &item->number)
          : param->type == MBP_PARAM_SIZE ? mag_parse_size(text, &item->number)
                                          : mag_parse_duration(text, &item->number);
  if (r < 0)
    return bad(err, param, item->text,
               param->type == MBP_PARAM_INT    ? "a whole number"
               : param->type == MBP_PARAM_SIZE ? "a size such as 512, 64K, 10M or 2G"
                                               : "a duration such as 500ms, 30s, 5m or 2h");
  if ((param->min || param->max) && (item->number < param->min || item->number > param->max))
    return mag_error(err, MBP_E_INVALID, "%s: %s is out of range: %lld to %lld%s", param->name, item->text,
                     (long long) param->min, (long long) param->max,
                     param->type == MBP_PARAM_SIZE       ? " bytes"
                     : param->type == MBP_PARAM_DURATION ? " ms"
                                                         : "");
  return 0;
}

char *mag_config_expand(const char *text)
{
  static const struct {
    const char *name, *value;
  } places[] = {
      {"@libexecdir@", MAGENT_LIBEXECDIR},
      {"@sysconfdir@", MAGENT_SYSCONFDIR},
      {"@datadir@", MAGENT_DATADIR},
  };
  if (mag_str_starts(mbp_str(text), "~/") && secure_getenv("HOME"))
    return mag_sprintf("%s%s", secure_getenv("HOME"), text + 1);
  for (size_t i = 0; i < MAG_COUNT(places); i++)
    if (mag_str_starts(mbp_str(text), places[i].name)) {
      /* The build tree and packages under test live elsewhere. */
      const char *root = i == 0 ? secure_getenv("MAGENT_LIBEXEC_DIR") : NULL;
      return mag_sprintf("%s%s", root ? root : places[i].value, text + strlen(places[i].name));
    }
  if (mag_str_starts(mbp_str(text), "@statedir@")) {
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    const char *rest = text + strlen("@statedir@");
    if (state && state[0] == '/')
      return mag_sprintf("%s/magent%s", state, rest);
    return home && home[0] == '/' ? mag_sprintf("%s/.local/state/magent%s", home, rest) : NULL;
  }
  return mag_str_dup(mbp_str(text));
}

static int check_item(const struct mbp_param *param, struct item *item, struct mbp_error *err)
{
  switch (param->type) {
  case MBP_PARAM_INT:
  case MBP_PARAM_SIZE:
  case MBP_PARAM_DURATION:
    return check_number(param, item, err);
  case MBP_PARAM_BOOL:
    item->number = strcmp(item->text, "true") == 0;
    return item->number || strcmp(item->text, "false") == 0 ? 0 : bad(err, param, item->text, "true or false");
  case MBP_PARAM_CHOICE:
    return check_choice(param, item->text, err);
  case MBP_PARAM_URL:
    for (const char *scheme = "http://\0https://\0unix:\0"; *scheme; scheme += strlen(scheme) + 1)
      if (mag_str_starts(mbp_str(item->text), scheme))
        return 0;
    return bad(err, param, item->text, "an http:, https: or unix: URL");
  case MBP_PARAM_PATH: {
    char *path = mag_config_expand(item->text);
    if (!path && mag_str_starts(mbp_str(item->text), "@statedir@"))
      return mag_error(err, MBP_E_INVALID,
                       "there is no place for magent's state: set HOME or XDG_STATE_HOME to an absolute path");
    if (!path)
      return mag_error_no_memory(err);
    free(item->text);
    item->text = path;
    return 0;
  }
  case MBP_PARAM_SECRET:
    mag_redact_add(mbp_str(item->text));
    return 0;
  default:
    return 0;
  }
}

static int add_text(struct value *value, struct mbp_str text, struct mbp_error *err)
{
  struct item *items = realloc(value->items, (value->n + 1) * sizeof(*items));
  if (!items)
    return mag_error_no_memory(err);
  value->items = items;
  items[value->n] = (struct item){.text = mag_str_dup(text)};
  if (!items[value->n].text)
    return mag_error_no_memory(err);
  return check_item(value->param, &items[value->n++], err);
}

/* ---- Whole configurations ------------------------------------------------------------------------------------- */

/* A text of the configuration may refer to variables: they are looked up now, when it is used. */
static int add_late(struct value *value, struct mbp_str text, struct mbp_error *err)
{
  mag_autofree char *resolved = NULL;
  if (!mag_late_wanted(text))
    return add_text(value, text, err);
  int r = mag_late_resolve(text, &resolved, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", value->param->name);
  r = add_text(value, mbp_str(resolved), err);
  if (r < 0) /* it may quote what it was given */
    mag_redact_error(err);
  return r;
}

static int add_json(struct value *value, struct mbp_str all, const struct mbp_json *json, struct mbp_error *err)
{
  struct mbp_str text;
  switch (mag_json_type(json)) {
  case MBP_JSON_STRING:
    return add_late(value, mag_json_str(json), err);
  case MBP_JSON_BOOL:
    return add_text(value, mbp_str(mag_json_truth(json, 0) ? "true" : "false"), err);
  case MBP_JSON_NUMBER:
    if (mag_json_slice(all, value->param->name, &text) && !memchr(text.ptr, '[', text.len))
      return add_text(value, text, err);
    break;
  default:
    break;
  }
  return mag_error(err, MBP_E_INVALID, "%s: expected a %s", value->param->name,
                   mag_param_type_name(value->param->type));
}

static struct value *value_of(struct mbp_config *config, struct mbp_str key)
{
  for (size_t i = 0; i < config->n; i++)
    if (mbp_str_eq(key, config->values[i].param->name))
      return &config->values[i];
  return NULL;
}

static int unknown_key(const struct mbp_config *config, struct mbp_str key, struct mbp_error *err)
{
  mag_autofree const char **names = calloc(config->n + 1, sizeof(*names));
  mag_autofree char *text = mag_str_dup(key);
  if (!names || !text)
    return mag_error_no_memory(err);
  for (size_t i = 0; i < config->n; i++)
    names[i] = config->values[i].param->name;
  int nearest = mag_nearest(text, names);
  if (nearest >= 0)
    return mag_error(err, MBP_E_INVALID, "unknown option \"%.60s\"; did you mean \"%s\"?", text, names[nearest]);
  mag_autobuf known = MAG_BUF_INIT;
  for (size_t i = 0; names[i]; i++)
    mag_buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
  return mag_error(err, MBP_E_INVALID, "unknown option \"%.60s\"; %s%s", text,
                   known.len ? "known are " : "there are none", known.len ? known.ptr : "");
}

static int take_object(struct mbp_config *config, struct mbp_str text, struct mbp_error *err)
{
  mag_autojson document = NULL;
  int r = mag_json_parse(text, &document, err);
  if (r < 0)
    return r;
  if (mag_json_type(document) != MBP_JSON_OBJECT)
    return mag_error(err, MBP_E_INVALID, "options must be an object");
  for (const struct mbp_json *member = mag_json_first(document); member; member = mag_json_next(member)) {
    struct value *value = value_of(config, mag_json_key(member));
    if (!value)
      return unknown_key(config, mag_json_key(member), err);
    bool list = mag_json_type(member) == MBP_JSON_ARRAY && value->param->flags & MBP_PARAM_REPEATABLE;
    const struct mbp_json *item = list ? mag_json_first(member) : member;
    for (; item; item = list ? mag_json_next(item) : NULL)
      if ((r = add_json(value, text, item, err)) < 0)
        return r;
  }
  return 0;
}

static int take_default(struct value *value, struct mbp_error *err)
{
  const struct mbp_param *param = value->param;
  if (value->n)
    return 0;
  const char *env = MBP_HAS(param, struct mbp_param, env) && param->env ? secure_getenv(param->env) : NULL;
  if (env && *env) {
    int r = add_text(value, mbp_str(env), err);
    return r < 0 ? mag_error_wrap(err, "environment variable %s", param->env) : 0;
  }
  if (param->default_value)
    return add_text(value, mbp_str(param->default_value), err);
  if (!(param->flags & MBP_PARAM_REQUIRED))
    return 0;
  if (param->env)
    return mag_error(err, param->type == MBP_PARAM_SECRET ? MBP_E_AUTH : MBP_E_INVALID, "%s is needed: set %s",
                     param->name, param->env);
  return mag_error(err, MBP_E_INVALID, "%s is needed", param->name);
}

int mag_config_new(const char *plugin, const struct mbp_param *const *params, struct mbp_str json,
                   struct mbp_config **ret_config, struct mbp_error *err)
{
  struct mbp_config *config = calloc(1, sizeof(*config));
  if (!config)
    return mag_error_no_memory(err);
  int r = 0;
  while (params && params[config->n])
    config->n++;
  config->values = calloc(config->n + 1, sizeof(*config->values));
  if (!config->values) {
    config->n = 0;
    r = mag_error_no_memory(err);
    goto out;
  }
  for (size_t i = 0; i < config->n; i++)
    config->values[i].param = params[i];
  if (json.len && (r = take_object(config, json, err)) < 0)
    goto out;
  for (size_t i = 0; i < config->n && r == 0; i++)
    r = take_default(&config->values[i], err);
out:
  if (r < 0) {
    mag_config_free(config);
    return mag_error_wrap(err, "%s", plugin);
  }
  *ret_config = config;
  return 0;
}

static const struct item *find_item(const struct mbp_config *config, const char *key, size_t index)
{
  for (size_t i = 0; i < config->n; i++)
    if (strcmp(config->values[i].param->name, key) == 0)
      return index < config->values[i].n ? &config->values[i].items[index] : NULL;
  return NULL;
}

int mag_config_item(const struct mbp_config *config, const char *key, size_t index, struct mbp_str *ret_value)
{
  const struct item *item = find_item(config, key, index);
  if (item)
    *ret_value = mbp_str(item->text);
  return item != NULL;
}

int mag_config_str(const struct mbp_config *config, const char *key, struct mbp_str *ret_value)
{
  return mag_config_item(config, key, 0, ret_value);
}

int mag_config_int(const struct mbp_config *config, const char *key, int64_t *ret_value)
{
  const struct item *item = find_item(config, key, 0);
  if (item)
    *ret_value = item->number;
  return item != NULL;
}
