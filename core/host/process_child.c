#include "host/process_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The child may share its parent's memory until exec, on a stack of its own: no sanitizer may track it. */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

IN_CHILD static void fail(int report_fd, int stage, int number)
{
  struct mag_spawn_failure failure = {stage, number};
  ssize_t n = write(report_fd, &failure, sizeof(failure));
  (void) n;
  _exit(127);
}

/* By the system call: the C library keeps two signals to itself, and a child would inherit how they are ignored. KILL
 * and STOP refuse, which is as good. All zero is SIG_DFL without flags, whatever the order of the kernel's members. */
IN_CHILD static void reset_signals(void)
{
  unsigned long action[8] = {0};
  for (int i = 1; i < NSIG; i++)
    (void) syscall(SYS_rt_sigaction, i, action, NULL, NSIG / 8);
}

/* Copies everything needed above the highest target, so that no dup2 overwrites what is still to be copied and none
 * is dup2(n, n), which would leave close-on-exec set. */
IN_CHILD static int arrange_fds(const struct mag_spawn_plan *plan, int *ret_report)
{
  const struct mbp_spawn *spec = plan->spec;
  int high[MAG_SPAWN_MAX_FDS], floor = 3;
  bool named[3] = {false, false, false};
  for (size_t i = 0; i < spec->n_fds; i++) {
    if (spec->fds[i].child >= floor)
      floor = spec->fds[i].child + 1;
    if (spec->fds[i].child < 3)
      named[spec->fds[i].child] = true;
  }
  int report = fcntl(plan->report_fd, F_DUPFD_CLOEXEC, floor);
  if (report < 0)
    return errno;
  *ret_report = report;
  int null_fd = fcntl(plan->null_fd, F_DUPFD_CLOEXEC, floor);
  if (null_fd < 0)
    return errno;
  for (size_t i = 0; i < spec->n_fds; i++)
    if ((high[i] = fcntl(spec->fds[i].ours, F_DUPFD_CLOEXEC, floor)) < 0)
      return errno;
  if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
    struct rlimit limit;
    int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int) limit.rlim_cur : 65536;
    for (int fd = 3; fd < last; fd++)
      (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  for (int fd = 0; fd < 3; fd++)
    if (!named[fd] && dup2(null_fd, fd) < 0)
      return errno;
  for (size_t i = 0; i < spec->n_fds; i++)
    if (dup2(high[i], spec->fds[i].child) < 0)
      return errno;
  return 0;
}

/* A hard limit cannot be raised without privilege; being below it is what was asked for. */
IN_CHILD static int set_limits(const struct mbp_spawn *spec)
{
  for (size_t i = 0; i < spec->n_rlimits; i++) {
    struct rlimit now, want = {spec->rlimits[i].value, spec->rlimits[i].value};
    if (getrlimit((unsigned) spec->rlimits[i].resource, &now) < 0)
      return errno;
    if (now.rlim_max != RLIM_INFINITY && want.rlim_cur > now.rlim_max)
      want.rlim_cur = want.rlim_max = now.rlim_max;
    if (setrlimit((unsigned) spec->rlimits[i].resource, &want) < 0)
      return errno;
  }
  return 0;
}

IN_CHILD int mag_spawn_child(void *plan_pointer)
{
  const struct mag_spawn_plan *plan = plan_pointer;
  const struct mbp_spawn *spec = plan->spec;
  int report = plan->report_fd, number;
  sigset_t none;
  reset_signals();
  for (int i = 0; i < plan->n_group_fds; i++)
    if (write(plan->group_fds[i], "0", 1) < 0)
      fail(report, MAG_STAGE_GROUP, errno);
  if ((number = arrange_fds(plan, &report)) != 0)
    fail(report, MAG_STAGE_FDS, number);
  if ((spec->flags & MBP_SPAWN_SESSION) && setsid() < 0)
    fail(report, MAG_STAGE_SETUP, errno);
  if (spec->flags & MBP_SPAWN_PDEATHSIG) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
      fail(report, MAG_STAGE_SETUP, errno);
    if (getppid() != plan->parent)
      _exit(127); /* it died before the signal was armed */
  }
  if ((number = set_limits(spec)) != 0)
    fail(report, MAG_STAGE_LIMITS, number);
  if (chdir(spec->cwd ? spec->cwd : "/") < 0)
    fail(report, MAG_STAGE_CWD, errno);
  sigemptyset(&none);
  (void) sigprocmask(SIG_SETMASK, &none, NULL);
  execve(plan->program, (char *const *) (uintptr_t) spec->argv, (char *const *) (uintptr_t) spec->envp);
  fail(report, MAG_STAGE_EXEC, errno);
  return 127;
}
