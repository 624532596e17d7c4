/* SIGKILL at random instants of sessions with many tools. Whatever the instant: nothing of the session is left running,
 * the log folds and has every event that was shown exactly once, and the session goes on to its end without doing
 * anything twice.
 *
 *   MAGENT_CRASH_KILLS=N   sessions to kill for each compute provider (a few by default)
 *   MAGENT_CRASH_SEED=S    the instants of an earlier run; they are uniform over the time that a session takes, or
 *                          right behind a random event
 */
#include "../lib/run.h"
#include "agent/engine.h"
#include "agent/log.h"
#include "agent/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "victim.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KILLS 25
#define KILLS_OF_ONE 3 /* a session is killed at most so often */
#define EFFECTS 6
#define GONE_MS 2000

#define CALL(name, input) "{\"tool_call\":{\"name\":\"" name "\",\"input\":" input "}}"
#define EFFECT(n, more) CALL("bash", "{\"command\":\"echo effect-" #n " >>effects" more "\"}")
/* Effects one at a time, two in one answer, behind others, and slow ones; reads side by side. */
static const char script[] =
    "{\"steps\":[{\"text\":\"First.\"}," EFFECT(1, "") "]}\n"
    "{\"steps\":[" CALL("write", "{\"file_path\":\"notes.txt\",\"content\":\"one\\ntwo\\n\"}") "," EFFECT(2, "") "]}\n"
    "{\"steps\":[" CALL("read", "{\"file_path\":\"notes.txt\"}") "," CALL("glob", "{\"pattern\":\"*\"}") ","
    CALL("grep", "{\"pattern\":\"two\"}") "," EFFECT(3, "; sleep 0.01") "]}\n"
    "{\"steps\":[{\"delay_ms\":5}," EFFECT(4, "; setsid sleep 30 >/dev/null 2>&1 &") "," EFFECT(5, "") "]}\n"
    "{\"steps\":[" CALL("edit", "{\"file_path\":\"notes.txt\",\"old_string\":\"one\",\"new_string\":\"three\"}") "]}\n"
    "{\"steps\":[{\"text\":\"word word word word\",\"chunk\":5,\"pace_ms\":1}," EFFECT(6, "") "]}\n"
    "{\"text\":\"Done.\"}\n";

static struct {
  char root[512], script[560], errors[560];
  uint64_t random;
  size_t kills;
} all;

/* xorshift64*: the same instants for the same seed. */
static uint64_t draw(uint64_t below)
{
  all.random ^= all.random >> 12;
  all.random ^= all.random << 25;
  all.random ^= all.random >> 27;
  return (all.random * UINT64_C(2685821657736338717) >> 11) % below;
}

/* ---- Sessions ------------------------------------------------------------------------------------------------- */

static struct mag_engine *open_store(struct mag_instance **ret_store)
{
  static const char *const dirs[] = {"plugins-0", NULL};
  struct mag_engine_options options = {.plugin_dirs = dirs};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine;
  ck_assert_msg(mag_engine_new(&options, &engine, &err) == 0, "%s", err.message);
  ck_assert_msg(mag_engine_store(engine, ret_store, &err) == 0, "%s", err.message);
  return engine;
}

struct search {
  const char *title;
  char id[MAG_ID_SIZE];
};

static int look_at(void *ctx, const struct mbp_event *event)
{
  struct search *search = ctx;
  mag_autojson summary = NULL;
  if (event->type == MBP_EV_STORE_SESSION && mag_json_parse(event->data, &summary, NULL) == 0 &&
      mbp_str_eq(mag_json_str(mag_json_get(summary, "title")), search->title))
    (void) snprintf(search->id, sizeof(search->id), "%.*s", (int) event->name.len, event->name.ptr);
  return 0;
}

/* False: it was killed before there was a session. */
static bool find_session(const char *title, char id[MAG_ID_SIZE])
{
  struct mag_instance *store;
  struct mag_engine *engine = open_store(&store);
  struct search search = {.title = title};
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved), .limit = 1, .descending = 1};
  struct mag_call_options options = {.sink = look_at, .ctx = &search};
  ck_assert_msg(MAG_RUN(store, &options, &err, ops->list(plugin, call, &query, &err)) == 0, "%s", err.message);
  mag_engine_free(engine);
  memcpy(id, search.id, sizeof(search.id));
  return search.id[0];
}

