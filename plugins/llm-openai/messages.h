/* messages.h - canonical blocks to chat messages. Private to the request writer. */
#ifndef LLM_OPENAI_MESSAGES_H
#define LLM_OPENAI_MESSAGES_H

#include "request.h"

/* Appends `,"messages":[...]`. */
int openai_messages_write(const struct mbp_json_v1 *json, const struct mbp_llm_request *request,
                          const struct openai_options *options, struct llm_buf *body, struct mbp_error *err);

#endif
