#include "rig.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "host/call.h"
#include "host/config.h"
#include "host/host.h"

#include <check.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- Plugin ----------------------------------------------------------------------------------------------------- */

char *rig_replaced(const char *text, const char *what, const char *with)
{
  struct mag_buf buf = MAG_BUF_INIT;
  for (const char *at; (at = strstr(text, what)) != NULL; text = at + strlen(what)) {
    mag_buf_add(&buf, text, (size_t) (at - text));
    mag_buf_add_text(&buf, with);
  }
  mag_buf_add_text(&buf, text);
  return mag_buf_take(&buf);
}

const char *rig_environment(const char *name)
{
  const char *value = secure_getenv(name);
  return value ? value : "";
}

static int keep_remark(void *ctx, const struct mbp_event *event)
{
  struct rig *rig = ctx;
  if (event->type == MBP_EV_PROGRESS)
    (void) snprintf(rig->remark, sizeof(rig->remark), "%.*s", (int) event->data.len, event->data.ptr);
  return 0;
}

static int probe(struct rig *rig, struct mbp_error *err)
{
  struct mag_call_options options = {.timeout_ms = 20000, .sink = keep_remark, .ctx = rig};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(call, rig->plugin->probe(rig->instance, call, err), NULL, err);
  mag_call_unref(call);
  return r;
}

/* ---- A machine whose cgroups limit nothing: the group is made, but with no limit in it --------------------------- */

static const struct mbp_host *real_host;

static int group_without_limits(const struct mbp_group_spec *spec, struct mbp_group **ret_group, struct mbp_error *err)
{
  const struct mbp_process_v1 *process = real_host->get_interface(real_host->ctx, MBP_PROCESS_V1);
  struct mbp_group_spec none = {.size = MBP_SIZE(struct mbp_group_spec, reserved), .name = spec->name};
  return process->group_new(&none, ret_group, err);
}

static const void *interface_without_groups(void *ctx, const char *name)
{
  static struct mbp_process_v1 without;
  const void *table = real_host->get_interface(ctx, name);
  if (strcmp(name, MBP_PROCESS_V1) != 0)
    return table;
  without = *(const struct mbp_process_v1 *) table;
  without.group_new = group_without_limits;
  return &without;
}

static const struct mbp_host *host_without_groups(const char *name)
{
  static struct mbp_host host;
  real_host = mag_host_for(name);
  host = *real_host;
  host.get_interface = interface_without_groups;
  return &host;
}

/* They live as long as the process. */
static const struct mbp_host *host_for(const char *name)
{
  static struct {
    const char *name;
    const struct mbp_host *host;
  } hosts[8];
  size_t i = 0;
  while (i < MAG_COUNT(hosts) - 1 && hosts[i].name && strcmp(hosts[i].name, name) != 0)
    i++;
  if (!hosts[i].host) {
    hosts[i].name = name;
    hosts[i].host = mag_host_for(name);
  }
  return hosts[i].host;
}

