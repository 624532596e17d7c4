/* compute-bubblewrap: a sandbox of namespaces on this machine. bubblewrap builds it, magent-sandbox is PID 1 in it. */
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <stdio.h>
#include <sys/stat.h>

/* The helper and its directory must not be replaceable by what runs inside, and everything named must be there. */
static int check_paths(const struct layout *layout, struct mbp_error *err)
{
  struct stat st;
  if (stat(layout->bwrap, &st) < 0 || access(layout->bwrap, X_OK) < 0)
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "bubblewrap is not installed (%s): `apt-get install bubblewrap`, or `dnf install bubblewrap`",
                      layout->bwrap);
  if (access(layout->helper, X_OK) < 0)
    return plug_error(err, MBP_E_UNAVAILABLE, "magent-sandbox is not at %s: install magent whole, or set `helper`",
                      layout->helper);
  if (layout->workspace && (stat(layout->workspace, &st) < 0 || !S_ISDIR(st.st_mode)))
    return plug_error(err, MBP_E_NOT_FOUND, "the workspace '%s' is no directory", layout->workspace);
  return 0;
}

/* These would hide what the sandbox is made of, or put the workspace where nothing can be mounted. */
static int check_working_dir(const char *path, struct mbp_error *err)
{
  static const char *const taken[] = {"/usr", "/etc",  "/proc", "/dev",   "/run",
                                      "/bin", "/sbin", "/lib",  "/lib64", "/sys"};
  bool bad = strcmp(path, "/") == 0 || strstr(path, "/../") || strstr(path, "/./") || strstr(path, "//");
  for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]) && !bad; i++) {
    size_t n = strlen(taken[i]);
    bad = strncmp(path, taken[i], n) == 0 && (path[n] == 0 || path[n] == '/');
  }
  return bad ? plug_error(err, MBP_E_INVALID, "the working directory cannot be '%s'", path) : 0;
}

static int add_init_words(struct layout *layout, struct mbp_instance *instance, const struct mag_rlimits *rlimits,
                          struct mbp_error *err)
{
  const struct mbp_sandbox_spec *spec = layout->spec;
  bool no_unix = layout->guard || layout->has_extra || spec->network == MBP_NET_HOST;
  plug_list_add(&layout->args, no_unix ? "no_unix=1" : "no_unix=0");
  mag_provider_add_rlimits(&layout->args, rlimits);
  plug_list_take(&layout->args, plug_printf("nofile=%lld", (long long) mag_provider_int(instance, "files", 4096)));
  if (mag_provider_int(instance, "file_size", 0) > 0)
    plug_list_take(&layout->args, plug_printf("fsize=%lld", (long long) mag_provider_int(instance, "file_size", 0)));
  if (layout->guard)
    guard_words(layout->guard, layout->working_dir, &layout->args);
  if (spec->lifetime_ms > 0)
    plug_list_take(&layout->args, plug_printf("lifetime=%lld", (long long) spec->lifetime_ms));
  return layout->args.failed ? plug_no_memory(err) : 0;
}

static int spawn(struct layout *layout, struct mbp_call *call, struct mag_box *box, struct mbp_error *err)
{
  static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
  struct mbp_fd fds[2 + sizeof(layout->files) / sizeof(layout->files[0])];
  char complaint[1024];
  for (int i = 0; i < layout->n_files; i++)
    fds[2 + i] = (struct mbp_fd){layout->files[i], FIRST_FILE_FD + i};
  struct mbp_spawn spawn = {
      .size = MBP_SIZE(struct mbp_spawn, group),
      /* No death signal, and no --die-with-parent: bubblewrap's child waits for its parent while the user namespace is
       * set up, and would wait for ever if that were killed just then. If magent dies, the sandbox is finished and
       * ends at once, because magent-sandbox finds the other end of its socket closed. */
      .flags = MBP_SPAWN_SESSION,
      .argv = (const char *const *) layout->args.items,
      .envp = env,
      .fds = fds,
      .n_fds = 2 + (size_t) layout->n_files,
  };
  int r = mag_box_launch(box, call, &spawn, fds, complaint, sizeof(complaint), err);
  if (r == 0)
    return 0;
  struct machine machine;
  machine_read(&machine);
  return diagnose(&machine, layout->bwrap, complaint, err);
}

