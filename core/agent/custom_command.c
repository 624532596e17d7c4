/* Custom tools that are answered by a program: the input as JSON on stdin, the answer on stdout.
 *
 * Both places it can run in are sandboxes to us, so that its tree is killed, its output bounded and its environment
 * clean in either: the session's own, or one of the provider that has no isolation, which is the host.
 */
#include "agent/custom_entry.h"
#include "agent/custom_parts.h"
#include "agent/demand.h"
#include "agent/session.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/thread.h"

#include <pthread.h>
#include <string.h>

#define STDOUT_MAX (4u << 20)
#define STDERR_TAIL 4096
#define SHOWN_HEAD 65536
#define SHOWN_TAIL 32768
#define FED_AT_ONCE 32768 /* goes into a pipe whether the program reads or not */

/* One run of a program. */
struct run {
  const struct mag_custom_job *job;
  struct mbp_call *call;
  struct mbp_stream *stream;
  struct mag_buf out, error_tail;
  size_t dropped;
  struct mag_preview_stream preview;
  pthread_t feeder;
  bool fed, feeding; /* feeding: by a thread of its own, which must be waited for */
};

/* ---- Starting ------------------------------------------------------------------------------------------------- */

static size_t fill_argv(const struct mbp_json *command, struct mbp_str argv[MAG_CUSTOM_ARGUMENTS])
{
  size_t n = 0;
  if (mag_json_type(command) == MBP_JSON_STRING) {
    argv[0] = mbp_str("/bin/sh");
    argv[1] = mbp_str("-c");
    argv[2] = mag_json_str(command);
    return 3;
  }
  for (const struct mbp_json *i = mag_json_first(command); i; i = mag_json_next(i))
    argv[n++] = mag_json_str(i);
  return n;
}

static int start(struct run *run, struct mbp_error *err)
{
  const struct mag_custom_entry *entry = run->job->tool->custom;
  struct mbp_str argv[MAG_CUSTOM_ARGUMENTS];
  struct mag_demand_env env = {0};
  int r = mag_demand_env(mbp_str(entry->env), "env", &env, err);
  if (r < 0)
    return r;
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .flags = MBP_EXEC_STDIN,
                          .argv = argv,
                          .n_argv = fill_argv(mag_json_get(entry->json, "command"), argv),
                          .env = env.pairs,
                          .n_env = env.n,
                          .hard_timeout_ms = entry->timeout_ms};
  r = mag_compute_table.exec(run->call, &exec, &run->stream, err);
  mag_demand_env_done(&env);
  return r;
}

static void *feed(void *argument)
{
  struct run *run = argument;
  struct mbp_error err = MAG_ERROR_INIT;
  /* A program that does not read its input is its own affair. */
  (void) mag_compute_table.write(run->stream, run->call, mbp_str(run->job->input), MBP_STDIN_EOF, &err);
  return NULL;
}

