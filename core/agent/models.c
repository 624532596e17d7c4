#include "agent/models.h"

#include "agent/definition.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <magent/mbp-llm.h>
#include <stdlib.h>

#define CHECK_TIMEOUT_MS 10000

/* What every request would be refused for. */
static int check_params(const struct mag_session *session, const struct mag_model *model, struct mbp_error *err)
{
  const struct mbp_llm_ops *ops = mag_instance_ops(model->llm);
  struct mag_call_options options = {.timeout_ms = CHECK_TIMEOUT_MS};
  struct mbp_message message = {.role = MBP_ROLE_USER, .content = mbp_str("[{\"type\":\"text\",\"text\":\"Hello\"}]")};
  struct mbp_llm_request request = {.size = MBP_SIZE(struct mbp_llm_request, params),
                                    .model = mbp_str(model->name),
                                    .messages = &message,
                                    .n_messages = 1,
                                    .params = mbp_str(session->definition.model_params)};
  if (!request.params.len || !ops->check_params)
    return 0;
  int r = MAG_RUN(model->llm, &options, err, ops->check_params(plugin, call, &request, err));
  if (r == -MBP_E_INVALID)
    (void) mag_definition_blame(&session->definition, "model.*", err);
  return r;
}

static int add_model(struct mag_session *session, struct mbp_str reference, struct mbp_error *err)
{
  struct mag_model *model = &session->models[session->n_models];
  model->reference = mag_str_dup(reference);
  if (!model->reference)
    return mag_error_no_memory(err);
  session->n_models++;
  int r = mag_engine_llm(session->engine, model->reference, &model->llm, &model->name, err);
  if (r == 0)
    model->provider = mag_instance_descriptor(model->llm)->name;
  bool fallback = session->n_models > 1;
  if (r < 0 && fallback)
    (void) mag_error_wrap(err, "model.fallbacks: %.60s", model->reference);
  if (r == -MBP_E_NOT_FOUND)
    (void) mag_definition_blame(&session->definition, fallback ? "model.fallbacks" : "model.id", err);
  return r < 0 ? r : check_params(session, model, err);
}

int mag_models_open(struct mag_session *session, struct mbp_error *err)
{
  const char *list = session->definition.model_fallbacks;
  mag_autojson fallbacks = NULL;
  int r = list ? mag_json_parse(mbp_str(list), &fallbacks, err) : 0;
  if (r < 0)
    return r;
  if (mag_json_count(fallbacks) > MAG_FALLBACKS_MAX)
    return mag_error(err, MBP_E_LIMIT, "model.fallbacks: more than %d", MAG_FALLBACKS_MAX);
  session->models = calloc(mag_json_count(fallbacks) + 1, sizeof(*session->models));
  if (!session->models)
    return mag_error_no_memory(err);
  r = add_model(session, mbp_str(session->definition.model), err);
  for (const struct mbp_json *i = mag_json_first(fallbacks); i && r == 0; i = mag_json_next(i))
    r = add_model(session, mag_json_str(i), err);
  if (r == 0)
    mag_models_use(session, 0);
  return r;
}

int mag_models_price(struct mag_session *session, int64_t budget_micros, struct mbp_error *err)
{
  const struct mag_prices *prices;
  int r = mag_engine_prices(session->engine, &prices, err);
  for (size_t i = 0; i < session->n_models && r == 0; i++) {
    struct mag_model *model = &session->models[i];
    if (!mag_prices_find(prices, model->provider, model->name, &model->price) && budget_micros)
      r = mag_error(
          err, MBP_E_UNSUPPORTED,
          "the session has a budget in money, and there is no price for model %s/%s: add one to prices.json in "
          "the configuration directory, or give the budget in tokens",
          model->provider, model->name);
  }
  if (r == 0)
    mag_models_use(session, 0);
  return r;
}

void mag_models_use(struct mag_session *session, size_t index)
{
  const struct mag_model *model = &session->models[index];
  session->llm = model->llm;
  session->provider = model->provider;
  session->model = model->name;
  session->price = model->price;
}

void mag_models_done(struct mag_session *session)
{
  for (size_t i = 0; i < session->n_models; i++)
    free(session->models[i].reference);
  free(session->models);
  session->models = NULL;
  session->n_models = 0;
}
