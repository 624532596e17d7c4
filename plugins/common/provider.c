#include "plugins/common/provider.h"

#include "plugins/common/exec.h"
#include "plugins/common/files.h"
#include "plugins/common/show.h"

#include <stdio.h>

/* ---- Table of sandboxes ----------------------------------------------------------------------------------------- */

static struct mag_box *find(struct mbp_instance *instance, struct mbp_str id)
{
  (void) pthread_mutex_lock(&instance->lock);
  struct mag_box *box = instance->boxes;
  while (box && !mbp_str_eq(id, box->key))
    box = box->next;
  if (box)
    mag_box_ref(box);
  (void) pthread_mutex_unlock(&instance->lock);
  return box;
}

static bool is_alive(struct mag_box *box)
{
  mag_box_pump(box);
  return !box->dead;
}

/* The reference of the table goes to the caller. */
static bool take_out(struct mbp_instance *instance, struct mag_box *box)
{
  bool found = false;
  (void) pthread_mutex_lock(&instance->lock);
  for (struct mag_box **at = &instance->boxes; *at && !found; at = &(*at)->next)
    if (*at == box) {
      *at = box->next;
      box->next = NULL;
      found = true;
      break;
    }
  (void) pthread_mutex_unlock(&instance->lock);
  return found;
}

/* Of two creations of one key at the same time the second is refused. */
static bool put_in(struct mbp_instance *instance, struct mag_box *box)
{
  (void) pthread_mutex_lock(&instance->lock);
  struct mag_box *same = instance->boxes;
  while (same && strcmp(same->key, box->key) != 0)
    same = same->next;
  if (!same) {
    box->next = instance->boxes;
    instance->boxes = mag_box_ref(box);
  }
  (void) pthread_mutex_unlock(&instance->lock);
  return !same;
}

/* With a reference, or NULL and err. */
static struct mag_box *need(struct mbp_instance *instance, struct mbp_str id, struct mbp_error *err)
{
  struct mag_box *box = find(instance, id);
  if (box && is_alive(box))
    return box;
  if (box)
    (void) plug_error(err, MBP_E_LOST, "sandbox '%.*s' has ended", (int) PLUG_MIN(id.len, (size_t) 64), id.ptr);
  else
    (void) plug_error(err, MBP_E_NOT_FOUND, "no sandbox '%.*s' in this process", (int) PLUG_MIN(id.len, (size_t) 64),
                      id.ptr);
  mag_box_unref(box);
  return NULL;
}

/* Ends a call: done with the result, or with the error. Always 0, as the call was accepted. */
static int conclude(struct mbp_instance *instance, struct mbp_call *call, int r, const void *result,
                    const struct mbp_error *err)
{
  instance->host->done(call, r == 0 ? result : NULL, r == 0 ? NULL : err);
  return 0;
}

static struct mbp_sandbox_info info_of(struct mag_box *box)
{
  return (struct mbp_sandbox_info){
      .size = MBP_SIZE(struct mbp_sandbox_info, existed),
      .state = is_alive(box) ? MBP_SANDBOX_RUNNING : MBP_SANDBOX_STOPPED,
      .id = mbp_str(box->key),
      .key = mbp_str(box->key),
      .session = mbp_str(box->session),
      .working_dir = mbp_str(box->working_dir),
      .helper = mbp_str(box->helper),
      .created_ms = box->created_ms,
      .limits = mbp_str(box->limits),
      .network = box->network,
  };
}

/* ---- Lifecycle -------------------------------------------------------------------------------------------------- */

static const char *network_name(uint32_t network)
{
  return network == MBP_NET_NONE      ? "none"
         : network == MBP_NET_LIMITED ? "limited"
         : network == MBP_NET_HOST    ? "host"
                                      : "unrestricted";
}

