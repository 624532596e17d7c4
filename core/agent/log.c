#include "agent/log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/redact.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define READ_TIMEOUT_MS 60000
#define CLAIM_MS 1000 /* for so long whoever seems to run the session may have died just now */
#define CLAIM_AGAIN_MS 20
/* Appends and claims have no deadline: given up, one would still happen later, with nobody knowing. */

/* ---- Reading -------------------------------------------------------------------------------------------------- */

struct reading {
  int (*each)(void *ctx, const struct mbp_record *record);
  void *ctx;
};

static int take_record(void *ctx, const struct mbp_event *event)
{
  struct reading *reading = ctx;
  if (event->type != MBP_EV_STORE_RECORD || event->data.len != sizeof(struct mbp_record))
    return 0;
  struct mbp_record record;
  memcpy(&record, event->data.ptr, sizeof(record));
  return reading->each(reading->ctx, &record);
}

int mag_log_each(struct mag_instance *store, const char *id, uint64_t from, uint32_t limit,
                 int (*each)(void *ctx, const struct mbp_record *record), void *ctx, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct reading reading = {each, ctx};
  struct mag_call_options options = {
      .timeout_ms = READ_TIMEOUT_MS, .session = mbp_str(id), .sink = take_record, .ctx = &reading};
  return MAG_RUN(store, &options, err, ops->read(plugin, call, mbp_str(id), from, limit, err));
}

int mag_log_watch(struct mag_instance *store, const char *id, uint64_t from, int64_t timeout_ms,
                  int (*each)(void *ctx, const struct mbp_record *record), void *ctx, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct reading reading = {each, ctx};
  struct mag_call_options options = {
      .timeout_ms = timeout_ms, .session = mbp_str(id), .sink = take_record, .ctx = &reading};
  return MAG_RUN(store, &options, err, ops->watch(plugin, call, mbp_str(id), from, err));
}

struct folding {
  struct mag_log *log;
  bool observe;
  struct mbp_error *err;
  int result;
};

static int fold_one(void *ctx, const struct mbp_record *record)
{
  struct folding *folding = ctx;
  struct mag_log *log = folding->log;
  folding->result = mag_state_fold(&log->state, record, folding->err);
  if (folding->result == 0 && folding->observe && log->observe && record->klass == MBP_RECORD_EVENT)
    log->observe(log->ctx, record);
  return folding->result;
}

static int read_on(struct mag_log *log, bool observe, struct mbp_error *err)
{
  struct mbp_error fold_error = MAG_ERROR_INIT;
  struct folding folding = {log, observe, &fold_error, 0};
  int r = mag_log_each(log->store, log->id, log->state.last_seq + 1, 0, fold_one, &folding, err);
  if (folding.result == 0)
    return r;
  if (err)
    *err = fold_error;
  return mag_error_wrap(err, "session %s", log->id);
}

int mag_log_refresh(struct mag_log *log, struct mbp_error *err)
{
  return read_on(log, true, err);
}

/* ---- Claiming ------------------------------------------------------------------------------------------------- */

static int take_claim(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_claim *claim = result;
  if (!claim || !MBP_HAS(claim, struct mbp_claim, epoch) || claim->epoch == 0)
    return mag_error(err, MBP_E_INTERNAL, "the store gave no epoch");
  *(uint64_t *) ctx = claim->epoch;
  return 0;
}

/* A process that was killed while it started a child has a copy of all its descriptors left there, claims too, until
 * the child has become its program. */
int mag_log_claim(struct mag_instance *store, const char *id, uint64_t *ret_epoch, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_call_options options = {.session = mbp_str(id), .on_result = take_claim, .ctx = ret_epoch};
  int64_t until = mag_clock_monotonic_ms() + CLAIM_MS;
  int r;
  while ((r = MAG_RUN(store, &options, err, ops->claim(plugin, call, mbp_str(id), err))) == -MBP_E_BUSY &&
         mag_clock_monotonic_ms() < until)
    (void) poll(NULL, 0, CLAIM_AGAIN_MS);
  return r;
}

