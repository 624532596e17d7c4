/* docker_bench - what magent costs on a Docker engine, beside the bare calls of the engine's API and beside the docker
 * command, all turn about on the same engine.
 *
 *   docker_bench   in the build directory, with MAGENT_TEST_DOCKER=unix://SOCKET and MAGENT_TEST_DOCKER_SMALL=IMAGE, as
 *                  `scripts/docker-engine run DIR make bench` sets them. BENCH_RUNS=N for other than 5 rounds of 10
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "client.h"
#include "host/instance.h"
#include "loader/registry.h"
#include "report.h"

#include <fcntl.h>
#include <limits.h>
#include <magent/mbp-compute.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUND 10
#define FILE_BYTES 65536
#define ADDED_MS 2 /* to the bare calls of an exec */

static struct {
  const char *host, *socket_path, *image;
  struct mag_instance *compute;
  const struct mbp_compute_ops *ops;
  char id[256];            /* magent's sandbox */
  char container[128];     /* the one of the bare calls and of the docker command */
  char file[64], copy[64]; /* on this machine */
  char content[FILE_BYTES];
  size_t runs;
} all;

static void need(bool fine, const char *what, const char *why)
{
  if (fine)
    return;
  fprintf(stderr, "docker_bench: %s: %s\n", what, why);
  exit(1);
}

static double ms_since(int64_t begun_ns)
{
  return (double) (mag_clock_monotonic_ns() - begun_ns) / 1e6;
}

/* ---- By magent --------------------------------------------------------------------------------------------------- */

static int keep_id(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_sandbox_info *info = result;
  (void) ctx;
  (void) err;
  (void) snprintf(all.id, sizeof(all.id), "%.*s", (int) info->id.len, info->id.ptr);
  return 0;
}

static int keep_code(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_exec_result *exit_of = result;
  (void) err;
  *(int *) ctx = exit_of->reason == MBP_EXIT_EXITED ? exit_of->exit_code : -1;
  return 0;
}

static void magent_create(void)
{
  static unsigned number;
  struct mbp_error err = MAG_ERROR_INIT;
  char key[64];
  (void) snprintf(key, sizeof(key), "bench-%d-%u", (int) getpid(), number++);
  struct mbp_sandbox_spec spec = {.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
                                  .key = mbp_str(key),
                                  .session = mbp_str("sesn_bench"),
                                  .network = MBP_NET_NONE,
                                  .lifetime_ms = 600000};
  struct mag_call_options options = {.timeout_ms = 60000, .on_result = keep_id};
  int r = MAG_RUN(all.compute, &options, &err, all.ops->create(plugin, call, &spec, &err));
  need(r == 0, "create", err.message);
}

static void magent_exec(void)
{
  static unsigned number;
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mbp_str argv[] = {mbp_str("true")};
  char key[32];
  int code = -1;
  (void) snprintf(key, sizeof(key), "p%u", number++);
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool), .key = mbp_str(key), .argv = argv, .n_argv = 1};
  struct mag_call_options options = {.timeout_ms = 60000, .on_result = keep_code, .ctx = &code};
  int r = MAG_RUN(all.compute, &options, &err, all.ops->exec(plugin, call, mbp_str(all.id), &exec, &err));
  need(r == 0 && code == 0, "exec", err.message);
}

struct source {
  size_t at;
};

static int64_t read_content(void *ctx, void *buf, size_t cap)
{
  struct source *source = ctx;
  size_t n = MAG_MIN(cap, FILE_BYTES - source->at);
  memcpy(buf, all.content + source->at, n);
  source->at += n;
  return (int64_t) n;
}

static int count_bytes(void *ctx, const struct mbp_event *event)
{
  *(size_t *) ctx += event->type == MBP_EV_FILE_DATA ? event->data.len : 0;
  return 0;
}

static void magent_files(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct source source = {0};
  size_t got = 0;
  struct mbp_put put = {.size = MBP_SIZE(struct mbp_put, ctx),
                        .mode = 0644,
                        .path = mbp_str("bench.file"),
                        .length = FILE_BYTES,
                        .read = read_content,
                        .ctx = &source};
  struct mag_call_options putting = {.timeout_ms = 60000},
                          getting = {.timeout_ms = 60000, .sink = count_bytes, .ctx = &got};
  int r = MAG_RUN(all.compute, &putting, &err, all.ops->put(plugin, call, mbp_str(all.id), &put, &err));
  if (r == 0)
    r = MAG_RUN(all.compute, &getting, &err, all.ops->get(plugin, call, mbp_str(all.id), put.path, 0, &err));
  need(r == 0 && got == FILE_BYTES, "put and get", err.message);
}

