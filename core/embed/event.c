#include "embed/event.h"

#include "agent/session.h"
#include "base/buf.h"
#include "base/json.h"
#include "embed/block.h"

_Static_assert(MAGENT_END_TURN == (int) MAG_END_TURN && MAGENT_REQUIRES_ACTION == (int) MAG_END_REQUIRES_ACTION &&
                   MAGENT_LIMIT == (int) MAG_END_LIMIT && MAGENT_REFUSED == (int) MAG_END_REFUSAL &&
                   MAGENT_FAILED == (int) MAG_END_ERROR && MAGENT_INTERRUPTED == (int) MAG_END_INTERRUPTED,
               "the endings of magent.h are those of the agent layer");

/* In the order in which they stand in memory. */
enum { TYPE, ID, TOOL, TEXT, JSON, N_TEXTS };

static struct embed_item *item_new(uint32_t kind, const struct mbp_str texts[N_TEXTS])
{
  char *at;
  struct embed_item *item = embed_block(sizeof(*item), texts, N_TEXTS, &at);
  if (!item)
    return NULL;
  item->event.kind = kind;
  item->event.type = embed_place(&at, texts[TYPE]);
  item->event.id = embed_place(&at, texts[ID]);
  item->event.tool = embed_place(&at, texts[TOOL]);
  item->event.text = embed_place(&at, texts[TEXT]);
  item->event.text_len = texts[TEXT].len;
  item->event.json = embed_place(&at, texts[JSON]);
  item->event.json_len = texts[JSON].len;
  return item;
}

struct embed_item *embed_item_piece(uint32_t kind, const char *event_id, struct mbp_str tool, struct mbp_str text)
{
  return item_new(kind, (struct mbp_str[N_TEXTS]){[ID] = mbp_str(event_id), [TOOL] = tool, [TEXT] = text});
}

int embed_ending(struct mbp_str stop_reason, bool interrupted)
{
  static const struct {
    const char *reason;
    int ending;
  } endings[] = {
      {"requires_action", MAGENT_REQUIRES_ACTION},
      {"budget_reached", MAGENT_LIMIT},
      {"refusal", MAGENT_REFUSED},
      {"retries_exhausted", MAGENT_FAILED},
  };
  for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
    if (mbp_str_eq(stop_reason, endings[i].reason))
      return endings[i].ending;
  return interrupted ? MAGENT_INTERRUPTED : MAGENT_END_TURN;
}

struct embed_item *embed_item_event(const struct mbp_record *record)
{
  mag_autojson json = NULL;
  mag_autobuf text = MAG_BUF_INIT;
  if (mag_json_parse(record->payload, &json, NULL) < 0)
    return NULL;
  if (mbp_str_eq(record->type, MAG_EV_MESSAGE) || mbp_str_eq(record->type, MAG_EV_USER_MESSAGE))
    for (const struct mbp_json *i = mag_json_first(mag_json_get(json, "content")); i; i = mag_json_next(i))
      if (mbp_str_eq(mag_json_str(mag_json_get(i, "type")), "text"))
        mag_buf_add_str(&text, mag_json_str(mag_json_get(i, "text")));
  const struct mbp_str texts[N_TEXTS] = {[TYPE] = record->type,
                                         [ID] = mag_json_str(mag_json_get(json, "id")),
                                         [TOOL] = mag_json_str(mag_json_get(json, "name")),
                                         [TEXT] = mag_buf_str(&text),
                                         [JSON] = record->payload};
  struct embed_item *item = text.failed ? NULL : item_new(MAGENT_EVENT, texts);
  if (item)
    item->event.seq = record->seq;
  if (item && mbp_str_eq(record->type, MAG_EV_IDLE))
    item->event.ending =
        embed_ending(mag_json_str(mag_json_get(mag_json_get(json, "stop_reason"), "type")),
                     mag_json_truth(mag_json_get(mag_json_get(json, "x_magent"), "interrupted"), 0) != 0);
  return item;
}
