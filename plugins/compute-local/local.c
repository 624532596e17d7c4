/* compute-local: commands with the user's own rights on this machine. There is no wall; what there is: a clean
 * environment, limits, and a supervisor that ends everything that was started. */
#include "plugins/common/provider.h"
#include "sandbox/scratch.h"

#include <errno.h>
#include <sys/stat.h>

#define DEFAULT_INSIDE "/workspace" /* the working directory that a host asks for when nobody said anything else */

/* ---- What goes with the sandbox ---------------------------------------------------------------------------------- */

/* The supervisor does this too, since we may be killed. */
static void remove_scratch(struct mag_box *box, void *own)
{
  (void) box;
  scratch_remove(own);
  free(own);
}

/* TMPDIR of the commands, and where no workspace is given the working directory. */
static int make_scratch(struct mag_box *box, bool with_work, struct mbp_error *err)
{
  char *path = plug_printf("/tmp/magent-local-XXXXXX");
  if (!path)
    return plug_no_memory(err);
  if (!mkdtemp(path)) {
    free(path);
    return plug_errno(err, errno, "cannot make a directory in /tmp");
  }
  box->own = path;
  box->on_end = remove_scratch;
  mag_autofree char *tmp = plug_printf("%s/tmp", path), *work = plug_printf("%s/work", path);
  if (!tmp || !work)
    return plug_no_memory(err);
  if (mkdir(tmp, 0700) < 0 || (with_work && mkdir(work, 0700) < 0))
    return plug_errno(err, errno, "cannot make a directory in %s", path);
  if (with_work && !(box->working_dir = plug_dup(mbp_str(work))))
    return plug_no_memory(err);
  return 0;
}

/* ---- Start ------------------------------------------------------------------------------------------------------- */

static int set_directories(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mag_box *box,
                           struct mbp_error *err)
{
  struct stat st;
  if (spec->working_dir.len && !mbp_str_eq(spec->working_dir, DEFAULT_INSIDE) &&
      (spec->working_dir.len != spec->workspace.len ||
       memcmp(spec->working_dir.ptr, spec->workspace.ptr, spec->workspace.len) != 0))
    return plug_error(err, MBP_E_UNSUPPORTED, "local shows a workspace where it is, not as '%.*s'",
                      (int) PLUG_MIN(spec->working_dir.len, (size_t) 200), spec->working_dir.ptr);
  int r = make_scratch(box, spec->workspace.len == 0, err);
  if (r == 0 && spec->workspace.len && !(box->working_dir = plug_dup(spec->workspace)))
    r = plug_no_memory(err);
  if (r == 0 && (stat(box->working_dir, &st) < 0 || !S_ISDIR(st.st_mode)))
    r = plug_error(err, MBP_E_NOT_FOUND, "the workspace '%s' is no directory", box->working_dir);
  if (r < 0)
    return r;
  box->beneath = plug_dup(mbp_str(box->working_dir));
  box->helper = plug_dup(mbp_str(mag_provider_str(instance, "helper", "")));
  if (!box->beneath || !box->helper)
    return plug_no_memory(err);
  if (access(box->helper, X_OK) < 0)
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "magent-sandbox, which supervises the commands, is not at %s: install magent whole, or set "
                      "`helper`", box->helper);
  /* First, so that what the sandbox's own request says replaces it. */
  plug_list_take(&box->env, plug_printf("TMPDIR=%s/tmp", (const char *) box->own));
  return mag_provider_env(box, mag_provider_str(instance, "home", box->working_dir), spec, err);
}

