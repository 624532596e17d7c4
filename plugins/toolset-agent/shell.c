/* bash: one shell for all commands of the session. A command is handed over on the shell's stdin, and a mark that
 * nobody can guess tells where its output ends: never the end of a stream, which a process in the background may hold
 * open. */
#include "output.h"
#include "spill.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define COMMAND_LIMIT (4u * 1024 * 1024)
#define GRACE_MS 500 /* between asking a command to end and killing it */

struct shell {
  struct mbp_stream *stream; /* NULL: none runs */
  int is_sh;                 /* there is no bash */
  struct text left;          /* what came after the last mark: of processes in the background */
  char note[240];            /* why the next shell is a new one, if nobody has told yet */
};

/* The output of one command. */
struct command {
  struct scanner scanner;
  struct collector collector;
  struct text fresh;
  struct spill spill;
  int spilled;
  int64_t until_ms;
};

enum ending { ENDED_BY_MARK, ENDED_WITH_SHELL, ENDED_BY_TIME, ENDED_BY_CANCEL, ENDED_BY_LOSS };

static int64_t now_ms(struct mbp_instance *agent)
{
  return agent->host->clock_ms(agent->host->ctx, MBP_CLOCK_MONOTONIC);
}

/* ---- The shell --------------------------------------------------------------------------------------------------- */

static void stop(struct mbp_instance *agent, struct shell *shell, const char *note)
{
  agent->compute->close(shell->stream);
  shell->stream = NULL;
  text_done(&shell->left);
  (void) snprintf(shell->note, sizeof(shell->note), "%s", note);
}

void shell_free(struct mbp_instance *agent)
{
  if (!agent->shell)
    return;
  stop(agent, agent->shell, "");
  free(agent->shell);
  agent->shell = NULL;
}

/* The mark goes to a copy of stdout, so that a command may redirect the shell's own. Commands do not get that copy. */
static const char *mark_fd(const struct shell *shell)
{
  return shell->is_sh ? "9" : "198";
}

static int launch(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct mbp_error *err)
{
  struct mbp_str bash[] = {mbp_str("/bin/bash"), mbp_str("--noprofile"), mbp_str("--norc")},
                 sh[] = {mbp_str("/bin/sh")};
  struct mbp_pair env[] = {{mbp_str("TERM"), mbp_str("dumb")}};
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .flags = MBP_EXEC_STDIN | MBP_EXEC_KEEP | MBP_EXEC_MERGE,
                          .argv = shell->is_sh ? sh : bash,
                          .n_argv = shell->is_sh ? 1 : 3,
                          .env = env,
                          .n_env = 1};
  char first[32];
  int r = agent->compute->exec(call, &exec, &shell->stream, err);
  if (r < 0)
    return r;
  (void) snprintf(first, sizeof(first), "exec %s>&1\n", mark_fd(shell));
  return agent->compute->write(shell->stream, call, mbp_str(first), 0, err);
}

/* After a launch that failed: did the program not exist? */
static int is_missing(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct mbp_error *err)
{
  struct mbp_event event;
  struct mbp_error own = {.size = MBP_SIZE(struct mbp_error, message)};
  const struct mbp_exec_result *result = NULL;
  if (!shell->stream)
    return 0;
  int r;
  while ((r = agent->compute->next(shell->stream, call, GRACE_MS, &event, &own)) > 0)
    continue;
  if (r == 0)
    result = agent->compute->result(shell->stream);
  int missing =
      result && (result->reason == MBP_EXIT_NOT_STARTED || result->exit_code == 127 || result->exit_code == 126);
  if (missing)
    (void) fail(err, MBP_E_UNAVAILABLE, "no shell could be started in the sandbox: %.*s",
                (int) (result->message.len < 200 ? result->message.len : 200),
                result->message.ptr ? result->message.ptr : "");
  return missing;
}

/* Does the shell of the last command still run? What processes in the background have printed since is taken along. */
static int is_alive(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell)
{
  struct mbp_event event;
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  int r;
  while ((r = agent->compute->next(shell->stream, call, 0, &event, &err)) > 0 && shell->left.len < 65536)
    if (event.type == MBP_EV_EXEC_OUTPUT)
      text_add(&shell->left, event.data.ptr, event.data.len);
  return r == -MBP_E_TIMEOUT || r > 0 || r == -MBP_E_CANCELLED;
}

