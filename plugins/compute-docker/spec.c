/* What a container is made from. */
#include "plugins/compute-docker/docker.h"

#include <stdio.h>

#define FILES_MOST "nofile=65536"

struct body {
  const struct mbp_json_v1 *json;
  struct mbp_writer *w;
  struct mbp_instance *instance;
  const struct mbp_sandbox_spec *spec;
  const char *maker;
};

static bool is_in(const struct mbp_pair *pair, const struct mbp_pair *pairs, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (pairs[i].name.len == pair->name.len && memcmp(pairs[i].name.ptr, pair->name.ptr, pair->name.len) == 0)
      return true;
  return false;
}

static void add_pair(const struct body *body, const struct mbp_pair *pair)
{
  mag_autofree char *text = plug_printf("%.*s=%.*s", (int) pair->name.len, pair->name.ptr, (int) pair->value.len,
                                        pair->value.ptr ? pair->value.ptr : "");
  body->json->string(body->w, NULL, mbp_str(text));
}

static void add_env(const struct body *body)
{
  const struct mbp_json_v1 *json = body->json;
  static const struct mbp_pair base[] = {
      {{"HOME", 4}, {DOCKER_HOME, sizeof(DOCKER_HOME) - 1}}, {{"LANG", 4}, {"C.UTF-8", 7}}, {{"TERM", 4}, {"dumb", 4}}};
  json->array(body->w, "Env");
  json->string(body->w, NULL, mbp_str("HOSTNAME")); /* without a value: not set */
  for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
    if (!is_in(&base[i], body->spec->env, body->spec->n_env))
      add_pair(body, &base[i]);
  for (size_t i = 0; i < body->spec->n_env; i++)
    if (!is_in(&body->spec->env[i], body->spec->env + i + 1, body->spec->n_env - i - 1))
      add_pair(body, &body->spec->env[i]);
  json->end(body->w);
}

static void add_time_label(const struct body *body, const char *name, int64_t ms)
{
  char text[32];
  (void) snprintf(text, sizeof(text), "%lld", (long long) ms);
  body->json->string(body->w, name, mbp_str(text));
}

static void add_labels(const struct body *body, int64_t lifetime_ms)
{
  const struct mbp_json_v1 *json = body->json;
  int64_t now = body->instance->host->clock_ms(body->instance->host->ctx, MBP_CLOCK_WALL);
  json->object(body->w, "Labels");
  json->string(body->w, LABEL_KEY, body->spec->key);
  json->string(body->w, LABEL_SESSION, body->spec->session);
  json->string(body->w, LABEL_OWNER, body->spec->owner);
  json->string(body->w, LABEL_MAKER, mbp_str(body->maker));
  add_time_label(body, LABEL_CREATED, now);
  add_time_label(body, LABEL_DEADLINE, lifetime_ms > 0 ? now + lifetime_ms : 0);
  json->end(body->w);
}

static void add_words(const struct body *body, const char *key, const char *const *words, size_t n)
{
  body->json->array(body->w, key);
  for (size_t i = 0; i < n; i++)
    body->json->string(body->w, NULL, mbp_str(words[i]));
  body->json->end(body->w);
}

/* What the commands' user is given must neither be hidden by what a container mounts, nor hold magent-sandbox. */
static bool is_taken(struct mbp_str path)
{
  static const char *const taken[] = {"/tmp", "/dev", "/proc", "/sys", "/run", "/var/run"};
  for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
    size_t len = strlen(taken[i]);
    if (path.len >= len && memcmp(path.ptr, taken[i], len) == 0 && (path.len == len || path.ptr[len] == '/'))
      return true;
  }
  return false;
}

int spec_check_working_dir(struct mbp_str path, struct mbp_error *err)
{
  if (path.len == 0) /* ours */
    return 0;
  if (path.ptr[0] != '/' || path.len < 2 || memmem(path.ptr, path.len, "..", 2) ||
      memmem(path.ptr, path.len, "//", 2) || memmem(path.ptr, path.len, "/./", 3) || memchr(path.ptr, 0, path.len))
    return plug_error(err, MBP_E_INVALID,
                      "the working directory must be an absolute path without '..', '.' and '//', and not /");
  if (is_taken(path))
    return plug_error(err, MBP_E_INVALID,
                      "the working directory cannot be %.*s: /tmp, /dev, /proc, /sys and /run are the container's own; "
                      "choose another, such as " DOCKER_WORKING_DIR,
                      (int) PLUG_MIN(path.len, (size_t) 100), path.ptr);
  return 0;
}