static void open_with(struct rig *rig, const struct provider *provider, const struct mbp_host *other_host)
{
  struct mbp_error err = MAG_ERROR_INIT;
  memset(rig, 0, sizeof(*rig));
  rig->provider = provider;
  (void) snprintf(rig->work, sizeof(rig->work), "/tmp/magent-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(rig->work));
  (void) snprintf(rig->workspace, sizeof(rig->workspace), "%s/ws", rig->work);
  ck_assert_int_eq(mkdir(rig->workspace, 0755), 0);
  mag_autofree char *path =
      mag_sprintf("%s/plugins/compute-%s/.libs/magent-compute-%s.so", TEST_BUILDDIR, provider->name, provider->name);
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(module != NULL, "%s", dlerror());
  mbp_entry_fn entry = (mbp_entry_fn) (uintptr_t) dlsym(module, MBP_ENTRY_NAME);
  ck_assert(entry != NULL);
  rig->plugin = entry();
  rig->ops = rig->plugin->ops;
  rig->info = rig->plugin->info;
  rig->host = other_host ? other_host : host_for(provider->name);
  mag_autofree char *with_helper = rig_replaced(provider->config, "%HELPER%", TEST_BUILDDIR "/sandbox/magent-sandbox");
  mag_autofree char *with_work = rig_replaced(with_helper, "%WORK%", rig->work);
  mag_autofree char *with_engine = rig_replaced(with_work, "%DOCKER%", rig_environment("MAGENT_TEST_DOCKER"));
  mag_autofree char *json = rig_replaced(with_engine, "%IMAGE%", rig_environment("MAGENT_TEST_DOCKER_IMAGE"));
  int r = mag_config_new(provider->name, rig->plugin->params, mbp_str(json), &rig->config, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  r = rig->plugin->open(rig->host, rig->config, &rig->instance, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  if (probe(rig, &err) < 0)
    (void) snprintf(rig->why_not, sizeof(rig->why_not), "%s", err.message);
}

void rig_open(struct rig *rig, const struct provider *provider)
{
  open_with(rig, provider, NULL);
}

void rig_open_without_groups(struct rig *rig, const struct provider *provider)
{
  open_with(rig, provider, host_without_groups(provider->name));
}

void rig_remove(const char *work)
{
  mag_autofree char *command = mag_sprintf("rm -rf '%s'", work);
  pid_t pid = fork();
  if (pid == 0) {
    (void) execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    _exit(1);
  }
  siginfo_t info;
  (void) waitid(P_PID, (id_t) pid, &info, WEXITED);
}

void rig_close(struct rig *rig)
{
  rig->plugin->close(rig->instance);
  mag_config_free(rig->config);
  rig_remove(rig->work);
}

/* ---- Sandboxes -------------------------------------------------------------------------------------------------- */

#define TEXT_HELPER 4 /* of the members below */

struct info_result {
  struct rig *rig;
  struct mbp_sandbox_info info;
  bool have;
};

/* The provider's texts are gone afterwards: ours stay until the rig's next result. */
static int keep_info(void *ctx, const void *result, struct mbp_error *err)
{
  struct info_result *kept = ctx;
  (void) err;
  if (!result)
    return 0;
  memcpy(&kept->info, result, MAG_MIN(((const struct mbp_sandbox_info *) result)->size, sizeof(kept->info)));
  kept->have = true;
  struct mbp_str *const members[] = {&kept->info.id,          &kept->info.key,    &kept->info.session,
                                     &kept->info.working_dir, &kept->info.helper, &kept->info.limits};
  for (size_t i = 0; i < MAG_COUNT(members); i++) {
    (void) snprintf(kept->rig->texts[i], sizeof(kept->rig->texts[i]), "%.*s", (int) members[i]->len,
                    members[i]->len ? members[i]->ptr : "");
    *members[i] = mbp_str(kept->rig->texts[i]);
  }
  return 0;
}

static void remember(struct rig *rig, const char *key, struct mbp_str id)
{
  struct rig_id *kept = &rig->ids[rig->n_ids++ % RIG_IDS];
  (void) snprintf(kept->key, sizeof(kept->key), "%s", key);
  (void) snprintf(kept->id, sizeof(kept->id), "%.*s", (int) id.len, id.ptr);
}

/* The provider's name of the newest sandbox with this key; the key itself, if none was made. */
static struct mbp_str id_of(struct rig *rig, const char *key)
{
  for (size_t i = rig->n_ids; i > 0 && rig->n_ids - i < RIG_IDS; i--)
    if (strcmp(rig->ids[(i - 1) % RIG_IDS].key, key) == 0)
      return mbp_str(rig->ids[(i - 1) % RIG_IDS].id);
  return mbp_str(key);
}

static int keep_create_remark(void *ctx, const struct mbp_event *event)
{
  return keep_remark(((struct info_result *) ctx)->rig, event);
}

int rig_try_create(struct rig *rig, const char *key, const struct box_options *given, struct mbp_sandbox_info *info,
                   struct mbp_error *err)
{
  struct box_options none = {0};
  const struct box_options *options = given ? given : &none;
  struct info_result kept = {.rig = rig};
  struct mag_call_options call_options = {
      .timeout_ms = 20000, .sink = keep_create_remark, .on_result = keep_info, .ctx = &kept};
  struct mbp_call *call = mag_call_new(&call_options);
  const char *workspace = rig->plugin->caps & MBP_CAP_COMPUTE_WORKSPACE ? rig->workspace : "";
  struct mbp_sandbox_spec spec = {
      .size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts),
      .flags = options->flags,
      .key = mbp_str(key),
      .session = mbp_str("sesn_test"),
      .owner = mbp_str("owner_test"),
      .workspace = mbp_str(options->workspace ? options->workspace : workspace),
      .network = options->network ? options->network : rig->provider->network,
      .pids = options->pids,
      .cpu_millis = options->cpu_millis,
      .memory_bytes = options->memory_bytes,
      .disk_bytes = options->disk_bytes,
      .lifetime_ms = options->lifetime_ms,
      .idle_ms = options->idle_ms,
      .image = mbp_str(options->image),
      .env = options->env,
      .n_env = options->n_env,
  };
  int r = mag_call_wait(call, rig->ops->create(rig->instance, call, &spec, err), NULL, err);
  mag_call_unref(call);
  if (r == 0) {
    ck_assert(kept.have);
    *info = kept.info;
    remember(rig, key, info->id);
  }
  return r;
}

void rig_create(struct rig *rig, const char *key, const struct box_options *options)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  int r = rig_try_create(rig, key, options, &info, &err);
  ck_assert_msg(r == 0, "create '%s': %s", key, err.message);
}

const char *rig_helper(const struct rig *rig)
{
  return rig->texts[TEXT_HELPER];
}

int rig_try_destroy(struct rig *rig, const char *key, struct mbp_error *err)
{
  struct mag_call_options options = {.timeout_ms = 20000};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(call, rig->ops->destroy(rig->instance, call, id_of(rig, key), err), NULL, err);
  mag_call_unref(call);
  return r;
}

void rig_destroy(struct rig *rig, const char *key)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(rig_try_destroy(rig, key, &err) == 0, "destroy: %s", err.message);
}

