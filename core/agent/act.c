/* Settling the model's tool calls: policy, answers, running, results. */
#include "agent/turn.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/thread.h"

#include <string.h>

#define RESULT_MAX (4u << 20)

/* Does the batch hold the result of this call already? */
static bool has_result(const struct mag_batch *batch, const struct mag_tool_call *call)
{
  for (size_t i = 0; i < batch->n; i++) {
    mag_autojson json = NULL;
    if (mbp_str_eq(batch->records[i].type, call->custom ? MAG_EV_USER_CUSTOM_RESULT : MAG_EV_TOOL_RESULT) &&
        mag_json_parse(batch->records[i].payload, &json, NULL) == 0 &&
        mbp_str_eq(mag_json_str(mag_json_get(json, call->custom ? "custom_tool_use_id" : "tool_use_id")),
                   call->event_id))
      return true;
  }
  return false;
}

void mag_turn_close_calls(struct mag_turn *turn, const char *why)
{
  const struct mag_state *state = &turn->session->log.state;
  for (size_t i = 0; i < state->n_calls; i++)
    if (!state->calls[i].result && !has_result(&turn->batch, &state->calls[i]))
      mag_batch_failure(&turn->batch, &state->calls[i], mbp_str(why));
}

/* ---- May it run? ---------------------------------------------------------------------------------------------- */

static bool is_allowed(const struct mag_session *session, const struct mag_tool_call *call)
{
  return call->permission == MAG_PERMISSION_ALLOW ||
         (call->permission == MAG_PERMISSION_ASK &&
          (call->answered ? call->allowed : mag_state_granted(&session->log.state, call->name)));
}

/* Of a custom tool that nobody in this process can run. */
static bool is_answered_outside(const struct mag_session *session, const struct mag_tool *tool)
{
  return tool->custom && !mag_custom_here(session, tool);
}

static bool may_run(const struct mag_session *session, const struct mag_tool_call *call)
{
  const struct mag_tool *tool = mag_toolbox_find(&session->toolbox, mbp_str(call->name));
  return !call->result && tool && is_allowed(session, call) && !is_answered_outside(session, tool);
}

static bool has_room(const struct mag_session *session, const struct mag_tool_call *call)
{
  return call->started || mag_budget_tool_room(&session->log.state);
}

static bool is_read_only(const struct mag_session *session, const struct mag_tool_call *call)
{
  return mag_toolbox_find(&session->toolbox, mbp_str(call->name))->flags & MBP_TOOL_READ_ONLY;
}

static bool is_repeatable(const struct mag_tool *tool)
{
  return tool->flags & (MBP_TOOL_READ_ONLY | MBP_TOOL_REPEATABLE);
}

size_t mag_turn_group(const struct mag_session *session, const struct mag_tool_call *calls, size_t n, size_t from)
{
  if (from >= n || !may_run(session, &calls[from]) || !has_room(session, &calls[from]))
    return 0;
  bool again = calls[from].started; /* and counted */
  size_t count = 1, room = again ? SIZE_MAX : mag_budget_tool_room(&session->log.state);
  while (from + count < n && count < MAG_PARALLEL_TOOLS && count < room && is_read_only(session, &calls[from]) &&
         may_run(session, &calls[from + count]) && is_read_only(session, &calls[from + count]) &&
         calls[from + count].started == again)
    count++;
  return count;
}

void mag_turn_mark_started(struct mag_turn *turn, const struct mag_tool_call *calls, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    const struct mag_tool *tool = mag_toolbox_find(&turn->session->toolbox, mbp_str(calls[i].name));
    struct mbp_writer *w = mag_batch_private(&turn->batch, MAG_REC_TOOL_STARTED);
    mag_writer_string(w, "event_id", mbp_str(calls[i].event_id));
    mag_writer_boolean(w, "repeatable", is_repeatable(tool));
    mag_batch_end(&turn->batch);
  }
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

/* One running tool. */
struct run {
  struct mag_turn *turn;
  const struct mag_tool_call *call;
  const struct mag_tool *tool;
  char *content; /* JSON array; NULL if the tool could not be run */
  bool is_error;
  struct mag_preview_stream output;
  struct mbp_error error;
  pthread_t thread;
  bool threaded;
};

