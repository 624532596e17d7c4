#include "loader/check.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <stdio.h>
#include <string.h>

static bool lower(char c)
{
  return c >= 'a' && c <= 'z';
}

static bool upper(char c)
{
  return c >= 'A' && c <= 'Z';
}

/* [a-z][a-z0-9_]*, or for the environment [A-Za-z_][A-Za-z0-9_]*; at most 64 long. */
static bool word_valid(const char *word, bool environment)
{
  size_t n = strnlen(word, 65);
  for (size_t i = 0; i < n; i++) {
    char c = word[i];
    if (!lower(c) && !(environment && (upper(c) || c == '_')) && (i == 0 || !((c >= '0' && c <= '9') || c == '_')))
      return false;
  }
  return n > 0 && n <= 64;
}

static int refuse(const struct mag_plugin *plugin, const struct mbp_param *param, const char *member, const char *found,
                  const char *expected, struct mbp_error *err)
{
  char field[128];
  (void) snprintf(field, sizeof(field), "parameter %.64s: %s", param->name, member);
  return mag_refuse(err, MBP_E_INVALID, plugin->path, field, found, expected);
}

static int parse_number(uint32_t type, const char *text, int64_t *ret_value)
{
  switch (type) {
  case MBP_PARAM_SIZE:
    return mag_parse_size(mbp_str(text), ret_value);
  case MBP_PARAM_DURATION:
    return mag_parse_duration(mbp_str(text), ret_value);
  default:
    return mag_parse_int(mbp_str(text), ret_value);
  }
}

static const char *default_fault(const struct mbp_param *p)
{
  const char *text = p->default_value;
  int64_t value;
  switch (p->type) {
  case MBP_PARAM_INT:
  case MBP_PARAM_SIZE:
  case MBP_PARAM_DURATION:
    if (parse_number(p->type, text, &value) < 0)
      return p->type == MBP_PARAM_INT    ? "a whole number"
             : p->type == MBP_PARAM_SIZE ? "a size such as 64M"
                                         : "a duration such as 30s";
    return (p->min || p->max) && (value < p->min || value > p->max) ? "a value between min and max" : NULL;
  case MBP_PARAM_BOOL:
    return strcmp(text, "true") != 0 && strcmp(text, "false") != 0 ? "true or false" : NULL;
  case MBP_PARAM_CHOICE:
    for (size_t i = 0; p->choices[i]; i++)
      if (strcmp(text, p->choices[i]) == 0)
        return NULL;
    return "one of its choices";
  case MBP_PARAM_URL:
    return strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0 && strncmp(text, "unix:", 5) != 0
               ? "an http:, https: or unix: URL"
               : NULL;
  default:
    return NULL;
  }
}

static int check_choices(const struct mag_plugin *plugin, const struct mbp_param *p, struct mbp_error *err)
{
  if (!p->choices || !p->choices[0])
    return refuse(plugin, p, "choices", "nothing", "a list of choices", err);
  for (size_t i = 0; p->choices[i]; i++) {
    const char *fault = i == MAG_CHOICES_MAX ? "too many" : mag_text_fault(p->choices[i], MAG_LINE_MAX, false);
    if (!fault && !p->choices[i][0])
      fault = "an empty choice";
    if (fault)
      return refuse(plugin, p, "choices", fault, "lines of text", err);
  }
  return 0;
}

/* Names and types first: the messages of the rest quote them. */
static int check_param(const struct mag_plugin *plugin, const struct mbp_param *p, struct mbp_error *err)
{
  const char *fault;
  char found[32];
  if (p->type < MBP_PARAM_STRING || p->type > MBP_PARAM_SECRET) {
    (void) snprintf(found, sizeof(found), "%u", p->type);
    return refuse(plugin, p, "type", found, "an MBP_PARAM_ type that this magent knows", err);
  }
  for (size_t i = 0; i < plugin->n_params; i++)
    if (strcmp(plugin->params[i].name, p->name) == 0)
      return refuse(plugin, p, "name", "it twice", "each name once", err);
  if (p->min > p->max)
    return refuse(plugin, p, "min", "more than max", "at most max", err);
  if (p->env && !word_valid(p->env, true))
    return refuse(plugin, p, "env", "a malformed name", "[A-Za-z_][A-Za-z0-9_]*", err);
  fault = p->help && p->help[0] ? mag_text_fault(p->help, MAG_TEXT_MAX, true) : "nothing";
  if (fault)
    return refuse(plugin, p, "help", fault, "one or two sentences", err);
  if (p->type == MBP_PARAM_CHOICE) {
    int r = check_choices(plugin, p, err);
    if (r < 0)
      return r;
  }
  if (!p->default_value)
    return 0;
  fault = mag_text_fault(p->default_value, MAG_LINE_MAX, false);
  if (fault)
    return refuse(plugin, p, "default", fault, "one line of text", err);
  fault = default_fault(p);
  return fault ? refuse(plugin, p, "default", p->default_value, fault, err) : 0;
}

int mag_plugin_check_params(struct mag_plugin *plugin, const struct mbp_param *const *given, struct mbp_error *err)
{
  size_t n = 0;
  char field[48], found[32], expected[48];
  while (given && given[n])
    if (++n > MAG_PARAMS_MAX)
      return mag_refuse(err, MBP_E_INVALID, plugin->path, "params", "more than 256 entries",
                        "a list that ends with NULL");
  plugin->params = calloc(n + 1, sizeof(*plugin->params));
  plugin->param_list = calloc(n + 1, sizeof(*plugin->param_list));
  if (!plugin->params || !plugin->param_list)
    return mag_error_no_memory(err);
  for (size_t i = 0; i < n; i++) {
    struct mbp_param *copy = &plugin->params[i];
    uint32_t size = given[i]->size;
    if (size < MBP_SIZE(struct mbp_param, help) || size > MAG_STRUCT_MAX) {
      (void) snprintf(field, sizeof(field), "params[%zu].size", i);
      (void) snprintf(found, sizeof(found), "%u", size);
      (void) snprintf(expected, sizeof(expected), "%u to %d", MBP_SIZE(struct mbp_param, help), MAG_STRUCT_MAX);
      return mag_refuse(err, MBP_E_INVALID, plugin->path, field, found, expected);
    }
    memcpy(copy, given[i], MAG_MIN(size, sizeof(*copy)));
    if (!copy->name || !word_valid(copy->name, false)) {
      (void) snprintf(field, sizeof(field), "params[%zu].name", i);
      return mag_refuse(err, MBP_E_INVALID, plugin->path, field, copy->name ? copy->name : "nothing",
                        "[a-z][a-z0-9_]*");
    }
    int r = check_param(plugin, copy, err);
    if (r < 0)
      return r;
    plugin->param_list[plugin->n_params++] = copy;
  }
  plugin->descriptor.params = plugin->param_list;
  return 0;
}