/* A shell that waits for a command. Notes for the model go before the answer. */
static int have_shell(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct text *answer,
                      struct mbp_error *err)
{
  static const char died[] =
      "the earlier shell is gone, so this is a new one: variables and the working directory are reset";
  if (shell->stream && is_alive(agent, call, shell))
    return 0;
  if (shell->stream)
    stop(agent, shell, died);
  shell->is_sh = 0;
  int r = launch(agent, call, shell, err);
  if (r == -MBP_E_LOST && is_missing(agent, call, shell, err)) {
    char note[sizeof(shell->note)];
    memcpy(note, shell->note, sizeof(note));
    stop(agent, shell, note);
    shell->is_sh = 1;
    r = launch(agent, call, shell, err);
    if (r == -MBP_E_LOST && is_missing(agent, call, shell, err))
      r = -MBP_E_UNAVAILABLE;
    if (r == 0)
      text_add_str(answer, "[there is no /bin/bash here: commands run in /bin/sh]\n");
  }
  if (r < 0) {
    stop(agent, shell, "");
    return r;
  }
  if (shell->note[0])
    text_printf(answer, "[%s]\n", shell->note);
  shell->note[0] = 0;
  return 0;
}

/* ---- One command ------------------------------------------------------------------------------------------------- */

/* The command is one quoted word for eval, so nothing in it can break what stands around it. One that ends with a
 * backslash makes bash lose a character of what it reads next: hence line ends before and after, and all in one line.
 * */
static void write_script(const struct shell *shell, struct mbp_str command, const char *nonce, struct text *script)
{
  text_add_str(script, "\neval '");
  while (command.len) {
    const char *quote = memchr(command.ptr, '\'', command.len);
    size_t n = quote ? (size_t) (quote - command.ptr) : command.len;
    text_add(script, command.ptr, n);
    if (!quote)
      break;
    text_add_str(script, "'\\''");
    command = mbp_str_n(command.ptr + n + 1, command.len - n - 1);
  }
  text_printf(script, "\n\n' </dev/null %s>&-; ", mark_fd(shell));
  /* The group keeps `set -x` from showing it. */
  text_printf(script, "{ %sprintf '\\036%%s %%d\\036' %s \"$?\" >&%s; } 2>/dev/null\n", shell->is_sh ? "" : "builtin ",
              nonce, mark_fd(shell));
}

