#include "session_figures.h"

#include "base/clock.h"
#include "client.h"
#include "report.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)
#define WORKERS 200 /* sessions that run at once */
#define TURNS 3
#define WAIT_S 120

static struct {
  struct model_server *server;
  const char *root;
  size_t runs, scale;
  char output[4096];
} all;

/* A fresh state directory for each process. */
static void start(struct client *client, const char *const *argv, char *log, size_t size)
{
  static unsigned number;
  char state[600];
  (void) snprintf(state, sizeof(state), "%s/sessions%u", all.root, ++number);
  (void) mkdir(state, 0700);
  (void) setenv("XDG_STATE_HOME", state, 1);
  (void) snprintf(log, size, "%s/output%u", all.root, number);
  client_start(client, argv, log);
}

static void take_output(const char *log)
{
  int fd = open(log, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, all.output, sizeof(all.output) - 1);
  all.output[n < 0 ? 0 : n] = 0;
  if (fd >= 0)
    close(fd);
}

#define PART(...) ((const char *const[]){"tests/bench/agent_bench", "--sessions", __VA_ARGS__, NULL})

static void run(const char *const *argv)
{
  struct client client;
  char log[640];
  start(&client, argv, log, sizeof(log));
  client_wait(&client);
  take_output(log);
}

/* What the last part printed as "name value". */
static double figure(const char *name)
{
  size_t len = strlen(name);
  for (const char *line = all.output; line && *line; line = strchr(line, '\n'), line += line != NULL)
    if (strncmp(line, name, len) == 0 && line[len] == ' ')
      return strtod(line + len, NULL);
  fprintf(stderr, "no figure \"%s\" in: %s\n", name, all.output);
  exit(1);
}

static const char *scaled(size_t n)
{
  static char texts[4][24];
  static unsigned turn;
  char *text = texts[turn++ % 4];
  (void) snprintf(text, sizeof(texts[0]), "%zu", n / all.scale ? n / all.scale : 1);
  return text;
}

/* ---- One session ---------------------------------------------------------------------------------------------- */

/* The least that makes something durable: a file made, written and flushed, and its name. */
static double bare_create(void)
{
  struct samples samples = {.n = 0};
  char name[640], text[1024];
  int directory = open(all.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  memset(text, 'x', sizeof(text));
  for (int i = 0; i < 50; i++) {
    int64_t begun = mag_clock_monotonic_ns();
    (void) snprintf(name, sizeof(name), "%s/bare%d", all.root, i);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, sizeof(text)) < 0 || fdatasync(fd) < 0 || fsync(directory) < 0)
      abort();
    close(fd);
    samples_add(&samples, (double) (mag_clock_monotonic_ns() - begun) / 1e6);
    (void) unlink(name);
  }
  close(directory);
  return samples_median(&samples);
}

static void measure_create(void)
{
  struct samples own = {.n = 0}, bare = {.n = 0};
  for (size_t i = 0; i < all.runs; i++) {
    run(PART("create", "200"));
    samples_add(&own, figure("create"));
    samples_add(&bare, bare_create());
  }
  report("create_session", "ms", &own, &bare, GOAL_MAX, 0.5);
}

static void measure_resume(const char *metric, const char *fork_metric, const char *records, const char *times,
                           enum report_goal goal, double target)
{
  struct samples own = {.n = 0}, fork = {.n = 0};
  for (size_t i = 0; i < all.runs; i++) {
    run(PART("resume", records, times));
    samples_add(&own, figure("resume"));
    samples_add(&fork, figure("fork"));
  }
  report(metric, "ms", &own, NULL, goal, target);
  report(fork_metric, "ms", &fork, NULL, GOAL_NONE, 0);
}

static void measure_list(void)
{
  struct samples newest = {.n = 0}, filtered = {.n = 0};
  run(PART("list", scaled(100000), "100"));
  samples_add(&newest, figure("list"));
  samples_add(&filtered, figure("list_filtered"));
  report("list_50_of_100000_sessions", "ms", &newest, NULL, GOAL_MAX, 5);
  report("list_50_of_100000_filtered", "ms", &filtered, NULL, GOAL_MAX, 5);
}

/* ---- Many sessions -------------------------------------------------------------------------------------------- */

static void measure_idle(void)
{
  struct samples all_of_them = {.n = 0}, each = {.n = 0};
  run(PART("idle", scaled(10000)));
  samples_add(&all_of_them, figure("idle") / MIB);
  samples_add(&each, figure("idle_each") / 1024);
  report("memory_10000_idle_sessions", "MiB", &all_of_them, NULL, GOAL_MAX, 160e6 / MIB);
  report("memory_of_an_idle_session", "KiB", &each, NULL, GOAL_NONE, 0);
}

/* All have asked, and nobody is answered. What the sessions cost is memory that belongs to no file; the pages of
 * libraries, which every program that loads them shares, are in the figure of the whole process. */
