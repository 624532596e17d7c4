#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCESSES 16384
#define EXITING 0x4u /* the kernel's PF_EXITING */

struct process init_table[MAX_PROCESSES];

/* Linux's own struct, of which libc keeps quiet; opendir would allocate. */
struct entry {
  uint64_t ino;
  int64_t off;
  unsigned short reclen;
  unsigned char type;
  char name[];
};

static ssize_t read_text(int proc, const char *path, char *text, size_t cap)
{
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  ssize_t n = read(fd, text, cap - 1);
  (void) close(fd);
  text[n > 0 ? n : 0] = 0;
  return n;
}

/* Fields of /proc/PID/stat by their numbers in proc(5); the second, a name, may hold anything but ends at the last
 * parenthesis. */
static bool read_stat(int proc, const char *name, struct process *process)
{
  char path[32], text[1024];
  (void) snprintf(path, sizeof(path), "%.10s/stat", name);
  if (read_text(proc, path, text, sizeof(text)) <= 0)
    return false;
  char *at = strrchr(text, ')');
  if (!at || at[1] != ' ' || !at[2])
    return false;
  *process = (struct process){.pid = (pid_t) strtol(name, NULL, 10), .going = at[2] == 'Z' || at[2] == 'X'};
  at += 3;
  for (int field = 4; field <= 24 && *at; field++) {
    unsigned long long value = strtoull(at, &at, 10);
    if (field == 4)
      process->parent = (pid_t) value;
    else if (field == 5)
      process->group = (pid_t) value;
    else if (field == 9)
      process->going |= (value & EXITING) != 0;
    else if (field == 14 || field == 15)
      process->ticks += value;
    else if (field == 20)
      process->threads = (uint32_t) value;
    else if (field == 22)
      process->start = value;
    else if (field == 24)
      process->pages = value;
  }
  return process->parent > 0;
}

static int open_proc(void)
{
  return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

pid_t init_parent_of(pid_t pid)
{
  char name[16];
  struct process process = {.parent = -1};
  int proc = open_proc();
  (void) snprintf(name, sizeof(name), "%d", (int) pid);
  if (proc >= 0) {
    (void) read_stat(proc, name, &process); /* which has no opinion of a parent outside */
    (void) close(proc);
  }
  return process.parent;
}

int init_read_all(int most)
{
  static char buf[32768] __attribute__((aligned(8)));
  int proc = open_proc(), count = 0;
  if (proc < 0)
    return 0;
  if (most > MAX_PROCESSES)
    most = MAX_PROCESSES;
  for (long n; count < most && (n = syscall(SYS_getdents64, proc, buf, sizeof(buf))) > 0;) {
    for (long at = 0; at < n && count < most;) {
      const struct entry *entry = (const struct entry *) (const void *) (buf + at);
      at += entry->reclen;
      if (entry->name[0] >= '1' && entry->name[0] <= '9' && read_stat(proc, entry->name, &init_table[count]))
        count++;
    }
  }
  (void) close(proc);
  return count;
}

/* The children that one thread has started. */
static int add_children_of(int proc, pid_t pid, const char *thread, int count)
{
  char path[64], text[4096];
  (void) snprintf(path, sizeof(path), "%d/task/%.10s/children", (int) pid, thread);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  size_t have = 0;
  for (ssize_t n; fd >= 0 && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0;) {
    have += (size_t) n;
    text[have] = 0;
    char *at = text, *space;
    for (; (space = strchr(at, ' ')) != NULL && count < MAX_PROCESSES; at = space + 1) {
      *space = 0;
      if (read_stat(proc, at, &init_table[count]))
        count++;
    }
    have = strlen(at);
    memmove(text, at, have);
  }
  if (fd >= 0)
    (void) close(fd);
  return count;
}

static int add_children(int proc, const struct process *process, int count)
{
  char path[32], buf[2048] __attribute__((aligned(8)));
  (void) snprintf(path, sizeof(path), "%d", (int) process->pid);
  if (process->threads <= 1)
    return add_children_of(proc, process->pid, path, count);
  (void) snprintf(path, sizeof(path), "%d/task", (int) process->pid);
  int tasks = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (long n; tasks >= 0 && (n = syscall(SYS_getdents64, tasks, buf, sizeof(buf))) > 0;)
    for (long at = 0; at < n;) {
      const struct entry *entry = (const struct entry *) (const void *) (buf + at);
      at += entry->reclen;
      if (entry->name[0] != '.')
        count = add_children_of(proc, process->pid, entry->name, count);
    }
  if (tasks >= 0)
    (void) close(tasks);
  return count;
}

int init_read_below(int most)
{
  char self[16];
  int proc = open_proc(), count = 0;
  (void) snprintf(self, sizeof(self), "%d", (int) getpid());
  if (proc >= 0)
    count = add_children_of(proc, getpid(), self, 0);
  for (int i = 0; i < count && count < most; i++)
    count = add_children(proc, &init_table[i], count);
  if (proc >= 0)
    (void) close(proc);
  return count;
}

/* Private and shared memory in proportion, and what of it is swapped out; files do not count, since they can be read
 * again. -1: it does not let us look. */
int64_t init_memory_of(pid_t pid)
{
  static const char *const counted[] = {"\nPss_Anon:", "\nPss_Shmem:", "\nSwapPss:"};
  char path[32], text[2048];
  int64_t kib = 0;
  (void) snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);
  if (read_text(AT_FDCWD, path, text, sizeof(text)) <= 0 || !strstr(text, counted[0]))
    return -1;
  for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
    const char *at = strstr(text, counted[i]);
    kib += at ? strtoll(at + strlen(counted[i]), NULL, 10) : 0;
  }
  return kib * 1024;
}

