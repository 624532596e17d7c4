/* Stored agents: documents of the store, each with all of its versions. */
#include "agent/agents.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "embed/block.h"
#include "embed/embed.h"
#include "embed/info.h"
#include "embed/list.h"

/* In the order in which they stand in memory. */
#define N_TEXTS 6
static void find_texts(struct magent_stored_agent *stored, const char **places[N_TEXTS])
{
  const char **const all[N_TEXTS] = {&stored->id,         &stored->name,
                                     &stored->model,      &stored->environment_id,
                                     &stored->agent_json, &stored->environment_json};
  memcpy(places, all, sizeof(all));
}

static void copy_stored(void *to, const void *from, size_t size)
{
  const char **places[N_TEXTS];
  memcpy(to, from, size);
  find_texts(to, places);
  embed_moved(places, N_TEXTS, to, from);
}

/* The resources as a struct; `environment` may be empty. */
static int show(struct mbp_str agent, struct mbp_str environment, struct magent_stored_agent **ret_stored,
                size_t *ret_size, struct mbp_error *err)
{
  mag_autojson json = NULL;
  const char **places[N_TEXTS];
  char *at;
  int r = mag_json_parse(agent, &json, err);
  if (r < 0)
    return r;
  const struct mbp_json *named = mag_json_get(mag_json_get(json, "x_magent"), "environment");
  const struct mbp_str texts[N_TEXTS] = {mag_json_str(mag_json_get(json, "id")),
                                         mag_json_str(mag_json_get(json, "name")),
                                         mag_json_str(mag_json_get(mag_json_get(json, "model"), "id")),
                                         mag_json_str(mag_json_get(named, "id")),
                                         agent,
                                         environment};
  struct magent_stored_agent *stored = embed_block(sizeof(*stored), texts, N_TEXTS, &at);
  if (!stored)
    return mag_error_no_memory(err);
  find_texts(stored, places);
  for (size_t i = 0; i < N_TEXTS; i++)
    *places[i] = embed_place(&at, texts[i]);
  stored->created_ms = embed_time(json, "created_at");
  stored->updated_ms = embed_time(json, "updated_at");
  stored->archived_ms = embed_time(json, "archived_at");
  stored->version = (uint32_t) mag_json_num(mag_json_get(json, "version"), 0);
  stored->environment_version = (uint32_t) mag_json_num(mag_json_get(named, "version"), 0);
  if (ret_size)
    *ret_size = (size_t) (at - (char *) stored);
  *ret_stored = stored;
  return 0;
}

/* Shows what `agent` is, if that is wanted and `r` is 0, and frees it. */
static int finish(struct mag_agent *agent, int r, struct magent_stored_agent **ret_stored, struct mbp_error *err,
                  struct magent_error *error)
{
  if (r == 0 && ret_stored)
    r = show(mbp_str(agent->agent), mbp_str(agent->environment), ret_stored, NULL, err);
  mag_agent_done(agent);
  return r < 0 ? embed_fail(error, err) : 0;
}

int magent_create_stored_agent(struct magent *magent, const struct magent_config *config,
                               struct magent_stored_agent **ret_stored, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  struct mag_agent agent = {0};
  int r = embed_change(config, &definition, &err);
  if (r == 0)
    r = mag_definition_defaults(&definition, &err);
  if (r == 0)
    r = mag_session_check_agent(magent->engine, &definition, &err);
  if (r == 0)
    r = mag_agent_create(magent->engine, &definition, &agent, &err);
  mag_definition_done(&definition);
  return finish(&agent, r, ret_stored, &err, error);
}

int magent_update_stored_agent(struct magent *magent, const char *reference, const struct magent_config *changes,
                               uint32_t expected_version, struct magent_stored_agent **ret_stored,
                               struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_agent old = {0}, agent = {0};
  int r = mag_agent_get(magent->engine, reference, &old, &err);
  if (r == 0)
    r = embed_change(changes, &old.definition, &err);
  if (r == 0)
    r = mag_session_check_agent(magent->engine, &old.definition, &err);
  if (r == 0)
    r = mag_agent_update(magent->engine, &old.definition, expected_version, &agent, &err);
  mag_agent_done(&old);
  return finish(&agent, r, ret_stored, &err, error);
}

int magent_get_stored_agent(struct magent *magent, const char *reference, struct magent_stored_agent **ret_stored,
                            struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_agent agent = {0};
  int r = mag_agent_get(magent->engine, reference, &agent, &err);
  return finish(&agent, r, ret_stored, &err, error);
}

int magent_archive_stored_agent(struct magent *magent, const char *reference, struct magent_stored_agent **ret_stored,
                                struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_agent agent = {0};
  int r = mag_agent_archive(magent->engine, reference, &agent, &err);
  return finish(&agent, r, ret_stored, &err, error);
}

struct listing {
  struct embed_list list;
  struct mbp_error *err;
};

static int take_listed(void *ctx, struct mbp_str json)
{
  struct listing *listing = ctx;
  struct magent_stored_agent *stored;
  size_t size;
  int r = show(json, mbp_str(""), &stored, &size, listing->err);
  return r < 0 ? r : embed_list_add(&listing->list, stored, size, listing->err);
}

int magent_list_stored_agents(struct magent *magent, int archived_too, struct magent_stored_agent_list **ret_list,
                              struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct listing listing = {.err = &err};
  struct magent_stored_agent_list *list = NULL;
  const void *const *items;
  const char *end;
  int r = mag_agent_list(magent->engine, archived_too != 0, take_listed, &listing, &err);
  if (r == 0 && !(list = embed_list_join(&listing.list, sizeof(*list), copy_stored, "", &items, &end)))
    r = mag_error_no_memory(&err);
  if (r == 0) {
    *list = (struct magent_stored_agent_list){.n = listing.list.n,
                                              .agents = (const struct magent_stored_agent *const *) items};
    *ret_list = list;
  }
  embed_list_done(&listing.list);
  return r < 0 ? embed_fail(error, &err) : 0;
}