static int launch(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                  struct mag_box *box, struct mbp_error *err)
{
  static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
  struct mbp_fd fds[2];
  char complaint[512] = "";
  struct mag_rlimits rlimits;
  /* Without a namespace the kernel's limit of processes would count everything that the user runs. */
  int r = mag_provider_limits(instance, spec, box, false, &rlimits, err);
  if (r < 0 || (r = set_directories(instance, spec, box, err)) < 0)
    return r;
  struct plug_list args = {0};
  plug_list_add(&args, box->helper);
  plug_list_add(&args, "init");
  plug_list_add(&args, "isolated=0");
  plug_list_take(&args, plug_printf("scratch=%s", (const char *) box->own));
  mag_provider_add_rlimits(&args, &rlimits);
  plug_list_take(&args, plug_printf("nofile=%lld", (long long) mag_provider_int(instance, "files", 4096)));
  if (spec->lifetime_ms > 0)
    plug_list_take(&args, plug_printf("lifetime=%lld", (long long) spec->lifetime_ms));
  /* No death signal: the supervisor must live on for the moment that it takes to kill what it has started. */
  struct mbp_spawn spawn = {
      .size = MBP_SIZE(struct mbp_spawn, group),
      .flags = MBP_SPAWN_SESSION,
      .argv = (const char *const *) args.items,
      .envp = env,
      .fds = fds,
      .n_fds = 2,
  };
  r = args.failed ? plug_no_memory(err) : mag_box_launch(box, call, &spawn, fds, complaint, sizeof(complaint), err);
  if (r < 0 && complaint[0])
    r = plug_error(err, MBP_E_UNAVAILABLE, "the supervisor does not start: %s", complaint);
  plug_list_free(&args);
  return r;
}

/* ---- Descriptor ------------------------------------------------------------------------------------------------- */

#define PARAM(...) {.size = MBP_SIZE(struct mbp_param, help), __VA_ARGS__}

static const struct mbp_param helper_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "helper", .default_value = "@libexecdir@/magent-sandbox",
          .help = "magent-sandbox, which supervises the commands.");
static const struct mbp_param home_param =
    PARAM(.type = MBP_PARAM_PATH, .name = "home",
          .help = "HOME of the commands. Without it: the workspace, so that they leave your own files alone.");
static const struct mbp_param memory_param =
    PARAM(.type = MBP_PARAM_SIZE, .name = "memory", .min = PLUG_LEAST_MEMORY, .max = INT64_MAX,
          .help = "Memory of all commands together; where cgroups cannot be used, a process is held to it by the "
                  "kernel, and all together by a watchdog. Without it there is no limit.");
static const struct mbp_param pids_param =
    PARAM(.type = MBP_PARAM_INT, .name = "pids", .default_value = "512", .min = PLUG_LEAST_PIDS, .max = 1000000,
          .help = "Processes and threads of all commands together; where cgroups cannot be used, held by a watchdog.");
static const struct mbp_param cpu_param =
    PARAM(.type = MBP_PARAM_INT, .name = "cpu", .min = PLUG_LEAST_CPU, .max = 1000000,
          .help = "Processor time in thousandths: 1000 is one processor. Without it there is no limit; where cgroups "
                  "cannot be used it is refused.");
static const struct mbp_param files_param =
    PARAM(.type = MBP_PARAM_INT, .name = "files", .default_value = "4096", .min = 64, .max = 1048576,
          .help = "Open files of a process.");

static const struct mbp_param *const params[] = {&helper_param, &home_param, &memory_param, &pids_param,
                                                 &cpu_param, &files_param, NULL};

static const struct mbp_compute_info info = {
    .size = MBP_SIZE(struct mbp_compute_info, isolation),
    .networks = MBP_NET_HOST,
    .isolation = MBP_ISOLATION_NONE,
};

static int plugin_open(const struct mbp_host *host, const struct mbp_config *config,
                       struct mbp_instance **ret_instance, struct mbp_error *err)
{
  return mag_provider_open(host, config, "local", info.networks, launch, ret_instance, err);
}

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .caps = MBP_CAP_COMPUTE_WORKSPACE | MBP_CAP_COMPUTE_KILL_TREE | MBP_CAP_COMPUTE_STDERR,
    .kind = MBP_KIND_COMPUTE,
    .kind_version = MBP_COMPUTE_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "local",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "no sandbox: commands run on this machine with your own rights",
    .help = "There is NO isolation: a command can read and change whatever you can, reach your network, and see your "
            "processes; nothing in a workspace is guarded. Commands get a clean environment, limits, and a "
            "supervisor that ends everything they have started, daemons included. put and get do not "
            "leave the workspace.",
    .params = params,
    .info = &info,
    .ops = &mag_provider_ops,
    .open = plugin_open,
    .probe = mag_provider_probe,
    .close = mag_provider_close,
};

MBP_PLUGIN(plugin);
