#include "fake_compute.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/call.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct fake_state fake_state;

#define MAX_BOXES 32
#define MAX_PROCESSES 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_box {
  char id[32], key[64], dir[64];
  bool alive;
} boxes[MAX_BOXES];
static int n_boxes;
static struct fake_process {
  char key[64], id[32];
  pid_t pid;
  int in;
} processes[MAX_PROCESSES];

struct mbp_instance {
  int unused;
};

static int fake_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                     struct mbp_error *err)
{
  (void) host;
  (void) config;
  (void) err;
  *ret_instance = calloc(1, sizeof(**ret_instance));
  return *ret_instance ? 0 : -MBP_E_NO_MEMORY;
}

static void fake_close(struct mbp_instance *instance)
{
  free(instance);
}

static struct fake_box *find_by(struct mbp_str id, bool by_key)
{
  struct fake_box *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < n_boxes; i++)
    if (boxes[i].alive && mbp_str_eq(id, by_key ? boxes[i].key : boxes[i].id))
      found = &boxes[i];
  pthread_mutex_unlock(&lock);
  return found;
}

static struct fake_box *find_box(struct mbp_str id)
{
  return find_by(id, false);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove(path);
}

static void kill_box(struct fake_box *box)
{
  pthread_mutex_lock(&lock);
  box->alive = false;
  fake_state.alive--;
  for (int i = 0; i < MAX_PROCESSES; i++)
    if (processes[i].pid && strcmp(processes[i].id, box->id) == 0)
      kill(-processes[i].pid, SIGKILL);
  pthread_mutex_unlock(&lock);
  (void) nftw(box->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void fake_lose_all(void)
{
  for (int i = 0; i < n_boxes; i++)
    if (boxes[i].alive)
      kill_box(&boxes[i]);
}

static void done_info(struct mbp_call *call, const struct fake_box *box)
{
  struct mbp_sandbox_info info = {.size = MBP_SIZE(struct mbp_sandbox_info, existed),
                                  .state = MBP_SANDBOX_RUNNING,
                                  .id = mbp_str(box->id),
                                  .working_dir = mbp_str(box->dir)};
  if (!fake_state.no_helper)
    info.helper = mbp_str(fake_state.helper);
  mag_call_done(call, &info, NULL);
}

static int fake_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                       struct mbp_error *err)
{
  (void) instance;
  fake_state.creates++;
  (void) snprintf(fake_state.owner, sizeof(fake_state.owner), "%.*s", (int) spec->owner.len, spec->owner.ptr);
  (void) snprintf(fake_state.session, sizeof(fake_state.session), "%.*s", (int) spec->session.len, spec->session.ptr);
  for (size_t i = 0; i < spec->key.len; i++)
    if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", spec->key.ptr[i]))
      return mag_error(err, MBP_E_INVALID, "bad key");
  if (spec->key.len == 0 || spec->key.len > 63)
    return mag_error(err, MBP_E_INVALID, "bad length of key");
  struct pollfd cancel = {.fd = mag_call_cancel_fd(call), .events = POLLIN};
  if (poll(&cancel, 1, fake_state.create_delay_ms) > 0)
    return mag_call_cancel_error(call, err);
  if (fake_state.fail_creates > 0) {
    fake_state.fail_creates--;
    return mag_error(err, MBP_E_UNAVAILABLE, "the fake cannot now");
  }
  pthread_mutex_lock(&lock);
  struct fake_box *box = &boxes[n_boxes++ % MAX_BOXES];
  if (n_boxes > MAX_BOXES)
    n_boxes = MAX_BOXES;
  (void) snprintf(box->id, sizeof(box->id), "fake-%d", (int) fake_state.creates);
  (void) snprintf(box->key, sizeof(box->key), "%.*s", (int) spec->key.len, spec->key.ptr);
  (void) snprintf(box->dir, sizeof(box->dir), "/tmp/magent-fake-XXXXXX");
  box->alive = mkdtemp(box->dir) != NULL;
  fake_state.alive++;
  pthread_mutex_unlock(&lock);
  done_info(call, box);
  return 0;
}

static int fake_attach(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                       struct mbp_error *err)
{
  (void) instance;
  fake_state.attaches++;
  if (fake_state.fail_attaches > 0) {
    fake_state.fail_attaches--;
    return mag_error(err, MBP_E_UNAVAILABLE, "the fake is out of reach");
  }
  struct fake_box *box = id.len ? find_box(id) : find_by(key, true);
  if (!box)
    return mag_error(err, MBP_E_NOT_FOUND, "no such sandbox");
  done_info(call, box);
  return 0;
}

static int fake_status(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  (void) instance;
  (void) err;
  fake_state.statuses++;
  struct mbp_sandbox_info info = {.size = MBP_SIZE(struct mbp_sandbox_info, existed), .id = id,
                                  .state = find_box(id) ? MBP_SANDBOX_RUNNING : MBP_SANDBOX_STOPPED};
  mag_call_done(call, &info, NULL);
  return 0;
}

static int fake_list(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err)
{
  (void) instance;
  (void) err;
  mag_call_done(call, NULL, NULL);
  return 0;
}

static int fake_destroy(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err)
{
  (void) instance;
  (void) err;
  fake_state.destroys++;
  struct fake_box *box = find_box(id);
  if (box)
    kill_box(box);
  mag_call_done(call, NULL, NULL);
  return 0;
}

/* ---- Processes --------------------------------------------------------------------------------------------------- */

struct running {
  struct mbp_call *call;
  struct fake_process *process;
  int out, err_fd;
  int64_t offsets[3];
};

static char *text_of(struct mbp_str s)
{
  return strndup(s.ptr ? s.ptr : "", s.len);
}

static int spawn(const struct fake_box *box, const struct mbp_exec *exec, int in, int out, int err_fd, pid_t *ret_pid)
{
  char *argv[64] = {NULL};
  char *envp[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"LANG=C.UTF-8"}, NULL};
  char cwd[PATH_MAX];
  (void) snprintf(cwd, sizeof(cwd), "%.*s", (int) exec->cwd.len, exec->cwd.ptr ? exec->cwd.ptr : "");
  for (size_t i = 0; i < exec->n_argv && i < 63; i++)
    argv[i] = text_of(exec->argv[i]);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
  posix_spawn_file_actions_addchdir_np(&actions, cwd[0] ? cwd : box->dir);
  int number = fake_state.no_bash && strcmp(argv[0], "/bin/bash") == 0
                   ? ENOENT
                   : posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, envp);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (size_t i = 0; argv[i]; i++)
    free(argv[i]);
  return number;
}