/* The server is PID 1: it reaps, and takes the container along when its time is over. */
static void add_command(const struct body *body, int64_t lifetime_ms)
{
  char lifetime[40], idle[40];
  int64_t idle_ms = body->spec->idle_ms > 0 ? body->spec->idle_ms : docker_number(body->instance, "idle", 0);
  (void) snprintf(lifetime, sizeof(lifetime), "lifetime=%lld", (long long) lifetime_ms);
  (void) snprintf(idle, sizeof(idle), "idle=%lld", (long long) idle_ms);
  const char *const words[] = {DOCKER_HELPER, "serve", lifetime, idle, FILES_MOST};
  add_words(body, "Entrypoint", words, 5);
  add_words(body, "Cmd", NULL, 0);
  body->json->object(body->w, "Healthcheck");
  add_words(body, "Test", (const char *const[]){"NONE"}, 1);
  body->json->end(body->w);
}

static void add_tmp(const struct body *body, int64_t memory)
{
  int64_t size = body->spec->disk_bytes > 0 ? body->spec->disk_bytes : docker_number(body->instance, "tmp_size", 0);
  char options[96];
  /* It is memory, and must leave room for processes. */
  if (memory > 0 && size > memory / 2)
    size = memory / 2;
  if (size <= 0)
    return;
  (void) snprintf(options, sizeof(options), "rw,exec,nosuid,nodev,mode=1777,size=%lld", (long long) size);
  body->json->object(body->w, "Tmpfs");
  body->json->string(body->w, "/tmp", mbp_str(options));
  body->json->end(body->w);
  body->json->number(body->w, "ShmSize", size);
}

static void add_host_config(const struct body *body)
{
  const struct mbp_json_v1 *json = body->json;
  const struct mbp_sandbox_spec *spec = body->spec;
  struct mbp_instance *instance = body->instance;
  int64_t memory = spec->memory_bytes > 0 ? spec->memory_bytes : docker_number(instance, "memory", 0);
  int64_t pids = spec->pids ? spec->pids : docker_number(instance, "pids", 0);
  int64_t cpu = spec->cpu_millis ? spec->cpu_millis : docker_number(instance, "cpu", 0);
  const char *runtime = docker_option(instance, "runtime", "");
  json->object(body->w, "HostConfig");
  add_words(body, "CapDrop", (const char *const[]){"ALL"}, 1);
  add_words(body, "SecurityOpt", (const char *const[]){"no-new-privileges"}, 1);
  json->string(body->w, "NetworkMode",
               mbp_str(spec->network == MBP_NET_NONE ? "none" : docker_option(instance, "bridge", "bridge")));
  json->string(body->w, "IpcMode", mbp_str("private"));
  if (memory > 0) {
    json->number(body->w, "Memory", memory);
    json->number(body->w, "MemorySwap", memory);
  }
  if (pids > 0)
    json->number(body->w, "PidsLimit", pids);
  if (cpu > 0)
    json->number(body->w, "NanoCpus", cpu * 1000000);
  add_tmp(body, memory);
  if (runtime[0])
    json->string(body->w, "Runtime", mbp_str(runtime));
  json->boolean(body->w, "AutoRemove", 1);
  json->boolean(body->w, "Init", 0); /* ours is one */
  json->object(body->w, "LogConfig");
  json->string(body->w, "Type", mbp_str("none"));
  json->end(body->w);
  json->end(body->w);
}

char *spec_body(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, const char *image,
                const char *maker, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  struct body body = {.json = json, .w = json->writer_new(), .instance = instance, .spec = spec, .maker = maker};
  int64_t lifetime = spec->lifetime_ms > 0 ? spec->lifetime_ms : docker_number(instance, "lifetime", 0);
  struct mbp_str text;
  char *copy = NULL;
  if (body.w) {
    json->object(body.w, NULL);
    json->string(body.w, "Image", mbp_str(image));
    json->string(body.w, "Hostname", mbp_str("sandbox"));
    json->string(body.w, "User", mbp_str(docker_option(instance, "user", "1000:1000")));
    json->string(body.w, "WorkingDir", spec->working_dir.len ? spec->working_dir : mbp_str(DOCKER_WORKING_DIR));
    add_env(&body);
    add_labels(&body, lifetime);
    add_command(&body, lifetime);
    add_host_config(&body);
    json->end(body.w);
    if (json->text(body.w, &text) == 0)
      copy = plug_dup(text);
  }
  json->writer_free(body.w);
  if (!copy)
    (void) plug_no_memory(err);
  return copy;
}