static void start(struct mag_log *log, struct mag_instance *store, const char *id)
{
  memset(log, 0, sizeof(*log));
  log->store = store;
  (void) snprintf(log->id, sizeof(log->id), "%s", id);
  mag_state_init(&log->state);
}

int mag_log_open(struct mag_log *log, struct mag_instance *store, const char *id, bool want_claim,
                 struct mbp_error *err)
{
  struct mag_log opened;
  if (!id || !*id || strlen(id) >= sizeof(opened.id))
    return mag_error(err, MBP_E_NOT_FOUND, "no session \"%.60s\"", id ? id : "");
  start(&opened, store, id);
  /* Claimed first, read then: nobody else can append what we would not see. */
  int r = want_claim ? mag_log_claim(store, id, &opened.epoch, err) : 0;
  if (r == 0)
    r = read_on(&opened, false, err);
  if (r == 0 && !opened.state.id && !opened.state.read_only)
    r = mag_error(err, MBP_E_NOT_FOUND, "no such session");
  if (r == 0 && want_claim && opened.state.read_only)
    r = mag_error(err, MBP_E_READ_ONLY, "written by a newer magent: it can be read, but not run; upgrade magent");
  if (r < 0) {
    mag_log_close(&opened);
    if (r == -MBP_E_BUSY && err && strstr(err->message, id)) /* the store has said which */
      return r;
    return r == -MBP_E_NOT_FOUND
               ? mag_error(err, MBP_E_NOT_FOUND, "no session \"%s\"", id)
               : mag_error_wrap(err, "session %s", id);
  }
  *log = opened;
  return 0;
}

void mag_log_close(struct mag_log *log)
{
  if (!log->store)
    return;
  const struct mbp_store_ops *ops = mag_instance_ops(log->store);
  if (log->epoch)
    ops->release(mag_instance_plugin(log->store), mbp_str(log->id));
  mag_state_done(&log->state);
  log->store = NULL;
}

/* ---- Appending ------------------------------------------------------------------------------------------------ */

static int take_appended(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_appended *appended = result;
  if (!appended || !MBP_HAS(appended, struct mbp_appended, time_ms))
    return mag_error(err, MBP_E_INTERNAL, "the store did not say what it appended");
  *(struct mbp_appended *) ctx = *appended;
  return 0;
}

/* A summary tells the state behind exactly these records: with one, nobody else's may come between. */
static struct mbp_append append_of(const struct mag_log *log, const struct mag_batch *batch, uint32_t flags,
                                   struct mbp_str summary)
{
  bool exact = summary.len && !(flags & MBP_APPEND_CREATE);
  return (struct mbp_append){.size = MBP_SIZE(struct mbp_append, summary),
                             .flags = flags,
                             .session = mbp_str(log->id),
                             .epoch = log->epoch,
                             .expected = exact ? log->state.last_seq : MBP_SEQ_ANY,
                             .records = batch->records,
                             .n_records = batch->n,
                             .summary = summary};
}

static int run_append(struct mag_log *log, const struct mbp_append *request, struct mbp_appended *ret_appended,
                      struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(log->store);
  struct mag_call_options options = {.session = mbp_str(log->id), .on_result = take_appended, .ctx = ret_appended};
  return MAG_RUN(log->store, &options, err, ops->append(plugin, call, request, err));
}

static int append(struct mag_log *log, struct mag_batch *batch, struct mbp_str summary,
                  struct mbp_appended *ret_appended, struct mbp_error *err)
{
  struct mbp_append request = append_of(log, batch, 0, summary);
  return run_append(log, &request, ret_appended, err);
}

/* Creates the session and claims it. Both are asked for before either is waited for: a store that collects what comes
 * at the same time makes both durable at once. */
