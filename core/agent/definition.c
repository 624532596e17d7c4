#include "agent/definition.h"

#include "agent/yaml.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1024 * 1024)
#define NUMBER_MAX (INT64_C(1) << 53) /* what every reader of JSON keeps */

void mag_definition_done(struct mag_definition *definition)
{
  char *const all[] = {
      definition->name,         definition->description, definition->model,     definition->model_params,
      definition->system,       definition->tools,       definition->compute,   definition->compute_options,
      definition->network,      definition->working_dir, definition->workspace, definition->image,
      definition->env,          definition->metadata,    definition->store,     definition->plugins,
      definition->chosen_tools,
  };
  for (size_t i = 0; i < MAG_COUNT(all); i++)
    free(all[i]);
  memset(definition, 0, sizeof(*definition));
}

/* ---- From JSON ------------------------------------------------------------------------------------------------ */

/* One object being read. `text` is its own text, for slices. */
struct reading {
  struct mag_definition *definition;
  struct mbp_str text;
  const struct mbp_json *json;
  struct mbp_error *err;
};

static int set(struct reading *reading, char **place, struct mbp_str value)
{
  if (*place)
    return 0; /* what was said first stays */
  *place = mag_str_dup(value);
  return *place ? 0 : mag_error_no_memory(reading->err);
}

static int wrong_type(struct reading *reading, const struct mbp_json *value, const char *wanted)
{
  struct mbp_str key = mag_json_key(value);
  return mag_error(reading->err, MBP_E_INVALID, "%.*s: expected %s", (int) key.len, key.ptr, wanted);
}

static int take_text(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  if (mag_json_type(value) != MBP_JSON_STRING)
    return wrong_type(reading, value, "text");
  return set(reading, (char **) (void *) ((char *) reading->definition + offset), mag_json_str(value));
}

static int take_slice(struct reading *reading, const struct mbp_json *value, size_t offset, uint32_t type,
                      const char *wanted)
{
  struct mbp_str slice;
  mag_autofree char *key = mag_str_dup(mag_json_key(value));
  if (mag_json_type(value) != type)
    return wrong_type(reading, value, wanted);
  if (!key || !mag_json_slice(reading->text, key, &slice))
    return wrong_type(reading, value, wanted);
  return set(reading, (char **) (void *) ((char *) reading->definition + offset), slice);
}

static int take_array(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  return take_slice(reading, value, offset, MBP_JSON_ARRAY, "a list");
}

static int take_object(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  return take_slice(reading, value, offset, MBP_JSON_OBJECT, "a mapping");
}

static int take_size(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  int64_t *place = (int64_t *) (void *) ((char *) reading->definition + offset), number = mag_json_num(value, -1);
  if ((number < 0 && mag_parse_size(mag_json_str(value), &number) < 0) || number > NUMBER_MAX)
    return wrong_type(reading, value, "a size such as 512M");
  if (*place == 0)
    *place = number;
  return 0;
}

static int take_count(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  int64_t *place = (int64_t *) (void *) ((char *) reading->definition + offset), number = mag_json_num(value, -1);
  if (number < 0 || number > INT32_MAX)
    return wrong_type(reading, value, "a whole number");
  if (*place == 0)
    *place = number;
  return 0;
}

static int take_duration(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  int64_t *place = (int64_t *) (void *) ((char *) reading->definition + offset), ms;
  if (mag_parse_duration(mag_json_str(value), &ms) < 0 || ms > NUMBER_MAX)
    return wrong_type(reading, value, "a duration such as 30s or 5m");
  if (*place == 0)
    *place = ms;
  return 0;
}

static int take_cpu(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  double cpus = mag_json_double(value, -1);
  if (!(cpus >= 0.001 && cpus <= 4096))
    return wrong_type(reading, value, "a number of processors, such as 0.5 or 2");
  if (reading->definition->cpu_millis == 0)
    reading->definition->cpu_millis = (int64_t) (cpus * 1000);
  (void) offset;
  return 0;
}

struct key {
  const char *name;
  int (*take)(struct reading *reading, const struct mbp_json *value, size_t offset);
  size_t offset;
};

static int take_keys(struct reading *reading, const struct key *keys);

static int take_nested(struct reading *reading, const struct mbp_json *value, const struct key *keys)
{
  struct reading inner = *reading;
  mag_autofree char *name = mag_str_dup(mag_json_key(value));
  inner.json = value;
  if (!name || mag_json_type(value) != MBP_JSON_OBJECT || !mag_json_slice(reading->text, name, &inner.text))
    return wrong_type(reading, value, "a mapping");
  int r = take_keys(&inner, keys);
  return r < 0 ? mag_error_wrap(reading->err, "%s", name) : 0;
}

