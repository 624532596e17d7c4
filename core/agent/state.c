/* The fold: what every record does is looked up here, and done in the files that state_parts.h names. */
#include "agent/state_parts.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

void mag_state_init(struct mag_state *state)
{
  memset(state, 0, sizeof(*state));
  state->usage.size = MBP_SIZE(struct mbp_usage, cache_write);
}

void mag_state_done(struct mag_state *state)
{
  mag_state_clear_calls(state);
  for (size_t i = 0; i < state->n_messages; i++) {
    free(state->messages[i].content);
    free(state->messages[i].provider);
  }
  for (size_t i = 0; i < state->n_inbox; i++)
    mag_state_free_inbox_item(&state->inbox[i]);
  for (size_t i = 0; i < state->n_granted; i++)
    free(state->granted[i]);
  free(state->granted);
  free(state->messages);
  free(state->inbox);
  free(state->id);
  free(state->title);
  free(state->agent);
  free(state->environment);
  free(state->stop_reason);
  free(state->request);
  free(state->stop_details);
  free(state->sandbox_key);
  free(state->sandbox_id);
  free(state->sandbox_provider);
  free(state->fork_of);
  free(state->error);
  free(state->currency);
  mag_state_init(state);
}

int mag_fold_corrupt(struct fold *fold, const char *what)
{
  return mag_error(fold->err, MBP_E_CORRUPT, "record %llu (%.*s): %s", (unsigned long long) fold->record->seq,
                   (int) MAG_MIN(fold->record->type.len, (size_t) 60), fold->record->type.ptr, what);
}

int mag_fold_text(struct fold *fold, char **place, struct mbp_str text)
{
  char *copy = text.len ? mag_str_dup(text) : NULL;
  if (text.len && !copy)
    return mag_error_no_memory(fold->err);
  free(*place);
  *place = copy;
  return 0;
}

struct mbp_str mag_fold_str(struct fold *fold, const char *key)
{
  return mag_json_member_str(&fold->members, key);
}

const struct mbp_json *mag_fold_tree(struct fold *fold, const char *key)
{
  return mag_json_member_tree(&fold->members, key);
}

struct mbp_str mag_fold_raw(const struct fold *fold, const char *key, char opener)
{
  struct mbp_str raw = mag_json_member_raw(&fold->members, key);
  return raw.len && raw.ptr[0] == opener ? raw : mbp_str("");
}

/* ---- Dispatch ------------------------------------------------------------------------------------------------- */

static int fold_nothing(struct fold *fold)
{
  (void) fold;
  return 0;
}

struct rule {
  const char *type;
  int (*apply)(struct fold *fold);
};

static const struct rule private_rules[] = {
    {MAG_REC_SESSION, mag_fold_session},   {MAG_REC_PROCESSED, mag_fold_processed},
    {MAG_REC_RESPONSE, mag_fold_response}, {MAG_REC_TOOL_STARTED, mag_fold_started},
    {MAG_REC_SANDBOX, mag_fold_sandbox},   {MAG_REC_LIMIT, fold_nothing},
    {MAG_REC_CHECKPOINT, fold_nothing},    {MAG_REC_FORK, mag_fold_fork},
    {MAG_REC_AGENT, mag_fold_agent},       {NULL, NULL},
};

static const struct rule event_rules[] = {
    {MAG_EV_USER_MESSAGE, mag_fold_user_event},
    {MAG_EV_USER_INTERRUPT, mag_fold_user_event},
    {MAG_EV_USER_CONFIRMATION, mag_fold_user_event},
    {MAG_EV_USER_CUSTOM_RESULT, mag_fold_user_event},
    {MAG_EV_RUNNING, mag_fold_running},
    {MAG_EV_IDLE, mag_fold_idle},
    {MAG_EV_TERMINATED, mag_fold_terminated},
    {MAG_EV_UPDATED, mag_fold_updated},
    {MAG_EV_ERROR, mag_fold_error},
    {MAG_EV_REQUEST_START, mag_fold_request_start},
    {MAG_EV_REQUEST_END, mag_fold_request_end},
    {MAG_EV_TOOL_RESULT, mag_fold_tool_result},
    {NULL, NULL},
};

static const struct rule *rule_for(const struct rule *rules, struct mbp_str type)
{
  while (rules->type && !mbp_str_eq(type, rules->type))
    rules++;
  return rules->type ? rules : NULL;
}

