/* decoder.h - the chunks of a Chat Completions stream, put together to canonical content blocks.
 *
 * Pure: chunks go in, previews and one answer come out. Needs only the JSON table. A decoder that has returned an error
 * is finished: nothing but openai_decoder_free may follow.
 *
 * Decided here, because servers differ:
 * - A tool call is told apart by `index`, else by `id`, else by a new name. An id that is missing, or that stands in
 * the request already, is replaced by one made from the number of messages and the block.
 * - Arguments may be missing, empty, a string in pieces, or an object. Arguments that are no JSON object: left out if
 * the answer was cut off (`length`), else the stream is broken (MBP_E_PROTOCOL, retryable).
 * - The answer is complete once a finish_reason was seen; "[DONE]" may be missing. "[DONE]" without a finish_reason is
 * a broken stream.
 * - Reasoning (`reasoning_content` or `reasoning`) is shown as thinking and kept as a block of type "openai_reasoning",
 *   because some servers want it back within a run of tool calls. `extra_content` of a call (signatures of some
 * servers) is kept as a block of type "openai_call_extra".
 * - content_filter and `refusal` text are MBP_STOP_REFUSAL; calls of such an answer are left out.
 */
#ifndef LLM_OPENAI_DECODER_H
#define LLM_OPENAI_DECODER_H

#include "../llm-common/llm.h"

#define OPENAI_REASONING "openai_reasoning"
#define OPENAI_CALL_EXTRA "openai_call_extra"

struct openai_decoder;

/* `out` is copied. `request` gives tool names and the ids that are taken; NULL, or borrowed. NULL without memory. */
struct openai_decoder *openai_decoder_new(const struct mbp_json_v1 *json, const struct llm_out *out,
                                          const struct mbp_llm_request *request);
void openai_decoder_free(struct openai_decoder *decoder); /* accepts NULL */

/* The data of one event. 0: go on; 1: nothing of importance follows. */
int openai_decoder_feed(struct openai_decoder *decoder, struct mbp_str data, struct mbp_error *err);

/* Would the answer be whole if the stream ended here? */
int openai_decoder_complete(const struct openai_decoder *decoder);

/* The answer, borrowed from the decoder; an error unless it is complete. Once. */
int openai_decoder_answer(struct openai_decoder *decoder, struct mbp_llm_response *ret_response, struct mbp_error *err);

/* MBP_E_* of the `error` object of a body or chunk, 0 if nothing can be told from it. */
int openai_error_code(const struct mbp_json_v1 *json, const struct mbp_json *error, uint32_t *ret_flags);

#endif
