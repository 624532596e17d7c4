/* play.h - what a scripted model knows of a request, and how it plays an answer: previews, blocks, pauses. */
#ifndef LLM_SCRIPTED_PLAY_H
#define LLM_SCRIPTED_PLAY_H

#include "script.h"

/* What is read out of a request. */
struct view {
  const struct mbp_llm_request *request; /* borrowed */
  size_t assistants; /* assistant messages */
  size_t in_turn;    /* ... since the last user text */
  struct llm_buf user;   /* the last user text */
  struct llm_buf result; /* text of the tool results after the last assistant message */
  int has_result, failed; /* there are such results; one of them is an error */
};

int view_read(const struct mbp_json_v1 *json, const struct mbp_llm_request *request, struct view *ret_view,
              struct mbp_error *err);
void view_done(struct view *view);
/* Adds what the user said behind these words, up to the end of the sentence, the last time that it was said; nothing if
 * it never was. */
int view_recall(const struct mbp_json_v1 *json, const struct view *view, struct mbp_str words, struct llm_buf *to,
                struct mbp_error *err);

/* An answer being played. */
struct play {
  const struct mbp_json_v1 *json;
  struct llm_out out;
  int (*wait)(void *ctx, int64_t ms); /* negative: cancelled; NULL: no pauses */
  void *wait_ctx;
  size_t assistants; /* makes ids unique in a session */
  struct llm_buf content;
  size_t n_blocks, n_calls;
};

int play_text(struct play *play, uint32_t event, struct mbp_str text, int64_t chunk, int64_t pace_ms,
              struct mbp_error *err);
/* `id` may be empty: one is made. */
int play_call(struct play *play, struct mbp_str name, struct mbp_str id, struct mbp_str input, struct mbp_error *err);

/* Plays a reply of a script; {{user}}, {{tool_result}} and {{recall:WORDS}} stand for what the view holds. */
int play_reply(struct play *play, struct script_reply *reply, const struct view *view, struct mbp_error *err);
/* Plays what is built in under the model's name. */
int play_builtin(struct play *play, const struct mbp_llm_request *request, const struct view *view,
                 struct mbp_error *err);

/* The response to what was played; borrowed from play and reply (NULL: none). */
int play_response(struct play *play, const struct script_reply *reply, struct mbp_usage *usage,
                  struct mbp_llm_response *ret_response, struct mbp_error *err);
void play_done(struct play *play);

#endif
