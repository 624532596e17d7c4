/* The watchdog: where no cgroup holds a limit of the whole sandbox, init counts.
 *
 * One look reads /proc/PID/stat of every process, an upper bound of the memory in use; only where that is over the
 * limit the exact figure is asked for, since that walks page tables. The next look comes as late as the limit cannot be
 * reached before, at the speed at which a program can take memory; later where nothing has happened since the last
 * one; and never so soon that looking would cost more than a fiftieth of a processor.
 *
 * What it cannot see is memory that no process maps and no directory shows: a memory file that is only written to.
 */
#include "sandbox/init.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 250
#define LOOK_IDLE_MS 500     /* where nothing happens */
#define BYTES_A_MS (4 << 20) /* what a program can take */
#define TASKS_A_MS 4
#define COST_SHARE 50
#define PATIENCE_MS 300 /* with a part of a command; then all of it goes */

static struct {
  int64_t bytes, ticks; /* of the last look */
  int count, wait_ms;
  int64_t over_since_ms; /* 0: the limits hold */
} last;

static int64_t now_us(void)
{
  struct timespec t;
  (void) clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_pid(const void *a, const void *b)
{
  const struct process *x = a, *y = b;
  return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct process *find(pid_t pid, int count)
{
  struct process key = {.pid = pid};
  return bsearch(&key, init_table, (size_t) count, sizeof(key), by_pid);
}

static int slot_of_leader(const struct slot *slots, pid_t pid)
{
  for (int i = 0; i < MAG_BOX_SLOTS; i++)
    if (slots[i].id && slots[i].leader == pid)
      return i;
  return -1;
}

/* Below which leader is it? -1: it is one itself, or on its way out, or left of a killed command and soon on its way.
 * Most parents have lower numbers and are known by then. */
static int find_slot(const struct process *process, const struct slot *slots, int count)
{
  if (process->going || slot_of_leader(slots, process->pid) >= 0)
    return -1;
  for (int steps = 0; process && steps < 4096; steps++) {
    int slot = slot_of_leader(slots, process->parent);
    if (slot >= 0)
      return slot;
    process = find(process->parent, count);
    if (process && process->slot >= 0)
      return process->slot;
  }
  return -1;
}

struct sums {
  int64_t bytes[MAG_BOX_SLOTS], tasks[MAG_BOX_SLOTS];
  int64_t all_bytes, all_tasks, ticks;
  int count;
};

static void add_up(struct sums *sums, int count)
{
  memset(sums, 0, sizeof(*sums));
  sums->count = count;
  for (int i = 0; i < count; i++) {
    const struct process *process = &init_table[i];
    if (process->slot < 0)
      continue;
    sums->bytes[process->slot] += process->bytes;
    sums->tasks[process->slot] += process->threads;
    sums->all_bytes += process->bytes;
    sums->all_tasks += process->threads;
    sums->ticks += (int64_t) process->ticks;
  }
}

static void read_processes(const struct watch_limits *limits, const struct slot *slots, struct sums *sums)
{
  int64_t page = sysconf(_SC_PAGESIZE);
  int64_t most =
      limits->tasks ? 2 * limits->tasks + 2 * MAG_BOX_SLOTS : INT32_MAX; /* more is too many, whoever it is */
  int count = limits->own_table ? init_read_all((int) most) : init_read_below((int) most);
  qsort(init_table, (size_t) count, sizeof(init_table[0]), by_pid);
  for (int i = 0; i < count; i++)
    init_table[i].slot = -1;
  for (int i = 0; i < count; i++) {
    init_table[i].slot = find_slot(&init_table[i], slots, count);
    init_table[i].bytes = (int64_t) init_table[i].pages * page;
  }
  add_up(sums, count);
}

/* What the sandbox's own places hold, which are memory too. A file in them that is also mapped counts twice. */
static int64_t tmpfs_bytes(const struct watch_limits *limits)
{
  static const char *const places[] = {"/tmp", "/dev/shm"};
  struct statvfs st;
  int64_t bytes = 0;
  for (size_t i = 0; limits->own_table && i < sizeof(places) / sizeof(places[0]); i++)
    if (statvfs(places[i], &st) == 0)
      bytes += (int64_t) (st.f_blocks - st.f_bfree) * (int64_t) st.f_frsize;
  return bytes;
}

/* Pages that processes share were counted for each of them. */
static void weigh(struct sums *sums)
{
  for (int i = 0; i < sums->count; i++) {
    int64_t bytes = init_table[i].slot < 0 ? -1 : init_memory_of(init_table[i].pid);
    if (bytes >= 0)
      init_table[i].bytes = bytes;
  }
  add_up(sums, sums->count);
}

static int heaviest(const int64_t *sums)
{
  int best = 0;
  for (int i = 1; i < MAG_BOX_SLOTS; i++)
    if (sums[i] > sums[best])
      best = i;
  return best;
}

/* The process directly below the command's first one (or below the leader, if its parent is gone) that this one is or
 * belongs to; NULL for the first one itself. */
static struct process *branch_of(struct process *process, pid_t first, pid_t leader, int count)
{
  for (int steps = 0; process && process->pid != first && steps < 4096; steps++) {
    if (process->parent == first || process->parent == leader)
      return process;
    process = find(process->parent, count);
  }
  return NULL;
}

/* A shell that runs one command after another is worth more than the command: only the heaviest of its children goes,
 * with all below. False: the first process holds the most itself. */
static bool kill_branch(int slot, pid_t first, pid_t leader, int count)
{
  const struct process *worst = NULL;
  int64_t own = 0;
  for (int i = 0; i < count; i++)
    init_table[i].branch_bytes = init_table[i].branch = 0;
  for (int i = 0; i < count; i++) {
    struct process *process = &init_table[i];
    struct process *branch = process->slot == slot ? branch_of(process, first, leader, count) : NULL;
    if (process->pid == first)
      own = process->bytes;
    if (!branch)
      continue;
    process->branch = branch->pid;
    branch->branch_bytes += process->bytes;
    if (!worst || branch->branch_bytes > worst->branch_bytes)
      worst = branch;
  }
  if (!worst || own > worst->branch_bytes)
    return false;
  for (int i = 0; i < count; i++)
    if (init_table[i].branch == worst->pid)
      init_kill_process(&init_table[i]);
  return true;
}

/* A bomb forks faster than it can be killed one by one. What the kernel kills at one stroke cannot outrun it:
 * everything in the sandbox, or where that would be the machine's, the process groups. */
static void kill_bomb(const struct watch_limits *limits, int slot, int count)
{
  if (limits->own_table)
    (void) kill(-1, SIGKILL);
  for (int i = 0; i < count && !limits->own_table; i++)
    if (init_table[i].slot == slot && init_table[i].group > 1 && init_table[i].group != getpgrp())
      (void) kill(-init_table[i].group, SIGKILL);
}

static int enforce(const struct watch_limits *limits, struct slot *slots, const struct shared *shared,
                   const struct sums *sums, bool tasks)
{
  int slot = heaviest(tasks ? sums->tasks : sums->bytes);
  int64_t now = now_us() / 1000;
  if (!slots[slot].id || slots[slot].killed)
    return -1;
  if (!last.over_since_ms)
    last.over_since_ms = now;
  slots[slot].limits |= 1u << (tasks ? MAG_BOX_LIMIT_TASKS : MAG_BOX_LIMIT_MEMORY);
  if (tasks)
    kill_bomb(limits, slot, sums->count);
  bool part = !tasks && now - last.over_since_ms < PATIENCE_MS && !shared[slot].exited &&
              kill_branch(slot, shared[slot].pid, slots[slot].leader, sums->count);
  return part ? -1 : slot;
}

static int next_look(const struct watch_limits *limits, const struct sums *sums, int64_t bytes, int64_t cost_us)
{
  int64_t wait = LOOK_MAX_MS, room = (limits->memory - bytes) / BYTES_A_MS,
          free_tasks = (limits->tasks - sums->all_tasks) / TASKS_A_MS;
  if (limits->memory && room < wait)
    wait = room;
  if (limits->tasks && free_tasks < wait)
    wait = free_tasks;
  if (wait < LOOK_MIN_MS)
    wait = LOOK_MIN_MS;
  bool idle = last.bytes == bytes && last.ticks == sums->ticks && last.count == sums->count && !last.over_since_ms;
  if (idle && wait < 2 * last.wait_ms)
    wait = 2 * last.wait_ms < LOOK_IDLE_MS ? 2 * last.wait_ms : LOOK_IDLE_MS;
  if (wait < cost_us * COST_SHARE / 1000)
    wait = cost_us * COST_SHARE / 1000;
  last.bytes = bytes;
  last.ticks = sums->ticks;
  last.count = sums->count;
  last.wait_ms = (int) wait;
  return (int) wait;
}

int init_watch(const struct watch_limits *limits, struct slot *slots, const struct shared *shared, int *ret_kill)
{
  static struct sums sums;
  int64_t began = now_us(), tmpfs = limits->memory ? tmpfs_bytes(limits) : 0;
  *ret_kill = -1;
  read_processes(limits, slots, &sums);
  bool many = limits->tasks && sums.all_tasks > limits->tasks;
  bool much = !many && limits->memory && sums.all_bytes + tmpfs > limits->memory;
  int64_t bytes = sums.all_bytes + tmpfs;
  if (much) {
    weigh(&sums);
    bytes = sums.all_bytes + tmpfs;
    much = bytes > limits->memory;
  }
  if (many || much)
    *ret_kill = enforce(limits, slots, shared, &sums, many);
  else
    last.over_since_ms = 0;
  return next_look(limits, &sums, bytes, now_us() - began);
}
