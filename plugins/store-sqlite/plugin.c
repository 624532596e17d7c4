/* The plugin store-sqlite: its description, its instances, and what is refused before anything is done. */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct mbp_param p_path = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_PATH,
    .name = "path",
    .default_value = "@statedir@/magent.db",
    .help = "The database file; it and its directory are made where they are missing. It has to be on a local disk."};
static const struct mbp_param p_durable = {.size = MBP_SIZE(struct mbp_param, help),
                                           .type = MBP_PARAM_BOOL,
                                           .name = "durable",
                                           .default_value = "true",
                                           .help = "Wait for the disk before something counts as written. false is "
                                                   "faster, survives a crash of magent, and may lose or damage "
                                                   "everything when the machine loses power."};
static const struct mbp_param p_max_record = {.size = MBP_SIZE(struct mbp_param, help),
                                              .type = MBP_PARAM_SIZE,
                                              .name = "max_record",
                                              .default_value = "64M",
                                              .min = 1024,
                                              .max = 512 * 1024 * 1024,
                                              .help = "The largest record or document; a larger one is refused."};
static const struct mbp_param p_busy_timeout = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_DURATION,
    .name = "busy_timeout",
    .default_value = "5s",
    .min = 1,
    .max = 60000,
    .help = "How long to wait for another process that writes to the same file."};
static const struct mbp_param *const params[] = {&p_path, &p_durable, &p_max_record, &p_busy_timeout, NULL};

/* ---- Ends of calls -------------------------------------------------------------------------------------------- */

void store_done(struct mbp_instance *instance, struct mbp_call *call, int r, const void *result,
                const struct mbp_error *error)
{
  struct mbp_error fallback;
  if (r < 0 && (!error || error->code == 0)) {
    (void) store_error(&fallback, -r, "failed without saying why");
    error = &fallback;
  }
  instance->host->done(call, r < 0 ? NULL : result, r < 0 ? error : NULL);
}

int store_cancelled(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  const struct mbp_host *host = instance->host;
  if (!host->cancelled(call))
    return 0;
  if (host->clock_ms(host->ctx, MBP_CLOCK_MONOTONIC) >= host->deadline_ms(call))
    return store_error(err, MBP_E_TIMEOUT, "timed out");
  return store_error(err, MBP_E_CANCELLED, "cancelled");
}

/* ---- Arguments ------------------------------------------------------------------------------------------------ */

