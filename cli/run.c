#include "cli.h"
#include "interrupt.h"
#include "options.h"
#include "question.h"
#include "render.h"
#include "run_options.h"

#include "agent/agents.h"
#include "agent/project_file.h"
#include "agent/schema.h"
#include "agent/session.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROMPT_MAX (16u << 20)

static const char help_head[] =
    "Usage: magent run [OPTION]... PROMPT|-\n"
    "\n"
    "Runs an agent on PROMPT (\"-\": read it from stdin) until it has answered. The answer goes to stdout, what\n"
    "tools do to stderr.\n"
    "\n";

static const char help_tail[] =
    "\n"
    "Options come first, then the agent, then the project's environment, then defaults.json in the configuration\n"
    "directory.\n"
    "Exit status: 0 end of turn, 1 error, 2 wrong usage, 3 a tool call waits for an answer, 4 a limit was reached,\n"
    "130 interrupted (Ctrl-C ends the turn and keeps the session; twice ends the program).\n";

struct options {
  struct mag_definition definition;
  const char *agent, *session, *title;
  struct mag_limits limits;
  bool yes, json, no_project, trust_project, model_given;
  char *prompt;
};

static void make_options(struct option options[RUN_OPTIONS_MAX + 1])
{
  struct run_option all[RUN_OPTIONS_MAX];
  size_t n = run_options(all);
  for (size_t i = 0; i < n; i++)
    options[i] = (struct option){all[i].name, all[i].argument ? required_argument : no_argument, NULL, all[i].id};
  options[n] = (struct option){NULL, 0, NULL, 0};
}

static void print_help(void)
{
  fputs(help_head, stdout);
  run_options_print(stdout);
  fputs(help_tail, stdout);
}

static int find_directory(const char *text, char **ret_path, struct mbp_error *err)
{
  struct stat st;
  char *path = realpath(text, NULL);
  if (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
    *ret_path = path;
    return 0;
  }
  free(path);
  return mag_error(err, MBP_E_NOT_FOUND, "%s: no such directory", text);
}

static int take_key(struct options *options, const struct mag_key *key, const char *text)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *path = NULL;
  int r = key->type == MAG_KEY_PATH ? find_directory(text, &path, &err) : 0;
  if (r == 0)
    r = mag_definition_set(&options->definition, key->path, path ? path : text, &err);
  return r < 0 ? cli_usage("run", "--%s: %s", key->option, err.message) : 0;
}

int cli_change(struct mag_definition *definition, const char *text, struct mbp_error *err)
{
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return mag_error(err, MBP_E_INVALID, "--set %s: expected KEY=VALUE", text);
  mag_autofree char *path = mag_str_dup(mbp_str_n(text, (size_t) (equals - text)));
  if (!path)
    return mag_error_no_memory(err);
  int r = mag_definition_set(definition, path, equals[1] ? equals + 1 : NULL, err);
  return r < 0 ? mag_error_wrap(err, "--set") : 0;
}

static int take_option(struct options *options, int option)
{
  struct mbp_error err = MAG_ERROR_INIT;
  switch (option) {
  case RUN_AGENT:
    options->agent = optarg;
    return 0;
  case RUN_SET:
    return cli_change(&options->definition, optarg, &err) < 0 ? cli_usage("run", "%s", err.message) : 0;
  case RUN_TOOLS:
    return mag_definition_set_tools(&options->definition, optarg, &err) < 0
               ? cli_usage("run", "--tools: %s", err.message)
               : 0;
  case RUN_NO_PROJECT:
    options->no_project = true;
    return 0;
  case RUN_TRUST_PROJECT:
    options->trust_project = true;
    return 0;
  case RUN_SESSION:
    options->session = optarg;
    return 0;
  case RUN_TITLE:
    options->title = optarg;
    return 0;
  case RUN_TURNS:
    if (mag_parse_int(mbp_str(optarg), &options->limits.max_steps) < 0 || options->limits.max_steps < 1)
      return cli_usage("run", "--max-turns %s: not a number from 1 on", optarg);
    return 0;
  case RUN_TIMEOUT:
    if (mag_parse_duration(mbp_str(optarg), &options->limits.timeout_ms) < 0 || options->limits.timeout_ms < 1)
      return cli_usage("run", "--timeout %s: not a duration such as 90s or 5m", optarg);
    return 0;
  case RUN_YES:
    options->yes = true;
    return 0;
  case RUN_JSON:
    options->json = true;
    return 0;
  default:
    return option >= RUN_KEY ? take_key(options, &mag_schema[option - RUN_KEY], optarg) : EXIT_USAGE;
  }
}

