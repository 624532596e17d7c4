/* Opening and closing a session, and what is checked before. */
#include "agent/session_parts.h"

#include "agent/custom_entry.h"
#include "agent/demand.h"
#include "agent/models.h"
#include "agent/outside.h"
#include "agent/sessions.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "host/http.h"

#include <string.h>

int mag_session_check_id(const char *id, struct mbp_error *err)
{
  if (id && *id && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(id))
    return 0;
  return mag_error(err, MBP_E_NOT_FOUND, "no session \"%.60s\"", id ? id : "");
}

struct mag_session *mag_session_new(struct mag_engine *engine)
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
  mag_session_free_sandboxes(session);
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
  mag_session_observed(session, record);
}

static int open_tools(struct mag_session *session, struct mbp_error *err)
{
  struct mag_definition *definition = &session->definition;
  int r =
      mag_toolbox_open(&session->toolbox, session->engine, mbp_str(definition->tools), &definition->tools_source, err);
  return r == 0 && mag_session_needs_compute(session) ? mag_session_open_compute(session, err) : r;
}

static int check_env(struct mag_session *session, struct mbp_error *err)
{
  struct mag_demand_env env = {0};
  int r = mag_demand_env(mbp_str(session->definition.env), "compute.env", &env, err);
  mag_demand_env_done(&env);
  return r < 0 ? mag_definition_blame(&session->definition, "compute.env", err) : 0;
}

static int check_tool_env(struct mag_session *session, struct mbp_error *err)
{
  int r = 0;
  for (size_t i = 0; i < session->toolbox.n && r == 0; i++) {
    const struct mag_tool *tool = &session->toolbox.tools[i];
    struct mag_demand_env env = {0};
    if (!tool->custom || !tool->custom->env)
      continue;
    r = mag_demand_env(mbp_str(tool->custom->env), "env", &env, err);
    mag_demand_env_done(&env);
    if (r < 0 && mag_error_wrap(err, "tools: custom tool \"%s\"", tool->name) < 0)
      (void) mag_definition_blame(&session->definition, "tools", err);
  }
  return r;
}

int mag_session_open_parts(struct mag_session *session, struct mbp_error *err)
{
  int r = mag_models_open(session, err);
  if (r < 0)
    return r;
  if (!(mag_instance_descriptor(session->llm)->caps & MBP_CAP_LLM_OFFLINE))
    mag_http_warm(); /* its start passes while the log is made */
  r = open_tools(session, err);
  if (r == 0 && session->compute)
    r = check_env(session, err);
  if (r == 0)
    r = check_tool_env(session, err);
  mag_definition_forget_sources(&session->definition);
  return r;
}

int mag_session_define(struct mag_session *session, const struct mag_definition *definition, char **ret_agent,
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
  return r < 0 ? r : mag_definition_copy_sources(&session->definition, definition, err);
}

int mag_session_check(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_error *err)
{
  struct mag_session *session = mag_session_new(engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? mag_session_define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_session_open_parts(session, err);
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
  struct mag_session *session = mag_session_new(engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? mag_session_define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = check_models(session, err);
  if (r == 0)
    r = open_tools(session, err);
  if (r == 0 && session->compute && mag_demand_check_env(mbp_str(session->definition.env), "compute.env", err) < 0)
    r = mag_definition_blame(&session->definition, "compute.env", err);
  mag_session_close(session);
  return r;
}

/* The end of both ways to a session, `r` being what came of them so far. */
static int finish(struct mag_session *session, int r, struct mag_session **ret_session, struct mbp_error *err)
{
  if (r == 0)
    r = mag_session_prepare_sandboxes(session, err);
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

int mag_session_create(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_str title,
                       struct mag_session **ret_session, struct mbp_error *err)
{
  struct mag_session *session = mag_session_new(engine);
  struct mag_instance *store = NULL;
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = session ? mag_session_define(session, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_engine_store(engine, &store, err); /* first: it opens its file beside what follows */
  if (r == 0)
    r = mag_session_open_parts(session, err);
  if (r == 0)
    r = mag_models_price(session, definition->budget_cost_micros, err);
  struct mag_budget budget = mag_budget_of(definition);
  if (r == 0)
    r = mag_log_create(&session->log, store, mbp_str(agent), mbp_str(environment), title, &budget, err);
  return finish(session, r, ret_session, err);
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
  struct mag_session *session = mag_session_new(engine);
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
    r = mag_session_open_parts(session, err);
  if (r == 0)
    r = mag_models_price(session, session->log.state.budget.cost_micros, err);
  return finish(session, r, ret_session, err);
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
