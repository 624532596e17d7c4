#include "agent/project.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

char *mag_project_results(const struct mag_state *state)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_array(w, NULL);
  for (size_t i = 0; i < state->n_calls; i++) {
    const struct mag_tool_call *call = &state->calls[i];
    mag_writer_object(w, NULL);
    mag_writer_string(w, "type", mbp_str("tool_result"));
    mag_writer_string(w, "tool_use_id", mbp_str(call->model_id));
    if (!call->result) {
      mag_writer_string(w, "content", mbp_str("The tool has not answered yet."));
    } else if (strcmp(call->result, "[]") != 0) {
      mag_writer_raw(w, "content", mbp_str(call->result));
    }
    if (call->is_error || !call->result)
      mag_writer_boolean(w, "is_error", 1);
    mag_writer_end(w);
  }
  mag_writer_end(w);
  return mag_writer_take(w);
}

/* Only what every provider understands: text, images and calls. NULL without memory; "[]" if nothing is left. */
static char *portable_content(struct mbp_str content)
{
  static const char *const portable[] = {"\"text\"", "\"image\"", "\"tool_use\""};
  mag_autowriter w = mag_writer_new();
  size_t at = 0;
  struct mbp_str block, type;
  mag_writer_array(w, NULL);
  while (mag_json_step(content, &at, NULL, &block)) {
    if (!mag_json_slice(block, "type", &type))
      continue;
    for (size_t i = 0; i < MAG_COUNT(portable); i++)
      if (mbp_str_eq(type, portable[i]))
        mag_writer_raw(w, NULL, block);
  }
  mag_writer_end(w);
  return mag_writer_take(w);
}

static int keep(struct mag_projection *projection, char *content, struct mbp_error *err)
{
  char **kept = content ? realloc(projection->kept, (projection->n_kept + 1) * sizeof(*kept)) : NULL;
  if (!kept) {
    free(content);
    return mag_error_no_memory(err);
  }
  projection->kept = kept;
  kept[projection->n_kept++] = content;
  return 0;
}

static int add_message(struct mag_projection *projection, const struct mag_message *message, const char *provider,
                       struct mbp_error *err)
{
  struct mbp_str content = mbp_str_n(message->content, message->len);
  if (message->left_out)
    return 0;
  if (message->provider && strcmp(message->provider, provider) != 0) {
    int r = keep(projection, portable_content(content), err);
    if (r < 0)
      return r;
    content = mbp_str(projection->kept[projection->n_kept - 1]);
    if (mbp_str_eq(content, "[]"))
      return 0;
  }
  projection->messages[projection->n++] = (struct mbp_message){.role = message->role, .content = content};
  return 0;
}

int mag_project(const struct mag_state *state, const char *provider, struct mag_projection *ret_projection,
                struct mbp_error *err)
{
  struct mag_projection projection = {.messages = calloc(state->n_messages + 1, sizeof(struct mbp_message))};
  if (!projection.messages)
    return mag_error_no_memory(err);
  int r = 0;
  for (size_t i = 0; i < state->n_messages && r == 0; i++)
    r = add_message(&projection, &state->messages[i], provider, err);
  if (r == 0 && state->n_open) {
    r = keep(&projection, mag_project_results(state), err);
    if (r == 0)
      projection.messages[projection.n++] =
          (struct mbp_message){.role = MBP_ROLE_USER, .content = mbp_str(projection.kept[projection.n_kept - 1])};
  }
  if (r < 0) {
    mag_projection_done(&projection);
    return r;
  }
  if (projection.n)
    projection.messages[projection.n - 1].flags = MBP_MESSAGE_CACHE;
  *ret_projection = projection;
  return 0;
}

void mag_projection_done(struct mag_projection *projection)
{
  for (size_t i = 0; i < projection->n_kept; i++)
    free(projection->kept[i]);
  free(projection->kept);
  free(projection->messages);
  memset(projection, 0, sizeof(*projection));
}
