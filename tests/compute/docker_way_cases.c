/* The way to a Docker engine that is not this machine's: TCP, and TLS with certificates of both sides. And its way to
 * a registry. */
#include "cases.h"

#include "engine.h"

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "host/call.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* An authority, and what it has signed for an engine (server.pem, with its key) and for who uses it (user/). */
static void make_certificates(const char *dir)
{
  host_shell(
      "set -e; mkdir -p '%s/user' '%s/stranger'; cd '%s'; exec 2> log\n"
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out user/ca.pem -subj /CN=test-authority\n"
      "echo 'subjectAltName=DNS:localhost' > names\n"
      "for who in server user; do\n"
      "  openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who\n"
      "  openssl x509 -req -in $who.csr -CA user/ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
      " -out $who.crt\n"
      "done\n"
      "cat server.crt server.key > server.pem\n"
      "cp user.crt user/cert.pem && cp user.key user/key.pem && cp user/ca.pem stranger/ca.pem",
      dir, dir, dir);
}

/* A relay to the engine's socket; its port. */
struct relay {
  pid_t pid;
  int port;
};

/* socat tells its port in its log. */
static int port_of(const char *log)
{
  char line[512];
  int port = 0;
  FILE *file = fopen(log, "re");
  while (file && !port && fgets(line, sizeof(line), file)) {
    const char *at = strstr(line, "listening on ");
    const char *colon = at ? strrchr(at, ':') : NULL;
    port = colon && strchr(line, '\n') ? (int) strtol(colon + 1, NULL, 10) : 0;
  }
  if (file)
    (void) fclose(file);
  return port;
}

static struct relay relay_start(const char *log, const char *listen)
{
  mag_autofree char *target = mag_sprintf("UNIX-CONNECT:%s", engine_socket());
  struct relay relay = {.pid = fork()};
  if (relay.pid == 0) {
    (void) setpgid(0, 0);
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails stops nothing */
    (void) execlp("socat", "socat", "-d", "-d", "-lf", log, listen, target, (char *) NULL);
    _exit(127);
  }
  for (int i = 0; i < 1000 && (relay.port = port_of(log)) == 0; i++) {
    ck_assert_msg(waitpid(relay.pid, NULL, WNOHANG) == 0, "socat %s ended", listen);
    (void) poll(NULL, 0, 10);
  }
  ck_assert_int_gt(relay.port, 0);
  return relay;
}

static void relay_stop(const struct relay *relay)
{
  (void) kill(-relay->pid, SIGKILL);
  ck_assert(waitpid(relay->pid, NULL, 0) == relay->pid);
}

static bool have_programs(void)
{
  if (host_has("socat") && host_has("openssl"))
    return true;
  (void) fprintf(stderr, "compute_test: SKIPPED: an engine behind TCP and TLS, which needs socat and openssl\n");
  return false;
}

static void open_at(struct rig *rig, int port, const char *more)
{
  static struct provider provider;
  static char config[512];
  (void) snprintf(config, sizeof(config),
                  "{\"helper\":\"%%HELPER%%\",\"host\":\"tcp://localhost:%d\",\"image\":\"%s\"%s}", port,
                  rig_environment("MAGENT_TEST_DOCKER_SMALL"), more);
  provider = (struct provider){.name = "docker", .config = config, .network = MBP_NET_NONE, .engine = true};
  rig_open(rig, &provider);
}

/* What goes over one connection in both directions at once, in bulk, and after a silence. */
static void work_there(struct rig *rig)
{
  enum { BIG = 3000000 };
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_file_info info;
  struct outcome outcome;
  mag_autobuf big = MAG_BUF_INIT, back = MAG_BUF_INIT;
  for (int i = 0; i < BIG; i++)
    mag_buf_add_char(&big, (char) (i * 7 + i / 251));
  rig_create(rig, "a", NULL);
  rig_sh(rig, "a", "echo out; echo err >&2; exit 7", NULL, &outcome);
  ck_assert_msg(outcome.r == 0 && outcome.result.exit_code == 7, "%d %s", outcome.r, outcome.err.message);
  ck_assert(out_is(&outcome, 1, "out\n") && out_is(&outcome, 2, "err\n"));
  outcome_done(&outcome);
  ck_assert_msg(rig_put(rig, "a", "new/big", mag_buf_str(&big), 0750, &err) == 0, "%s", err.message);
  ck_assert_msg(rig_get(rig, "a", "new/big", 0, &back, &info, &err) == 0, "%s", err.message);
  ck_assert(back.len == big.len && memcmp(back.ptr, big.ptr, big.len) == 0);
  ck_assert(info.mode == 0750 && info.length == BIG);
  rig_sh(rig, "a", "cat new/big; sleep 1; echo end >&2", NULL, &outcome);
  ck_assert(outcome.r == 0 && outcome.orderly && out_is(&outcome, 2, "end\n"));
  ck_assert(outcome.out[1].len == big.len && memcmp(outcome.out[1].ptr, big.ptr, big.len) == 0);
  outcome_done(&outcome);
  struct run_options reads = {.flags = MBP_EXEC_STDIN, .key = "reads"};
  struct background reader;
  rig_start(&reader, rig, "a", "wc -c", &reads);
  rig_wait_started(&reader);
  ck_assert_int_eq(rig_write(rig, "a", "reads", mag_buf_str(&big), MBP_STDIN_EOF, 20000, &err), 0);
  rig_join(&reader);
  ck_assert_msg(reader.outcome.r == 0 && out_is(&reader.outcome, 1, "3000000\n"), "%s", reader.outcome.err.message);
  outcome_done(&reader.outcome);
  rig_destroy(rig, "a");
}