static int make_nonce(char nonce[NONCE_LEN + 1], struct mbp_error *err)
{
  unsigned char random[NONCE_LEN / 2];
  if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
    return fail(err, MBP_E_INTERNAL, "no random numbers");
  for (size_t i = 0; i < sizeof(random); i++) {
    nonce[2 * i] = "0123456789abcdef"[random[i] >> 4];
    nonce[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
  }
  nonce[NONCE_LEN] = 0;
  return 0;
}

/* Shows and keeps what the scanner let through. Negative: the call is over. */
static int take_fresh(struct mbp_instance *agent, struct mbp_call *call, struct command *command)
{
  struct text *fresh = &command->fresh;
  if (fresh->len == 0)
    return 0;
  struct mbp_event event = {
      .size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_TOOL_OUTPUT, .index = 1, .data = text_str(fresh)};
  int r = agent->host->emit(call, &event);
  if (collector_add(&command->collector, fresh->ptr, fresh->len)) {
    spill_begin(agent, call, &command->spill);
    command->spilled = 1;
    spill_add(agent, call, &command->spill, command->collector.all.ptr, command->collector.before);
  }
  if (command->spilled)
    spill_add(agent, call, &command->spill, fresh->ptr, fresh->len);
  fresh->len = 0;
  return r < 0 ? r : 0;
}

static enum ending read_output(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell,
                               struct command *command, struct mbp_error *err)
{
  struct mbp_event event;
  for (;;) {
    int64_t left = command->until_ms - now_ms(agent);
    if (left <= 0)
      return ENDED_BY_TIME;
    int r = agent->compute->next(shell->stream, call, left, &event, err);
    if (r == -MBP_E_TIMEOUT)
      continue;
    if (r == -MBP_E_CANCELLED)
      return ENDED_BY_CANCEL;
    if (r < 0)
      return ENDED_BY_LOSS;
    if (r == 0) {
      scanner_end(&command->scanner, &command->fresh);
      (void) take_fresh(agent, call, command);
      return ENDED_WITH_SHELL;
    }
    if (event.type != MBP_EV_EXEC_OUTPUT)
      continue;
    size_t used = scanner_feed(&command->scanner, event.data.ptr, event.data.len, &command->fresh);
    if (command->scanner.found)
      text_add(&shell->left, event.data.ptr + used, event.data.len - used);
    if (take_fresh(agent, call, command) < 0)
      return ENDED_BY_CANCEL;
    if (command->scanner.found)
      return ENDED_BY_MARK;
  }
}

/* A command that ran too long may still say something when it is asked to end; then all of it is killed, also when the
 * shell has ended: what does not listen may have been left behind. */
static void end_by_time(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct command *command)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  command->until_ms = now_ms(agent) + GRACE_MS;
  if (agent->compute->signal(shell->stream, call, MBP_SIG_TERM, MBP_SIGNAL_TREE, &err) == 0)
    (void) read_output(agent, call, shell, command, &err);
  (void) agent->compute->signal(shell->stream, call, MBP_SIG_KILL, MBP_SIGNAL_TREE, &err);
}

static void add_output(struct mbp_instance *agent, struct mbp_call *call, struct command *command, struct text *answer)
{
  auto_text note = {0};
  size_t before = answer->len;
  if (command->spilled)
    spill_end(agent, call, &command->spill, &note);
  collector_print(&command->collector, note.ptr ? note.ptr : "", answer);
  while (answer->len > before && answer->ptr[answer->len - 1] == '\n')
    answer->len--;
}

/* A line of its own below what is there. */
static void add_line(struct text *answer, const char *line)
{
  if (answer->len && answer->ptr[answer->len - 1] != '\n')
    text_add_str(answer, "\n");
  text_add_str(answer, line);
}

static void add_exit(struct text *answer, int code, uint32_t *ret_is_error)
{
  char line[32];
  *ret_is_error = code != 0;
  if (code) {
    (void) snprintf(line, sizeof(line), "exit %d", code);
    add_line(answer, line);
  }
}

#define RESET "variables and the working directory are reset"

static void end_with_shell(struct mbp_instance *agent, struct shell *shell, struct text *answer, uint32_t *ret_is_error)
{
  const struct mbp_exec_result *result = agent->compute->result(shell->stream);
  char line[400];
  add_exit(answer, result ? result->exit_code : 1, ret_is_error);
  (void) snprintf(line, sizeof(line), "[the shell has ended%s%.*s; the next command starts a new one: " RESET "]",
                  result && result->message.len ? ": " : "",
                  result ? (int) (result->message.len < 200 ? result->message.len : 200) : 0,
                  result && result->message.ptr ? result->message.ptr : "");
  add_line(answer, line);
  stop(agent, shell, "");
}

static void judge(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct command *command,
                  enum ending ending, int64_t timeout_ms, struct mbp_error *err, struct text *answer,
                  uint32_t *ret_is_error)
{
  char line[300];
  size_t before = answer->len;
  if (ending == ENDED_BY_TIME)
    end_by_time(agent, call, shell, command);
  add_output(agent, call, command, answer);
  *ret_is_error = 1;
  switch (ending) {
  case ENDED_BY_MARK:
    add_exit(answer, command->scanner.exit_code, ret_is_error);
    if (answer->len == before)
      text_add_str(answer, "(no output)");
    break;
  case ENDED_WITH_SHELL:
    end_with_shell(agent, shell, answer, ret_is_error);
    break;
  case ENDED_BY_TIME:
    (void) snprintf(
        line, sizeof(line),
        "[timed out after %lld ms: the shell and all that it had started were stopped; give a larger timeout_ms, or "
        "run it in the background]",
        (long long) timeout_ms);
    add_line(answer, line);
    stop(agent, shell, "this is a new shell, because the last command timed out: " RESET);
    break;
  case ENDED_BY_CANCEL:
    add_line(answer, "[cancelled: the command and the shell were stopped]");
    stop(agent, shell, "this is a new shell, because the last command was cancelled: " RESET);
    break;
  case ENDED_BY_LOSS:
    (void) snprintf(line, sizeof(line), "[the sandbox was lost while the command ran: %.200s]", err->message);
    add_line(answer, line);
    stop(agent, shell, "this is a new shell in a new sandbox: only the workspace may have survived");
    break;
  }
}

