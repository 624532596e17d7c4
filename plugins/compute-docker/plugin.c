/* compute-docker: a sandbox is a container of a Docker engine. */
#include "plugins/compute-docker/docker.h"

#include "plugins/common/files.h"
#include "plugins/common/show.h"

#include <stdio.h>

const char *docker_option(struct mbp_instance *instance, const char *key, const char *otherwise)
{
  struct mbp_str value;
  return instance->host->config_str(instance->config, key, &value) == 1 && value.len ? value.ptr : otherwise;
}

int64_t docker_number(struct mbp_instance *instance, const char *key, int64_t otherwise)
{
  int64_t value;
  return instance->host->config_int(instance->config, key, &value) == 1 ? value : otherwise;
}

static int conclude(struct mbp_instance *instance, struct mbp_call *call, int r, const void *result)
{
  if (r < 0)
    return r;
  instance->host->done(call, result, NULL);
  return 0;
}

/* ---- Lifecycle -------------------------------------------------------------------------------------------------- */

static int check_network(uint32_t network, struct mbp_error *err)
{
  static const char offer[] = "docker offers 'none' (the default) and, unfiltered, 'provider': the engine's own bridge";
  if (network == MBP_NET_NONE || network == MBP_NET_PROVIDER)
    return 0;
  if (network == MBP_NET_HOST)
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "network 'host' is refused: a container there is on the engine's own "
                      "network; %s",
                      offer);
  return plug_error(err, MBP_E_UNSUPPORTED, "network '%s' cannot be enforced: %s",
                    network == MBP_NET_LIMITED ? "limited" : "unrestricted", offer);
}

static int check_spec(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mbp_error *err)
{
  mag_autofree char *name = box_name(instance, spec->key);
  if (!name)
    return plug_error(err, MBP_E_INVALID, "the sandbox's key must match [a-z0-9-]{1,63}");
  if (spec->workspace.len)
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "docker takes no directory of this machine as a workspace: the engine may be elsewhere; put "
                      "files in and get them out");
  int r = spec_check_working_dir(spec->working_dir, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < spec->n_env; i++)
    if (spec->env[i].name.len == 0 || memchr(spec->env[i].name.ptr, '=', spec->env[i].name.len))
      return plug_error(err, MBP_E_INVALID, "an environment variable's name is empty or holds '='");
  return check_network(spec->network, err);
}

static void sweep_once(struct mbp_instance *instance, struct mbp_call *call)
{
  (void) pthread_mutex_lock(&instance->lock);
  bool swept = instance->swept;
  instance->swept = true;
  (void) pthread_mutex_unlock(&instance->lock);
  if (!swept)
    container_sweep(instance, call);
}

static int op_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *given,
                     struct mbp_error *err)
{
  struct mbp_sandbox_spec spec = {0};
  struct box *box = NULL;
  bool existed = false;
  PLUG_COPY(spec, given);
  int r = check_spec(instance, &spec, err);
  if (r < 0)
    return r;
  sweep_once(instance, call);
  r = container_create(instance, call, &spec, &box, &existed, err);
  if (r < 0)
    return r;
  struct box *known = existed ? box_find(instance, spec.key) : NULL;
  if (!known)
    box_enter(instance, box);
  struct mbp_sandbox_info info = box_info(box);
  info.existed = existed;
  r = conclude(instance, call, 0, &info);
  box_unref(known);
  box_unref(box);
  return r;
}

static int op_attach(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                     struct mbp_error *err)
{
  struct box *box = NULL;
  int r = box_inspect(instance, call, id.len ? id : key, &box, err);
  if (r == 0 && (box->state == MBP_SANDBOX_STOPPED || box->state == MBP_SANDBOX_STARTING))
    r = plug_error(err, MBP_E_NOT_FOUND, "sandbox '%s' has ended", box->key);
  if (r == 0) {
    struct box *known = box_find(instance, mbp_str(box->key));
    if (!known)
      box_enter(instance, box);
    box_unref(known);
    struct mbp_sandbox_info info = box_info(box);
    r = conclude(instance, call, 0, &info);
  }
  box_unref(box);
  return r;
}

