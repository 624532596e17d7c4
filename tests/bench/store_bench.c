/* store_bench - durable appends a second with 1, 8 and 64 sessions, one appending thread each; 1 KB records.
 *
 *   store_bench [DIRECTORY [SECONDS]]
 *
 * Prints one JSON line a metric: the median of three runs. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/call.h"
#include "host/config.h"
#include "host/host.h"

#include <magent/mbp-store.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define RUNS 3
#define RECORD_BYTES 1024
#define THREADS_MAX 64

const struct mbp_plugin *mbp_plugin_v0(void);

static const struct mbp_store_ops *ops;
static struct mbp_instance *store;
static atomic_bool stop;
static char payload[RECORD_BYTES + 1];

struct appender {
  pthread_t thread;
  char session[32];
  uint64_t appended;
  int64_t worst_ns;
  bool failed;
};

static int append(const char *session, uint32_t flags, struct mbp_error *err)
{
  struct mbp_record record = {.klass = MBP_RECORD_EVENT, .type = mbp_str("user.message"), .payload = mbp_str(payload)};
  struct mbp_append all = {.size = MBP_SIZE(struct mbp_append, summary),
                           .session = mbp_str(session),
                           .flags = flags,
                           .expected = MBP_SEQ_ANY,
                           .records = &record,
                           .n_records = 1};
  struct mbp_call *call = mag_call_new(&(struct mag_call_options){.timeout_ms = 60000});
  int r = mag_call_wait(call, ops->append(store, call, &all, err), NULL, err);
  mag_call_unref(call);
  return r;
}

static void *run_appender(void *arg)
{
  struct appender *appender = arg;
  struct mbp_error err = MAG_ERROR_INIT;
  while (!stop && !appender->failed) {
    int64_t begun = mag_clock_monotonic_ns();
    if (append(appender->session, 0, &err) < 0) {
      (void) fprintf(stderr, "store_bench: %s\n", err.message);
      appender->failed = true;
    }
    int64_t took = mag_clock_monotonic_ns() - begun;
    appender->worst_ns = MAG_MAX(appender->worst_ns, took);
    appender->appended++;
  }
  return NULL;
}

static double run(size_t n, double seconds, int64_t *ret_worst_ns)
{
  static unsigned round;
  static struct appender appenders[THREADS_MAX];
  struct mbp_error err = MAG_ERROR_INIT;
  uint64_t appended = 0;
  round++;
  stop = false;
  for (size_t i = 0; i < n; i++) {
    appenders[i] = (struct appender){.appended = 0};
    (void) snprintf(appenders[i].session, sizeof(appenders[i].session), "bench_%u_%zu", round, i);
    if (append(appenders[i].session, MBP_APPEND_CREATE, &err) < 0) {
      (void) fprintf(stderr, "store_bench: %s\n", err.message);
      exit(1);
    }
  }
  int64_t begun = mag_clock_monotonic_ns();
  for (size_t i = 0; i < n; i++)
    pthread_create(&appenders[i].thread, NULL, run_appender, &appenders[i]);
  usleep((useconds_t) (seconds * 1e6));
  stop = true;
  for (size_t i = 0; i < n; i++) {
    pthread_join(appenders[i].thread, NULL);
    appended += appenders[i].appended;
    *ret_worst_ns = MAG_MAX(*ret_worst_ns, appenders[i].worst_ns);
    if (appenders[i].failed)
      exit(1);
  }
  return (double) appended / ((double) (mag_clock_monotonic_ns() - begun) / 1e9);
}

static int compare(const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
  static const size_t sessions[] = {1, 8, 64};
  const struct mbp_plugin *plugin = mbp_plugin_v0();
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_config *config = NULL;
  char directory[512], options[640], file[640];
  double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
  (void) snprintf(directory, sizeof(directory), "%s/store-bench-XXXXXX", argc > 1 ? argv[1] : ".");
  if (!mkdtemp(directory)) {
    perror(directory);
    return 1;
  }
  (void) snprintf(options, sizeof(options), "{\"path\":\"%s/bench.db\"}", directory);
  memset(payload, 'x', RECORD_BYTES);
  payload[0] = payload[RECORD_BYTES - 1] = '"';
  ops = plugin->ops;
  if (mag_config_new("store-sqlite", plugin->params, mbp_str(options), &config, &err) < 0 ||
      plugin->open(mag_host_for("store-sqlite"), config, &store, &err) < 0) {
    (void) fprintf(stderr, "store_bench: %s\n", err.message);
    return 1;
  }
  for (size_t i = 0; i < MAG_COUNT(sessions); i++) {
    double rates[RUNS];
    int64_t worst_ns = 0;
    for (size_t j = 0; j < RUNS; j++)
      rates[j] = run(sessions[i], seconds, &worst_ns);
    qsort(rates, RUNS, sizeof(rates[0]), compare);
    (void) printf("{\"metric\":\"durable_appends_per_second\",\"sessions\":%zu,\"record_bytes\":%d,\"value\":%.0f,"
                  "\"min\":%.0f,\"max\":%.0f,\"worst_ms\":%.1f}\n",
                  sessions[i], RECORD_BYTES, rates[RUNS / 2], rates[0], rates[RUNS - 1], (double) worst_ns / 1e6);
    (void) fflush(stdout);
  }
  plugin->close(store);
  mag_config_free(config);
  static const char *const names[] = {"", "-wal", "-shm", "-claims"};
  for (size_t i = 0; i < MAG_COUNT(names); i++) {
    (void) snprintf(file, sizeof(file), "%s/bench.db%s", directory, names[i]);
    (void) unlink(file);
  }
  (void) rmdir(directory);
  return 0;
}
