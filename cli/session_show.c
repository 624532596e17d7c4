/* magent session show and tail: what happened, and what happens. */
#include "render.h"
#include "session.h"

#include "agent/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

#define LOOK_MS 1000 /* how often it is asked whether somebody runs the session still */

/* When user events were processed: that is a record of its own, which stands behind the event. */
struct processed {
  char id[MAG_ID_SIZE];
  int64_t time_ms;
};

struct showing {
  struct render render;
  struct processed *processed;
  size_t n;
};

static int note_processed(void *ctx, const struct mbp_record *record)
{
  struct showing *showing = ctx;
  mag_autojson json = NULL;
  if (!mbp_str_eq(record->type, MAG_REC_PROCESSED) || mag_json_parse(record->payload, &json, NULL) < 0)
    return 0;
  struct processed *processed = realloc(showing->processed, (showing->n + 1) * sizeof(*processed));
  if (!processed)
    return -MBP_E_NO_MEMORY;
  showing->processed = processed;
  processed[showing->n].time_ms = record->time_ms;
  (void) snprintf(processed[showing->n++].id, MAG_ID_SIZE, "%s", mag_json_str(mag_json_get(json, "event_id")).ptr);
  return 0;
}

static const struct processed *find_processed(const struct showing *showing, struct mbp_str id)
{
  for (size_t i = 0; i < showing->n; i++)
    if (mbp_str_eq(id, showing->processed[i].id))
      return &showing->processed[i];
  return NULL;
}

/* The payload with its processed_at filled in. NULL: it stays as it is. */
static char *with_time(const struct showing *showing, struct mbp_str payload)
{
  mag_autojson json = NULL;
  struct mbp_str null;
  char time[MAG_TIME_TEXT];
  if (mag_json_parse(payload, &json, NULL) < 0 || mag_json_type(mag_json_get(json, "processed_at")) != MBP_JSON_NULL ||
      !mag_json_slice(payload, "processed_at", &null))
    return NULL;
  const struct processed *processed = find_processed(showing, mag_json_str(mag_json_get(json, "id")));
  if (!processed)
    return NULL;
  mag_clock_format(processed->time_ms, time);
  size_t before = (size_t) (null.ptr - payload.ptr), after = before + null.len;
  return mag_sprintf("%.*s\"%s\"%.*s", (int) before, payload.ptr, time, (int) (payload.len - after),
                     payload.ptr + after);
}

static int show_record(void *ctx, const struct mbp_record *record)
{
  struct showing *showing = ctx;
  struct mbp_record shown = *record;
  mag_autofree char *payload = record->klass == MBP_RECORD_EVENT ? with_time(showing, record->payload) : NULL;
  if (payload)
    shown.payload = mbp_str(payload);
  render_record(&showing->render, &shown);
  return 0;
}

/* Opens the store, reads when events were processed, and does the rest. */
static int with_history(struct cli *cli, struct session_arguments *arguments,
                        int (*act)(struct mag_instance *store, struct mag_engine *engine,
                                   const struct session_arguments *arguments, struct showing *showing,
                                   struct mbp_error *err))
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct showing showing = {.processed = NULL};
  struct mag_instance *store;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  render_init_log(&showing.render, arguments->json);
  int r = mag_engine_store(engine, &store, &err);
  if (r == 0)
    r = mag_log_each(store, arguments->words[0], 1, 0, note_processed, &showing, &err);
  if (r == 0)
    r = act(store, engine, arguments, &showing, &err);
  render_end(&showing.render);
  free(showing.processed);
  mag_engine_free(engine);
  return r < 0 ? cli_fail_session(&err) : EXIT_OK;
}

static int show(struct mag_instance *store, struct mag_engine *engine, const struct session_arguments *arguments,
                struct showing *showing, struct mbp_error *err)
{
  (void) engine;
  return mag_log_each(store, arguments->words[0], 1, 0, show_record, showing, err);
}

int session_show(struct cli *cli, struct session_arguments *arguments)
{
  return with_history(cli, arguments, show);
}

/* ---- tail ----------------------------------------------------------------------------------------------------- */

struct tailing {
  struct showing *showing;
  uint64_t next; /* record */
  bool idle;
};

static int tail_record(void *ctx, const struct mbp_record *record)
{
  struct tailing *tailing = ctx;
  (void) show_record(tailing->showing, record);
  tailing->next = record->seq + 1;
  if (mbp_str_eq(record->type, MAG_EV_RUNNING))
    tailing->idle = false;
  if (mbp_str_eq(record->type, MAG_EV_IDLE) || mbp_str_eq(record->type, MAG_EV_TERMINATED))
    tailing->idle = true;
  return tailing->showing->render.failed ? -MBP_E_CANCELLED : 0;
}

/* What there is, first; what comes, then. */
static int tail(struct mag_instance *store, struct mag_engine *engine, const struct session_arguments *arguments,
                struct showing *showing, struct mbp_error *err)
{
  const char *id = arguments->words[0];
  struct tailing tailing = {.showing = showing, .next = 1, .idle = true};
  struct mag_session_facts facts = {.running = true};
  int r = mag_log_each(store, id, 1, 0, tail_record, &tailing, err);
  while (r == 0 && !showing->render.failed && (arguments->follow || (!tailing.idle && facts.running))) {
    struct mbp_error waiting = MAG_ERROR_INIT;
    r = mag_sessions_facts(engine, id, &facts, err); /* before the look: what it ended with is seen by that */
    if (r < 0)
      break;
    r = mag_log_watch(store, id, tailing.next, LOOK_MS, tail_record, &tailing, &waiting);
    if (r == -MBP_E_TIMEOUT || r == -MBP_E_CANCELLED)
      r = 0;
    else if (r < 0)
      *err = waiting;
  }
  if (r == 0 && !tailing.idle && !arguments->follow)
    fprintf(stderr, "magent: nobody runs this session any more; go on with `magent session resume %s`\n", id);
  return r;
}

int session_tail(struct cli *cli, struct session_arguments *arguments)
{
  return with_history(cli, arguments, tail);
}
