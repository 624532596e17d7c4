/* magent.compute/1: what a toolset sees of the session's sandbox. */
#include "agent/sandbox_parts.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define HELPER_INSIDE "/tmp/.magent-sandbox"

/* The sandbox that `call` works for. */
static struct mag_sandbox *find(struct mbp_call *call, struct mbp_error *err)
{
  struct mag_sandbox *sandbox = mag_call_scope(call);
  if (!sandbox)
    mag_error(err, MBP_E_UNSUPPORTED, "this call works for no session that has a sandbox");
  return sandbox;
}

static int table_exec(struct mbp_call *call, const struct mbp_exec *exec, struct mbp_stream **ret_stream,
                      struct mbp_error *err)
{
  struct mag_sandbox *sandbox = find(call, err);
  struct box *box = NULL;
  if (!sandbox)
    return -MBP_E_UNSUPPORTED;
  if (!MBP_HAS(exec, struct mbp_exec, n_argv) || exec->n_argv == 0)
    return mag_error(err, MBP_E_INVALID, "exec needs a program to run");
  int r = mag_sandbox_acquire(sandbox, call, &box, err);
  if (r < 0)
    return r;
  r = mag_stream_open(sandbox, box, call, exec, ret_stream, err);
  mag_sandbox_release(sandbox, box, 0);
  return r;
}

/* What mag_sandbox_release ends. */
static int acquire(struct mbp_call *call, struct mag_sandbox **ret_sandbox, struct box **ret_box, struct mbp_error *err)
{
  *ret_sandbox = find(call, err);
  return *ret_sandbox ? mag_sandbox_acquire(*ret_sandbox, call, ret_box, err) : -MBP_E_UNSUPPORTED;
}

static int run_put(struct mag_sandbox *sandbox, struct box *box, struct mbp_call *owner, const struct mbp_put *put,
                   struct mbp_error *err)
{
  struct mag_call_options options = {.parent = owner};
  return MAG_RUN(sandbox->compute, &options, err, sandbox->ops->put(plugin, call, box->info.id, put, err));
}

static int table_put(struct mbp_call *call, const struct mbp_put *put, struct mbp_error *err)
{
  struct mag_sandbox *sandbox;
  struct box *box = NULL;
  int r = acquire(call, &sandbox, &box, err);
  if (r < 0)
    return r;
  r = run_put(sandbox, box, call, put, err);
  mag_sandbox_release(sandbox, box, r);
  return r;
}

struct collected {
  struct mag_buf buf;
  int64_t limit;
};

static int collect(void *ctx, const struct mbp_event *event)
{
  struct collected *collected = ctx;
  if (event->type != MBP_EV_FILE_DATA)
    return 0;
  if (collected->limit > 0 && collected->buf.len + event->data.len > (uint64_t) collected->limit)
    return -MBP_E_LIMIT;
  mag_buf_add(&collected->buf, event->data.ptr, event->data.len);
  return collected->buf.failed ? -MBP_E_NO_MEMORY : 0;
}

static int table_get(struct mbp_call *owner, struct mbp_str path, int64_t limit, struct mbp_str *ret_content,
                     struct mbp_error *err)
{
  struct mag_sandbox *sandbox = find(owner, err);
  if (!sandbox)
    return -MBP_E_UNSUPPORTED;
  struct collected collected = {.buf = MAG_BUF_INIT, .limit = limit};
  struct mag_call_options receiver = {.sink = collect, .ctx = &collected};
  int r = mag_sandbox_fetch(sandbox, owner, path, limit, &receiver, err);
  size_t len = collected.buf.len;
  char *text = r == 0 ? mag_buf_take(&collected.buf) : NULL;
  mag_buf_done(&collected.buf);
  if (r < 0)
    return r;
  if (!text)
    return mag_error_no_memory(err);
  r = mag_call_keep(owner, text);
  if (r < 0)
    return mag_error_no_memory(err);
  *ret_content = mbp_str_n(text, len);
  return 0;
}

/* ---- The helper -------------------------------------------------------------------------------------------------- */

static int64_t read_file(void *ctx, void *buf, size_t cap)
{
  ssize_t n;
  do
    n = read(*(int *) ctx, buf, cap);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -MBP_E_INTERNAL : n;
}

