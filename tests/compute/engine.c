#include "engine.h"

#include "rig.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

const char *engine_socket(void)
{
  const char *host = rig_environment("MAGENT_TEST_DOCKER");
  return strncmp(host, "unix://", 7) == 0 ? host + 7 : host;
}

void engine_script(const char *verb, const char *dir, const char *const *arguments)
{
  const char *argv[12] = {"sudo", "-n", TEST_SRCDIR "/scripts/docker-engine", verb, dir};
  size_t n = 5;
  for (; arguments && *arguments && n < MAG_COUNT(argv) - 1; arguments++)
    argv[n++] = *arguments;
  const char **first = geteuid() == 0 ? argv + 2 : argv;
  pid_t pid = fork();
  if (pid == 0) {
    (void) execvp(first[0], (char *const *) (uintptr_t) first);
    _exit(127);
  }
  int status = -1;
  ck_assert(waitpid(pid, &status, 0) == pid);
  ck_assert_msg(status == 0, "docker-engine %s %s: %d", verb, dir, status);
}

void engine_kill(void)
{
  engine_script("kill", rig_environment("MAGENT_TEST_DOCKER_DIR"), NULL);
}

void engine_start(void)
{
  engine_script("start", rig_environment("MAGENT_TEST_DOCKER_DIR"), NULL);
}

static int dial(const char *socket_path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_msg(connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0, "no engine at %s", socket_path);
  return fd;
}

/* HTTP/1.0: the answer ends with the connection and has no chunks. */
int engine_request(const char *socket_path, const char *method, const char *path, struct mag_buf *ret_body)
{
  return engine_send(socket_path, method, path, "", ret_body);
}

int engine_send(const char *socket_path, const char *method, const char *path, const char *json,
                struct mag_buf *ret_body)
{
  mag_autobuf answer = MAG_BUF_INIT;
  mag_autoclose int fd = dial(socket_path);
  mag_autofree char *request = mag_sprintf("%s %s HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\n"
                                           "Content-Length: %zu\r\n\r\n%s",
                                           method, path, strlen(json), json);
  char chunk[8192];
  ssize_t n;
  ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t) strlen(request));
  while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
    mag_buf_add(&answer, chunk, (size_t) n);
  mag_buf_add_char(&answer, 0);
  const char *body = strstr(answer.ptr, "\r\n\r\n");
  ck_assert_msg(body && strncmp(answer.ptr, "HTTP/1.", 7) == 0, "%s %s: %s", method, path, answer.ptr);
  if (ret_body)
    mag_buf_add_text(ret_body, body + 4);
  return (int) strtol(answer.ptr + 9, NULL, 10);
}

static struct mbp_json *containers(const char *socket_path)
{
  mag_autobuf body = MAG_BUF_INIT;
  struct mbp_json *list = NULL;
  ck_assert_int_eq(engine_request(socket_path, "GET", "/containers/json?all=1", &body), 200);
  ck_assert_int_eq(mag_json_parse(mag_buf_str(&body), &list, NULL), 0);
  return list;
}

size_t engine_containers(const char *socket_path)
{
  mag_autojson list = containers(socket_path);
  return mag_json_count(list);
}

bool engine_has_containers(const char *socket_path, size_t number, int64_t wait_ms)
{
  int64_t until = mag_clock_monotonic_ms() + wait_ms;
  while (engine_containers(socket_path) != number) {
    if (mag_clock_monotonic_ms() > until)
      return false;
    (void) poll(NULL, 0, 20);
  }
  return true;
}

void engine_clear(const char *socket_path)
{
  mag_autojson list = containers(socket_path);
  for (const struct mbp_json *one = mag_json_first(list); one; one = mag_json_next(one)) {
    mag_autofree char *path = mag_sprintf("/containers/%s?force=1", mag_json_str(mag_json_get(one, "Id")).ptr);
    (void) engine_request(socket_path, "DELETE", path, NULL);
  }
  ck_assert(engine_has_containers(socket_path, 0, 20000));
}

const char *engine_only_container(const char *socket_path)
{
  static char id[128];
  mag_autojson list = containers(socket_path);
  ck_assert_uint_eq(mag_json_count(list), 1);
  (void) snprintf(id, sizeof(id), "%s", mag_json_str(mag_json_get(mag_json_first(list), "Id")).ptr);
  return id;
}
