#include "rig.h"

#include "agent/project.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- What there is --------------------------------------------------------------------------------------------- */

const char *rig_program(const char *path)
{
  static char found[PATH_MAX];
  return realpath(path, found) && access(found, X_OK) == 0 ? found : NULL;
}

bool rig_has_plugin(const char *name)
{
  char path[256];
  (void) snprintf(path, sizeof(path), "plugins-0/magent-%s.so", name);
  return access(path, R_OK) == 0;
}

void rig_skip(const char *why)
{
  static const char *said[16];
  for (size_t i = 0; i < MAG_COUNT(said); i++) {
    if (said[i] == why)
      return;
    if (!said[i]) {
      said[i] = why;
      break;
    }
  }
  fprintf(stderr, "SKIPPED: %s\n", why);
}

bool rig_has_bubblewrap(void)
{
  static int known = -1;
  if (known < 0) {
    pid_t pid = rig_has_plugin("compute-bubblewrap") ? fork() : -1;
    int status = -1;
    if (pid == 0) {
      execl("/usr/bin/env", "env", "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true", (char *) NULL);
      _exit(127);
    }
    known = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
  }
  if (!known)
    rig_skip("no bubblewrap sandbox on this machine: tests of it are left out");
  return known;
}

const char *rig_compute(void)
{
  return rig_has_bubblewrap() ? "bubblewrap" : rig_has_plugin("compute-local") ? "local" : NULL;
}

/* ---- The store, listened to ---------------------------------------------------------------------------------------
 * */

static struct {
  pthread_mutex_t lock;
  struct mbp_store_ops ops;
  const struct mbp_store_ops *real;
  struct mag_buf batches;
  unsigned appends, crash_at;
  bool crash_after;
} tap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *short_name(struct mbp_str type)
{
  static const char *const names[][2] = {
      {MAG_REC_SESSION, "session"},
      {MAG_REC_PROCESSED, "processed"},
      {MAG_REC_RESPONSE, "response"},
      {MAG_REC_TOOL_STARTED, "started"},
      {MAG_REC_SANDBOX, "sandbox"},
      {MAG_REC_LIMIT, "limit"},
      {MAG_EV_USER_MESSAGE, "message"},
      {MAG_EV_USER_INTERRUPT, "interrupt"},
      {MAG_EV_USER_CONFIRMATION, "confirm"},
      {MAG_EV_USER_CUSTOM_RESULT, "answer"},
      {MAG_EV_CUSTOM_TOOL_USE, "custom"},
      {MAG_EV_RUNNING, "running"},
      {MAG_EV_IDLE, "idle"},
      {MAG_EV_ERROR, "error"},
      {MAG_EV_USAGE, "usage"},
      {MAG_EV_REQUEST_START, "ask"},
      {MAG_EV_REQUEST_END, "asked"},
      {MAG_EV_THINKING, "thought"},
      {MAG_EV_MESSAGE, "said"},
      {MAG_EV_TOOL_USE, "use"},
      {MAG_EV_TOOL_RESULT, "result"},
  };
  for (size_t i = 0; i < MAG_COUNT(names); i++)
    if (mbp_str_eq(type, names[i][0]))
      return names[i][1];
  return "?";
}

static int tapped_append(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_append *append,
                         struct mbp_error *err)
{
  pthread_mutex_lock(&tap.lock);
  bool now = ++tap.appends == tap.crash_at;
  if (tap.batches.len)
    mag_buf_add_char(&tap.batches, ' ');
  for (size_t i = 0; i < append->n_records; i++)
    mag_buf_printf(&tap.batches, "%s%s", i ? "+" : "", short_name(append->records[i].type));
  pthread_mutex_unlock(&tap.lock);
  if (now && !tap.crash_after)
    _exit(42);
  int r = tap.real->append(instance, call, append, err);
  if (now)
    _exit(42);
  return r;
}

/* The registry's copy of the descriptor is the host's own memory. */
static void tap_store(struct rig *rig)
{
  struct mag_instance *store;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(mag_engine_store(rig->engine, &store, &err) == 0, "%s", err.message);
  struct mbp_plugin *descriptor = (struct mbp_plugin *) (uintptr_t) mag_instance_descriptor(store);
  tap.real = descriptor->ops;
  tap.ops = *tap.real;
  tap.ops.append = tapped_append;
  descriptor->ops = &tap.ops;
  mag_buf_clear(&tap.batches);
  tap.appends = tap.crash_at = 0;
}

