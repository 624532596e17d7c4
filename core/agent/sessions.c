/* Looking at sessions, and changing them without running them. */
#include "agent/sessions.h"

#include "agent/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/tree.h"
#include "host/redact.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 60000

/* ---- One session ---------------------------------------------------------------------------------------------- */

/* What the store tells of a session without reading its log. */
struct head {
  bool claimed;
  char *summary; /* owned; NULL: none */
};

static void head_done(struct head *head)
{
  free(head->summary);
}
#define autohead mag_auto(head_done) struct head

static int take_head(void *ctx, const void *result, struct mbp_error *err)
{
  struct head *ret_head = ctx;
  const struct mbp_head *head = result;
  if (!head || !MBP_HAS(head, struct mbp_head, summary))
    return mag_error(err, MBP_E_INTERNAL, "the store does not know the head of its log");
  ret_head->claimed = head->claimed;
  ret_head->summary = mag_str_dup(head->summary);
  return ret_head->summary ? 0 : mag_error_no_memory(err);
}

static int read_head(struct mag_instance *store, const char *id, struct head *ret_head, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {
      .timeout_ms = TIMEOUT_MS, .session = mbp_str(id), .on_result = take_head, .ctx = ret_head};
  int r = mag_session_check_id(id, err);
  if (r < 0)
    return r;
  r = MAG_RUN(store, &options, err, ops->head(plugin, call, mbp_str(id), err));
  return r == -MBP_E_NOT_FOUND ? mag_error(err, MBP_E_NOT_FOUND, "no session \"%.60s\"", id) : r;
}

/* A member as it stands in the JSON text; empty: it is not there. Reading a summary whole would cost the most of a list
 * whose filter fits few. */
static struct mbp_str member(const char *view, const char *key)
{
  struct mbp_str slice = {NULL, 0};
  (void) mag_json_slice(mbp_str(view), key, &slice);
  return slice;
}

/* For texts that JSON writes in one way only. */
static bool is_quoted(struct mbp_str json, const char *text)
{
  size_t len = strlen(text);
  return json.len == len + 2 && memcmp(json.ptr + 1, text, len) == 0;
}

/* Written by an older magent, it lacks what came later. */
static bool is_stale(const char *summary)
{
  return member(summary, "forked_from").len == 0;
}

/* The view with another value for one member. NULL without memory. */
static char *replace(char *json, const char *key, const char *value)
{
  struct mbp_str old, all = mbp_str(json);
  if (!json || !mag_json_slice(all, key, &old))
    return json;
  size_t before = (size_t) (old.ptr - all.ptr);
  char *changed = mag_sprintf("%.*s%s%s", (int) before, json, value, json + before + old.len);
  free(json);
  return changed;
}

/* What the log calls running may have lost its runner. */
static int make_true(struct mag_instance *store, const char *id, char **json, struct mbp_error *err)
{
  autohead head = {.claimed = false};
  if (!is_quoted(member(*json, "status"), "running"))
    return 0;
  int r = read_head(store, id, &head, err);
  if (r == 0 && !head.claimed)
    *json = replace(replace(*json, "status", "\"idle\""), "interrupted", "true");
  return r < 0 ? r : *json ? 0 : mag_error_no_memory(err);
}

static int read_info(struct mag_instance *store, const char *id, char **ret_json, struct mbp_error *err)
{
  struct mag_log log;
  int r = mag_log_open(&log, store, id, /* claim= */ false, err);
  if (r < 0)
    return r;
  mag_autofree char *json = mag_redact_text(mag_state_summary(&log.state));
  if (json && (!log.state.id || strcmp(log.state.id, id) != 0)) { /* a fork that is being made */
    mag_autofree char *quoted = mag_sprintf("\"%s\"", id);
    json = quoted ? replace(mag_steal(&json), "id", quoted) : NULL;
  }
  mag_log_close(&log);
  r = json ? make_true(store, id, &json, err) : mag_error_no_memory(err);
  if (r == 0)
    *ret_json = mag_steal(&json);
  return r;
}

int mag_sessions_info(struct mag_engine *engine, const char *id, char **ret_json, struct mbp_error *err)
{
  struct mag_instance *store;
  int r = mag_engine_store(engine, &store, err);
  return r < 0 ? r : read_info(store, id, ret_json, err);
}