/* ---- What must hold ------------------------------------------------------------------------------------------- */

/* What one session has shown, and what its log says. */
struct account {
  struct mag_buf shown; /* whole lines */
  uint64_t last_seq;
  char *events;         /* the log's, one a line, as --json shows them */
  struct mag_buf log;
  char calls[EFFECTS + 1][MAG_ID_SIZE]; /* which call was to have which effect */
  bool told[EFFECTS + 1];               /* its result said that all went well */
  bool failed;
};

static void take_shown(struct account *account, const struct victim *victim)
{
  const char *end = victim->text.len ? memrchr(victim->text.ptr, '\n', victim->text.len) : NULL;
  if (end) /* a line that was cut was not shown */
    mag_buf_add(&account->shown, victim->text.ptr, (size_t) (end + 1 - victim->text.ptr));
}

static void take_effect(struct account *account, const struct mbp_json *event)
{
  struct mbp_str type = mag_json_str(mag_json_get(event, "type"));
  struct mbp_str command = mag_json_str(mag_json_get(mag_json_get(event, "input"), "command"));
  if (mbp_str_eq(type, MAG_EV_TOOL_USE) && command.len) {
    const char *number = strstr(command.ptr, "effect-");
    unsigned n = number ? (unsigned) (number[7] - '0') : 0;
    if (n && n <= EFFECTS)
      (void) snprintf(account->calls[n], MAG_ID_SIZE, "%s", mag_json_str(mag_json_get(event, "id")).ptr);
  }
  if (mbp_str_eq(type, MAG_EV_TOOL_RESULT))
    for (unsigned n = 1; n <= EFFECTS; n++)
      if (mbp_str_eq(mag_json_str(mag_json_get(event, "tool_use_id")), account->calls[n]))
        account->told[n] = !mag_json_truth(mag_json_get(event, "is_error"), 0);
}

static int take_record(void *ctx, const struct mbp_record *record)
{
  struct account *account = ctx;
  mag_autojson payload = NULL;
  account->failed |= record->seq != account->last_seq + 1 || mag_json_parse(record->payload, &payload, NULL) < 0;
  account->last_seq = record->seq;
  if (record->klass != MBP_RECORD_EVENT)
    return 0;
  mag_buf_add(&account->log, "\n", 1);
  mag_buf_add(&account->log, record->payload.ptr, record->payload.len);
  mag_buf_add(&account->log, "\n", 1);
  take_effect(account, payload);
  return 0;
}

/* Every line that was shown stands in the log exactly once. */
static void check_shown(const struct account *account)
{
  const char *line = account->shown.len ? account->shown.ptr : "";
  for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
    mag_autofree char *wanted = mag_sprintf("\n%.*s\n", (int) (end - line), line);
    const char *found = account->log.len ? strstr(account->log.ptr, wanted) : NULL;
    ck_assert_msg(found != NULL, "shown, but not in the log: %s", wanted);
    ck_assert_msg(!strstr(found + 1, wanted), "twice in the log: %s", wanted);
  }
}

static void check_effects(const struct account *account, const char *workspace)
{
  mag_autofree char *path = mag_sprintf("%s/effects", workspace);
  unsigned had[EFFECTS + 1] = {0}, n;
  FILE *file = fopen(path, "re");
  while (file && fscanf(file, "effect-%u\n", &n) == 1 && n <= EFFECTS)
    had[n]++;
  if (file)
    fclose(file);
  for (n = 1; n <= EFFECTS; n++) {
    ck_assert_msg(had[n] <= 1, "effect %u happened %u times", n, had[n]);
    ck_assert_msg(had[n] == 1 || !account->told[n], "effect %u was reported and did not happen", n);
  }
}

