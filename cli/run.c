#include "cli.h"
#include "interrupt.h"
#include "render.h"

#include "agent/session.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#define PROMPT_MAX (16u << 20)

static const char help_text[] =
    "Usage: magent run [OPTION]... PROMPT|-\n"
    "\n"
    "Runs an agent on PROMPT (\"-\": read it from stdin) until it has answered. The answer goes to stdout, what\n"
    "tools do to stderr.\n"
    "\n"
    "  --agent FILE      agent file, YAML or JSON: model, system, tools, compute, networking\n"
    "  --model M         \"provider/name\", or a name that a provider answers to\n"
    "  --system S        system prompt\n"
    "  --compute C       compute provider: bubblewrap (default), local (no isolation), ...\n"
    "  --workspace DIR   work in DIR of this machine instead of a private directory of the session\n"
    "  --network N       none, host, ...; what the compute provider cannot enforce is refused\n"
    "  --tools LIST      only these tools, e.g. bash,read,write; \"none\" for none\n"
    "  --session ID      go on with an earlier session\n"
    "  --title T         title of a new session\n"
    "  --max-turns N     stop after N model requests\n"
    "  --timeout D       stop after D, e.g. 90s, 5m\n"
    "  --yes             answer \"ask\" with yes; what is denied stays denied\n"
    "  --json            one event a line on stdout, nothing else\n"
    "  --help\n"
    "\n"
    "Defaults come from the agent file, then from defaults.json in the configuration directory.\n"
    "Exit status: 0 end of turn, 1 error, 2 wrong usage, 3 a tool call waits for an answer, 4 a limit was reached,\n"
    "130 interrupted (Ctrl-C ends the turn and keeps the session; twice ends the program).\n";

struct options {
  struct mag_definition definition;
  const char *agent_file, *session, *title;
  struct mag_limits limits;
  bool yes, json, model_given;
  char *prompt;
};

enum {
  O_AGENT = 256,
  O_MODEL,
  O_SYSTEM,
  O_COMPUTE,
  O_WORKSPACE,
  O_NETWORK,
  O_TOOLS,
  O_SESSION,
  O_TITLE,
  O_TURNS,
  O_TIMEOUT,
  O_YES,
  O_JSON,
  O_HELP
};

