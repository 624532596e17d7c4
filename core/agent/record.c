#include "agent/record.h"

#include "agent/state.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "host/redact.h"

#include <stdlib.h>

void mag_batch_clear(struct mag_batch *batch)
{
  for (size_t i = 0; i < batch->n; i++)
    free((char *) (uintptr_t) batch->records[i].payload.ptr);
  batch->n = 0;
  batch->failed = false;
  mag_writer_reset(batch->writer);
}

void mag_batch_done(struct mag_batch *batch)
{
  mag_batch_clear(batch);
  mag_writer_free(batch->writer);
  free(batch->records);
  *batch = (struct mag_batch) MAG_BATCH_INIT;
}

static struct mbp_writer *begin(struct mag_batch *batch, const char *type, uint32_t klass)
{
  if (!batch->writer)
    batch->writer = mag_writer_new();
  mag_writer_reset(batch->writer);
  batch->type = type;
  batch->klass = klass;
  mag_writer_object(batch->writer, NULL);
  return batch->writer;
}

struct mbp_writer *mag_batch_private(struct mag_batch *batch, const char *type)
{
  return begin(batch, type, MBP_RECORD_PRIVATE);
}

struct mbp_writer *mag_batch_event(struct mag_batch *batch, const char *type, char id[MAG_ID_SIZE])
{
  char own[MAG_ID_SIZE] = "", now[MAG_TIME_TEXT];
  if (!id)
    id = own;
  if (!id[0])
    mag_id_new(id, "sevt_");
  mag_clock_format(mag_clock_wall_ms(), now);
  struct mbp_writer *writer = begin(batch, type, MBP_RECORD_EVENT);
  mag_writer_string(writer, "id", mbp_str(id));
  mag_writer_string(writer, "type", mbp_str(type));
  if (mag_str_starts(mbp_str(type), "user."))
    mag_writer_null(writer, "processed_at");
  else
    mag_writer_string(writer, "processed_at", mbp_str(now));
  return writer;
}

/* No known secret is stored. The model's answer alone is left as it is: its blocks may be signed, and whoever made
 * the record has taken secrets out of the others. */
static bool kept_as_it_is(const struct mag_batch *batch)
{
  return batch->klass == MBP_RECORD_PRIVATE && mbp_str_eq(mbp_str(batch->type), MAG_REC_RESPONSE);
}

void mag_batch_end(struct mag_batch *batch)
{
  mag_writer_end(batch->writer);
  char *payload = mag_writer_take(batch->writer);
  if (!kept_as_it_is(batch))
    payload = mag_redact_text(payload);
  if (payload && batch->n == batch->cap) {
    size_t cap = batch->cap ? 2 * batch->cap : 8;
    struct mbp_record *records = realloc(batch->records, cap * sizeof(*records));
    if (records) {
      batch->records = records;
      batch->cap = cap;
    }
  }
  if (!payload || batch->n == batch->cap) {
    free(payload);
    batch->failed = true;
    return;
  }
  batch->records[batch->n++] =
      (struct mbp_record){.klass = batch->klass, .type = mbp_str(batch->type), .payload = mbp_str(payload)};
}

int mag_batch_check(const struct mag_batch *batch, struct mbp_error *err)
{
  return batch->failed ? mag_error(err, MBP_E_NO_MEMORY, "out of memory while writing a record") : 0;
}

/* ---- Single records ------------------------------------------------------------------------------------------- */

void mag_batch_user_message(struct mag_batch *batch, char id[MAG_ID_SIZE], struct mbp_str content)
{
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_USER_MESSAGE, id);
  mag_writer_raw(w, "content", content);
  mag_batch_end(batch);
}

void mag_batch_processed(struct mag_batch *batch, struct mbp_str event_id)
{
  struct mbp_writer *w = mag_batch_private(batch, MAG_REC_PROCESSED);
  mag_writer_string(w, "event_id", event_id);
  mag_batch_end(batch);
}

void mag_batch_running(struct mag_batch *batch)
{
  mag_batch_event(batch, MAG_EV_RUNNING, NULL);
  mag_batch_end(batch);
}

void mag_batch_idle(struct mag_batch *batch, const char *stop_reason, struct mbp_str details, struct mbp_str x_magent)
{
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_IDLE, NULL);
  mag_writer_object(w, "stop_reason");
  mag_writer_string(w, "type", mbp_str(stop_reason));
  mag_writer_end(w);
  if (details.len)
    mag_writer_raw(w, "stop_details", details);
  else
    mag_writer_null(w, "stop_details");
  if (x_magent.len)
    mag_writer_raw(w, "x_magent", x_magent);
  mag_batch_end(batch);
}