static void check_log(struct account *account, const char *id, bool at_end)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_instance *store;
  struct mag_engine *engine = open_store(&store);
  struct mag_log log;
  mag_autofree char *workspace = mag_session_workspace(id);
  account->last_seq = 0;
  mag_buf_clear(&account->log);
  ck_assert_msg(mag_log_each(store, id, 1, 0, take_record, account, &err) == 0, "%s", err.message);
  ck_assert_msg(!account->failed, "the log has a gap or a broken record");
  ck_assert_msg(mag_log_open(&log, store, id, /* claim= */ false, &err) == 0, "%s", err.message);
  check_shown(account);
  check_effects(account, workspace);
  if (at_end) {
    ck_assert_int_eq(log.state.status, MAG_STATUS_IDLE);
    if (log.state.turns) /* else it was killed before it had taken the message: nothing to go on with */
      ck_assert_str_eq(log.state.stop_reason, "end_turn");
    ck_assert_uint_eq(log.state.n_open, 0);
    ck_assert_uint_eq(log.state.n_inbox, 0);
    ck_assert_ptr_null(log.state.request);
  }
  mag_log_close(&log);
  mag_engine_free(engine);
}

/* ---- Killing -------------------------------------------------------------------------------------------------- */

static void start_run(struct victim *victim, const char *compute, const char *title)
{
  const char *argv[] = {"./magent", "--plugin-dir", "plugins-0", "run", "--json", "--yes", "--model", "scripted/crash",
                        "--compute", compute, "--title", title, "Work.", NULL};
  victim_start(victim, argv, all.errors);
}

static void start_resume(struct victim *victim, const char *id)
{
  const char *argv[] = {"./magent", "--plugin-dir", "plugins-0", "session", "resume", "--json", "--yes", id, NULL};
  victim_start(victim, argv, all.errors);
}

/* Over the whole time, more often early, or right behind an event. */
static struct victim_end random_end(int64_t whole_ns, size_t lines)
{
  switch (draw(4)) {
  case 0:
    return (struct victim_end){.ns = (int64_t) draw((uint64_t) whole_ns / 3)};
  case 1:
    return (struct victim_end){.lines = 1 + draw(lines), .ns = (int64_t) draw(300000)};
  default:
    return (struct victim_end){.ns = (int64_t) draw((uint64_t) whole_ns)};
  }
}

/* True: it ended by itself. */
static bool watch(struct victim *victim, const struct victim_end *end, struct account *account)
{
  int status = victim_watch(victim, end);
  take_shown(account, victim);
  victim_done(victim);
  ck_assert_msg(victims_gone(GONE_MS), "processes of the session are left after %d ms", GONE_MS);
  ck_assert_msg(status == 0 || (end && status == -1), "magent ended with status %d; see its stderr above", status);
  return status == 0;
}

static void kill_and_resume(const char *compute, size_t number, int64_t whole_ns, size_t lines)
{
  struct account account = {.shown = MAG_BUF_INIT, .log = MAG_BUF_INIT};
  mag_autofree char *title = mag_sprintf("%s %zu", compute, number);
  struct victim victim;
  char id[MAG_ID_SIZE];
  struct victim_end end = random_end(whole_ns, lines);
  start_run(&victim, compute, title);
  bool ended = watch(&victim, &end, &account);
  if (find_session(title, id)) {
    check_log(&account, id, ended);
    for (unsigned kills = 1; !ended; kills++) {
      end = random_end(whole_ns, lines);
      bool to_end = kills == KILLS_OF_ONE || draw(2);
      start_resume(&victim, id);
      ended = watch(&victim, to_end ? NULL : &end, &account);
      check_log(&account, id, ended);
    }
  } else {
    ck_assert_msg(account.shown.len == 0, "events were shown, but there is no session");
  }
  mag_buf_done(&account.shown);
  mag_buf_done(&account.log);
}

/* What an undisturbed session takes and shows: the best of three. */
static void measure(const char *compute, int64_t *ret_ns, size_t *ret_lines)
{
  *ret_ns = INT64_MAX;
  for (unsigned i = 0; i < 3; i++) {
    struct account account = {.shown = MAG_BUF_INIT, .log = MAG_BUF_INIT};
    mag_autofree char *title = mag_sprintf("%s alone %u", compute, i);
    struct victim victim;
    char id[MAG_ID_SIZE];
    start_run(&victim, compute, title);
    int status = victim_watch(&victim, NULL);
    *ret_ns = MAG_MIN(*ret_ns, mag_clock_monotonic_ns() - victim.begun_ns);
    *ret_lines = victim.n_lines;
    take_shown(&account, &victim);
    victim_done(&victim);
    ck_assert_msg(status == 0, "an undisturbed session ends with status %d", status);
    ck_assert_msg(victims_gone(GONE_MS), "processes are left behind by an undisturbed session");
    ck_assert(find_session(title, id));
    check_log(&account, id, true);
    for (unsigned n = 1; n <= EFFECTS; n++)
      ck_assert_msg(account.told[n], "effect %u failed without a kill", n);
    mag_buf_done(&account.shown);
    mag_buf_done(&account.log);
  }
}

