#include "sessions_bench.h"

#include "agent/session.h"
#include "agent/sessions.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "client.h"
#include "host/http.h"
#include "report.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREAD_STACK (256u * 1024)
#define PAGE 50

static struct bench {
  struct mag_engine *engine;
  struct mag_definition definition;
  struct mag_instance *store;
} bench;

static void must(int r, const struct mbp_error *err)
{
  if (r >= 0)
    return;
  fprintf(stderr, "sessions_bench: %s\n", err->message);
  exit(1);
}

static double ms_since(int64_t begun_ns)
{
  return (double) (mag_clock_monotonic_ns() - begun_ns) / 1e6;
}

static void print(const char *name, double value)
{
  printf("%s %.6g\n", name, value);
}

static struct mag_session *create(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session;
  must(mag_session_create(bench.engine, &bench.definition, mbp_str("bench"), &session, &err), &err);
  return session;
}

/* ---- Creating ------------------------------------------------------------------------------------------------- */

static void bench_create(size_t n)
{
  struct samples samples = {.n = 0};
  mag_session_close(create()); /* opens plugins and file */
  for (size_t i = 0; i < n; i++) {
    int64_t begun = mag_clock_monotonic_ns();
    struct mag_session *session = create();
    samples_add(&samples, ms_since(begun));
    mag_session_close(session);
  }
  print("create", samples_median(&samples));
}

/* ---- Resuming ------------------------------------------------------------------------------------------------- */

static const char *paragraph(void)
{
  static char text[1025];
  for (size_t i = 0; !text[1023] && i < sizeof(text) - 1; i++)
    text[i] = "The quick brown fox jumps over the lazy dog.\\n"[i % 46];
  return text;
}

static void add_request_start(struct mag_batch *batch, char id[MAG_ID_SIZE])
{
  struct mbp_writer *w = mag_batch_event(batch, MAG_EV_REQUEST_START, id);
  mag_writer_object(w, "x_magent");
  mag_writer_number(w, "estimated_input_tokens", 1000);
  mag_writer_end(w);
  mag_batch_end(batch);
}

/* {"command":...} as the model wrote it, and an answer that holds the call. */
#define INPUT "{\"command\":\"grep -rn needle src | head -50\"}"

static void add_response(struct mag_batch *batch, const char *request, char call[MAG_ID_SIZE])
{
  struct mbp_usage usage = {.size = MBP_SIZE(struct mbp_usage, cache_write), .input = 1000, .output = 100};
  struct mbp_writer *w;
  mag_id_new(call, "sevt_");
  w = mag_batch_private(batch, MAG_REC_RESPONSE);
  mag_writer_string(w, "request", mbp_str(request));
  mag_writer_string(w, "provider", mbp_str("anthropic"));
  mag_writer_string(w, "model", mbp_str("bench"));
  mag_writer_string(w, "stop", mbp_str("tool_use"));
  mag_writer_raw(w, "content",
                 mbp_str("[{\"type\":\"text\",\"text\":\"Let me look for it in the sources.\"},"
                         "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":" INPUT "}]"));
  mag_writer_array(w, "calls");
  mag_writer_object(w, NULL);
  mag_writer_string(w, "event_id", mbp_str(call));
  mag_writer_string(w, "id", mbp_str("toolu_1"));
  mag_writer_string(w, "name", mbp_str("bash"));
  mag_writer_raw(w, "input", mbp_str(INPUT));
  mag_writer_string(w, "permission", mbp_str("allow"));
  mag_writer_end(w);
  mag_writer_end(w);
  mag_batch_end(batch);
  w = mag_batch_event(batch, MAG_EV_MESSAGE, NULL);
  mag_writer_raw(w, "content", mbp_str("[{\"type\":\"text\",\"text\":\"Let me look for it in the sources.\"}]"));
  mag_batch_end(batch);
  w = mag_batch_event(batch, MAG_EV_TOOL_USE, call);
  mag_writer_string(w, "name", mbp_str("bash"));
  mag_writer_raw(w, "input", mbp_str(INPUT));
  mag_batch_end(batch);
  mag_batch_request_end(batch, mbp_str(request), false, &usage, NULL);
  w = mag_batch_private(batch, MAG_REC_TOOL_STARTED);
  mag_writer_string(w, "event_id", mbp_str(call));
  mag_writer_boolean(w, "repeatable", 0);
  mag_batch_end(batch);
}

