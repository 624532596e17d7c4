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

/* `title` may be NULL. */
static void add_fork_record(struct mag_batch *batch, const char *id, const char *from, uint64_t upto, const char *title,
                            const char *workspace, int64_t now_ms)
{
  char now[MAG_TIME_TEXT];
  mag_clock_format(now_ms, now);
  struct mbp_writer *w = mag_batch_private(batch, MAG_REC_FORK);
  mag_writer_string(w, "id", mbp_str(id));
  mag_writer_string(w, "from", mbp_str(from));
  mag_writer_number(w, "upto", (int64_t) upto);
  mag_writer_string(w, "created_at", mbp_str(now));
  if (title)
    mag_writer_string(w, "title", mbp_str(title));
  mag_writer_string(w, "workspace", mbp_str(workspace));
  mag_batch_end(batch);
}

int mag_fork_complete(struct mag_log *log, const char *title, const char *workspace, struct mbp_error *err)
{
  const struct mag_state *state = &log->state;
  struct mag_batch batch = MAG_BATCH_INIT;
  add_fork_record(&batch, log->id, state->id, state->last_seq, title ? title : state->title, workspace,
                  mag_clock_wall_ms());
  int r = mag_log_commit_folded(log, &batch, err);
  mag_batch_done(&batch);
  return r;
}

/* A fork that is being made. */
struct making {
  struct mag_instance *store;
  const char *from, *title, *workspace;
  char id[MAG_ID_SIZE];
  uint64_t upto;
  bool made;
};

static int make_head(struct making *making, const char *summary, struct mbp_error *err)
{
  struct mag_instance *store = making->store;
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {.session = mbp_str(making->from)};
  int r =
      MAG_RUN(store, &options, err,
              ops->fork(plugin, call, mbp_str(making->from), making->upto, mbp_str(making->id), mbp_str(summary), err));
  making->made = r == 0;
  return r;
}

/* Of a whole log: what lists show of it is known, so that nothing is read, however long it is. */
static int make_from_all(struct making *making, const char *view, struct mbp_error *err)
{
  mag_autojson json = NULL;
  struct mag_batch batch = MAG_BATCH_INIT;
  int64_t now = mag_clock_wall_ms();
  int r = mag_json_parse(mbp_str(view), &json, err);
  struct mbp_str title = mag_json_str(mag_json_get(json, "title"));
  if (!making->title && title.len)
    making->title = title.ptr;
  mag_autofree char *summary =
      r == 0 ? mag_summary_of_fork(mbp_str(view), making->id, making->from, making->title, now) : NULL;
  if (r == 0 && !summary)
    r = mag_error_no_memory(err);
  if (r == 0)
    r = make_head(making, summary, err);
  if (r == 0) {
    add_fork_record(&batch, making->id, making->from, making->upto, making->title, making->workspace, now);
    r = mag_log_append_claimed(making->store, making->id, &batch, err);
  }
  mag_batch_done(&batch);
  return r;
}

/* Of its beginning: only the fold tells what it was like there. */
static int make_from_part(struct making *making, struct mbp_error *err)
{
  struct mag_log log;
  /* So little that readers look into the log: it is there for a moment only. */
  mag_autofree char *summary = mag_sprintf("{\"id\":\"%s\",\"type\":\"session\",\"status\":\"idle\"}", making->id);
  int r = summary ? make_head(making, summary, err) : mag_error_no_memory(err);
  if (r == 0)
    r = mag_log_open(&log, making->store, making->id, /* claim= */ true, err);
  if (r < 0)
    return r;
  r = mag_fork_complete(&log, making->title, making->workspace, err);
  mag_log_close(&log);
  return r;
}

static void take_back(const struct making *making)
{
  const struct mbp_store_ops *ops = mag_instance_ops(making->store);
  struct mag_call_options options = {.session = mbp_str(making->id)};
  mag_autofree char *workspace = mag_session_workspace(making->id);
  if (making->made)
    (void) MAG_RUN(making->store, &options, NULL, ops->remove(plugin, call, mbp_str(making->id), NULL));
  if (workspace)
    (void) mag_tree_remove(workspace, NULL);
}

int mag_sessions_fork(struct mag_engine *engine, const char *id, const struct mag_fork_options *options,
                      char ret_id[MAG_ID_SIZE], struct mbp_error *err)
{
  struct making making = {.from = id, .title = options->title};
  mag_autofree char *view = NULL;
  int r = mag_session_check_id(id, err);
  if (r == 0 && options->title && !mag_utf8_valid(options->title, strlen(options->title)))
    r = mag_error(err, MBP_E_INVALID, "the title is not UTF-8");
  if (r == 0)
    r = mag_engine_store(engine, &making.store, err);
  if (r == 0)
    r = find_place(making.store, id, options->event, &making.upto, err);
  if (r == 0 && !options->event)
    r = mag_sessions_listed(engine, id, &view, err);
  if (r < 0)
    return r;
  mag_id_new(making.id, "sesn_");
  r = copy_files(making.store, id, making.id, options->without_files, &making.workspace, err);
  if (r == 0)
    r = view ? make_from_all(&making, view, err) : make_from_part(&making, err);
  if (r < 0)
    take_back(&making);
  else
    memcpy(ret_id, making.id, MAG_ID_SIZE);
  return r;
}