static void magent_destroy(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.timeout_ms = 60000};
  int r = MAG_RUN_CONTROL(all.compute, &options, &err, all.ops->destroy(plugin, call, mbp_str(all.id), &err));
  need(r == 0, "destroy", err.message);
}

/* ---- By bare calls --------------------------------------------------------------------------------------------- */

/* One call on a connection of its own; what it answers, behind its head. HTTP/1.0: no chunks. */
static struct mag_buf call_api(const char *method, const char *path, const char *type, struct mbp_str body)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct mag_buf answer = MAG_BUF_INIT;
  char head[1024], chunk[65536];
  ssize_t n;
  (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", all.socket_path);
  (void) snprintf(head, sizeof(head),
                  "%s %s HTTP/1.0\r\nHost: engine\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", method, path,
                  type, body.len);
  mag_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  need(connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0, "no engine at", all.socket_path);
  need(send(fd, head, strlen(head), MSG_NOSIGNAL) > 0, method, path);
  need(body.len == 0 || send(fd, body.ptr, body.len, MSG_NOSIGNAL) == (ssize_t) body.len, method, path);
  while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
    mag_buf_add(&answer, chunk, (size_t) n);
  mag_buf_add_char(&answer, 0);
  need(answer.len > 12 && answer.ptr[9] == '2', path, answer.ptr);
  const char *end = strstr(answer.ptr, "\r\n\r\n");
  need(end != NULL, path, answer.ptr);
  mag_buf_consume(&answer, (size_t) (end - answer.ptr) + 4);
  answer.len--; /* without our 0 */
  return answer;
}

static void id_from(const struct mag_buf *answer, char *id, size_t cap)
{
  mag_autojson json = NULL;
  need(mag_json_parse(mag_buf_str(answer), &json, NULL) == 0, "answer", answer->ptr);
  (void) snprintf(id, cap, "%s", mag_json_str(mag_json_get(json, "Id")).ptr);
}

static void bare_create(void)
{
  char body[512], path[256];
  (void) snprintf(
      body, sizeof(body),
      "{\"Image\":\"%s\",\"Cmd\":[\"sleep\",\"600\"],\"HostConfig\":{\"NetworkMode\":\"none\",\"Init\":true,"
      "\"CapDrop\":[\"ALL\"],\"SecurityOpt\":[\"no-new-privileges\"]}}",
      all.image);
  mag_autobuf created = call_api("POST", "/containers/create", "application/json", mbp_str(body));
  id_from(&created, all.container, sizeof(all.container));
  (void) snprintf(path, sizeof(path), "/containers/%s/start", all.container);
  mag_autobuf started = call_api("POST", path, "application/json", mbp_str(""));
}

static void bare_exec(void)
{
  char path[256], exec[128];
  (void) snprintf(path, sizeof(path), "/containers/%s/exec", all.container);
  mag_autobuf created = call_api("POST", path, "application/json",
                                 mbp_str("{\"AttachStdout\":true,\"AttachStderr\":true,\"Cmd\":[\"true\"]}"));
  id_from(&created, exec, sizeof(exec));
  (void) snprintf(path, sizeof(path), "/exec/%s/start", exec);
  mag_autobuf output = call_api("POST", path, "application/json", mbp_str("{\"Detach\":false,\"Tty\":false}"));
  (void) snprintf(path, sizeof(path), "/exec/%s/json", exec);
  mag_autobuf ended = call_api("GET", path, "application/json", mbp_str(""));
  need(strstr(ended.ptr, "\"ExitCode\":0") != NULL, path, ended.ptr);
}