static int append_first(struct mag_log *log, struct mag_batch *batch, struct mbp_str summary,
                        struct mbp_appended *ret_appended, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(log->store);
  struct mbp_append request = append_of(log, batch, MBP_APPEND_CREATE, summary);
  struct mag_call_options append_options = {
      .session = mbp_str(log->id), .on_result = take_appended, .ctx = ret_appended};
  struct mag_call_options claim_options = {.session = mbp_str(log->id), .on_result = take_claim, .ctx = &log->epoch};
  struct mbp_error claim_error = MAG_ERROR_INIT;
  struct mbp_call *appending = NULL;
  int r = mag_instance_enter(log->store, &append_options, /* control= */ false, &appending, err);
  if (r < 0)
    return r;
  r = ops->append(mag_instance_plugin(log->store), appending, &request, err);
  mag_instance_returned(log->store, /* control= */ false);
  int claimed = r < 0 ? r
                      : MAG_RUN(log->store, &claim_options, &claim_error,
                                ops->claim(plugin, call, mbp_str(log->id), &claim_error));
  r = mag_instance_leave(log->store, appending, r, err);
  if (r == 0 && claimed < 0 && err)
    *err = claim_error;
  return r < 0 ? r : claimed;
}

/* The summary as it will be once the batch is folded; NULL if the batch changes nothing that lists show. */
static char *summary_after(const struct mag_log *log, const struct mag_batch *batch)
{
  struct mag_state after;
  if (!mag_state_peek(&log->state, batch, &after))
    return NULL;
  char *summary = mag_redact_text(mag_state_summary(&after)); /* the title may be from another day */
  mag_state_peek_done(&after);
  return summary;
}

static int fold_batch(struct mag_log *log, struct mag_batch *batch, const struct mbp_appended *appended,
                      struct mbp_error *err)
{
  if (appended->first != log->state.last_seq + 1)
    return read_on(log, true, err); /* somebody else's events stand between: read all of it, ours included */
  struct folding folding = {log, true, err, 0};
  for (size_t i = 0; i < batch->n && folding.result == 0; i++) {
    batch->records[i].seq = appended->first + i;
    batch->records[i].epoch = log->epoch;
    batch->records[i].time_ms = appended->time_ms;
    (void) fold_one(&folding, &batch->records[i]);
  }
  return folding.result;
}

/* Somebody else's event came first: it is read, and the summary is made anew. *ret_again: that was it. */
static int append_once(struct mag_log *log, struct mag_batch *batch, struct mbp_appended *ret_appended, bool *ret_again,
                       struct mbp_error *err)
{
  uint64_t known = log->state.last_seq;
  mag_autofree char *summary = summary_after(log, batch);
  int r = append(log, batch, mbp_str(summary), ret_appended, err);
  *ret_again = r == -MBP_E_CONFLICT && summary && mag_log_refresh(log, NULL) == 0 && log->state.last_seq > known;
  return r;
}

int mag_log_commit(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err)
{
  struct mbp_appended appended = {0};
  bool again = true;
  int r = mag_batch_check(batch, err);
  if (r < 0 || batch->n == 0)
    return r;
  while (again)
    r = append_once(log, batch, &appended, &again, err);
  if (r == 0)
    r = fold_batch(log, batch, &appended, err);
  mag_batch_clear(batch);
  return r < 0 ? mag_error_wrap(err, "session %s", log->id) : 0;
}

int mag_log_commit_folded(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err)
{
  struct mbp_appended appended = {0};
  struct mbp_append request = append_of(log, batch, 0, mbp_str(""));
  int r = mag_batch_check(batch, err);
  request.expected = log->state.last_seq;
  for (size_t i = 0; i < batch->n && r == 0; i++) {
    batch->records[i].seq = log->state.last_seq + 1;
    batch->records[i].epoch = log->epoch;
    batch->records[i].time_ms = mag_clock_wall_ms();
    r = mag_state_fold(&log->state, &batch->records[i], err);
  }
  mag_autofree char *summary = r == 0 ? mag_redact_text(mag_state_summary(&log->state)) : NULL;
  request.summary = mbp_str(summary);
  if (r == 0 && !summary)
    r = mag_error_no_memory(err);
  if (r == 0)
    r = run_append(log, &request, &appended, err);
  mag_batch_clear(batch);
  return r < 0 ? mag_error_wrap(err, "session %s", log->id) : 0;
}