static int put_helper(struct mag_sandbox *sandbox, struct box *box, struct mbp_call *call, struct mbp_error *err)
{
  const char *folder = secure_getenv("MAGENT_LIBEXEC_DIR");
  mag_autofree char *path = mag_sprintf("%s/magent-sandbox", folder ? folder : MAGENT_LIBEXECDIR);
  if (!path)
    return mag_error_no_memory(err);
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return mag_error(err, MBP_E_UNSUPPORTED, "%s is missing: file tools need it; install magent whole", path);
  struct mbp_put put = {.size = MBP_SIZE(struct mbp_put, ctx), .mode = 0755, .path = mbp_str(HELPER_INSIDE),
                        .length = st.st_size, .read = read_file, .ctx = &fd};
  return run_put(sandbox, box, call, &put, err);
}

/* Path of the helper in that box, put there by the first who asks while the others wait. */
static int find_helper(struct mag_sandbox *sandbox, struct box *box, struct mbp_call *call, const char **ret_path,
                       struct mbp_error *err)
{
  int r = 0;
  if (box->info.helper.len) {
    *ret_path = box->info.helper.ptr;
    return 0;
  }
  pthread_mutex_lock(&sandbox->lock);
  while (r == 0 && !box->helper && sandbox->helper_busy)
    r = mag_sandbox_wait(sandbox, call, err);
  if (r == 0 && !box->helper) {
    sandbox->helper_busy = true;
    pthread_mutex_unlock(&sandbox->lock);
    r = put_helper(sandbox, box, call, err);
    pthread_mutex_lock(&sandbox->lock);
    sandbox->helper_busy = false;
    if (r == 0 && !(box->helper = strdup(HELPER_INSIDE)))
      r = mag_error_no_memory(err);
    mag_sandbox_wake(sandbox);
  }
  if (r == 0)
    *ret_path = box->helper;
  pthread_mutex_unlock(&sandbox->lock);
  return r;
}

/* The text, borrowed until the call is done. */
static int lend(struct mbp_call *call, const char *text, struct mbp_str *ret_text, struct mbp_error *err)
{
  char *copy = strdup(text);
  if (!copy || mag_call_keep(call, copy) < 0)
    return mag_error_no_memory(err);
  *ret_text = mbp_str(copy);
  return 0;
}

static int table_helper(struct mbp_call *call, struct mbp_str *ret_path, struct mbp_error *err)
{
  struct mag_sandbox *sandbox;
  struct box *box = NULL;
  const char *path = NULL;
  int r = acquire(call, &sandbox, &box, err);
  if (r < 0)
    return r;
  r = find_helper(sandbox, box, call, &path, err);
  if (r == 0)
    r = lend(call, path, ret_path, err);
  mag_sandbox_release(sandbox, box, r);
  return r;
}

static int table_working_dir(struct mbp_call *call, struct mbp_str *ret_path, struct mbp_error *err)
{
  struct mag_sandbox *sandbox;
  struct box *box = NULL;
  int r = acquire(call, &sandbox, &box, err);
  if (r < 0)
    return r;
  r = lend(call, box->info.working_dir.ptr, ret_path, err);
  mag_sandbox_release(sandbox, box, 0);
  return r;
}

static int table_isolation(struct mbp_call *call)
{
  struct mag_sandbox *sandbox = mag_call_scope(call);
  const struct mbp_compute_info *info = sandbox ? mag_instance_info(sandbox->compute) : NULL;
  return info && MBP_HAS(info, struct mbp_compute_info, isolation) ? (int) info->isolation : MBP_ISOLATION_NONE;
}

const struct mbp_compute_v1 mag_compute_table = {
    .size = MBP_SIZE(struct mbp_compute_v1, isolation),
    .exec = table_exec,
    .next = mag_stream_next,
    .write = mag_stream_write,
    .signal = mag_stream_signal,
    .result = mag_stream_result,
    .close = mag_stream_close,
    .put = table_put,
    .get = table_get,
    .helper = table_helper,
    .working_dir = table_working_dir,
    .isolation = table_isolation,
};
