#include "host/instance.h"

#include "base/error.h"
#include "host/config.h"
#include "host/host.h"
#include "host/redact.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct mag_instance {
  const struct mbp_plugin *descriptor;
  struct mbp_instance *plugin;
  struct mbp_config *config;
  pthread_mutex_t gate;  /* THREADS_INSTANCE */
  pthread_mutex_t *lock; /* what an operation holds: our gate, the plugin's, or NULL */
  atomic_bool unhealthy;
};

/* One gate and one host table for each plugin, by kind and name, kept until the process ends. */
struct plugin_state {
  struct plugin_state *next;
  uint32_t kind;
  char *name;
  const struct mbp_host *host;
  pthread_mutex_t gate; /* THREADS_SERIAL */
};

static struct plugin_state *find_state(const struct mbp_plugin *descriptor)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static struct plugin_state *states;
  pthread_mutex_lock(&lock);
  struct plugin_state *state = states;
  while (state && (state->kind != descriptor->kind || strcmp(state->name, descriptor->name) != 0))
    state = state->next;
  char *name = state ? NULL : strdup(descriptor->name);
  if (name && (state = calloc(1, sizeof(*state)))) {
    state->kind = descriptor->kind;
    state->name = name;
    state->host = mag_host_for(descriptor->name);
    pthread_mutex_init(&state->gate, NULL);
    state->next = states;
    states = state;
  }
  pthread_mutex_unlock(&lock);
  return state && state->host ? state : NULL;
}

int mag_instance_open(const struct mbp_plugin *descriptor, struct mbp_str config, struct mag_instance **ret_instance,
                      struct mbp_error *err)
{
  struct plugin_state *state = find_state(descriptor);
  struct mag_instance *instance = calloc(1, sizeof(*instance));
  if (!state || !instance) {
    free(instance);
    return mag_error_no_memory(err);
  }
  instance->descriptor = descriptor;
  pthread_mutex_init(&instance->gate, NULL);
  if (descriptor->threads == MBP_THREADS_SERIAL)
    instance->lock = &state->gate;
  else if (descriptor->threads == MBP_THREADS_INSTANCE)
    instance->lock = &instance->gate;
  int r = mag_config_new(descriptor->name, descriptor->params, config, &instance->config, err);
  if (r == 0) {
    r = descriptor->open(state->host, instance->config, &instance->plugin, err);
    if (r < 0) {
      mag_error_wrap(err, "%s", descriptor->name);
      mag_redact_error(err);
    }
  }
  if (r < 0) {
    mag_config_free(instance->config);
    free(instance);
    return r;
  }
  *ret_instance = instance;
  return 0;
}

void mag_instance_close(struct mag_instance *instance)
{
  if (!instance || instance->unhealthy)
    return;
  instance->descriptor->close(instance->plugin);
  mag_config_free(instance->config);
  pthread_mutex_destroy(&instance->gate);
  free(instance);
}

const struct mbp_plugin *mag_instance_descriptor(const struct mag_instance *instance)
{
  return instance->descriptor;
}

const void *mag_instance_ops(const struct mag_instance *instance)
{
  return instance->descriptor->ops;
}

const void *mag_instance_info(const struct mag_instance *instance)
{
  return instance->descriptor->info;
}

struct mbp_instance *mag_instance_plugin(const struct mag_instance *instance)
{
  return instance->plugin;
}

struct mbp_call *mag_instance_enter(struct mag_instance *instance, const struct mag_call_options *options, bool control,
                                    struct mbp_error *err)
{
  if (instance->unhealthy) {
    mag_error(err, MBP_E_UNAVAILABLE, "%s did not end an earlier call and is not used any more",
              instance->descriptor->name);
    return NULL;
  }
  struct mag_call_options own = *options;
  own.asynchronous = instance->descriptor->caps & MBP_CAP_ASYNC;
  struct mbp_call *call = mag_call_new(&own);
  if (!call) {
    mag_error_no_memory(err);
    return NULL;
  }
  mag_error_clear(err);
  if (!control && instance->lock)
    pthread_mutex_lock(instance->lock);
  return call;
}

void mag_instance_returned(struct mag_instance *instance, bool control)
{
  if (!control && instance->lock)
    pthread_mutex_unlock(instance->lock);
}

int mag_instance_leave(struct mag_instance *instance, struct mbp_call *call, int r, struct mbp_error *err)
{
  bool abandoned = false;
  r = mag_call_wait(call, r, &abandoned, err);
  mag_call_unref(call);
  if (r < 0)
    mag_redact_error(err); /* a service may quote the key that it was sent */
  if (abandoned)
    instance->unhealthy = true;
  return r;
}
