#include "agent/demand.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "host/late.h"
#include "host/redact.h"

#include <magent/mbp-compute.h>
#include <stdarg.h>
#include <string.h>

static const char *const managers[MAG_PACKAGE_MANAGERS] = {"apt", "cargo", "gem", "go", "npm", "pip"};

/* The first manager that something is wanted from, or NULL. */
static const char *wanted_packages(const struct mag_definition *definition)
{
  for (size_t i = 0; i < MAG_COUNT(managers); i++)
    if (definition->packages[i] && strcmp(definition->packages[i], "[]") != 0)
      return managers[i];
  return NULL;
}

bool mag_demand_needs_compute(const struct mag_definition *definition)
{
  return wanted_packages(definition) || definition->gpu || definition->mounts;
}

/* "FILE:LINE: KEY: what is wrong and what to do". */
static int refuse(const struct mag_definition *definition, const char *key, int code, struct mbp_error *err,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
static int refuse(const struct mag_definition *definition, const char *key, int code, struct mbp_error *err,
                  const char *format, ...)
{
  va_list args;
  va_start(args, format);
  (void) mag_error_v(err, code, format, args);
  va_end(args);
  (void) mag_error_wrap(err, "%s", key);
  (void) mag_definition_blame(definition, key, err);
  return -code;
}

static int check_packages(const struct mag_definition *definition, bool isolated, struct mbp_error *err)
{
  const char *manager = wanted_packages(definition);
  mag_autofree char *key = manager ? mag_sprintf("packages.%s", manager) : NULL;
  if (!manager)
    return 0;
  if (!key)
    return mag_error_no_memory(err);
  if (!isolated && definition->host_packages_ok <= 0)
    return refuse(definition, key, MBP_E_UNSUPPORTED, err,
                  "ManagedSandboxRequired: this version cannot install packages, and compute %s, which has no sandbox, "
                  "would be the wrong place for them; remove the key, and use a provider whose image or environment "
                  "has them",
                  definition->compute);
  return refuse(definition, key, MBP_E_UNSUPPORTED, err,
                "this version cannot install packages; remove the key, and use an image or environment that has them, "
                "or compute.setup");
}

static int check_network(const struct mag_definition *definition, struct mbp_error *err)
{
  const char *key = definition->allow_mcp_servers > 0        ? "networking.allow_mcp_servers"
                    : definition->allow_package_managers > 0 ? "networking.allow_package_managers"
                                                             : NULL;
  if (definition->allowed_hosts && !(definition->network && strcmp(definition->network, "limited") == 0))
    return refuse(definition, "networking.allowed_hosts", MBP_E_INVALID, err,
                  "this goes with networking.type limited only");
  return !key ? 0
              : refuse(definition, key, MBP_E_UNSUPPORTED, err,
                       "this version cannot do it; remove the key, and name the hosts in allowed_hosts");
}

static int check_project(const struct mag_definition *definition, bool isolated, uint32_t network,
                         struct mbp_error *err)
{
  if (definition->project && !isolated)
    return mag_error(err, MBP_E_PERMISSION,
                     "%s is for sandboxes, and compute %s has none, so nothing was started; choose another compute "
                     "provider, or leave the project's file out",
                     definition->project, definition->compute);
  if (definition->project && definition->project_code > 0 && network != MBP_NET_NONE)
    return mag_error(
        err, MBP_E_PERMISSION,
        "%s says what runs in the sandbox (image, setup or env), and the sandbox has a network, so nothing "
        "was started; trust the project's file, or leave it out",
        definition->project);
  return 0;
}

int mag_demand_check(const struct mag_definition *definition, struct mag_instance *compute, uint32_t network,
                     struct mbp_error *err)
{
  const struct mbp_compute_info *info = mag_instance_info(compute);
  bool isolated = info && MBP_HAS(info, struct mbp_compute_info, isolation) && info->isolation != MBP_ISOLATION_NONE;
  int r = check_packages(definition, isolated, err);
  if (r == 0)
    r = check_network(definition, err);
  if (r == 0 && definition->image && *definition->image &&
      !(mag_instance_descriptor(compute)->caps & MBP_CAP_COMPUTE_IMAGE))
    r = refuse(definition, "compute.image", MBP_E_UNSUPPORTED, err,
               "compute %s has no images; remove the key, or choose a provider that has them", definition->compute);
  if (r == 0 && definition->gpu)
    r = refuse(definition, "compute.gpu", MBP_E_UNSUPPORTED, err,
               "compute %s cannot give one in this version; remove the key", definition->compute);
  if (r == 0 && definition->mounts && strcmp(definition->mounts, "[]") != 0)
    r = refuse(definition, "compute.mounts", MBP_E_UNSUPPORTED, err,
               "this version cannot mount more directories; remove the key, and use compute.workspace");
  return r < 0 ? r : check_project(definition, isolated, network, err);
}

/* ---- Environment of the sandbox --------------------------------------------------------------------------------- */

void mag_demand_env_done(struct mag_demand_env *env)
{
  for (size_t i = 0; i < env->n; i++)
    free(env->texts[i]);
  free(env->texts);
  free(env->pairs);
  memset(env, 0, sizeof(*env));
}

/* What the value stands for; no key. */
static int resolve(const char *where, struct mbp_str name, struct mbp_str value, char **ret_resolved,
                   struct mbp_error *err)
{
  mag_autofree char *resolved = NULL;
  if (mag_late_wants_key(value))
    return mag_error(err, MBP_E_INVALID,
                     "%s: %.60s refers to a variable that is for a model provider: keys never enter a sandbox", where,
                     name.ptr);
  int r = mag_late_resolve(value, &resolved, err);
  if (r < 0)
    return mag_error_wrap(err, "%s: %.60s", where, name.ptr);
  if (mag_redact_is_key(mbp_str(resolved)))
    return mag_error(err, MBP_E_INVALID, "%s: the value of %.60s is a key of this program: keys never enter a sandbox",
                     where, name.ptr);
  *ret_resolved = mag_steal(&resolved);
  return 0;
}

/* Name, 0, value, 0. */
static int add_pair(struct mag_demand_env *env, const char *where, struct mbp_str name, struct mbp_str value,
                    struct mbp_error *err)
{
  mag_autofree char *resolved = NULL;
  int r = resolve(where, name, value, &resolved, err);
  if (r < 0)
    return r;
  size_t len = strlen(resolved);
  char *text = malloc(name.len + len + 2);
  if (!text)
    return mag_error_no_memory(err);
  memcpy(text, name.ptr, name.len + 1);
  memcpy(text + name.len + 1, resolved, len + 1);
  env->pairs[env->n] = (struct mbp_pair){mbp_str(text), mbp_str_n(text + name.len + 1, len)};
  env->texts[env->n++] = text;
  return 0;
}

/* An object of texts. */
static int parse_env(struct mbp_str json, const char *where, struct mbp_json **ret_document, struct mbp_error *err)
{
  mag_autojson document = NULL;
  int r = mag_json_parse(json.len ? json : mbp_str("{}"), &document, err);
  if (r < 0)
    return r;
  if (mag_json_type(document) != MBP_JSON_OBJECT)
    return mag_error(err, MBP_E_INVALID, "%s must be a mapping of names to texts", where);
  for (const struct mbp_json *i = mag_json_first(document); i; i = mag_json_next(i))
    if (mag_json_type(i) != MBP_JSON_STRING)
      return mag_error(err, MBP_E_INVALID, "%s: the value of %.60s must be text", where, mag_json_key(i).ptr);
  *ret_document = mag_steal(&document);
  return 0;
}

int mag_demand_env(struct mbp_str json, const char *where, struct mag_demand_env *ret_env, struct mbp_error *err)
{
  struct mag_demand_env env = {0};
  mag_autojson document = NULL;
  int r = parse_env(json, where, &document, err);
  if (r < 0)
    return r;
  size_t n = mag_json_count(document);
  env.pairs = calloc(n + 1, sizeof(*env.pairs));
  env.texts = calloc(n + 1, sizeof(*env.texts));
  if (!env.pairs || !env.texts)
    r = mag_error_no_memory(err);
  for (const struct mbp_json *i = mag_json_first(document); i && r == 0; i = mag_json_next(i))
    r = add_pair(&env, where, mag_json_key(i), mag_json_str(i), err);
  if (r < 0) {
    mag_demand_env_done(&env);
    return r;
  }
  *ret_env = env;
  return 0;
}

int mag_demand_check_env(struct mbp_str json, const char *where, struct mbp_error *err)
{
  mag_autojson document = NULL;
  int r = parse_env(json, where, &document, err);
  for (const struct mbp_json *i = mag_json_first(document); i && r == 0; i = mag_json_next(i)) {
    struct mbp_error why = MAG_ERROR_INIT;
    mag_autofree char *resolved = NULL;
    r = resolve(where, mag_json_key(i), mag_json_str(i), &resolved, &why);
    if (r < 0)
      r = r == -MBP_E_NOT_FOUND ? 0 : mag_error_import(err, &why);
  }
  return r;
}