const char *rig_batches(void)
{
  return tap.batches.len ? tap.batches.ptr : "";
}

void rig_crash_at(unsigned append, bool after)
{
  tap.crash_at = append ? tap.appends + append : 0;
  tap.crash_after = after;
}

unsigned rig_appends(void)
{
  return tap.appends;
}

/* ---- Opening and closing ------------------------------------------------------------------------------------------
 * */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
  (void) st;
  (void) type;
  (void) place;
  return remove(path);
}

void rig_open(struct rig *rig, const char *url, const char *dir)
{
  static const char *const unwanted[] = {"ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID",      "OPENAI_PROJECT_ID",
                                         "MAGENT_SCRIPT",        "MAGENT_PLUGIN_PATH", "http_proxy",
                                         "HTTP_PROXY",           "ALL_PROXY",          "all_proxy"};
  struct mbp_error err = MAG_ERROR_INIT;
  char v1[300], script[PATH_MAX];
  bool has_script = secure_getenv("MAGENT_SCRIPT") != NULL;
  (void) snprintf(script, sizeof(script), "%s", has_script ? secure_getenv("MAGENT_SCRIPT") : "");
  char where[sizeof(rig->dir)]; /* `dir` may be the rig's own */
  (void) snprintf(where, sizeof(where), "%s", dir ? dir : "/tmp/magent-integration-XXXXXX");
  memset(rig, 0, sizeof(*rig));
  rig->answer = -1;
  memcpy(rig->dir, where, sizeof(where));
  if (!dir)
    ck_assert_ptr_nonnull(mkdtemp(rig->dir));
  for (size_t i = 0; i < MAG_COUNT(unwanted); i++)
    (void) unsetenv(unwanted[i]);
  if (has_script)
    (void) setenv("MAGENT_SCRIPT", script, 1);
  (void) setenv("XDG_STATE_HOME", rig->dir, 1);
  (void) setenv("ANTHROPIC_API_KEY", KEY, 1);
  (void) setenv("OPENAI_API_KEY", KEY, 1);
  (void) setenv("ANTHROPIC_BASE_URL", url ? url : "http://127.0.0.1:1", 1);
  (void) snprintf(v1, sizeof(v1), "%s/v1", url ? url : "http://127.0.0.1:1");
  (void) setenv("OPENAI_BASE_URL", v1, 1);
  char plugins[PATH_MAX], helpers[PATH_MAX];
  if (realpath("sandbox", helpers))
    (void) setenv("MAGENT_LIBEXEC_DIR", helpers, 1);
  ck_assert_msg(realpath("plugins-0", plugins), "tests run in the build directory: no plugins-0 here");
  const char *const dirs[] = {plugins, NULL};
  struct mag_engine_options options = {.plugin_dirs = dirs, .store_config = mbp_str("")};
  ck_assert_msg(mag_engine_new(&options, &rig->engine, &err) == 0, "%s", err.message);
  tap_store(rig);
}

void rig_leave(struct rig *rig)
{
  mag_session_close(rig->session);
  mag_engine_free(rig->engine);
  mag_definition_done(&rig->definition);
  mag_buf_done(&rig->events);
  mag_buf_done(&rig->previews);
  mag_buf_done(&rig->shown);
  rig->session = NULL;
  rig->engine = NULL;
}

