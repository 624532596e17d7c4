/* info.h - the unified view of a session as a struct. */
#ifndef MAG_EMBED_INFO_H
#define MAG_EMBED_INFO_H

#include "base/json.h"

#include <magent/magent.h>

/* `json`: as agent/sessions.h shows it; "{}" gives one without a session. Caller frees. *ret_size (may be NULL): of the
 * struct with its texts. */
int embed_info(struct mbp_str json, struct magent_session_info **ret_info, size_t *ret_size, struct mbp_error *err);
/* A member that is a time, in milliseconds since 1970; 0 if it is none. */
int64_t embed_time(const struct mbp_json *object, const char *key);
/* A struct magent_session_info to another place, of that size. */
void embed_info_copy(void *to, const void *from, size_t size);

#endif
