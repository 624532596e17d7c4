/* The sandbox of an agent, without a model. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/block.h"
#include "embed/embed.h"
#include "embed/files.h"

#define COMMAND_MS 120000
#define KILL_AFTER_MS 2000 /* what does not heed SIGTERM */
#define GRACE_MS 60000     /* a provider that has not answered so long after that is not waited for */
#define OUTPUT_MAX (1 << 20)

/* One use of the sandbox, also while a turn runs. */
struct use {
  struct magent_agent *agent;
  struct mag_session *session;
  struct mbp_call *call;
};

/* A session whose tools need no sandbox has none prepared; to do so changes the session. */
static int need_sandbox(struct magent_agent *agent, struct mbp_error *err)
{
  struct mag_session *session;
  int r = embed_enter(agent, EMBED_ALONE, err);
  if (r < 0)
    return r;
  r = embed_session(agent, &session, err);
  if (r == 0)
    r = mag_session_need_sandbox(session, err);
  embed_leave(agent, EMBED_ALONE);
  return r;
}

static int enter(struct magent_agent *agent, struct mag_session **ret_session, struct mbp_error *err)
{
  int r = embed_enter(agent, EMBED_BESIDE, err);
  if (r < 0)
    return r;
  r = embed_session(agent, ret_session, err);
  if (r < 0 || !(*ret_session)->sandbox)
    embed_leave(agent, EMBED_BESIDE);
  if (r < 0 || (*ret_session)->sandbox)
    return r;
  r = need_sandbox(agent, err);
  return r < 0 ? r : enter(agent, ret_session, err);
}

static void use_end(struct use *use)
{
  mag_call_unref(use->call);
  mag_session_release_sandbox(use->session);
  embed_leave(use->agent, EMBED_BESIDE);
}

/* timeout_ms 0: none. */
static int use_begin(struct use *use, struct magent_agent *agent, int64_t timeout_ms, struct mbp_error *err)
{
  int r = enter(agent, &use->session, err);
  if (r < 0)
    return r;
  struct mag_call_options options = {.timeout_ms = timeout_ms, .session = mbp_str(use->session->log.id)};
  use->agent = agent;
  mag_session_hold_sandbox(use->session);
  use->call = mag_call_new_scope(&options);
  if (!use->call) {
    use_end(use);
    return mag_error_no_memory(err);
  }
  mag_call_set_scope(use->call, use->session->sandbox);
  return 0;
}

