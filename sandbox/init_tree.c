#include "sandbox/init.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_PROCESSES 16384

struct process {
  pid_t pid, parent;
};

static struct process table[MAX_PROCESSES];

/* Linux's own struct, of which libc keeps quiet; opendir would allocate. */
struct entry {
  uint64_t ino;
  int64_t off;
  unsigned short reclen;
  unsigned char type;
  char name[];
};

/* The fourth field of /proc/PID/stat; the second, a name, may hold anything but ends at the last parenthesis. */
static pid_t parent_of(int proc, const char *name)
{
  char path[32], text[512];
  (void) snprintf(path, sizeof(path), "%.10s/stat", name);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  ssize_t n = read(fd, text, sizeof(text) - 1);
  (void) close(fd);
  if (n <= 0)
    return -1;
  text[n] = 0;
  const char *end = strrchr(text, ')');
  return end && strlen(end) > 4 ? (pid_t) strtol(end + 4, NULL, 10) : -1;
}

pid_t init_parent_of(pid_t pid)
{
  char name[16];
  int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0)
    return -1;
  (void) snprintf(name, sizeof(name), "%d", (int) pid);
  pid_t parent = parent_of(proc, name);
  (void) close(proc);
  return parent;
}

static int read_table(void)
{
  static char buf[32768] __attribute__((aligned(8)));
  int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0;
  if (proc < 0)
    return 0;
  for (long n; count < MAX_PROCESSES && (n = syscall(SYS_getdents64, proc, buf, sizeof(buf))) > 0;) {
    for (long at = 0; at < n && count < MAX_PROCESSES;) {
      const struct entry *entry = (const struct entry *) (const void *) (buf + at);
      at += entry->reclen;
      if (entry->name[0] < '1' || entry->name[0] > '9')
        continue;
      pid_t parent = parent_of(proc, entry->name);
      if (parent > 0)
        table[count++] = (struct process){(pid_t) strtol(entry->name, NULL, 10), parent};
    }
  }
  (void) close(proc);
  return count;
}

static bool contains(const pid_t *list, int n, pid_t pid)
{
  for (int i = 0; i < n; i++)
    if (list[i] == pid)
      return true;
  return false;
}

int init_kill_orphans(const pid_t *leaders, int n_leaders)
{
  int count = read_table(), orphans = 0;
  pid_t self = getpid();
  for (int i = 0; i < count; i++)
    if (table[i].parent == self && !contains(leaders, n_leaders, table[i].pid)) {
      (void) kill(table[i].pid, SIGKILL);
      orphans++;
    }
  return orphans;
}

/* Marks by turning parents into the leader, until a pass finds nothing new. */
void init_signal_tree(pid_t leader, int signal)
{
  int count = read_table();
  bool again = true;
  while (again) {
    again = false;
    for (int i = 0; i < count; i++) {
      if (table[i].parent != leader)
        continue;
      for (int k = 0; k < count; k++)
        if (table[k].parent == table[i].pid && table[k].parent != leader) {
          table[k].parent = leader;
          again = true;
        }
    }
  }
  for (int i = 0; i < count; i++)
    if (table[i].parent == leader)
      (void) kill(table[i].pid, signal);
}