static int op_status(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  struct box *box = NULL;
  struct mbp_sandbox_info info = {
      .size = MBP_SIZE(struct mbp_sandbox_info, existed), .id = id, .state = MBP_SANDBOX_STOPPED};
  int r = box_inspect(instance, call, id, &box, err);
  if (r == 0)
    info = box_info(box);
  else if (r == -MBP_E_NOT_FOUND)
    r = 0;
  r = conclude(instance, call, r, &info);
  box_unref(box);
  return r;
}

static int show_listed(void *ctx, struct mbp_instance *instance, const struct mbp_json *listed)
{
  struct mag_show *show = ctx;
  const struct mbp_json_v1 *json = instance->engine.json;
  const struct mbp_json *labels = json->get(listed, "Labels");
  struct mbp_str state = json->str(json->get(listed, "State")), created = json->str(json->get(labels, LABEL_CREATED));
  struct mbp_str network = json->str(json->get(json->get(listed, "HostConfig"), "NetworkMode"));
  struct mbp_sandbox_info info = {
      .size = MBP_SIZE(struct mbp_sandbox_info, existed),
      .id = json->str(json->get(labels, LABEL_KEY)),
      .key = json->str(json->get(labels, LABEL_KEY)),
      .session = json->str(json->get(labels, LABEL_SESSION)),
      .working_dir = mbp_str(DOCKER_WORKING_DIR),
      .helper = mbp_str(DOCKER_HELPER),
      .created_ms = created.len ? strtoll(created.ptr, NULL, 10) : 0,
      .network = mbp_str_eq(network, "none") ? MBP_NET_NONE : MBP_NET_PROVIDER,
      .state = mbp_str_eq(state, "running")   ? MBP_SANDBOX_RUNNING
               : mbp_str_eq(state, "paused")  ? MBP_SANDBOX_SUSPENDED
               : mbp_str_eq(state, "created") ? MBP_SANDBOX_STARTING
                                              : MBP_SANDBOX_STOPPED,
  };
  if (info.state == MBP_SANDBOX_STOPPED)
    return 0;
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                            .type = MBP_EV_SANDBOX,
                            .name = info.id,
                            .number = info.created_ms,
                            .data = mbp_str_n((const char *) &info, sizeof(info))};
  return show->host->emit(show->call, &event);
}

static int op_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  struct mag_show show = {instance->host, call};
  container_sweep(instance, call);
  return conclude(instance, call, container_list(instance, call, show_listed, &show, err), NULL);
}

static int op_destroy(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  return conclude(instance, call, container_remove(instance, id, err), NULL);
}

static int op_suspend(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  return conclude(instance, call, container_pause(instance, call, id, true, err), NULL);
}

static int op_resume(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  return conclude(instance, call, container_pause(instance, call, id, false, err), NULL);
}

/* ---- Processes -------------------------------------------------------------------------------------------------- */

static int op_exec(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                   const struct mbp_exec *given, struct mbp_error *err)
{
  struct mbp_exec exec = {0};
  PLUG_COPY(exec, given);
  if (exec.flags & MBP_EXEC_PTY)
    return plug_error(err, MBP_E_UNSUPPORTED, "docker has no terminals here");
  if ((exec.flags & MBP_EXEC_BACKGROUND) && (exec.flags & MBP_EXEC_STDIN))
    return plug_error(err, MBP_E_UNSUPPORTED, "a background process has no stdin");
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  struct mag_show show = {instance->host, call};
  struct mag_exec_sink sink = {.ctx = &show, .started = mag_show_started, .output = mag_show_output};
  struct mag_exec_end end;
  int r = conclude(instance, call, run_exec(box, call, &exec, &sink, &end, err), &end.result);
  box_unref(box);
  return r;
}

static int op_attach_process(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                             struct mbp_str process, int64_t from, struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  struct mag_show show = {instance->host, call};
  struct mag_exec_sink sink = {.ctx = &show, .started = mag_show_started, .output = mag_show_output};
  struct mag_exec_end end;
  mag_autofree char *key = plug_dup(process);
  int r = key ? run_attach(box, call, key, from, &sink, &end, err) : plug_no_memory(err);
  r = conclude(instance, call, r, &end.result);
  box_unref(box);
  return r;
}

