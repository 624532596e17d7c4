/* Where a session's tools run: the compute that it needs, its workspace, and the life of its sandbox. */
#include "agent/session_parts.h"

#include "agent/demand.h"
#include "agent/workspace.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SANDBOX_IDLE_MS 300000
#define HOST_COMPUTE "local"

/* Sandboxes that nobody uses. */
static struct mag_rounds idle_rounds = MAG_ROUNDS_INIT(5000);

/* ---- Network -------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  uint32_t bit;
} networks[] = {
    {"none", MBP_NET_NONE}, {"limited", MBP_NET_LIMITED},   {"unrestricted", MBP_NET_UNRESTRICTED},
    {"host", MBP_NET_HOST}, {"provider", MBP_NET_PROVIDER},
};

const char *mag_network_name(uint32_t network)
{
  for (size_t i = 0; i < MAG_COUNT(networks); i++)
    if (networks[i].bit == network)
      return networks[i].name;
  return "";
}

static int choose_network(struct mag_session *session, uint32_t *ret_network, struct mbp_error *err)
{
  const struct mbp_compute_info *info = mag_instance_info(session->compute);
  const char *wanted = session->definition.network, *provider = session->definition.compute;
  mag_autobuf offered = MAG_BUF_INIT;
  if (!wanted)
    wanted = info->networks & MBP_NET_NONE ? "none" : "host";
  for (size_t i = 0; i < MAG_COUNT(networks); i++) {
    if (strcmp(networks[i].name, wanted) == 0 && info->networks & networks[i].bit) {
      *ret_network = networks[i].bit;
      return 0;
    }
    if (info->networks & networks[i].bit)
      mag_buf_printf(&offered, "%s%s", offered.len ? ", " : "", networks[i].name);
  }
  for (size_t i = 0; i < MAG_COUNT(networks); i++)
    if (strcmp(networks[i].name, wanted) == 0)
      return mag_error(err, MBP_E_UNSUPPORTED,
                       "network \"%s\" cannot be enforced by compute %s, so nothing was started; it offers: %s", wanted,
                       provider, offered.ptr ? offered.ptr : "nothing");
  return mag_error(err, MBP_E_INVALID,
                   "unknown network \"%.40s\"; there are none, limited, unrestricted, host and provider", wanted);
}

/* ---- Workspace ------------------------------------------------------------------------------------------------ */

char *mag_session_workspace(const char *id)
{
  mag_autofree char *state = mag_state_dir();
  return state ? mag_sprintf("%s/workspaces/%s", state, id) : NULL;
}

static int make_directories(char *path, struct mbp_error *err)
{
  if (mkdir(path, 0700) == 0) /* nearly always the ones above are there */
    return 0;
  for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
    if (slash)
      *slash = 0;
    int failed = mkdir(path, 0700) < 0 && errno != EEXIST ? errno : 0;
    if (failed)
      return mag_error_errno(err, failed, "%s", path);
    if (!slash)
      return 0;
    *slash = '/';
  }
}

/* The session's own workspace, unless it was given one: then NULL. */
static int own_workspace(const struct mag_session *session, char **ret_own, struct mbp_error *err)
{
  if (session->definition.workspace)
    return 0;
  *ret_own = mag_session_workspace(session->log.id);
  return *ret_own ? 0 : mag_error(err, MBP_E_INVALID, "neither HOME nor XDG_STATE_HOME is set");
}

static int make_workspace(const struct mag_session *session, char **ret_own, struct mbp_error *err)
{
  int r = own_workspace(session, ret_own, err);
  return r == 0 && *ret_own ? make_directories(*ret_own, err) : r;
}

static bool uses_workspace(const struct mag_session *session)
{
  return (mag_instance_descriptor(session->compute)->caps & MBP_CAP_COMPUTE_WORKSPACE) != 0;
}

/* ---- What the log is told ------------------------------------------------------------------------------------- */

static int sandbox_intent(void *ctx, const char *key, struct mbp_error *err)
{
  struct mag_session *session = ctx;
  struct mag_batch batch = MAG_BATCH_INIT;
  mag_autofree char *own = NULL; /* made now: a session that never needs a sandbox leaves no directory */
  int r = uses_workspace(session) ? make_workspace(session, &own, err) : 0;
  if (r < 0)
    return r;
  if (session->log.state.sandbox_there) /* another one: the one before was lost */
    mag_batch_sandbox(&batch, session->definition.compute, mbp_str(session->log.state.sandbox_key),
                      mbp_str(session->log.state.sandbox_id), "gone");
  mag_batch_sandbox(&batch, session->definition.compute, mbp_str(key), mbp_str(""), "intent");
  r = mag_session_commit(session, &batch, err);
  mag_batch_done(&batch);
  return r;
}

static int sandbox_made(void *ctx, const struct mbp_sandbox_info *info, bool attached, struct mbp_error *err)
{
  struct mag_session *session = ctx;
  struct mag_batch batch = MAG_BATCH_INIT;
  mag_batch_sandbox(&batch, session->definition.compute, info->key, info->id, attached ? "attached" : "made");
  int r = mag_session_commit(session, &batch, err);
  mag_batch_done(&batch);
  return r;
}

