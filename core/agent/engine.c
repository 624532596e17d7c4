#include "agent/engine.h"

#include "agent/definition.h"
#include "agent/price.h"
#include "agent/sandbox.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "host/http.h"
#include "host/services.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

/* The plugin that keeps logs when not even the defaults file says otherwise; a build may name another. */
#ifndef MAGENT_DEFAULT_STORE
#define MAGENT_DEFAULT_STORE "sqlite"
#endif

struct opened {
  struct opened *next;
  uint32_t kind;
  char *name, *config;
  struct mag_instance *instance;
};

struct mag_engine {
  struct mag_registry *registry;
  char *store_name, *store_config;
  char *toolset; /* type of the defaults file's first toolset, or NULL */
  char *plugins; /* JSON object of "kind-name" to options, from the defaults file; or NULL */
  pthread_mutex_t lock;
  struct opened *opened;
  struct mag_prices *prices;
  bool prices_loaded;
  sem_t turns; /* how many more may run */
};

char *mag_state_dir(void)
{
  const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
  if (state && state[0] == '/')
    return mag_sprintf("%s/magent", state);
  return home && home[0] == '/' ? mag_sprintf("%s/.local/state/magent", home) : NULL;
}

static char *first_toolset(const char *tools)
{
  mag_autojson json = NULL;
  struct mbp_str type = {NULL, 0};
  if (tools && mag_json_parse(mbp_str(tools), &json, NULL) == 0)
    type = mag_json_str(mag_json_get(mag_json_first(json), "type"));
  return type.len ? mag_str_dup(type) : NULL;
}

int mag_engine_new(const struct mag_engine_options *options, struct mag_engine **ret_engine, struct mbp_error *err)
{
  struct mag_engine *engine = calloc(1, sizeof(*engine));
  if (!engine)
    return mag_error_no_memory(err);
  pthread_mutex_init(&engine->lock, NULL);
  sem_init(&engine->turns, 0, MAG_TURNS_MAX);
  mag_service_add(MBP_COMPUTE_V1, &mag_compute_table);
  struct mag_definition defaults = {0};
  bool missing;
  if (mag_definition_read_defaults(&defaults, &missing, NULL, err) < 0) {
    int failed = -err->code;
    mag_definition_done(&defaults);
    mag_engine_free(engine);
    return failed;
  }
  engine->plugins = mag_steal(&defaults.plugins);
  engine->toolset = first_toolset(defaults.tools);
  const char *store = options->store ? options->store : defaults.store ? defaults.store : MAGENT_DEFAULT_STORE;
  engine->store_name = mag_str_dup(mbp_str(store));
  mag_definition_done(&defaults);
  engine->store_config = mag_str_dup(options->store_config);
  int r = engine->store_name && engine->store_config ? 0 : mag_error_no_memory(err);
  if (r == 0)
    r = mag_registry_new(options->plugin_dirs, NULL, &engine->registry, err);
  if (r == 0 && options->exe)
    r = mag_registry_ask_in(engine->registry, options->exe, err);
  if (r < 0) {
    mag_engine_free(engine);
    return r;
  }
  *ret_engine = engine;
  return 0;
}

void mag_engine_free(struct mag_engine *engine)
{
  if (!engine)
    return;
  mag_http_settle(); /* a program that ends must not leave while libcurl starts */
  while (engine->opened) {
    struct opened *first = engine->opened;
    engine->opened = first->next;
    mag_instance_close(first->instance);
    free(first->name);
    free(first->config);
    free(first);
  }
  mag_registry_free(engine->registry);
  pthread_mutex_destroy(&engine->lock);
  sem_destroy(&engine->turns);
  free(engine->toolset);
  mag_prices_free(engine->prices);
  free(engine->plugins);
  free(engine->store_name);
  free(engine->store_config);
  free(engine);
}

int mag_engine_begin_turn(struct mag_engine *engine, struct mbp_call *call, struct mbp_error *err)
{
  while (sem_trywait(&engine->turns) != 0) {
    struct timespec until = mag_clock_wall_after(50); /* how soon a cancellation is heard while waiting in the queue */
    if (sem_timedwait(&engine->turns, &until) == 0)
      return 0;
    if (mag_call_cancelled(call))
      return mag_call_cancel_error(call, err);
  }
  return 0;
}

