/* A compute plugin for tests of the command: its "sandboxes" are the files of a directory, so that every process sees
 * the same ones. A file's name is the id; it holds "KEY SESSION CREATED_MS STATE NETWORK". What goes wrong is named by
 * files too: "list-fails"; ids that begin with "stuck" cannot be destroyed, those with "immortal" only seem to be. */
#include <dirent.h>
#include <magent/mbp-compute.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mbp_instance {
  const struct mbp_host *host;
  char dir[256];
};

static int fail(struct mbp_error *err, int code, const char *message)
{
  err->code = code;
  (void) snprintf(err->message, sizeof(err->message), "%s", message);
  return -code;
}

static int shelf_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                      struct mbp_error *err)
{
  struct mbp_str dir;
  struct mbp_instance *instance = calloc(1, sizeof(*instance));
  if (!instance || host->config_str(config, "dir", &dir) != 1) {
    free(instance);
    return fail(err, MBP_E_INVALID, "the shelf needs a directory");
  }
  instance->host = host;
  (void) snprintf(instance->dir, sizeof(instance->dir), "%s", dir.ptr);
  *ret_instance = instance;
  return 0;
}

static void shelf_close(struct mbp_instance *instance)
{
  free(instance);
}

static FILE *book(struct mbp_instance *instance, const char *id)
{
  char path[600];
  (void) snprintf(path, sizeof(path), "%s/%s", instance->dir, id);
  return fopen(path, "re");
}

/* A file that cannot be read as a sandbox is none. */
static int read_book(struct mbp_instance *instance, const char *id, char key[64], char session[64],
                     struct mbp_sandbox_info *info)
{
  long long created;
  char state[32], network[32], line[300] = "";
  FILE *file = book(instance, id);
  char *read = file ? fgets(line, sizeof(line), file) : NULL;
  if (file)
    (void) fclose(file);
  if (!read || sscanf(line, "%63s %63s %lld %31s %31s", key, session, &created, state, network) != 5) /* NOLINT */
    return -1;
  *info = (struct mbp_sandbox_info){.size = MBP_SIZE(struct mbp_sandbox_info, existed),
                                    .id = mbp_str(id),
                                    .key = mbp_str(key),
                                    .session = mbp_str(session),
                                    .created_ms = created,
                                    .limits = mbp_str("memory 1 MiB"),
                                    .state = (uint32_t) strtoul(state, NULL, 10),
                                    .network = (uint32_t) strtoul(network, NULL, 10)};
  return 0;
}

static int shelf_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  char path[600], key[64], session[64];
  struct mbp_sandbox_info info;
  (void) snprintf(path, sizeof(path), "%s/list-fails", instance->dir);
  if (access(path, F_OK) == 0)
    return fail(err, MBP_E_INTERNAL, "the shelf is out of reach");
  DIR *dir = opendir(instance->dir);
  if (!dir)
    return fail(err, MBP_E_UNAVAILABLE, "there is no shelf");
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (entry->d_name[0] == '.' || read_book(instance, entry->d_name, key, session, &info) < 0)
      continue;
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                              .type = MBP_EV_SANDBOX,
                              .name = info.id,
                              .number = info.created_ms,
                              .data = mbp_str_n((const char *) &info, sizeof(info))};
    (void) instance->host->emit(call, &event);
  }
  (void) closedir(dir);
  instance->host->done(call, NULL, NULL);
  return 0;
}

static int shelf_status(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  char key[64], session[64];
  struct mbp_sandbox_info info;
  (void) err;
  if (read_book(instance, id.ptr, key, session, &info) < 0)
    info = (struct mbp_sandbox_info){.size = MBP_SIZE(struct mbp_sandbox_info, existed), .state = MBP_SANDBOX_STOPPED};
  instance->host->done(call, &info, NULL);
  return 0;
}

static int shelf_destroy(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  char path[600];
  if (strncmp(id.ptr, "stuck", 5) == 0)
    return fail(err, MBP_E_TIMEOUT, "it does not let go");
  (void) snprintf(path, sizeof(path), "%s/%s", instance->dir, id.ptr);
  if (strncmp(id.ptr, "immortal", 8) != 0)
    (void) unlink(path);
  instance->host->done(call, NULL, NULL);
  return 0;
}

/* ---- What the command does not use ------------------------------------------------------------------------------ */

static int no_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                     struct mbp_error *err)
{
  (void) instance, (void) call, (void) spec;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_attach(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                     struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) key;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_exec(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_exec *exec,
                   struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) exec;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_write(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                    struct mbp_str data, uint32_t flags, struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) process, (void) data, (void) flags;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_signal(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                     uint32_t number, uint32_t flags, struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) process, (void) number, (void) flags;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_processes(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  (void) instance, (void) call, (void) id;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_attach_process(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                             struct mbp_str process, int64_t from, struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) process, (void) from;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_put(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_put *put,
                  struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) put;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static int no_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str path,
                  int64_t limit, struct mbp_error *err)
{
  (void) instance, (void) call, (void) id, (void) path, (void) limit;
  return fail(err, MBP_E_UNSUPPORTED, "no");
}

static const struct mbp_param dir_param = {
    .size = MBP_SIZE(struct mbp_param, help), .type = MBP_PARAM_STRING, .name = "dir", .help = "Where they are."};
static const struct mbp_param *const params[] = {&dir_param, NULL};
static const struct mbp_compute_info info = {
    .size = MBP_SIZE(struct mbp_compute_info, isolation), .networks = MBP_NET_NONE, .isolation = MBP_ISOLATION_VM};
static const struct mbp_compute_ops ops = {.size = MBP_SIZE(struct mbp_compute_ops, resize),
                                           .create = no_create,
                                           .attach = no_attach,
                                           .status = shelf_status,
                                           .list = shelf_list,
                                           .destroy = shelf_destroy,
                                           .exec = no_exec,
                                           .write_stdin = no_write,
                                           .signal = no_signal,
                                           .list_processes = no_processes,
                                           .attach_process = no_attach_process,
                                           .put = no_put,
                                           .get = no_get};
static const struct mbp_plugin plugin = {.size = MBP_SIZE(struct mbp_plugin, close),
                                         .abi_major = MBP_ABI_MAJOR,
                                         .abi_minor = MBP_ABI_MINOR,
                                         .caps = MBP_CAP_COMPUTE_OUTLIVES,
                                         .kind = MBP_KIND_COMPUTE,
                                         .kind_version = MBP_COMPUTE_VERSION,
                                         .threads = MBP_THREADS_PARALLEL,
                                         .name = "shelf",
                                         .version = "1",
                                         .license = "MIT",
                                         .origin = "tests",
                                         .summary = "Sandboxes on a shelf.",
                                         .params = params,
                                         .info = &info,
                                         .ops = &ops,
                                         .open = shelf_open,
                                         .close = shelf_close};

MBP_PLUGIN(plugin);