static void sandbox_remark(void *ctx, struct mbp_str text)
{
  mag_session_preview(ctx, MAG_PREVIEW_PROGRESS, "", mbp_str(""), text);
}

/* ---- Compute -------------------------------------------------------------------------------------------------- */

static bool is_isolated(const struct mag_session *session)
{
  const struct mbp_compute_info *info = mag_instance_info(session->compute);
  return info && MBP_HAS(info, struct mbp_compute_info, isolation) && info->isolation != MBP_ISOLATION_NONE;
}

static bool is_known(struct mag_engine *engine, const char *compute)
{
  const struct mag_plugin *plugin;
  return mag_registry_find(mag_engine_registry(engine), MBP_KIND_COMPUTE, compute, &plugin, NULL) == 0;
}

static int check_workspace(const struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  if (!definition->workspace)
    return 0;
  if (!(mag_instance_descriptor(session->compute)->caps & MBP_CAP_COMPUTE_WORKSPACE))
    return mag_error(err, MBP_E_UNSUPPORTED, "compute %s cannot use a directory of this host as its workspace",
                     definition->compute);
  return mag_workspace_check(definition->workspace, is_isolated(session), mag_engine_registry(session->engine), err);
}

int mag_session_open_compute(struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  const char *blamed = NULL;
  int r = mag_engine_compute(session->engine, definition->compute, mbp_str(definition->compute_options),
                             &session->compute, err);
  if (r == -MBP_E_NOT_FOUND && !is_known(session->engine, definition->compute))
    blamed = "compute.provider";
  else if ((r == -MBP_E_NOT_FOUND || r == -MBP_E_INVALID) && definition->compute_options)
    blamed = "compute.options"; /* also a variable that one of them refers to */
  if (r == 0 && (r = choose_network(session, &session->network, err)) < 0)
    blamed = "networking.type";
  if (r == 0 && (r = check_workspace(session, err)) < 0)
    blamed = "compute.workspace";
  if (blamed)
    return mag_definition_blame(definition, blamed, err);
  return r < 0 ? r : mag_demand_check(definition, session->compute, session->network, err);
}

bool mag_session_needs_compute(const struct mag_session *session)
{
  bool needed = mag_demand_needs_compute(&session->definition);
  for (size_t i = 0; i < session->toolbox.n; i++)
    needed |= (session->toolbox.tools[i].flags & MBP_TOOL_SANDBOX) != 0;
  return needed;
}

/* ---- Sandbox -------------------------------------------------------------------------------------------------- */

/* The session is ours, as if a turn ran, so that none begins meanwhile. */
static bool begin_drop(struct mag_session *session, int64_t unused_ms)
{
  pthread_mutex_lock(&session->call_lock);
  bool begun = !session->dropping && !session->call && !session->holders && mag_sandbox_exists(session->sandbox) &&
               mag_clock_monotonic_ms() - mag_sandbox_last_use_ms(session->sandbox) >= unused_ms;
  session->dropping |= begun;
  pthread_mutex_unlock(&session->call_lock);
  return begun;
}

static void drop_sandbox(struct mag_session *session)
{
  mag_sandbox_drop(session->sandbox);
  if (!mag_sandbox_exists(session->sandbox)) {
    struct mag_batch batch = MAG_BATCH_INIT;
    mag_batch_sandbox(&batch, session->definition.compute, mbp_str(session->log.state.sandbox_key),
                      mbp_str(session->log.state.sandbox_id), "gone");
    (void) mag_session_commit(session, &batch, NULL); /* if not, the next intent finds out */
    mag_batch_done(&batch);
  }
  pthread_mutex_lock(&session->call_lock);
  session->dropping = false;
  pthread_cond_broadcast(&session->dropped);
  pthread_mutex_unlock(&session->call_lock);
}

bool mag_session_files_inside(const struct mag_session *session)
{
  return session->compute && !uses_workspace(session);
}

/* Its files are inside, and it is there for the next process too: it ends when its provider's own clock says so. */
static bool keeps_files(const struct mag_session *session)
{
  return mag_session_files_inside(session) &&
         mag_instance_descriptor(session->compute)->caps & MBP_CAP_COMPUTE_OUTLIVES;
}

/* A sandbox that has not been used for a while goes, and its workspace stays; the next tool makes a new one. */
static void drop_idle_sandbox(void *ctx)
{
  struct mag_session *session = ctx;
  if (!keeps_files(session) &&
      begin_drop(session, session->definition.idle_ms ? session->definition.idle_ms : SANDBOX_IDLE_MS))
    drop_sandbox(session);
}

