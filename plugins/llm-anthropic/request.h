/* request.h - the body of a Messages API request.
 *
 * Pure: needs only the JSON table. The order of members is fixed and `messages` comes last, so that without cache marks
 * the body of one request, less its closing "]}", is a byte prefix of the next one's.
 *
 * Cache marks ("cache_control") are at most 4 in all, as the service allows: the end of the system prompt (without one:
 * the last tool) and the last messages that carry MBP_MESSAGE_CACHE. A mark goes to the last block of its message that
 * can carry one: thinking, empty text and block types that are not known to can not.
 */
#ifndef LLM_ANTHROPIC_REQUEST_H
#define LLM_ANTHROPIC_REQUEST_H

#include "../llm-common/llm.h"

struct anthropic_options {
  int64_t max_tokens; /* where neither request nor params say */
  int cache;          /* set marks */
  int sampling;       /* the API version still takes temperature, top_p and top_k */
  int count;          /* for count_tokens: without max_tokens and stream */
};

/* Appends the body to `ret_body`. MBP_E_INVALID names a parameter that is not known or not allowed. */
int anthropic_request_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                            const struct anthropic_options *options, struct llm_buf *ret_body, struct mbp_error *err);

#endif