static int check_name(const char *what, struct mbp_str name, struct mbp_error *err)
{
  if (name.len == 0 || name.len > STORE_NAME_MAX)
    return store_error(err, MBP_E_INVALID, "%s has %zu bytes; 1 to %d are allowed", what, name.len, STORE_NAME_MAX);
  for (size_t i = 0; i < name.len; i++)
    if ((unsigned char) name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
      return store_error(err, MBP_E_INVALID, "%s has a control character in it", what);
  return 0;
}

static int check_session(struct mbp_str name, struct mbp_error *err)
{
  return check_name("the session's name", name, err);
}

static int check_summary(struct mbp_str text, struct mbp_error *err)
{
  if (text.len > STORE_SUMMARY_MAX)
    return store_error(err, MBP_E_LIMIT, "the session's summary has %zu bytes; %u are allowed", text.len,
                       STORE_SUMMARY_MAX);
  return 0;
}

static int check_record(const struct mbp_instance *instance, const struct mbp_append *append,
                        const struct mbp_record *record, struct mbp_error *err)
{
  size_t bytes = record->type.len + record->payload.len;
  if (bytes > (size_t) instance->max_record || record->type.len > STORE_NAME_MAX)
    return store_error(err, MBP_E_LIMIT,
                       "a record of type %.*s has %zu bytes; %lld are allowed (option max_record), and %d for the type",
                       (int) (record->type.len > 64 ? 64 : record->type.len), record->type.ptr ? record->type.ptr : "",
                       bytes, (long long) instance->max_record, STORE_NAME_MAX);
  if (record->type.len == 0 || record->klass == 0)
    return store_error(err, MBP_E_INVALID, "a record needs a type and a class");
  if (append->epoch == 0 && !(append->flags & MBP_APPEND_CREATE) && record->klass != MBP_RECORD_EVENT)
    return store_error(err, MBP_E_INVALID, "without a claim (epoch 0) only events may be appended, not %.*s",
                       (int) record->type.len, record->type.ptr);
  return 0;
}

/* ---- Operations ----------------------------------------------------------------------------------------------- */

static int op_append(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_append *append,
                     struct mbp_error *err)
{
  int r = check_session(append->session, err);
  if (r == 0)
    r = check_summary(append->summary, err);
  if (r == 0 && (append->n_records == 0 || append->n_records > STORE_BATCH_RECORDS))
    r = store_error(err, MBP_E_INVALID, "an append has 1 to %u records, not %zu", STORE_BATCH_RECORDS,
                    append->n_records);
  for (size_t i = 0; i < append->n_records && r == 0; i++)
    r = check_record(instance, append, &append->records[i], err);
  struct store_job *job = r == 0 ? store_job_new(call, err) : NULL;
  if (!job)
    return -err->code;
  job->run = store_run_append;
  job->append = append;
  job->session = append->session;
  return store_writer_submit(instance, job, err);
}

static int op_read(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
                   uint32_t limit, struct mbp_error *err)
{
  int r = check_session(session, err);
  return r < 0 ? r : store_read(instance, call, session, from, limit, err);
}

static int op_head(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err)
{
  int r = check_session(session, err);
  return r < 0 ? r : store_head(instance, call, session, err);
}

static int op_watch(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t from,
                    struct mbp_error *err)
{
  int r = check_session(session, err);
  return r < 0 ? r : store_watch(instance, call, session, from, err);
}

static int op_fork(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, uint64_t upto,
                   struct mbp_str new_session, struct mbp_str summary, struct mbp_error *err)
{
  int r = check_session(session, err);
  if (r == 0)
    r = check_session(new_session, err);
  if (r == 0)
    r = check_summary(summary, err);
  struct store_job *job = r == 0 ? store_job_new(call, err) : NULL;
  if (!job)
    return -err->code;
  job->run = store_run_fork;
  job->session = session;
  job->number = upto;
  job->other = new_session;
  job->text = summary;
  return store_writer_submit(instance, job, err);
}

static int op_remove(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session,
                     struct mbp_error *err)
{
  struct store_job *job = check_session(session, err) == 0 ? store_job_new(call, err) : NULL;
  if (!job)
    return -err->code;
  job->run = store_run_remove;
  job->settle = store_settle_remove;
  job->removes = true;
  job->session = session;
  return store_writer_submit(instance, job, err);
}

static int op_claim(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str session, struct mbp_error *err)
{
  struct store_job *job = check_session(session, err) == 0 ? store_job_new(call, err) : NULL;
  if (!job)
    return -err->code;
  job->run = store_run_claim;
  job->settle = store_settle_claim;
  job->session = session;
  return store_writer_submit(instance, job, err);
}

static int check_document(struct mbp_str collection, struct mbp_str id, struct mbp_error *err)
{
  int r = check_name("the collection's name", collection, err);
  return r < 0 ? r : check_name("the document's id", id, err);
}

static int op_doc_put(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                      struct mbp_str id, uint64_t expected, struct mbp_str json, struct mbp_error *err)
{
  int r = check_document(collection, id, err);
  if (r == 0 && json.len > (size_t) instance->max_record)
    r = store_error(err, MBP_E_LIMIT, "the document has %zu bytes; %lld are allowed (option max_record)", json.len,
                    (long long) instance->max_record);
  struct store_job *job = r == 0 ? store_job_new(call, err) : NULL;
  if (!job)
    return -err->code;
  job->run = store_run_doc_put;
  job->session = collection;
  job->other = id;
  job->number = expected;
  job->text = json;
  return store_writer_submit(instance, job, err);
}

static int op_doc_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                      struct mbp_str id, uint64_t version, struct mbp_error *err)
{
  int r = check_document(collection, id, err);
  return r < 0 ? r : store_doc_get(instance, call, collection, id, version, err);
}

