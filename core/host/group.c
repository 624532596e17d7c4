#include "host/group.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "host/group_find.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define GROUP_NAME 160

struct mbp_group {
  int dirs[MAG_TREES]; /* the group's directory in each tree, or -1 */
  int join[MAG_GROUP_MAX_JOIN];
  int n_join;
  uint32_t enforced;
  char name[GROUP_NAME];
};

static int write_text(int dir, const char *file, const char *text)
{
  mag_autoclose int fd = dir < 0 ? -1 : openat(dir, file, O_WRONLY | O_CLOEXEC);
  return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text) ? 0 : -1;
}

static int write_number(int dir, const char *file, int64_t value)
{
  char text[32];
  (void) snprintf(text, sizeof(text), "%lld", (long long) value);
  return write_text(dir, file, text);
}

static size_t read_text(int dir, const char *file, char *text, size_t cap)
{
  mag_autoclose int fd = dir < 0 ? -1 : openat(dir, file, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
  text[n < 0 ? 0 : n] = 0;
  return n < 0 ? 0 : (size_t) n;
}

/* The number after `key` at the start of a line; an empty key: the file's first number. */
static int64_t read_number(int dir, const char *file, const char *key)
{
  char text[2048];
  if (read_text(dir, file, text, sizeof(text)) == 0)
    return 0;
  for (char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0 || (n && line[n] != ' '))
      continue;
    struct mbp_str digits = mbp_str_n(line + n + (n ? 1 : 0), strspn(line + n + (n ? 1 : 0), "0123456789"));
    int64_t value;
    return mag_parse_int(digits, &value) == 0 ? value : 0;
  }
  return 0;
}