static int op_write_stdin(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                          struct mbp_str process, struct mbp_str data, uint32_t flags, struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  int r = conclude(instance, call, process_write(box, call, process, data, flags & MBP_STDIN_EOF, err), NULL);
  box_unref(box);
  return r;
}

static int op_signal(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                     uint32_t signal, uint32_t flags, struct mbp_error *err)
{
  if (signal < 1 || signal > 31)
    return plug_error(err, MBP_E_INVALID, "%u is no signal", signal);
  struct box *box = box_need(instance, call, id, err);
  if (!box) /* whose sandbox is gone is gone */
    return err->code == MBP_E_NOT_FOUND || err->code == MBP_E_LOST ? conclude(instance, call, 0, NULL) : -err->code;
  int r = process_signal(box, call, process, signal, flags & MBP_SIGNAL_TREE, err);
  r = conclude(instance, call, r == -MBP_E_LOST ? 0 : r, NULL);
  box_unref(box);
  return r;
}

static int op_list_processes(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                             struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  int r = conclude(instance, call, process_list(box, call, err), NULL);
  box_unref(box);
  return r;
}

static int op_touch(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  int r = conclude(instance, call, process_touch(box, call, err), NULL);
  box_unref(box);
  return r;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static int exec_in_box(void *box, struct mbp_call *call, const struct mbp_exec *exec, const struct mag_exec_sink *sink,
                       struct mag_exec_end *ret_end, struct mbp_error *err)
{
  return run_exec(box, call, exec, sink, ret_end, err);
}

static int op_put(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_put *put,
                  struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  struct mag_files files = {.helper = DOCKER_HELPER, .exec = exec_in_box, .ctx = box};
  int r = conclude(instance, call, mag_files_put(&files, call, put, err), NULL);
  box_unref(box);
  return r;
}

static int op_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str path,
                  int64_t limit, struct mbp_error *err)
{
  struct box *box = box_need(instance, call, id, err);
  if (!box)
    return -err->code;
  struct mag_files files = {.helper = DOCKER_HELPER, .exec = exec_in_box, .ctx = box};
  struct mag_show show = {instance->host, call};
  struct mbp_file_info info;
  int r = -MBP_E_BUSY;
  if (box->state != MBP_SANDBOX_SUSPENDED)
    r = mag_files_get(&files, call, path, limit, mag_show_data, &show, &info, err);
  if (r == -MBP_E_BUSY)
    r = archive_get(box, call, path, limit, mag_show_data, &show, &info, err);
  r = conclude(instance, call, r, &info);
  box_unref(box);
  return r;
}

static const struct mbp_compute_ops ops = {
    .size = MBP_SIZE(struct mbp_compute_ops, resize),
    .create = op_create,
    .attach = op_attach,
    .status = op_status,
    .list = op_list,
    .destroy = op_destroy,
    .exec = op_exec,
    .write_stdin = op_write_stdin,
    .signal = op_signal,
    .list_processes = op_list_processes,
    .attach_process = op_attach_process,
    .put = op_put,
    .get = op_get,
    .touch = op_touch,
    .suspend = op_suspend,
    .resume = op_resume,
};

/* ---- Descriptor ------------------------------------------------------------------------------------------------- */

#define PARAM(...)                                                                                                     \
  {                                                                                                                    \
    .size = MBP_SIZE(struct mbp_param, help), __VA_ARGS__                                                              \
  }

static const struct mbp_param host_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "host", .default_value = "unix:///var/run/docker.sock",
          .env = "DOCKER_HOST", .help = "The engine: unix:///PATH or tcp://HOST:PORT.");
static const struct mbp_param tls_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "tls_verify", .env = "DOCKER_TLS_VERIFY",
          .help = "Anything but empty, 0 and false: TLS to a tcp:// engine, whose certificate is checked. Without it "
                  "what goes to such an engine can be read and changed on the way.");
static const struct mbp_param cert_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "cert_path", .env = "DOCKER_CERT_PATH",
          .help = "Directory of ca.pem, cert.pem and key.pem for TLS. Without it ~/.docker, and where it has none "
                  "the system's certificates are trusted, and none is shown.");