static void end_guard(struct mag_box *box, void *own)
{
  (void) box;
  guard_free(own);
}

static void tell_incomplete(struct mbp_instance *instance, struct mbp_call *call)
{
  static const char text[] = "not all repositories below the workspace are guarded (too many, too far down or odd): "
                             "look at their hooks and configuration before you run git there";
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROGRESS, .number = -1,
                            .data = mbp_str(text)};
  (void) instance->host->emit(call, &event);
}

/* tmpfs is memory: what /tmp may hold must leave room for processes, or a full /tmp could not even be emptied. */
static int64_t tmp_size(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, int64_t memory)
{
  int64_t size = spec->disk_bytes > 0 ? spec->disk_bytes : mag_provider_int(instance, "tmp_size", 256 << 20);
  return memory > 0 && size > memory / 2 ? memory / 2 : size;
}

static int launch(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                  struct mag_box *box, struct mbp_error *err)
{
  struct mag_rlimits rlimits;
  mag_autofree char *workspace = spec->workspace.len ? plug_dup(spec->workspace) : NULL;
  box->working_dir = spec->working_dir.len ? plug_dup(spec->working_dir) : plug_dup(mbp_str(INSIDE_WORKSPACE));
  box->helper = plug_dup(mbp_str(INSIDE_HELPER));
  if (!box->working_dir || !box->helper || (spec->workspace.len && !workspace))
    return plug_no_memory(err);
  struct layout layout = {.spec = spec, .workspace = workspace, .working_dir = box->working_dir};
  layout.bwrap = mag_provider_str(instance, "bwrap", "/usr/bin/bwrap");
  layout.helper = mag_provider_str(instance, "helper", "");
  int r;
  if ((r = check_paths(&layout, err)) < 0 || (r = check_working_dir(box->working_dir, err)) < 0 ||
      (r = mag_provider_env(box, INSIDE_HOME, spec, err)) < 0 ||
      (r = mag_provider_limits(instance, spec, box, true, &rlimits, err)) < 0)
    return r;
  if (workspace && (spec->flags & MBP_WORKSPACE_GUARDED)) {
    struct guard *guard = NULL;
    if ((r = guard_new(workspace, &guard, err)) < 0)
      return r;
    layout.guard = guard;
    box->own = guard;
    box->on_end = end_guard;
    if (guard_incomplete(guard))
      tell_incomplete(instance, call);
  }
  layout.tmp_bytes = tmp_size(instance, spec, box->memory_bytes);
  r = layout_fill(&layout, instance, err);
  if (r == 0)
    r = add_init_words(&layout, instance, &rlimits, err);
  if (r == 0)
    r = spawn(&layout, call, box, err);
  layout_done(&layout);
  return r;
}

/* ---- Descriptor ------------------------------------------------------------------------------------------------- */

#define PARAM(...)                                                                                                     \
  {                                                                                                                    \
    .size = MBP_SIZE(struct mbp_param, help), __VA_ARGS__                                                              \
  }

static const struct mbp_param bwrap_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "bwrap", .default_value = MAGENT_BWRAP,
          .help = "The bubblewrap program, 0.8.0 or newer.");
static const struct mbp_param helper_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "helper", .default_value = "@libexecdir@/magent-sandbox",
          .help = "magent-sandbox, which becomes PID 1 of the sandbox.");