/* One directory in one tree; the group goes on without what the machine refuses. */
static void make_in(struct mbp_group *group, const struct mag_group_tree *trees, int tree)
{
  mag_autoclose int parent = trees[tree].path[0] ? open(trees[tree].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (parent < 0 || mkdirat(parent, group->name, 0755) < 0)
    return;
  mag_autoclose int dir = openat(parent, group->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mag_autoclose int join = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  if (join < 0) {
    (void) unlinkat(parent, group->name, AT_REMOVEDIR);
    return;
  }
  group->dirs[tree] = mag_steal_fd(&dir);
  group->join[group->n_join++] = mag_steal_fd(&join);
}

static void limit_v2(struct mbp_group *group, const struct mbp_group_spec *spec, uint32_t can)
{
  int dir = group->dirs[MAG_TREE_V2];
  char text[64];
  if (spec->memory_bytes > 0 && (can & MAG_GROUP_MEMORY) && write_number(dir, "memory.max", spec->memory_bytes) == 0) {
    (void) write_text(dir, "memory.swap.max", "0");
    group->enforced |= MAG_GROUP_MEMORY;
  }
  if (spec->pids && (can & MAG_GROUP_PIDS) && write_number(dir, "pids.max", spec->pids) == 0)
    group->enforced |= MAG_GROUP_PIDS;
  (void) snprintf(text, sizeof(text), "%llu 100000", (unsigned long long) spec->cpu_millis * 100);
  if (spec->cpu_millis && (can & MAG_GROUP_CPU) && write_text(dir, "cpu.max", text) == 0)
    group->enforced |= MAG_GROUP_CPU;
}

static void limit_v1(struct mbp_group *group, const struct mbp_group_spec *spec)
{
  int memory = group->dirs[MAG_TREE_MEMORY], pids = group->dirs[MAG_TREE_PIDS], cpu = group->dirs[MAG_TREE_CPU];
  if (memory >= 0 && spec->memory_bytes > 0 &&
      write_number(memory, "memory.limit_in_bytes", spec->memory_bytes) == 0) {
    (void) write_number(memory, "memory.memsw.limit_in_bytes", spec->memory_bytes);
    group->enforced |= MAG_GROUP_MEMORY;
  }
  if (pids >= 0 && spec->pids && write_number(pids, "pids.max", spec->pids) == 0)
    group->enforced |= MAG_GROUP_PIDS;
  if (cpu >= 0 && spec->cpu_millis && write_number(cpu, "cpu.cfs_period_us", 100000) == 0 &&
      write_number(cpu, "cpu.cfs_quota_us", (int64_t) spec->cpu_millis * 100) == 0)
    group->enforced |= MAG_GROUP_CPU;
}

static bool name_valid(const char *name)
{
  size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
  return n > 0 && n <= 63 && !name[n];
}

int mag_group_new(const struct mbp_group_spec *given, struct mbp_group **ret_group, struct mbp_error *err)
{
  static atomic_uint counter;
  struct mbp_group_spec spec = {0};
  memcpy(&spec, given, MAG_MIN_SIZE(given->size, sizeof(spec)));
  if (!name_valid(spec.name) || spec.memory_bytes < 0)
    return mag_error(err, MBP_E_INVALID, "limit group: the name must match [a-z0-9-]{1,63} and limits be positive");
  struct mbp_group *group = calloc(1, sizeof(*group));
  if (!group)
    return mag_error_no_memory(err);
  for (int i = 0; i < MAG_TREES; i++)
    group->dirs[i] = -1;
  /* The owner's pid lets a later magent sweep what a killed one left; the number makes the name unique. */
  char prefix[MAG_GROUP_PREFIX];
  (void) mag_group_prefix(prefix);
  (void) snprintf(group->name, sizeof(group->name), "%s%d-%u-%s", prefix, (int) getpid(), atomic_fetch_add(&counter, 1),
                  spec.name);
  const struct mag_group_tree *trees = mag_group_trees();
  make_in(group, trees, MAG_TREE_V2);
  if (group->dirs[MAG_TREE_V2] >= 0) {
    limit_v2(group, &spec, trees[MAG_TREE_V2].limits);
    group->enforced |= trees[MAG_TREE_V2].limits & MAG_GROUP_KILL;
  }
  /* v1 only for what v2 does not do: joining costs milliseconds a tree. The pids tree also serves to kill. */
  if (spec.memory_bytes > 0 && !(group->enforced & MAG_GROUP_MEMORY))
    make_in(group, trees, MAG_TREE_MEMORY);
  if ((spec.pids && !(group->enforced & MAG_GROUP_PIDS)) || !(group->enforced & MAG_GROUP_KILL))
    make_in(group, trees, MAG_TREE_PIDS);
  if (spec.cpu_millis && !(group->enforced & MAG_GROUP_CPU))
    make_in(group, trees, MAG_TREE_CPU);
  limit_v1(group, &spec);
  if (group->dirs[MAG_TREE_PIDS] >= 0)
    group->enforced |= MAG_GROUP_KILL;
  *ret_group = group;
  return 0;
}

int mag_group_join_fds(const struct mbp_group *group, const int **ret_fds)
{
  *ret_fds = group->join;
  return group->n_join;
}

int mag_group_state(struct mbp_group *group, struct mbp_group_state *ret_state)
{
  int v2 = group->dirs[MAG_TREE_V2], memory = group->dirs[MAG_TREE_MEMORY], pids = group->dirs[MAG_TREE_PIDS];
  bool v1 = memory >= 0 || pids >= 0 || group->dirs[MAG_TREE_CPU] >= 0;
  struct mbp_group_state state = {.size = MBP_SIZE(struct mbp_group_state, how), .enforced = group->enforced};
  state.how = mbp_str(v1 ? "cgroup v1" : v2 >= 0 ? "cgroup v2" : "none");
  if (memory >= 0) {
    state.oom_kills = read_number(memory, "memory.oom_control", "oom_kill");
    state.memory_peak = read_number(memory, "memory.max_usage_in_bytes", "");
  } else if (group->enforced & MAG_GROUP_MEMORY) {
    state.oom_kills = read_number(v2, "memory.events", "oom_kill");
    state.memory_peak = read_number(v2, "memory.peak", "");
  }
  if (group->enforced & MAG_GROUP_PIDS)
    state.pids_refused = read_number(pids >= 0 ? pids : v2, "pids.events", "max");
  uint32_t size = (uint32_t) MAG_MIN_SIZE(ret_state->size, state.size);
  memcpy(ret_state, &state, size);
  ret_state->size = size;
  return 0;
}

/* v1 has no kill of its own. Forks are refused first, so that the list can only shrink; a pid is killed through a
 * descriptor opened while it was listed and that is still listed afterwards, so it is never a stranger's. */
static int kill_v1(int dir)
{
  char text[16384], again[16384];
  (void) write_text(dir, "pids.max", "0");
  read_text(dir, "cgroup.procs", text, sizeof(text));
  int n = 0;
  for (char *p = text, *end; *p && (end = strchr(p, '\n')) != NULL; p = end + 1) {
    int64_t pid;
    if (mag_parse_int(mbp_str_n(p, (size_t) (end - p)), &pid) != 0 || pid <= 1)
      continue;
    mag_autoclose int pidfd = (int) syscall(SYS_pidfd_open, (pid_t) pid, 0);
    char line[24];
    (void) snprintf(line, sizeof(line), "%lld\n", (long long) pid);
    read_text(dir, "cgroup.procs", again, sizeof(again));
    char *at = strstr(again, line);
    if (pidfd >= 0 && at && (at == again || at[-1] == '\n'))
      (void) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    n++;
  }
  return n;
}

int mag_group_kill(struct mbp_group *group)
{
  if (!(group->enforced & MAG_GROUP_KILL))
    return -MBP_E_UNSUPPORTED;
  if (group->dirs[MAG_TREE_V2] >= 0 && write_text(group->dirs[MAG_TREE_V2], "cgroup.kill", "1") == 0)
    return 0;
  char limit[32];
  if (read_text(group->dirs[MAG_TREE_PIDS], "pids.max", limit, sizeof(limit)) == 0)
    return -MBP_E_UNSUPPORTED;
  for (int i = 0; i < 100 && kill_v1(group->dirs[MAG_TREE_PIDS]) > 0; i++)
    (void) nanosleep(&(struct timespec){0, 1000000}, NULL);
  (void) write_text(group->dirs[MAG_TREE_PIDS], "pids.max", limit);
  return 0;
}

/* A directory goes when its last member is dead, which takes a moment after the kill. */
static void remove_from(const char *path, const char *name, int64_t until)
{
  mag_autoclose int parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (parent >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno == EBUSY && mag_clock_monotonic_ms() < until)
    (void) nanosleep(&(struct timespec){0, 500000}, NULL);
}

void mag_group_free(struct mbp_group *group)
{
  if (!group)
    return;
  (void) mag_group_kill(group);
  int64_t until = mag_clock_monotonic_ms() + 2000;
  for (int i = 0; i < group->n_join; i++)
    (void) close(group->join[i]);
  for (int i = 0; i < MAG_TREES; i++)
    if (group->dirs[i] >= 0) {
      (void) close(group->dirs[i]);
      remove_from(mag_group_trees()[i].path, group->name, until);
    }
  free(group);
}
