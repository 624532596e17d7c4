/* names.h - tool names on the wire: at most 64 of [A-Za-z0-9_-]; others are mapped and found again. */
#ifndef LLM_OPENAI_NAMES_H
#define LLM_OPENAI_NAMES_H

#include <magent/mbp-llm.h>

#define OPENAI_NAME_CAP 65

/* The name as it goes out: itself if it is legal, else a legal form with a hash of the whole. 0-terminated. */
void openai_name_out(struct mbp_str name, char ret_name[OPENAI_NAME_CAP]);

/* The tool of the request whose outgoing name this is; the name itself if there is none. `request` may be NULL. */
struct mbp_str openai_name_in(const struct mbp_llm_request *request, struct mbp_str wire_name);

#endif