START_TEST(an_engine_behind_tcp_works_as_one_behind_a_socket)
{
  struct rig rig;
  char log[64];
  if (!have_programs())
    return;
  engine_clear(engine_socket());
  (void) snprintf(log, sizeof(log), "/tmp/magent-relay-%d", (int) getpid());
  struct relay relay = relay_start(log, "TCP-LISTEN:0,bind=127.0.0.1,fork");
  open_at(&rig, relay.port, "");
  work_there(&rig);
  ck_assert(engine_has_containers(engine_socket(), 0, 15000));
  rig_close(&rig);
  relay_stop(&relay);
  (void) unlink(log);
}
END_TEST

static void expect_no_way(int port, const char *more, const char *told)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  open_at(&rig, port, more);
  ck_assert_msg(rig.why_not[0] && strstr(rig.why_not, told), "%s: %s", more, rig.why_not);
  ck_assert_int_lt(rig_try_create(&rig, "a", NULL, &info, &err), 0);
  rig_close(&rig);
}

START_TEST(an_engine_behind_tls_shows_its_certificate_and_asks_for_ours)
{
  struct rig rig;
  char dir[64];
  if (!have_programs())
    return;
  engine_clear(engine_socket());
  (void) snprintf(dir, sizeof(dir), "/tmp/magent-tls-%d", (int) getpid());
  make_certificates(dir);
  mag_autofree char *log = mag_sprintf("%s/relay", dir);
  mag_autofree char *listen =
      mag_sprintf("OPENSSL-LISTEN:0,bind=127.0.0.1,fork,cert=%s/server.pem,cafile=%s/user/ca.pem,verify=1", dir, dir);
  mag_autofree char *ours = mag_sprintf(",\"tls_verify\":\"1\",\"cert_path\":\"%s/user\"", dir);
  mag_autofree char *nobody = mag_sprintf(",\"tls_verify\":\"1\",\"cert_path\":\"%s/stranger\"", dir);
  struct relay relay = relay_start(log, listen);
  expect_no_way(relay.port, "", "DOCKER_TLS_VERIFY");
  expect_no_way(relay.port, ",\"tls_verify\":\"1\"", "certificate");
  expect_no_way(relay.port, nobody, "DOCKER_CERT_PATH");
  ck_assert_uint_eq(engine_containers(engine_socket()), 0);
  open_at(&rig, relay.port, ours);
  ck_assert_msg(!rig.why_not[0], "%s", rig.why_not);
  work_there(&rig);
  ck_assert(engine_has_containers(engine_socket(), 0, 15000));
  rig_close(&rig);
  relay_stop(&relay);
  rig_remove(dir);
}
END_TEST

/* ---- Images from a registry ------------------------------------------------------------------------------------- */

#define REGISTRY "127.0.0.1:5000" /* in the network of the engine, which trusts it there without TLS */