static const struct mbp_param version_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "api_version", .env = "DOCKER_API_VERSION",
          .help = "API version, like 1.41. Without it: the highest that the engine and this plugin both know.");
static const struct mbp_param image_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "image", .default_value = "python:3.12-slim",
          .help = "Image of a sandbox whose own request names none.");
static const char *const pull_choices[] = {"missing", "always", "never", NULL};
static const struct mbp_param pull_param =
    PARAM(.type = MBP_PARAM_CHOICE, .name = "pull", .default_value = "missing", .choices = pull_choices,
          .help = "When an image is fetched from its registry.");
static const struct mbp_param user_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "user", .default_value = "1000:1000",
          .help = "User and group of the commands, as numbers. They own the working directory and HOME.");
static const struct mbp_param runtime_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "runtime",
          .help = "A runtime that the engine has been set up with, like runsc (gVisor). Without it the engine's own.");
static const struct mbp_param bridge_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "bridge", .default_value = "bridge",
          .help = "The engine's network that 'provider' means, by its name. Not 'host'.");
static const struct mbp_param memory_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "memory", .default_value = "2GiB", .min = 32 << 20, .max = INT64_MAX,
          .help = "Memory of a sandbox, its /tmp included, where its own request says nothing.");
static const struct mbp_param pids_param =
    PARAM(.type = MBP_PARAM_INT, .name = "pids", .default_value = "512", .min = 16, .max = 1000000,
          .help = "Processes and threads of a sandbox.");
static const struct mbp_param cpu_param =
    PARAM(.type = MBP_PARAM_INT, .name = "cpu", .min = 10, .max = 1000000,
          .help = "Processor time in thousandths: 1000 is one processor. Without it there is no limit.");
static const struct mbp_param tmp_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "tmp_size", .default_value = "256MiB", .min = 1 << 20, .max = INT64_MAX,
          .help = "Size of /tmp, which is memory; at most half of the memory limit.");
static const struct mbp_param lifetime_param =
    PARAM(.type = MBP_PARAM_DURATION, .name = "lifetime", .default_value = "24h", .min = 1000, .max = INT64_MAX,
          .help = "A sandbox ends after so long, also if magent is long gone.");
static const struct mbp_param idle_param =
    PARAM(.type = MBP_PARAM_DURATION, .name = "idle", .default_value = "1h", .min = 1000, .max = INT64_MAX,
          .help = "A sandbox ends when nobody has used it for so long, also if magent is long gone.");
static const struct mbp_param prefix_param =
    PARAM(.type = MBP_PARAM_STRING, .name = "name_prefix", .default_value = "magent-",
          .help = "What the names of containers begin with; others are never touched. Another one keeps several "
                  "installations apart that share an engine.");
static const struct mbp_param helper_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "helper", .default_value = "@libexecdir@/magent-sandbox",
          .help = "magent-sandbox, which is put into every container and becomes its PID 1. Linked statically.");

static const struct mbp_param *const params[] = {
    &host_param, &tls_param,      &cert_param,   &version_param, &image_param,  &pull_param,
    &user_param, &runtime_param,  &bridge_param, &memory_param,  &pids_param,   &cpu_param,
    &tmp_param,  &lifetime_param, &idle_param,   &prefix_param,  &helper_param, NULL};

static const struct mbp_compute_info info = {
    .size = MBP_SIZE(struct mbp_compute_info, isolation),
    .networks = MBP_NET_NONE | MBP_NET_PROVIDER,
    .isolation = MBP_ISOLATION_CONTAINER,
};

/* 'host', 'container:NAME' and their like are no networks of containers' own. */
static int check_bridge(const char *name, struct mbp_error *err)
{
  const char *most = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (strcmp(name, "host") == 0 || strcmp(name, "none") == 0 || name[strspn(name, most)])
    return plug_error(err, MBP_E_INVALID,
                      "bridge '%.60s': must be the name of one of the engine's bridges; 'host' and other containers' "
                      "networks are refused",
                      name);
  return 0;
}

