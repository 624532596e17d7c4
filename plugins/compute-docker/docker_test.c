/* The plugin's decoders, its requests and its messages, without an engine. */
#include "plugins/compute-docker/docker.h"
#include "../../tests/lib/run.h"
#include "plugins/compute-docker/progress.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "host/config.h"
#include "host/host.h"
#include "tests/lib/http_server.h"

#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern const struct mbp_plugin *docker_entry(void);

static const struct mbp_host *test_host(void)
{
  static const struct mbp_host *host;
  return host ? host : (host = mag_host_for("docker"));
}

/* ---- Streams ---------------------------------------------------------------------------------------------------- */

struct heard {
  struct mag_buf streams[3];
};

static int hear(void *ctx, unsigned stream, const char *data, size_t len)
{
  struct heard *heard = ctx;
  mag_buf_add(&heard->streams[stream], data, len);
  return 0;
}

static void heard_done(struct heard *heard)
{
  for (int i = 0; i < 3; i++)
    mag_buf_done(&heard->streams[i]);
}

START_TEST(an_exec_stream_is_taken_apart_wherever_it_is_cut)
{
  static const char bytes[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\3err\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1!";
  size_t len = sizeof(bytes) - 1;
  for (size_t cut = 0; cut <= len; cut++) {
    struct docker_stream stream = {0};
    struct heard heard = {0};
    ck_assert_int_eq(docker_stream_feed(&stream, bytes, cut, hear, &heard), 0);
    ck_assert_int_eq(docker_stream_feed(&stream, bytes + cut, len - cut, hear, &heard), 0);
    ck_assert(mbp_str_eq(mag_buf_str(&heard.streams[1]), "hello!"));
    ck_assert(mbp_str_eq(mag_buf_str(&heard.streams[2]), "err"));
    heard_done(&heard);
  }
}
END_TEST

START_TEST(what_is_no_exec_stream_is_refused)
{
  static const struct {
    const char *bytes;
    size_t len;
  } bad[] = {{"HTTP/1.1 200 OK", 15},
             {"\3\0\0\0\0\0\0\1x", 9},
             {"\0\0\0\0\0\0\0\1x", 9},
             {"\1\0\1\0\0\0\0\1x", 9},
             {"\1\0\0\0\377\377\377\377x", 9}};
  for (size_t i = 0; i < COUNT(bad); i++) {
    struct docker_stream stream = {0};
    struct heard heard = {0};
    ck_assert_int_lt(docker_stream_feed(&stream, bad[i].bytes, bad[i].len, hear, &heard), 0);
    ck_assert_uint_eq(heard.streams[1].len, 0);
    heard_done(&heard);
  }
}
END_TEST

static void add_frame(struct mag_buf *buf, uint32_t op, const void *head, size_t head_len, const char *data)
{
  struct mag_frame frame = {op, (uint32_t) (head_len + strlen(data))};
  mag_buf_add(buf, (const char *) &frame, sizeof(frame));
  mag_buf_add(buf, head, head_len);
  mag_buf_add_text(buf, data);
}

START_TEST(a_servers_answers_are_taken_apart_wherever_they_are_cut)
{
  mag_autobuf bytes = MAG_BUF_INIT;
  struct mag_frame_hello hello = {.magic = MAG_FRAME_MAGIC, .server = 7};
  struct mag_frame_output output = {.stream = 2, .offset = 5};
  struct mag_frame_end end = {.code = 3};
  add_frame(&bytes, MAG_FRAME_HELLO, &hello, sizeof(hello), "");
  add_frame(&bytes, MAG_FRAME_OUTPUT, &output, sizeof(output), "text");
  add_frame(&bytes, MAG_FRAME_END, &end, sizeof(end), "");
  for (size_t cut = 0; cut <= bytes.len; cut++) {
    struct mag_frame_reader reader = {0};
    struct mag_answer answer;
    int n = 0;
    for (int half = 0; half < 2; half++) {
      ck_assert_int_eq(mag_frame_feed(&reader, bytes.ptr + half * cut, half ? bytes.len - cut : cut), 0);
      for (int r; (r = mag_frame_next(&reader, &answer)) != 0; n++) {
        ck_assert_int_eq(r, 1);
        ck_assert_uint_eq(answer.op, n == 0 ? MAG_FRAME_HELLO : n == 1 ? MAG_FRAME_OUTPUT : MAG_FRAME_END);
        if (n == 1)
          ck_assert(answer.u.output.offset == 5 && mbp_str_eq(mbp_str_n(answer.data, answer.len), "text"));
      }
    }
    ck_assert_int_eq(n, 3);
    mag_frame_done(&reader);
  }
}
END_TEST

START_TEST(answers_that_no_server_gives_are_refused)
{
  struct mag_frame_end ends[] = {{.code = 256}, {.code = -1}, {.signal = 65}, {.dropped = -1}};
  struct mag_frame_output outputs[] = {{.stream = 3}, {.stream = 0}, {.stream = 1, .offset = -1}};
  struct mag_frame_failed failed = {.number = 0};
  struct mag_frame_process process;
  memset(&process, 'x', sizeof(process)); /* a key without an end */
  for (int i = 0; i < 11; i++) {
    mag_autobuf bytes = MAG_BUF_INIT;
    struct mag_frame_reader reader = {0};
    struct mag_answer answer;
    if (i < 4)
      add_frame(&bytes, MAG_FRAME_END, &ends[i], sizeof(ends[i]), "");
    else if (i < 7)
      add_frame(&bytes, MAG_FRAME_OUTPUT, &outputs[i - 4], sizeof(outputs[0]), "x");
    else if (i == 7)
      add_frame(&bytes, MAG_FRAME_FAILED, &failed, sizeof(failed), "");
    else if (i == 8)
      add_frame(&bytes, MAG_FRAME_END, &ends[0], 3, ""); /* too short */
    else if (i == 9)
      add_frame(&bytes, MAG_FRAME_EXEC, &ends[0], sizeof(ends[0]), ""); /* a request */
    else
      add_frame(&bytes, MAG_FRAME_PROCESS, &process, sizeof(process), "");
    ck_assert_int_eq(mag_frame_feed(&reader, bytes.ptr, bytes.len), 0);
    ck_assert_msg(mag_frame_next(&reader, &answer) < 0, "answer %d was taken", i);
    mag_frame_done(&reader);
  }
}
END_TEST

/* ---- Progress --------------------------------------------------------------------------------------------------- */

START_TEST(progress_of_a_pull_is_understood_wherever_it_is_cut)
{
  static const char text[] =
      "{\"status\":\"Pulling from library/python\",\"id\":\"3.12-slim\"}\r\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":50,\"total\":100},\"id\":\"aa\"}\r\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":100,\"total\":300},\"id\":\"bb\"}\r\n"
      "{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"aa\"}\r\n"
      "{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"unknown\"}\r\n"
      "not JSON at all\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":-1,\"total\":1e300},\"id\":\"bb\"}\r\n"
      "{\"errorDetail\":{\"message\":\"no space left on device\"},\"error\":\"no space\"}";
  const struct mbp_host *host = test_host();
  struct progress *progress = malloc(sizeof(*progress));
  for (size_t cut = 0; cut < sizeof(text); cut++) {
    progress_init(progress, host->get_interface(host->ctx, MBP_JSON_V1));
    (void) progress_feed(progress, text, cut);
    (void) progress_feed(progress, text + cut, sizeof(text) - 1 - cut);
    (void) progress_end(progress);
    ck_assert_int_eq(progress->percent, 50);
    ck_assert_str_eq(progress->status, "Downloading");
    ck_assert_str_eq(progress->error, "no space left on device");
  }
  free(progress);
}
END_TEST

START_TEST(a_long_download_is_told_in_few_lines_that_all_differ)
{
  const struct mbp_host *host = test_host();
  struct progress *progress = malloc(sizeof(*progress));
  char line[200], text[160], before[160] = "";
  int told = 0;
  progress_init(progress, host->get_interface(host->ctx, MBP_JSON_V1));
  for (int i = 1; i <= 1000; i++) {
    int n =
        snprintf(line, sizeof(line),
                 "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":%d,\"total\":25000000},\"id\":\"a\"}\n",
                 i * 25000);
    if (progress_feed(progress, line, (size_t) n) == 0)
      continue;
    progress_text(progress, text, sizeof(text));
    ck_assert_str_ne(text, before);
    memcpy(before, text, sizeof(before));
    told++;
  }
  ck_assert_msg(told >= 10 && told <= 12, "%d", told);
  ck_assert_str_eq(text, "Downloading 25.0 of 25.0 MB");
  free(progress);
}
END_TEST

START_TEST(a_line_of_progress_without_end_is_dropped)
{
  const struct mbp_host *host = test_host();
  struct progress *progress = malloc(sizeof(*progress));
  progress_init(progress, host->get_interface(host->ctx, MBP_JSON_V1));
  for (int i = 0; i < 3 * PROGRESS_LINE; i++)
    (void) progress_feed(progress, "x", 1);
  (void) progress_feed(progress, "\n{\"status\":\"Extracting\"}\n", 25);
  ck_assert_str_eq(progress->status, "Extracting");
  free(progress);
}
END_TEST

/* ---- Options, requests, messages --------------------------------------------------------------------------------- */

static struct mag_config_keeper {
  struct mbp_config *config;
} opened;

static int open_plugin(const char *json, struct mbp_instance **ret_instance, struct mbp_error *err)
{
  const struct mbp_plugin *plugin = docker_entry();
  int r = mag_config_new("docker", plugin->params, mbp_str(json), &opened.config, err);
  ck_assert_msg(r == 0, "%s", err->message);
  r = plugin->open(test_host(), opened.config, ret_instance, err);
  if (r < 0)
    mag_config_free(opened.config);
  return r;
}

static void close_plugin(struct mbp_instance *instance)
{
  docker_entry()->close(instance);
  mag_config_free(opened.config);
}

START_TEST(options_that_make_no_sense_are_refused_with_a_reason)
{
  static const struct {
    const char *json, *reason;
  } bad[] = {
      {"{\"host\":\"ssh://box\"}", "ssh -NL"},
      {"{\"host\":\"/var/run/docker.sock\"}", "unix:///PATH"},
      {"{\"host\":\"tcp://host:1/path\"}", "tcp://HOST:PORT"},
      {"{\"user\":\"bob\"}", "UID"},
      {"{\"user\":\"1:\"}", "UID"},
      {"{\"name_prefix\":\"-x\"}", "a letter first"},
      {"{\"bridge\":\"host\"}", "refused"},
      {"{\"bridge\":\"none\"}", "one of the engine's bridges"},
      {"{\"bridge\":\"container:other\"}", "refused"},
      {"{\"api_version\":\"1.12\"}", "1.40"},
      {"{\"host\":\"tcp://h:1\",\"tls_verify\":\"1\",\"cert_path\":\"/nowhere\"}", "ca.pem"},
  };
  for (size_t i = 0; i < COUNT(bad); i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_instance *instance = NULL;
    ck_assert_msg(open_plugin(bad[i].json, &instance, &err) < 0, "%s", bad[i].json);
    ck_assert_msg(strstr(err.message, bad[i].reason) != NULL, "%s: %s", bad[i].json, err.message);
  }
}
END_TEST

START_TEST(versions_are_numbers)
{
  ck_assert_int_eq(engine_version_number("1.41"), 1041);
  ck_assert_int_eq(engine_version_number("2.0"), 2000);
  static const char *const bad[] = {"",      "1", "1.", ".41", "1.41x", "v1.41", "1.4.1", "-1.4", "999999999999.1",
                                    "1.9999"};
  for (size_t i = 0; i < COUNT(bad); i++)
    ck_assert_msg(engine_version_number(bad[i]) == 0, "%s", bad[i]);
}
END_TEST

static bool is_one_word(const struct mbp_json *array, const char *word)
{
  return mag_json_count(array) == 1 && mbp_str_eq(mag_json_str(mag_json_first(array)), word);
}

START_TEST(a_container_is_hardened_unless_asked_otherwise)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_instance *instance = NULL;
  const struct mbp_pair env[] = {{{"HOME", 4}, {"/elsewhere", 10}}, {{"A", 1}, {"\"b\"", 3}}};
  struct mbp_sandbox_spec spec = {.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
                                  .key = mbp_str("k"),
                                  .network = MBP_NET_NONE,
                                  .pids = 40,
                                  .memory_bytes = 96 << 20,
                                  .cpu_millis = 1500,
                                  .env = env,
                                  .n_env = 2};
  ck_assert_int_eq(open_plugin("{\"helper\":\"/x\"}", &instance, &err), 0);
  char *body = spec_body(instance, &spec, "image", "m", &err);
  mag_autojson document = NULL;
  ck_assert_int_eq(mag_json_parse(mbp_str(body), &document, &err), 0);
  const struct mbp_json *host = mag_json_get(document, "HostConfig");
  ck_assert(is_one_word(mag_json_get(host, "CapDrop"), "ALL"));
  ck_assert(is_one_word(mag_json_get(host, "SecurityOpt"), "no-new-privileges"));
  ck_assert(mbp_str_eq(mag_json_str(mag_json_get(host, "NetworkMode")), "none"));
  ck_assert(mbp_str_eq(mag_json_str(mag_json_get(document, "User")), "1000:1000"));
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "PidsLimit"), 0), 40);
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "Memory"), 0), 96 << 20);
  ck_assert_int_eq(mag_json_num(mag_json_get(host, "NanoCpus"), 0), 1500000000);
  ck_assert(mag_json_truth(mag_json_get(host, "AutoRemove"), 0));
  ck_assert_ptr_null(mag_json_get(host, "Binds"));
  ck_assert_ptr_null(mag_json_get(host, "Privileged"));
  ck_assert_ptr_null(strstr(body, "docker.sock"));
  ck_assert_ptr_null(strstr(body, "HOME=" DOCKER_HOME));
  ck_assert_ptr_nonnull(strstr(body, "HOME=/elsewhere"));
  ck_assert_ptr_nonnull(strstr(body, "A=\\\"b\\\""));
  free(body);
  close_plugin(instance);
}
END_TEST

