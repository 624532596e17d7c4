#include "agent/agents.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "host/redact.h"

#include <magent/mbp-store.h>
#include <stdio.h>
#include <string.h>

#define AGENTS "agents"
#define ENVIRONMENTS "environments"
#define TIMEOUT_MS 60000

void mag_agent_done(struct mag_agent *agent)
{
  mag_definition_done(&agent->definition);
  free(agent->agent);
  free(agent->environment);
  memset(agent, 0, sizeof(*agent));
}

/* ---- Documents -------------------------------------------------------------------------------------------------- */

/* Writes version `expected` + 1. */
static int put(struct mag_instance *store, const char *collection, const char *id, int64_t expected, const char *json,
               struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {.timeout_ms = TIMEOUT_MS};
  int r =
      MAG_RUN(store, &options, err,
              ops->doc_put(plugin, call, mbp_str(collection), mbp_str(id), (uint64_t) expected, mbp_str(json), err));
  return r == -MBP_E_CONFLICT || r == -MBP_E_EXISTS
             ? mag_error(err, MBP_E_CONFLICT, "%s: somebody else has changed it meanwhile; read it again, and repeat",
                         id)
             : r;
}

static int take_document(void *ctx, const struct mbp_event *event)
{
  char **json = ctx;
  if (event->type != MBP_EV_STORE_DOC)
    return 0;
  free(*json);
  *json = mag_str_dup(event->data);
  return *json ? 0 : -MBP_E_NO_MEMORY;
}

/* `version` 0: the newest. */
static int get(struct mag_instance *store, const char *collection, const char *id, int64_t version, char **ret_json,
               struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  mag_autofree char *json = NULL;
  struct mag_call_options options = {.timeout_ms = TIMEOUT_MS, .sink = take_document, .ctx = &json};
  int r = MAG_RUN(store, &options, err,
                  ops->doc_get(plugin, call, mbp_str(collection), mbp_str(id), (uint64_t) version, err));
  if (r < 0)
    return r;
  if (!json)
    return mag_error(err, MBP_E_NOT_FOUND, "%s is not stored", id);
  *ret_json = mag_steal(&json);
  return 0;
}

struct listing {
  int (*each)(void *ctx, struct mbp_str json);
  void *ctx;
  char next[256];
};

static int take_listed(void *ctx, const struct mbp_event *event)
{
  struct listing *listing = ctx;
  return event->type == MBP_EV_STORE_DOC ? listing->each(listing->ctx, event->data) : 0;
}

static int take_page(void *ctx, const void *result, struct mbp_error *err)
{
  struct listing *listing = ctx;
  const struct mbp_page *page = result;
  if (page && page->next.len >= sizeof(listing->next))
    return mag_error(err, MBP_E_INTERNAL, "the store's page token is too long");
  (void) snprintf(listing->next, sizeof(listing->next), "%.*s", page ? (int) page->next.len : 0,
                  page ? page->next.ptr : "");
  return 0;
}

static int list(struct mag_instance *store, struct mbp_str filter, struct listing *listing, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  int r;
  do {
    char page[sizeof(listing->next)];
    memcpy(page, listing->next, sizeof(page));
    struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved),
                              .limit = 1000,
                              .filter = filter,
                              .page = mbp_str(page),
                              .descending = 1};
    struct mag_call_options options = {
        .timeout_ms = TIMEOUT_MS, .sink = take_listed, .on_result = take_page, .ctx = listing};
    listing->next[0] = 0;
    r = MAG_RUN(store, &options, err, ops->doc_list(plugin, call, mbp_str(AGENTS), &query, err));
  } while (r == 0 && listing->next[0]);
  return r;
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

bool mag_agent_is_file(const char *reference)
{
  static const char *const endings[] = {".yaml", ".yml", ".json"};
  size_t len = strlen(reference);
  for (size_t i = 0; i < MAG_COUNT(endings); i++)
    if (len > strlen(endings[i]) && strcmp(reference + len - strlen(endings[i]), endings[i]) == 0)
      return true;
  return strchr(reference, '/') != NULL;
}

struct naming {
  char id[MAG_ID_SIZE];
  size_t n;
};

static int take_named(void *ctx, struct mbp_str json)
{
  struct naming *naming = ctx;
  mag_autojson document = NULL;
  if (mag_json_parse(json, &document, NULL) < 0)
    return 0;
  naming->n++;
  (void) snprintf(naming->id, sizeof(naming->id), "%s", mag_json_str(mag_json_get(document, "id")).ptr);
  return 0;
}