static int show_output(void *ctx, const struct mbp_event *event)
{
  struct run *run = ctx;
  if (event->type == MBP_EV_TOOL_OUTPUT)
    mag_session_preview_piece(run->turn->session, &run->output, MAG_PREVIEW_TOOL_OUTPUT, run->call->event_id,
                              run->call->name, event->data);
  else if (event->type == MBP_EV_PROGRESS)
    mag_session_preview(run->turn->session, MAG_PREVIEW_PROGRESS, run->call->event_id, mbp_str(run->call->name),
                        event->data);
  return 0;
}

static int take_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct run *run = ctx;
  const struct mbp_tool_result *given = result;
  if (!given || !MBP_HAS(given, struct mbp_tool_result, content))
    return mag_error(err, MBP_E_INTERNAL, "tool %s ended without a result", run->call->name);
  if (given->content.len > RESULT_MAX)
    return mag_error(err, MBP_E_LIMIT, "the result of %s is larger than %u MiB", run->call->name, RESULT_MAX >> 20);
  mag_autojson json = NULL;
  int r = mag_json_parse(given->content, &json, err);
  if (r < 0)
    return r;
  if (mag_json_type(json) != MBP_JSON_ARRAY)
    return mag_error(err, MBP_E_INTERNAL, "the result of %s is not a list of blocks", run->call->name);
  run->content = mag_str_dup(given->content);
  run->is_error = given->is_error;
  return run->content ? 0 : mag_error_no_memory(err);
}

static void invoke_custom(struct run *run)
{
  struct mag_custom_job job = {run->turn->session, run->turn->call, run->tool, run->call->event_id, run->call->input};
  struct mag_custom_answer answer = {NULL, false};
  if (mag_custom_run(&job, &answer, &run->error) < 0)
    return;
  run->content = answer.content;
  run->is_error = answer.is_error;
}

static void invoke(struct run *run)
{
  mag_error_clear(&run->error);
  if (run->tool->custom) {
    invoke_custom(run);
    return;
  }
  const struct mbp_toolset_ops *ops = mag_instance_ops(run->tool->toolset);
  struct mag_call_options options = {
      .parent = run->turn->call, .sink = show_output, .on_result = take_result, .ctx = run};
  (void) MAG_RUN(run->tool->toolset, &options, &run->error,
                 ops->invoke(plugin, call, mbp_str(run->call->name), mbp_str(run->call->input), &run->error));
  mag_session_preview_rest(run->turn->session, &run->output);
}

static void *invoke_in_thread(void *arg)
{
  invoke(arg);
  return NULL;
}

static void start_thread(struct run *run)
{
  run->threaded = mag_thread_start(invoke_in_thread, run, &run->thread) == 0;
  if (!run->threaded)
    invoke(run);
}

#define SANDBOX_LOST                                                                                                   \
  "Note: the sandbox was made anew before this. Processes that ran in it, and files outside of the working "           \
  "directory, "                                                                                                        \
  "are gone."
#define WORKSPACE_LOST                                                                                                 \
  "Note: this conversation goes on in a new sandbox. No file and no process of the one before is there any more."
#define PROCESSES_LOST                                                                                                 \
  "Note: the processes that ran in the sandbox, shells too, have been ended before this. Its files are as they were."

/* What the model does not know yet; member NULL: nothing. */
struct loss {
  const char *member, *note;
};

static struct loss find_loss(const struct mag_session *session)
{
  const struct mag_state *state = &session->log.state;
  bool files_too = state->workspace_lost || mag_session_files_inside(session);
  if (state->sandbox_lost)
    return (struct loss){"sandbox_lost", files_too ? WORKSPACE_LOST : SANDBOX_LOST};
  return state->processes_lost ? (struct loss){"processes_lost", PROCESSES_LOST} : (struct loss){NULL, NULL};
}

/* The same blocks, and one more. NULL without memory. */
static char *with_note(const char *content, const char *note)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str block;
  size_t at = 0;
  mag_writer_array(w, NULL);
  while (mag_json_step(mbp_str(content), &at, NULL, &block))
    mag_writer_raw(w, NULL, block);
  mag_write_text_block(w, mbp_str(note));
  mag_writer_end(w);
  return mag_writer_take(w);
}

