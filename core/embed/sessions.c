/* Sessions of the store, by their ids. */
#include "agent/sessions.h"

#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"
#include "embed/info.h"
#include "embed/list.h"

#include <string.h>

static int get(struct mag_engine *engine, const char *id, struct magent_session_info **ret_info, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  int r = mag_sessions_info(engine, id, &json, err);
  return r < 0 ? r : embed_info(mbp_str(json), ret_info, NULL, err);
}

int magent_get_session(struct magent *magent, const char *session_id, struct magent_session_info **ret_info,
                       struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  return get(magent->engine, session_id, ret_info, &err) < 0 ? embed_fail(error, &err) : 0;
}

int magent_retrieve_session(struct magent_agent *agent, struct magent_session_info **ret_info,
                            struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session;
  int r = embed_enter(agent, EMBED_BESIDE, &err);
  if (r < 0)
    return embed_fail(error, &err);
  session = embed_present(agent);
  r = session ? get(agent->magent->engine, session->log.id, ret_info, &err)
              : embed_info(mbp_str("{}"), ret_info, NULL, &err);
  embed_leave(agent, EMBED_BESIDE);
  return r < 0 ? embed_fail(error, &err) : 0;
}

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

struct listing {
  struct embed_list list;
  struct mbp_error *err;
};

static int take_view(void *ctx, struct mbp_str json)
{
  struct listing *listing = ctx;
  struct magent_session_info *info;
  size_t size;
  int r = embed_info(json, &info, &size, listing->err);
  return r < 0 ? r : embed_list_add(&listing->list, info, size, listing->err);
}

static struct magent_session_list *join(const struct embed_list *rows, const char *next)
{
  const void *const *items;
  const char *token;
  struct magent_session_list *list = embed_list_join(rows, sizeof(*list), embed_info_copy, next, &items, &token);
  if (list)
    *list = (struct magent_session_list){
        .n = rows->n, .sessions = (const struct magent_session_info *const *) items, .next = token};
  return list;
}

int magent_list_sessions(struct magent *magent, const struct magent_query *given, struct magent_session_list **ret_list,
                         struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_query query;
  struct listing listing = {.err = &err};
  mag_autofree char *next = NULL;
  if (embed_import(&query, sizeof(query), given, "magent_query", &err) < 0)
    return embed_fail(error, &err);
  struct mag_session_filter filter = {.status = query.status,
                                      .agent = query.agent,
                                      .created_after_ms = query.created_after_ms,
                                      .created_before_ms = query.created_before_ms,
                                      .archived = query.archived_too,
                                      .oldest_first = query.oldest_first,
                                      .limit = query.limit,
                                      .page = query.page};
  int r = mag_sessions_list(magent->engine, &filter, take_view, &listing, &next, &err);
  struct magent_session_list *list = r == 0 ? join(&listing.list, next ? next : "") : NULL;
  if (r == 0 && !list)
    r = mag_error_no_memory(&err);
  embed_list_done(&listing.list);
  if (r < 0)
    return embed_fail(error, &err);
  *ret_list = list;
  return 0;
}

/* ---- Changes ---------------------------------------------------------------------------------------------------- */

int magent_set_title(struct magent *magent, const char *session_id, const char *title, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_change change = {.title = title};
  return mag_sessions_update(magent->engine, session_id, &change, &err) < 0 ? embed_fail(error, &err) : 0;
}

int magent_set_budget(struct magent *magent, const char *session_id, const char *budget, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_yaml_to_json(mbp_str(budget), "budget", &json, &err);
  struct mag_session_change change = {.budget = json};
  if (r == 0)
    r = mag_sessions_update(magent->engine, session_id, &change, &err);
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_archive_session(struct magent *magent, const char *session_id, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  return mag_sessions_archive(magent->engine, session_id, &err) < 0 ? embed_fail(error, &err) : 0;
}

int magent_delete_session(struct magent *magent, const char *session_id, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  return mag_sessions_remove(magent->engine, session_id, &err) < 0 ? embed_fail(error, &err) : 0;
}

_Static_assert(MAGENT_ID_SIZE == MAG_ID_SIZE, "ids of magent.h have room for ours");

int magent_fork_session(struct magent *magent, const char *session_id, const struct magent_fork_options *given,
                        char ret_id[MAGENT_ID_SIZE], struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_fork_options said;
  if (embed_import(&said, sizeof(said), given, "magent_fork_options", &err) < 0)
    return embed_fail(error, &err);
  struct mag_fork_options options = {
      .event = said.event_id, .title = said.title, .without_files = said.without_files != 0};
  return mag_sessions_fork(magent->engine, session_id, &options, ret_id, &err) < 0 ? embed_fail(error, &err) : 0;
}