uint32_t rig_state(struct rig *rig, const char *key)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct info_result kept = {.rig = rig};
  struct mag_call_options options = {.timeout_ms = 20000, .on_result = keep_info, .ctx = &kept};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(call, rig->ops->status(rig->instance, call, id_of(rig, key), &err), NULL, &err);
  mag_call_unref(call);
  ck_assert_msg(r == 0 && kept.have, "status: %s", err.message);
  return kept.info.state;
}

/* ---- Commands --------------------------------------------------------------------------------------------------- */

struct watch {
  struct outcome *outcome;
  atomic_int *started;
};

static int on_event(void *ctx, const struct mbp_event *event)
{
  struct watch *watch = ctx;
  struct outcome *outcome = watch->outcome;
  if (event->type == MBP_EV_EXEC_STARTED) {
    outcome->started = true;
    outcome->number = event->number;
    if (watch->started)
      atomic_store(watch->started, 1);
  } else if (event->type == MBP_EV_EXEC_OUTPUT && (event->index == 1 || event->index == 2)) {
    struct mag_buf *buf = &outcome->out[event->index];
    if (event->number != (int64_t) buf->len)
      outcome->orderly = false;
    mag_buf_add_str(buf, event->data);
  }
  return 0;
}

static int on_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct watch *watch = ctx;
  struct outcome *outcome = watch->outcome;
  (void) err;
  memcpy(&outcome->result, result, MAG_MIN(((const struct mbp_exec_result *) result)->size, sizeof(outcome->result)));
  (void) snprintf(outcome->message, sizeof(outcome->message), "%.*s", (int) outcome->result.message.len,
                  outcome->result.message.ptr ? outcome->result.message.ptr : "");
  return 0;
}

