/* The entry of an agent's "tools" that selects this toolset. What is not understood is refused: a tool must never be on
 * because of a spelling mistake. */
#include "agent.h"

static const char *const tool_names[] = {"bash", "read",      "write",      "edit", "glob",
                                         "grep", "web_fetch", "web_search", NULL};

/* Keys that only the two web tools know; they are checked when these tools come. */
static const char *const web_keys[] = {
    "allowed_domains", "blocked_domains", "max_content_tokens", "url_sources", "max_uses", "user_location", NULL};

/* What an alias stands for; any other name is itself. */
static struct mbp_str real_name(struct mbp_str name)
{
  for (const struct alias *alias = aliases; alias->name; alias++)
    if (mbp_str_eq(name, alias->name))
      return mbp_str(alias->tool);
  return name;
}

static int in_list(struct mbp_str name, const char *const *names)
{
  for (int i = 0; names[i]; i++)
    if (mbp_str_eq(name, names[i]))
      return i;
  return -1;
}

static int unknown(struct mbp_error *err, const char *what, struct mbp_str name, const char *const *names)
{
  const char *near = nearest(name, names);
  return fail(err, MBP_E_INVALID, TYPE_NAME ": unknown %s \"%.*s\"%s%s%s", what, (int) (name.len < 64 ? name.len : 64),
              name.ptr ? name.ptr : "", near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The nearest name may be an alias; if none is near, all are named that this version has. */
static int unknown_tool(struct mbp_error *err, struct mbp_str name)
{
  const char *names[24];
  size_t n = 0;
  while (tool_names[n]) {
    names[n] = tool_names[n];
    n++;
  }
  for (const struct alias *alias = aliases; alias->name && n < sizeof(names) / sizeof(names[0]) - 1; alias++)
    names[n++] = alias->name;
  names[n] = NULL;
  if (!nearest(name, names))
    return fail(err, MBP_E_INVALID,
                TYPE_NAME ": unknown tool \"%.*s\"; there are bash, read, write, edit, glob and grep",
                (int) (name.len < 64 ? name.len : 64), name.ptr ? name.ptr : "");
  return unknown(err, "tool", name, names);
}

/* Every key of the object must be in the list (or in `also`). */
static int check_keys(const struct mbp_json_v1 *json, const struct mbp_json *object, const char *where,
                      const char *const *keys, const char *const *also, struct mbp_error *err)
{
  if (json->type(object) != MBP_JSON_OBJECT)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": %s must be an object", where);
  for (const struct mbp_json *member = json->first(object); member; member = json->next(member))
    if (in_list(json->key(member), keys) < 0 && (!also || in_list(json->key(member), also) < 0)) {
      char what[96] = "key in ";
      strncat(what, where, sizeof(what) - 8);
      return unknown(err, what, json->key(member), keys);
    }
  return 0;
}

static int is_there(const struct mbp_json_v1 *json, const struct mbp_json *value)
{
  return value && json->type(value) != MBP_JSON_NULL;
}

static int check_policy(const struct mbp_json_v1 *json, const struct mbp_json *policy, struct mbp_error *err)
{
  static const char *const keys[] = {"type", NULL}, *const types[] = {"always_allow", "always_ask", "always_deny",
                                                                      "auto", NULL};
  if (!is_there(json, policy))
    return 0;
  int r = check_keys(json, policy, "permission_policy", keys, NULL, err);
  if (r < 0)
    return r;
  struct mbp_str type = json->str(json->get(policy, "type"));
  return in_list(type, types) < 0 ? unknown(err, "permission_policy", type, types) : 0;
}

/* `enabled` of default_config or of an entry: 0 or 1, `otherwise` if it is not there. */
static int get_enabled(const struct mbp_json_v1 *json, const struct mbp_json *object, int otherwise, int *ret_enabled,
                       struct mbp_error *err)
{
  const struct mbp_json *value = json->get(object, "enabled");
  if (is_there(json, value) && json->type(value) != MBP_JSON_BOOL)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": enabled must be true or false");
  *ret_enabled = is_there(json, value) ? json->truth(value, 0) : otherwise;
  return check_policy(json, json->get(object, "permission_policy"), err);
}