/* tests/compute/registry.py in a container that has the engine's own network. */
static void start_registry(void)
{
  mag_autobuf script = MAG_BUF_INIT, encoded = MAG_BUF_INIT;
  char chunk[4096];
  FILE *file = fopen(TEST_SRCDIR "/tests/compute/registry.py", "re");
  for (size_t n; file && (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
    mag_buf_add(&script, chunk, n);
  ck_assert_ptr_nonnull(file);
  (void) fclose(file);
  mag_base64_encode(&encoded, mag_buf_str(&script));
  mag_autofree char *body = mag_sprintf("{\"Image\":\"%s\",\"Tty\":true,\"Env\":[\"SCRIPT=%.*s\"],\"HostConfig\":{"
                                        "\"NetworkMode\":\"host\"},\"Cmd\":[\"python3\","
                                        "\"-c\",\"import base64,os;exec(base64.b64decode(os.environ['SCRIPT']))\"]}",
                                        rig_environment("MAGENT_TEST_DOCKER_IMAGE"), (int) encoded.len, encoded.ptr);
  ck_assert_int_eq(engine_send(engine_socket(), "POST", "/containers/create?name=registry", body, NULL), 201);
  ck_assert_int_eq(engine_request(engine_socket(), "POST", "/containers/registry/start", NULL), 204);
  for (int i = 0; i < 1000; i++) {
    mag_autobuf said = MAG_BUF_INIT;
    ck_assert_int_eq(engine_request(engine_socket(), "GET", "/containers/registry/logs?stdout=1&stderr=1", &said), 200);
    if (said.len && memmem(said.ptr, said.len, "ready", 5))
      return;
    (void) poll(NULL, 0, 20);
  }
  ck_abort_msg("the registry does not start");
}

struct pull {
  int told;        /* events about the image */
  int64_t percent; /* the highest that was told */
  bool orderly;    /* each named the image, and none was the one before once more */
  const char *image;
  char last[400];
};

static int on_pull(void *ctx, const struct mbp_event *event)
{
  struct pull *pull = ctx;
  if (event->type != MBP_EV_PROGRESS || event->data.len < 8 || memcmp(event->data.ptr, "pulling ", 8) != 0)
    return 0;
  pull->told++;
  pull->orderly &= memmem(event->data.ptr, event->data.len, pull->image, strlen(pull->image)) != NULL;
  pull->orderly &= !mbp_str_eq(event->data, pull->last);
  (void) snprintf(pull->last, sizeof(pull->last), "%.*s", (int) event->data.len, event->data.ptr);
  pull->percent = event->number > pull->percent ? event->number : pull->percent;
  return 0;
}

static int create_from(struct rig *rig, const char *key, struct pull *pull, struct mbp_error *err)
{
  pull->told = 0;
  pull->percent = -1;
  pull->orderly = true;
  pull->last[0] = 0;
  struct mag_call_options options = {.timeout_ms = 30000, .sink = on_pull, .ctx = pull};
  struct mbp_call *call = mag_call_new(&options);
  struct mbp_sandbox_spec spec = {.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
                                  .key = mbp_str(key),
                                  .network = MBP_NET_NONE,
                                  .image = mbp_str(pull->image)};
  int r = mag_call_wait(call, rig->ops->create(rig->instance, call, &spec, err), NULL, err);
  mag_call_unref(call);
  return r;
}

START_TEST(an_image_is_pulled_once_with_progress_and_a_spoilt_one_is_an_error)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct pull pull = {.image = REGISTRY "/whole:1"};
  if (!rig_environment("MAGENT_TEST_DOCKER_IMAGE")[0]) {
    (void) fprintf(stderr, "compute_test: SKIPPED: pulling an image: there is none with python3 for the registry\n");
    return;
  }
  engine_clear(engine_socket());
  (void) engine_request(engine_socket(), "DELETE", "/images/" REGISTRY "/whole:1?force=1", NULL);
  start_registry();
  rig_open(&rig, &providers[0]);
  ck_assert_msg(create_from(&rig, "a", &pull, &err) == 0, "%s", err.message);
  ck_assert_msg(pull.told > 2 && pull.orderly, "%d", pull.told);
  ck_assert_int_eq(pull.percent, 100);
  ck_assert_int_eq(create_from(&rig, "b", &pull, &err), 0);
  ck_assert_int_eq(pull.told, 0);
  rig_destroy(&rig, "a");
  rig_destroy(&rig, "b");
  pull.image = REGISTRY "/spoilt:1";
  ck_assert_int_lt(create_from(&rig, "a", &pull, &err), 0);
  ck_assert_msg(strstr(err.message, pull.image) && strstr(err.message, "verification failed"), "%s", err.message);
  pull.image = REGISTRY "/whole:absent";
  ck_assert_msg(create_from(&rig, "a", &pull, &err) == -MBP_E_NOT_FOUND, "%d %s", err.code, err.message);
  ck_assert_msg(strstr(err.message, pull.image) && strstr(err.message, "check its name"), "%s", err.message);
  ck_assert(engine_has_containers(engine_socket(), 1, 15000)); /* the registry */
  rig_close(&rig);
  engine_clear(engine_socket());
}
END_TEST

void add_docker_way_cases(Suite *suite)
{
  if (!n_providers || !providers[0].engine)
    return;
  TCase *tcase = tcase_create("way");
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, an_engine_behind_tcp_works_as_one_behind_a_socket);
  tcase_add_test(tcase, an_engine_behind_tls_shows_its_certificate_and_asks_for_ours);
  tcase_add_test(tcase, an_image_is_pulled_once_with_progress_and_a_spoilt_one_is_an_error);
  suite_add_tcase(suite, tcase);
}
