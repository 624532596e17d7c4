/* request.h - the body of a Chat Completions request.
 *
 * Needs only the JSON table; a history changes nothing but the time that it takes. Canonical blocks become messages:
 *   system            a message of role `system_role`
 *   tool_use          an entry of the assistant's tool_calls; the input goes as the text it was
 *   tool_result       a message of role tool; "Error: " stands before the text of a failed one
 *   image             an image_url part, as a data: URL; of tool results in the user message that follows them
 *   document          its text, or a file part (PDF)
 *   thinking          left out, like blocks of other providers
 *   openai_reasoning  goes back in the field it came in, if `send_reasoning`
 * User messages that follow one another become one, because many chat templates insist that roles alternate.
 */
#ifndef LLM_OPENAI_REQUEST_H
#define LLM_OPENAI_REQUEST_H

#include "history.h"

struct openai_options {
  int64_t max_tokens;           /* where neither request nor params say; 0: the server decides */
  const char *max_tokens_field; /* "max_tokens" or "max_completion_tokens" */
  const char *system_role;      /* "system" or "developer" */
  int send_reasoning;
  int stream_usage;             /* ask for usage; old servers refuse stream_options */
  struct openai_history *history; /* what was written with the same options before, or NULL */
};

/* Appends the body to `ret_body`. MBP_E_INVALID names a parameter that is not known; MBP_E_UNSUPPORTED a block. */
int openai_request_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                         const struct openai_options *options, struct llm_buf *ret_body, struct mbp_error *err);

#endif
