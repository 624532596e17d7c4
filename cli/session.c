#include "cli.h"
#include "interrupt.h"
#include "render.h"
#include "session_old.h"

#include "agent/session.h"
#include "agent/sessions.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent session list [--json]\n"
    "       magent session show ID [--json]\n"
    "       magent session resume ID [--yes] [--json]\n"
    "       magent session rm ID\n"
    "       magent session rm --older-than AGE [--dry-run]\n"
    "\n"
    "  list      all sessions, newest first\n"
    "  show      what happened in a session; --json: its events, one a line\n"
    "  resume    go on where a session stopped: after a crash, an error, or a question (--yes answers it)\n"
    "  rm        remove a session, its log and its private workspace\n"
    "            --older-than: all that nothing has happened in for so long (30d, 12h), but those that run\n"
    "            --dry-run: say which, and remove none\n"
    "\n"
    "`magent run --session ID PROMPT` goes on with a new message.\n";

struct arguments {
  const char *id, *older_than;
  bool yes, json, dry_run;
};

/* 0, or a status to exit with. */
static int read_arguments(struct arguments *arguments, int argc, char **argv, bool id_wanted)
{
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      arguments->json = true;
    else if (strcmp(argv[i], "--yes") == 0)
      arguments->yes = true;
    else if (strcmp(argv[i], "--dry-run") == 0 && strcmp(argv[0], "rm") == 0)
      arguments->dry_run = true;
    else if (strcmp(argv[i], "--older-than") == 0 && strcmp(argv[0], "rm") == 0) {
      if (!argv[i + 1])
        return cli_usage("session", "rm: --older-than needs an age, such as 30d%s", "");
      arguments->older_than = argv[++i];
    } else if (argv[i][0] == '-' || !id_wanted || arguments->id)
      return cli_usage("session", "%s: unexpected \"%s\"", argv[0], argv[i]);
    else
      arguments->id = argv[i];
  }
  if (arguments->older_than && arguments->id)
    return cli_usage("session", "rm: either an id or --older-than%s", "");
  if (arguments->dry_run && !arguments->older_than)
    return cli_usage("session", "rm: --dry-run goes with --older-than%s", "");
  if (id_wanted && !arguments->id && !arguments->older_than)
    return cli_usage("session", "%s: the id of a session is needed", argv[0]);
  return 0;
}

/* ---- list ----------------------------------------------------------------------------------------------------- */

struct listing {
  bool json;
  size_t n;
  char next[256];
};

static int print_session(void *ctx, const struct mbp_event *event)
{
  struct listing *listing = ctx;
  mag_autojson summary = NULL;
  if (event->type != MBP_EV_STORE_SESSION)
    return 0;
  listing->n++;
  if (listing->json) {
    printf("%.*s\n", (int) event->data.len, event->data.ptr);
    return 0;
  }
  if (mag_json_parse(event->data, &summary, NULL) < 0)
    return 0;
  if (listing->n == 1)
    printf("%-32s %-11s %-16s %6s %9s  %s\n", "ID", "STATUS", "UPDATED", "TURNS", "TOKENS", "TITLE");
  const struct mbp_json *usage = mag_json_get(summary, "usage");
  int64_t tokens =
      mag_json_num(mag_json_get(usage, "input_tokens"), 0) + mag_json_num(mag_json_get(usage, "output_tokens"), 0);
  struct mbp_str updated = mag_json_str(mag_json_get(summary, "updated_at"));
  printf("%-32.*s %-11s %-16.*s %6lld %9lld  ", (int) event->name.len, event->name.ptr,
         mag_json_str(mag_json_get(summary, "status")).ptr, (int) MAG_MIN(updated.len, (size_t) 16), updated.ptr,
         (long long) mag_json_num(mag_json_get(summary, "turns"), 0), (long long) tokens);
  render_put_line(stdout, isatty(STDOUT_FILENO), mag_json_str(mag_json_get(summary, "title")));
  putchar('\n');
  return 0;
}