static const struct mbp_param memory_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "memory", .default_value = "2GiB", .min = PLUG_LEAST_MEMORY, .max = INT64_MAX,
          .help = "Memory of a sandbox, its /tmp included, where the sandbox's own request says nothing. Where "
                  "cgroups cannot be used, a process is held to it by the kernel, and all together by a watchdog.");
static const struct mbp_param pids_param =
    PARAM(.type = MBP_PARAM_INT, .name = "pids", .default_value = "512", .min = PLUG_LEAST_PIDS, .max = 1000000,
          .help = "Processes and threads of a sandbox. Where cgroups cannot be used, root's are held to it by a "
                  "watchdog.");
static const struct mbp_param cpu_param =
    PARAM(.type = MBP_PARAM_INT, .name = "cpu", .min = PLUG_LEAST_CPU, .max = 1000000,
          .help = "Processor time in thousandths: 1000 is one processor. Without it there is no limit; where cgroups "
                  "cannot be used it is refused.");
static const struct mbp_param tmp_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "tmp_size", .default_value = "256MiB", .min = 1 << 20, .max = INT64_MAX,
          .help = "Size of /tmp, which is memory; at most half of the memory limit.");
static const struct mbp_param files_param = PARAM(.type = MBP_PARAM_INT, .name = "files", .default_value = "4096",
                                                  .min = 64, .max = 1048576, .help = "Open files of a process.");
static const struct mbp_param file_size_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "file_size", .min = 1 << 20, .max = INT64_MAX,
          .help = "Longest file that a process may write. Without it there is no limit.");
static const struct mbp_param read_only_param =
    PARAM(.type = MBP_PARAM_PATH, .flags = MBP_PARAM_REPEATABLE, .name = "read_only",
          .help = "A host file or directory that the sandbox sees read-only at the same path. Unix sockets cannot be "
                  "used in such a sandbox, because a directory could hold one of the host's.");

static const struct mbp_param *const params[] = {&bwrap_param,     &helper_param, &memory_param, &pids_param,
                                                 &cpu_param,       &tmp_param,    &files_param,  &file_size_param,
                                                 &read_only_param, NULL};

static const struct mbp_compute_info info = {
    .size = MBP_SIZE(struct mbp_compute_info, isolation),
    .networks = MBP_NET_NONE | MBP_NET_HOST,
    .isolation = MBP_ISOLATION_NAMESPACE,
};

static int plugin_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                       struct mbp_error *err)
{
  return mag_provider_open(host, config, "bubblewrap", info.networks, launch, ret_instance, err);
}

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .caps = MBP_CAP_COMPUTE_WORKSPACE | MBP_CAP_COMPUTE_KILL_TREE | MBP_CAP_COMPUTE_STDERR,
    .kind = MBP_KIND_COMPUTE,
    .kind_version = MBP_COMPUTE_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "bubblewrap",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "a sandbox of namespaces on this machine, made by bubblewrap",
    .help =
        "Commands see the machine's programs read-only, a private /tmp and the workspace, and nothing else of the "
        "machine: no other files, no other processes, no capability, and no network but with 'host'. The sandbox "
        "ends with the process that made it; the workspace stays.\n"
        "In a user's own directory (guarded) these cannot be made or changed: .git/hooks, .git/config and what "
        "else makes git run programs, .envrc, .vscode, .idea and .magent; shell start-up files where there are any, "
        "and in the home directory at all; where there is no .git, none can be made. The same holds for repositories "
        "that are found below it (16 at most, to a depth of 8, in a search of bounded length; it is told if there may "
        "be more), but not for one that is made in the sandbox. Empty placeholders stand there meanwhile. Unix "
        "sockets are refused "
        "(socketpair works), since the directory could hold one of the host's. Set-id bits and devices can be made "
        "nowhere.",
    .params = params,
    .info = &info,
    .ops = &mag_provider_ops,
    .open = plugin_open,
    .probe = mag_provider_probe,
    .close = mag_provider_close,
};

MBP_PLUGIN(plugin);
