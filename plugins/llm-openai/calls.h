/* calls.h - the blocks of an answer in the making. Private to the decoder. */
#ifndef LLM_OPENAI_CALLS_H
#define LLM_OPENAI_CALLS_H

#include "decoder.h"

#define BLOCKS_MAX 512

enum kind { KIND_REASONING, KIND_TEXT, KIND_CALL };

struct block {
  enum kind kind;
  struct llm_buf text;    /* text, reasoning, or the JSON text of a call's arguments */
  struct llm_buf name;    /* of a call, as on the wire; of reasoning: the field it came in */
  struct llm_buf id;      /* of a call: ours */
  struct llm_buf wire_id; /* of a call: as it came, or empty */
  struct llm_buf extra;   /* of a call: JSON text of extra_content */
  int64_t index;          /* of a call on the wire, or -1 */
  int shown;              /* the call's start was shown */
};

struct blocks {
  const struct mbp_json_v1 *json;
  const struct mbp_llm_request *request;
  struct block *list;
  size_t n, cap;
};

void blocks_done(struct blocks *blocks);
/* The first block of that kind, made at the end if there is none; for text and reasoning. */
int blocks_find(struct blocks *blocks, enum kind kind, struct block **ret_block, struct mbp_error *err);
/* The call that a piece of `tool_calls` belongs to; `position` is the piece's place in its array of `count`. */
int blocks_find_call(struct blocks *blocks, const struct mbp_json *piece, size_t position, size_t count,
                     struct block **ret_block, struct mbp_error *err);

#endif
