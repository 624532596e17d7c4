/* magent session interrupt, steer, send and resume: reaching a session, wherever it runs. */
#include "interrupt.h"
#include "session.h"

#include "agent/outside.h"
#include "agent/session.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>

static void print_json(const char *id, const char *event, bool running)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_string(w, "id", mbp_str(id));
  if (event)
    mag_writer_string(w, "event_id", mbp_str(event));
  mag_writer_boolean(w, "running", running);
  mag_writer_end(w);
  mag_autofree char *text = mag_writer_take(w);
  printf("%s\n", text ? text : "{}");
}

int session_interrupt(struct cli *cli, struct session_arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const char *id = arguments->words[0];
  bool running = false;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = mag_outside_interrupt(engine, id, &running, &err);
  mag_engine_free(engine);
  if (r < 0)
    return cli_fail_session(&err);
  if (arguments->json)
    print_json(id, NULL, running);
  else if (!running)
    fprintf(stderr, "magent: session %s does not run: there is nothing to interrupt\n", id);
  return EXIT_OK;
}

static int say(struct cli *cli, struct session_arguments *arguments, const char *delivery)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const char *id = arguments->words[0];
  char event[MAG_ID_SIZE] = "";
  struct mag_session_facts facts = {.running = false};
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = mag_outside_say(engine, id, mbp_str(arguments->words[1]), delivery, event, &err);
  if (r == 0)
    r = mag_sessions_facts(engine, id, &facts, &err);
  mag_engine_free(engine);
  if (r < 0)
    return cli_fail_session(&err);
  if (arguments->json)
    print_json(id, event, facts.running);
  else if (!facts.running)
    fprintf(stderr, "magent: session %s does not run; `magent session resume %s` answers what was said\n", id, id);
  return EXIT_OK;
}

int session_steer(struct cli *cli, struct session_arguments *arguments)
{
  return say(cli, arguments, MAG_DELIVERY_STEER);
}

int session_send(struct cli *cli, struct session_arguments *arguments)
{
  return say(cli, arguments, MAG_DELIVERY_FOLLOW_UP);
}

/* Nothing was said, nothing waits, and the model has answered. */
static bool at_rest(const struct mag_session *session)
{
  const struct mag_state *state = &session->log.state;
  return state->status == MAG_STATUS_IDLE && !state->n_open && !state->n_inbox && !mag_state_owes(state);
}

static int go_on(struct mag_session *session, const struct session_arguments *arguments)
{
  struct mag_limits limits = {0};
  if (!at_rest(session))
    return cli_run_session(session, NULL, &limits, arguments->yes, arguments->json);
  fprintf(stderr, "magent: session %s has nothing to go on with; `magent run --session %s PROMPT` says more\n",
          session->log.id, session->log.id);
  return EXIT_OK;
}

int session_resume(struct cli *cli, struct session_arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session = NULL;
  interrupt_start();
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int status = mag_session_open(engine, arguments->words[0], NULL, &session, &err) < 0
                   ? cli_fail_session(&err)
                   : go_on(session, arguments);
  mag_session_close(session);
  mag_engine_free(engine);
  return status;
}

int cli_fail_session(const struct mbp_error *err)
{
  struct mbp_error told = *err;
  if (err->code == MBP_E_BUSY && strstr(err->message, "is being run"))
    (void) cli_hint(&told, "`magent session tail` shows it; session send, steer and interrupt reach it");
  else if (err->code == MBP_E_NOT_FOUND && strstr(err->message, "no session \""))
    (void) cli_hint(&told, "`magent session list` shows those that exist");
  return cli_fail(&told);
}
