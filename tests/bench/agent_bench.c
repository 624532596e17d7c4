/* agent_bench - what magent costs beside a bare loop that does the same with nothing around it. Both talk to the same
 * model server in this process, turn about, so that whatever else the machine does hits both.
 *
 *   agent_bench FILE...    in the build directory; FILEs: what is installed. BENCH_RUNS=N for other than 5 runs,
 *                          BENCH_ONLY="start steps memory deltas appends sessions size" for some of the parts
 *   agent_bench --deltas, --sessions   the parts that measure themselves (see delta_bench.h, sessions_bench.h)
 */
#include "base/clock.h"
#include "client.h"
#include "delta_bench.h"
#include "model_server.h"
#include "report.h"
#include "session_figures.h"
#include "sessions_bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS 200
#define AROUND 10 /* steps to either side of the 20th and the 200th that count */
#define DELTAS 100000
#define MIB (1024.0 * 1024.0)

static struct model_server *server;
static struct {
  char root[512], log[560], port[16], url[64];
  size_t runs;
} all;

static const char *const bare[] = {"tests/bench/bare_loop", all.port, NULL};
static const char *const bare_curl[] = {"tests/bench/bare_curl", all.url, NULL};
#define MAGENT(compute)                                                                                                \
  {                                                                                                                    \
    "./magent", "--plugin-dir", "plugins-0", "run", "--yes", "--model", "anthropic/claude-bench", "--compute",         \
        compute, "Work.", NULL                                                                                         \
  }
static const char *const local[] = MAGENT("local"), *const bubblewrap[] = MAGENT("bubblewrap");

static double run(const char *const *argv, size_t steps, struct client *client)
{
  model_server_reset(server, steps);
  client_start(client, argv, all.log);
  client_wait(client);
  if (server->n_requests != steps + 1) {
    fprintf(stderr, "%s: %zu requests instead of %zu\n", argv[0], server->n_requests, steps + 1);
    exit(1);
  }
  return (double) (server->arrived_ns[0] - client->begun_ns) / 1e6;
}

static double round_trip_ms(size_t step)
{
  return (double) (server->arrived_ns[step + 1] - server->answered_ns[step]) / 1e6;
}

static double median_around(size_t step)
{
  struct samples samples = {.n = 0};
  for (size_t i = step - AROUND; i < step + AROUND && i < STEPS; i++)
    samples_add(&samples, round_trip_ms(i));
  return samples_median(&samples);
}

/* ---- Start to first request ----------------------------------------------------------------------------------- */

