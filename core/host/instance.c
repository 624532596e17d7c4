#include "host/instance.h"

#include "base/clock.h"
#include "base/error.h"
#include "host/config.h"
#include "host/host.h"
#include "host/redact.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATE_LOOK_MS 20 /* between two looks whether who waits is cancelled */

/* One operation at a time. No mutex, since who waits must be able to leave. */
struct gate {
  pthread_mutex_t lock;
  pthread_cond_t opened;
  bool taken;
};

struct mag_instance {
  struct mag_instance *next; /* of those left alone */
  const struct mbp_plugin *descriptor;
  struct mbp_instance *plugin;
  struct mbp_config *config;
  struct gate own_gate; /* THREADS_INSTANCE */
  struct gate *gate;    /* what an operation passes: our own, the plugin's, or NULL */
  atomic_bool unhealthy;
};

/* One gate and one host table for each plugin, by kind and name, kept until the process ends. */
struct plugin_state {
  struct plugin_state *next;
  uint32_t kind;
  char *name;
  const struct mbp_host *host;
  struct gate gate; /* THREADS_SERIAL */
};

/* ---- The gate ---- */

static void gate_init(struct gate *gate)
{
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&gate->lock, NULL);
  pthread_cond_init(&gate->opened, &attributes);
  pthread_condattr_destroy(&attributes);
  gate->taken = false;
}

static void gate_done(struct gate *gate)
{
  pthread_cond_destroy(&gate->opened);
  pthread_mutex_destroy(&gate->lock);
}

/* Cancellation has no way to wake us here, so that we look: only who finds the gate taken pays for it. */
static void gate_wait(struct gate *gate)
{
  struct timespec until = mag_clock_monotonic_after(GATE_LOOK_MS);
  (void) pthread_cond_timedwait(&gate->opened, &gate->lock, &until);
}

static int gate_enter(struct gate *gate, struct mbp_call *call, struct mbp_error *err)
{
  int r = 0;
  pthread_mutex_lock(&gate->lock);
  while (gate->taken && r == 0)
    if (mag_call_cancelled(call))
      r = mag_call_cancel_error(call, err);
    else
      gate_wait(gate);
  if (r == 0)
    gate->taken = true;
  pthread_mutex_unlock(&gate->lock);
  return r;
}

static void gate_leave(struct gate *gate)
{
  pthread_mutex_lock(&gate->lock);
  gate->taken = false;
  pthread_cond_signal(&gate->opened);
  pthread_mutex_unlock(&gate->lock);
}

/* ---- Instances ---- */

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
    gate_init(&state->gate);
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
  gate_init(&instance->own_gate);
  if (descriptor->threads == MBP_THREADS_SERIAL)
    instance->gate = &state->gate;
  else if (descriptor->threads == MBP_THREADS_INSTANCE)
    instance->gate = &instance->own_gate;
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
    gate_done(&instance->own_gate);
    free(instance);
    return r;
  }
  *ret_instance = instance;
  return 0;
}

void mag_instance_close(struct mag_instance *instance)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static struct mag_instance *left_alone;
  if (!instance)
    return;
  if (instance->unhealthy) {
    pthread_mutex_lock(&lock);
    instance->next = left_alone;
    left_alone = instance;
    pthread_mutex_unlock(&lock);
    return;
  }
  instance->descriptor->close(instance->plugin);
  mag_config_free(instance->config);
  gate_done(&instance->own_gate);
  free(instance);
}

bool mag_instance_unhealthy(const struct mag_instance *instance)
{
  return instance->unhealthy;
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

static int check_health(const struct mag_instance *instance, struct mbp_error *err)
{
  return instance->unhealthy
             ? mag_error(err, MBP_E_UNAVAILABLE, "%s did not end an earlier call and is not used any more",
                         instance->descriptor->name)
             : 0;
}

int mag_instance_enter(struct mag_instance *instance, const struct mag_call_options *options, bool control,
                       struct mbp_call **ret_call, struct mbp_error *err)
{
  int r = check_health(instance, err);
  if (r < 0)
    return r;
  struct mag_call_options own = *options;
  own.asynchronous = instance->descriptor->caps & MBP_CAP_ASYNC;
  struct mbp_call *call = mag_call_new(&own);
  if (!call)
    return mag_error_no_memory(err);
  mag_error_clear(err);
  if (!control && instance->gate) {
    r = gate_enter(instance->gate, call, err);
    if (r == 0 && (r = check_health(instance, err)) < 0) /* while we waited */
      gate_leave(instance->gate);
  }
  if (r < 0) {
    (void) mag_call_wait(call, r, NULL, NULL); /* as if the plugin had refused it */
    mag_call_unref(call);
    return r;
  }
  *ret_call = call;
  return 0;
}

void mag_instance_returned(struct mag_instance *instance, bool control)
{
  if (!control && instance->gate)
    gate_leave(instance->gate);
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