static int check_spec(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mbp_error *err)
{
  bool valid = spec->key.len >= 1 && spec->key.len <= 63;
  for (size_t i = 0; i < spec->key.len && valid; i++)
    valid = strchr("abcdefghijklmnopqrstuvwxyz0123456789-", spec->key.ptr[i]) && spec->key.ptr[i];
  if (!valid)
    return plug_error(err, MBP_E_INVALID, "the sandbox's key must match [a-z0-9-]{1,63}");
  if (!(spec->network & instance->networks) || (spec->network & (spec->network - 1)))
    return plug_error(err, MBP_E_UNSUPPORTED, "network '%s' cannot be enforced by %s: it offers %s%s%s",
                      network_name(spec->network), instance->name, instance->networks & MBP_NET_NONE ? "'none'" : "",
                      instance->networks == (MBP_NET_NONE | MBP_NET_HOST) ? " and " : "",
                      instance->networks & MBP_NET_HOST ? "'host'" : "");
  if (spec->image.len)
    return plug_error(err, MBP_E_UNSUPPORTED, "%s has no images: it shows the programs of this machine",
                      instance->name);
  if (spec->workspace.len && spec->workspace.ptr[0] != '/')
    return plug_error(err, MBP_E_INVALID, "the workspace must be an absolute path");
  if (spec->working_dir.len && spec->working_dir.ptr[0] != '/')
    return plug_error(err, MBP_E_INVALID, "the working directory must be an absolute path");
  for (size_t i = 0; i < spec->n_env; i++)
    if (spec->env[i].name.len == 0 || memchr(spec->env[i].name.ptr, '=', spec->env[i].name.len))
      return plug_error(err, MBP_E_INVALID, "an environment variable's name is empty or holds '='");
  return plug_check_limits(spec->memory_bytes, spec->pids, spec->cpu_millis, err);
}

static int make(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                struct mag_box **ret_box, struct mbp_error *err)
{
  struct mag_box *box = mag_box_new(instance->host, instance->process, spec->key, spec->session);
  if (!box)
    return plug_no_memory(err);
  box->network = spec->network;
  int r = instance->launch(instance, call, spec, box, err);
  if (r < 0)
    mag_box_unref(box);
  else
    *ret_box = box;
  return r;
}

static int op_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *given,
                     struct mbp_error *err)
{
  struct mbp_sandbox_spec spec = {0};
  PLUG_COPY(spec, given);
  int r = check_spec(instance, &spec, err);
  if (r < 0)
    return r;
  struct mag_box *box = find(instance, spec.key);
  bool existed = box && is_alive(box);
  if (box && !existed) {
    if (take_out(instance, box))
      mag_box_unref(box);
    mag_box_unref(box);
    box = NULL;
  }
  if (!box && (r = make(instance, call, &spec, &box, err)) < 0)
    return r;
  if (!existed && !put_in(instance, box)) {
    mag_box_unref(box);
    return plug_error(err, MBP_E_BUSY, "sandbox '%.*s' is being made by another call", (int) spec.key.len,
                      spec.key.ptr);
  }
  struct mbp_sandbox_info info = info_of(box);
  info.existed = existed;
  (void) conclude(instance, call, 0, &info, NULL);
  mag_box_unref(box);
  return 0;
}

static int op_attach(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                     struct mbp_error *err)
{
  struct mag_box *box = find(instance, id.len ? id : key);
  if (!box || !is_alive(box)) {
    mag_box_unref(box);
    return plug_error(err, MBP_E_NOT_FOUND, "the sandbox is gone: those of %s end with the process that made them",
                      instance->name);
  }
  struct mbp_sandbox_info info = info_of(box);
  (void) conclude(instance, call, 0, &info, NULL);
  mag_box_unref(box);
  return 0;
}

static int op_status(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  (void) err;
  struct mag_box *box = find(instance, id);
  struct mbp_sandbox_info info = {.size = MBP_SIZE(struct mbp_sandbox_info, existed), .id = id};
  info.state = MBP_SANDBOX_STOPPED;
  if (box)
    info = info_of(box);
  (void) conclude(instance, call, 0, &info, NULL);
  mag_box_unref(box);
  return 0;
}

/* The n-th box with a reference: no lock is held while the host is told. */
static struct mag_box *nth(struct mbp_instance *instance, size_t n)
{
  (void) pthread_mutex_lock(&instance->lock);
  struct mag_box *box = instance->boxes;
  while (box && n-- > 0)
    box = box->next;
  if (box)
    mag_box_ref(box);
  (void) pthread_mutex_unlock(&instance->lock);
  return box;
}

static int op_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  (void) err;
  struct mag_box *box;
  int r = 0;
  for (size_t i = 0; r >= 0 && (box = nth(instance, i)) != NULL; i++) {
    struct mbp_sandbox_info info = info_of(box);
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_SANDBOX, .name = info.id,
                              .number = info.created_ms, .data = mbp_str_n((const char *) &info, sizeof(info))};
    r = instance->host->emit(call, &event);
    mag_box_unref(box);
  }
  return conclude(instance, call, 0, NULL, NULL);
}

static int op_destroy(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  (void) err;
  struct mag_box *box = find(instance, id);
  if (box) {
    mag_box_end(box);
    if (take_out(instance, box))
      mag_box_unref(box);
    mag_box_unref(box);
  }
  return conclude(instance, call, 0, NULL, NULL);
}

