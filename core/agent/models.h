/* models.h - the models of a session: the one that it was made with, and those that stand in for it. */
#ifndef MAG_AGENT_MODELS_H
#define MAG_AGENT_MODELS_H

#include "agent/price.h"
#include "agent/session.h"

#define MAG_FALLBACKS_MAX 8

struct mag_model {
  struct mag_instance *llm;
  char *reference;      /* as the definition says it */
  const char *provider; /* the plugin's name */
  const char *name;     /* the model's name there, inside `reference` */
  struct mag_price price;
};

/* Opens all of them, so that one that cannot work is told before anything is created; the first is in use then. */
int mag_models_open(struct mag_session *session, struct mbp_error *err);
/* A budget in money needs a price for each. */
int mag_models_price(struct mag_session *session, int64_t budget_micros, struct mbp_error *err);
/* From now on this one is asked: session->llm, provider, model and price are its. */
void mag_models_use(struct mag_session *session, size_t index);
void mag_models_done(struct mag_session *session);

#endif
