/* Sessions of the store, by their ids. */
#include "agent/sessions.h"

#include "agent/yaml.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"
#include "embed/info.h"

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

struct row {
  struct magent_session_info *info;
  size_t size;
};

struct listing {
  struct row *rows;
  size_t n, cap;
  struct mbp_error *err;
};

static int take_view(void *ctx, struct mbp_str json)
{
  struct listing *listing = ctx;
  if (listing->n == listing->cap) {
    size_t cap = listing->cap ? 2 * listing->cap : 64;
    struct row *more = realloc(listing->rows, cap * sizeof(*more));
    if (!more)
      return mag_error_no_memory(listing->err);
    listing->rows = more;
    listing->cap = cap;
  }
  struct row *row = &listing->rows[listing->n];
  int r = embed_info(json, &row->info, &row->size, listing->err);
  listing->n += r == 0;
  return r;
}

static void listing_done(struct listing *listing)
{
  for (size_t i = 0; i < listing->n; i++)
    free(listing->rows[i].info);
  free(listing->rows);
}

static size_t aligned(size_t size)
{
  return (size + 15) & ~(size_t) 15;
}

/* One piece of memory: the list, its pointers, what they point to, the token. */
static struct magent_session_list *join(const struct listing *listing, const char *next)
{
  size_t head = aligned(sizeof(struct magent_session_list) + listing->n * sizeof(void *)), len = strlen(next) + 1;
  size_t total = head + len;
  for (size_t i = 0; i < listing->n; i++)
    total += aligned(listing->rows[i].size);
  struct magent_session_list *list = calloc(1, total);
  if (!list)
    return NULL;
  const struct magent_session_info **sessions = (const struct magent_session_info **) (list + 1);
  char *at = (char *) list + head;
  for (size_t i = 0; i < listing->n; i++) {
    const struct row *row = &listing->rows[i];
    embed_info_copy(at, row->info, row->size);
    sessions[i] = (const struct magent_session_info *) (const void *) at;
    at += aligned(row->size);
  }
  list->n = listing->n;
  list->sessions = sessions;
  list->next = memcpy(at, next, len);
  return list;
}

int magent_list_sessions(struct magent *magent, const struct magent_query *given, struct magent_session_list **ret_list,
                         struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct magent_query query;
  struct listing listing = {.err = &err};
  mag_autofree char *next = NULL;
  embed_import(&query, sizeof(query), given);
  struct mag_session_filter filter = {.status = query.status,
                                      .agent = query.agent,
                                      .created_after_ms = query.created_after_ms,
                                      .created_before_ms = query.created_before_ms,
                                      .archived = query.archived_too,
                                      .oldest_first = query.oldest_first,
                                      .limit = query.limit,
                                      .page = query.page};
  int r = mag_sessions_list(magent->engine, &filter, take_view, &listing, &next, &err);
  struct magent_session_list *list = r == 0 ? join(&listing, next ? next : "") : NULL;
  if (r == 0 && !list)
    r = mag_error_no_memory(&err);
  listing_done(&listing);
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
  embed_import(&said, sizeof(said), given);
  struct mag_fork_options options = {
      .event = said.event_id, .title = said.title, .without_files = said.without_files != 0};
  return mag_sessions_fork(magent->engine, session_id, &options, ret_id, &err) < 0 ? embed_fail(error, &err) : 0;
}