START_TEST(a_working_directory_is_one_that_its_user_can_be_given)
{
  static const char *const good[] = {"", "/workspace", "/home/magent", "/srv/a/b", "/tmpfiles", "/runner/x"};
  static const char *const bad[] = {"/",     "x",       "/a/../run",     "//run",          "/a/./b",
                                    "/tmp",  "/tmp/w",  "/dev/shm/w",    "/run",           "/run/magent",
                                    "/sys/", "/proc/1", "/run/magent/w", "/var/run/magent"};
  struct mbp_error err = MAG_ERROR_INIT;
  for (size_t i = 0; i < COUNT(good); i++)
    ck_assert_msg(spec_check_working_dir(mbp_str(good[i]), &err) == 0, "%s: %s", good[i], err.message);
  for (size_t i = 0; i < COUNT(bad); i++)
    ck_assert_msg(spec_check_working_dir(mbp_str(bad[i]), &err) == -MBP_E_INVALID, "%s", bad[i]);
}
END_TEST

static int ask_of(const char *scheme, const char *address, const char *more, struct mbp_error *err)
{
  char json[256];
  struct mbp_instance *instance = NULL;
  struct mbp_json *document = NULL;
  const struct ask ask = {0};
  (void) snprintf(json, sizeof(json), "{\"host\":\"%s://%s\"%s}", scheme, address, more);
  ck_assert_int_eq(open_plugin(json, &instance, err), 0);
  int r = engine_json(&instance->engine, NULL, "/version", &ask, 0, "version", &document, err);
  instance->engine.json->free(document);
  close_plugin(instance);
  return r;
}

