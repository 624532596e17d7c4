#include "agent/session.h"

#include "agent/demand.h"
#include "agent/models.h"
#include "agent/outside.h"
#include "agent/sessions.h"
#include "agent/turn.h"
#include "agent/workspace.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "host/http.h"
#include "host/redact.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SANDBOX_IDLE_MS 300000
#define HOST_COMPUTE "local"

/* Sandboxes that nobody uses. */
static struct mag_rounds idle_rounds = MAG_ROUNDS_INIT(5000);

/* ---- Sandbox -------------------------------------------------------------------------------------------------- */

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

char *mag_session_workspace(const char *id)
{
  mag_autofree char *state = mag_state_dir();
  return state ? mag_sprintf("%s/workspaces/%s", state, id) : NULL;
}

int mag_session_check_id(const char *id, struct mbp_error *err)
{
  if (*id && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(id))
    return 0;
  return mag_error(err, MBP_E_NOT_FOUND, "no session \"%.60s\"", id);
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

static int sandbox_intent(void *ctx, const char *key, struct mbp_error *err)
{
  struct mag_session *session = ctx;
  struct mag_batch batch = MAG_BATCH_INIT;
  if (session->log.state.sandbox_there) /* another one: the one before was lost */
    mag_batch_sandbox(&batch, session->definition.compute, mbp_str(session->log.state.sandbox_key),
                      mbp_str(session->log.state.sandbox_id), "gone");
  mag_batch_sandbox(&batch, session->definition.compute, mbp_str(key), mbp_str(""), "intent");
  int r = mag_session_commit(session, &batch, err);
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

static bool is_isolated(const struct mag_session *session)
{
  const struct mbp_compute_info *info = mag_instance_info(session->compute);
  return info && MBP_HAS(info, struct mbp_compute_info, isolation) && info->isolation != MBP_ISOLATION_NONE;
}

/* What the environment asks for and the provider cannot give is refused here, before there is a log or a sandbox. */
static int open_compute(struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  int r = mag_engine_compute(session->engine, definition->compute, mbp_str(definition->compute_options),
                             &session->compute, err);
  if (r == 0)
    r = choose_network(session, &session->network, err);
  if (r == 0 && definition->workspace && !(mag_instance_descriptor(session->compute)->caps & MBP_CAP_COMPUTE_WORKSPACE))
    r = mag_error(err, MBP_E_UNSUPPORTED, "compute %s cannot use a directory of this host as its workspace",
                  definition->compute);
  if (r == 0 && definition->workspace)
    r = mag_workspace_check(definition->workspace, is_isolated(session), mag_engine_registry(session->engine), err);
  if (r == 0)
    r = mag_demand_check(definition, session->compute, session->network, err);
  return r;
}

static bool needs_compute(const struct mag_session *session)
{
  bool needed = mag_demand_needs_compute(&session->definition);
  for (size_t i = 0; i < session->toolbox.n; i++)
    needed |= (session->toolbox.tools[i].flags & MBP_TOOL_SANDBOX) != 0;
  return needed;
}

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

/* Its files are inside, and it is there for the next process too: it ends when its provider's own clock says so. */
static bool keeps_files(const struct mag_session *session)
{
  uint64_t caps = session->compute ? mag_instance_descriptor(session->compute)->caps : 0;
  return caps & MBP_CAP_COMPUTE_OUTLIVES && !(caps & MBP_CAP_COMPUTE_WORKSPACE);
}

/* A sandbox that has not been used for a while goes, and its workspace stays; the next tool makes a new one. */
static void drop_idle_sandbox(void *ctx)
{
  struct mag_session *session = ctx;
  if (!keeps_files(session) &&
      begin_drop(session, session->definition.idle_ms ? session->definition.idle_ms : SANDBOX_IDLE_MS))
    drop_sandbox(session);
}

/* The session's own workspace, unless it was given one: then NULL. */
static int make_workspace(const struct mag_session *session, char **ret_own, struct mbp_error *err)
{
  if (session->definition.workspace)
    return 0;
  mag_autofree char *own = mag_session_workspace(session->log.id);
  int r = own ? make_directories(own, err) : mag_error(err, MBP_E_INVALID, "neither HOME nor XDG_STATE_HOME is set");
  if (r == 0)
    *ret_own = mag_steal(&own);
  return r;
}

/* Makes nothing but the workspace: the sandbox itself is made when a tool needs it. */
static int prepare_sandbox(struct mag_session *session, struct mbp_error *err)
{
  const struct mag_definition *definition = &session->definition;
  int r = 0;
  if (!session->compute)
    return 0;
  uint64_t caps = mag_instance_descriptor(session->compute)->caps;
  mag_autofree char *own = NULL;
  struct mag_demand_env env = {0};
  if (caps & MBP_CAP_COMPUTE_WORKSPACE)
    r = make_workspace(session, &own, err);
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
  int r = session->compute ? 0 : open_compute(session, err);
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

/* ---- Opening and closing -------------------------------------------------------------------------------------- */

static struct mag_session *session_new(struct mag_engine *engine)
{
  struct mag_session *session = calloc(1, sizeof(*session));
  if (!session)
    return NULL;
  session->engine = engine;
  mag_output_init(&session->output, "");
  pthread_mutex_init(&session->commit_lock, NULL);
  pthread_mutex_init(&session->observer_lock, NULL);
  pthread_mutex_init(&session->call_lock, NULL);
  pthread_cond_init(&session->dropped, NULL);
  return session;
}

void mag_session_close(struct mag_session *session)
{
  if (!session)
    return;
  if (session->sandbox)
    mag_rounds_leave(&idle_rounds, &session->idle);
  mag_sandbox_free(session->sandbox, keeps_files(session));
  mag_sandbox_free(session->host, /* keep= */ false);
  mag_handlers_done(&session->handlers);
  mag_toolbox_close(&session->toolbox);
  mag_output_done(&session->output, /* keep= */ session->log.state.status == MAG_STATUS_RUNNING);
  mag_log_close(&session->log);
  mag_models_done(session);
  mag_definition_done(&session->definition);
  pthread_mutex_destroy(&session->commit_lock);
  pthread_mutex_destroy(&session->observer_lock);
  pthread_mutex_destroy(&session->call_lock);
  pthread_cond_destroy(&session->dropped);
  free(session);
}

static void observe(void *ctx, const struct mbp_record *record)
{
  struct mag_session *session = ctx;
  if (record->epoch == 0)
    mag_outside_noticed(session, record);
  pthread_mutex_lock(&session->observer_lock);
  if (session->observer.event)
    session->observer.event(session->observer.ctx, record);
  pthread_mutex_unlock(&session->observer_lock);
}

static int open_tools(struct mag_session *session, struct mbp_error *err)
{
  struct mag_definition *definition = &session->definition;
  int r = mag_toolbox_open(&session->toolbox, session->engine, mbp_str(definition->tools), &definition->tools_source, err);
  mag_tools_source_done(&definition->tools_source);
  return r == 0 && needs_compute(session) ? open_compute(session, err) : r;
}

static int check_env(struct mag_session *session, struct mbp_error *err)
{
  struct mag_demand_env env = {0};
  int r = mag_demand_env(mbp_str(session->definition.env), "compute.env", &env, err);
  mag_demand_env_done(&env);
  return r;
}

/* Model, tools and compute: all that can fail for reasons that the user can mend, before a log exists. */
static int open_parts(struct mag_session *session, struct mbp_error *err)
{
  int r = mag_models_open(session, err);
  if (r < 0)
    return r;
  if (!(mag_instance_descriptor(session->llm)->caps & MBP_CAP_LLM_OFFLINE))
    mag_http_warm(); /* its start passes while the log is made */
  r = open_tools(session, err);
  return r == 0 && session->compute ? check_env(session, err) : r;
}

/* The session's own copy, with tools by their real names, and the two resources. */
static int define(struct mag_session *session, const struct mag_definition *definition, char **ret_agent,
                  char **ret_environment, struct mbp_error *err)
{
  mag_autofree char *tools = NULL;
  struct mag_definition expanded = *definition;
  int r = mag_toolbox_expand(session->engine, definition->tools, &tools, err);
  expanded.tools = tools;
  if (r == 0)
    r = mag_definition_resources(&expanded, ret_agent, ret_environment, err);
  if (r == 0)
    r = mag_definition_from_resources(&session->definition, mbp_str(*ret_agent), mbp_str(*ret_environment), err);
  return r < 0 ? r : mag_tools_source_copy(&session->definition.tools_source, &definition->tools_source, err);
}

int mag_session_check(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_error *err)
{
  struct mag_session *session = session_new(engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = open_parts(session, err);
  mag_session_close(session);
  return r;
}

static int check_models(struct mag_session *session, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  int r = mag_models_open(session, &why);
  if (r == -MBP_E_AUTH)
    return 0;
  return r < 0 ? mag_error_import(err, &why) : mag_models_price(session, session->definition.budget_cost_micros, err);
}

int mag_session_check_agent(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_error *err)
{
  struct mag_session *session = session_new(engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = check_models(session, err);
  if (r == 0)
    r = open_tools(session, err);
  mag_session_close(session);
  return r;
}

int mag_session_create(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_str title,
                       struct mag_session **ret_session, struct mbp_error *err)
{
  struct mag_session *session = session_new(engine);
  struct mag_instance *store = NULL;
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_engine_store(engine, &store, err); /* first: it opens its file beside what follows */
  if (r == 0)
    r = open_parts(session, err);
  if (r == 0)
    r = mag_models_price(session, definition->budget_cost_micros, err);
  struct mag_budget budget = mag_budget_of(definition);
  if (r == 0)
    r = mag_log_create(&session->log, store, mbp_str(agent), mbp_str(environment), title, &budget, err);
  if (r == 0)
    r = prepare_sandbox(session, err);
  if (r == 0)
    r = prepare_host(session, err);
  if (r < 0) {
    mag_session_close(session);
    return r;
  }
  session->log.observe = observe;
  session->log.ctx = session;
  mag_output_init(&session->output, session->log.id);
  *ret_session = session;
  return 0;
}

static int replace(char **place, const char *with, struct mbp_error *err)
{
  if (!with)
    return 0;
  char *copy = mag_str_dup(mbp_str(with));
  if (!copy)
    return mag_error_no_memory(err);
  free(*place);
  *place = copy;
  return 0;
}

int mag_session_open(struct mag_engine *engine, const char *id, const struct mag_definition *overrides,
                     struct mag_session **ret_session, struct mbp_error *err)
{
  struct mag_session *session = session_new(engine);
  struct mag_instance *store;
  int r = session ? mag_engine_store(engine, &store, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_log_open(&session->log, store, id, /* claim= */ true, err);
  if (r == 0 && session->log.state.archived_ms)
    r = mag_error(err, MBP_E_READ_ONLY, "session %s is archived; a fork of it can go on", id);
  if (r == 0 && strcmp(session->log.state.id, session->log.id) != 0)
    r = mag_fork_complete(&session->log, NULL, "empty", err); /* whoever forked it died before it was done */
  if (r == 0)
    r = mag_definition_from_resources(&session->definition, mbp_str(session->log.state.agent),
                                      mbp_str(session->log.state.environment), err);
  if (r == 0 && overrides)
    r = replace(&session->definition.model, overrides->model, err);
  if (r == 0 && overrides)
    r = replace(&session->definition.system, overrides->system, err);
  if (r == 0)
    r = open_parts(session, err);
  if (r == 0)
    r = mag_models_price(session, session->log.state.budget.cost_micros, err);
  if (r == 0)
    r = prepare_sandbox(session, err);
  if (r == 0)
    r = prepare_host(session, err);
  if (r < 0) {
    mag_session_close(session);
    return r;
  }
  session->log.observe = observe;
  session->log.ctx = session;
  mag_output_init(&session->output, session->log.id);
  *ret_session = session;
  return 0;
}

/* ---- Changing the agent --------------------------------------------------------------------------------------- */

static int record_agent(struct mag_session *session, const char *agent, const char *environment, struct mbp_error *err)
{
  struct mag_batch batch = MAG_BATCH_INIT;
  struct mbp_writer *w = mag_batch_private(&batch, MAG_REC_AGENT);
  mag_writer_raw(w, "agent", mbp_str(agent));
  mag_writer_raw(w, "environment", mbp_str(environment));
  mag_batch_end(&batch);
  int r = mag_session_commit(session, &batch, err);
  mag_batch_done(&batch);
  return r;
}

#define SWAP(a, b)                                                                                                     \
  do {                                                                                                                 \
    __typeof__(a) swapped_ = (a);                                                                                      \
    (a) = (b);                                                                                                         \
    (b) = swapped_;                                                                                                    \
  } while (0)

/* What was opened for the new agent becomes the session's; `other` keeps the old, to be closed. */
static void swap_parts(struct mag_session *session, struct mag_session *other)
{
  SWAP(session->definition, other->definition);
  SWAP(session->toolbox, other->toolbox);
  SWAP(session->models, other->models);
  SWAP(session->n_models, other->n_models);
  session->llm = other->llm;
  session->provider = other->provider;
  session->model = other->model;
  session->price = other->price;
  if (other->compute) {
    session->compute = other->compute;
    session->network = other->network;
  }
}

/* Made anew in the new environment, when a tool needs it. */
static void remove_sandbox(struct mag_session *session)
{
  (void) mag_session_drop_sandbox(session, NULL);
  mag_rounds_leave(&idle_rounds, &session->idle);
  mag_sandbox_free(mag_steal(&session->sandbox), /* keep= */ false);
}

int mag_session_redefine(struct mag_session *session, const struct mag_definition *definition, struct mbp_error *err)
{
  struct mag_session *other = session_new(session->engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = other ? define(other, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = open_parts(other, err);
  if (r == 0)
    r = mag_models_price(other, session->log.state.budget.cost_micros, err);
  bool moved = r == 0 && strcmp(environment, session->log.state.environment ? session->log.state.environment : "") != 0;
  if (r == 0)
    r = record_agent(session, agent, environment, err);
  if (r == 0) {
    swap_parts(session, other);
    if (moved && session->sandbox)
      remove_sandbox(session);
    mag_sandbox_free(mag_steal(&session->host), /* keep= */ false);
    r = session->sandbox ? 0 : prepare_sandbox(session, err);
  }
  if (r == 0)
    r = prepare_host(session, err);
  mag_session_close(other);
  return r;
}

/* ---- Watching, saying, stopping ------------------------------------------------------------------------------- */

void mag_session_observe(struct mag_session *session, const struct mag_observer *observer)
{
  pthread_mutex_lock(&session->observer_lock);
  session->observer = *observer;
  pthread_mutex_unlock(&session->observer_lock);
}

void mag_session_preview(struct mag_session *session, uint32_t kind, const char *event_id, struct mbp_str name,
                         struct mbp_str data)
{
  mag_autobuf clean = MAG_BUF_INIT;
  if (mag_redact_wanted(data)) {
    mag_redact_into(&clean, data);
    data = mag_buf_str(&clean);
  }
  if (kind == MAG_PREVIEW_TOOL_OUTPUT)
    mag_output_add(&session->output, event_id, data);
  struct mag_preview preview = {kind, event_id, name, data};
  pthread_mutex_lock(&session->observer_lock);
  if (session->observer.preview)
    session->observer.preview(session->observer.ctx, &preview);
  pthread_mutex_unlock(&session->observer_lock);
}

void mag_session_preview_piece(struct mag_session *session, struct mag_preview_stream *stream, uint32_t kind,
                               const char *event_id, const char *name, struct mbp_str data)
{
  mag_autobuf clean = MAG_BUF_INIT;
  if (stream->kind != kind || strcmp(stream->event_id, event_id) != 0)
    mag_session_preview_rest(session, stream);
  stream->kind = kind;
  stream->name = name;
  (void) snprintf(stream->event_id, sizeof(stream->event_id), "%s", event_id);
  mag_redact_piece(&stream->held, data, &clean);
  if (clean.len || data.len == 0)
    mag_session_preview(session, kind, event_id, mbp_str(name), mag_buf_str(&clean));
}

void mag_session_preview_rest(struct mag_session *session, struct mag_preview_stream *stream)
{
  if (stream->held.len)
    mag_session_preview(session, stream->kind, stream->event_id, mbp_str(stream->name), mag_buf_str(&stream->held));
  mag_buf_done(&stream->held);
}

int mag_session_refresh(struct mag_session *session, struct mbp_error *err)
{
  pthread_mutex_lock(&session->commit_lock);
  int r = mag_log_refresh(&session->log, err);
  pthread_mutex_unlock(&session->commit_lock);
  return r;
}

int mag_session_commit(struct mag_session *session, struct mag_batch *batch, struct mbp_error *err)
{
  pthread_mutex_lock(&session->commit_lock);
  int r = mag_log_commit(&session->log, batch, err);
  pthread_mutex_unlock(&session->commit_lock);
  return r;
}

int mag_message_content(struct mbp_writer *w, struct mbp_str text, struct mbp_str *ret_content, struct mbp_error *err)
{
  if (text.len == 0)
    return mag_error(err, MBP_E_INVALID, "the message is empty");
  if (!mag_utf8_valid(text.ptr, text.len))
    return mag_error(err, MBP_E_INVALID, "the message is not UTF-8");
  mag_writer_array(w, NULL);
  mag_write_text_block(w, text);
  mag_writer_end(w);
  return mag_writer_text(w, ret_content) < 0 ? mag_error_no_memory(err) : 0;
}

static int say(struct mag_session *session, struct mbp_str content, struct mbp_error *err)
{
  struct mag_batch batch = MAG_BATCH_INIT;
  char id[MAG_ID_SIZE] = "";
  mag_batch_user_message(&batch, id, content);
  int r = mag_session_commit(session, &batch, err);
  mag_batch_done(&batch);
  return r;
}

int mag_session_say(struct mag_session *session, struct mbp_str text, struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str content;
  int r = mag_message_content(w, text, &content, err);
  return r < 0 ? r : say(session, content, err);
}

void mag_session_interrupt(struct mag_session *session)
{
  pthread_mutex_lock(&session->call_lock);
  if (session->call)
    mag_call_cancel(session->call);
  else
    session->interrupted = true;
  pthread_mutex_unlock(&session->call_lock);
}

void mag_session_forget_interrupt(struct mag_session *session)
{
  pthread_mutex_lock(&session->call_lock);
  session->interrupted = false;
  pthread_mutex_unlock(&session->call_lock);
}

static int run_turn(struct mag_session *session, const struct mag_limits *limits, struct mbp_str message,
                    struct mag_outcome *ret_outcome, struct mbp_error *err)
{
  if (session->log.state.budget.time_ms) {
    int refreshed = mag_session_refresh(session, err); /* it may have been raised */
    if (refreshed < 0)
      return refreshed;
  }
  int64_t left = mag_budget_time_left(&session->log.state), timeout = limits->timeout_ms;
  if (left && (timeout == 0 || left < timeout))
    timeout = left;
  struct mag_call_options options = {.timeout_ms = timeout, .session = mbp_str(session->log.id)};
  struct mbp_call *call = mag_call_new_scope(&options);
  if (!call)
    return mag_error_no_memory(err);
  mag_call_set_scope(call, session->sandbox);
  pthread_mutex_lock(&session->call_lock);
  while (session->dropping)
    pthread_cond_wait(&session->dropped, &session->call_lock);
  session->call = call;
  if (session->interrupted)
    mag_call_cancel(call);
  session->interrupted = false;
  pthread_mutex_unlock(&session->call_lock);
  int r = mag_engine_begin_turn(session->engine, call, err);
  if (r == 0) {
    r = mag_turn_run(session, call, limits, message, ret_outcome, err);
    mag_outside_unwatch(session);
    mag_engine_end_turn(session->engine);
  } else if (message.len == 0 || (r = say(session, message, err)) == 0) {
    *ret_outcome = (struct mag_outcome){.ending = MAG_END_INTERRUPTED}; /* while it waited for room to run */
    r = 0;
  }
  if (session->host)
    mag_sandbox_drop(session->host); /* nothing stays on the host between turns */
  pthread_mutex_lock(&session->call_lock);
  session->call = NULL;
  pthread_mutex_unlock(&session->call_lock);
  mag_call_unref(call);
  return r;
}

int mag_session_run(struct mag_session *session, const struct mag_limits *limits, struct mag_outcome *ret_outcome,
                    struct mbp_error *err)
{
  return run_turn(session, limits, mbp_str(""), ret_outcome, err);
}

int mag_session_ask(struct mag_session *session, struct mbp_str text, const struct mag_limits *limits,
                    struct mag_outcome *ret_outcome, struct mbp_error *err)
{
  const struct mag_state *state = &session->log.state;
  mag_autowriter w = mag_writer_new();
  struct mbp_str content;
  if (state->status == MAG_STATUS_IDLE && state->n_open == 0 && state->n_inbox == 0) {
    int r = mag_message_content(w, text, &content, err);
    return r < 0 ? r : run_turn(session, limits, content, ret_outcome, err);
  }
  int r = mag_session_say(session, text, err); /* it waits its turn in the inbox */
  return r < 0 ? r : mag_session_run(session, limits, ret_outcome, err);
}
