#include "victim.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
  perror(what);
  abort();
}

void victim_start(struct victim *victim, const char *const *argv, const char *errors)
{
  int out[2];
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || pipe2(out, O_CLOEXEC) < 0)
    die("victim");
  *victim = (struct victim){.out = out[0], .text = MAG_BUF_INIT, .begun_ns = mag_clock_monotonic_ns()};
  victim->pid = fork();
  if (victim->pid < 0)
    die("fork");
  if (victim->pid == 0) {
    int err = open(errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (err < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err, 2) < 0)
      _exit(126);
    execv(argv[0], (char *const *) (uintptr_t) argv);
    _exit(127);
  }
  close(out[1]);
}

/* False at the end of its output. */
static bool read_more(struct victim *victim)
{
  char chunk[4096];
  ssize_t n = read(victim->out, chunk, sizeof(chunk));
  if (n < 0 && errno != EINTR)
    die("read");
  for (ssize_t i = 0; i < n; i++)
    victim->n_lines += chunk[i] == '\n';
  if (n > 0)
    mag_buf_add(&victim->text, chunk, (size_t) n);
  return n != 0;
}

/* True once the instant has come, false if it has ended by itself. */
static bool wait_for_instant(struct victim *victim, const struct victim_end *end)
{
  int64_t at = -1;
  for (;;) {
    if (end && at < 0 && victim->n_lines >= end->lines)
      at = (end->lines ? mag_clock_monotonic_ns() : victim->begun_ns) + end->ns;
    int64_t left = at < 0 ? 0 : at - mag_clock_monotonic_ns();
    if (at >= 0 && left <= 0)
      return true;
    struct pollfd fd = {.fd = victim->out, .events = POLLIN};
    struct timespec time = {left / 1000000000, left % 1000000000};
    if (ppoll(&fd, 1, at < 0 ? NULL : &time, NULL) > 0 && !read_more(victim))
      return false;
  }
}

int victim_watch(struct victim *victim, const struct victim_end *end)
{
  int status;
  if (wait_for_instant(victim, end)) {
    kill(victim->pid, SIGKILL);
    /* Whoever holds the other end of its stdout is not to hold up the test: only what is there already is read. */
    struct pollfd fd = {.fd = victim->out, .events = POLLIN};
    while (poll(&fd, 1, 0) > 0 && read_more(victim))
      ;
  }
  while (waitpid(victim->pid, &status, 0) < 0)
    if (errno != EINTR)
      die("waitpid");
  struct pollfd fd = {.fd = victim->out, .events = POLLIN};
  while (poll(&fd, 1, 0) > 0 && read_more(victim))
    ;
  if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
    fprintf(stderr, "magent died of signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL ? -1 : 128 + WTERMSIG(status);
}

void victim_done(struct victim *victim)
{
  close(victim->out);
  mag_buf_done(&victim->text);
}

/* Names and ends the children that are left. */
static void end_children(void)
{
  char path[64], line[512];
  FILE *children = NULL;
  pid_t pid;
  (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());
  children = fopen(path, "re");
  while (children && fscanf(children, "%d", &pid) == 1) {
    (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    FILE *stat = fopen(path, "re");
    if (stat && fgets(line, sizeof(line), stat))
      fprintf(stderr, "left behind: %.60s\n", line);
    if (stat)
      fclose(stat);
    kill(pid, SIGKILL);
  }
  if (children)
    fclose(children);
}

bool victims_gone(int ms)
{
  int64_t end = mag_clock_monotonic_ns() + ms * INT64_C(1000000);
  for (;;) {
    pid_t pid = waitpid(-1, NULL, WNOHANG); /* zombies count as gone */
    if (pid < 0 && errno == ECHILD)
      return true;
    if (pid != 0)
      continue;
    if (mag_clock_monotonic_ns() > end) {
      end_children();
      return false;
    }
    (void) poll(NULL, 0, 1);
  }
}