static int ask_at(const char *path, struct mbp_error *err)
{
  return ask_of("unix", path, "", err);
}

/* As somebody who may not: root may everything. Before any other request, whose threads do not come along. */
static void expect_permission_denied(const char *path)
{
  pid_t pid = fork();
  if (pid == 0) {
    struct mbp_error err = MAG_ERROR_INIT;
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
      _exit(2);
    _exit(ask_at(path, &err) == -MBP_E_PERMISSION && strstr(err.message, "usermod -aG docker") ? 0 : 1);
  }
  int status = -1;
  ck_assert(waitpid(pid, &status, 0) == pid);
  ck_assert_int_eq(status, 0);
}

START_TEST(an_engine_that_is_not_there_is_told_with_a_cure)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  (void) snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/magent-docker-test-%d", (int) getpid());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0); /* and nobody listens */
  ck_assert_int_eq(chmod(address.sun_path, 0), 0);
  expect_permission_denied(address.sun_path);
  ck_assert_int_eq(chmod(address.sun_path, 0600), 0);
  ck_assert_int_eq(ask_at(address.sun_path, &err), -MBP_E_UNAVAILABLE);
  ck_assert_msg(strstr(err.message, "systemctl start docker"), "%s", err.message);
  (void) close(fd);
  (void) unlink(address.sun_path);
  ck_assert_int_eq(ask_at(address.sun_path, &err), -MBP_E_UNAVAILABLE);
  ck_assert_msg(strstr(err.message, "DOCKER_HOST") && strstr(err.message, "docker.io"), "%s", err.message);
}
END_TEST