/* ---- Lists ---------------------------------------------------------------------------------------------------- */

struct listing {
  const struct mag_session_filter *filter;
  int (*each)(void *ctx, struct mbp_str info);
  void *ctx;
  struct mag_instance *store;
  struct mag_buf rows; /* of one page: id and view, each ended by a 0 */
  size_t n_rows;
  uint32_t found;
  char *next;
  bool over; /* what follows is too old or too new */
};

static int take_row(void *ctx, const struct mbp_event *event)
{
  struct listing *listing = ctx;
  if (event->type != MBP_EV_STORE_SESSION)
    return 0;
  mag_buf_add_str(&listing->rows, event->name);
  mag_buf_add_char(&listing->rows, 0);
  mag_buf_add_str(&listing->rows, event->data);
  mag_buf_add_char(&listing->rows, 0);
  listing->n_rows++;
  return 0;
}

static int take_page(void *ctx, const void *result, struct mbp_error *err)
{
  struct listing *listing = ctx;
  const struct mbp_page *page = result;
  free(listing->next);
  listing->next = page && page->next.len ? mag_str_dup(page->next) : NULL;
  return page && page->next.len && !listing->next ? mag_error_no_memory(err) : 0;
}

static bool has_status(const char *view, const char *status)
{
  return is_quoted(member(view, "status"), status) ||
         (strcmp(status, "interrupted") == 0 && mbp_str_eq(member(view, "interrupted"), "true"));
}

static bool has_agent(const char *view, const char *name)
{
  mag_autojson agent = NULL;
  return mag_json_parse(member(view, "agent"), &agent, NULL) == 0 &&
         (mbp_str_eq(mag_json_str(mag_json_get(agent, "id")), name) ||
          mbp_str_eq(mag_json_str(mag_json_get(agent, "name")), name));
}

/* < 0, 0, > 0 as strcmp; such times are ordered as texts. */
static int compare_time(struct mbp_str json, int64_t ms)
{
  char text[MAG_TIME_TEXT];
  mag_clock_format(ms, text);
  return json.len < 2 ? -1 : strncmp(json.ptr + 1, text, json.len - 2);
}

/* But for its status. */
static bool wanted(struct listing *listing, const char *view)
{
  const struct mag_session_filter *filter = listing->filter;
  struct mbp_str created = member(view, "created_at");
  bool too_old = filter->created_after_ms && compare_time(created, filter->created_after_ms) <= 0;
  bool too_new = filter->created_before_ms && compare_time(created, filter->created_before_ms) >= 0;
  listing->over |= filter->oldest_first ? too_new : too_old;
  return !too_old && !too_new && (filter->archived || mbp_str_eq(member(view, "archived_at"), "null")) &&
         (!filter->agent || has_agent(view, filter->agent));
}

static int show_row(struct listing *listing, const char *id, const char *summary, struct mbp_error *err)
{
  const char *status = listing->filter->status;
  mag_autofree char *view = NULL;
  bool stale = is_stale(summary);
  int r = stale ? read_info(listing->store, id, &view, err) : 0;
  if (r == 0 && !wanted(listing, stale ? view : summary))
    return 0;
  if (r == 0 && !stale)
    view = mag_str_dup(mbp_str(summary));
  if (r == 0)
    r = view ? make_true(listing->store, id, &view, err) : mag_error_no_memory(err);
  if (r == -MBP_E_NOT_FOUND)
    return 0; /* removed meanwhile */
  if (r < 0 || (status && !has_status(view, status)))
    return r;
  listing->found++;
  return listing->each(listing->ctx, mbp_str(view));
}

static int read_page(struct listing *listing, uint32_t limit, const char *page, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(listing->store);
  struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved),
                            .limit = MAG_MIN(limit, 1000u),
                            .page = mbp_str(page),
                            .descending = !listing->filter->oldest_first};
  struct mag_call_options options = {
      .timeout_ms = TIMEOUT_MS, .sink = take_row, .on_result = take_page, .ctx = listing};
  mag_buf_clear(&listing->rows);
  listing->n_rows = 0;
  int r = MAG_RUN(listing->store, &options, err, ops->list(plugin, call, &query, err));
  const char *row = listing->rows.ptr;
  for (size_t i = 0; i < listing->n_rows && r == 0 && !listing->over; i++) {
    const char *summary = row + strlen(row) + 1;
    r = show_row(listing, row, summary, err);
    row = summary + strlen(summary) + 1;
  }
  return r;
}