/* A number may have passed to another process meanwhile, on a machine that we share: the descriptor holds it, and then
 * the time of its start must still be the same. */
void init_kill_process(const struct process *process)
{
  char name[16];
  struct process now;
  int pidfd = (int) syscall(SYS_pidfd_open, process->pid, 0), proc = open_proc();
  (void) snprintf(name, sizeof(name), "%d", (int) process->pid);
  if (pidfd >= 0 && proc >= 0 && read_stat(proc, name, &now) && now.start == process->start)
    (void) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  if (pidfd >= 0)
    (void) close(pidfd);
  if (proc >= 0)
    (void) close(proc);
}

static bool contains(const pid_t *list, int n, pid_t pid)
{
  for (int i = 0; i < n; i++)
    if (list[i] == pid)
      return true;
  return false;
}

/* Kills the children that Linux lists beside this process, which has one thread: quick however many processes the
 * machine has. One may be left out while others come and go, so that finding none proves nothing. */
static int kill_listed(const pid_t *leaders, int n_leaders)
{
  char path[64], text[4096];
  int killed = 0;
  (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  if (fd >= 0)
    (void) close(fd);
  text[n < 0 ? 0 : n] = 0;
  char *at = text, *end;
  for (long pid; (pid = strtol(at, &end, 10)) > 1 && *end == ' '; at = end)
    if (!contains(leaders, n_leaders, (pid_t) pid)) {
      (void) kill((pid_t) pid, SIGKILL);
      killed++;
    }
  return killed;
}

int init_kill_orphans(const pid_t *leaders, int n_leaders)
{
  siginfo_t info;
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
    return 0;
  int orphans = kill_listed(leaders, n_leaders);
  if (orphans)
    return orphans;
  int count = init_read_all(MAX_PROCESSES);
  pid_t self = getpid();
  for (int i = 0; i < count; i++)
    if (init_table[i].parent == self && !contains(leaders, n_leaders, init_table[i].pid)) {
      (void) kill(init_table[i].pid, SIGKILL);
      orphans++;
    }
  return orphans;
}

/* Marks by turning parents into the leader, until a pass finds nothing new. */
void init_signal_tree(pid_t leader, int signal)
{
  int count = init_read_all(MAX_PROCESSES);
  bool again = true;
  while (again) {
    again = false;
    for (int i = 0; i < count; i++) {
      if (init_table[i].parent != leader)
        continue;
      for (int k = 0; k < count; k++)
        if (init_table[k].parent == init_table[i].pid && init_table[k].parent != leader) {
          init_table[k].parent = leader;
          again = true;
        }
    }
  }
  for (int i = 0; i < count; i++)
    if (init_table[i].parent == leader)
      (void) kill(init_table[i].pid, signal);
}
