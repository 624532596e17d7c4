/* What a sandbox's init may say, byte by byte: nothing of it may do more than change the state of a process that the
 * host has started, in the order that the protocol has. */
#include "plugins/common/box.h"

#include <stdlib.h>
#include <sys/socket.h>

static int64_t fake_clock(void *ctx, uint32_t clock)
{
  (void) ctx;
  return clock;
}

static int fake_cancelled(struct mbp_call *call)
{
  (void) call;
  return 0;
}

static int fake_wait(struct mbp_process *process, int64_t wait_ms, int32_t *ret_code, int32_t *ret_signal)
{
  (void) process;
  (void) wait_ms;
  (void) ret_code;
  (void) ret_signal;
  return 1;
}

static void fake_free(struct mbp_process *process)
{
  (void) process;
}

static void fake_group_free(struct mbp_group *group)
{
  (void) group;
}

static const struct mbp_host host = {.size = sizeof(host), .clock_ms = fake_clock, .cancelled = fake_cancelled};
static const struct mbp_process_v1 process = {
    .size = sizeof(process), .wait = fake_wait, .free = fake_free, .group_free = fake_group_free};

#define PROCESSES 3

static void check(struct mag_proc *const *procs)
{
  for (int i = 0; i < PROCESSES; i++) {
    const struct mag_proc *proc = procs[i];
    if ((proc->exited && !proc->started) || (proc->started && proc->failed) ||
        (proc->gone && !proc->exited && !proc->failed))
      abort();
    if (proc->code < 0 || proc->code > 255 || proc->signal < 0 || proc->signal > 64 || proc->pid < 0)
      abort();
    if (proc->limits & ~(1u << MAG_BOX_LIMIT_MEMORY | 1u << MAG_BOX_LIMIT_TASKS) || (proc->limits && !proc->started))
      abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const keys[PROCESSES] = {"one", "", "three"};
  struct mag_proc *procs[PROCESSES] = {0};
  struct mbp_error err = PLUG_ERROR_INIT;
  struct mbp_str argv[] = {mbp_str("true")};
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return 0;
  struct mag_box *box = mag_box_new(&host, &process, mbp_str("box"), mbp_str(""));
  box->working_dir = plug_dup(mbp_str("/workspace"));
  box->control = pair[0];
  for (int i = 0; i < PROCESSES; i++) {
    struct mag_start start = {.argv = argv,
                              .n_argv = 1,
                              .key = mbp_str(keys[i]),
                              .in = -1,
                              .out = -1,
                              .err = -1,
                              .flags = i == 2 ? MAG_BOX_SPOOL : 0};
    if (mag_box_start(box, NULL, &start, &procs[i], &err) < 0)
      abort();
  }
  /* Over the socket, so that sizes are the kernel's; one message is as long as its first byte says. */
  for (size_t at = 0; at < size;) {
    size_t len = data[at] % 40, n = PLUG_MIN(len, size - at - 1);
    (void) send(pair[1], data + at + 1, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    at += 1 + n;
    mag_box_pump(box);
    check(procs);
  }
  (void) close(pair[1]);
  mag_box_pump(box);
  if (!box->dead)
    abort();
  for (int i = 0; i < PROCESSES; i++)
    mag_proc_unref(procs[i]);
  mag_box_unref(box);
  return 0;
}