/* What is at an engine's address and is none that will do. */
struct stranger {
  int status;
  const char *headers, *body; /* of the answer to _ping */
  const char *told;
};

static void answer_strangely(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  const struct stranger *stranger = ctx;
  (void) request;
  (void) test_reply(conn, stranger->status, stranger->headers, stranger->body);
}

START_TEST(what_is_no_engine_that_will_do_is_told_as_what_it_is)
{
  static struct stranger strangers[] = {
      {200, "Api-Version: 1.24\r\n", "OK", "too old: it speaks API 1.24, and 1.40 (Docker 19.03)"},
      {200, NULL, "<html>", "not as a Docker engine does: check DOCKER_HOST"},
      {200, "Api-Version: 1.4x\r\n", "OK", "not as a Docker engine does"},
      {400, NULL, "Client sent an HTTP request to an HTTPS server.\n", "DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"},
      {502, NULL, "{\"message\":\"bad gateway\"}", "bad gateway"},
  };
  for (size_t i = 0; i < COUNT(strangers); i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct test_server *server = test_server_new(answer_strangely, &strangers[i]);
    ck_assert_int_lt(ask_of("tcp", test_server_url(server) + strlen("http://"), "", &err), 0);
    ck_assert_msg(strstr(err.message, strangers[i].told) != NULL, "%zu: %s", i, err.message);
    ck_assert_uint_eq(test_server_count(server), 1);
    test_server_free(server);
  }
}
END_TEST

