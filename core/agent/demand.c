#include "agent/demand.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "host/late.h"
#include "host/redact.h"

#include <magent/mbp-compute.h>
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

static int check_packages(const struct mag_definition *definition, bool isolated, struct mbp_error *err)
{
  const char *manager = wanted_packages(definition);
  if (!manager)
    return 0;
  if (!isolated && definition->host_packages_ok <= 0)
    return mag_error(
        err, MBP_E_UNSUPPORTED,
        "ManagedSandboxRequired: packages.%s: this version cannot install packages, and compute %s, which has no "
        "sandbox, "
        "would be the wrong place for them; remove the key, and use a provider whose image or environment has them",
        manager, definition->compute);
  return mag_error(err, MBP_E_UNSUPPORTED,
                   "packages.%s: this version cannot install packages; remove the key, and use an image or environment "
                   "that has them, or compute.setup",
                   manager);
}

static int check_network(const struct mag_definition *definition, struct mbp_error *err)
{
  const char *key = definition->allow_mcp_servers > 0        ? "allow_mcp_servers"
                    : definition->allow_package_managers > 0 ? "allow_package_managers"
                                                             : NULL;
  if (definition->allowed_hosts && !(definition->network && strcmp(definition->network, "limited") == 0))
    return mag_error(err, MBP_E_INVALID, "networking.allowed_hosts: this goes with networking.type limited only");
  if (!key)
    return 0;
  return mag_error(err, MBP_E_UNSUPPORTED,
                   "networking.%s: this version cannot do it; remove the key, and name the hosts in allowed_hosts",
                   key);
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
    r = mag_error(err, MBP_E_UNSUPPORTED,
                  "compute.image: compute %s has no images; remove the key, or choose a provider "
                  "that has them",
                  definition->compute);
  if (r == 0 && definition->gpu)
    r = mag_error(err, MBP_E_UNSUPPORTED, "compute.gpu: compute %s cannot give one in this version; remove the key",
                  definition->compute);
  if (r == 0 && definition->mounts && strcmp(definition->mounts, "[]") != 0)
    r = mag_error(
        err, MBP_E_UNSUPPORTED,
        "compute.mounts: this version cannot mount more directories; remove the key, and use compute.workspace");
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

/* Name, 0, value, 0. */
static int add_pair(struct mag_demand_env *env, const char *where, struct mbp_str name, struct mbp_str value,
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

int mag_demand_env(struct mbp_str json, const char *where, struct mag_demand_env *ret_env, struct mbp_error *err)
{
  struct mag_demand_env env = {0};
  mag_autojson document = NULL;
  int r = mag_json_parse(json.len ? json : mbp_str("{}"), &document, err);
  if (r < 0)
    return r;
  if (mag_json_type(document) != MBP_JSON_OBJECT)
    return mag_error(err, MBP_E_INVALID, "%s must be a mapping of names to texts", where);
  size_t n = mag_json_count(document);
  env.pairs = calloc(n + 1, sizeof(*env.pairs));
  env.texts = calloc(n + 1, sizeof(*env.texts));
  if (!env.pairs || !env.texts)
    r = mag_error_no_memory(err);
  for (const struct mbp_json *i = mag_json_first(document); i && r == 0; i = mag_json_next(i))
    r = mag_json_type(i) == MBP_JSON_STRING
            ? add_pair(&env, where, mag_json_key(i), mag_json_str(i), err)
            : mag_error(err, MBP_E_INVALID, "%s: the value of %.60s must be text", where, mag_json_key(i).ptr);
  if (r < 0) {
    mag_demand_env_done(&env);
    return r;
  }
  *ret_env = env;
  return 0;
}