/* Makes nothing yet: the sandbox and its workspace are made when a tool needs them. */
static int prepare_sandbox(struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  int r = 0;
  if (!session->compute)
    return 0;
  uint64_t caps = mag_instance_descriptor(session->compute)->caps;
  mag_autofree char *own = NULL;
  struct mag_demand_env env = {0};
  if (uses_workspace(session))
    r = own_workspace(session, &own, err);
  if (r == 0)
    r = mag_demand_env(mbp_str(definition->env), "compute.env", &env, err);
  if (r < 0)
    return r;
  bool attach = caps & MBP_CAP_COMPUTE_OUTLIVES && session->log.state.sandbox_there;
  struct mag_sandbox_options options = {
      .compute = session->compute,
      .session = mbp_str(session->log.id),
      .spec = {.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
               .flags = definition->workspace ? MBP_WORKSPACE_GUARDED : 0,
               .workspace = mbp_str(definition->workspace ? definition->workspace : own),
               .working_dir = mbp_str(definition->working_dir),
               .image = mbp_str(definition->image),
               .env = env.pairs,
               .n_env = env.n,
               .network = session->network,
               .cpu_millis = (uint32_t) definition->cpu_millis,
               .memory_bytes = definition->memory_bytes,
               .pids = (uint32_t) definition->pids,
               .idle_ms = definition->idle_ms,
               .lifetime_ms = definition->lifetime_ms,
               .allowed_hosts = mbp_str(definition->allowed_hosts)},
      .setup = mbp_str(definition->setup),
      .attach_id = mbp_str(attach ? session->log.state.sandbox_id : NULL),
      .stray_key = mbp_str(attach && !session->log.state.sandbox_id ? session->log.state.sandbox_key : NULL),
      .intent = sandbox_intent,
      .made = sandbox_made,
      .remark = sandbox_remark,
      .ctx = session,
  };
  r = mag_sandbox_new(&options, &session->sandbox, err);
  mag_demand_env_done(&env);
  if (r == 0) {
    session->idle = (struct mag_round){.look = drop_idle_sandbox, .ctx = session};
    mag_rounds_join(&idle_rounds, &session->idle);
  }
  return r;
}

int mag_session_need_sandbox(struct mag_session *session, struct mbp_error *err)
{
  if (session->sandbox)
    return 0;
  int r = session->compute ? 0 : mag_session_open_compute(session, err);
  return r < 0 ? r : prepare_sandbox(session, err);
}

void mag_session_hold_sandbox(struct mag_session *session)
{
  pthread_mutex_lock(&session->call_lock);
  while (session->dropping)
    pthread_cond_wait(&session->dropped, &session->call_lock);
  session->holders++;
  pthread_mutex_unlock(&session->call_lock);
}

void mag_session_release_sandbox(struct mag_session *session)
{
  pthread_mutex_lock(&session->call_lock);
  session->holders--;
  pthread_mutex_unlock(&session->call_lock);
}

int mag_session_drop_sandbox(struct mag_session *session, struct mbp_error *err)
{
  if (!session->sandbox || !mag_sandbox_exists(session->sandbox))
    return 0;
  if (begin_drop(session, 0))
    drop_sandbox(session);
  return mag_sandbox_exists(session->sandbox) ? mag_error(err, MBP_E_BUSY, "the sandbox is in use") : 0;
}

/* ---- Both sandboxes ------------------------------------------------------------------------------------------- */

/* Custom tools on the host run in the workspace as well, with the provider that has no isolation. */
static int prepare_host(struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  mag_autofree char *own = NULL;
  struct mag_sandbox_options options = {.session = mbp_str(session->log.id)};
  bool needed = false;
  for (size_t i = 0; i < session->toolbox.n; i++)
    needed |= session->toolbox.tools[i].custom && session->toolbox.tools[i].flags & MBP_TOOL_HOST;
  if (!needed)
    return 0;
  int r = mag_engine_compute(session->engine, HOST_COMPUTE, mbp_str(""), &options.compute, err);
  if (r < 0)
    return mag_error_wrap(err, "a tool with run_on: host");
  r = make_workspace(session, &own, err);
  if (r < 0)
    return r;
  options.spec = (struct mbp_sandbox_spec){.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
                                           .workspace = mbp_str(definition->workspace ? definition->workspace : own),
                                           .network = MBP_NET_HOST};
  return mag_sandbox_new(&options, &session->host, err);
}

int mag_session_prepare_sandboxes(struct mag_session *session, struct mbp_error *err)
{
  int r = session->sandbox ? 0 : prepare_sandbox(session, err);
  return r < 0 ? r : prepare_host(session, err);
}

int mag_session_renew_sandboxes(struct mag_session *session, bool moved, struct mbp_error *err)
{
  if (moved && session->sandbox) {
    (void) mag_session_drop_sandbox(session, NULL);
    mag_rounds_leave(&idle_rounds, &session->idle);
    mag_sandbox_free(mag_steal(&session->sandbox), /* keep= */ false);
  }
  mag_sandbox_free(mag_steal(&session->host), /* keep= */ false);
  return mag_session_prepare_sandboxes(session, err);
}

void mag_session_free_sandboxes(struct mag_session *session)
{
  if (session->sandbox)
    mag_rounds_leave(&idle_rounds, &session->idle);
  mag_sandbox_free(session->sandbox, keeps_files(session));
  mag_sandbox_free(session->host, /* keep= */ false);
}