int magent_compute_provision(struct magent_agent *agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str where;
  struct use use;
  int r = use_begin(&use, agent, 0, &err);
  if (r == 0) {
    r = mag_compute_table.working_dir(use.call, &where, &err);
    use_end(&use);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_compute_shutdown(struct magent_agent *agent, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r == 0) {
    r = agent->session ? mag_session_drop_sandbox(agent->session, &err) : 0;
    embed_leave(agent, EMBED_ALONE);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

/* ---- Status ----------------------------------------------------------------------------------------------------- */

static const char *status_name(uint32_t state)
{
  switch (state) {
  case MBP_SANDBOX_STARTING:
    return "starting";
  case MBP_SANDBOX_RUNNING:
    return "running";
  case MBP_SANDBOX_SUSPENDED:
    return "suspended";
  default:
    return "none";
  }
}

struct status {
  const struct mag_session *session;
  struct magent_compute_info *info;
};

/* `given` is what the provider said, or NULL if there is no sandbox. */
static int describe(void *ctx, const void *given, struct mbp_error *err)
{
  struct status *status = ctx;
  const struct mag_session *session = status->session;
  const struct mbp_compute_info *provider = mag_instance_info(session->compute);
  struct mbp_sandbox_info told = {0};
  char *at;
  if (given)
    memcpy(&told, given, MAG_MIN((size_t) * (const uint32_t *) given, sizeof(told)));
  const struct mbp_str texts[] = {mbp_str(session->definition.compute),
                                  mbp_str(status_name(told.state)),
                                  told.id,
                                  told.working_dir,
                                  mbp_str(mag_network_name(session->network)),
                                  told.limits};
  struct magent_compute_info *info = embed_block(sizeof(*info), texts, MAG_COUNT(texts), &at);
  if (!info)
    return mag_error_no_memory(err);
  info->provider = embed_place(&at, texts[0]);
  info->status = embed_place(&at, texts[1]);
  info->id = embed_place(&at, texts[2]);
  info->working_dir = embed_place(&at, texts[3]);
  info->network = embed_place(&at, texts[4]);
  info->limits = embed_place(&at, texts[5]);
  info->isolated = provider && provider->isolation != MBP_ISOLATION_NONE;
  free(status->info);
  status->info = info;
  return 0;
}

int magent_compute_status(struct magent_agent *agent, struct magent_compute_info **ret_info, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct use use;
  int r = use_begin(&use, agent, 0, &err);
  if (r < 0)
    return embed_fail(error, &err);
  struct status status = {.session = use.session};
  r = mag_sandbox_status(use.session->sandbox, use.call, describe, &status, &err);
  if (r == 0 && !status.info)
    r = describe(&status, NULL, &err);
  use_end(&use);
  if (r < 0) {
    free(status.info);
    return embed_fail(error, &err);
  }
  *ret_info = status.info;
  return 0;
}

/* ---- Commands --------------------------------------------------------------------------------------------------- */

static int collect(struct mbp_stream *stream, struct mbp_call *call, struct mag_buf bufs[2], struct mbp_error *err)
{
  struct mbp_event event = {0};
  int r;
  while ((r = mag_compute_table.next(stream, call, -1, &event, err)) == 1)
    if (event.type == MBP_EV_EXEC_OUTPUT)
      mag_buf_add_str(&bufs[event.index == 2], event.data);
  return r == 0 && (bufs[0].failed || bufs[1].failed) ? mag_error_no_memory(err) : r;
}

static int command_result(const struct mbp_exec_result *told, struct mag_buf bufs[2],
                          struct magent_command_result **ret_result, struct mbp_error *err)
{
  const struct mbp_str texts[] = {mag_buf_str(&bufs[0]), mag_buf_str(&bufs[1]), told->message};
  char *at;
  struct magent_command_result *result = embed_block(sizeof(*result), texts, MAG_COUNT(texts), &at);
  if (!result)
    return mag_error_no_memory(err);
  result->exit_code = told->exit_code;
  result->timed_out = told->reason == MBP_EXIT_SOFT_TIMEOUT || told->reason == MBP_EXIT_HARD_TIMEOUT;
  result->output = embed_place(&at, texts[0]);
  result->output_len = texts[0].len;
  result->errors = embed_place(&at, texts[1]);
  result->errors_len = texts[1].len;
  result->message = embed_place(&at, texts[2]);
  result->dropped = told->dropped;
  *ret_result = result;
  return 0;
}

static int run_command(struct mbp_call *call, const char *command, int64_t timeout_ms,
                       struct magent_command_result **ret_result, struct mbp_error *err)
{
  const struct mbp_compute_v1 *compute = &mag_compute_table;
  const struct mbp_str argv[] = {mbp_str("sh"), mbp_str("-c"), mbp_str(command)};
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .argv = argv,
                          .n_argv = MAG_COUNT(argv),
                          .soft_timeout_ms = timeout_ms,
                          .hard_timeout_ms = timeout_ms + KILL_AFTER_MS,
                          .output_limit = OUTPUT_MAX};
  struct mag_buf bufs[2] = {MAG_BUF_INIT, MAG_BUF_INIT};
  struct mbp_stream *stream;
  int r = compute->exec(call, &exec, &stream, err);
  if (r < 0)
    return r;
  r = collect(stream, call, bufs, err);
  const struct mbp_exec_result *told = r == 0 ? compute->result(stream) : NULL;
  if (told && told->reason == MBP_EXIT_SOFT_TIMEOUT) /* it ended when it was asked to; what it started may not have */
    (void) compute->signal(stream, call, MBP_SIG_KILL, MBP_SIGNAL_TREE, NULL);
  if (r == 0)
    r = command_result(compute->result(stream), bufs, ret_result, err);
  compute->close(stream);
  mag_buf_done(&bufs[0]);
  mag_buf_done(&bufs[1]);
  return r;
}

int magent_compute_execute(struct magent_agent *agent, const char *command, int64_t timeout_ms,
                           struct magent_command_result **ret_result, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct use use;
  timeout_ms = timeout_ms > 0 ? MAG_MIN(timeout_ms, INT64_MAX / 4) : COMMAND_MS;
  int r = use_begin(&use, agent, timeout_ms + KILL_AFTER_MS + GRACE_MS, &err);
  if (r == 0) {
    r = run_command(use.call, command, timeout_ms, ret_result, &err);
    use_end(&use);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

int magent_compute_upload(struct magent_agent *agent, const char *local_path, const char *path,
                          struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct use use;
  struct mbp_put put;
  mag_autoclose int fd = -1;
  int r = embed_file_open(local_path, &fd, &put, &err);
  if (r == 0)
    r = use_begin(&use, agent, 0, &err);
  if (r == 0) {
    put.path = mbp_str(path);
    put.ctx = &fd;
    r = mag_compute_table.put(use.call, &put, &err);
    use_end(&use);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}

int magent_compute_download(struct magent_agent *agent, const char *path, const char *local_path,
                            struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct embed_file file;
  struct use use;
  int r = use_begin(&use, agent, 0, &err);
  if (r < 0)
    return embed_fail(error, &err);
  r = embed_file_create(&file, local_path, &err);
  if (r == 0) {
    struct mag_call_options receiver = {.sink = embed_file_write, .on_result = embed_file_info, .ctx = &file};
    r = mag_sandbox_fetch(use.session->sandbox, use.call, mbp_str(path), 0, &receiver, &err);
    r = embed_file_finish(&file, r, &err);
  }
  use_end(&use);
  return r < 0 ? embed_fail(error, &err) : 0;
}