static char *read_stdin(void)
{
  struct mag_buf text = MAG_BUF_INIT;
  char chunk[65536];
  size_t n;
  while (text.len <= PROMPT_MAX && (n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
    mag_buf_add(&text, chunk, n);
  while (text.len && text.len <= PROMPT_MAX && text.ptr[text.len - 1] == '\n')
    text.ptr[--text.len] = 0;
  if (text.len && memchr(text.ptr, 0, text.len)) { /* it would end there, and nobody would know */
    mag_buf_clear(&text);
    mag_buf_add_text(&text, "\xff"); /* not text either: refused as such */
  }
  return mag_buf_take(&text);
}

/* A session keeps what it was made with; an option that would be ignored is refused. */
static int check_session_options(struct options *options)
{
  struct mag_definition *given = &options->definition;
  const char *name = options->agent ? "--agent" : given->tools ? "--tools" : options->title ? "--title" : NULL;
  for (const struct mag_key *key = mag_schema; key->path && !name; key++)
    if (strcmp(key->path, "model.id") != 0 && strcmp(key->path, "system") != 0 && mag_key_is_said(given, key))
      name = key->option ? key->option : key->path;
  return name ? cli_usage("run", "%s%s cannot be changed in a session that exists; only --model and --system can",
                          *name == '-' ? "" : "--", name)
              : 0;
}

/* 0, a status to exit with, or -1: help was printed. */
static int read_options(struct options *options, int argc, char **argv)
{
  struct option long_options[RUN_OPTIONS_MAX + 1];
  int option, status = 0;
  make_options(long_options);
  cli_options_begin();
  while (status == 0 && (option = cli_option("run", argc, argv, long_options)) != -1) {
    if (option == RUN_HELP || option == CLI_HELP) {
      print_help();
      return -1;
    }
    status = take_option(options, option);
  }
  if (status)
    return status;
  if (argc - optind != 1)
    return cli_usage("run", argc == optind ? "a prompt is needed" : "one prompt only: put it in quotes");
  options->prompt = strcmp(argv[optind], "-") == 0 ? read_stdin() : mag_str_dup(mbp_str(argv[optind]));
  if (!options->prompt || !options->prompt[0])
    return cli_usage("run", "the prompt is empty");
  if (strlen(options->prompt) > PROMPT_MAX)
    return cli_usage("run", "the prompt is longer than %u MiB", PROMPT_MAX >> 20);
  if (!mag_utf8_valid(options->prompt, strlen(options->prompt)))
    return cli_usage("run", "the prompt is not UTF-8 text");
  if (options->session && !options->session[0])
    return cli_usage("run", "--session: the id is empty");
  return options->session ? check_session_options(options) : 0;
}

static int say_yes(void *ctx, const char *tool, const char *input)
{
  (void) ctx;
  (void) tool;
  (void) input;
  return 1;
}

static void tell_about_offline_model(const struct mag_session *session)
{
  const char *script = secure_getenv("MAGENT_SCRIPT");
  if (!(mag_instance_descriptor(session->llm)->caps & MBP_CAP_LLM_OFFLINE))
    return;
  fputs("magent: no model is configured, so ", stderr);
  if (script && *script) {
    fputs("the script ", stderr);
    render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(script));
    fputs(" of MAGENT_SCRIPT", stderr);
  } else {
    fputs("a scripted stand-in", stderr);
  }
  fputs(" answers; its tools run for real.\n"
        "        Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or OPENAI_BASE_URL for a local server, for a real one.\n",
        stderr);
}

static void tell_about_missing_isolation(const struct mag_session *session)
{
  const struct mbp_compute_info *info = session->compute ? mag_instance_info(session->compute) : NULL;
  if (info && info->isolation == MBP_ISOLATION_NONE)
    fprintf(stderr, "magent: compute %s has no sandbox: tools run on this machine with your own rights.\n",
            session->definition.compute);
}

static bool waits_for_result(const struct mag_session *session, const struct mag_tool_call *call)
{
  return call->custom && (call->permission == MAG_PERMISSION_ALLOW || call->answered ||
                          mag_state_granted(&session->log.state, call->name));
}

/* What is asked, and what to type, each on a line of its own so that it can be copied. */
static void tell_what_waits(const struct mag_session *session)
{
  const struct mag_state *state = &session->log.state;
  const char *id = session->log.id;
  for (size_t i = 0; i < state->n_calls; i++) {
    const struct mag_tool_call *call = &state->calls[i];
    if (call->result)
      continue;
    bool result = waits_for_result(session, call);
    fprintf(stderr, "magent: %s waits for %s:\n", call->name, result ? "its result" : "a yes or no");
    question_show_input(stderr, mbp_str(call->input));
    fprintf(stderr, "        magent session answer %s %s %s\n", id, call->event_id,
            result ? "--result JSON" : "--allow");
    if (!result)
      fprintf(stderr, "        magent session answer %s %s --deny\n", id, call->event_id);
  }
  fprintf(stderr, "        Then `magent session resume %s` goes on; with --yes it says yes to all.\n", id);
}

/* Did a budget of the session end the turn, or a limit of the turn itself? */
static bool at_budget(const struct mag_session *session)
{
  const char *error = session->log.state.error;
  struct mbp_str type;
  return error && mag_json_slice(mbp_str(error), "type", &type) && mbp_str_eq(type, "\"budget_reached\"");
}

static int status_of(const struct mag_session *session, const struct mag_outcome *outcome)
{
  switch (outcome->ending) {
  case MAG_END_TURN:
    return EXIT_OK;
  case MAG_END_REQUIRES_ACTION:
    tell_what_waits(session);
    return EXIT_WAITING;
  case MAG_END_LIMIT:
    cli_fail(&outcome->error);
    fprintf(stderr,
            at_budget(session)
                ? "        Raise it with `magent session update %s --budget-...`, then `magent session resume` goes on.\n"
                : "        Go on with --session %s; --max-turns and --timeout set the limits of a run.\n",
            session->log.id);
    return EXIT_LIMIT;
  case MAG_END_INTERRUPTED:
    fprintf(stderr, "magent: interrupted; go on with --session %s\n", session->log.id);
    return EXIT_INTERRUPTED;
  default:
    return cli_fail(&outcome->error);
  }
}

/* Shared with `magent session resume`, which has no prompt. */
int cli_run_session(struct mag_session *session, const char *prompt, const struct mag_limits *limits, bool yes,
                    bool json)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_outcome outcome;
  struct question question = {.session = session};
  struct render *render = &question.render;
  render_init(render, json);
  struct mag_observer observer = render_observer(render);
  if (yes)
    observer.confirm = say_yes;
  else if (!json && question_possible())
    question_observe(&question, &observer);
  mag_session_observe(session, &observer);
  interrupt_session(session);
  int r = prompt ? mag_session_ask(session, mbp_str(prompt), limits, &outcome, &err)
                 : mag_session_run(session, limits, &outcome, &err);
  interrupt_session(NULL);
  render_end(render);
  if (r < 0)
    return cli_fail(&err);
  return status_of(session, &outcome);
}