/* One piece of a pipe; false at its end. */
static bool pump(struct running *running, int fd, uint32_t index)
{
  char buf[16384];
  ssize_t n = read(fd, buf, sizeof(buf));
  if (n <= 0)
    return n < 0 && errno == EAGAIN;
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_EXEC_OUTPUT, .index = index,
                            .number = running->offsets[index], .data = mbp_str_n(buf, (size_t) n)};
  running->offsets[index] += n;
  (void) mag_call_emit(running->call, &event);
  return true;
}

/* Until the main process has ended and 100 ms have passed for what others still write. */
static bool watch(struct running *running, int64_t hard_ms, bool *ret_timeout)
{
  mag_autoclose int pidfd = (int) syscall(SYS_pidfd_open, running->process->pid, 0);
  struct pollfd fds[4] = {{running->out, POLLIN, 0},
                          {running->err_fd, POLLIN, 0},
                          {pidfd, POLLIN, 0},
                          {mag_call_cancel_fd(running->call), POLLIN, 0}};
  bool cancelled = false;
  int64_t until = hard_ms ? mag_clock_monotonic_ms() + hard_ms : INT64_MAX;
  while (fds[0].fd >= 0 || fds[1].fd >= 0 || fds[2].fd >= 0) {
    int64_t left = until - mag_clock_monotonic_ms();
    if (left <= 0 && fds[2].fd < 0)
      break;
    if (left <= 0) {
      *ret_timeout = true;
      kill(-running->process->pid, SIGKILL);
      until = INT64_MAX;
      continue;
    }
    (void) poll(fds, 4, (int) MAG_MIN(left, 60000));
    for (int i = 0; i < 2; i++)
      if (fds[i].revents && !pump(running, fds[i].fd, (uint32_t) i + 1))
        fds[i].fd = -1;
    if (fds[2].revents) {
      fds[2].fd = -1;
      until = mag_clock_monotonic_ms() + 100;
    }
    if (fds[3].revents) {
      cancelled = true;
      kill(-running->process->pid, SIGKILL);
      fds[3].fd = -1;
    }
  }
  return cancelled;
}