static int run_command(struct mbp_instance *agent, struct mbp_call *call, struct shell *shell, struct mbp_str text,
                       int64_t timeout_ms, struct text *answer, uint32_t *ret_is_error, struct mbp_error *err)
{
  char nonce[NONCE_LEN + 1];
  struct command command = {.collector = {.limit = (size_t) agent->output_limit}};
  auto_text script = {0};
  int r = have_shell(agent, call, shell, answer, err);
  if (r == 0)
    r = make_nonce(nonce, err);
  if (r < 0)
    return r;
  scanner_start(&command.scanner, nonce);
  command.until_ms = now_ms(agent) + timeout_ms;
  write_script(shell, text, nonce, &script);
  (void) scanner_feed(&command.scanner, shell->left.ptr, shell->left.len, &command.fresh);
  text_done(&shell->left);
  enum ending ending = ENDED_BY_CANCEL;
  r = script.failed ? fail(err, MBP_E_NO_MEMORY, "out of memory")
                    : agent->compute->write(shell->stream, call, text_str(&script), 0, err);
  if (r == 0 && take_fresh(agent, call, &command) == 0)
    ending = read_output(agent, call, shell, &command, err);
  if (r < 0)
    stop(agent, shell, "this is a new shell, because the last one could not take a command: " RESET);
  else
    judge(agent, call, shell, &command, ending, timeout_ms, err, answer, ret_is_error);
  collector_done(&command.collector);
  text_done(&command.fresh);
  return r;
}

static int check(struct mbp_instance *agent, const struct input *input, int64_t *ret_timeout_ms, struct text *answer)
{
  int64_t timeout_ms = input->values[2].given ? input->values[2].number : agent->timeout_ms;
  if (!input->values[0].given && !(input->values[1].given && input->values[1].number))
    text_add_str(answer, "bash: command is missing");
  else if (input->values[0].text.len > COMMAND_LIMIT)
    text_printf(answer, "bash: the command is longer than %u bytes: write a script with the write tool", COMMAND_LIMIT);
  else if (timeout_ms < 1 || timeout_ms > agent->max_timeout_ms)
    text_printf(answer, "bash: timeout_ms must be from 1 to %lld", (long long) agent->max_timeout_ms);
  else {
    *ret_timeout_ms = timeout_ms;
    return 0;
  }
  return 1;
}

int shell_run(struct mbp_instance *agent, struct mbp_call *call, const struct input *input, struct text *answer,
              uint32_t *ret_is_error, struct mbp_error *err)
{
  int64_t timeout_ms = 0;
  *ret_is_error = 1;
  if (check(agent, input, &timeout_ms, answer))
    return 0;
  if (pthread_mutex_trylock(&agent->shell_lock)) {
    text_add_str(answer, "bash: another command of this session is still running");
    return 0;
  }
  int r = 0;
  if (!agent->shell && !(agent->shell = calloc(1, sizeof(*agent->shell))))
    r = fail(err, MBP_E_NO_MEMORY, "out of memory");
  if (r == 0 && input->values[1].number)
    stop(agent, agent->shell, "");
  if (r == 0 && !input->values[0].given) {
    text_add_str(answer, "bash session restarted");
    *ret_is_error = 0;
  } else if (r == 0)
    r = run_command(agent, call, agent->shell, input->values[0].text, timeout_ms, answer, ret_is_error, err);
  pthread_mutex_unlock(&agent->shell_lock);
  return r;
}
