/* The embedding face: include/magent/magent.h over the agent layer. */
#include "agent/session.h"
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <magent/magent.h>
#include <stdio.h>
#include <string.h>

struct magent {
  struct mag_engine *engine;
};

struct magent_session {
  struct mag_session *session;
  struct magent_callbacks callbacks;
};

const char *magent_version(void)
{
  return PACKAGE_VERSION;
}

static int tell(struct magent_error *error, const struct mbp_error *err)
{
  if (error) {
    memset(error, 0, sizeof(*error));
    error->code = err->code;
    (void) snprintf(error->message, sizeof(error->message), "%s", err->message);
  }
  return err->code ? -err->code : -MBP_E_INTERNAL;
}

/* A caller's struct may be older than ours. */
static void import_struct(void *to, size_t to_size, const void *from)
{
  memset(to, 0, to_size);
  if (from)
    memcpy(to, from, MAG_MIN(*(const size_t *) from, to_size));
}

int magent_open(const struct magent_options *given, struct magent **ret_magent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_options options;
  struct magent *magent = calloc(1, sizeof(*magent));
  import_struct(&options, sizeof(options), given);
  struct mag_engine_options engine = {.plugin_dirs = options.plugin_dirs, .store_config = mbp_str("")};
  int r = magent ? mag_engine_new(&engine, &magent->engine, &err) : mag_error_no_memory(&err);
  if (r < 0) {
    free(magent);
    return tell(error, &err);
  }
  *ret_magent = magent;
  return 0;
}

void magent_close(struct magent *magent)
{
  if (magent)
    mag_engine_free(magent->engine);
  free(magent);
}

static int define(const char *agent, struct mag_definition *definition, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  int r = 0;
  if (agent && *agent) {
    r = mag_yaml_to_json(mbp_str(agent), &json, err);
    if (r == 0)
      r = mag_definition_take(definition, mbp_str(json), "agent", err);
  }
  return r < 0 ? r : mag_definition_defaults(definition, err);
}

static int wrap(struct mag_session *inner, struct magent_session **ret_session, struct mbp_error *err)
{
  struct magent_session *session = calloc(1, sizeof(*session));
  if (!session) {
    mag_session_close(inner);
    return mag_error_no_memory(err);
  }
  session->session = inner;
  *ret_session = session;
  return 0;
}

int magent_session_create(struct magent *magent, const char *agent, const char *title,
                          struct magent_session **ret_session, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  struct mag_session *inner = NULL;
  int r = define(agent, &definition, &err);
  if (r == 0)
    r = mag_session_create(magent->engine, &definition, mbp_str(title), &inner, &err);
  if (r == 0)
    r = wrap(inner, ret_session, &err);
  mag_definition_done(&definition);
  return r < 0 ? tell(error, &err) : 0;
}

int magent_session_open(struct magent *magent, const char *id, struct magent_session **ret_session,
                        struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *inner = NULL;
  int r = mag_session_open(magent->engine, id, /* overrides= */ NULL, &inner, &err);
  if (r == 0)
    r = wrap(inner, ret_session, &err);
  return r < 0 ? tell(error, &err) : 0;
}

void magent_session_close(struct magent_session *session)
{
  if (session)
    mag_session_close(session->session);
  free(session);
}

const char *magent_session_id(const struct magent_session *session)
{
  return session->session->log.id;
}

/* ---- Watching ------------------------------------------------------------------------------------------------- */

static void on_event(void *ctx, const struct mbp_record *record)
{
  const struct magent_callbacks *callbacks = ctx;
  if (callbacks->event)
    callbacks->event(callbacks->ctx, record->payload.ptr, record->payload.len);
}

static void on_preview(void *ctx, const struct mag_preview *preview)
{
  const struct magent_callbacks *callbacks = ctx;
  if (preview->kind == MAG_PREVIEW_TEXT && callbacks->text)
    callbacks->text(callbacks->ctx, preview->data.ptr, preview->data.len);
  else if (preview->kind == MAG_PREVIEW_TOOL_OUTPUT && callbacks->tool_output)
    callbacks->tool_output(callbacks->ctx, preview->name.ptr, preview->data.ptr, preview->data.len);
}

static int on_confirm(void *ctx, const char *tool, const char *input)
{
  const struct magent_callbacks *callbacks = ctx;
  return callbacks->confirm ? callbacks->confirm(callbacks->ctx, tool, input) : -1;
}

int magent_session_run(struct magent_session *session, const char *prompt, const struct magent_callbacks *callbacks,
                       const struct magent_limits *given, struct magent_outcome *ret_outcome,
                       struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_limits bounds;
  struct mag_outcome outcome;
  import_struct(&session->callbacks, sizeof(session->callbacks), callbacks);
  import_struct(&bounds, sizeof(bounds), given);
  struct mag_observer observer = {
      .ctx = &session->callbacks, .event = on_event, .preview = on_preview, .confirm = on_confirm};
  struct mag_limits limits = {.max_steps = bounds.max_steps, .timeout_ms = bounds.timeout_ms};
  mag_session_observe(session->session, &observer);
  int r = prompt ? mag_session_ask(session->session, mbp_str(prompt), &limits, &outcome, &err)
                 : mag_session_run(session->session, &limits, &outcome, &err);
  mag_session_observe(session->session, &(struct mag_observer){0});
  if (r < 0)
    return tell(error, &err);
  if (ret_outcome) {
    memset(ret_outcome, 0, sizeof(*ret_outcome));
    ret_outcome->ending = (int32_t) outcome.ending; /* the same numbers: see the assertions below */
    (void) tell(&ret_outcome->error, &outcome.error);
  }
  return 0;
}

_Static_assert(MAGENT_END_TURN == (int) MAG_END_TURN && MAGENT_REQUIRES_ACTION == (int) MAG_END_REQUIRES_ACTION &&
                   MAGENT_LIMIT == (int) MAG_END_LIMIT && MAGENT_REFUSED == (int) MAG_END_REFUSAL &&
                   MAGENT_FAILED == (int) MAG_END_ERROR && MAGENT_INTERRUPTED == (int) MAG_END_INTERRUPTED,
               "the endings of magent.h are those of the agent layer");

void magent_session_interrupt(struct magent_session *session)
{
  mag_session_interrupt(session->session);
}