static void measure_waiting(void)
{
  struct samples own = {.n = 0}, whole = {.n = 0};
  size_t sessions = WORKERS / all.scale;
  for (size_t i = 0; i < (all.runs + 1) / 2; i++) {
    struct client client;
    char log[640];
    model_server_reset(all.server, 0);
    all.server->silent = true;
    start(&client, PART("turns", scaled(WORKERS), "local", "1"), log, sizeof(log));
    for (int left = WAIT_S * 100; all.server->n_requests < sessions && left > 0; left--)
      (void) poll(NULL, 0, 10);
    if (all.server->n_requests < sessions) {
      fprintf(stderr, "only %zu of %zu sessions asked\n", all.server->n_requests, sessions);
      exit(1);
    }
    (void) poll(NULL, 0, 100); /* the last one's thread is on its way into the wait */
    samples_add(&own, (double) client_anonymous_pss(client.pid) / MIB);
    samples_add(&whole, (double) client_pss(client.pid) / MIB);
    client_stop(&client);
  }
  report("memory_200_waiting_sessions", "MiB", &own, NULL, GOAL_MAX, 20e6 / MIB);
  report("memory_200_waiting_with_libraries", "MiB", &whole, NULL, GOAL_NONE, 0);
}

/* Looks at the process now and then while it runs: of the runs for time, none. */
struct peak {
  struct client client;
  int64_t own, tree;
};

static void look(void *ctx, size_t number)
{
  struct peak *peak = ctx;
  if (number % (WORKERS / 2))
    return;
  int64_t own = client_pss(peak->client.pid), tree = client_tree_pss(peak->client.pid);
  peak->own = own > peak->own ? own : peak->own;
  peak->tree = tree > peak->tree ? tree : peak->tree;
}

static void measure_turns(const char *compute, const char *relaxed, double target_s)
{
  static char metrics[16][64];
  static size_t n_metrics;
  struct samples wall = {.n = 0}, cpu = {.n = 0}, own = {.n = 0}, tree = {.n = 0};
  for (size_t i = 0; i < all.runs; i++) {
    model_server_reset(all.server, 0);
    all.server->by_turn = true;
    run(PART("turns", scaled(WORKERS), compute, "3", relaxed));
    samples_add(&wall, figure("wall"));
    samples_add(&cpu, figure("cpu"));
  }
  const char *how = relaxed ? "_not_durable" : "";
  char *metric = metrics[n_metrics++];
  (void) snprintf(metric, sizeof(metrics[0]), "200x3_turns_%s%s", compute, how);
  report(metric, "s", &wall, NULL, relaxed ? GOAL_NONE : GOAL_MAX, target_s);
  metric = metrics[n_metrics++];
  (void) snprintf(metric, sizeof(metrics[0]), "200x3_turns_%s%s_cpu", compute, how);
  report(metric, "s", &cpu, NULL, GOAL_NONE, 0);
  if (relaxed)
    return;
  struct peak peak = {.own = 0};
  char log[640];
  model_server_reset(all.server, 0);
  all.server->by_turn = true;
  all.server->ctx = &peak;
  all.server->arrived = look;
  start(&peak.client, PART("turns", scaled(WORKERS), compute, "3"), log, sizeof(log));
  client_wait(&peak.client);
  samples_add(&own, (double) peak.own / MIB);
  samples_add(&tree, (double) peak.tree / MIB);
  metric = metrics[n_metrics++];
  (void) snprintf(metric, sizeof(metrics[0]), "200x3_turns_%s_peak_pss", compute);
  report(metric, "MiB", &own, NULL, GOAL_NONE, 0);
  metric = metrics[n_metrics++];
  (void) snprintf(metric, sizeof(metrics[0]), "200x3_turns_%s_peak_pss_tree", compute);
  report(metric, "MiB", &tree, NULL, GOAL_NONE, 0);
}

void session_figures(struct model_server *server, const char *root, size_t runs, size_t scale)
{
  char state[600];
  const char *before = secure_getenv("XDG_STATE_HOME");
  (void) snprintf(state, sizeof(state), "%s", before ? before : "");
  all.server = server;
  all.root = root;
  all.runs = runs;
  all.scale = scale;
  measure_create();
  measure_resume("resume_1000_records", "fork_1000_records", "1000", "50", GOAL_MAX, 5);
  measure_resume("resume_10000_records", "fork_10000_records", "10000", "10", GOAL_MAX, 50);
  measure_list();
  measure_idle();
  measure_waiting();
  measure_turns("local", NULL, 1);
  measure_turns("local", "relaxed", 0);
  measure_turns("bubblewrap", NULL, 3);
  measure_turns("bubblewrap", "relaxed", 0);
  (void) setenv("XDG_STATE_HOME", state, 1);
}
