/* history.h - the messages of the last request, as they were and as they were written down. A request begins with the
 * messages of the one before it, and long histories take longer to write down than to compare.
 *
 * One conversation is known at a time, the last one. Any thread: who finds it in use goes without.
 */
#ifndef LLM_OPENAI_HISTORY_H
#define LLM_OPENAI_HISTORY_H

#include "../llm-common/llm.h"

struct openai_history;

struct openai_history *openai_history_new(void); /* NULL without memory */
void openai_history_free(struct openai_history *history); /* accepts NULL */

/* 1: it is ours until `give`; *ret_n of the request's messages are known, as *ret_text. 0: in use, or NULL. */
int openai_history_take(struct openai_history *history, const struct mbp_llm_request *request, size_t *ret_n,
                        struct mbp_str *ret_text);
/* The request's messages up to `n` are known from now on: `text` is what follows that of the known ones. */
void openai_history_give(struct openai_history *history, const struct mbp_llm_request *request, size_t n,
                         struct mbp_str text);

#endif