/* The tool may have had its effect before it was lost: the model must not take it for one that did not run. */
static char *failure_text(const struct mbp_error *error)
{
  bool unknown = error->code == MBP_E_LOST || error->code == MBP_E_TIMEOUT || error->code == MBP_E_CANCELLED ||
                 error->code == MBP_E_INTERNAL;
  return unknown
             ? mag_sprintf("The tool did not end as it should: %s. Whether it had an effect is unknown: check before "
                           "you do it again.",
                           error->message)
             : mag_sprintf("The tool could not be run: %s", error->message);
}

/* True if the result tells of the loss. */
static bool add_result(struct run *run, const struct loss *loss)
{
  struct mag_turn *turn = run->turn;
  struct mag_result result = {
      .tool_event = mbp_str(run->call->event_id), .custom = run->call->custom, .is_error = run->is_error};
  if (!run->content) {
    mag_autofree char *text = failure_text(&run->error);
    mag_batch_failure(&turn->batch, run->call, mbp_str(text));
    return false;
  }
  mag_autofree char *content = run->content;
  bool tells = loss->member && run->tool->flags & MBP_TOOL_SANDBOX;
  mag_autofree char *noted = tells ? with_note(content, loss->note) : NULL;
  result.lost = noted ? loss->member : NULL;
  mag_batch_result(&turn->batch, &result, mbp_str(noted ? noted : content));
  return noted != NULL;
}

/* Could a sandbox not be made that somebody needed since this was asked last? */
static bool has_no_sandbox(struct mag_session *session, struct mbp_error *ret_why)
{
  return (session->sandbox && mag_sandbox_take_failure(session->sandbox, ret_why)) ||
         (session->host && mag_sandbox_take_failure(session->host, ret_why));
}

/* Without a place to work in nothing can go on; who mends that resumes the session. */
static void end_without_sandbox(struct mag_turn *turn, const struct mbp_error *cause)
{
  struct mbp_error why = *cause;
  mag_error_wrap(&why, "the sandbox could not be made");
  mag_autofree char *text = mag_sprintf("This tool did not run: %s", why.message);
  mag_turn_close_calls(turn, text ? text : why.message);
  mag_turn_fail(turn, "unknown_error", &why);
}

static void run_group(struct mag_turn *turn, const struct mag_tool_call *calls, size_t n)
{
  const struct mag_tool *first = mag_toolbox_find(&turn->session->toolbox, mbp_str(calls[0].name));
  struct mbp_error why = MAG_ERROR_INIT;
  mag_output_begin(&turn->session->output, is_repeatable(first) ? NULL : calls[0].event_id);
  (void) has_no_sandbox(turn->session, &why); /* for somebody else, who has been told */
  struct run runs[MAG_PARALLEL_TOOLS];
  for (size_t i = 0; i < n; i++) {
    runs[i] = (struct run){
        .turn = turn, .call = &calls[i], .tool = mag_toolbox_find(&turn->session->toolbox, mbp_str(calls[i].name))};
    if (n > 1)
      start_thread(&runs[i]);
    else
      invoke(&runs[i]);
  }
  for (size_t i = 0; i < n; i++)
    if (runs[i].threaded)
      pthread_join(runs[i].thread, NULL);
  struct loss loss = find_loss(turn->session);
  for (size_t i = 0; i < n; i++)
    if (add_result(&runs[i], &loss))
      loss.member = NULL; /* once is enough */
  if (has_no_sandbox(turn->session, &why) && !mag_call_cancelled(turn->call))
    end_without_sandbox(turn, &why);
}

/* ---- One call after another ----------------------------------------------------------------------------------- */

/* Asks whoever watches. The answer is an event like one that came from outside. */
static bool ask_observer(struct mag_turn *turn, const struct mag_tool_call *call)
{
  const struct mag_observer *observer = &turn->session->observer;
  const struct mag_tool *tool = mag_toolbox_find(&turn->session->toolbox, mbp_str(call->name));
  struct mag_question question = {call->event_id, call->name, call->input, tool->flags & MBP_TOOL_HOST};
  struct mag_reply reply = {.answer = -1};
  if (observer->ask)
    observer->ask(observer->ctx, &question, &reply);
  else if (observer->confirm)
    reply.answer = observer->confirm(observer->ctx, call->name, call->input);
  if (reply.answer >= 0)
    mag_batch_confirmation(&turn->batch, mbp_str(call->event_id), &reply);
  free(reply.message);
  return reply.answer >= 0;
}