void mag_engine_end_turn(struct mag_engine *engine)
{
  sem_post(&engine->turns);
}

struct mbp_str mag_engine_config(struct mag_engine *engine, uint32_t kind, const char *name)
{
  char key[96];
  struct mbp_str config;
  (void) snprintf(key, sizeof(key), "%s-%s", mag_kind_name(kind), name);
  return engine->plugins && mag_json_slice(mbp_str(engine->plugins), key, &config) ? config : mbp_str("");
}

const char *mag_engine_store_name(const struct mag_engine *engine)
{
  return engine->store_name;
}

const char *mag_engine_toolset(const struct mag_engine *engine)
{
  return engine->toolset;
}

int mag_engine_prices(struct mag_engine *engine, const struct mag_prices **ret_prices, struct mbp_error *err)
{
  pthread_mutex_lock(&engine->lock);
  int r = engine->prices_loaded ? 0 : mag_prices_load(&engine->prices, err);
  engine->prices_loaded |= r == 0;
  *ret_prices = engine->prices;
  pthread_mutex_unlock(&engine->lock);
  return r;
}

struct mag_registry *mag_engine_registry(struct mag_engine *engine)
{
  return engine->registry;
}

/* The lock is held. */
static int open_plugin(struct mag_engine *engine, const struct mag_plugin *plugin, struct mbp_str config,
                       struct mag_instance **ret_instance, struct mbp_error *err)
{
  uint32_t kind = plugin->descriptor.kind;
  const char *name = plugin->descriptor.name;
  if (config.len == 0)
    config = mag_engine_config(engine, kind, name);
  for (struct opened *i = engine->opened; i; i = i->next)
    if (i->kind == kind && strcmp(i->name, name) == 0 && mbp_str_eq(config, i->config) &&
        !mag_instance_unhealthy(i->instance)) {
      *ret_instance = i->instance;
      return 0;
    }
  struct opened *opened = calloc(1, sizeof(*opened));
  if (!opened)
    return mag_error_no_memory(err);
  opened->kind = kind;
  opened->name = mag_str_dup(mbp_str(name));
  opened->config = mag_str_dup(config);
  int r = opened->name && opened->config ? 0 : mag_error_no_memory(err);
  if (r == 0)
    r = mag_instance_open(&plugin->descriptor, config, &opened->instance, err);
  if (r < 0) {
    free(opened->name);
    free(opened->config);
    free(opened);
    return r;
  }
  opened->next = engine->opened;
  engine->opened = opened;
  *ret_instance = opened->instance;
  return 0;
}

static int find_and_open(struct mag_engine *engine, uint32_t kind, const char *name, struct mbp_str config,
                         struct mag_instance **ret_instance, struct mbp_error *err)
{
  const struct mag_plugin *plugin;
  pthread_mutex_lock(&engine->lock);
  int r = mag_registry_find(engine->registry, kind, name, &plugin, err);
  if (r == 0)
    r = open_plugin(engine, plugin, config, ret_instance, err);
  pthread_mutex_unlock(&engine->lock);
  return r;
}

int mag_engine_store(struct mag_engine *engine, struct mag_instance **ret_store, struct mbp_error *err)
{
  return find_and_open(engine, MBP_KIND_STORE, engine->store_name, mbp_str(engine->store_config), ret_store, err);
}

int mag_engine_compute(struct mag_engine *engine, const char *provider, struct mbp_str options,
                       struct mag_instance **ret_compute, struct mbp_error *err)
{
  return find_and_open(engine, MBP_KIND_COMPUTE, provider, options, ret_compute, err);
}

int mag_engine_llm(struct mag_engine *engine, const char *model, struct mag_instance **ret_llm, const char **ret_model,
                   struct mbp_error *err)
{
  const struct mag_plugin *plugin;
  pthread_mutex_lock(&engine->lock);
  int r = mag_registry_find_model(engine->registry, model, &plugin, ret_model, err);
  if (r == 0)
    r = open_plugin(engine, plugin, mbp_str(""), ret_llm, err);
  pthread_mutex_unlock(&engine->lock);
  return r;
}