void rig_close(struct rig *rig)
{
  rig_leave(rig);
  (void) nftw(rig->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Sessions -----------------------------------------------------------------------------------------------------
 * */

static void set(char **place, const char *text)
{
  free(*place);
  *place = text ? mag_str_dup(mbp_str(text)) : NULL;
}

void rig_define(struct rig *rig, const char *model, const char *tools, const char *compute)
{
  set(&rig->definition.model, model);
  set(&rig->definition.tools, tools ? tools : "[]");
  set(&rig->definition.compute, compute ? compute : "bubblewrap");
  set(&rig->definition.system, "You are a test.");
}

static void on_event(void *ctx, const struct mbp_record *record)
{
  struct rig *rig = ctx;
  mag_buf_add_str(&rig->events, record->payload);
  mag_buf_add_char(&rig->events, '\n');
  if (rig->on_event)
    rig->on_event(rig, record);
}

static void on_preview(void *ctx, const struct mag_preview *preview)
{
  struct rig *rig = ctx;
  mag_buf_add_str(&rig->previews, preview->data);
  if (preview->kind == MAG_PREVIEW_TEXT)
    mag_buf_add_str(&rig->shown, preview->data);
  if (rig->on_preview)
    rig->on_preview(rig, preview);
}

static int on_confirm(void *ctx, const char *tool, const char *input)
{
  (void) tool;
  (void) input;
  return ((struct rig *) ctx)->answer;
}

static void watch(struct rig *rig)
{
  struct mag_observer observer = {.ctx = rig, .event = on_event, .preview = on_preview, .confirm = on_confirm};
  mag_session_observe(rig->session, &observer);
}

void rig_create(struct rig *rig)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = mag_session_create(rig->engine, &rig->definition, mbp_str("a test"), &rig->session, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  watch(rig);
}

void rig_resume(struct rig *rig, const char *id)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = mag_session_open(rig->engine, id, NULL, &rig->session, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  watch(rig);
}

enum mag_ending rig_run(struct rig *rig, const char *text, const struct mag_limits *limits)
{
  static const struct mag_limits none = {.max_steps = 40, .timeout_ms = 60000};
  struct mbp_error err = MAG_ERROR_INIT;
  if (text)
    ck_assert_msg(mag_session_say(rig->session, mbp_str(text), &err) == 0, "%s", err.message);
  int r = mag_session_run(rig->session, limits ? limits : &none, &rig->outcome, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  return rig->outcome.ending;
}

/* ---- Logs ---------------------------------------------------------------------------------------------------------
 * */

static int take(void *ctx, const struct mbp_record *record)
{
  struct records *records = ctx;
  records->items = realloc(records->items, (records->n + 1) * sizeof(*records->items));
  ck_assert_ptr_nonnull(records->items);
  records->items[records->n++] = (struct record){.seq = record->seq,
                                                 .epoch = record->epoch,
                                                 .klass = record->klass,
                                                 .type = mag_str_dup(record->type),
                                                 .payload = mag_str_dup(record->payload)};
  return 0;
}

void rig_read(struct rig *rig, const char *id, struct records *records)
{
  struct mag_instance *store;
  struct mbp_error err = MAG_ERROR_INIT;
  memset(records, 0, sizeof(*records));
  ck_assert_int_eq(mag_engine_store(rig->engine, &store, &err), 0);
  int r = mag_log_each(store, id ? id : rig->session->log.id, 1, 0, take, records, &err);
  ck_assert_msg(r == 0, "%s", err.message);
}

void records_done(struct records *records)
{
  for (size_t i = 0; i < records->n; i++) {
    free(records->items[i].type);
    free(records->items[i].payload);
  }
  free(records->items);
  memset(records, 0, sizeof(*records));
}

const struct record *records_find(const struct records *records, const char *type, size_t n)
{
  for (size_t i = 0; i < records->n; i++)
    if (strcmp(records->items[i].type, type) == 0 && n-- == 0)
      return &records->items[i];
  return NULL;
}

size_t records_count(const struct records *records, const char *type)
{
  size_t n = 0;
  for (size_t i = 0; i < records->n; i++)
    n += strcmp(records->items[i].type, type) == 0;
  return n;
}

bool records_hold(const struct records *records, const char *text)
{
  for (size_t i = 0; i < records->n; i++)
    if (strstr(records->items[i].payload, text))
      return true;
  return false;
}

static const char *text_of(const struct record *record, size_t n, bool *ret_is_error)
{
  static struct mag_buf text;
  mag_autojson json = NULL;
  ck_assert_msg(record, "there is no tool result %zu", n);
  ck_assert_int_eq(mag_json_parse(mbp_str(record->payload), &json, NULL), 0);
  mag_buf_clear(&text);
  mag_buf_add_text(&text, "");
  (void) mag_buf_reserve(&text, 1);
  text.ptr[0] = 0;
  for (const struct mbp_json *i = mag_json_first(mag_json_get(json, "content")); i; i = mag_json_next(i))
    mag_buf_add_str(&text, mag_json_str(mag_json_get(i, "text")));
  if (ret_is_error)
    *ret_is_error = mag_json_truth(mag_json_get(json, "is_error"), 0);
  return text.ptr;
}

const char *records_result(const struct records *records, size_t n, bool *ret_is_error)
{
  return text_of(records_find(records, MAG_EV_TOOL_RESULT, n), n, ret_is_error);
}

const char *records_custom(const struct records *records, size_t n, bool *ret_is_error)
{
  return text_of(records_find(records, MAG_EV_USER_CUSTOM_RESULT, n), n, ret_is_error);
}

/* Calls are answered at once, in order, and nothing is empty: what every service wants. */
static void check_projection(const struct mag_state *state)
{
  struct mag_projection p;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(mag_project(state, "anthropic", &p, &err), 0);
  for (size_t i = 0; i < p.n; i++) {
    struct mbp_str block, type, id, result;
    size_t at = 0, other = 0;
    ck_assert(p.messages[i].content.len > 2);
    while (mag_json_step(p.messages[i].content, &at, NULL, &block)) {
      if (!mag_json_slice(block, "type", &type) || !mbp_str_eq(type, "\"tool_use\""))
        continue;
      ck_assert_int_eq(mag_json_slice(block, "id", &id), 1);
      ck_assert_msg(i + 1 < p.n && mag_json_step(p.messages[i + 1].content, &other, NULL, &block) &&
                        mag_json_slice(block, "tool_use_id", &result) && mag_str_eq(id, result),
                    "a call without its result behind it");
    }
  }
  mag_projection_done(&p);
}

void records_check(const struct records *records)
{
  struct mag_state state;
  struct mbp_error err = MAG_ERROR_INIT;
  uint64_t epoch = 0;
  mag_state_init(&state);
  for (size_t i = 0; i < records->n; i++) {
    const struct record *r = &records->items[i];
    struct mbp_record record = {
        .seq = r->seq, .klass = r->klass, .type = mbp_str(r->type), .payload = mbp_str(r->payload)};
    ck_assert_uint_eq(r->seq, i + 1);
    ck_assert_msg(r->epoch == 0 || r->epoch >= epoch, "an older epoch after a newer one");
    epoch = r->epoch ? r->epoch : epoch;
    ck_assert_msg(mag_state_fold(&state, &record, &err) == 0, "%s", err.message);
    check_projection(&state);
  }
  mag_state_done(&state);
}

/* ---- From outside -------------------------------------------------------------------------------------------------
 * */

static int nothing(void *ctx, const void *result, struct mbp_error *err)
{
  (void) ctx;
  (void) result;
  (void) err;
  return 0;
}

void rig_append_outside(struct rig *rig, const char *id, const char *type, const char *members)
{
  struct mag_instance *store;
  struct mbp_error err = MAG_ERROR_INIT;
  char event_id[MAG_ID_SIZE];
  mag_id_new(event_id, "sevt_");
  mag_autofree char *payload =
      mag_sprintf("{\"id\":\"%s\",\"type\":\"%s\",\"processed_at\":null,%s}", event_id, type, members);
  struct mbp_record record = {.klass = MBP_RECORD_EVENT, .type = mbp_str(type), .payload = mbp_str(payload)};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .session = mbp_str(id),
                              .expected = MBP_SEQ_ANY,
                              .records = &record,
                              .n_records = 1};
  struct mag_call_options options = {.timeout_ms = 10000, .on_result = nothing};
  ck_assert_int_eq(mag_engine_store(rig->engine, &store, &err), 0);
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  int r = MAG_RUN(store, &options, &err, ops->append(plugin, call, &append, &err));
  ck_assert_msg(r == 0, "%s", err.message);
}

/* ---- Files --------------------------------------------------------------------------------------------------------
 * */

const char *rig_path(const struct rig *rig, const char *name)
{
  static char paths[8][PATH_MAX];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  (void) snprintf(path, PATH_MAX, "%s/%s", rig->dir, name);
  return path;
}

void rig_write_file(struct rig *rig, const char *name, const char *text)
{
  FILE *file = fopen(rig_path(rig, name), "we");
  ck_assert_ptr_nonnull(file);
  ck_assert(fputs(text, file) >= 0);
  ck_assert_int_eq(fclose(file), 0);
}

char *rig_read_file(struct rig *rig, const char *name)
{
  struct mag_buf text = MAG_BUF_INIT;
  FILE *file = fopen(rig_path(rig, name), "re");
  char chunk[4096];
  size_t n;
  mag_buf_add_text(&text, "");
  while (file && (n = fread(chunk, 1, sizeof(chunk), file)) > 0)
    mag_buf_add(&text, chunk, n);
  if (file)
    (void) fclose(file);
  char *taken = mag_buf_take(&text);
  return taken ? taken : mag_str_dup(mbp_str(""));
}