static int take_page(void *ctx, const void *result, struct mbp_error *err)
{
  struct listing *listing = ctx;
  const struct mbp_page *page = result;
  (void) err;
  (void) snprintf(listing->next, sizeof(listing->next), "%.*s", page ? (int) page->next.len : 0,
                  page ? page->next.ptr : "");
  return 0;
}

static int list(struct mag_instance *store, struct mag_engine *engine, const struct arguments *arguments,
                struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct listing listing = {.json = arguments->json};
  int r;
  (void) engine;
  do {
    char page[sizeof(listing.next)];
    memcpy(page, listing.next, sizeof(page));
    struct mbp_query query = {
        .size = MBP_SIZE(struct mbp_query, reserved), .limit = 1000, .page = mbp_str(page), .descending = 1};
    struct mag_call_options options = {.sink = print_session, .on_result = take_page, .ctx = &listing};
    listing.next[0] = 0;
    r = MAG_RUN(store, &options, err, ops->list(plugin, call, &query, err));
  } while (r == 0 && listing.next[0]);
  if (r == 0 && listing.n == 0 && !listing.json)
    puts("no sessions yet; `magent run PROMPT` makes one");
  return r;
}

/* ---- show, rm, resume ----------------------------------------------------------------------------------------- */

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

static int show(struct mag_instance *store, struct mag_engine *engine, const struct arguments *arguments,
                struct mbp_error *err)
{
  struct showing showing = {.processed = NULL};
  (void) engine;
  render_init(&showing.render, arguments->json);
  int r = mag_log_each(store, arguments->id, 1, 0, note_processed, &showing, err);
  if (r == 0)
    r = mag_log_each(store, arguments->id, 1, 0, show_record, &showing, err);
  render_end(&showing.render);
  free(showing.processed);
  return r;
}

static int rm(struct mag_instance *store, struct mag_engine *engine, const struct arguments *arguments,
              struct mbp_error *err)
{
  if (arguments->older_than)
    return session_remove_old(store, engine, arguments->older_than, arguments->dry_run, err);
  return mag_sessions_remove(engine, arguments->id, err);
}

static int resume(struct cli *cli, const struct arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session = NULL;
  struct mag_limits limits = {0};
  interrupt_start();
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int status = mag_session_open(engine, arguments->id, NULL, &session, &err) < 0
                   ? cli_fail(&err)
                   : cli_run_session(session, NULL, &limits, arguments->yes, arguments->json);
  mag_session_close(session);
  mag_engine_free(engine);
  return status;
}

/* ---- Dispatch ------------------------------------------------------------------------------------------------- */

typedef int (*action)(struct mag_instance *store, struct mag_engine *engine, const struct arguments *arguments,
                      struct mbp_error *err);

static int with_store(struct cli *cli, action act, const struct arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_instance *store;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = mag_engine_store(engine, &store, &err);
  if (r == 0)
    r = act(store, engine, arguments, &err);
  mag_engine_free(engine);
  return r < 0 ? cli_fail(&err) : EXIT_OK;
}

int cli_session(struct cli *cli, int argc, char **argv)
{
  struct arguments arguments = {0};
  const char *name = argc > 1 ? argv[1] : "";
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(help_text, stdout);
      return EXIT_OK;
    }
  bool is_list = strcmp(name, "list") == 0, is_resume = strcmp(name, "resume") == 0;
  action act = is_list ? list : strcmp(name, "show") == 0 ? show : strcmp(name, "rm") == 0 ? rm : NULL;
  if (!act && !is_resume)
    return cli_usage("session", *name ? "unknown command \"session %s\"" : "session: a command is needed%s", name);
  int status = read_arguments(&arguments, argc - 1, argv + 1, !is_list);
  if (status)
    return status;
  return is_resume ? resume(cli, &arguments) : with_store(cli, act, &arguments);
}