static int check_status(const char *status, struct mbp_error *err)
{
  static const char *const known[] = {"idle", "running", "interrupted", "terminated"};
  for (size_t i = 0; i < MAG_COUNT(known); i++)
    if (!status || !*status || strcmp(status, known[i]) == 0)
      return 0;
  return mag_error(err, MBP_E_INVALID,
                   "status \"%.40s\" is not known; there are idle, running, interrupted and terminated", status);
}

int mag_sessions_list(struct mag_engine *engine, const struct mag_session_filter *filter,
                      int (*each)(void *ctx, struct mbp_str info), void *ctx, char **ret_next, struct mbp_error *err)
{
  struct listing listing = {.filter = filter, .each = each, .ctx = ctx};
  uint32_t limit = filter->limit ? filter->limit : 100;
  mag_autofree char *page = mag_str_dup(mbp_str(filter->page));
  int r = page ? check_status(filter->status, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_engine_store(engine, &listing.store, err);
  do { /* each page of the store is as long as what is missing, so that the last one's token is the next page's */
    if (r == 0)
      r = read_page(&listing, limit - listing.found, page, err);
    free(page);
    page = mag_steal(&listing.next);
  } while (r == 0 && page && !listing.over && listing.found < limit);
  mag_buf_done(&listing.rows);
  if (r == 0)
    *ret_next = listing.over ? NULL : mag_steal(&page);
  return r;
}

int mag_sessions_listed(struct mag_engine *engine, const char *id, char **ret_json, struct mbp_error *err)
{
  struct mag_instance *store;
  autohead head = {.claimed = false};
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = read_head(store, id, &head, err);
  if (r < 0)
    return r;
  if (is_stale(head.summary))
    return read_info(store, id, ret_json, err);
  *ret_json = mag_steal(&head.summary);
  return 0;
}

int mag_sessions_facts(struct mag_engine *engine, const char *id, struct mag_session_facts *ret_facts,
                       struct mbp_error *err)
{
  struct mag_instance *store;
  autohead head = {.claimed = false};
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = read_head(store, id, &head, err);
  if (r < 0)
    return r;
  struct mbp_str status = member(head.summary, "status");
  *ret_facts = (struct mag_session_facts){.running = head.claimed && is_quoted(status, "running"),
                                          .archived = is_quoted(status, "terminated")};
  return 0;
}

/* ---- Changing ------------------------------------------------------------------------------------------------- */

/* A budget in money needs a price for the session's model. */
static int check_cost(struct mag_engine *engine, const struct mag_state *state, const struct mag_budget *budget,
                      struct mbp_error *err)
{
  struct mag_definition definition = {0};
  const struct mag_prices *prices;
  struct mag_instance *llm;
  struct mag_price price;
  const char *model;
  if (budget->cost_micros == 0)
    return 0;
  if (state->cost_unknown)
    return mag_error(err, MBP_E_UNSUPPORTED,
                     "what this session has used has no known price: give the budget in tokens, or fork the session");
  int r = mag_definition_from_resources(&definition, mbp_str(state->agent), mbp_str(state->environment), err);
  if (r == 0)
    r = mag_engine_llm(engine, definition.model, &llm, &model, err);
  if (r == 0)
    r = mag_engine_prices(engine, &prices, err);
  if (r == 0 && !mag_prices_find(prices, mag_instance_descriptor(llm)->name, model, &price))
    r = mag_error(err, MBP_E_UNSUPPORTED, "there is no price for model %s: add one to prices.json", definition.model);
  mag_definition_done(&definition);
  return r;
}

static int check_change(struct mag_engine *engine, const struct mag_state *state,
                        const struct mag_session_change *change, struct mag_budget *budget, struct mbp_error *err)
{
  if (state->archived_ms)
    return mag_error(err, MBP_E_READ_ONLY, "session %s is archived", state->id);
  if (change->title && !mag_utf8_valid(change->title, strlen(change->title)))
    return mag_error(err, MBP_E_INVALID, "the title is not UTF-8");
  int r = change->budget ? mag_budget_change(budget, mbp_str(change->budget), err) : 0;
  return r < 0 || !change->budget ? r : check_cost(engine, state, budget, err);
}

int mag_sessions_update(struct mag_engine *engine, const char *id, const struct mag_session_change *change,
                        struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_log log;
  struct mag_batch batch = MAG_BATCH_INIT;
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = mag_log_open(&log, store, id, /* claim= */ false, err);
  if (r < 0)
    return r;
  struct mag_budget budget = log.state.budget;
  r = check_change(engine, &log.state, change, &budget, err);
  if (r == 0) {
    struct mbp_writer *w = mag_batch_event(&batch, MAG_EV_UPDATED, NULL);
    if (change->title)
      mag_writer_string(w, "title", mbp_str(change->title));
    if (change->budget) {
      mag_writer_object(w, "x_magent");
      mag_budget_write_change(w, "budget", &log.state.budget, &budget);
      mag_writer_end(w);
    }
    mag_batch_end(&batch);
    r = mag_log_commit(&log, &batch, err);
  }
  mag_batch_done(&batch);
  mag_log_close(&log);
  return r;
}

int mag_sessions_archive(struct mag_engine *engine, const char *id, struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_log log;
  struct mag_batch batch = MAG_BATCH_INIT;
  int r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = mag_log_open(&log, store, id, /* claim= */ true, err);
  if (r < 0)
    return r;
  if (!log.state.archived_ms) {
    mag_batch_event(&batch, MAG_EV_TERMINATED, NULL);
    mag_batch_end(&batch);
    r = mag_log_commit(&log, &batch, err);
  }
  mag_batch_done(&batch);
  mag_log_close(&log);
  return r;
}

/* One that outlived its process, with the files in it. Whoever cannot be asked any more ends it by its own clock. */
static void destroy_sandbox(struct mag_engine *engine, struct mag_instance *store, const char *id)
{
  struct mag_log log;
  struct mag_definition definition = {0};
  struct mag_instance *compute = NULL;
  if (mag_log_open(&log, store, id, /* claim= */ false, NULL) < 0)
    return;
  const struct mag_state *state = &log.state;
  if (state->sandbox_there &&
      mag_definition_from_resources(&definition, mbp_str(state->agent), mbp_str(state->environment), NULL) == 0 &&
      mag_engine_compute(engine, definition.compute, mbp_str(definition.compute_options), &compute, NULL) == 0 &&
      mag_instance_descriptor(compute)->caps & MBP_CAP_COMPUTE_OUTLIVES)
    mag_sandbox_destroy(compute, mbp_str(id), mbp_str(state->sandbox_id), mbp_str(state->sandbox_key));
  mag_definition_done(&definition);
  mag_log_close(&log);
}

/* The log goes last: as long as it is there, an interrupted or failed removal is seen and can be repeated. */
int mag_sessions_remove(struct mag_engine *engine, const char *id, struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_call_options options = {.timeout_ms = TIMEOUT_MS};
  struct mbp_str name = mbp_str(id);
  int r = mag_session_check_id(id, err);
  if (r == 0)
    r = mag_engine_store(engine, &store, err);
  if (r < 0)
    return r;
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  /* Claimed: it exists, and nobody works in the workspace meanwhile. */
  uint64_t epoch;
  r = mag_log_claim(store, id, &epoch, err);
  if (r < 0)
    return r;
  destroy_sandbox(engine, store, id);
  mag_autofree char *workspace = mag_session_workspace(id);
  r = workspace ? mag_tree_remove(workspace, err) : 0;
  if (r < 0)
    r = mag_error_wrap(err, "the session is kept, because its workspace cannot be removed");
  mag_autofree char *output = mag_output_path(id);
  if (r == 0 && output)
    (void) unlink(output);
  ops->release(mag_instance_plugin(store), name);
  return r < 0 ? r : MAG_RUN(store, &options, err, ops->remove(plugin, call, name, err));
}