static int check_options(struct mbp_instance *instance, struct mbp_error *err)
{
  const char *user = docker_option(instance, "user", ""), *prefix = docker_option(instance, "name_prefix", "");
  const char *digits = "0123456789";
  size_t n = strspn(user, digits), m = user[n] == ':' ? strspn(user + n + 1, digits) : 0;
  if (n == 0 || n > 9 || m > 9 || (user[n] && (m == 0 || user[n + 1 + m])))
    return plug_error(err, MBP_E_INVALID, "user '%.60s': must be UID or UID:GID, in numbers", user);
  if (!((prefix[0] >= 'a' && prefix[0] <= 'z') || (prefix[0] >= 'A' && prefix[0] <= 'Z')) || strlen(prefix) > 60 ||
      strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(prefix))
    return plug_error(err, MBP_E_INVALID, "name_prefix '%.60s': letters, digits, -, _ and ., a letter first", prefix);
  return check_bridge(docker_option(instance, "bridge", "bridge"), err);
}

static void plugin_close(struct mbp_instance *instance)
{
  if (!instance)
    return;
  while (instance->boxes) { /* containers live on */
    struct box *box = instance->boxes;
    instance->boxes = box->next;
    box_unref(box);
  }
  engine_done(&instance->engine);
  (void) pthread_mutex_destroy(&instance->lock);
  free(instance);
}

static int plugin_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                       struct mbp_error *err)
{
  struct mbp_instance *instance = calloc(1, sizeof(*instance));
  if (!instance)
    return plug_no_memory(err);
  instance->host = host;
  instance->config = config;
  (void) pthread_mutex_init(&instance->lock, NULL);
  struct engine_options options = {
      .address = docker_option(instance, "host", "unix:///var/run/docker.sock"),
      .tls_verify = docker_option(instance, "tls_verify", ""),
      .cert_path = docker_option(instance, "cert_path", ""),
      .api_version = docker_option(instance, "api_version", ""),
  };
  int r = engine_init(&instance->engine, host, &options, err);
  if (r == 0)
    r = check_options(instance, err);
  if (r < 0)
    plugin_close(instance);
  else
    *ret_instance = instance;
  return r;
}

/* Makes no sandbox: an image may have to be fetched for that. */
static int plugin_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  struct mbp_json *document = NULL;
  const struct ask ask = {0};
  int r = engine_json(&instance->engine, call, "/version", &ask, 0, "the engine", &document, err);
  if (r < 0)
    return r;
  char text[200];
  struct mbp_str version = json->str(json->get(document, "Version"));
  (void) snprintf(text, sizeof(text), "Docker engine %.*s, API %s, at %.100s", (int) PLUG_MIN(version.len, (size_t) 40),
                  version.ptr, instance->engine.version, instance->engine.address);
  struct mbp_event event = {
      .size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROGRESS, .number = -1, .data = mbp_str(text)};
  (void) instance->host->emit(call, &event);
  json->free(document);
  return conclude(instance, call, 0, NULL);
}

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .caps = MBP_CAP_COMPUTE_OUTLIVES | MBP_CAP_COMPUTE_REATTACH | MBP_CAP_COMPUTE_SUSPEND | MBP_CAP_COMPUTE_KILL_TREE |
            MBP_CAP_COMPUTE_STDERR | MBP_CAP_COMPUTE_IMAGE,
    .kind = MBP_KIND_COMPUTE,
    .kind_version = MBP_COMPUTE_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "docker",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "containers of a Docker engine",
    .help =
        "A sandbox is a container: without capabilities and new privileges, behind the engine's seccomp profile and "
        "magent-sandbox's own, as an ordinary user, with limits of memory and processes. It has no network, or, "
        "where 'provider' is asked for, the engine's bridge, which filters nothing. It ends by itself when its "
        "time is over or nobody has used it for a while, whatever has become of magent; until then another "
        "process can go on with it, and with the commands in it.\n"
        "The engine's socket is as good as root on the engine's machine; it never gets into a sandbox.",
    .params = params,
    .info = &info,
    .ops = &ops,
    .open = plugin_open,
    .probe = plugin_probe,
    .close = plugin_close,
};

MBP_PLUGIN(plugin);