/* model: a name, or {id: NAME, PARAMETER: VALUE ...} */
static int take_model(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  struct mag_definition *definition = reading->definition;
  if (mag_json_type(value) == MBP_JSON_STRING || definition->model)
    return definition->model ? 0 : take_text(reading, value, offset);
  struct mbp_str id = mag_json_str(mag_json_get(value, "id")), text, key, item;
  if (id.len == 0 || !mag_json_slice(reading->text, "model", &text))
    return wrong_type(reading, value, "a name, or a mapping with an id");
  mag_autowriter w = mag_writer_new();
  size_t at = 0;
  mag_writer_object(w, NULL);
  while (mag_json_step(text, &at, &key, &item)) {
    mag_autofree char *name = mag_str_dup(key);
    if (name && strcmp(name, "id") != 0)
      mag_writer_raw(w, name, item);
  }
  mag_writer_end(w);
  definition->model_params = mag_writer_take(w);
  return definition->model_params ? set(reading, &definition->model, id) : mag_error_no_memory(reading->err);
}

static const struct key networking_keys[] = {
    {"type", take_text, offsetof(struct mag_definition, network)},
    {NULL, NULL, 0},
};

static int take_networking(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  if (mag_json_type(value) == MBP_JSON_STRING)
    return take_text(reading, value, offset);
  const char *const later[] = {"allowed_hosts", "allow_mcp_servers", "allow_package_managers"};
  for (size_t i = 0; i < MAG_COUNT(later); i++)
    if (mag_json_get(value, later[i]))
      return mag_error(reading->err, MBP_E_UNSUPPORTED,
                       "networking: %s cannot be enforced by this version; use type none or host", later[i]);
  return take_nested(reading, value, networking_keys);
}

/* compute: a provider's name, or {provider: NAME, memory: ..., options: {...}} */
static const struct key compute_keys[] = {
    {"provider", take_text, offsetof(struct mag_definition, compute)},
    {"options", take_object, offsetof(struct mag_definition, compute_options)},
    {"image", take_text, offsetof(struct mag_definition, image)},
    {"cpu", take_cpu, 0},
    {"memory", take_size, offsetof(struct mag_definition, memory_bytes)},
    {"pids", take_count, offsetof(struct mag_definition, pids)},
    {"idle_timeout", take_duration, offsetof(struct mag_definition, idle_ms)},
    {"env", take_object, offsetof(struct mag_definition, env)},
    {"working_dir", take_text, offsetof(struct mag_definition, working_dir)},
    {"workspace", take_text, offsetof(struct mag_definition, workspace)},
    {NULL, NULL, 0},
};

static int take_compute(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  if (mag_json_type(value) == MBP_JSON_STRING)
    return take_text(reading, value, offset);
  return take_nested(reading, value, compute_keys);
}

/* In the defaults file only: [{"env": [NAME ...], "model": MODEL} ...]; the first one of which a variable is set, or
 * that names none, gives the model. */
static bool any_is_set(const struct mbp_json *names)
{
  const struct mbp_json *name = mag_json_first(names);
  bool set = name == NULL;
  for (; name && !set; name = mag_json_next(name)) {
    const char *value = secure_getenv(mag_json_str(name).ptr);
    set = value && *value;
  }
  return set;
}

static int take_models(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  (void) offset;
  if (mag_json_type(value) != MBP_JSON_ARRAY)
    return wrong_type(reading, value, "a list");
  for (const struct mbp_json *i = mag_json_first(value); i; i = mag_json_next(i)) {
    const struct mbp_json *env = mag_json_get(i, "env"), *model = mag_json_get(i, "model");
    if (mag_json_str(model).len == 0 || (env && mag_json_type(env) != MBP_JSON_ARRAY))
      return wrong_type(reading, value, "entries with a model, and a list of names as env");
    if (any_is_set(env))
      return set(reading, &reading->definition->model, mag_json_str(model));
  }
  return 0;
}

static int take_packages(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  (void) value;
  (void) offset;
  return mag_error(
      reading->err, MBP_E_UNSUPPORTED,
      "packages: this version cannot install packages; remove the key, or use an environment that has them");
}

