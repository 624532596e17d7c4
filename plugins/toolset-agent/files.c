/* read, write, edit, glob and grep: one run of magent-sandbox in the sandbox each. */
#include "agent.h"

#define PATH_LIMIT 4096
#define PATTERN_LIMIT 16384
#define OUT_LIMIT (2u * 1024 * 1024) /* more than any of the tools prints: the sandbox is not trusted to keep to that */
#define ERROR_LIMIT 8192
#define RUN_MS 120000

#define MAX_ARGS 24

struct run {
  struct mbp_str argv[MAX_ARGS];
  size_t n;
  struct text numbers[3], spill_dir; /* texts in argv */
  struct text stdin_text;
  int has_stdin;
  struct text out, errors;
};

static void run_done(struct run *run)
{
  for (size_t i = 0; i < 3; i++)
    text_done(&run->numbers[i]);
  text_done(&run->spill_dir);
  text_done(&run->stdin_text);
  text_done(&run->out);
  text_done(&run->errors);
}

static void add_arg(struct run *run, struct mbp_str arg)
{
  if (run->n < MAX_ARGS)
    run->argv[run->n++] = arg;
}

static void add_option(struct run *run, const char *option, struct mbp_str value)
{
  add_arg(run, mbp_str(option));
  add_arg(run, value);
}

static void add_number(struct run *run, const char *option, size_t slot, int64_t value)
{
  text_printf(&run->numbers[slot], "%lld", (long long) value);
  add_option(run, option, text_str(&run->numbers[slot]));
}

/* Without isolation the tools keep to the working directory, and to where long outputs were put. */
static int add_roots(struct mbp_instance *agent, struct mbp_call *call, struct run *run, struct mbp_error *err)
{
  struct mbp_str dir;
  if (agent->compute->isolation(call) != MBP_ISOLATION_NONE)
    return 0;
  int r = agent->compute->working_dir(call, &dir, err);
  if (r < 0)
    return r;
  add_option(run, "--root", dir);
  pthread_mutex_lock(&agent->lock);
  if (agent->spill_dir[0]) {
    text_add_str(&run->spill_dir, agent->spill_dir); /* another call may change it */
    add_option(run, "--root", text_str(&run->spill_dir));
  }
  pthread_mutex_unlock(&agent->lock);
  return 0;
}

static void add_block(struct text *text, struct mbp_str block)
{
  text_printf(text, "%zu\n", block.len);
  text_add(text, block.ptr, block.len);
}

/* Arguments and stdin of a tool; a problem is for the model. */
static int build(struct run *run, enum tool_id id, const struct input *input, struct text *problem)
{
  struct mbp_str first = input->values[0].text,
                 path = id == TOOL_GLOB || id == TOOL_GREP ? input->values[1].text : first;
  if (path.len > PATH_LIMIT || first.len > PATTERN_LIMIT) {
    text_printf(problem, "%s: the %s is too long", tools[id].name, path.len > PATH_LIMIT ? "path" : "pattern");
    return 1;
  }
  switch (id) {
  case TOOL_READ:
    if (input->values[1].given) {
      add_number(run, "--from", 0, input->values[1].number);
      add_number(run, "--to", 1, input->values[1].second);
    }
    break;
  case TOOL_WRITE:
    add_number(run, "--bytes", 0, (int64_t) input->values[1].text.len);
    text_add(&run->stdin_text, input->values[1].text.ptr, input->values[1].text.len);
    run->has_stdin = 1;
    break;
  case TOOL_EDIT:
    if (input->values[3].number)
      add_arg(run, mbp_str("--all"));
    add_block(&run->stdin_text, input->values[1].text);
    add_block(&run->stdin_text, input->values[2].text);
    run->has_stdin = 1;
    break;
  default:
    if (path.len)
      add_option(run, "--in", path);
  }
  add_option(run, "--", first);
  return 0;
}