/* One turn of a user's message, ten tool calls with a KiB of output each, an end: what a long session is made of. */
static void add_turn(struct mag_batch *batch)
{
  char id[MAG_ID_SIZE] = "", request[MAG_ID_SIZE], call[MAG_ID_SIZE];
  mag_batch_user_message(batch, id, mbp_str("[{\"type\":\"text\",\"text\":\"Find the needle, please.\"}]"));
  mag_batch_running(batch);
  mag_batch_processed(batch, mbp_str(id));
  for (int step = 0; step < 10; step++) {
    request[0] = 0;
    add_request_start(batch, request);
    add_response(batch, request, call);
    mag_batch_result_text(batch, &(struct mag_result){.tool_event = mbp_str(call)}, mbp_str(paragraph()));
  }
  mag_batch_idle(batch, "end_turn", mbp_str(""), mbp_str(""));
}

static void bench_fork(const char *id, size_t n)
{
  struct samples samples = {.n = 0};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_fork_options options = {.title = NULL};
  char fork[MAG_ID_SIZE];
  for (size_t i = 0; i < n; i++) {
    int64_t begun = mag_clock_monotonic_ns();
    must(mag_sessions_fork(bench.engine, id, &options, fork, &err), &err);
    samples_add(&samples, ms_since(begun));
  }
  print("fork", samples_median(&samples));
}

static void bench_resume(uint64_t records, size_t n)
{
  struct samples samples = {.n = 0};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_batch batch = MAG_BATCH_INIT;
  struct mag_session *session = create();
  char id[MAG_ID_SIZE];
  memcpy(id, session->log.id, sizeof(id));
  while (session->log.state.last_seq < records) {
    add_turn(&batch);
    must(mag_session_commit(session, &batch, &err), &err);
  }
  mag_batch_done(&batch);
  mag_session_close(session);
  for (size_t i = 0; i < n; i++) {
    int64_t begun = mag_clock_monotonic_ns();
    must(mag_session_open(bench.engine, id, NULL, &session, &err), &err);
    samples_add(&samples, ms_since(begun));
    mag_session_close(session);
  }
  print("resume", samples_median(&samples));
  bench_fork(id, n);
}

/* ---- Listing -------------------------------------------------------------------------------------------------- */

static void *create_many(void *count)
{
  for (size_t i = 0; i < *(size_t *) count; i++)
    mag_session_close(create());
  return NULL;
}

/* Side by side, so that the store writes many in one transaction. */
static void populate(size_t n)
{
  pthread_t threads[64];
  size_t each = (n + 63) / 64;
  for (size_t i = 0; i < 64; i++)
    if (pthread_create(&threads[i], NULL, create_many, &each))
      abort();
  for (size_t i = 0; i < 64; i++)
    (void) pthread_join(threads[i], NULL);
}

static int count_session(void *ctx, struct mbp_str info)
{
  *(size_t *) ctx += info.len > 0;
  return 0;
}

static double list_ms(const char *status)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session_filter filter = {.status = status, .limit = PAGE};
  size_t shown = 0;
  char *next = NULL;
  int64_t begun = mag_clock_monotonic_ns();
  must(mag_sessions_list(bench.engine, &filter, count_session, &shown, &next, &err), &err);
  double ms = ms_since(begun);
  free(next);
  if (shown != PAGE)
    exit(1);
  return ms;
}

static void bench_list(size_t sessions, size_t n)
{
  struct samples newest = {.n = 0}, filtered = {.n = 0};
  populate(sessions);
  for (size_t i = 0; i < n; i++) {
    samples_add(&newest, list_ms(NULL));
    samples_add(&filtered, list_ms("idle"));
  }
  print("list", samples_median(&newest));
  print("list_filtered", samples_median(&filtered));
}

/* ---- Resting -------------------------------------------------------------------------------------------------- */