int mag_log_append_outside(struct mag_instance *store, const char *id, struct mag_batch *batch, struct mbp_error *err)
{
  struct mag_log log = {.store = store};
  struct mbp_appended appended = {0};
  if (strlen(id) >= sizeof(log.id))
    return mag_error(err, MBP_E_NOT_FOUND, "no session \"%.60s\"", id);
  memcpy(log.id, id, strlen(id));
  int r = append(&log, batch, mbp_str(""), &appended, err);
  mag_batch_clear(batch);
  return r;
}

int mag_log_append_next(struct mag_log *log, struct mag_batch *batch, struct mbp_error *err)
{
  struct mbp_appended appended = {0};
  int r = mag_batch_check(batch, err);
  if (r < 0)
    return r;
  struct mbp_append request = append_of(log, batch, 0, mbp_str(""));
  request.expected = log->state.last_seq;
  return run_append(log, &request, &appended, err);
}

int mag_log_append_claimed(struct mag_instance *store, const char *id, struct mag_batch *batch, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mag_log log = {.store = store};
  struct mbp_appended appended = {0};
  (void) snprintf(log.id, sizeof(log.id), "%s", id);
  int r = mag_log_claim(store, id, &log.epoch, err);
  if (r < 0)
    return r;
  r = append(&log, batch, mbp_str(""), &appended, err);
  ops->release(mag_instance_plugin(store), mbp_str(id));
  mag_batch_clear(batch);
  return r;
}

int mag_log_create(struct mag_log *log, struct mag_instance *store, struct mbp_str agent, struct mbp_str environment,
                   struct mbp_str title, const struct mag_budget *budget, struct mbp_error *err)
{
  struct mag_log created;
  struct mag_batch batch = MAG_BATCH_INIT;
  struct mbp_appended appended = {0};
  char id[MAG_ID_SIZE], now[MAG_TIME_TEXT];
  mag_id_new(id, "sesn_");
  mag_clock_format(mag_clock_wall_ms(), now);
  start(&created, store, id);
  struct mbp_writer *w = mag_batch_private(&batch, MAG_REC_SESSION);
  mag_writer_number(w, "version", 1);
  mag_writer_string(w, "id", mbp_str(id));
  mag_writer_raw(w, "agent", agent);
  if (environment.len)
    mag_writer_raw(w, "environment", environment);
  if (title.len)
    mag_writer_string(w, "title", title);
  if (mag_budget_any(budget))
    mag_budget_write(w, "budget", budget);
  mag_writer_string(w, "created_at", mbp_str(now));
  mag_batch_end(&batch);
  int r = mag_batch_check(&batch, err);
  struct mag_state first; /* what the summary needs is in the record itself */
  mag_state_init(&first);
  struct mbp_record record = r == 0 ? batch.records[0] : (struct mbp_record){0};
  record.seq = 1;
  record.time_ms = mag_clock_wall_ms();
  if (r == 0)
    r = mag_state_fold(&first, &record, err);
  mag_autofree char *summary = r == 0 ? mag_redact_text(mag_state_summary(&first)) : NULL;
  mag_state_done(&first);
  if (r == 0)
    r = append_first(&created, &batch, mbp_str(summary), &appended, err);
  if (r == 0)
    r = fold_batch(&created, &batch, &appended, err);
  mag_batch_done(&batch);
  if (r < 0) {
    mag_log_close(&created);
    return mag_error_wrap(err, "create session");
  }
  *log = created;
  return 0;
}
