/* What is said: user's events wait, are processed and become messages, and the model's responses are messages too. */
#include "agent/state_parts.h"

#include <stdlib.h>
#include <string.h>

void mag_state_free_inbox_item(struct mag_inbox_item *item)
{
  free(item->id);
  free(item->type);
  free(item->payload);
}

int mag_fold_user_event(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mag_inbox_item *inbox = realloc(state->inbox, (state->n_inbox + 1) * sizeof(*inbox));
  if (!inbox)
    return mag_error_no_memory(fold->err);
  state->inbox = inbox;
  struct mag_inbox_item *item = &inbox[state->n_inbox];
  item->id = mag_str_dup(mag_fold_str(fold, "id"));
  item->type = mag_str_dup(fold->record->type);
  item->payload = mag_str_dup(fold->record->payload);
  state->n_inbox++;
  return item->id && item->type && item->payload ? 0 : mag_error_no_memory(fold->err);
}

int mag_fold_message(struct fold *fold, uint32_t role, struct mbp_str content, struct mbp_str provider, bool left_out)
{
  struct mag_state *state = fold->state;
  if (state->n_messages == state->cap_messages) {
    size_t cap = state->cap_messages ? 2 * state->cap_messages : 16;
    struct mag_message *messages = realloc(state->messages, cap * sizeof(*messages));
    if (!messages)
      return mag_error_no_memory(fold->err);
    state->messages = messages;
    state->cap_messages = cap;
  }
  struct mag_message *message = &state->messages[state->n_messages];
  *message = (struct mag_message){.role = role, .left_out = left_out, .len = content.len};
  message->content = mag_str_dup(content);
  message->provider = provider.len ? mag_str_dup(provider) : NULL;
  if (!message->content || (provider.len && !message->provider)) {
    free(message->content);
    free(message->provider);
    return mag_error_no_memory(fold->err);
  }
  state->n_messages++;
  return 0;
}

static int process_message(struct fold *fold, const struct mag_inbox_item *item)
{
  struct mbp_str content;
  if (fold->state->n_open)
    return mag_fold_corrupt(fold, "a message was processed while tool calls are open");
  /* It came from outside: what no model could be sent is processed as nothing, or it would stop the session. */
  if (!mag_state_is_message(mbp_str(item->payload)) || !mag_json_slice(mbp_str(item->payload), "content", &content))
    return 0;
  fold->state->last_stop = 0;
  fold->state->turns += fold->state->turn_uncounted;
  fold->state->turn_uncounted = false;
  return mag_fold_message(fold, MBP_ROLE_USER, content, mbp_str(""), /* left_out= */ false);
}

int mag_fold_processed(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mbp_str id = mag_fold_str(fold, "event_id");
  size_t i = 0;
  while (i < state->n_inbox && !mbp_str_eq(id, state->inbox[i].id))
    i++;
  if (i == state->n_inbox)
    return mag_fold_corrupt(fold, "the processed event is not waiting");
  struct mag_inbox_item item = state->inbox[i];
  memmove(&state->inbox[i], &state->inbox[i + 1], (state->n_inbox - i - 1) * sizeof(item));
  state->n_inbox--;
  int r = 0;
  if (strcmp(item.type, MAG_EV_USER_MESSAGE) == 0)
    r = process_message(fold, &item);
  else if (strcmp(item.type, MAG_EV_USER_CONFIRMATION) == 0)
    r = mag_fold_confirmation(fold, &item);
  else if (strcmp(item.type, MAG_EV_USER_CUSTOM_RESULT) == 0)
    r = mag_fold_custom_result(fold, &item);
  mag_state_free_inbox_item(&item);
  return r;
}

static uint32_t stop_of(struct mbp_str name)
{
  static const char *const names[] = {"",        "end_turn", "tool_use", "max_tokens",
                                      "refusal", "pause",    "context",  "stop_sequence"};
  for (uint32_t i = 1; i < MAG_COUNT(names); i++)
    if (mbp_str_eq(name, names[i]))
      return i;
  return 0;
}

/* Not without any block, and not with a call that will never have a result. */
static bool can_be_sent(struct mbp_str content, size_t n_calls)
{
  struct mbp_str block, type;
  size_t at = 0, blocks = 0, uses = 0;
  for (; mag_json_step(content, &at, NULL, &block); blocks++)
    uses += mag_json_slice(block, "type", &type) && mbp_str_eq(type, "\"tool_use\"");
  return blocks && uses == n_calls;
}

int mag_fold_response(struct fold *fold)
{
  struct mag_state *state = fold->state;
  struct mbp_str content = mag_fold_raw(fold, "content", '[');
  if (state->n_open)
    return mag_fold_corrupt(fold, "a response while tool calls are open");
  if (content.len == 0)
    return mag_fold_corrupt(fold, "content is missing");
  state->last_stop = stop_of(mag_fold_str(fold, "stop"));
  bool left_out =
      state->last_stop == MBP_STOP_REFUSAL || !can_be_sent(content, mag_json_count(mag_fold_tree(fold, "calls")));
  int r = mag_fold_message(fold, MBP_ROLE_ASSISTANT, content, mag_fold_str(fold, "provider"), left_out);
  if (r == 0)
    r = mag_fold_text(fold, &state->stop_details, mag_fold_raw(fold, "stop_details", '{'));
  return r < 0 ? r : mag_fold_calls(fold);
}