int mag_state_fold(struct mag_state *state, const struct mbp_record *record, struct mbp_error *err)
{
  struct fold fold = {.state = state, .record = record, .err = err};
  bool event = record->klass == MBP_RECORD_EVENT;
  const struct rule *rule = rule_for(event ? event_rules : private_rules, record->type);
  if (state->last_seq && record->seq != state->last_seq + 1)
    return mag_fold_corrupt(&fold, "a record is missing before it");
  if (state->last_seq == 0 && !mbp_str_eq(record->type, MAG_REC_SESSION))
    return mag_fold_corrupt(&fold, "the log does not begin with a session record");
  state->last_seq = record->seq;
  state->updated_ms = record->time_ms;
  mag_state_count_time(state, record->epoch, record->time_ms);
  if (!event && (record->klass != MBP_RECORD_PRIVATE || !rule))
    state->read_only = true;
  if (!rule || state->read_only || record->klass > MBP_RECORD_PRIVATE)
    return 0;
  int r = mag_json_members_read(&fold.members, record->payload, err);
  r = r < 0 ? mag_fold_corrupt(&fold, "its payload is not a JSON object") : rule->apply(&fold);
  mag_json_members_done(&fold.members);
  return r;
}

/* ---- Looking ahead -------------------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
  return text ? mag_str_dup(mbp_str(text)) : NULL;
}

/* Does this record of the batch take up a message, of the inbox or of the batch itself? */
static bool takes_message(const struct mag_state *state, const struct mag_batch *batch, size_t n)
{
  struct mbp_str id, other;
  if (!mbp_str_eq(batch->records[n].type, MAG_REC_PROCESSED) ||
      !mag_json_slice(batch->records[n].payload, "event_id", &id) || id.len < 2)
    return false;
  for (size_t i = 0; i < n; i++)
    if (mbp_str_eq(batch->records[i].type, MAG_EV_USER_MESSAGE) &&
        mag_json_slice(batch->records[i].payload, "id", &other) && mag_str_eq(id, other))
      return mag_state_is_message(batch->records[i].payload);
  for (size_t i = 0; i < state->n_inbox; i++)
    if (mbp_str_eq(mbp_str_n(id.ptr + 1, id.len - 2), state->inbox[i].id))
      return strcmp(state->inbox[i].type, MAG_EV_USER_MESSAGE) == 0 &&
             mag_state_is_message(mbp_str(state->inbox[i].payload));
  return false;
}

bool mag_state_peek(const struct mag_state *state, const struct mag_batch *batch, struct mag_state *ret_after)
{
  static int (*const scalar[])(struct fold * fold) = {mag_fold_running,     mag_fold_idle,       mag_fold_request_start,
                                                      mag_fold_request_end, mag_fold_terminated, mag_fold_updated,
                                                      mag_fold_error};
  bool status = false;
  int64_t now = mag_clock_wall_ms();
  *ret_after = *state;
  /* The texts that these rules set are the scratch state's own. */
  ret_after->request = ret_after->stop_reason = NULL;
  ret_after->title = copy_text(state->title);
  ret_after->error = copy_text(state->error);
  ret_after->currency = copy_text(state->currency);
  mag_state_count_time(ret_after, state->runner_epoch, now);
  for (size_t i = 0; i < batch->n; i++) {
    const struct rule *rule = rule_for(event_rules, batch->records[i].type);
    struct mbp_record record = batch->records[i];
    record.time_ms = now;
    struct fold fold = {.state = ret_after, .record = &record};
    for (size_t j = 0; rule && j < MAG_COUNT(scalar); j++)
      if (rule->apply == scalar[j] && mag_json_members_read(&fold.members, batch->records[i].payload, NULL) == 0) {
        (void) rule->apply(&fold);
        status |= rule->apply == mag_fold_running || rule->apply == mag_fold_idle ||
                  rule->apply == mag_fold_terminated || rule->apply == mag_fold_updated;
      }
    mag_json_members_done(&fold.members);
    if (ret_after->turn_uncounted && takes_message(state, batch, i)) {
      ret_after->turns++;
      ret_after->turn_uncounted = false;
    }
  }
  if (!ret_after->stop_reason)
    ret_after->stop_reason = copy_text(state->stop_reason);
  ret_after->updated_ms = now;
  if (!status)
    mag_state_peek_done(ret_after);
  return status;
}

void mag_state_peek_done(struct mag_state *after)
{
  free(after->request);
  free(after->stop_reason);
  free(after->title);
  free(after->error);
  free(after->currency);
  after->request = after->stop_reason = after->title = after->error = after->currency = NULL;
}

/* ---- Questions ------------------------------------------------------------------------------------------------ */

bool mag_state_owes(const struct mag_state *state)
{
  if (state->n_messages == 0)
    return false;
  const struct mag_message *last = &state->messages[state->n_messages - 1];
  return last->role == MBP_ROLE_USER ? !last->left_out : state->last_stop == MBP_STOP_PAUSE;
}