static struct fake_process *enter_process(const struct fake_box *box, struct mbp_str key, pid_t pid, int in)
{
  pthread_mutex_lock(&lock);
  struct fake_process *process = NULL;
  for (int i = 0; i < MAX_PROCESSES && !process; i++)
    if (!processes[i].pid)
      process = &processes[i];
  if (process) {
    (void) snprintf(process->key, sizeof(process->key), "%.*s", (int) key.len, key.ptr);
    (void) snprintf(process->id, sizeof(process->id), "%s", box->id);
    process->pid = pid;
    process->in = in;
  }
  pthread_mutex_unlock(&lock);
  return process;
}

static void leave_process(struct fake_process *process)
{
  pthread_mutex_lock(&lock);
  process->pid = 0;
  mag_cleanup_close(&process->in);
  process->in = -1;
  pthread_mutex_unlock(&lock);
}

static int fake_exec(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                     const struct mbp_exec *exec, struct mbp_error *err)
{
  (void) instance;
  fake_state.execs++;
  struct fake_box *box = find_box(id);
  if (!box)
    return mag_error(err, MBP_E_LOST, "the sandbox is gone");
  int in[2] = {-1, -1}, out[2], errors[2] = {-1, -1};
  pid_t pid = 0;
  if (exec->flags & MBP_EXEC_STDIN)
    (void) !pipe2(in, O_CLOEXEC);
  else
    in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  (void) !pipe2(out, O_CLOEXEC);
  if (!(exec->flags & MBP_EXEC_MERGE))
    (void) !pipe2(errors, O_CLOEXEC);
  int number = spawn(box, exec, in[0], out[1], errors[1] >= 0 ? errors[1] : out[1], &pid);
  close(in[0]);
  close(out[1]);
  mag_cleanup_close(&errors[1]);
  struct mbp_exec_result result = {.size = MBP_SIZE(struct mbp_exec_result, reserved)};
  if (number) {
    result.reason = MBP_EXIT_NOT_STARTED;
    result.message = mbp_str("cannot run it");
    mag_cleanup_close(&in[1]);
    close(out[0]);
    mag_cleanup_close(&errors[0]);
    mag_call_done(call, &result, NULL);
    return 0;
  }
  if (in[1] >= 0)
    fcntl(in[1], F_SETFL, O_NONBLOCK);
  struct running running = {.call = call, .out = out[0], .err_fd = errors[0]};
  running.process = enter_process(box, exec->key, pid, in[1]);
  struct mbp_event started = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_EXEC_STARTED, .number = pid,
                              .name = exec->key};
  (void) mag_call_emit(call, &started);
  bool timeout = false, cancelled = watch(&running, exec->hard_timeout_ms, &timeout);
  int status = 0;
  leave_process(running.process);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  kill(-pid, SIGKILL);
  close(out[0]);
  mag_cleanup_close(&errors[0]);
  if (!find_box(id))
    return mag_error(err, MBP_E_LOST, "the sandbox is gone");
  result.reason = cancelled ? MBP_EXIT_CANCELLED : timeout ? MBP_EXIT_HARD_TIMEOUT
                  : WIFSIGNALED(status) ? MBP_EXIT_SIGNALED : MBP_EXIT_EXITED;
  result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  mag_call_done(call, &result, NULL);
  return 0;
}

static struct fake_process *find_process(struct mbp_str key, struct mbp_str id)
{
  for (int i = 0; i < MAX_PROCESSES; i++)
    if (processes[i].pid && mbp_str_eq(key, processes[i].key) && mbp_str_eq(id, processes[i].id))
      return &processes[i];
  return NULL;
}

static int fake_write_stdin(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                            struct mbp_str data, uint32_t flags, struct mbp_error *err)
{
  (void) instance;
  pthread_mutex_lock(&lock);
  struct fake_process *process = find_process(key, id);
  mag_autoclose int fd = process && process->in >= 0 ? fcntl(process->in, F_DUPFD_CLOEXEC, 3) : -1;
  pthread_mutex_unlock(&lock);
  if (fd < 0)
    return mag_error(err, MBP_E_LOST, "the process has ended");
  struct pollfd fds[2] = {{fd, POLLOUT, 0}, {mag_call_cancel_fd(call), POLLIN, 0}};
  while (data.len) {
    (void) poll(fds, 2, -1);
    if (fds[1].revents)
      return mag_call_cancel_error(call, err);
    ssize_t n = write(fd, data.ptr, data.len);
    if (n < 0 && errno != EAGAIN)
      return mag_error(err, MBP_E_LOST, "the process has closed its stdin");
    if (n > 0)
      data = mbp_str_n(data.ptr + n, data.len - (size_t) n);
  }
  if (flags & MBP_STDIN_EOF) {
    pthread_mutex_lock(&lock);
    process = find_process(key, id);
    if (process) {
      mag_cleanup_close(&process->in);
      process->in = -1;
    }
    pthread_mutex_unlock(&lock);
  }
  mag_call_done(call, NULL, NULL);
  return 0;
}

