/* Forks: a new session whose first records are those of another one. */
#include "agent/sessions.h"

#include "agent/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/tree.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 60000

/* ---- Where ---------------------------------------------------------------------------------------------------- */

struct search {
  struct mbp_str event;
  uint64_t found; /* record behind which the fork stands; 0: the event has not come yet */
  bool over;      /* behind the batch that the event stands in */
};

/* What an answer's batch may hold behind any of its events. */
static bool belongs_to_answer(struct mbp_str type)
{
  static const char *const types[] = {MAG_EV_MESSAGE,     MAG_EV_THINKING,      MAG_EV_TOOL_USE,
                                      MAG_EV_REQUEST_END, MAG_REC_TOOL_STARTED, MAG_EV_CUSTOM_TOOL_USE};
  for (size_t i = 0; i < MAG_COUNT(types); i++)
    if (mbp_str_eq(type, types[i]))
      return true;
  return false;
}

static int look_for_event(void *ctx, const struct mbp_record *record)
{
  struct search *search = ctx;
  if (search->found) {
    search->over |= !belongs_to_answer(record->type);
    if (!search->over)
      search->found = record->seq;
    return 0;
  }
  struct mbp_str id, event = search->event;
  if (record->klass == MBP_RECORD_EVENT && mag_json_slice(record->payload, "id", &id) && id.len == event.len + 2 &&
      memcmp(id.ptr + 1, event.ptr, event.len) == 0)
    search->found = record->seq;
  return 0;
}

static int take_head(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_head *head = result;
  if (!head || !MBP_HAS(head, struct mbp_head, last))
    return mag_error(err, MBP_E_INTERNAL, "the store does not know the head of its log");
  *(uint64_t *) ctx = head->last;
  return 0;
}

/* How many records the fork shares. */
static int find_place(struct mag_instance *store, const char *id, const char *event, uint64_t *ret_upto,
                      struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {
      .timeout_ms = TIMEOUT_MS, .session = mbp_str(id), .on_result = take_head, .ctx = ret_upto};
  struct search search = {.event = mbp_str(event)};
  if (!event)
    return MAG_RUN(store, &options, err, ops->head(plugin, call, mbp_str(id), err));
  int r = mag_log_each(store, id, 1, 0, look_for_event, &search, err);
  if (r == 0 && !search.found)
    r = mag_error(err, MBP_E_NOT_FOUND, "session %s has no event %.60s", id, event);
  if (r == 0)
    *ret_upto = search.found;
  return r;
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

static int look_at_workspace(void *ctx, const struct mbp_record *record)
{
  struct mbp_str path;
  *(bool *) ctx = mag_json_slice(record->payload, "environment/x_magent/workspace", &path) && path.len > 2;
  return 0;
}

/* *ret_how is what the fork's record says of them. */
static int copy_files(struct mag_instance *store, const char *from, const char *to, bool without, const char **ret_how,
                      struct mbp_error *err)
{
  bool shared = false;
  int r = mag_log_each(store, from, 1, 1, look_at_workspace, &shared, err);
  mag_autofree char *source = mag_session_workspace(from), *target = mag_session_workspace(to);
  *ret_how = shared ? "shared" : "empty";
  if (r < 0 || shared || without || !source || !target || access(source, F_OK) != 0)
    return r;
  *ret_how = "copied";
  return mag_tree_copy(source, target, err);
}

/* ---- The new head --------------------------------------------------------------------------------------------- */

int mag_fork_complete(struct mag_log *log, const char *title, const char *workspace, struct mbp_error *err)
{
  const struct mag_state *state = &log->state;
  struct mag_batch batch = MAG_BATCH_INIT;
  char now[MAG_TIME_TEXT];
  mag_clock_format(mag_clock_wall_ms(), now);
  struct mbp_writer *w = mag_batch_private(&batch, MAG_REC_FORK);
  mag_writer_string(w, "id", mbp_str(log->id));
  mag_writer_string(w, "from", mbp_str(state->id));
  mag_writer_number(w, "upto", (int64_t) state->last_seq);
  mag_writer_string(w, "created_at", mbp_str(now));
  if (title || state->title)
    mag_writer_string(w, "title", mbp_str(title ? title : state->title));
  mag_writer_string(w, "workspace", mbp_str(workspace));
  mag_batch_end(&batch);
  int r = mag_log_commit_folded(log, &batch, err);
  mag_batch_done(&batch);
  return r;
}

static int make_head(struct mag_instance *store, const char *from, uint64_t upto, const char *to, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {.session = mbp_str(from)};
  /* So little that readers look into the log: it is there for a moment only. */
  mag_autofree char *summary = mag_sprintf("{\"id\":\"%s\",\"type\":\"session\",\"status\":\"idle\"}", to);
  if (!summary)
    return mag_error_no_memory(err);
  return MAG_RUN(store, &options, err,
                 ops->fork(plugin, call, mbp_str(from), upto, mbp_str(to), mbp_str(summary), err));
}

static void take_back(struct mag_instance *store, const char *id, bool made)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {.session = mbp_str(id)};
  mag_autofree char *workspace = mag_session_workspace(id);
  if (made)
    (void) MAG_RUN(store, &options, NULL, ops->remove(plugin, call, mbp_str(id), NULL));
  if (workspace)
    (void) mag_tree_remove(workspace, NULL);
}

int mag_sessions_fork(struct mag_engine *engine, const char *id, const struct mag_fork_options *options,
                      char ret_id[MAG_ID_SIZE], struct mbp_error *err)
{
  struct mag_instance *store;
  struct mag_log log;
  char new_id[MAG_ID_SIZE];
  const char *workspace = NULL;
  uint64_t upto = 0;
  bool made = false;
  int r = mag_session_check_id(id, err);
  if (r == 0 && options->title && !mag_utf8_valid(options->title, strlen(options->title)))
    r = mag_error(err, MBP_E_INVALID, "the title is not UTF-8");
  if (r == 0)
    r = mag_engine_store(engine, &store, err);
  if (r == 0)
    r = find_place(store, id, options->event, &upto, err);
  if (r < 0)
    return r;
  mag_id_new(new_id, "sesn_");
  r = copy_files(store, id, new_id, options->without_files, &workspace, err);
  if (r == 0)
    r = make_head(store, id, upto, new_id, err);
  made = r == 0;
  if (r == 0)
    r = mag_log_open(&log, store, new_id, /* claim= */ true, err);
  if (r == 0) {
    r = mag_fork_complete(&log, options->title, workspace, err);
    mag_log_close(&log);
  }
  if (r < 0)
    take_back(store, new_id, made);
  else
    memcpy(ret_id, new_id, MAG_ID_SIZE);
  return r;
}