/* The project's file is told of, used or not: it has come with the directory. */
static int lay_project(struct mag_definition *definition, struct mbp_error *err)
{
  mag_autofree char *path = NULL, *notice = NULL;
  int r = mag_project_lay(definition, ".", &path, &notice, err);
  if (r < 0)
    return cli_hint(err, "mend it, or leave it out with --no-project");
  if (path || notice) {
    fputs("magent: ", stderr);
    render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(path ? path : notice));
    fputs(path ? " takes part; --no-project leaves it out\n" : "\n", stderr);
  }
  return 0;
}

static int make_session(struct options *options, struct mag_engine *engine, struct mag_session **ret_session,
                        struct mbp_error *err)
{
  struct mag_definition *definition = &options->definition;
  int r = options->agent ? mag_agent_use(engine, options->agent, definition, err) : 0;
  if (r == -MBP_E_NOT_FOUND && !mag_agent_is_file(options->agent))
    return cli_hint(err, "`magent agent list` shows those that exist; a file has a slash or an ending in its name");
  if (r == 0 && !options->no_project)
    r = lay_project(definition, err);
  if (options->trust_project)
    definition->project_code = 0;
  options->model_given = definition->model != NULL;
  if (r == 0)
    r = mag_definition_defaults(definition, err);
  if (r < 0)
    return r;
  r = mag_session_create(engine, definition, mbp_str(options->title), ret_session, err);
  return r == -MBP_E_PERMISSION && definition->project ? cli_hint(err, "see --no-project and --trust-project") : r;
}

static int open_session(struct options *options, struct mag_engine *engine, struct mag_session **ret_session,
                        struct mbp_error *err)
{
  if (!options->session)
    return make_session(options, engine, ret_session, err);
  return mag_session_open(engine, options->session, &options->definition, ret_session, err);
}

static int run(struct cli *cli, struct options *options)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_session *session = NULL;
  interrupt_start();
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int status;
  if (open_session(options, engine, &session, &err) < 0) {
    status = cli_fail_session(&err);
  } else {
    if (!options->json) {
      if (!options->model_given && !options->session)
        tell_about_offline_model(session);
      tell_about_missing_isolation(session);
    }
    status = cli_run_session(session, options->prompt, &options->limits, options->yes, options->json);
  }
  mag_session_close(session);
  mag_engine_free(engine);
  return status;
}

int cli_run(struct cli *cli, int argc, char **argv)
{
  struct options options = {0};
  int status = read_options(&options, argc, argv);
  if (status == 0)
    status = run(cli, &options);
  mag_definition_done(&options.definition);
  free(options.prompt);
  return status < 0 ? EXIT_OK : status;
}