static int op_doc_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str collection,
                       const struct mbp_query *query, struct mbp_error *err)
{
  int r = check_name("the collection's name", collection, err);
  return r < 0 ? r : store_doc_list(instance, call, collection, query, err);
}

/* ---- Instances ------------------------------------------------------------------------------------------------ */

static char *absolute(struct mbp_str path)
{
  if (path.len && path.ptr[0] == '/')
    return strdup(path.ptr);
  char *directory = getcwd(NULL, 0), *all = NULL;
  size_t len = directory ? strlen(directory) : 0;
  if (directory && (all = malloc(len + path.len + 2))) {
    memcpy(all, directory, len);
    all[len] = '/';
    memcpy(all + len + 1, path.ptr, path.len);
    all[len + 1 + path.len] = 0;
  }
  free(directory);
  return all;
}

static char *lock_path(const char *path)
{
  size_t len = strlen(path);
  char *name = malloc(len + sizeof("-claims"));
  if (name) {
    memcpy(name, path, len);
    memcpy(name + len, "-claims", sizeof("-claims"));
  }
  return name;
}

static void store_close(struct mbp_instance *instance)
{
  if (!instance)
    return;
  store_writer_done(instance);
  store_conn_drop_idle(instance);
  pthread_cond_destroy(&instance->pool_changed);
  pthread_mutex_destroy(&instance->pool_lock);
  store_claims_done(&instance->claims);
  free(instance->path);
  free(instance);
}

static int store_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                      struct mbp_error *err)
{
  struct mbp_str path = {0};
  int64_t durable = 1;
  if (!sqlite3_threadsafe())
    return store_error(err, MBP_E_UNSUPPORTED, "this SQLite was built without threads");
  if (!host->config_str(config, "path", &path) || path.len == 0)
    return store_error(err, MBP_E_INVALID, "path is empty");
  struct mbp_instance *instance = calloc(1, sizeof(*instance));
  if (!instance || store_writer_init(&instance->writer) < 0) {
    free(instance);
    return store_no_memory(err);
  }
  instance->host = host;
  instance->claims.fd = -1;
  pthread_mutex_init(&instance->claims.lock, NULL);
  pthread_mutex_init(&instance->pool_lock, NULL);
  pthread_cond_init(&instance->pool_changed, NULL);
  (void) host->config_int(config, "durable", &durable);
  (void) host->config_int(config, "max_record", &instance->max_record);
  (void) host->config_int(config, "busy_timeout", &instance->busy_ms);
  instance->durable = durable != 0;
  instance->path = absolute(path);
  instance->claims.path = instance->path ? lock_path(instance->path) : NULL;
  if (!instance->claims.path) {
    store_close(instance);
    return store_no_memory(err);
  }
  store_writer_early(instance);
  *ret_instance = instance;
  return 0;
}

static const struct mbp_store_ops ops = {
    .size = MBP_SIZE(struct mbp_store_ops, doc_list),
    .append = op_append,
    .read = op_read,
    .head = op_head,
    .watch = op_watch,
    .list = store_list,
    .fork = op_fork,
    .remove = op_remove,
    .claim = op_claim,
    .release = store_claim_drop_name,
    .doc_put = op_doc_put,
    .doc_get = op_doc_get,
    .doc_list = op_doc_list,
};

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .kind = MBP_KIND_STORE,
    .kind_version = MBP_STORE_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "sqlite",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "Sessions and documents in one SQLite file",
    .help = "Everything is kept in one file (path), which any number of magent processes may use at the same time. "
            "Beside it stand, while it is in use, FILE-wal and FILE-shm, which belong to it: copy all three together, "
            "or use sqlite3 FILE \".backup COPY\". FILE-claims only carries locks and may be left out.",
    .params = params,
    .ops = &ops,
    .open = store_open,
    .probe = store_probe,
    .close = store_close,
};

MBP_PLUGIN(plugin);
