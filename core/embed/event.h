/* event.h - events as magent.h shows them: each with its texts in one piece of memory, which is freed with free. */
#ifndef MAG_EMBED_EVENT_H
#define MAG_EMBED_EVENT_H

#include <magent/magent.h>
#include <magent/mbp-store.h>
#include <stdbool.h>

struct embed_item {
  struct embed_item *next;
  struct magent_event event; /* its texts stand behind the struct */
};

/* NULL without memory. */
struct embed_item *embed_item_event(const struct mbp_record *record);
struct embed_item *embed_item_piece(uint32_t kind, const char *event_id, struct mbp_str tool, struct mbp_str text);

/* MAGENT_* of a "session.status_idle". */
int embed_ending(struct mbp_str stop_reason, bool interrupted);

#endif