/* A tar of one file: its head is all zero but for name, mode, size and sum. */
static struct mag_buf tar_of_file(void)
{
  struct mag_buf tar = MAG_BUF_INIT;
  char head[512] = {0}, end[1024] = {0};
  unsigned sum = 0;
  (void) snprintf(head, 100, "bench.file");
  (void) snprintf(head + 100, 8, "%07o", 0644u);
  (void) snprintf(head + 108, 8, "%07o", 0u);
  (void) snprintf(head + 116, 8, "%07o", 0u);
  (void) snprintf(head + 124, 12, "%011o", (unsigned) FILE_BYTES);
  (void) snprintf(head + 136, 12, "%011o", 0u);
  memset(head + 148, ' ', 8);
  head[156] = '0';
  memcpy(head + 257, "ustar\00000", 8);
  for (size_t i = 0; i < sizeof(head); i++)
    sum += (unsigned char) head[i];
  (void) snprintf(head + 148, 8, "%06o", sum);
  mag_buf_add(&tar, head, sizeof(head));
  mag_buf_add(&tar, all.content, FILE_BYTES);
  mag_buf_add(&tar, end, sizeof(end));
  return tar;
}

static void bare_files(void)
{
  char path[256];
  mag_autobuf tar = tar_of_file();
  (void) snprintf(path, sizeof(path), "/containers/%s/archive?path=/tmp", all.container);
  mag_autobuf put = call_api("PUT", path, "application/x-tar", mag_buf_str(&tar));
  (void) snprintf(path, sizeof(path), "/containers/%s/archive?path=/tmp/bench.file", all.container);
  mag_autobuf got = call_api("GET", path, "application/json", mbp_str(""));
  need(got.len > FILE_BYTES, path, "too short");
}

static void bare_destroy(void)
{
  char path[256];
  (void) snprintf(path, sizeof(path), "/containers/%s?force=1", all.container);
  mag_autobuf answer = call_api("DELETE", path, "application/json", mbp_str(""));
}

/* ---- By the docker command ------------------------------------------------------------------------------------- */

static void docker(const char *const *arguments, const char *output)
{
  const char *argv[32] = {"docker", "--host", all.host};
  size_t n = 3;
  struct client client;
  while (*arguments && n < MAG_COUNT(argv) - 1)
    argv[n++] = *arguments++;
  client_start(&client, argv, output);
  client_wait(&client);
}

static void command_create(void)
{
  char name[64];
  (void) unlink(all.copy);
  docker((const char *const[]){"run", "--detach", "--init", "--network", "none", "--cap-drop", "ALL", "--security-opt",
                               "no-new-privileges", all.image, "sleep", "600", NULL},
         all.copy);
  int fd = open(all.copy, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, name, 64);
  if (fd >= 0)
    close(fd);
  need(n == 64, "docker run", "no id");
  (void) snprintf(all.container, sizeof(all.container), "%.*s", (int) n, name);
}

static void command_exec(void)
{
  docker((const char *const[]){"exec", all.container, "true", NULL}, "/dev/null");
}

static void command_files(void)
{
  char inside[256];
  (void) snprintf(inside, sizeof(inside), "%s:/tmp/bench.file", all.container);
  docker((const char *const[]){"cp", "--quiet", all.file, inside, NULL}, "/dev/null");
  docker((const char *const[]){"cp", "--quiet", inside, all.copy, NULL}, "/dev/null");
}

/* ---- Turn about ------------------------------------------------------------------------------------------------ */

struct way {
  void (*create)(void), (*exec)(void), (*files)(void), (*destroy)(void);
  struct samples first, again, file;
};

/* A sandbox from nothing to the end of its first command; then commands and files in it. */
static void measure(struct way *way)
{
  int64_t begun = mag_clock_monotonic_ns();
  way->create();
  way->exec();
  samples_add(&way->first, ms_since(begun));
  for (size_t i = 0; i < ROUND; i++) {
    begun = mag_clock_monotonic_ns();
    way->exec();
    samples_add(&way->again, ms_since(begun));
    begun = mag_clock_monotonic_ns();
    way->files();
    samples_add(&way->file, ms_since(begun));
  }
  way->destroy();
}

static void report_added(const char *metric, const struct samples *own, const struct samples *bare)
{
  struct samples added = {.n = 0};
  samples_add(&added, samples_median(own) - samples_median(bare));
  report(metric, "ms", &added, NULL, GOAL_MAX, ADDED_MS);
}

