/* Another agent for a session that exists. */
#include "agent/session_parts.h"

#include "agent/models.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>

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

int mag_session_redefine(struct mag_session *session, const struct mag_definition *definition, struct mbp_error *err)
{
  struct mag_session *other = mag_session_new(session->engine);
  mag_autofree char *agent = NULL, *environment = NULL;
  int r = other ? mag_session_define(other, definition, &agent, &environment, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_session_open_parts(other, err);
  if (r == 0)
    r = mag_models_price(other, session->log.state.budget.cost_micros, err);
  bool moved = r == 0 && strcmp(environment, session->log.state.environment ? session->log.state.environment : "") != 0;
  if (r == 0)
    r = record_agent(session, agent, environment, err);
  if (r == 0) {
    swap_parts(session, other);
    r = mag_session_renew_sandboxes(session, moved, err);
  }
  mag_session_close(other);
  return r;
}
