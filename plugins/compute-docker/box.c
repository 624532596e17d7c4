/* Containers as this process knows them. */
#include "plugins/compute-docker/docker.h"

#include <stdio.h>

struct box *box_ref(struct box *box)
{
  __atomic_add_fetch(&box->refs, 1, __ATOMIC_RELAXED);
  return box;
}

void box_unref(struct box *box)
{
  if (!box || __atomic_sub_fetch(&box->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return;
  channel_close_all(box);
  plug_list_free(&box->users);
  free(box->key);
  free(box->name);
  free(box->session);
  free(box->working_dir);
  free(box->limits);
  free(box->maker);
  free(box->container);
  (void) pthread_mutex_destroy(&box->lock);
  free(box);
}

char *box_name(struct mbp_instance *instance, struct mbp_str key)
{
  for (size_t i = 0; i < key.len; i++)
    if (!key.ptr[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-", key.ptr[i]))
      return NULL;
  return key.len >= 1 && key.len <= 63
             ? plug_printf("%s%.*s", docker_option(instance, "name_prefix", "magent-"), (int) key.len, key.ptr)
             : NULL;
}

/* ---- Table ------------------------------------------------------------------------------------------------------ */

struct box *box_find(struct mbp_instance *instance, struct mbp_str key)
{
  (void) pthread_mutex_lock(&instance->lock);
  struct box *box = instance->boxes;
  while (box && !mbp_str_eq(key, box->key))
    box = box->next;
  if (box)
    (void) box_ref(box);
  (void) pthread_mutex_unlock(&instance->lock);
  return box;
}

static struct box *take_out(struct mbp_instance *instance, struct mbp_str key)
{
  struct box *found = NULL;
  (void) pthread_mutex_lock(&instance->lock);
  for (struct box **at = &instance->boxes; *at && !found; at = &(*at)->next)
    if (mbp_str_eq(key, (*at)->key)) {
      found = *at;
      *at = found->next;
      found->next = NULL;
      break;
    }
  (void) pthread_mutex_unlock(&instance->lock);
  return found;
}

void box_leave(struct mbp_instance *instance, struct mbp_str key)
{
  struct box *box = take_out(instance, key);
  if (box)
    channel_close_all(box);
  box_unref(box);
}

void box_enter(struct mbp_instance *instance, struct box *box)
{
  box_leave(instance, mbp_str(box->key));
  (void) pthread_mutex_lock(&instance->lock);
  box->next = instance->boxes;
  instance->boxes = box_ref(box);
  (void) pthread_mutex_unlock(&instance->lock);
}

struct box *box_need(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, struct mbp_error *err)
{
  struct box *box = box_find(instance, key);
  if (box)
    return box;
  if (box_inspect(instance, call, key, &box, err) < 0)
    return NULL;
  if (box->state == MBP_SANDBOX_STOPPED) {
    (void) plug_error(err, MBP_E_LOST, "sandbox '%s' has ended", box->key);
    box_unref(box);
    return NULL;
  }
  box_enter(instance, box);
  return box;
}

/* ---- From the engine -------------------------------------------------------------------------------------------- */

static uint32_t state_of(const struct mbp_json_v1 *json, const struct mbp_json *state)
{
  struct mbp_str status = json->str(json->get(state, "Status"));
  return mbp_str_eq(status, "running")   ? MBP_SANDBOX_RUNNING
         : mbp_str_eq(status, "paused")  ? MBP_SANDBOX_SUSPENDED
         : mbp_str_eq(status, "created") ? MBP_SANDBOX_STARTING
                                         : MBP_SANDBOX_STOPPED;
}

static char *limits_line(int64_t memory, int64_t pids, int64_t cpu)
{
  char parts[3][64] = {"memory: no limit", "processes: no limit", ""};
  if (memory > 0)
    (void) snprintf(parts[0], sizeof(parts[0]), "memory %lld MiB", (long long) (memory >> 20));
  if (pids > 0)
    (void) snprintf(parts[1], sizeof(parts[1]), "%lld processes", (long long) pids);
  if (cpu > 0)
    (void) snprintf(parts[2], sizeof(parts[2]), ", %lld.%03lld processors", (long long) (cpu / 1000000000),
                    (long long) (cpu / 1000000 % 1000));
  return plug_printf("%s, %s%s (the engine's cgroup)", parts[0], parts[1], parts[2]);
}

struct box *box_from(struct mbp_instance *instance, const struct mbp_json *inspected)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  const struct mbp_json *config = json->get(inspected, "Config"), *host = json->get(inspected, "HostConfig");
  const struct mbp_json *labels = json->get(config, "Labels");
  struct mbp_str key = json->str(json->get(labels, LABEL_KEY));
  struct mbp_str created = json->str(json->get(labels, LABEL_CREATED));
  struct mbp_str directory = json->str(json->get(config, "WorkingDir"));
  struct box *box = calloc(1, sizeof(*box));
  if (!box)
    return NULL;
  (void) pthread_mutex_init(&box->lock, NULL);
  box->refs = 1;
  box->instance = instance;
  box->key = plug_dup(key);
  box->name = box_name(instance, key);
  box->session = plug_dup(json->str(json->get(labels, LABEL_SESSION)));
  box->working_dir = plug_dup(directory.len ? directory : mbp_str(DOCKER_WORKING_DIR));
  box->maker = plug_dup(json->str(json->get(labels, LABEL_MAKER)));
  box->container = plug_dup(json->str(json->get(inspected, "Id")));
  box->created_ms = created.len ? strtoll(created.ptr, NULL, 10) : 0;
  box->memory_bytes = json->num(json->get(host, "Memory"), 0);
  box->limits = limits_line(box->memory_bytes, json->num(json->get(host, "PidsLimit"), 0),
                            json->num(json->get(host, "NanoCpus"), 0));
  box->network = mbp_str_eq(json->str(json->get(host, "NetworkMode")), "none") ? MBP_NET_NONE : MBP_NET_PROVIDER;
  box->state = state_of(json, json->get(inspected, "State"));
  if (!box->key || !box->name || !box->session || !box->working_dir || !box->limits || !box->maker || !box->container) {
    box_unref(box);
    return NULL;
  }
  return box;
}

int box_inspect(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, struct box **ret_box,
                struct mbp_error *err)
{
  struct mbp_json *document = NULL;
  const struct ask ask = {0};
  mag_autofree char *name = box_name(instance, key);
  mag_autofree char *path = name ? plug_printf("/containers/%s/json", name) : NULL;
  if (!path)
    return plug_error(err, MBP_E_NOT_FOUND, "no sandbox '%.*s'", (int) PLUG_MIN(key.len, (size_t) 64), key.ptr);
  int r = engine_json(&instance->engine, call, path, &ask, 404, "inspect", &document, err);
  if (r < 0)
    return r;
  struct box *box = document ? box_from(instance, document) : NULL;
  /* Somebody else's container may have the name. */
  if (!box || !mbp_str_eq(key, box->key))
    r = plug_error(err, MBP_E_NOT_FOUND, "no sandbox '%.*s'", (int) key.len, key.ptr);
  instance->engine.json->free(document);
  if (r < 0)
    box_unref(box);
  else
    *ret_box = box;
  return r;
}

struct mbp_sandbox_info box_info(struct box *box)
{
  return (struct mbp_sandbox_info){
      .size = MBP_SIZE(struct mbp_sandbox_info, existed),
      .state = box->state,
      .id = mbp_str(box->key),
      .key = mbp_str(box->key),
      .session = mbp_str(box->session),
      .working_dir = mbp_str(box->working_dir),
      .helper = mbp_str(DOCKER_HELPER),
      .created_ms = box->created_ms,
      .limits = mbp_str(box->limits),
      .network = box->network,
  };
}
