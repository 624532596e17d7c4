#include "agent/events.h"

#include "agent/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (8u << 20)

struct item {
  struct mbp_record record;
  struct mbp_str waiting; /* the quoted id, until it is known when the event was processed; else empty */
  int64_t processed_ms;
  char text[]; /* type and payload */
};

struct page {
  struct item **items;
  size_t n, limit, bytes, n_waiting;
  bool full;
};

static void page_done(struct page *page)
{
  for (size_t i = 0; i < page->n; i++)
    free(page->items[i]);
  free(page->items);
}

/* ---- Collecting ------------------------------------------------------------------------------------------------- */

static struct item *copy(const struct mbp_record *record)
{
  struct item *item = calloc(1, sizeof(*item) + record->type.len + record->payload.len + 2);
  struct mbp_str processed_at;
  if (!item)
    return NULL;
  char *payload = item->text + record->type.len + 1;
  memcpy(item->text, record->type.ptr, record->type.len);
  memcpy(payload, record->payload.ptr, record->payload.len);
  item->record = *record;
  item->record.type = mbp_str_n(item->text, record->type.len);
  item->record.payload = mbp_str_n(payload, record->payload.len);
  if (mag_json_slice(item->record.payload, "processed_at", &processed_at) && mbp_str_eq(processed_at, "null"))
    (void) mag_json_slice(item->record.payload, "id", &item->waiting);
  return item;
}

static int add_event(struct page *page, const struct mbp_record *record)
{
  struct item *item = copy(record);
  if (!item)
    return -MBP_E_NO_MEMORY;
  page->items[page->n++] = item;
  page->n_waiting += item->waiting.len > 0;
  page->bytes += record->payload.len;
  page->full = page->n == page->limit || page->bytes >= PAGE_BYTES;
  return 0;
}

static void note_processed(struct page *page, const struct mbp_record *record)
{
  struct mbp_str id;
  if (!mag_json_slice(record->payload, "event_id", &id))
    return;
  for (size_t i = 0; i < page->n; i++) {
    struct item *item = page->items[i];
    if (item->waiting.len && item->waiting.len == id.len && memcmp(item->waiting.ptr, id.ptr, id.len) == 0) {
      item->waiting = mbp_str_n("", 0);
      item->processed_ms = record->time_ms;
      page->n_waiting--;
    }
  }
}

/* Behind the page it goes on only for the times of the events in it. */
static int take(void *ctx, const struct mbp_record *record)
{
  struct page *page = ctx;
  if (record->klass == MBP_RECORD_EVENT && !page->full)
    return add_event(page, record);
  if (mbp_str_eq(record->type, MAG_REC_PROCESSED))
    note_processed(page, record);
  return page->full && page->n_waiting == 0 ? -MBP_E_CANCELLED : 0;
}

/* ---- Showing ---------------------------------------------------------------------------------------------------- */

/* With the time in the place of null. NULL without memory. */
static char *with_time(const struct item *item)
{
  struct mbp_str payload = item->record.payload, null = {"", 0};
  char time[MAG_TIME_TEXT];
  (void) mag_json_slice(payload, "processed_at", &null);
  mag_clock_format(item->processed_ms, time);
  size_t before = (size_t) (null.ptr - payload.ptr), after = before + null.len;
  return mag_sprintf("%.*s\"%s\"%.*s", (int) before, payload.ptr, time, (int) (payload.len - after),
                     payload.ptr + after);
}

static int show(const struct page *page, int (*each)(void *ctx, const struct mbp_record *record), void *ctx,
                uint64_t *next, struct mbp_error *err)
{
  bool over = false;
  for (size_t i = 0; i < page->n && !over; i++) {
    struct mbp_record record = page->items[i]->record;
    mag_autofree char *payload = page->items[i]->processed_ms ? with_time(page->items[i]) : NULL;
    if (page->items[i]->processed_ms && !payload)
      return mag_error_no_memory(err);
    if (payload)
      record.payload = mbp_str(payload);
    over = each(ctx, &record) != 0;
    *next = record.seq + 1;
  }
  return 0;
}

int mag_events_read(struct mag_instance *store, const char *id, uint64_t from, uint32_t limit,
                    int (*each)(void *ctx, const struct mbp_record *record), void *ctx, uint64_t *ret_next,
                    struct mbp_error *err)
{
  struct mbp_error own = MAG_ERROR_INIT;
  struct page page = {.limit = MAG_MIN(MAG_MAX(limit, 1u), MAG_EVENTS_MAX)};
  uint64_t next = from;
  int r = mag_session_check_id(id, err);
  if (r < 0)
    return r;
  page.items = calloc(page.limit, sizeof(struct item *));
  r = page.items ? mag_log_each(store, id, from, 0, take, &page, &own) : mag_error_no_memory(&own);
  if (r == -MBP_E_CANCELLED && page.full)
    r = 0;
  if (r == 0)
    r = show(&page, each, ctx, &next, err);
  else
    r = mag_error_import(err, &own);
  page_done(&page);
  if (r == 0)
    *ret_next = next;
  return r;
}
