#include "agent/outside.h"

#include "agent/sessions.h"
#include "agent/session.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>

/* ---- Noticing ------------------------------------------------------------------------------------------------- */

/* One thread asks the store for what is new in each running session. That is one small query a session and round,
 * where a `watch` would cost a thread and a descriptor each, and be woken by every append of its own runner. */
static struct mag_rounds outside_rounds = MAG_ROUNDS_INIT(250);

struct noticed {
  uint64_t last;
  bool interrupt;
};

static int notice(void *ctx, const struct mbp_record *record)
{
  struct noticed *noticed = ctx;
  noticed->last = record->seq;
  noticed->interrupt |= mbp_str_eq(record->type, MAG_EV_USER_INTERRUPT);
  return 0;
}

static void cancel_turn(struct mag_session *session)
{
  pthread_mutex_lock(&session->call_lock);
  if (session->call)
    mag_call_cancel(session->call);
  pthread_mutex_unlock(&session->call_lock);
}

static void look_outside(void *ctx)
{
  struct mag_session *session = ctx;
  if (pthread_mutex_trylock(&session->commit_lock) != 0)
    return; /* it is appending: next time */
  struct noticed noticed = {.last = MAG_MAX(session->log.state.last_seq, session->outside_seen)};
  pthread_mutex_unlock(&session->commit_lock);
  if (mag_log_each(session->log.store, session->log.id, noticed.last + 1, 0, notice, &noticed, NULL) < 0)
    return;
  session->outside_seen = noticed.last;
  if (noticed.interrupt)
    cancel_turn(session);
}

void mag_outside_noticed(struct mag_session *session, const struct mbp_record *record)
{
  if (session->watched && mbp_str_eq(record->type, MAG_EV_USER_INTERRUPT))
    cancel_turn(session);
}

void mag_outside_watch(struct mag_session *session)
{
  if (session->watched)
    return;
  session->watched = true;
  session->outside_seen = 0;
  session->outside = (struct mag_round){.look = look_outside, .ctx = session};
  mag_rounds_join(&outside_rounds, &session->outside);
}

void mag_outside_unwatch(struct mag_session *session)
{
  if (session->watched)
    mag_rounds_leave(&outside_rounds, &session->outside);
  session->watched = false;
}

/* ---- Saying --------------------------------------------------------------------------------------------------- */

static int check_delivery(const char *delivery, struct mbp_error *err)
{
  if (!delivery || strcmp(delivery, MAG_DELIVERY_STEER) == 0 || strcmp(delivery, MAG_DELIVERY_FOLLOW_UP) == 0)
    return 0;
  return mag_error(err, MBP_E_INVALID, "delivery \"%.40s\" is neither steer nor follow_up", delivery);
}

static int append(struct mag_engine *engine, const char *id, struct mag_batch *batch, struct mbp_error *err)
{
  struct mag_instance *store;
  int r = mag_batch_check(batch, err);
  if (r == 0)
    r = mag_engine_store(engine, &store, err);
  return r < 0 ? r : mag_log_append_outside(store, id, batch, err);
}

int mag_outside_say_content(struct mag_engine *engine, const char *id, struct mbp_str content, const char *delivery,
                            char ret_event_id[MAG_ID_SIZE], struct mbp_error *err)
{
  struct mag_batch batch = MAG_BATCH_INIT;
  char event_id[MAG_ID_SIZE] = "";
  struct mag_session_facts facts;
  int r = check_delivery(delivery, err);
  if (r == 0 && (mag_json_check(content, err) < 0 || !mag_state_is_content(content)))
    r = mag_error(err, MBP_E_INVALID, "the content of a message is a list of text, image and document blocks");
  if (r == 0)
    r = mag_sessions_facts(engine, id, &facts, err);
  if (r == 0 && facts.archived)
    r = mag_error(err, MBP_E_READ_ONLY, "session %s is archived; a fork of it can go on", id);
  if (r < 0)
    return r;
  struct mbp_writer *w = mag_batch_event(&batch, MAG_EV_USER_MESSAGE, event_id);
  mag_writer_raw(w, "content", content);
  if (delivery) {
    mag_writer_object(w, "x_magent");
    mag_writer_string(w, "delivery", mbp_str(delivery));
    mag_writer_end(w);
  }
  mag_batch_end(&batch);
  r = append(engine, id, &batch, err);
  mag_batch_done(&batch);
  if (r == 0 && ret_event_id)
    memcpy(ret_event_id, event_id, MAG_ID_SIZE);
  return r;
}

int mag_outside_say(struct mag_engine *engine, const char *id, struct mbp_str text, const char *delivery,
                    char ret_event_id[MAG_ID_SIZE], struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str content;
  int r = mag_message_content(w, text, &content, err);
  return r < 0 ? r : mag_outside_say_content(engine, id, content, delivery, ret_event_id, err);
}

int mag_outside_interrupt(struct mag_engine *engine, const char *id, bool *ret_running, struct mbp_error *err)
{
  struct mag_batch batch = MAG_BATCH_INIT;
  struct mag_session_facts facts;
  int r = mag_sessions_facts(engine, id, &facts, err);
  if (r < 0)
    return r;
  if (facts.running) {
    mag_batch_event(&batch, MAG_EV_USER_INTERRUPT, NULL);
    mag_batch_end(&batch);
    r = append(engine, id, &batch, err);
    mag_batch_done(&batch);
  }
  if (r == 0)
    *ret_running = facts.running;
  return r;
}