/* A toolset with all tools off but those of `list`. NULL without memory. */
static char *with_chosen(struct mbp_str toolset, const char *list)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_array(w, NULL);
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", toolset);
  mag_writer_object(w, "default_config");
  mag_writer_boolean(w, "enabled", 0);
  mag_writer_end(w);
  mag_writer_array(w, "configs");
  while (*list) {
    size_t len = strcspn(list, ",");
    mag_writer_object(w, NULL);
    mag_writer_string(w, "name", mbp_str_n(list, len));
    mag_writer_boolean(w, "enabled", 1);
    mag_writer_end(w);
    list += len;
    list += *list == ',';
  }
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_end(w);
  return mag_writer_take(w);
}

/* In the defaults file: chosen tools are tools of its first toolset, whatever else has been said. */
static int take_default_tools(struct reading *reading, const struct mbp_json *value, size_t offset)
{
  struct mag_definition *definition = reading->definition;
  struct mbp_str toolset = mag_json_str(mag_json_get(mag_json_first(value), "type"));
  if (!definition->chosen_tools)
    return take_array(reading, value, offset);
  if (mag_json_type(value) != MBP_JSON_ARRAY || toolset.len == 0)
    return wrong_type(reading, value, "a list that begins with a toolset, for --tools");
  char *tools = with_chosen(toolset, definition->chosen_tools);
  if (!tools)
    return mag_error_no_memory(reading->err);
  free(definition->tools);
  free(definition->chosen_tools);
  definition->tools = tools;
  definition->chosen_tools = NULL;
  return 0;
}

static const struct key top_keys[] = {
    {"name", take_text, offsetof(struct mag_definition, name)},
    {"description", take_text, offsetof(struct mag_definition, description)},
    {"model", take_model, offsetof(struct mag_definition, model)},
    {"system", take_text, offsetof(struct mag_definition, system)},
    {"tools", take_array, offsetof(struct mag_definition, tools)},
    {"compute", take_compute, offsetof(struct mag_definition, compute)},
    {"networking", take_networking, offsetof(struct mag_definition, network)},
    {"packages", take_packages, 0},
    {"metadata", take_object, offsetof(struct mag_definition, metadata)},
    {NULL, NULL, 0},
};

static const struct key default_keys[] = {
    {"store", take_text, offsetof(struct mag_definition, store)},
    {"plugins", take_object, offsetof(struct mag_definition, plugins)},
    {"models", take_models, 0},
    {"system", take_text, offsetof(struct mag_definition, system)},
    {"tools", take_default_tools, offsetof(struct mag_definition, tools)},
    {"compute", take_compute, offsetof(struct mag_definition, compute)},
    {NULL, NULL, 0},
};

static int unknown_key(struct reading *reading, struct mbp_str name, const struct key *keys)
{
  const char *names[16];
  size_t n = 0;
  for (; keys[n].name && n < MAG_COUNT(names) - 1; n++)
    names[n] = keys[n].name;
  names[n] = NULL;
  mag_autofree char *text = mag_str_dup(name);
  int nearest = text ? mag_nearest(text, names) : -1;
  if (nearest >= 0)
    return mag_error(reading->err, MBP_E_INVALID, "unknown key \"%.60s\"; did you mean \"%s\"?", text, names[nearest]);
  mag_autobuf all = MAG_BUF_INIT;
  for (size_t i = 0; i < n; i++)
    mag_buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
  return mag_error(reading->err, MBP_E_INVALID, "unknown key \"%.60s\"; known are %s", text ? text : "", all.ptr);
}

static int take_keys(struct reading *reading, const struct key *keys)
{
  for (const struct mbp_json *value = mag_json_first(reading->json); value; value = mag_json_next(value)) {
    const struct key *key = keys;
    while (key->name && !mbp_str_eq(mag_json_key(value), key->name))
      key++;
    int r = key->name ? key->take(reading, value, key->offset) : unknown_key(reading, mag_json_key(value), keys);
    if (r < 0)
      return r;
  }
  return 0;
}

static int take(struct mag_definition *definition, struct mbp_str json, const struct key *keys, const char *where,
                struct mbp_error *err)
{
  mag_autojson document = NULL;
  int r = mag_json_parse(json, &document, err);
  if (r == 0 && mag_json_type(document) != MBP_JSON_OBJECT)
    r = mag_error(err, MBP_E_INVALID, "expected a mapping of keys to values");
  struct reading reading = {definition, json, document, err};
  if (r == 0)
    r = take_keys(&reading, keys);
  return r < 0 ? mag_error_wrap(err, "%s", where) : 0;
}

int mag_definition_take(struct mag_definition *definition, struct mbp_str json, const char *where,
                        struct mbp_error *err)
{
  return take(definition, json, top_keys, where, err);
}