/* It may write before it has read all: who feeds it much must not be who reads. */
static void start_feeding(struct run *run)
{
  run->fed = true;
  run->feeding = strlen(run->job->input) > FED_AT_ONCE && mag_thread_start(feed, run, &run->feeder) == 0;
  if (!run->feeding)
    (void) feed(run);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static void keep_tail(struct mag_buf *tail, struct mbp_str data)
{
  mag_buf_add_str(tail, data);
  if (tail->len > STDERR_TAIL)
    mag_buf_consume(tail, tail->len - STDERR_TAIL);
}

static void take_output(struct run *run, const struct mbp_event *event)
{
  const struct mag_custom_job *job = run->job;
  if (event->index == 2) {
    keep_tail(&run->error_tail, event->data);
    mag_session_preview_piece(job->session, &run->preview, MAG_PREVIEW_TOOL_OUTPUT, job->event_id, job->tool->name,
                              event->data);
    return;
  }
  size_t room = STDOUT_MAX - run->out.len, taken = MAG_MIN(room, event->data.len);
  mag_buf_add(&run->out, event->data.ptr, taken);
  run->dropped += event->data.len - taken;
}

static int read_all(struct run *run, struct mbp_error *err)
{
  struct mbp_event event;
  int r;
  while ((r = mag_compute_table.next(run->stream, run->call, -1, &event, err)) > 0) {
    if (event.type == MBP_EV_EXEC_STARTED && !run->fed)
      start_feeding(run);
    else if (event.type == MBP_EV_EXEC_OUTPUT)
      take_output(run, &event);
  }
  mag_session_preview_rest(run->job->session, &run->preview);
  return r;
}

/* ---- The answer ----------------------------------------------------------------------------------------------- */

/* Text of any length: its head, its tail, and how much is missing. */
static void add_shortened(struct mag_buf *to, struct mbp_str text, size_t dropped)
{
  size_t head = text.len, tail = 0;
  while (head && text.ptr[head - 1] == '\n')
    head--;
  text.len = head;
  if (text.len > SHOWN_HEAD + SHOWN_TAIL) {
    head = mag_utf8_valid_prefix(text.ptr, SHOWN_HEAD);
    head = head ? head : SHOWN_HEAD;
    tail = SHOWN_TAIL;
    while (tail && ((unsigned char) text.ptr[text.len - tail] & 0xc0) == 0x80)
      tail--;
  }
  mag_buf_add(to, text.ptr, head);
  if (tail || dropped)
    mag_buf_printf(to, "\n[%zu byte%s left out here]\n", text.len - head - tail + dropped,
                   mag_plural((int64_t) (text.len - head - tail + dropped)));
  mag_buf_add(to, text.ptr + text.len - tail, tail);
}

static int text_answer(const struct mag_buf *text, bool is_error, struct mag_custom_answer *ret_answer,
                       struct mbp_error *err)
{
  ret_answer->content = text->failed ? NULL : mag_custom_text_content(mag_buf_str(text));
  ret_answer->is_error = is_error;
  return ret_answer->content ? 0 : mag_error_no_memory(err);
}

static int failed_answer(struct run *run, const struct mbp_exec_result *result, struct mag_custom_answer *ret_answer,
                         struct mbp_error *err)
{
  mag_autobuf text = MAG_BUF_INIT;
  if (result->reason == MBP_EXIT_HARD_TIMEOUT)
    mag_buf_printf(&text, "no answer within %lld ms: the program and all that it had started were killed",
                   (long long) run->job->tool->custom->timeout_ms);
  else if (result->message.len)
    mag_buf_add_str(&text, result->message);
  else
    mag_buf_printf(&text, "exit %d", result->exit_code);
  if (run->error_tail.len)
    mag_buf_add_char(&text, '\n');
  add_shortened(&text, mag_buf_str(&run->error_tail), 0);
  if (run->out.len)
    mag_buf_add_char(&text, '\n');
  add_shortened(&text, mag_buf_str(&run->out), run->dropped);
  return text_answer(&text, true, ret_answer, err);
}

static int take_answer(struct run *run, struct mag_custom_answer *ret_answer, struct mbp_error *err)
{
  const struct mbp_exec_result *result = mag_compute_table.result(run->stream);
  struct mbp_error why = MAG_ERROR_INIT;
  mag_autobuf text = MAG_BUF_INIT;
  bool found = false;
  if (!result)
    return mag_error(err, MBP_E_LOST, "the program ended without a result");
  if (result->reason != MBP_EXIT_EXITED || result->exit_code != 0)
    return failed_answer(run, result, ret_answer, err);
  if (!run->dropped && mag_custom_parse_answer(mag_buf_str(&run->out), &found, ret_answer, &why) < 0) {
    mag_buf_printf(&text, "the program answered what is no result: %s", why.message);
    return text_answer(&text, true, ret_answer, err);
  }
  if (found)
    return 0;
  add_shortened(&text, mag_buf_str(&run->out), run->dropped);
  if (text.len == 0)
    mag_buf_add_text(&text, "(no output)");
  return text_answer(&text, false, ret_answer, err);
}

static int run_command(const struct mag_custom_job *job, struct mag_custom_answer *ret_answer, struct mbp_error *err)
{
  struct mag_call_options options = {.parent = job->call};
  struct run run = {.job = job, .call = mag_call_new_scope(&options), .out = MAG_BUF_INIT, .error_tail = MAG_BUF_INIT};
  if (!run.call)
    return mag_error_no_memory(err);
  if (job->tool->custom->on_host)
    mag_call_set_scope(run.call, job->session->host);
  int r = start(&run, err);
  if (r == 0)
    r = read_all(&run, err);
  if (r == 0)
    r = take_answer(&run, ret_answer, err);
  if (run.feeding) {
    mag_call_cancel(run.call); /* whoever still feeds has nobody to feed */
    pthread_join(run.feeder, NULL);
  }
  mag_compute_table.close(run.stream);
  mag_buf_done(&run.out);
  mag_buf_done(&run.error_tail);
  mag_call_unref(run.call);
  return r;
}

/* ---- Which of the three --------------------------------------------------------------------------------------- */

bool mag_custom_here(const struct mag_session *session, const struct mag_tool *tool)
{
  return tool->custom->has_command || mag_handlers_find(&session->handlers, tool->name);
}

int mag_custom_run(const struct mag_custom_job *job, struct mag_custom_answer *ret_answer, struct mbp_error *err)
{
  struct mag_handler *handler = mag_handlers_find(&job->session->handlers, job->tool->name);
  return handler ? mag_custom_run_handler(job, handler, ret_answer, err) : run_command(job, ret_answer, err);
}