static void collect(struct run *run, const struct mbp_event *event)
{
  struct text *text = event->index == 2 ? &run->errors : &run->out;
  size_t limit = event->index == 2 ? ERROR_LIMIT : OUT_LIMIT;
  if (event->type == MBP_EV_EXEC_OUTPUT && text->len < limit)
    text_add(text, event->data.ptr, event->data.len < limit - text->len ? event->data.len : limit - text->len);
}

/* Runs it; the process's end is in *ret_result, borrowed from the stream. */
static int execute(struct mbp_instance *agent, struct mbp_call *call, struct run *run, struct mbp_stream **ret_stream,
                   struct mbp_error *err)
{
  const struct mbp_compute_v1 *compute = agent->compute;
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .flags = run->has_stdin ? MBP_EXEC_STDIN : 0,
                          .argv = run->argv,
                          .n_argv = run->n,
                          .hard_timeout_ms = RUN_MS};
  struct mbp_event event;
  int r = compute->exec(call, &exec, ret_stream, err);
  if (r == 0 && run->has_stdin) {
    r = compute->write(*ret_stream, call, text_str(&run->stdin_text), MBP_STDIN_EOF, err);
    if (r == -MBP_E_LOST)
      r = 0; /* it left without reading: its own words say why */
  }
  if (r < 0)
    return r;
  while ((r = compute->next(*ret_stream, call, -1, &event, err)) > 0)
    collect(run, &event);
  return r;
}

static void judge(enum tool_id id, const struct run *run, const struct mbp_exec_result *result, struct text *answer,
                  uint32_t *ret_is_error)
{
  const struct text *said = run->errors.len ? &run->errors : &run->out; /* some providers have one stream only */
  size_t len = said->len;
  *ret_is_error = !(result->reason == MBP_EXIT_EXITED && result->exit_code == 0);
  if (!*ret_is_error && run->out.len)
    text_add(answer, run->out.ptr, run->out.len);
  else if (!*ret_is_error)
    text_add_str(answer, id == TOOL_READ ? "(the file is empty)" : "(no output)");
  else if (result->reason == MBP_EXIT_EXITED && result->exit_code == 1 && len) {
    while (len && said->ptr[len - 1] == '\n')
      len--;
    text_add(answer, said->ptr, len);
  } else if (result->reason == MBP_EXIT_HARD_TIMEOUT)
    text_printf(answer, "%s: stopped after %d s", tools[id].name, RUN_MS / 1000);
  else
    text_printf(answer, "%s could not run in the sandbox: %.*s (exit %d)%.*s%.*s", tools[id].name,
                (int) (result->message.len < 200 ? result->message.len : 200),
                result->message.ptr ? result->message.ptr : "", (int) result->exit_code, len ? 2 : 0, ": ",
                (int) (len < 400 ? len : 400), len ? said->ptr : "");
}

int files_run(struct mbp_instance *agent, struct mbp_call *call, enum tool_id id, const struct input *input,
              struct text *answer, uint32_t *ret_is_error, struct mbp_error *err)
{
  struct run run = {.n = 0};
  struct mbp_stream *stream = NULL;
  struct mbp_str helper;
  int r = agent->compute->helper(call, &helper, err);
  if (r < 0)
    return r;
  add_arg(&run, helper);
  add_arg(&run, mbp_str(tools[id].name));
  r = add_roots(agent, call, &run, err);
  if (r == 0 && build(&run, id, input, answer)) {
    *ret_is_error = 1;
  } else if (r == 0) {
    r = execute(agent, call, &run, &stream, err);
    const struct mbp_exec_result *result = r == 0 ? agent->compute->result(stream) : NULL;
    if (result)
      judge(id, &run, result, answer, ret_is_error);
    else if (r == 0)
      r = fail(err, MBP_E_LOST, "%s: nobody knows how it ended", tools[id].name);
    agent->compute->close(stream);
  }
  run_done(&run);
  return r;
}