int mag_definition_take_defaults(struct mag_definition *definition, struct mbp_str json, const char *where,
                                 struct mbp_error *err)
{
  return take(definition, json, default_keys, where, err);
}

/* ---- From files ----------------------------------------------------------------------------------------------- */

static int read_file(const char *path, struct mag_buf *buf, struct mbp_error *err)
{
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return mag_error_errno(err, errno, "%s", path);
  for (;;) {
    if (mag_buf_reserve(buf, 65536) < 0)
      return mag_error_no_memory(err);
    ssize_t n = read(fd, buf->ptr + buf->len, 65536);
    if (n < 0)
      return mag_error_errno(err, errno, "%s", path);
    if (n == 0)
      return 0;
    buf->len += (size_t) n;
    buf->ptr[buf->len] = 0;
    if (buf->len > FILE_MAX)
      return mag_error(err, MBP_E_LIMIT, "%s: longer than 1 MiB: not an agent file", path);
  }
}

int mag_definition_load(struct mag_definition *definition, const char *path, struct mbp_error *err)
{
  mag_autobuf text = MAG_BUF_INIT;
  mag_autofree char *json = NULL;
  int r = read_file(path, &text, err);
  if (r < 0)
    return r;
  r = mag_yaml_to_json(mag_buf_str(&text), &json, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", path);
  return mag_definition_take(definition, mbp_str(json), path, err);
}

int mag_definition_read_defaults(struct mag_definition *definition, bool *ret_missing, char **ret_path,
                                 struct mbp_error *err)
{
  const char *dir = secure_getenv("MAGENT_CONF_DIR");
  mag_autofree char *path = mag_sprintf("%s/defaults.json", dir ? dir : MAGENT_SYSCONFDIR);
  mag_autobuf text = MAG_BUF_INIT;
  struct mbp_error own = MAG_ERROR_INIT;
  if (!path)
    return mag_error_no_memory(err);
  int r = read_file(path, &text, &own);
  bool missing = r == -MBP_E_NOT_FOUND;
  if (r == 0)
    r = mag_definition_take_defaults(definition, mag_buf_str(&text), path, err);
  else if (missing)
    r = 0;
  else if (err)
    *err = own;
  if (r < 0)
    return r;
  *ret_missing = missing;
  if (ret_path)
    *ret_path = mag_steal(&path);
  return 0;
}

int mag_definition_defaults(struct mag_definition *definition, struct mbp_error *err)
{
  mag_autofree char *path = NULL;
  bool missing = false;
  int r = mag_definition_read_defaults(definition, &missing, &path, err);
  if (r < 0)
    return r;
  if (definition->chosen_tools)
    return mag_error(err, MBP_E_INVALID,
                     "no default toolset for --tools: %s %s; name the tools in an agent file instead", path,
                     missing ? "is missing" : "names none");
  if (!definition->tools && !(definition->tools = mag_str_dup(mbp_str("[]"))))
    return mag_error_no_memory(err);
  if (!definition->model || !definition->compute)
    r = mag_error(err, MBP_E_INVALID, "no default %s: %s %s; give --%s", definition->model ? "compute" : "model", path,
                  missing ? "is missing" : "names none", definition->model ? "compute" : "model");
  return r;
}

int mag_definition_set_tools(struct mag_definition *definition, const char *list, struct mbp_error *err)
{
  bool none = strcmp(list, "none") == 0;
  if (!*list)
    return mag_error(err, MBP_E_INVALID, "--tools: the list is empty; \"none\" is for no tools");
  if (*list == ',' || strstr(list, ",,") || !mag_utf8_valid(list, strlen(list)))
    return mag_error(err, MBP_E_INVALID, "--tools: \"%s\" is not a list such as bash,read", list);
  char *copy = mag_str_dup(mbp_str(none ? "[]" : list));
  if (!copy)
    return mag_error_no_memory(err);
  free(definition->tools);
  free(definition->chosen_tools);
  definition->tools = none ? copy : NULL;
  definition->chosen_tools = none ? NULL : copy;
  return 0;
}

/* ---- To resources and back ------------------------------------------------------------------------------------ */

static void optional_string(struct mbp_writer *w, const char *key, const char *value)
{
  if (value)
    mag_writer_string(w, key, mbp_str(value));
}

static void optional_raw(struct mbp_writer *w, const char *key, const char *value)
{
  if (value)
    mag_writer_raw(w, key, mbp_str(value));
}

static void optional_number(struct mbp_writer *w, const char *key, int64_t value)
{
  if (value)
    mag_writer_number(w, key, value);
}

int mag_definition_resources(const struct mag_definition *definition, char **ret_agent, char **ret_environment,
                             struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("agent"));
  mag_writer_string(w, "name", mbp_str(definition->name ? definition->name : "agent"));
  optional_string(w, "description", definition->description);
  optional_string(w, "system", definition->system);
  mag_writer_object(w, "model");
  mag_writer_string(w, "id", mbp_str(definition->model));
  optional_raw(w, "params", definition->model_params);
  mag_writer_end(w);
  mag_writer_raw(w, "tools", mbp_str(definition->tools));
  optional_raw(w, "metadata", definition->metadata);
  mag_writer_end(w);
  mag_autofree char *agent = mag_writer_take(w);
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("environment"));
  mag_writer_object(w, "config");
  mag_writer_object(w, "networking");
  optional_string(w, "type", definition->network);
  mag_writer_end(w);
  mag_writer_end(w);
  mag_writer_object(w, "x_magent");
  mag_writer_string(w, "provider", mbp_str(definition->compute));
  optional_raw(w, "options", definition->compute_options);
  optional_string(w, "workspace", definition->workspace);
  optional_string(w, "working_dir", definition->working_dir);
  optional_string(w, "image", definition->image);
  optional_raw(w, "env", definition->env);
  optional_number(w, "memory", definition->memory_bytes);
  optional_number(w, "cpu_millis", definition->cpu_millis);
  optional_number(w, "pids", definition->pids);
  optional_number(w, "idle_ms", definition->idle_ms);
  mag_writer_end(w);
  mag_writer_end(w);
  char *environment = mag_writer_take(w);
  if (!agent || !environment) {
    free(environment);
    return mag_error_no_memory(err);
  }
  *ret_agent = mag_steal(&agent);
  *ret_environment = environment;
  return 0;
}

