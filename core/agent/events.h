/* events.h - the events of a stored session as the outside sees them (docs/LOG-FORMAT.md, section 3): no private
 * records, and with the time at which a user event was processed, which the log tells behind it. The session may run
 * meanwhile, in whichever process. Any thread. */
#ifndef MAG_AGENT_EVENTS_H
#define MAG_AGENT_EVENTS_H

#include "host/instance.h"

#include <magent/mbp-store.h>

#define MAG_EVENTS_MAX 1000 /* of a page */

/* Reads a page: at most `limit` events (1 to MAG_EVENTS_MAX; fewer if they are large) with records from `from` on, and
 * then, while nothing of the store waits for it, calls `each` for them in their order, with borrowed records; what it
 * returns but 0 ends the page. *ret_next: where the next page begins; `from` itself if there was no event.
 * MBP_E_NOT_FOUND: no such session. */
int mag_events_read(struct mag_instance *store, const char *id, uint64_t from, uint32_t limit,
                    int (*each)(void *ctx, const struct mbp_record *record), void *ctx, uint64_t *ret_next,
                    struct mbp_error *err);

#endif