static void measure_all(bool have_command)
{
  static struct way own = {
      .create = magent_create, .exec = magent_exec, .files = magent_files, .destroy = magent_destroy};
  static struct way bare = {.create = bare_create, .exec = bare_exec, .files = bare_files, .destroy = bare_destroy};
  static struct way command = {
      .create = command_create, .exec = command_exec, .files = command_files, .destroy = bare_destroy};
  for (size_t i = 0; i < all.runs; i++) {
    measure(&own);
    measure(&bare);
    if (have_command)
      measure(&command);
  }
  report("docker_create_to_first_command", "ms", &own.first, &bare.first, GOAL_NONE, 0);
  report("docker_exec_round_trip", "ms", &own.again, &bare.again, GOAL_NONE, 0);
  report_added("docker_exec_added_to_bare_calls", &own.again, &bare.again);
  report("docker_file_round_trip", "ms", &own.file, &bare.file, GOAL_NONE, 0);
  report("docker_create_to_first_command_over_command", "ms", &own.first, &command.first, GOAL_NONE, 0);
  report("docker_exec_round_trip_over_command", "ms", &own.again, &command.again, GOAL_NONE, 0);
  report("docker_file_round_trip_over_command", "ms", &own.file, &command.file, GOAL_NONE, 0);
}

/* ---- Set-up ---------------------------------------------------------------------------------------------------- */

static struct mag_registry *open_compute(void)
{
  const char *const dirs[] = {"plugins-0", NULL};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_registry *registry = NULL;
  const struct mag_plugin *found = NULL;
  mag_autofree char *helper = realpath("sandbox/magent-sandbox", NULL);
  mag_autofree char *config =
      mag_sprintf("{\"host\":\"%s\",\"image\":\"%s\",\"helper\":\"%s\"}", all.host, all.image, helper ? helper : "");
  int r = mag_registry_new(dirs, NULL, &registry, &err);
  if (r == 0)
    r = mag_registry_find(registry, MBP_KIND_COMPUTE, "docker", &found, &err);
  if (r == 0)
    r = mag_instance_open(&found->descriptor, mbp_str(config), &all.compute, &err);
  need(r == 0, "compute-docker", err.message);
  all.ops = mag_instance_ops(all.compute);
  return registry;
}

static void make_files(void)
{
  for (size_t i = 0; i < FILE_BYTES; i++)
    all.content[i] = (char) (i * 7);
  (void) snprintf(all.file, sizeof(all.file), "/tmp/magent-docker-bench-XXXXXX");
  int fd = mkostemp(all.file, O_CLOEXEC);
  need(fd >= 0 && write(fd, all.content, FILE_BYTES) == FILE_BYTES && close(fd) == 0, "cannot write", all.file);
  (void) snprintf(all.copy, sizeof(all.copy), "%.50s.copy", all.file);
}

static bool in_path(const char *program)
{
  const char *path = secure_getenv("PATH");
  char name[PATH_MAX];
  for (size_t n; path && *path; path += n + (path[n] == ':')) {
    n = strcspn(path, ":");
    (void) snprintf(name, sizeof(name), "%.*s/%s", (int) n, path, program);
    if (access(name, X_OK) == 0)
      return true;
  }
  return false;
}

int main(void)
{
  const char *runs = secure_getenv("BENCH_RUNS");
  all.host = secure_getenv("MAGENT_TEST_DOCKER");
  all.image = secure_getenv("MAGENT_TEST_DOCKER_SMALL");
  if (!all.host || !all.image || strncmp(all.host, "unix://", 7) != 0) {
    fprintf(stderr, "docker_bench: not measured: no Docker engine given; scripts/docker-engine run DIR make bench\n");
    return 0;
  }
  all.socket_path = all.host + 7;
  all.runs = runs ? strtoul(runs, NULL, 10) : 5;
  all.runs = all.runs < 1 || all.runs > 50 ? 5 : all.runs;
  make_files();
  struct mag_registry *registry = open_compute();
  bool have_command = in_path("docker");
  if (!have_command)
    fprintf(stderr, "docker_bench: no docker command: measured beside bare calls only\n");
  measure_all(have_command);
  report_table();
  mag_instance_close(all.compute);
  mag_registry_free(registry);
  (void) unlink(all.file);
  (void) unlink(all.copy);
  return 0;
}
