#include "client.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void client_start(struct client *client, const char *const *argv, const char *log)
{
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  *client = (struct client){.begun_ns = mag_clock_monotonic_ns()};
  client->pid = vfork();
  if (client->pid < 0 || out < 0)
    abort();
  if (client->pid == 0) {
    (void) dup2(out, 1);
    (void) dup2(out, 2);
    execvp(argv[0], (char *const *) (uintptr_t) argv);
    _exit(127);
  }
  close(out);
}

static double microseconds(struct timeval t)
{
  return (double) t.tv_sec * 1e6 + (double) t.tv_usec;
}

void client_wait(struct client *client)
{
  int status;
  struct rusage use;
  while (wait4(client->pid, &status, 0, &use) < 0)
    if (errno != EINTR)
      abort();
  client->cpu_us = microseconds(use.ru_utime) + microseconds(use.ru_stime);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "a measured program failed with status %#x; its output is in the log file\n", (unsigned) status);
    exit(1);
  }
}

void client_stop(struct client *client)
{
  int status;
  (void) kill(client->pid, SIGKILL);
  while (waitpid(client->pid, &status, 0) < 0)
    if (errno != EINTR)
      abort();
}

/* A line of the sums over all mappings, in bytes. */
static int64_t memory_line(pid_t pid, const char *name)
{
  char path[64], line[256];
  size_t len = strlen(name);
  long long kib = 0;
  (void) snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof(line), file))
    if (strncmp(line, name, len) == 0 && sscanf(line + len, " %lld kB", &kib) == 1)
      break;
  if (file)
    fclose(file);
  return kib * 1024;
}

int64_t client_pss(pid_t pid)
{
  return memory_line(pid, "Pss:");
}

int64_t client_anonymous_pss(pid_t pid)
{
  return memory_line(pid, "Pss_Anon:");
}

static int64_t children_pss(pid_t pid, const char *task)
{
  char path[320];
  int64_t sum = 0;
  int child;
  (void) snprintf(path, sizeof(path), "/proc/%d/task/%.32s/children", (int) pid, task);
  FILE *file = fopen(path, "re");
  while (file && fscanf(file, "%d", &child) == 1)
    sum += client_tree_pss(child);
  if (file)
    fclose(file);
  return sum;
}

int64_t client_tree_pss(pid_t pid)
{
  char path[64];
  int64_t sum = client_pss(pid);
  (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
  DIR *tasks = opendir(path);
  for (struct dirent *entry; tasks && (entry = readdir(tasks));)
    if (entry->d_name[0] != '.')
      sum += children_pss(pid, entry->d_name);
  if (tasks)
    closedir(tasks);
  return sum;
}