static void run(struct rig *rig, const char *key, const char *const *argv, const struct run_options *given,
                struct outcome *outcome, atomic_int *started)
{
  static atomic_int counter;
  static const struct run_options none;
  const struct run_options *options = given ? given : &none;
  struct mbp_str words[16];
  size_t n = 0;
  char name[32];
  while (argv[n] && n < MAG_COUNT(words)) {
    words[n] = mbp_str(argv[n]);
    n++;
  }
  memset(outcome, 0, sizeof(*outcome));
  mag_error_clear(&outcome->err);
  outcome->orderly = true;
  (void) snprintf(name, sizeof(name), "p%d", atomic_fetch_add(&counter, 1));
  struct watch watch = {outcome, started};
  struct mag_call_options call_options = {.timeout_ms = options->call_timeout_ms ? options->call_timeout_ms : 60000,
                                          .sink = on_event,
                                          .on_result = on_result,
                                          .ctx = &watch};
  struct mbp_call *call = mag_call_new(&call_options);
  if (options->call)
    atomic_store(options->call, call);
  struct mbp_exec exec = {
      .size = MBP_SIZE(struct mbp_exec, spool),
      .flags = options->flags,
      .key = mbp_str(options->key ? options->key : name),
      .argv = words,
      .n_argv = n,
      .env = options->env,
      .n_env = options->n_env,
      .cwd = mbp_str(options->cwd),
      .user = mbp_str(options->user),
      .soft_timeout_ms = options->soft_ms,
      .hard_timeout_ms = options->hard_ms,
      .output_limit = options->limit,
      .spool = mbp_str(options->spool),
  };
  outcome->r = mag_call_wait(call, rig->ops->exec(rig->instance, call, id_of(rig, key), &exec, &outcome->err), NULL,
                             &outcome->err);
  if (options->call)
    atomic_store(options->call, NULL);
  mag_call_unref(call);
}

void rig_run(struct rig *rig, const char *key, const char *const *argv, const struct run_options *options,
             struct outcome *outcome)
{
  run(rig, key, argv, options, outcome, NULL);
}

void rig_sh(struct rig *rig, const char *key, const char *script, const struct run_options *options,
            struct outcome *outcome)
{
  const char *argv[] = {"sh", "-c", script, NULL};
  run(rig, key, argv, options, outcome, NULL);
}

void outcome_done(struct outcome *outcome)
{
  for (int i = 0; i < 3; i++)
    mag_buf_done(&outcome->out[i]);
}

char rig_last_output[65536];

int rig_code(struct rig *rig, const char *key, const char *script)
{
  struct outcome outcome;
  struct run_options options = {.flags = MBP_EXEC_MERGE, .hard_ms = 30000};
  rig_sh(rig, key, script, &options, &outcome);
  ck_assert_msg(outcome.r == 0, "exec: %s", outcome.err.message);
  (void) snprintf(rig_last_output, sizeof(rig_last_output), "%.*s", (int) MAG_MIN(outcome.out[1].len, (size_t) 60000),
                  outcome.out[1].ptr ? outcome.out[1].ptr : "");
  outcome_done(&outcome);
  return outcome.result.exit_code;
}

const char *rig_text(struct rig *rig, const char *key, const char *script)
{
  int code = rig_code(rig, key, script);
  ck_assert_msg(code == 0, "exit %d of: %s\n%s", code, script, rig_last_output);
  return rig_last_output;
}

static void *background_main(void *pointer)
{
  struct background *background = pointer;
  const char *argv[] = {"sh", "-c", background->script, NULL};
  background->options.call = &background->call;
  run(background->rig, background->key, argv, &background->options, &background->outcome, &background->started);
  return NULL;
}