/* Hangs up after the first byte that it is sent, and ends with that as its status. */
static pid_t listen_for_a_byte(char *address, size_t cap)
{
  struct sockaddr_in bound = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(bound);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert(bind(fd, (struct sockaddr *) &bound, len) == 0 && listen(fd, 1) == 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &bound, &len), 0);
  (void) snprintf(address, cap, "127.0.0.1:%d", ntohs(bound.sin_port));
  pid_t pid = fork();
  if (pid == 0) {
    unsigned char byte = 255;
    int client = accept(fd, NULL, NULL);
    _exit(recv(client, &byte, 1, 0) == 1 ? byte : 255);
  }
  (void) close(fd);
  return pid;
}

START_TEST(an_address_without_an_engine_is_told_with_what_can_be_set)
{
  struct mbp_error err = MAG_ERROR_INIT;
  char address[64];
  int status = -1;
  pid_t pid = listen_for_a_byte(address, sizeof(address));
  ck_assert_int_eq(ask_of("tcp", address, ",\"tls_verify\":\"1\"", &err), -MBP_E_NETWORK);
  ck_assert_msg(strstr(err.message, address) && strstr(err.message, "DOCKER_CERT_PATH"), "%s", err.message);
  ck_assert(waitpid(pid, &status, 0) == pid);
  ck_assert_int_eq(WEXITSTATUS(status), 0x16); /* of TLS: nothing went there before */
  ck_assert_int_eq(ask_of("tcp", address, "", &err), -MBP_E_NETWORK);
  ck_assert_msg(strstr(err.message, address) && strstr(err.message, "check DOCKER_HOST"), "%s", err.message);
}
END_TEST