/* ---- Processes -------------------------------------------------------------------------------------------------- */

static int op_exec(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                   const struct mbp_exec *given, struct mbp_error *err)
{
  struct mbp_exec exec = {0};
  PLUG_COPY(exec, given);
  if (exec.flags & MBP_EXEC_PTY)
    return plug_error(err, MBP_E_UNSUPPORTED, "%s has no terminals", instance->name);
  if (exec.user.len)
    return plug_error(err, MBP_E_UNSUPPORTED, "%s runs everything as one user", instance->name);
  if ((exec.flags & MBP_EXEC_BACKGROUND) && (exec.flags & MBP_EXEC_STDIN))
    return plug_error(err, MBP_E_UNSUPPORTED, "a background process has no stdin");
  struct mag_box *box = need(instance, id, err);
  if (!box)
    return -err->code;
  struct mag_show show = {instance->host, call};
  struct mag_exec_sink sink = {.ctx = &show, .started = mag_show_started, .output = mag_show_output};
  struct mag_exec_end end;
  int r = mag_exec_run(box, call, &exec, &sink, &end, err);
  mag_box_unref(box);
  return r < 0 ? r : conclude(instance, call, 0, &end.result, NULL);
}

static int op_write_stdin(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                          struct mbp_str process, struct mbp_str data, uint32_t flags, struct mbp_error *err)
{
  struct mag_box *box = need(instance, id, err);
  if (!box)
    return -err->code;
  struct mag_proc *proc = mag_box_find(box, process);
  int r = proc ? mag_exec_write(proc, call, data, flags & MBP_STDIN_EOF, err)
               : plug_error(err, MBP_E_LOST, "no process '%.*s' runs", (int) PLUG_MIN(process.len, (size_t) 64),
                            process.ptr);
  mag_proc_unref(proc);
  mag_box_unref(box);
  return r < 0 ? r : conclude(instance, call, 0, NULL, NULL);
}

static int op_signal(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                     uint32_t signal, uint32_t flags, struct mbp_error *err)
{
  if (signal < 1 || signal > 31)
    return plug_error(err, MBP_E_INVALID, "%u is no signal", signal);
  struct mag_box *box = find(instance, id);
  struct mag_proc *proc = box ? mag_box_find(box, process) : NULL;
  int r = proc ? mag_proc_signal(proc, call, (int) signal, flags & MBP_SIGNAL_TREE, err) : 0;
  mag_proc_unref(proc);
  mag_box_unref(box);
  return r < 0 ? r : conclude(instance, call, 0, NULL, NULL);
}

/* One line of a list, copied out of the lock. */
struct line {
  char key[64];
  char *command;
  bool running;
};

static bool copy_line(struct mag_box *box, size_t n, struct line *line)
{
  (void) pthread_mutex_lock(&box->lock);
  struct mag_proc *proc = box->procs;
  while (proc && (!proc->key[0] || n-- > 0))
    proc = proc->next;
  if (proc) {
    (void) snprintf(line->key, sizeof(line->key), "%s", proc->key);
    line->command = plug_dup(mbp_str(proc->command));
    line->running = !proc->exited && !proc->failed;
  }
  (void) pthread_mutex_unlock(&box->lock);
  return proc != NULL;
}

static int op_list_processes(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                             struct mbp_error *err)
{
  struct mag_box *box = need(instance, id, err);
  if (!box)
    return -err->code;
  struct line line = {0};
  int r = 0;
  for (size_t i = 0; r >= 0 && copy_line(box, i, &line); i++) {
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROCESS,
                              .name = mbp_str(line.key), .number = line.running, .data = mbp_str(line.command)};
    r = instance->host->emit(call, &event);
    free(line.command);
    line.command = NULL;
  }
  mag_box_unref(box);
  return conclude(instance, call, 0, NULL, NULL);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static int exec_in_box(void *box, struct mbp_call *call, const struct mbp_exec *exec, const struct mag_exec_sink *sink,
                       struct mag_exec_end *ret_end, struct mbp_error *err)
{
  return mag_exec_run(box, call, exec, sink, ret_end, err);
}

static struct mag_files files_of(struct mag_box *box)
{
  return (struct mag_files){.helper = box->helper, .beneath = box->beneath, .exec = exec_in_box, .ctx = box};
}

static int op_put(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_put *put,
                  struct mbp_error *err)
{
  struct mag_box *box = need(instance, id, err);
  if (!box)
    return -err->code;
  struct mag_files files = files_of(box);
  int r = mag_files_put(&files, call, put, err);
  mag_box_unref(box);
  return r < 0 ? r : conclude(instance, call, 0, NULL, NULL);
}