void mag_batch_error(struct mag_batch *batch, const char *type, const struct mbp_error *why)
{
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_ERROR, NULL);
  mag_writer_object(w, "error");
  mag_writer_string(w, "type", mbp_str(type));
  mag_writer_string(w, "message", mbp_str(why->message));
  mag_writer_object(w, "retry_status");
  mag_writer_string(w, "type", mbp_str(why->flags & MBP_ERR_RETRYABLE ? "exhausted" : "terminal"));
  mag_writer_end(w);
  mag_writer_end(w);
  mag_batch_end(batch);
}

void mag_batch_result(struct mag_batch *batch, const struct mag_result *result, struct mbp_str content)
{
  char id[MAG_ID_SIZE] = "";
  struct mbp_writer *w = mag_batch_event(batch, result->custom ? MAG_EV_USER_CUSTOM_RESULT : MAG_EV_TOOL_RESULT, id);
  mag_writer_string(w, result->custom ? "custom_tool_use_id" : "tool_use_id", result->tool_event);
  mag_writer_raw(w, "content", content);
  mag_writer_boolean(w, "is_error", result->is_error);
  if (result->lost || result->budget) {
    mag_writer_object(w, "x_magent");
    if (result->lost)
      mag_writer_boolean(w, result->lost, 1);
    if (result->budget)
      mag_writer_string(w, "budget", mbp_str(result->budget));
    mag_writer_end(w);
  }
  mag_batch_end(batch);
  if (result->custom)
    mag_batch_processed(batch, mbp_str(id));
}

void mag_write_text_block(struct mbp_writer *writer, struct mbp_str text)
{
  mag_writer_object(writer, NULL);
  mag_writer_string(writer, "type", mbp_str("text"));
  mag_writer_string(writer, "text", text);
  mag_writer_end(writer);
}

void mag_batch_result_text(struct mag_batch *batch, const struct mag_result *result, struct mbp_str text)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str content;
  mag_writer_array(w, NULL);
  mag_write_text_block(w, text);
  mag_writer_end(w);
  if (mag_writer_text(w, &content) < 0)
    batch->failed = true;
  else
    mag_batch_result(batch, result, content);
}

void mag_batch_failure(struct mag_batch *batch, const struct mag_tool_call *call, struct mbp_str text)
{
  struct mag_result result = {.tool_event = mbp_str(call->event_id), .custom = call->custom, .is_error = true};
  mag_batch_result_text(batch, &result, text);
}

void mag_batch_confirmation(struct mag_batch *batch, struct mbp_str tool_event, const struct mag_reply *reply)
{
  char id[MAG_ID_SIZE] = "";
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_USER_CONFIRMATION, id);
  mag_writer_string(w, "tool_use_id", tool_event);
  mag_writer_string(w, "result", mbp_str(reply->answer > 0 ? "allow" : "deny"));
  if (reply->answer == 0 && reply->message)
    mag_writer_string(w, "deny_message", mbp_str(reply->message));
  if (reply->answer > 0 && reply->always) {
    mag_writer_object(w, "x_magent");
    mag_writer_boolean(w, "always", 1);
    mag_writer_end(w);
  }
  mag_batch_end(batch);
}

void mag_batch_request_end(struct mag_batch *batch, struct mbp_str start_id, bool is_error,
                           const struct mbp_usage *usage, const struct mag_price *price)
{
  static const struct mbp_usage nothing;
  const struct mbp_usage *u = usage ? usage : &nothing;
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_REQUEST_END, NULL);
  mag_writer_string(w, "model_request_start_id", start_id);
  mag_writer_boolean(w, "is_error", is_error);
  mag_writer_object(w, "model_usage");
  mag_writer_number(w, "input_tokens", u->input);
  mag_writer_number(w, "output_tokens", u->output);
  mag_writer_number(w, "cache_creation_input_tokens", u->cache_write);
  mag_writer_number(w, "cache_read_input_tokens", u->cache_read);
  mag_writer_end(w);
  mag_writer_object(w, "x_magent");
  if (price && price->currency[0]) {
    mag_writer_number(w, "cost_micros", mag_price_cost(price, u));
    mag_writer_string(w, "currency", mbp_str(price->currency));
  } else {
    mag_writer_null(w, "cost_micros");
  }
  mag_writer_end(w);
  mag_batch_end(batch);
}

void mag_batch_sandbox(struct mag_batch *batch, const char *provider, struct mbp_str key, struct mbp_str id,
                       const char *state)
{
  struct mbp_writer *w = mag_batch_private(batch, MAG_REC_SANDBOX);
  mag_writer_string(w, "key", key);
  mag_writer_string(w, "provider", mbp_str(provider));
  mag_writer_string(w, "state", mbp_str(state));
  mag_writer_string(w, "id", id);
  mag_batch_end(batch);
}
