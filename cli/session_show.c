/* magent session show and tail: what happened, and what happens. */
#include "render.h"
#include "session.h"

#include "agent/events.h"
#include "agent/session.h"
#include "base/error.h"

#define LOOK_MS 1000 /* how often it is asked whether somebody runs the session still */

struct showing {
  struct render render;
  uint64_t next; /* record */
  bool idle;
};

static int show_record(void *ctx, const struct mbp_record *record)
{
  struct showing *showing = ctx;
  render_record(&showing->render, record);
  showing->next = record->seq + 1;
  if (mbp_str_eq(record->type, MAG_EV_RUNNING))
    showing->idle = false;
  if (mbp_str_eq(record->type, MAG_EV_IDLE) || mbp_str_eq(record->type, MAG_EV_TERMINATED))
    showing->idle = true;
  return showing->render.failed ? -MBP_E_CANCELLED : 0;
}

/* What there is. */
static int show(struct mag_instance *store, const char *id, struct showing *showing, struct mbp_error *err)
{
  uint64_t from;
  int r;
  do {
    from = showing->next;
    r = mag_events_read(store, id, from, MAG_EVENTS_MAX, show_record, showing, &showing->next, err);
  } while (r == 0 && showing->next > from && !showing->render.failed);
  return r;
}

/* Opens the store, shows what there is, and does the rest (may be NULL). */
static int with_history(struct cli *cli, struct session_arguments *arguments,
                        int (*act)(struct mag_instance *store, struct mag_engine *engine,
                                   const struct session_arguments *arguments, struct showing *showing,
                                   struct mbp_error *err))
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct showing showing = {.next = 1, .idle = true};
  struct mag_instance *store;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  render_init_log(&showing.render, arguments->json);
  int r = mag_engine_store(engine, &store, &err);
  if (r == 0)
    r = show(store, arguments->words[0], &showing, &err);
  if (r == 0 && act)
    r = act(store, engine, arguments, &showing, &err);
  render_end(&showing.render);
  mag_engine_free(engine);
  return r < 0 ? cli_fail_session(&err) : EXIT_OK;
}

int session_show(struct cli *cli, struct session_arguments *arguments)
{
  return with_history(cli, arguments, NULL);
}

/* What comes. */
static int tail(struct mag_instance *store, struct mag_engine *engine, const struct session_arguments *arguments,
                struct showing *showing, struct mbp_error *err)
{
  const char *id = arguments->words[0];
  struct mag_session_facts facts = {.running = true};
  int r = 0;
  while (r == 0 && !showing->render.failed && (arguments->follow || (!showing->idle && facts.running))) {
    struct mbp_error waiting = MAG_ERROR_INIT;
    r = mag_sessions_facts(engine, id, &facts, err); /* before the look: what it ended with is seen by that */
    if (r < 0)
      break;
    r = mag_log_watch(store, id, showing->next, LOOK_MS, show_record, showing, &waiting);
    if (r == -MBP_E_TIMEOUT || r == -MBP_E_CANCELLED)
      r = 0;
    else if (r < 0)
      *err = waiting;
  }
  if (r == 0 && !showing->idle && !arguments->follow)
    fprintf(stderr, "magent: nobody runs this session any more; go on with `magent session resume %s`\n", id);
  return r;
}

int session_tail(struct cli *cli, struct session_arguments *arguments)
{
  return with_history(cli, arguments, tail);
}