START_TEST(certificates_are_those_of_the_directory_or_of_the_home)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_instance *instance = NULL;
  char home[] = "/tmp/magent-docker-home-XXXXXX", directory[64], path[96];
  const char *json = "{\"host\":\"tcp://h:1\",\"tls_verify\":\"1\"}";
  ck_assert_ptr_nonnull(mkdtemp(home));
  mag_autofree char *before = plug_dup(mbp_str(secure_getenv("HOME")));
  ck_assert_int_eq(setenv("HOME", home, 1), 0);
  ck_assert_int_eq(open_plugin(json, &instance, &err), 0);
  ck_assert(!instance->engine.ca_file && !instance->engine.cert_file && !instance->engine.key_file);
  close_plugin(instance);
  (void) snprintf(directory, sizeof(directory), "%s/.docker", home);
  (void) snprintf(path, sizeof(path), "%s/ca.pem", directory);
  ck_assert_int_eq(mkdir(directory, 0700), 0);
  ck_assert_int_eq(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
  ck_assert_int_eq(open_plugin(json, &instance, &err), 0);
  ck_assert_str_eq(instance->engine.ca_file, path);
  ck_assert_ptr_null(instance->engine.cert_file);
  close_plugin(instance);
  ck_assert(unlink(path) == 0 && rmdir(directory) == 0 && rmdir(home) == 0);
  ck_assert_int_eq(setenv("HOME", before ? before : "/", 1), 0);
}
END_TEST

START_TEST(what_an_engine_says_is_passed_on_with_a_cure)
{
  struct mbp_error err = MAG_ERROR_INIT;
  static const struct {
    const char *message, *cure;
    int code;
  } said[] = {
      {"write /var/lib/docker/tmp/x: no space left on device", "docker system prune", MBP_E_NO_SPACE},
      {"client version 1.40 is too old. Minimum supported API version is 1.44", "api_version", MBP_E_UNSUPPORTED},
      {"client version 1.99 is too new. Maximum supported API version is 1.41", "api_version", MBP_E_UNSUPPORTED},
      {"Container abc is paused, unpause the container first", "resume", MBP_E_BUSY},
      {"exec format error", "another processor", MBP_E_UNSUPPORTED},
      {"manifest for x:1 not found: manifest unknown", "manifest unknown", MBP_E_NOT_FOUND},
      {"something else", "something else", MBP_E_UPSTREAM},
  };
  for (size_t i = 0; i < COUNT(said); i++) {
    ck_assert_int_eq(engine_say("what", mbp_str(said[i].message), MBP_E_UPSTREAM, &err), -said[i].code);
    ck_assert_msg(strstr(err.message, said[i].cure) != NULL, "%s", err.message);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("docker");
  TCase *tcase = tcase_create("all");
  tcase_add_test(tcase, an_exec_stream_is_taken_apart_wherever_it_is_cut);
  tcase_add_test(tcase, what_is_no_exec_stream_is_refused);
  tcase_add_test(tcase, a_servers_answers_are_taken_apart_wherever_they_are_cut);
  tcase_add_test(tcase, answers_that_no_server_gives_are_refused);
  tcase_add_test(tcase, progress_of_a_pull_is_understood_wherever_it_is_cut);
  tcase_add_test(tcase, a_long_download_is_told_in_few_lines_that_all_differ);
  tcase_add_test(tcase, a_line_of_progress_without_end_is_dropped);
  tcase_add_test(tcase, options_that_make_no_sense_are_refused_with_a_reason);
  tcase_add_test(tcase, versions_are_numbers);
  tcase_add_test(tcase, a_container_is_hardened_unless_asked_otherwise);
  tcase_add_test(tcase, a_working_directory_is_one_that_its_user_can_be_given);
  tcase_add_test(tcase, an_engine_that_is_not_there_is_told_with_a_cure);
  tcase_add_test(tcase, what_is_no_engine_that_will_do_is_told_as_what_it_is);
  tcase_add_test(tcase, an_address_without_an_engine_is_told_with_what_can_be_set);
  tcase_add_test(tcase, certificates_are_those_of_the_directory_or_of_the_home);
  tcase_add_test(tcase, what_an_engine_says_is_passed_on_with_a_cure);
  suite_add_tcase(suite, tcase);
  return run_suite(suite);
}
