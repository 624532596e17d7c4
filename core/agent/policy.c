#include "agent/toolbox.h"
#include "base/error.h"
#include "base/json.h"

const char *mag_permission_name(enum mag_permission permission)
{
  return permission == MAG_PERMISSION_ALLOW ? "allow" : permission == MAG_PERMISSION_ASK ? "ask" : "deny";
}

/* {"permission_policy":{"type":...}} of one rule; *ret_said is left alone if it says nothing. */
static int read_rule(const struct mbp_json *rule, const char *tool, int *ret_said, struct mbp_error *err)
{
  const struct mbp_json *policy = mag_json_get(rule, "permission_policy");
  struct mbp_str type = mag_json_str(mag_json_get(policy, "type"));
  int said;
  if (!policy)
    return 0;
  if (mbp_str_eq(type, "always_allow"))
    said = MAG_PERMISSION_ALLOW;
  else if (mbp_str_eq(type, "always_ask"))
    said = MAG_PERMISSION_ASK;
  else if (mbp_str_eq(type, "always_deny"))
    said = MAG_PERMISSION_DENY;
  else if (mbp_str_eq(type, "auto"))
    return mag_error(
        err, MBP_E_UNSUPPORTED,
        "tool %s: permission_policy \"auto\" needs something that decides, and there is none; use always_ask", tool);
  else
    return mag_error(err, MBP_E_INVALID,
                     "tool %s: permission_policy \"%.*s\" is none of always_allow, always_ask, always_deny", tool,
                     (int) (type.len < 40 ? type.len : 40), type.ptr);
  if (said > *ret_said)
    *ret_said = said;
  return 0;
}

static bool is_about(const struct mbp_json *config, const char *tool, const struct mbp_json *aliases)
{
  struct mbp_str name = mag_json_str(mag_json_get(config, "name"));
  bool named = mbp_str_eq(name, tool);
  for (const struct mbp_json *i = mag_json_first(aliases); i; i = mag_json_next(i))
    named |= mbp_str_eq(name, mag_json_str(i).ptr);
  return named;
}

int mag_policy_custom(const struct mbp_json *entry, const char *tool, uint32_t flags,
                      enum mag_permission *ret_permission, struct mbp_error *err)
{
  int said = -1;
  int r = read_rule(entry, tool, &said, err);
  if (r < 0)
    return r;
  if (said < 0)
    said = flags & MBP_TOOL_HOST ? MAG_PERMISSION_ASK : MAG_PERMISSION_ALLOW;
  *ret_permission = (enum mag_permission) said;
  return 0;
}

int mag_policy_decide(struct mbp_str entry, const char *tool, const struct mbp_json *aliases, uint32_t flags,
                      enum mag_permission *ret_permission, struct mbp_error *err)
{
  mag_autojson json = NULL;
  int r = mag_json_parse(entry, &json, err), specific = -1, general = -1;
  const struct mbp_json *config = r == 0 ? mag_json_first(mag_json_get(json, "configs")) : NULL;
  for (; config && r == 0; config = mag_json_next(config))
    if (is_about(config, tool, aliases))
      r = read_rule(config, tool, &specific, err);
  if (r == 0)
    r = read_rule(mag_json_get(json, "default_config"), tool, &general, err);
  if (r < 0)
    return r;
  /* A default is what holds for tools that are not named: a tool's own rule replaces it, but never a deny. */
  int said = specific >= 0 && general != MAG_PERMISSION_DENY ? specific : general;
  if (said < 0)
    said = flags & MBP_TOOL_HOST || !(flags & MBP_TOOL_SANDBOX) ? MAG_PERMISSION_ASK : MAG_PERMISSION_ALLOW;
  *ret_permission = (enum mag_permission) said;
  return 0;
}
