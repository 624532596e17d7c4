/* decoder.h - the event stream of the Messages API, put together to content blocks.
 *
 * Pure: events go in, previews and one answer come out. Needs only the JSON table. A decoder that has returned an error
 * is finished: nothing but anthropic_decoder_free may follow.
 *
 * Decided here, where the wire leaves room:
 * - Blocks are the bytes of content_block_start with the members that deltas fill set; blocks of unknown types and
 * numbers of any length pass untouched. Unknown events and deltas are skipped.
 * - A text block that stayed empty is left out: the service refuses empty text in the next request.
 * - A tool input that is no JSON object when its block ends: if the answer was cut off (max_tokens, context window
 * full) the block is left out, as it is with a last call without any input; otherwise the stream is broken
 * (MBP_E_PROTOCOL, retryable). A thinking block that was cut off before its signature is left out too.
 * - An answer that holds tool_use blocks is MBP_STOP_TOOL_USE whatever the service calls it, except a refusal.
 * - "compaction" is MBP_STOP_PAUSE: the content goes back as it is. A stop reason that is not known ends the turn.
 * - Usage is cumulative; with `iterations` (compaction), their sum counts.
 */
#ifndef LLM_ANTHROPIC_DECODER_H
#define LLM_ANTHROPIC_DECODER_H

#include "../llm-common/llm.h"

struct anthropic_decoder;

/* `out` is copied. NULL without memory. */
struct anthropic_decoder *anthropic_decoder_new(const struct mbp_json_v1 *json, const struct llm_out *out);
void anthropic_decoder_free(struct anthropic_decoder *decoder); /* accepts NULL */

/* One server-sent event. 0: go on; 1: that was message_stop. */
int anthropic_decoder_feed(struct anthropic_decoder *decoder, struct mbp_str name, struct mbp_str data,
                           struct mbp_error *err);

/* The answer, borrowed from the decoder; an error unless feed has returned 1. */
int anthropic_decoder_answer(struct anthropic_decoder *decoder, struct mbp_llm_response *ret_response,
                             struct mbp_error *err);

/* MBP_E_* of an error type of the service ("overloaded_error"), or 0 if it is not known. */
int anthropic_error_code(struct mbp_str type, uint32_t *ret_flags);

#endif
