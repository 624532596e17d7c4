/* The unified view of a session, from JSON (agent/sessions.h) to a struct. */
#include "embed/info.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "embed/block.h"
#include "embed/event.h"

int64_t embed_time(const struct mbp_json *view, const char *key)
{
  struct mbp_str text = mag_json_str(mag_json_get(view, key));
  int64_t ms = 0;
  if (text.len)
    (void) mag_clock_parse(text.ptr, &ms);
  return ms;
}

static void take_usage(const struct mbp_json *usage, struct magent_usage *ret_usage)
{
  ret_usage->input_tokens = mag_json_num(mag_json_get(usage, "input_tokens"), 0);
  ret_usage->output_tokens = mag_json_num(mag_json_get(usage, "output_tokens"), 0);
  ret_usage->cache_creation_input_tokens = mag_json_num(mag_json_get(usage, "cache_creation_input_tokens"), 0);
  ret_usage->cache_read_input_tokens = mag_json_num(mag_json_get(usage, "cache_read_input_tokens"), 0);
}

static void take_numbers(const struct mbp_json *view, struct magent_session_info *info)
{
  struct mbp_str stop = mag_json_str(mag_json_get(view, "stop_reason"));
  take_usage(mag_json_get(view, "usage"), &info->usage);
  info->cost_micros = mag_json_num(mag_json_get(mag_json_get(view, "cost"), "micros"), -1);
  info->turns = mag_json_num(mag_json_get(view, "turns"), 0);
  info->steps = mag_json_num(mag_json_get(view, "steps"), 0);
  info->tool_calls = mag_json_num(mag_json_get(view, "tool_calls"), 0);
  info->active_ms = mag_json_num(mag_json_get(view, "active_ms"), 0);
  info->created_ms = embed_time(view, "created_at");
  info->updated_ms = embed_time(view, "updated_at");
  info->archived_ms = embed_time(view, "archived_at");
  info->agent_version = (uint32_t) mag_json_num(mag_json_get(mag_json_get(view, "agent"), "version"), 0);
  info->ending = embed_ending(stop, mag_json_truth(mag_json_get(view, "interrupted"), 0));
}

/* Where its texts are, in the order in which they stand in memory. */
#define N_TEXTS 10
static void find_texts(struct magent_session_info *info, const char **places[N_TEXTS])
{
  const char **const all[N_TEXTS] = {&info->id,    &info->status,     &info->title,          &info->agent_id,
                                     &info->agent, &info->model,      &info->environment_id, &info->currency,
                                     &info->error, &info->forked_from};
  memcpy(places, all, sizeof(all));
}

int embed_info(struct mbp_str json, struct magent_session_info **ret_info, size_t *ret_size, struct mbp_error *err)
{
  mag_autojson view = NULL;
  const char **places[N_TEXTS];
  char *at;
  int r = mag_json_parse(json, &view, err);
  if (r < 0)
    return r;
  const struct mbp_json *agent = mag_json_get(view, "agent");
  const struct mbp_str texts[N_TEXTS] = {
      mag_json_str(mag_json_get(view, "id")),
      mag_json_str(mag_json_get(view, "status")),
      mag_json_str(mag_json_get(view, "title")),
      mag_json_str(mag_json_get(agent, "id")),
      mag_json_str(mag_json_get(agent, "name")),
      mag_json_str(mag_json_get(view, "model")),
      mag_json_str(mag_json_get(view, "environment_id")),
      mag_json_str(mag_json_get(mag_json_get(view, "cost"), "currency")),
      mag_json_str(mag_json_get(mag_json_get(view, "error"), "message")),
      mag_json_str(mag_json_get(view, "forked_from")),
  };
  struct magent_session_info *info = embed_block(sizeof(*info), texts, N_TEXTS, &at);
  if (!info)
    return mag_error_no_memory(err);
  find_texts(info, places);
  for (size_t i = 0; i < N_TEXTS; i++)
    *places[i] = embed_place(&at, texts[i]);
  take_numbers(view, info);
  if (ret_size)
    *ret_size = (size_t) (at - (char *) info);
  *ret_info = info;
  return 0;
}

void embed_info_copy(void *to, const void *from, size_t size)
{
  const char **places[N_TEXTS];
  memcpy(to, from, size);
  find_texts(to, places);
  embed_moved(places, N_TEXTS, to, from);
}