static const struct option long_options[] = {
    {"agent", required_argument, NULL, O_AGENT},
    {"model", required_argument, NULL, O_MODEL},
    {"system", required_argument, NULL, O_SYSTEM},
    {"compute", required_argument, NULL, O_COMPUTE},
    {"workspace", required_argument, NULL, O_WORKSPACE},
    {"network", required_argument, NULL, O_NETWORK},
    {"tools", required_argument, NULL, O_TOOLS},
    {"session", required_argument, NULL, O_SESSION},
    {"title", required_argument, NULL, O_TITLE},
    {"max-turns", required_argument, NULL, O_TURNS},
    {"timeout", required_argument, NULL, O_TIMEOUT},
    {"yes", no_argument, NULL, O_YES},
    {"json", no_argument, NULL, O_JSON},
    {"help", no_argument, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

static int set_text(char **place, const char *text)
{
  free(*place);
  *place = mag_str_dup(mbp_str(text));
  return *place ? 0 : cli_usage("run", "out of memory");
}

static int set_workspace(struct options *options, const char *text)
{
  struct stat st;
  char *path = realpath(text, NULL);
  if (!path || stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
    free(path);
    return cli_usage("run", "--workspace %s: no such directory", text);
  }
  free(options->definition.workspace);
  options->definition.workspace = path;
  return 0;
}

static int take_option(struct options *options, int option)
{
  struct mbp_error err = MAG_ERROR_INIT;
  switch (option) {
  case O_AGENT:
    options->agent_file = optarg;
    return 0;
  case O_MODEL:
    options->model_given = true;
    return set_text(&options->definition.model, optarg);
  case O_SYSTEM:
    return set_text(&options->definition.system, optarg);
  case O_COMPUTE:
    return set_text(&options->definition.compute, optarg);
  case O_WORKSPACE:
    return set_workspace(options, optarg);
  case O_NETWORK:
    return set_text(&options->definition.network, optarg);
  case O_TOOLS:
    return mag_definition_set_tools(&options->definition, optarg, &err) < 0 ? cli_usage("run", "%s", err.message) : 0;
  case O_SESSION:
    options->session = optarg;
    return 0;
  case O_TITLE:
    options->title = optarg;
    return 0;
  case O_TURNS:
    if (mag_parse_int(mbp_str(optarg), &options->limits.max_steps) < 0 || options->limits.max_steps < 1)
      return cli_usage("run", "--max-turns %s: not a number from 1 on", optarg);
    return 0;
  case O_TIMEOUT:
    if (mag_parse_duration(mbp_str(optarg), &options->limits.timeout_ms) < 0 || options->limits.timeout_ms < 1)
      return cli_usage("run", "--timeout %s: not a duration such as 90s or 5m", optarg);
    return 0;
  case O_YES:
    options->yes = true;
    return 0;
  case O_JSON:
    options->json = true;
    return 0;
  default:
    return EXIT_USAGE;
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
static int check_session_options(const struct options *options)
{
  const struct mag_definition *given = &options->definition;
  bool tools = given->tools || given->chosen_tools;
  const char *name = options->agent_file ? "--agent"
                     : given->compute    ? "--compute"
                     : given->workspace  ? "--workspace"
                     : given->network    ? "--network"
                     : tools             ? "--tools"
                     : options->title    ? "--title"
                                         : NULL;
  return name ? cli_usage("run", "%s cannot be changed in a session that exists; only --model and --system can", name)
              : 0;
}

/* 0, a status to exit with, or -1: help was printed. */
static int read_options(struct options *options, int argc, char **argv)
{
  int option, status = 0;
  optind = 1;
  opterr = 0;
  while (status == 0 && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
    if (option == O_HELP || option == 'h') {
      fputs(help_text, stdout);
      return -1;
    }
    if (option == '?')
      return cli_usage("run", "unknown option or missing value: %s", argv[optind - 1]);
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
  if (mag_instance_descriptor(session->llm)->caps & MBP_CAP_LLM_OFFLINE)
    fprintf(
        stderr,
        "magent: no model is configured, so a scripted stand-in answers; its tools run for real.\n"
        "        Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or OPENAI_BASE_URL for a local server, for a real one.\n");
}

static void tell_about_missing_isolation(const struct mag_session *session)
{
  const struct mbp_compute_info *info = session->compute ? mag_instance_info(session->compute) : NULL;
  if (info && info->isolation == MBP_ISOLATION_NONE)
    fprintf(stderr, "magent: compute %s has no sandbox: tools run on this machine with your own rights.\n",
            session->definition.compute);
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
    fprintf(stderr, "magent: a tool call waits for an answer; run again with --yes --session %s to allow it\n",
            session->log.id);
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
  struct render render;
  render_init(&render, json);
  struct mag_observer observer = render_observer(&render);
  if (yes)
    observer.confirm = say_yes;
  mag_session_observe(session, &observer);
  interrupt_session(session);
  int r = prompt ? mag_session_ask(session, mbp_str(prompt), limits, &outcome, &err)
                 : mag_session_run(session, limits, &outcome, &err);
  interrupt_session(NULL);
  render_end(&render);
  if (r < 0)
    return cli_fail(&err);
  int status = status_of(session, &outcome);
  if (render.failed && status == EXIT_OK) {
    fprintf(stderr, "magent: stdout could not be written\n");
    return EXIT_ERROR;
  }
  return status;
}

static int open_session(struct options *options, struct mag_engine *engine, struct mag_session **ret_session,
                        struct mbp_error *err)
{
  struct mag_definition *definition = &options->definition;
  if (options->session)
    return mag_session_open(engine, options->session, definition, ret_session, err);
  int r = options->agent_file ? mag_definition_load(definition, options->agent_file, err) : 0;
  if (r == 0)
    r = mag_definition_defaults(definition, err);
  return r < 0 ? r : mag_session_create(engine, definition, mbp_str(options->title), ret_session, err);
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
    status = cli_fail_session(&err, options->session ? options->session : "");
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