static void measure_start(void)
{
  struct samples own = {.n = 0}, bares = {.n = 0}, curls = {.n = 0}, own_cpu = {.n = 0}, curl_cpu = {.n = 0};
  struct client client;
  (void) run(bubblewrap, 0, &client);
  for (size_t i = 0; i < all.runs * 6; i++) {
    samples_add(&bares, run(bare, 0, &client));
    samples_add(&curls, run(bare_curl, 0, &client));
    samples_add(&curl_cpu, client.cpu_us);
    samples_add(&own, run(bubblewrap, 0, &client));
    samples_add(&own_cpu, client.cpu_us);
  }
  /* A loop that could reach a real model needs TLS, as libcurl brings it: that one is the measure. What loading its
   * libraries costs shows beside a loop that writes to a socket itself. */
  report("start_to_first_request", "ms", &own, &curls, GOAL_RATIO_MAX, 4);
  report("start_to_first_request_over_sockets", "ms", &own, &bares, GOAL_NONE, 0);
  report("cpu_of_a_run_over_curl", "us", &own_cpu, &curl_cpu, GOAL_NONE, 0);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------- */

struct kind {
  const char *const *argv;
  struct samples at20, at200, first, growth, cpu_step;
};

static void measure_kind(struct kind *kind)
{
  struct client few, many;
  (void) run(kind->argv, 20, &few);
  (void) run(kind->argv, STEPS, &many);
  samples_add(&kind->at20, median_around(20));
  samples_add(&kind->at200, median_around(STEPS - AROUND));
  samples_add(&kind->growth, median_around(STEPS - AROUND) / median_around(20));
  samples_add(&kind->first, round_trip_ms(0) - median_around(20));
  samples_add(&kind->cpu_step, (many.cpu_us - few.cpu_us) / (STEPS - 20));
}

static void measure_steps(void)
{
  struct kind kinds[] = {{.argv = bare}, {.argv = local}, {.argv = bubblewrap}};
  for (size_t i = 0; i < all.runs * 3; i++)
    for (size_t j = 0; j < sizeof(kinds) / sizeof(kinds[0]); j++)
      measure_kind(&kinds[j]);
  struct kind *of_bare = &kinds[0], *of_local = &kinds[1], *of_bwrap = &kinds[2];
  report("tool_round_trip_local_step_20", "ms", &of_local->at20, &of_bare->at20, GOAL_NONE, 0);
  report("tool_round_trip_local_step_200", "ms", &of_local->at200, &of_bare->at200, GOAL_NONE, 0);
  report("tool_round_trip_sandbox_step_20", "ms", &of_bwrap->at20, &of_bare->at20, GOAL_RATIO_MAX, 4);
  report("tool_round_trip_sandbox_step_200", "ms", &of_bwrap->at200, &of_bare->at200, GOAL_RATIO_MAX, 4);
  report("step_200_over_step_20_local", "x", &of_local->growth, NULL, GOAL_MAX, 1.2);
  report("step_200_over_step_20_sandbox", "x", &of_bwrap->growth, NULL, GOAL_MAX, 1.2);
  report("sandbox_start", "ms", &of_bwrap->first, NULL, GOAL_NONE, 0);
  report("local_start", "ms", &of_local->first, NULL, GOAL_NONE, 0);
  report("cpu_a_step_local", "us", &of_local->cpu_step, &of_bare->cpu_step, GOAL_NONE, 0);
  report("cpu_a_step_sandbox", "us", &of_bwrap->cpu_step, &of_bare->cpu_step, GOAL_NONE, 0);
}

/* ---- Memory --------------------------------------------------------------------------------------------------- */

struct peak {
  struct client *client;
  int64_t own, tree;
};

/* The client waits for its answer while we look at it. */
static void look(void *ctx, size_t number)
{
  struct peak *peak = ctx;
  if (number % 10)
    return;
  int64_t own = client_pss(peak->client->pid), tree = client_tree_pss(peak->client->pid);
  peak->own = own > peak->own ? own : peak->own;
  peak->tree = tree > peak->tree ? tree : peak->tree;
}

static struct peak peak_of(const char *const *argv)
{
  struct client client;
  struct peak peak = {.client = &client};
  model_server_reset(server, STEPS);
  server->ctx = &peak;
  server->arrived = look;
  client_start(&client, argv, all.log);
  client_wait(&client);
  return peak;
}

static void measure_memory(void)
{
  struct samples own = {.n = 0}, tree = {.n = 0}, bares = {.n = 0};
  for (size_t i = 0; i < (all.runs + 1) / 2; i++) {
    struct peak peak = peak_of(bubblewrap);
    samples_add(&own, (double) peak.own / MIB);
    samples_add(&tree, (double) peak.tree / MIB);
    samples_add(&bares, (double) peak_of(bare).own / MIB);
  }
  report("peak_memory_pss", "MiB", &own, &bares, GOAL_MAX, 16);
  report("peak_memory_pss_with_sandbox", "MiB", &tree, NULL, GOAL_NONE, 0);
}

/* ---- What other programs print -------------------------------------------------------------------------------- */

/* Runs a program and reads what it prints; ends ours if it fails. */
static char *output_of(const char *const *argv)
{
  static char text[65536];
  char name[600];
  struct client client;
  (void) snprintf(name, sizeof(name), "%s/output", all.root);
  (void) unlink(name);
  client_start(&client, argv, name);
  client_wait(&client);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  text[n < 0 ? 0 : n] = 0;
  if (fd >= 0)
    close(fd);
  return text;
}

static void measure_deltas(void)
{
  static const char *const argv[] = {"tests/bench/agent_bench", "--deltas", NULL};
  struct samples samples = {.n = 0};
  for (size_t i = 0; i < all.runs; i++) {
    model_server_reset(server, 0);
    server->deltas = DELTAS;
    samples_add(&samples, strtod(output_of(argv), NULL));
  }
  report("cpu_a_text_delta", "us", &samples, NULL, GOAL_MAX, 3);
}

/* What the disk can do: one record appended to a file and flushed, again and again. */
static double bare_appends(void)
{
  char name[600], record[1024];
  int64_t begun = mag_clock_monotonic_ns(), n = 0;
  (void) snprintf(name, sizeof(name), "%s/appends", all.root);
  memset(record, 'x', sizeof(record));
  int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  while (fd >= 0 && mag_clock_monotonic_ns() - begun < 500000000)
    n += write(fd, record, sizeof(record)) > 0 && fdatasync(fd) == 0;
  double seconds = (double) (mag_clock_monotonic_ns() - begun) / 1e9;
  if (fd >= 0)
    close(fd);
  (void) unlink(name);
  return (double) n / seconds;
}

/* store_bench runs several times itself: its lines hold medians. */
static void measure_appends(void)
{
  static const struct {
    const char *mark, *metric;
    enum report_goal goal;
  } rows[] = {{"\"sessions\":1,", "durable_appends_1_session", GOAL_NONE},
              {"\"sessions\":8,", "durable_appends_8_sessions", GOAL_NONE},
              {"\"sessions\":64,", "durable_appends_64_sessions", GOAL_MIN}};
  const char *argv[] = {"tests/bench/store_bench", all.root, "1", NULL};
  struct samples bares = {.n = 0};
  if (access(argv[0], X_OK) < 0)
    return;
  for (size_t i = 0; i < 3; i++)
    samples_add(&bares, bare_appends());
  const char *text = output_of(argv);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    const char *line = strstr(text, rows[i].mark), *value = line ? strstr(line, "\"value\":") : NULL;
    struct samples samples = {.n = 0};
    if (value)
      samples_add(&samples, strtod(value + 8, NULL));
    report(rows[i].metric, "1/s", &samples, &bares, rows[i].goal, 25000);
  }
}