/* Those that are not archived, or (`archived_too`) all. */
static int find_name(struct mag_instance *store, const char *name, bool archived_too, struct naming *ret_naming,
                     struct mbp_error *err)
{
  struct listing listing = {.each = take_named, .ctx = ret_naming};
  mag_autowriter w = mag_writer_new();
  struct mbp_str filter;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "name", mbp_str(name));
  if (!archived_too)
    mag_writer_null(w, "archived_at");
  mag_writer_end(w);
  if (mag_writer_text(w, &filter) < 0)
    return mag_error_no_memory(err);
  return list(store, filter, &listing, err);
}

/* "NAME@3": *ret_version is 3 and *ret_name "NAME". A name that ends so is reached by its id. */
static int split(const char *reference, char **ret_name, int64_t *ret_version, struct mbp_error *err)
{
  const char *at = strrchr(reference, '@');
  bool versioned = at && at > reference && mag_parse_int(mbp_str(at + 1), ret_version) == 0 && *ret_version > 0;
  if (!versioned)
    *ret_version = 0;
  *ret_name = mag_str_dup(mbp_str_n(reference, versioned ? (size_t) (at - reference) : strlen(reference)));
  return *ret_name ? 0 : mag_error_no_memory(err);
}

static int find_id(struct mag_instance *store, const char *name, char id[MAG_ID_SIZE], struct mbp_error *err)
{
  struct naming naming = {.n = 0};
  if (strncmp(name, "agent_", 6) == 0 && strlen(name) == 6 + 26) {
    (void) snprintf(id, MAG_ID_SIZE, "%s", name);
    return 0;
  }
  int r = find_name(store, name, false, &naming, err);
  if (r < 0)
    return r;
  if (naming.n > 1)
    return mag_error(err, MBP_E_INVALID, "%zu agents are named \"%.60s\"; give the id of one", naming.n, name);
  if (naming.n == 0 && find_name(store, name, true, &naming, NULL) == 0 && naming.n)
    return mag_error(err, MBP_E_READ_ONLY, "agent \"%.60s\" is archived; by its id, %s, it can be shown still", name,
                     naming.id);
  if (naming.n == 0)
    return mag_error(err, MBP_E_NOT_FOUND, "no stored agent \"%.60s\"", name);
  (void) snprintf(id, MAG_ID_SIZE, "%s", naming.id);
  return 0;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* What the agent's document says of its environment. */
static int read_environment(struct mag_instance *store, struct mag_agent *agent, const struct mbp_json *json,
                            struct mbp_error *err)
{
  const struct mbp_json *named = mag_json_get(mag_json_get(json, "x_magent"), "environment");
  struct mbp_str id = mag_json_str(mag_json_get(named, "id"));
  if (id.len == 0)
    return mag_error(err, MBP_E_CORRUPT, "the stored agent names no environment");
  return get(store, ENVIRONMENTS, id.ptr, mag_json_num(mag_json_get(named, "version"), 0), &agent->environment, err);
}

static int read_agent(struct mag_instance *store, const char *id, int64_t version, struct mag_agent *agent,
                      struct mbp_error *err)
{
  mag_autojson json = NULL;
  int r = get(store, AGENTS, id, version, &agent->agent, err);
  if (r == 0)
    r = mag_json_parse(mbp_str(agent->agent), &json, err);
  if (r == 0)
    r = read_environment(store, agent, json, err);
  if (r == 0)
    r = mag_definition_from_resources(&agent->definition, mbp_str(agent->agent), mbp_str(agent->environment), err);
  agent->archived = mag_json_type(mag_json_get(json, "archived_at")) == MBP_JSON_STRING;
  return r;
}

int mag_agent_get(struct mag_engine *engine, const char *reference, struct mag_agent *ret_agent, struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_agent agent = {0};
  mag_autofree char *name = NULL;
  char id[MAG_ID_SIZE];
  int64_t version;
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = split(reference, &name, &version, err);
  if (r == 0)
    r = find_id(store, name, id, err);
  if (r == 0)
    r = read_agent(store, id, version, &agent, err);
  if (r < 0) {
    mag_agent_done(&agent);
    return r == -MBP_E_NOT_FOUND && version
               ? mag_error(err, MBP_E_NOT_FOUND, "no stored agent \"%.60s\" of version %lld", name, (long long) version)
           : r == -MBP_E_NOT_FOUND ? mag_error(err, MBP_E_NOT_FOUND, "no stored agent \"%.60s\"", reference)
                                   : r;
  }
  *ret_agent = agent;
  return 0;
}

int mag_agent_use(struct mag_engine *engine, const char *reference, struct mag_definition *definition,
                  struct mbp_error *err)
{
  struct mag_agent agent = {0};
  if (mag_agent_is_file(reference))
    return mag_definition_load(definition, reference, err);
  int r = mag_agent_get(engine, reference, &agent, err);
  if (r == 0 && agent.archived)
    r = mag_error(err, MBP_E_READ_ONLY, "agent \"%.60s\" (%s) is archived: it takes no new sessions",
                  agent.definition.name ? agent.definition.name : "", agent.definition.agent_id);
  if (r == 0)
    r = mag_definition_lay(definition, &agent.definition, err);
  mag_agent_done(&agent);
  return r;
}

int mag_agent_list(struct mag_engine *engine, bool archived_too, int (*each)(void *ctx, struct mbp_str json), void *ctx,
                   struct mbp_error *err)
{
  struct mag_instance *store;
  struct listing listing = {.each = each, .ctx = ctx};
  int r = mag_engine_store(engine, &store, err);
  return r < 0 ? r : list(store, mbp_str(archived_too ? "" : "{\"archived_at\":null}"), &listing, err);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* When a stored document was made, and when it was archived: RFC 3339, or "". */
struct times {
  char created[MAG_TIME_TEXT], archived[MAG_TIME_TEXT];
};

static struct times times_of(const char *document)
{
  struct times times = {"", ""};
  mag_autojson json = NULL;
  if (document && mag_json_parse(mbp_str(document), &json, NULL) == 0) {
    (void) snprintf(times.created, sizeof(times.created), "%s", mag_json_str(mag_json_get(json, "created_at")).ptr);
    (void) snprintf(times.archived, sizeof(times.archived), "%s", mag_json_str(mag_json_get(json, "archived_at")).ptr);
  }
  return times;
}

/* The resource with its times: {... , "created_at": ...}. NULL without memory. */
static char *with_times(const char *resource, const struct times *times)
{
  char now[MAG_TIME_TEXT];
  mag_clock_format(mag_clock_wall_ms(), now);
  const char *quote = times->archived[0] ? "\"" : "";
  return mag_sprintf("%.*s,\"created_at\":\"%s\",\"updated_at\":\"%s\",\"archived_at\":%s%s%s}",
                     (int) strlen(resource) - 1, resource, times->created[0] ? times->created : now, now, quote,
                     quote[0] ? times->archived : "null", quote);
}

static int check_keys(const struct mag_agent *agent, struct mbp_error *err)
{
  if (mag_redact_is_key(mbp_str(agent->agent)) || mag_redact_is_key(mbp_str(agent->environment)))
    return mag_error(err, MBP_E_INVALID,
                     "it holds a key of this program, and keys are not stored; where a key is wanted, write ${NAME}");
  return 0;
}

/* Stores what agent->definition says as the versions that it names. `environment`: the stored one, if it stays; else a
 * version is written that was first made when `first` was (NULL: now). */
static int write_agent(struct mag_instance *store, struct mag_agent *agent, const struct times *times,
                       const char *environment, const char *first, struct mbp_error *err)
{
  struct times made = times_of(first);
  mag_autofree char *a = NULL, *e = NULL;
  const struct mag_definition *definition = &agent->definition;
  int r = mag_definition_resources(definition, &a, &e, err);
  if (r < 0)
    return r;
  made.archived[0] = 0;
  char *old_agent = agent->agent, *old_environment = agent->environment;
  agent->agent = with_times(a, times);
  agent->environment = environment ? mag_str_dup(mbp_str(environment)) : with_times(e, &made);
  free(old_agent);
  free(old_environment); /* may be `environment` */
  if (!agent->agent || !agent->environment)
    return mag_error_no_memory(err);
  r = check_keys(agent, err);
  if (r == 0 && !environment)
    r = put(store, ENVIRONMENTS, definition->environment_id, definition->environment_version - 1, agent->environment,
            err);
  if (r == 0)
    r = put(store, AGENTS, definition->agent_id, definition->agent_version - 1, agent->agent, err);
  return r;
}

static int new_id(char **place, const char *prefix)
{
  char id[MAG_ID_SIZE];
  mag_id_new(id, prefix);
  free(*place);
  *place = mag_str_dup(mbp_str(id));
  return *place ? 0 : -MBP_E_NO_MEMORY;
}

int mag_agent_create(struct mag_engine *engine, const struct mag_definition *definition, struct mag_agent *ret_agent,
                     struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_agent agent = {0};
  struct naming naming = {.n = 0};
  const char *name = definition->name;
  if (!name)
    return mag_error(err, MBP_E_INVALID, "a stored agent needs a name: `name:` in the file, or --set name=...");
  if (strncmp(name, "agent_", 6) == 0 || mag_agent_is_file(name))
    return mag_error(err, MBP_E_INVALID, "\"%.60s\" is no name for a stored agent: it reads like an id or a file",
                     name);
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = find_name(store, name, false, &naming, err);
  if (r == 0 && naming.n)
    r = mag_error(err, MBP_E_EXISTS, "an agent named \"%.60s\" is there already (%s); update it, or take another name",
                  name, naming.id);
  if (r == 0)
    r = mag_definition_lay(&agent.definition, definition, err);
  if (r == 0 &&
      (new_id(&agent.definition.agent_id, "agent_") < 0 || new_id(&agent.definition.environment_id, "env_") < 0))
    r = mag_error_no_memory(err);
  agent.definition.agent_version = agent.definition.environment_version = 1;
  if (r == 0)
    r = write_agent(store, &agent, &(struct times){.created = ""}, NULL, NULL, err);
  if (r < 0) {
    mag_agent_done(&agent);
    return r;
  }
  *ret_agent = agent;
  return 0;
}

/* Are the resources of both the same, whatever their versions? */
static int compare(const struct mag_definition *one, const struct mag_definition *two, bool *ret_agent_same,
                   bool *ret_environment_same, struct mbp_error *err)
{
  mag_autofree char *a1 = NULL, *e1 = NULL, *a2 = NULL, *e2 = NULL;
  struct mag_definition second = *two; /* borrowed members */
  second.agent_version = one->agent_version;
  second.environment_version = one->environment_version;
  int r = mag_definition_resources(one, &a1, &e1, err);
  if (r == 0)
    r = mag_definition_resources(&second, &a2, &e2, err);
  if (r < 0)
    return r;
  *ret_agent_same = strcmp(a1, a2) == 0;
  *ret_environment_same = strcmp(e1, e2) == 0;
  return 0;
}

/* The environment's newest version: one that no agent names may be there after a crash. */
static int newest_environment(struct mag_instance *store, const char *id, int64_t *ret_version, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  mag_autojson document = NULL;
  int r = get(store, ENVIRONMENTS, id, 0, &json, err);
  if (r == 0)
    r = mag_json_parse(mbp_str(json), &document, err);
  if (r == 0)
    *ret_version = mag_json_num(mag_json_get(document, "version"), 0);
  return r;
}

static int store_change(struct mag_instance *store, const struct mag_agent *old,
                        const struct mag_definition *definition, struct mag_agent *agent, struct mbp_error *err)
{
  bool agent_same, environment_same;
  struct times times = times_of(old->agent);
  int r = compare(&old->definition, definition, &agent_same, &environment_same, err);
  if (r == 0)
    r = mag_definition_lay(&agent->definition, definition, err);
  if (r == 0 && agent_same && environment_same) {
    agent->agent = mag_str_dup(mbp_str(old->agent));
    agent->environment = mag_str_dup(mbp_str(old->environment));
    return agent->agent && agent->environment ? 0 : mag_error_no_memory(err);
  }
  if (r == 0 && !environment_same) {
    r = newest_environment(store, agent->definition.environment_id, &agent->definition.environment_version, err);
    agent->definition.environment_version++;
  }
  agent->definition.agent_version = old->definition.agent_version + 1;
  return r < 0 ? r
               : write_agent(store, agent, &times, environment_same ? old->environment : NULL, old->environment, err);
}

int mag_agent_update(struct mag_engine *engine, const struct mag_definition *definition, int64_t expected,
                     struct mag_agent *ret_agent, struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_agent old = {0}, agent = {0};
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = read_agent(store, definition->agent_id, 0, &old, err);
  int64_t version = old.definition.agent_version;
  if (r == 0 && old.archived)
    r = mag_error(err, MBP_E_READ_ONLY, "agent \"%.60s\" (%s) is archived: it cannot be changed any more",
                  old.definition.name ? old.definition.name : "", definition->agent_id);
  if (r == 0 && (version != definition->agent_version || (expected && version != expected)))
    r = mag_error(err, MBP_E_CONFLICT, "agent %s has version %lld, not %lld: look at it again, and repeat the change",
                  definition->agent_id, (long long) version,
                  (long long) (expected ? expected : definition->agent_version));
  if (r == 0)
    r = store_change(store, &old, definition, &agent, err);
  mag_agent_done(&old);
  if (r < 0) {
    mag_agent_done(&agent);
    return r;
  }
  *ret_agent = agent;
  return 0;
}

int mag_agent_archive(struct mag_engine *engine, const char *reference, struct mag_agent *ret_agent,
                      struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_agent agent = {0};
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = mag_agent_get(engine, reference, &agent, err);
  if (r == 0 && !agent.archived) {
    struct times times = times_of(agent.agent);
    mag_clock_format(mag_clock_wall_ms(), times.archived);
    agent.definition.agent_version++;
    agent.archived = true;
    r = write_agent(store, &agent, &times, agent.environment, NULL, err);
  }
  if (r < 0) {
    mag_agent_done(&agent);
    return r;
  }
  *ret_agent = agent;
  return 0;
}