void rig_start(struct background *background, struct rig *rig, const char *key, const char *script,
               const struct run_options *options)
{
  memset(background, 0, sizeof(*background));
  background->rig = rig;
  background->key = key;
  background->script = script;
  if (options)
    background->options = *options;
  ck_assert_int_eq(pthread_create(&background->thread, NULL, background_main, background), 0);
}

void rig_wait_started(struct background *background)
{
  for (int i = 0; i < 5000 && !atomic_load(&background->started); i++)
    (void) poll(NULL, 0, 1);
  ck_assert_msg(atomic_load(&background->started), "did not start: %s", background->outcome.err.message);
}

void rig_join(struct background *background)
{
  (void) pthread_join(background->thread, NULL);
}

int rig_write(struct rig *rig, const char *key, const char *process, struct mbp_str data, uint32_t flags,
              int64_t timeout_ms, struct mbp_error *err)
{
  struct mag_call_options options = {.timeout_ms = timeout_ms};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(
      call, rig->ops->write_stdin(rig->instance, call, id_of(rig, key), mbp_str(process), data, flags, err), NULL, err);
  mag_call_unref(call);
  return r;
}

int rig_signal(struct rig *rig, const char *key, const char *process, uint32_t signal, uint32_t flags)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.timeout_ms = 10000};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(
      call, rig->ops->signal(rig->instance, call, id_of(rig, key), mbp_str(process), signal, flags, &err), NULL, &err);
  mag_call_unref(call);
  return r;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

struct source {
  struct mbp_str rest;
};

static int64_t read_source(void *ctx, void *buf, size_t cap)
{
  struct source *source = ctx;
  size_t n = MAG_MIN(cap, source->rest.len);
  memcpy(buf, source->rest.ptr, n);
  source->rest = mbp_str_n(source->rest.ptr + n, source->rest.len - n);
  return (int64_t) n;
}

int rig_put(struct rig *rig, const char *key, const char *path, struct mbp_str content, uint32_t mode,
            struct mbp_error *err)
{
  struct mag_call_options options = {.timeout_ms = 20000};
  struct mbp_call *call = mag_call_new(&options);
  struct source source = {content};
  struct mbp_put put = {.size = MBP_SIZE(struct mbp_put, ctx),
                        .mode = mode,
                        .path = mbp_str(path),
                        .length = (int64_t) content.len,
                        .read = read_source,
                        .ctx = &source};
  int r = mag_call_wait(call, rig->ops->put(rig->instance, call, id_of(rig, key), &put, err), NULL, err);
  mag_call_unref(call);
  return r;
}

struct target {
  struct mag_buf *content;
  struct mbp_file_info *info;
};

static int on_data(void *ctx, const struct mbp_event *event)
{
  struct target *target = ctx;
  mag_buf_add_str(target->content, event->data);
  return 0;
}

static int on_file(void *ctx, const void *result, struct mbp_error *err)
{
  struct target *target = ctx;
  (void) err;
  memcpy(target->info, result, MAG_MIN(((const struct mbp_file_info *) result)->size, sizeof(*target->info)));
  return 0;
}

void rig_bring_attack(struct rig *rig, const char *key)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autobuf program = MAG_BUF_INIT;
  char chunk[65536];
  ssize_t n;
  if (rig_code(rig, key, "test -e attack") == 0)
    return;
  mag_autoclose int fd = open(TEST_BUILDDIR "/tests/compute/attack", O_RDONLY | O_CLOEXEC);
  while ((n = read(fd, chunk, sizeof(chunk))) > 0)
    mag_buf_add(&program, chunk, (size_t) n);
  int r = rig_put(rig, key, "attack", mag_buf_str(&program), 0755, &err);
  ck_assert_msg(r == 0 && program.len > 0, "attack: %s", err.message);
}