static void survive(const char *compute)
{
  mag_autofree char *plugin = mag_sprintf("plugins-0/magent-compute-%s.so", compute);
  int64_t whole_ns, begun = mag_clock_monotonic_ns();
  size_t lines;
  if (access(plugin, R_OK) < 0) {
    printf("%s is not built\n", compute);
    return;
  }
  measure(compute, &whole_ns, &lines);
  uint64_t seed = all.random;
  for (size_t i = 0; i < all.kills; i++)
    kill_and_resume(compute, i, whole_ns, lines);
  printf("%s: %zu sessions of %.0f ms and %zu events killed in %.1f s, seed %llu\n", compute, all.kills,
         (double) whole_ns / 1e6, lines, (double) (mag_clock_monotonic_ns() - begun) / 1e9, (unsigned long long) seed);
}

START_TEST(a_session_survives_kills_in_bubblewrap)
{
  survive("bubblewrap");
}
END_TEST

START_TEST(a_session_survives_kills_in_local)
{
  survive("local");
}
END_TEST

/* ---- Set-up --------------------------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
  (void) st;
  (void) type;
  (void) place;
  return remove(path);
}

static void write_file(const char *name, const char *text)
{
  char path[560];
  (void) snprintf(path, sizeof(path), "%s/%s", all.root, name);
  FILE *file = fopen(path, "we");
  if (!file || fputs(text, file) < 0 || fclose(file) != 0)
    abort();
}

static void show_errors(void)
{
  char line[512];
  FILE *file = fopen(all.errors, "re");
  while (file && fgets(line, sizeof(line), file))
    fputs(line, stderr);
  if (file)
    fclose(file);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
  const char *text = secure_getenv(name);
  return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void set_up(void)
{
  const char *tmp = secure_getenv("TMPDIR");
  (void) snprintf(all.root, sizeof(all.root), "%s/magent-crash-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(all.root))
    abort();
  (void) snprintf(all.script, sizeof(all.script), "%s/script", all.root);
  (void) snprintf(all.errors, sizeof(all.errors), "%s/stderr", all.root);
  write_file("script", script);
  write_file("defaults.json", "{\"system\":\"Test.\",\"tools\":[{\"type\":\"agent_toolset_20260401\"}]}");
  setenv("XDG_STATE_HOME", all.root, 1);
  setenv("XDG_CACHE_HOME", all.root, 1);
  setenv("MAGENT_CONF_DIR", all.root, 1);
  mag_autofree char *helper = realpath("sandbox", NULL);
  setenv("MAGENT_LIBEXEC_DIR", helper ? helper : "", 0);
  setenv("MAGENT_SCRIPT", all.script, 1);
  all.kills = number_from("MAGENT_CRASH_KILLS", KILLS);
  all.random = number_from("MAGENT_CRASH_SEED", (uint64_t) mag_clock_monotonic_ns() | 1);
  printf("MAGENT_CRASH_SEED=%llu MAGENT_CRASH_KILLS=%zu\n", (unsigned long long) all.random, all.kills);
  fflush(stdout);
}

int main(void)
{
  set_up();
  Suite *suite = suite_create("crash");
  TCase *t = tcase_create("crash");
  tcase_set_timeout(t, 60 + 2 * (double) all.kills);
  tcase_add_test(t, a_session_survives_kills_in_bubblewrap);
  tcase_add_test(t, a_session_survives_kills_in_local);
  suite_add_tcase(suite, t);
  int failed = run_suite(suite);
  if (failed) {
    show_errors();
    fprintf(stderr, "kept: %s\n", all.root);
  } else {
    (void) nftw(all.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  }
  return failed;
}
