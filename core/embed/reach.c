/* Sessions that anybody may run: spoken to, interrupted and read by their ids. */
#include "agent/events.h"
#include "agent/outside.h"
#include "agent/sessions.h"
#include "base/error.h"
#include "embed/embed.h"
#include "embed/event.h"

#include <stdlib.h>

#define EVENTS_DEFAULT 100

static const char *delivery_name(int delivery)
{
  return delivery == MAGENT_STEER ? MAG_DELIVERY_STEER : delivery == MAGENT_FOLLOW_UP ? MAG_DELIVERY_FOLLOW_UP : NULL;
}

int magent_send(struct magent *magent, const char *session_id, const char *text, int delivery,
                char ret_event_id[MAGENT_ID_SIZE], int *ret_running, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_facts facts = {.running = false};
  const char *name = delivery_name(delivery);
  int r = name ? mag_outside_say(magent->engine, session_id, mbp_str(text), name, ret_event_id, &err)
               : mag_error(&err, MBP_E_INVALID, "a delivery is MAGENT_STEER or MAGENT_FOLLOW_UP");
  if (r < 0)
    return embed_fail(error, &err);
  /* It was said; that somebody removes the session meanwhile does not undo that. */
  if (ret_running && mag_sessions_facts(magent->engine, session_id, &facts, NULL) < 0)
    facts.running = false;
  if (ret_running)
    *ret_running = facts.running;
  return 0;
}

int magent_interrupt_session(struct magent *magent, const char *session_id, int *ret_running,
                             struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  bool running = false;
  if (mag_outside_interrupt(magent->engine, session_id, &running, &err) < 0)
    return embed_fail(error, &err);
  if (ret_running)
    *ret_running = running;
  return 0;
}

struct reading {
  int (*each)(void *ctx, const struct magent_event *event);
  void *ctx;
  bool no_memory;
};

static int show(void *ctx, const struct mbp_record *record)
{
  struct reading *reading = ctx;
  struct embed_item *item = embed_item_event(record);
  reading->no_memory = !item;
  int r = item ? reading->each(reading->ctx, &item->event) : -MBP_E_NO_MEMORY;
  free(item);
  return r;
}

int magent_read_events(struct magent *magent, const char *session_id, uint64_t from, uint32_t limit,
                       int (*each)(void *ctx, const struct magent_event *event), void *ctx, uint64_t *ret_next,
                       struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_instance *store;
  struct reading reading = {.each = each, .ctx = ctx};
  uint64_t next = 0;
  int r = mag_engine_store(magent->engine, &store, &err);
  if (r == 0)
    r = mag_events_read(store, session_id, from ? from : 1, limit ? limit : EVENTS_DEFAULT, show, &reading, &next,
                        &err);
  if (r == 0 && reading.no_memory)
    r = mag_error_no_memory(&err);
  if (r < 0)
    return embed_fail(error, &err);
  *ret_next = next;
  return 0;
}