static int copy_str(char **place, const struct mbp_json *value)
{
  struct mbp_str text = mag_json_str(value);
  if (text.len)
    *place = mag_str_dup(text);
  return text.len && !*place ? -MBP_E_NO_MEMORY : 0;
}

static int copy_slice(char **place, struct mbp_str all, const char *path)
{
  struct mbp_str slice;
  if (!mag_json_slice(all, path, &slice))
    return 0;
  *place = mag_str_dup(slice);
  return *place ? 0 : -MBP_E_NO_MEMORY;
}

int mag_definition_from_resources(struct mag_definition *definition, struct mbp_str agent, struct mbp_str environment,
                                  struct mbp_error *err)
{
  mag_autojson a = NULL;
  mag_autojson e = NULL;
  int r = mag_json_parse(agent, &a, err);
  if (r == 0)
    r = mag_json_parse(environment.len ? environment : mbp_str("{}"), &e, err);
  if (r < 0)
    return r;
  const struct mbp_json *x = mag_json_get(e, "x_magent"), *config = mag_json_get(e, "config");
  struct mag_definition d = {0};
  if (copy_str(&d.name, mag_json_get(a, "name")) < 0 || copy_str(&d.system, mag_json_get(a, "system")) < 0 ||
      copy_str(&d.model, mag_json_get(mag_json_get(a, "model"), "id")) < 0 ||
      copy_slice(&d.model_params, agent, "model/params") < 0 || copy_slice(&d.tools, agent, "tools") < 0 ||
      copy_str(&d.network, mag_json_get(mag_json_get(config, "networking"), "type")) < 0 ||
      copy_str(&d.compute, mag_json_get(x, "provider")) < 0 ||
      copy_slice(&d.compute_options, environment, "x_magent/options") < 0 ||
      copy_str(&d.workspace, mag_json_get(x, "workspace")) < 0 ||
      copy_str(&d.working_dir, mag_json_get(x, "working_dir")) < 0 ||
      copy_str(&d.image, mag_json_get(x, "image")) < 0 || copy_slice(&d.env, environment, "x_magent/env") < 0) {
    mag_definition_done(&d);
    return mag_error_no_memory(err);
  }
  d.memory_bytes = mag_json_num(mag_json_get(x, "memory"), 0);
  d.cpu_millis = mag_json_num(mag_json_get(x, "cpu_millis"), 0);
  d.pids = mag_json_num(mag_json_get(x, "pids"), 0);
  d.idle_ms = mag_json_num(mag_json_get(x, "idle_ms"), 0);
  *definition = d;
  return 0;
}