int rig_get(struct rig *rig, const char *key, const char *path, int64_t limit, struct mag_buf *content,
            struct mbp_file_info *info, struct mbp_error *err)
{
  struct target target = {content, info};
  struct mag_call_options options = {.timeout_ms = 20000, .sink = on_data, .on_result = on_file, .ctx = &target};
  struct mbp_call *call = mag_call_new(&options);
  mag_buf_clear(content);
  int r =
      mag_call_wait(call, rig->ops->get(rig->instance, call, id_of(rig, key), mbp_str(path), limit, err), NULL, err);
  mag_call_unref(call);
  return r;
}

static int on_process(void *ctx, const struct mbp_event *event)
{
  mag_buf_printf(ctx, "%.*s:%d %.*s\n", (int) event->name.len, event->name.ptr, (int) event->number,
                 (int) event->data.len, event->data.ptr);
  return 0;
}

const char *rig_processes(struct rig *rig, const char *key)
{
  static char text[16384];
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autobuf buf = MAG_BUF_INIT;
  struct mag_call_options options = {.timeout_ms = 10000, .sink = on_process, .ctx = &buf};
  struct mbp_call *call = mag_call_new(&options);
  int r = mag_call_wait(call, rig->ops->list_processes(rig->instance, call, id_of(rig, key), &err), NULL, &err);
  mag_call_unref(call);
  ck_assert_msg(r == 0, "list: %s", err.message);
  (void) snprintf(text, sizeof(text), "%s", buf.ptr ? buf.ptr : "");
  return text;
}

/* ---- Host side -------------------------------------------------------------------------------------------------- */

char *host_path(struct rig *rig, const char *name)
{
  static char paths[8][512];
  static unsigned next;
  char *path = paths[next++ % 8];
  (void) snprintf(path, 512, "%s/%s", rig->workspace, name);
  return path;
}

void host_write(struct rig *rig, const char *name, const char *content)
{
  mag_autoclose int fd = open(host_path(rig, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ck_assert_msg(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t) strlen(content), "cannot write %s", name);
}

bool host_exists(struct rig *rig, const char *name)
{
  struct stat st;
  return lstat(host_path(rig, name), &st) == 0;
}

static bool has_mark(const char *pid, const char *mark)
{
  char path[64], text[8192];
  (void) snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1); /* a zombie's is empty */
  return n > 0 && memmem(text, (size_t) n, mark, strlen(mark)) != NULL;
}

static int run_shell(const char *command, const char *argument)
{
  pid_t pid = fork();
  if (pid == 0) {
    (void) execl("/bin/sh", "sh", "-c", command, "sh", argument, (char *) NULL);
    _exit(127);
  }
  int status = -1;
  ck_assert(waitpid(pid, &status, 0) == pid);
  return status;
}

void host_shell(const char *format, ...)
{
  char command[2048];
  va_list args;
  va_start(args, format);
  (void) vsnprintf(command, sizeof(command), format, args);
  va_end(args);
  ck_assert_msg(run_shell(command, NULL) == 0, "%s", command);
}

bool host_has(const char *program)
{
  return run_shell("command -v \"$1\" > /dev/null", program) == 0;
}

int host_count(const char *mark)
{
  DIR *proc = opendir("/proc");
  int count = 0;
  for (struct dirent *entry; proc && (entry = readdir(proc)) != NULL;)
    if (entry->d_name[0] > '0' && entry->d_name[0] <= '9' && has_mark(entry->d_name, mark))
      count++;
  if (proc)
    (void) closedir(proc);
  return count;
}

bool host_there(const char *mark, int n)
{
  int64_t until = mag_clock_monotonic_ms() + 10000;
  while (host_count(mark) < n) {
    if (mag_clock_monotonic_ms() > until)
      return false;
    (void) poll(NULL, 0, 5);
  }
  return true;
}

bool host_gone(const char *mark, int64_t wait_ms)
{
  int64_t until = mag_clock_monotonic_ms() + wait_ms;
  while (host_count(mark) > 0) {
    if (mag_clock_monotonic_ms() > until)
      return false;
    (void) poll(NULL, 0, 5);
  }
  return true;
}