static int op_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str path,
                  int64_t limit, struct mbp_error *err)
{
  struct mag_box *box = need(instance, id, err);
  if (!box)
    return -err->code;
  struct mag_show show = {instance->host, call};
  struct mbp_file_info info;
  struct mag_files files = files_of(box);
  int r = mag_files_get(&files, call, path, limit, mag_show_data, &show, &info, err);
  mag_box_unref(box);
  return r < 0 ? r : conclude(instance, call, 0, &info, NULL);
}

const struct mbp_compute_ops mag_provider_ops = {
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
    .put = op_put,
    .get = op_get,
};

/* ---- Instance --------------------------------------------------------------------------------------------------- */

int mag_provider_open(const struct mbp_host *host, const struct mbp_config *config, const char *name,
                      uint32_t networks, mag_provider_launch launch, struct mbp_instance **ret_instance,
                      struct mbp_error *err)
{
  const struct mbp_process_v1 *process = host->get_interface(host->ctx, MBP_PROCESS_V1);
  if (!process || !MBP_HAS(process, struct mbp_process_v1, group_free))
    return plug_error(err, MBP_E_UNSUPPORTED, "%s needs a host with %s", name, MBP_PROCESS_V1);
  struct mbp_instance *instance = calloc(1, sizeof(*instance));
  if (!instance)
    return plug_no_memory(err);
  instance->host = host;
  instance->config = config;
  instance->process = process;
  instance->name = name;
  instance->networks = networks;
  instance->launch = launch;
  (void) pthread_mutex_init(&instance->lock, NULL);
  *ret_instance = instance;
  return 0;
}

void mag_provider_close(struct mbp_instance *instance)
{
  if (!instance)
    return;
  while (instance->boxes) {
    struct mag_box *box = instance->boxes;
    instance->boxes = box->next;
    box->next = NULL;
    mag_box_end(box);
    mag_box_unref(box);
  }
  (void) pthread_mutex_destroy(&instance->lock);
  free(instance);
}

static const char *limits_cure(void)
{
  return geteuid() == 0 ? "run below a delegated cgroup: systemd-run --scope -p Delegate=yes magent ..."
                        : "run below a delegated cgroup: systemd-run --user --scope -p Delegate=yes magent ...";
}

int mag_provider_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  struct mbp_sandbox_spec spec = {.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts), .key = mbp_str("probe")};
  spec.network = instance->networks & MBP_NET_NONE ? MBP_NET_NONE : MBP_NET_HOST;
  struct mag_box *box = NULL;
  int r = make(instance, call, &spec, &box, err);
  if (r < 0)
    return r;
  mag_autofree char *text = box->weak_limits ? plug_printf("%s; for limits that the kernel holds %s", box->limits,
                                                           limits_cure())
                                             : plug_dup(mbp_str(box->limits));
  mag_box_unref(box);
  if (!text)
    return plug_no_memory(err);
  struct mbp_event limits = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROGRESS, .number = -1,
                             .data = mbp_str(text)};
  (void) instance->host->emit(call, &limits);
  return conclude(instance, call, 0, NULL, NULL);
}

const char *mag_provider_str(struct mbp_instance *instance, const char *key, const char *otherwise)
{
  struct mbp_str value;
  return instance->host->config_str(instance->config, key, &value) == 1 && value.len ? value.ptr : otherwise;
}

int64_t mag_provider_int(struct mbp_instance *instance, const char *key, int64_t otherwise)
{
  int64_t value;
  return instance->host->config_int(instance->config, key, &value) == 1 ? value : otherwise;
}