static void bench_idle(size_t n)
{
  double before = (double) client_pss(getpid());
  for (size_t i = 0; i < n; i++)
    (void) create();
  double after = (double) client_pss(getpid());
  print("idle", after);
  print("idle_each", (after - before) / (double) n);
  _exit(fflush(stdout) != 0); /* closing them is not measured */
}

/* ---- Turns ---------------------------------------------------------------------------------------------------- */

struct worker {
  pthread_t thread;
  struct mag_session *session;
  size_t turns;
};

static void *work(void *arg)
{
  struct worker *worker = arg;
  struct mag_limits limits = {0};
  for (size_t i = 0; i < worker->turns; i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mag_outcome outcome;
    must(mag_session_ask(worker->session, mbp_str("Work."), &limits, &outcome, &err), &err);
    if (outcome.ending != MAG_END_TURN) {
      fprintf(stderr, "sessions_bench: a turn ended with %d: %s\n", (int) outcome.ending, outcome.error.message);
      exit(1);
    }
  }
  return NULL;
}

static double seconds(struct timeval t)
{
  return (double) t.tv_sec + (double) t.tv_usec / 1e6;
}

static double cpu_s(int who)
{
  struct rusage use;
  (void) getrusage(who, &use);
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

static void bench_turns(size_t n, size_t turns)
{
  struct worker *workers = calloc(n, sizeof(*workers));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, THREAD_STACK);
  for (size_t i = 0; i < n; i++)
    workers[i] = (struct worker){.session = create(), .turns = turns};
  double cpu = cpu_s(RUSAGE_SELF);
  int64_t begun = mag_clock_monotonic_ns();
  for (size_t i = 0; i < n; i++)
    if (pthread_create(&workers[i].thread, &attributes, work, &workers[i]))
      abort();
  for (size_t i = 0; i < n; i++)
    (void) pthread_join(workers[i].thread, NULL);
  print("wall", ms_since(begun) / 1e3);
  print("cpu", cpu_s(RUSAGE_SELF) - cpu);
  for (size_t i = 0; i < n; i++)
    mag_session_close(workers[i].session);
  print("cpu_children", cpu_s(RUSAGE_CHILDREN));
  pthread_attr_destroy(&attributes);
  free(workers);
}

/* ---- Set-up --------------------------------------------------------------------------------------------------- */

static void open_engine(const char *plugin_dir, const char *compute, bool relaxed)
{
  const char *const dirs[] = {plugin_dir, NULL};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine_options options = {
      .plugin_dirs = dirs, .store = "sqlite", .store_config = mbp_str(relaxed ? "{\"durable\":false}" : "")};
  must(mag_engine_new(&options, &bench.engine, &err), &err);
  must(mag_engine_store(bench.engine, &bench.store, &err), &err);
  bench.definition.model = mag_str_dup(mbp_str("anthropic/claude-bench"));
  bench.definition.compute = mag_str_dup(mbp_str(compute));
  must(mag_definition_defaults(&bench.definition, &err), &err);
}

static size_t number(int argc, char **argv, int at)
{
  return at < argc ? strtoul(argv[at], NULL, 10) : 0;
}

int sessions_bench(const char *plugin_dir, int argc, char **argv)
{
  const char *part = argc ? argv[0] : "";
  bool turns = strcmp(part, "turns") == 0 && argc > 3;
  bool relaxed = strcmp(part, "list") == 0 || strcmp(part, "idle") == 0 || (turns && argc > 4);
  size_t first = number(argc, argv, 1), second = number(argc, argv, 2);
  open_engine(plugin_dir, turns ? argv[2] : "local", relaxed);
  if (strcmp(part, "create") == 0)
    bench_create(first);
  else if (strcmp(part, "resume") == 0)
    bench_resume(first, second);
  else if (strcmp(part, "list") == 0)
    bench_list(first, second);
  else if (strcmp(part, "idle") == 0)
    bench_idle(first);
  else if (turns)
    bench_turns(first, number(argc, argv, 3));
  mag_definition_done(&bench.definition);
  mag_engine_free(bench.engine);
  mag_http_stop();
  return 0;
}