static int parse_entry(const struct mbp_json_v1 *json, const struct mbp_json *entry, int by_default, uint32_t *seen,
                       uint32_t *enabled, struct mbp_error *err)
{
  static const char *const keys[] = {"name", "type", "enabled", "permission_policy", NULL};
  if (json->type(entry) != MBP_JSON_OBJECT)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": configs must hold objects");
  struct mbp_str name = json->str(json->get(entry, "name")), type = json->str(json->get(entry, "type"));
  int id = in_list(real_name(name), tool_names), on = 0;
  if (name.len == 0)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": an entry of configs has no name");
  if (id < 0)
    return unknown_tool(err, name);
  int r = check_keys(json, entry, "an entry of configs", keys, id >= N_TOOLS ? web_keys : NULL, err);
  if (r == 0)
    r = get_enabled(json, entry, by_default, &on, err);
  if (r < 0)
    return r;
  if (is_there(json, json->get(entry, "type")) && !mbp_str_eq(real_name(type), tool_names[id]))
    return fail(err, MBP_E_INVALID, TYPE_NAME ": the type of %s must be \"%s\"", tool_names[id], tool_names[id]);
  if (*seen >> id & 1)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": %s is named twice, here as \"%.*s\": keep one of them", tool_names[id],
                (int) name.len, name.ptr);
  *seen |= UINT32_C(1) << id;
  if (id >= N_TOOLS && on)
    return fail(err, MBP_E_UNSUPPORTED,
                TYPE_NAME
                ": %s comes with the network policies, which are not in this version; set its enabled to false",
                tool_names[id]);
  if (id < N_TOOLS)
    *enabled = (*enabled & ~(UINT32_C(1) << id)) | (uint32_t) on << id;
  return 0;
}

static int parse_document(const struct mbp_json_v1 *json, const struct mbp_json *document, uint32_t *ret_enabled,
                          struct mbp_error *err)
{
  static const char *const keys[] = {"type", "default_config", "configs", NULL};
  static const char *const default_keys[] = {"enabled", "permission_policy", NULL};
  int on = 1;
  int r = check_keys(json, document, "the toolset", keys, NULL, err);
  if (r < 0)
    return r;
  if (!mbp_str_eq(json->str(json->get(document, "type")), TYPE_NAME))
    return fail(err, MBP_E_INVALID, "the type of this toolset is \"" TYPE_NAME "\"");
  const struct mbp_json *defaults = json->get(document, "default_config"), *configs = json->get(document, "configs");
  if (is_there(json, defaults)) {
    r = check_keys(json, defaults, "default_config", default_keys, NULL, err);
    if (r == 0)
      r = get_enabled(json, defaults, 1, &on, err);
    if (r < 0)
      return r;
  }
  if (is_there(json, configs) && json->type(configs) != MBP_JSON_ARRAY)
    return fail(err, MBP_E_INVALID, TYPE_NAME ": configs must be an array");
  uint32_t seen = 0, enabled = on ? (UINT32_C(1) << N_TOOLS) - 1 : 0;
  for (const struct mbp_json *entry = json->first(configs); entry; entry = json->next(entry)) {
    r = parse_entry(json, entry, on, &seen, &enabled, err);
    if (r < 0)
      return r;
  }
  *ret_enabled = enabled;
  return 0;
}

int config_parse(const struct mbp_json_v1 *json, struct mbp_str config, uint32_t *ret_enabled, struct mbp_error *err)
{
  struct mbp_json *document = NULL;
  int r = json->parse(config, &document, err);
  if (r < 0)
    return r;
  r = parse_document(json, document, ret_enabled, err);
  json->free(document);
  return r;
}
