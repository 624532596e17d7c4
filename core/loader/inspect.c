#include "loader/inspect.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "loader/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX (4 << 20) /* bytes of JSON from one child */

extern char **environ;

static char *problem(const char *path, const char *text)
{
  return mag_sprintf("%s: %s", mag_path_shown(path), text);
}

/* stdin and stderr go nowhere, stdout is the pipe, signals are as in a fresh process; the child leads a group of its
 * own, so that what a plugin may have started ends with it. */
static int spawn(const char *exe, const char *path, int trust, int out, pid_t *ret_pid)
{
  char *argv[] = {(char *) "magent", (char *) "plugin", (char *) "query-child",
                  (char *) (trust == MAG_TRUST_GIVEN ? "given" : "checked"), (char *) path, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  if (posix_spawn_file_actions_init(&actions) != 0)
    return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  int r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (r == 0)
    r = posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (r == 0)
    r = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  if (r == 0)
    r = posix_spawnattr_setsigmask(&attributes, &none);
  if (r == 0)
    r = posix_spawnattr_setsigdefault(&attributes, &all);
  if (r == 0)
    r = posix_spawnattr_setpgroup(&attributes, 0);
  if (r == 0)
    r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  if (r == 0)
    r = posix_spawn(ret_pid, exe, &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return r;
}

/* Reads until the pipe ends. 0, or -MBP_E_TIMEOUT, -MBP_E_LIMIT. */
static int collect(int fd, int64_t deadline, struct mag_buf *answer)
{
  char piece[16384];
  for (;;) {
    int64_t left = deadline - mag_clock_monotonic_ms();
    struct pollfd p = {fd, POLLIN, 0};
    if (left <= 0)
      return -MBP_E_TIMEOUT;
    if (poll(&p, 1, (int) left) <= 0)
      continue; /* interrupted or too late: the deadline decides */
    ssize_t n = read(fd, piece, sizeof(piece));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -MBP_E_LOST : 0;
    if (answer->len + (size_t) n > ANSWER_MAX)
      return -MBP_E_LIMIT;
    mag_buf_add(answer, piece, (size_t) n);
  }
}

/* Waits for the child's end. Once the pipe has ended it is near, unless the plugin has closed the pipe itself. */
static int reap(pid_t pid, int64_t deadline, siginfo_t *ret_info)
{
  int r;
  for (;;) {
    memset(ret_info, 0, sizeof(*ret_info));
    r = waitid(P_PID, (id_t) pid, ret_info, WEXITED | WNOWAIT | WNOHANG);
    if (r == 0 && ret_info->si_pid == pid)
      break;
    if ((r < 0 && errno != EINTR) || mag_clock_monotonic_ms() >= deadline)
      break;
    (void) poll(NULL, 0, 1);
  }
  bool late = r == 0 && ret_info->si_pid != pid;
  /* The group: also what the plugin has started. The child is not yet reaped, so nobody else has its number. */
  (void) kill(-pid, SIGKILL);
  (void) kill(pid, SIGKILL);
  while (waitid(P_PID, (id_t) pid, ret_info, WEXITED) < 0 && errno == EINTR)
    ;
  return late ? -MBP_E_TIMEOUT : 0;
}

static char *end_problem(const char *path, int r, int timeout_ms, const siginfo_t *info)
{
  if (r == -MBP_E_TIMEOUT)
    return mag_sprintf("%s: did not answer within %d ms while being asked: ended", mag_path_shown(path), timeout_ms);
  if (r == -MBP_E_LIMIT)
    return problem(path, "printed without end while being asked: ended");
  if (info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED) {
    const char *name = sigabbrev_np(info->si_status);
    return name ? mag_sprintf("%s: crashed with SIG%s while being asked", mag_path_shown(path), name)
                : mag_sprintf("%s: crashed with signal %d while being asked", mag_path_shown(path), info->si_status);
  }
  if (info->si_status == 0)
    return NULL;
  return mag_sprintf("%s: ended with status %d while being asked", mag_path_shown(path), info->si_status);
}

/* The answer is the plugin's as much as ours: it is read like any other hostile input. */
static void take_answer(const char *path, struct mag_buf *answer, struct mag_inspection *inspection)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autojson document = NULL;
  if (answer->failed)
    return;
  if (answer->len == 0) {
    inspection->problem = problem(path, "ended without an answer while being asked");
    inspection->died = true;
    return;
  }
  if (mag_json_parse(mag_buf_str(answer), &document, &err) < 0 || mag_json_type(document) != MBP_JSON_OBJECT) {
    inspection->problem = problem(path, "gave an answer that is no description while being asked");
    inspection->died = true; /* it may have ended behind it */
    return;
  }
  struct mbp_str text = mag_json_str(mag_json_get(document, "problem"));
  if (text.len) {
    (void) mag_error(&err, MBP_E_INVALID, "%.*s", (int) MAG_MIN(text.len, 400), text.ptr);
    inspection->problem = mag_str_dup(mbp_str(err.message));
    inspection->notice = mag_json_truth(mag_json_get(document, "notice"), 0) == 1;
    return;
  }
  inspection->json = mag_buf_take(answer);
}

void mag_inspect_child(const char *path, int trust, const char *exe, int timeout_ms,
                       struct mag_inspection *ret_inspection)
{
  mag_autobuf answer = MAG_BUF_INIT;
  int pipe_fds[2];
  pid_t pid;
  siginfo_t info;
  char buf[128];
  memset(ret_inspection, 0, sizeof(*ret_inspection));
  if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
    ret_inspection->problem = problem(path, mag_errno_text(errno, buf, sizeof(buf)));
    return;
  }
  mag_autoclose int in = pipe_fds[0];
  mag_autoclose int out = pipe_fds[1];
  int r = spawn(exe, path, trust, out, &pid);
  if (r != 0) {
    ret_inspection->problem = mag_sprintf("%s: cannot be asked: %s: %s", mag_path_shown(path), exe,
                                          mag_errno_text(r, buf, sizeof(buf)));
    return;
  }
  (void) close(mag_steal_fd(&out));
  int64_t deadline = mag_clock_monotonic_ms() + timeout_ms;
  r = collect(in, deadline, &answer);
  int late = reap(pid, r < 0 ? 0 : deadline, &info);
  ret_inspection->problem = end_problem(path, r < 0 ? r : late, timeout_ms, &info);
  ret_inspection->died = ret_inspection->problem != NULL;
  if (!ret_inspection->problem)
    take_answer(path, &answer, ret_inspection);
}

const char *mag_inspect_self(void)
{
  static const char link[] = "/proc/self/exe";
  static char path[PATH_MAX];
  ssize_t n = readlink(link, path, sizeof(path) - 1);
  path[n > 0 ? n : 0] = 0;
  return access(path, X_OK) == 0 ? path : link; /* replaced meanwhile: the link still leads to it */
}

void mag_inspection_done(struct mag_inspection *inspection)
{
  free(inspection->json);
  free(inspection->problem);
  memset(inspection, 0, sizeof(*inspection));
}