int mag_provider_env(struct mag_box *box, const char *home, const struct mbp_sandbox_spec *spec, struct mbp_error *err)
{
  plug_list_add(&box->env, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
  plug_list_take(&box->env, plug_printf("HOME=%s", home));
  plug_list_add(&box->env, "LANG=C.UTF-8");
  plug_list_add(&box->env, "TERM=dumb");
  for (size_t i = 0; i < spec->n_env; i++) {
    const struct mbp_pair *pair = &spec->env[i];
    for (size_t k = 0; k < box->env.n; k++)
      if (strncmp(box->env.items[k], pair->name.ptr, pair->name.len) == 0 && box->env.items[k][pair->name.len] == '=') {
        free(box->env.items[k]);
        box->env.items[k] = box->env.items[--box->env.n];
        box->env.items[box->env.n] = NULL;
      }
    plug_list_take(&box->env, plug_printf("%.*s=%.*s", (int) pair->name.len, pair->name.ptr, (int) pair->value.len,
                                          pair->value.ptr ? pair->value.ptr : ""));
  }
  return box->env.failed ? plug_no_memory(err) : 0;
}

/* ---- Limits ----------------------------------------------------------------------------------------------------- */

enum { BY_GROUP_MEMORY = 1, BY_GROUP_PIDS = 2, BY_GROUP_CPU = 4 }; /* bits of mbp_group_state.enforced */

/* The kernel counts root's processes, but never refuses one (root of a container's user namespace it does refuse; to
 * promise that would take knowing where we are). */
static bool count_holds(const struct mag_rlimits *rlimits)
{
  return rlimits->processes > 0 && geteuid() != 0;
}

static char *limits_line(const struct mbp_group_state *state, const struct mbp_group_spec *group,
                         const struct mag_rlimits *rlimits)
{
  const char *how = state->how.ptr;
  char memory[64] = "memory: no limit", pids[64] = "processes: no limit", cpu[64] = "";
  if (group->memory_bytes > 0)
    (void) snprintf(memory, sizeof(memory), "memory %lld MiB (%s)", (long long) (group->memory_bytes >> 20),
                    rlimits->data_bytes ? "watchdog, rlimit" : how);
  if (group->pids)
    (void) snprintf(pids, sizeof(pids), "%u processes (%s)", group->pids,
                    state->enforced & BY_GROUP_PIDS ? how : rlimits->watched_processes ? "watchdog" : "rlimit");
  if (group->cpu_millis)
    (void) snprintf(cpu, sizeof(cpu), ", %u.%03u processors (%s)", group->cpu_millis / 1000, group->cpu_millis % 1000,
                    how);
  return plug_printf("%s, %s%s", memory, pids, cpu);
}

static int refuse_processor(const struct mbp_instance *instance, struct mbp_error *err)
{
  return plug_error(err, MBP_E_UNSUPPORTED,
                    "%s cannot limit processor time on this machine: %s, or leave the limit `cpu` out", instance->name,
                    limits_cure());
}

int mag_provider_limits(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mag_box *box,
                        bool own_count, struct mag_rlimits *ret_rlimits, struct mbp_error *err)
{
  struct mbp_group_spec group = {.size = MBP_SIZE(struct mbp_group_spec, reserved), .name = box->key};
  group.memory_bytes = spec->memory_bytes > 0 ? spec->memory_bytes : mag_provider_int(instance, "memory", 0);
  group.pids = spec->pids ? spec->pids : (uint32_t) mag_provider_int(instance, "pids", 0);
  group.cpu_millis = spec->cpu_millis ? spec->cpu_millis : (uint32_t) mag_provider_int(instance, "cpu", 0);
  int r = instance->process->group_new(&group, &box->group, err);
  if (r < 0)
    return r;
  struct mbp_group_state state = {.size = MBP_SIZE(struct mbp_group_state, how)};
  (void) instance->process->group_state(box->group, &state);
  struct mag_rlimits rlimits = {0};
  if (!(state.enforced & BY_GROUP_MEMORY))
    rlimits.data_bytes = group.memory_bytes;
  if (own_count)
    rlimits.processes = group.pids;
  if (!(state.enforced & BY_GROUP_PIDS) && !count_holds(&rlimits))
    rlimits.watched_processes = group.pids;
  if (group.cpu_millis && !(state.enforced & BY_GROUP_CPU))
    return refuse_processor(instance, err);
  box->memory_bytes = group.memory_bytes;
  box->pids = group.pids;
  box->limits = limits_line(&state, &group, &rlimits);
  uint32_t wanted = (group.memory_bytes > 0 ? BY_GROUP_MEMORY : 0) | (group.pids ? BY_GROUP_PIDS : 0) |
                    (group.cpu_millis ? BY_GROUP_CPU : 0);
  box->weak_limits = (wanted & ~state.enforced) != 0;
  *ret_rlimits = rlimits;
  return box->limits ? 0 : plug_no_memory(err);
}

void mag_provider_add_rlimits(struct plug_list *args, const struct mag_rlimits *rlimits)
{
  if (rlimits->processes)
    plug_list_take(args, plug_printf("nproc=%u", rlimits->processes));
  if (rlimits->data_bytes)
    plug_list_take(args, plug_printf("data=%lld", (long long) rlimits->data_bytes));
  if (rlimits->data_bytes)
    plug_list_take(args, plug_printf("watch_memory=%lld", (long long) rlimits->data_bytes));
  if (rlimits->watched_processes)
    plug_list_take(args, plug_printf("watch_tasks=%u", rlimits->watched_processes));
}