static int fake_signal(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                       uint32_t number, uint32_t flags, struct mbp_error *err)
{
  (void) instance;
  (void) err;
  pthread_mutex_lock(&lock);
  struct fake_process *process = find_process(key, id);
  if (process)
    kill(flags & MBP_SIGNAL_TREE ? -process->pid : process->pid, (int) number);
  pthread_mutex_unlock(&lock);
  mag_call_done(call, NULL, NULL);
  return 0;
}

static int fake_list_processes(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                               struct mbp_error *err)
{
  struct fake_process copies[MAX_PROCESSES];
  (void) instance;
  (void) err;
  pthread_mutex_lock(&lock);
  memcpy(copies, processes, sizeof(copies));
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < MAX_PROCESSES; i++) {
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_PROCESS, .number = 1,
                              .name = mbp_str(copies[i].key)};
    if (copies[i].pid && mbp_str_eq(id, copies[i].id))
      (void) mag_call_emit(call, &event);
  }
  mag_call_done(call, NULL, NULL);
  return 0;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static void file_path(const struct fake_box *box, struct mbp_str path, char *text, size_t cap)
{
  if (path.len && path.ptr[0] == '/')
    (void) snprintf(text, cap, "%.*s", (int) path.len, path.ptr);
  else
    (void) snprintf(text, cap, "%s/%.*s", box->dir, (int) path.len, path.ptr);
}

static int fake_put(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_put *put,
                    struct mbp_error *err)
{
  (void) instance;
  fake_state.puts++;
  struct fake_box *box = find_box(id);
  if (!box)
    return mag_error(err, MBP_E_LOST, "the sandbox is gone");
  char path[PATH_MAX], buf[8192];
  file_path(box, put->path, path, sizeof(path));
  (void) unlink(path);
  mag_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return mag_error_errno(err, errno, "put");
  int64_t n;
  while ((n = put->read(put->ctx, buf, sizeof(buf))) > 0)
    (void) !write(fd, buf, (size_t) n);
  (void) fchmod(fd, put->mode);
  mag_call_done(call, NULL, NULL);
  return 0;
}

static int fake_get(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str inside,
                    int64_t limit, struct mbp_error *err)
{
  (void) instance;
  struct fake_box *box = find_box(id);
  if (!box)
    return mag_error(err, MBP_E_LOST, "the sandbox is gone");
  char path[PATH_MAX], buf[8192];
  file_path(box, inside, path, sizeof(path));
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return mag_error_errno(err, errno, "get");
  ssize_t n;
  int64_t total = 0;
  while ((n = read(fd, buf, sizeof(buf))) > 0) {
    total += n;
    if (limit && total > limit)
      return mag_error(err, MBP_E_LIMIT, "the file is too large");
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_FILE_DATA,
                              .data = mbp_str_n(buf, (size_t) n)};
    (void) mag_call_emit(call, &event);
  }
  struct mbp_file_info info = {.size = MBP_SIZE(struct mbp_file_info, length), .mode = 0600, .length = total};
  mag_call_done(call, &info, NULL);
  return 0;
}

static const struct mbp_compute_info info = {
    .size = MBP_SIZE(struct mbp_compute_info, isolation), .networks = MBP_NET_HOST, .isolation = MBP_ISOLATION_NONE};

static const struct mbp_compute_ops ops = {
    .size = MBP_SIZE(struct mbp_compute_ops, get),
    .create = fake_create,
    .attach = fake_attach,
    .status = fake_status,
    .list = fake_list,
    .destroy = fake_destroy,
    .exec = fake_exec,
    .write_stdin = fake_write_stdin,
    .signal = fake_signal,
    .list_processes = fake_list_processes,
    .put = fake_put,
    .get = fake_get,
};

const struct mbp_plugin fake_compute = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .kind = MBP_KIND_COMPUTE,
    .kind_version = MBP_COMPUTE_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "fake",
    .version = "0",
    .license = "Apache-2.0",
    .origin = "tests",
    .summary = "a fake",
    .info = &info,
    .ops = &ops,
    .open = fake_open,
    .close = fake_close,
};
