#include "agent/turn.h"

#include "agent/output.h"
#include "base/buf.h"
#include "base/cleanup.h"

#include <string.h>

#define UNKNOWN                                                                                                        \
  "The program that ran this tool ended before its result was recorded. Whether it had an effect is unknown: check "   \
  "before you do it again."

static void close_request(struct mag_turn *turn)
{
  const struct mag_state *state = &turn->session->log.state;
  struct mbp_usage estimate = {.size = MBP_SIZE(struct mbp_usage, cache_write), .input = state->request_estimate};
  mag_batch_request_end(&turn->batch, mbp_str(state->request), /* is_error= */ true, &estimate,
                        &turn->session->price);
}

/* The outcome is unknown, but not how far it came. */
static void close_call(struct mag_turn *turn, const struct mag_tool_call *call)
{
  size_t len = 0;
  mag_autofree char *quote = mag_output_quote(turn->session->log.id, call->event_id, &len);
  mag_autobuf text = MAG_BUF_INIT;
  mag_buf_add_text(&text, UNKNOWN);
  if (quote) {
    mag_buf_add_text(&text, " ");
    mag_buf_add(&text, quote, len);
  }
  mag_batch_failure(&turn->batch, call, mag_buf_str(&text));
}

void mag_turn_recover(struct mag_turn *turn)
{
  const struct mag_state *state = &turn->session->log.state;
  if (state->request)
    close_request(turn);
  for (size_t i = 0; i < state->n_calls; i++) {
    const struct mag_tool_call *call = &state->calls[i];
    if (!call->result && call->started && !call->repeatable)
      close_call(turn, call);
  }
}

void mag_turn_forget_sandbox(struct mag_turn *turn)
{
  struct mag_session *session = turn->session;
  const struct mag_state *state = &session->log.state;
  bool outlives = session->compute && mag_instance_descriptor(session->compute)->caps & MBP_CAP_COMPUTE_OUTLIVES;
  if (!session->sandbox_known && state->sandbox_there && !outlives)
    mag_batch_sandbox(&turn->batch, state->sandbox_provider ? state->sandbox_provider : "", mbp_str(state->sandbox_key),
                      mbp_str(state->sandbox_id), "gone");
  session->sandbox_known = true;
}
