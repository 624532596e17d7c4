/* Talking to a session: messages, turns, interrupts. */
#include "agent/session.h"

#include "agent/outside.h"
#include "agent/turn.h"
#include "base/error.h"
#include "base/text.h"

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