static double stripped_size(const char *path)
{
  char name[600];
  struct stat st;
  (void) snprintf(name, sizeof(name), "%s/stripped", all.root);
  const char *argv[] = {"/usr/bin/strip", "-o", name, path, NULL};
  if (access(argv[0], X_OK) < 0 || access(path, R_OK) < 0)
    return 0;
  (void) output_of(argv);
  double size = stat(name, &st) == 0 ? (double) st.st_size : 0;
  (void) unlink(name);
  return size;
}

static void measure_size(const char *const *files)
{
  struct samples samples = {.n = 0};
  double sum = 0;
  for (const char *const *file = files; *file; file++)
    sum += stripped_size(*file);
  samples_add(&samples, sum / MIB);
  report("stripped_size", "MiB", &samples, NULL, GOAL_MAX, 3);
}

/* ---- Set-up --------------------------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
  (void) st;
  (void) type;
  (void) place;
  return remove(path);
}

static void set_up(void)
{
  const char *tmp = secure_getenv("TMPDIR"), *runs = secure_getenv("BENCH_RUNS");
  char *helper = realpath("sandbox", NULL), name[600];
  (void) snprintf(all.root, sizeof(all.root), "%s/magent-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(all.root))
    abort();
  (void) snprintf(all.log, sizeof(all.log), "%s/log", all.root);
  (void) snprintf(name, sizeof(name), "%s/defaults.json", all.root);
  FILE *file = fopen(name, "we");
  if (!file || fputs("{\"system\":\"Work.\",\"tools\":[{\"type\":\"agent_toolset_20260401\"}]}", file) < 0 ||
      fclose(file) != 0)
    abort();
  server = model_server_start();
  (void) snprintf(all.port, sizeof(all.port), "%d", server->port);
  (void) snprintf(all.url, sizeof(all.url), "http://127.0.0.1:%d", server->port);
  setenv("XDG_STATE_HOME", all.root, 1);
  setenv("XDG_CACHE_HOME", all.root, 1);
  setenv("MAGENT_CONF_DIR", all.root, 1);
  setenv("MAGENT_LIBEXEC_DIR", helper ? helper : "", 1);
  setenv("ANTHROPIC_BASE_URL", all.url, 1);
  setenv("ANTHROPIC_API_KEY", "bench-key", 1);
  all.runs = runs ? strtoul(runs, NULL, 10) : 5;
  if (all.runs < 1 || all.runs > 50)
    all.runs = 5;
  free(helper);
}

static bool wanted(const char *part)
{
  const char *only = secure_getenv("BENCH_ONLY");
  return !only || !*only || strstr(only, part);
}

int main(int argc, char **argv)
{
  if (argc > 1 && strcmp(argv[1], "--deltas") == 0)
    return delta_bench("plugins-0");
  if (argc > 1 && strcmp(argv[1], "--sessions") == 0)
    return sessions_bench("plugins-0", argc - 2, argv + 2);
  set_up();
  if (wanted("start"))
    measure_start();
  if (wanted("steps"))
    measure_steps();
  if (wanted("memory"))
    measure_memory();
  if (wanted("deltas"))
    measure_deltas();
  if (wanted("appends"))
    measure_appends();
  if (wanted("sessions"))
    session_figures(server, all.root, all.runs, 1);
  if (wanted("size"))
    measure_size((const char *const *) (uintptr_t) argv + 1);
  report_table();
  (void) nftw(all.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  return 0;
}
