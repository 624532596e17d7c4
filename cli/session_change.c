/* magent session title, update, archive, fork and rm; save and restore. */
#include "session.h"
#include "session_old.h"

#include "agent/ids.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>

typedef int (*action)(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err);

/* Does it; with --json the session as it is then. */
static int run(struct cli *cli, struct session_arguments *arguments, action act, bool stays)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = act(engine, arguments, &err);
  if (r == 0 && arguments->json && stays)
    r = session_print_info(engine, arguments->words[0], /* json= */ true, &err);
  mag_engine_free(engine);
  return r < 0 ? cli_fail_session(&err) : EXIT_OK;
}

/* The same for every session that is named; one that fails holds up no other. */
static int run_each(struct cli *cli, struct session_arguments *arguments, action act, bool stays)
{
  int status = EXIT_OK;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  for (; arguments->n_words; arguments->words++, arguments->n_words--) {
    struct mbp_error err = MAG_ERROR_INIT;
    int r = act(engine, arguments, &err);
    if (r == 0 && arguments->json && stays)
      r = session_print_info(engine, arguments->words[0], /* json= */ true, &err);
    if (r < 0)
      status = cli_fail_session(&err);
  }
  mag_engine_free(engine);
  return status;
}

static int set_title(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  struct mag_session_change change = {.title = arguments->words[1]};
  return mag_sessions_update(engine, arguments->words[0], &change, err);
}

int session_title(struct cli *cli, struct session_arguments *arguments)
{
  return run(cli, arguments, set_title, true);
}

static int update(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  mag_autofree char *budget = NULL;
  if (arguments->budget) {
    mag_writer_end(arguments->budget);
    budget = mag_writer_take(arguments->budget);
    if (!budget)
      return mag_error_no_memory(err);
  }
  struct mag_session_change change = {.title = arguments->title, .budget = budget};
  return mag_sessions_update(engine, arguments->words[0], &change, err);
}

int session_update(struct cli *cli, struct session_arguments *arguments)
{
  if (!arguments->title && !arguments->budget)
    return cli_usage(arguments->command, "what shall be changed? --title or one of --budget-...");
  return run(cli, arguments, update, true);
}

static int archive(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  return mag_sessions_archive(engine, arguments->words[0], err);
}

int session_archive(struct cli *cli, struct session_arguments *arguments)
{
  return run_each(cli, arguments, archive, true);
}

static int fork_it(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  struct mag_fork_options options = {
      .event = arguments->event, .title = arguments->title, .without_files = arguments->without_files};
  char id[MAG_ID_SIZE];
  int r = mag_sessions_fork(engine, arguments->words[0], &options, id, err);
  if (r == 0 && arguments->json)
    return session_print_info(engine, id, /* json= */ true, err);
  if (r == 0)
    puts(id);
  return r;
}

int session_fork(struct cli *cli, struct session_arguments *arguments)
{
  return run(cli, arguments, fork_it, false);
}

static int rm(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  int r = mag_sessions_remove(engine, arguments->words[0], err);
  if (r == 0 && arguments->json)
    printf("{\"id\":\"%s\",\"removed\":true}\n", arguments->words[0]);
  return r;
}

static int rm_old(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  return session_remove_old(engine, arguments->before_ms, arguments->dry_run, arguments->json, err);
}

int session_rm(struct cli *cli, struct session_arguments *arguments)
{
  return arguments->before_ms ? run(cli, arguments, rm_old, false) : run_each(cli, arguments, rm, false);
}

/* ---- Ids ------------------------------------------------------------------------------------------------------ */

static int print_ids(const struct mag_ids *ids, struct mbp_error *err)
{
  mag_autofree char *text = mag_ids_text(ids);
  if (!text)
    return mag_error_no_memory(err);
  puts(text);
  return 0;
}

static int save(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  struct mag_ids ids;
  int r = mag_ids_of(engine, arguments->words[0], &ids, err);
  if (r == 0)
    r = mag_ids_save(&ids, arguments->words[1], err);
  return r == 0 && arguments->json ? print_ids(&ids, err) : r;
}

int session_save(struct cli *cli, struct session_arguments *arguments)
{
  return run(cli, arguments, save, false);
}

static int restore(struct mag_engine *engine, struct session_arguments *arguments, struct mbp_error *err)
{
  const char *path = arguments->words[0];
  struct mag_ids ids;
  int r = mag_ids_load(path, &ids, err);
  if (r < 0)
    return r;
  r = ids.session_id[0] ? mag_ids_check(engine, &ids, err)
                        : mag_error(err, MBP_E_NOT_FOUND, "it names no session: there was none when it was written");
  if (r < 0)
    return mag_error_wrap(err, "%s", path);
  if (arguments->json)
    return print_ids(&ids, err);
  puts(ids.session_id);
  return 0;
}

int session_restore(struct cli *cli, struct session_arguments *arguments)
{
  return run(cli, arguments, restore, false);
}
