/* record.h - the records of a session's log: their types, and batches of them being written. docs/LOG-FORMAT.md is
 * the contract. */
#ifndef MAG_AGENT_RECORD_H
#define MAG_AGENT_RECORD_H

#include "agent/price.h"
#include "base/id.h"
#include "base/json.h"

#include <magent/mbp-llm.h>
#include <magent/mbp-store.h>

/* Private records. */
#define MAG_REC_SESSION "session"
#define MAG_REC_FORK "fork"
#define MAG_REC_AGENT "agent"
#define MAG_REC_PROCESSED "processed"
#define MAG_REC_RESPONSE "model_response"
#define MAG_REC_TOOL_STARTED "tool_started"
#define MAG_REC_SANDBOX "sandbox"
#define MAG_REC_LIMIT "limit"
#define MAG_REC_CHECKPOINT "checkpoint"

/* Events. */
#define MAG_EV_USER_MESSAGE "user.message"
#define MAG_EV_USER_INTERRUPT "user.interrupt"
#define MAG_EV_USER_CONFIRMATION "user.tool_confirmation"
#define MAG_EV_USER_CUSTOM_RESULT "user.custom_tool_result"
#define MAG_EV_RUNNING "session.status_running"
#define MAG_EV_IDLE "session.status_idle"
#define MAG_EV_UPDATED "session.updated"
#define MAG_EV_TERMINATED "session.status_terminated"
#define MAG_EV_ERROR "session.error"
#define MAG_EV_USAGE "session.usage"
#define MAG_EV_REQUEST_START "span.model_request_start"
#define MAG_EV_REQUEST_END "span.model_request_end"
#define MAG_EV_THINKING "agent.thinking"
#define MAG_EV_MESSAGE "agent.message"
#define MAG_EV_TOOL_USE "agent.tool_use"
#define MAG_EV_CUSTOM_TOOL_USE "agent.custom_tool_use"
#define MAG_EV_TOOL_RESULT "agent.tool_result"

/* What somebody said about a call that waits. */
struct mag_reply {
  int answer;    /* 1 allow, 0 deny; -1: nobody is there to say */
  bool always;   /* allow every later call of the same tool in this session as well */
  char *message; /* for the model, of a no; or NULL */
};

/* x_magent.delivery of a user.message; without one it steers. */
#define MAG_DELIVERY_STEER "steer"
#define MAG_DELIVERY_FOLLOW_UP "follow_up"

/* Records that are appended together or not at all. */
struct mag_batch {
  struct mbp_record *records; /* type is static text, payload is owned */
  size_t n, cap;
  struct mbp_writer *writer;
  const char *type;
  uint32_t klass;
  bool failed;
};

#define MAG_BATCH_INIT {NULL, 0, 0, NULL, NULL, 0, false}

void mag_batch_done(struct mag_batch *batch);
void mag_batch_clear(struct mag_batch *batch);

/* A record is begun, its members are written with the mag_writer_* functions, and it is ended. An event gets its id
 * (made if `id` is empty), type and processed_at; known secrets are taken out of events when they end. */
struct mbp_writer *mag_batch_private(struct mag_batch *batch, const char *type);
struct mbp_writer *mag_batch_event(struct mag_batch *batch, const char *type, char id[MAG_ID_SIZE]);
void mag_batch_end(struct mag_batch *batch);
/* Out of memory or a bug while writing? */
int mag_batch_check(const struct mag_batch *batch, struct mbp_error *err);

/* The records that more than one place writes. `content`: JSON array of blocks. */
void mag_batch_user_message(struct mag_batch *batch, char id[MAG_ID_SIZE], struct mbp_str content);
void mag_batch_processed(struct mag_batch *batch, struct mbp_str event_id);
void mag_batch_running(struct mag_batch *batch);
void mag_batch_idle(struct mag_batch *batch, const char *stop_reason, struct mbp_str details, struct mbp_str x_magent);
void mag_batch_error(struct mag_batch *batch, const char *type, const struct mbp_error *why);
/* The result of a call: agent.tool_result or, of a custom tool, user.custom_tool_result, processed at once.
 * `lost`: the content tells the model of that loss. */
struct mag_result {
  struct mbp_str tool_event;
  bool custom, is_error;
  const char *lost;   /* "sandbox_lost", "processes_lost" or NULL */
  const char *budget; /* that had no room for the call, or NULL */
};
void mag_batch_result(struct mag_batch *batch, const struct mag_result *result, struct mbp_str content);
/* One text block. */
void mag_batch_result_text(struct mag_batch *batch, const struct mag_result *result, struct mbp_str text);
/* The same for a call that failed: the state's call says the rest. */
struct mag_tool_call;
void mag_batch_failure(struct mag_batch *batch, const struct mag_tool_call *call, struct mbp_str text);
/* An answer to a question, on the user's behalf. */
void mag_batch_confirmation(struct mag_batch *batch, struct mbp_str tool_event, const struct mag_reply *reply);
/* `price` NULL or without a currency: the cost is not known. */
void mag_batch_request_end(struct mag_batch *batch, struct mbp_str start_id, bool is_error,
                           const struct mbp_usage *usage, const struct mag_price *price);
void mag_batch_sandbox(struct mag_batch *batch, const char *provider, struct mbp_str key, struct mbp_str id,
                       const char *state);

/* {"type":"text","text":...} as a value of an array. */
void mag_write_text_block(struct mbp_writer *writer, struct mbp_str text);

#endif