/* The session stops before the next request: see docs/LOG-FORMAT.md, section 9. */
static void add_no_room(struct mag_turn *turn, const struct mag_tool_call *call)
{
  struct mag_result result = {
      .tool_event = mbp_str(call->event_id), .custom = call->custom, .is_error = true, .budget = "tool_calls"};
  mag_batch_result_text(&turn->batch, &result,
                        mbp_str("This call did not run: the budget of tool calls of this session is used up."));
  turn->tools_refused = true;
}

static void refuse(struct mag_turn *turn, const struct mag_tool_call *call)
{
  mag_autofree char *text = NULL;
  if (call->problem)
    text = mag_str_dup(mbp_str(call->problem));
  else if (!mag_toolbox_find(&turn->session->toolbox, mbp_str(call->name)))
    text = mag_sprintf("There is no tool named \"%s\".", call->name);
  else if (call->permission == MAG_PERMISSION_DENY)
    text = mag_sprintf("The policy of this agent does not allow %s.", call->name);
  else if (!has_room(turn->session, call) && (!call->answered || call->allowed)) {
    add_no_room(turn, call);
    return;
  } else
    text = mag_sprintf("The user did not allow this%s%s", call->deny_message ? ": " : ".",
                       call->deny_message ? call->deny_message : "");
  mag_batch_failure(&turn->batch, call, mbp_str(text));
}

/* For a yes or no. */
static bool is_asked(const struct mag_session *session, const struct mag_tool_call *call)
{
  return !call->answered && call->permission == MAG_PERMISSION_ASK && !is_allowed(session, call);
}

/* For that, or for its result. */
static bool is_waiting(const struct mag_session *session, const struct mag_tool_call *call)
{
  const struct mag_tool *tool = mag_toolbox_find(&session->toolbox, mbp_str(call->name));
  return !call->result && tool &&
         ((is_asked(session, call) && has_room(session, call)) ||
          (is_allowed(session, call) && is_answered_outside(session, tool)));
}

/* From elsewhere, while somebody was asked here. */
static bool answer_has_come(const struct mag_state *state)
{
  for (size_t i = 0; i < state->n_inbox; i++)
    if (strcmp(state->inbox[i].type, MAG_EV_USER_CONFIRMATION) == 0 ||
        strcmp(state->inbox[i].type, MAG_EV_USER_CUSTOM_RESULT) == 0)
      return true;
  return false;
}

int mag_turn_act(struct mag_turn *turn, size_t *ret_waiting, struct mbp_error *err)
{
  struct mag_state *state = &turn->session->log.state;
  size_t waiting = 0, settled = 0;
  int r = turn->batch.n ? mag_turn_commit(turn, err) : 0; /* recovery may have settled some */
  if (r < 0)
    return r;
  size_t open = state->n_open;
  for (size_t i = 0; i < state->n_calls; i++) {
    const struct mag_tool_call *call = &state->calls[i];
    if (call->result)
      continue;
    if (is_waiting(turn->session, call)) {
      if (turn->batch.n) { /* what is known is recorded before a person is asked, who may take a while */
        r = mag_turn_commit(turn, err);
        if (r < 0)
          return r;
        open = state->n_open;
        settled = 0;
      }
      if (is_asked(turn->session, call) && (ask_observer(turn, call) || answer_has_come(state)))
        return mag_turn_commit(turn, err); /* now it is in the inbox: come again */
      waiting++;
      continue;
    }
    size_t group = mag_turn_group(turn->session, state->calls, state->n_calls, i);
    if (group == 0) {
      refuse(turn, call);
      settled++;
      continue;
    }
    if (mag_call_cancelled(turn->call))
      break; /* the turn's end closes what is open */
    if (!call->started) {
      mag_turn_mark_started(turn, call, group);
      r = mag_turn_commit(turn, err);
      if (r < 0)
        return r;
      open = state->n_open;
      settled = 0;
    }
    run_group(turn, call, group);
    if (turn->ended)
      return 0;
    settled += group;
    i += group - 1;
  }
  turn->owes = settled == open && open > 0; /* all results stand in the batch: the model is next */
  *ret_waiting = waiting;
  return 0;
}
