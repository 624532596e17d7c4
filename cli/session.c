/* magent session: which sub-commands there are, and what they take. */
#include "options.h"
#include "session.h"
#include "session_answer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <string.h>

static const char help_text[] =
    "Usage: magent session COMMAND ...\n"
    "\n"
    "  list                  sessions, newest first: --status S, --agent A, --created-after T, --created-before T,\n"
    "                        --archived (those too), --limit N, --page TOKEN\n"
    "  info ID               status, usage, cost, budget and the rest\n"
    "  show ID               what happened in a session; --json: its events, one a line\n"
    "  tail ID               the same, and what happens, until it is idle; --follow: until Ctrl-C\n"
    "  resume ID             go on where a session stopped: after a crash, an error, a budget, or a question\n"
    "                        (--yes answers it)\n"
    "  answer ID [EVENT]     answer a tool call that waits, or list what waits (`magent session answer --help`)\n"
    "\n"
    "  interrupt ID          end the running turn now, in whichever process it runs\n"
    "  steer ID TEXT         say something before the next model request of the running turn\n"
    "  send ID TEXT          say something that is answered after the running turn\n"
    "\n"
    "  title ID TEXT         give it another title\n"
    "  update ID             --title T, --budget-tokens N, --budget-cost M, --budget-steps N, --budget-tool-calls N,\n"
    "                        --budget-time D; \"none\" removes a budget\n"
    "  fork ID               a new session that goes on from there: --at EVENT (the last one that it keeps),\n"
    "                        --title T, --without-files (an empty workspace instead of a copy)\n"
    "  archive ID...         keep them, but never run them again; a fork of one can go on\n"
    "  rm ID...              remove sessions, their logs and their private workspaces\n"
    "  rm --older-than AGE   all that nothing has happened in since (30d, 12h, 2026-11-01), but those that run;\n"
    "                        --dry-run: say which, and remove none\n"
    "\n"
    "  save ID FILE          write the ids of session, agent and environment to FILE\n"
    "  restore FILE          print the session's id, if it is there still\n"
    "\n"
    "All take --json. Times are 2026-11-23, 2026-11-23T04:33Z, or how long ago: 2h, 3d.\n"
    "`magent run --session ID PROMPT` goes on with a new message.\n";

/* Letters of the options below. */
#define BUDGETS "KMRCD"

static const struct command {
  const char *name;
  int (*run)(struct cli *cli, struct session_arguments *arguments); /* NULL: reads its options itself */
  const char *options;
  size_t least, most;
  const char *words; /* what is missing */
} commands[] = {
    {"list", session_list, "jsgabxnp", 0, 0, ""},
    {"info", session_info, "j", 1, 1, "the id of a session is"},
    {"show", session_show, "j", 1, 1, "the id of a session is"},
    {"tail", session_tail, "jf", 1, 1, "the id of a session is"},
    {"resume", session_resume, "jy", 1, 1, "the id of a session is"},
    {"answer", NULL, "", 0, 0, ""},
    {"interrupt", session_interrupt, "j", 1, 1, "the id of a session is"},
    {"steer", session_steer, "j", 2, 2, "the id of a session and a text are"},
    {"send", session_send, "j", 2, 2, "the id of a session and a text are"},
    {"title", session_title, "j", 2, 2, "the id of a session and a text are"},
    {"update", session_update, "jt" BUDGETS, 1, 1, "the id of a session is"},
    {"fork", session_fork, "jtew", 1, 1, "the id of a session is"},
    {"archive", session_archive, "j", 1, SIZE_MAX, "the id of a session is"},
    {"rm", session_rm, "jod", 1, SIZE_MAX, "the id of a session is"},
    {"save", session_save, "j", 2, 2, "the id of a session and a file are"},
    {"restore", session_restore, "j", 1, 1, "a file is"},
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"yes", no_argument, NULL, 'y'},
    {"follow", no_argument, NULL, 'f'},
    {"status", required_argument, NULL, 's'},
    {"agent", required_argument, NULL, 'g'},
    {"created-after", required_argument, NULL, 'a'},
    {"created-before", required_argument, NULL, 'b'},
    {"archived", no_argument, NULL, 'x'},
    {"limit", required_argument, NULL, 'n'},
    {"page", required_argument, NULL, 'p'},
    {"title", required_argument, NULL, 't'},
    {"at", required_argument, NULL, 'e'},
    {"without-files", no_argument, NULL, 'w'},
    {"older-than", required_argument, NULL, 'o'},
    {"dry-run", no_argument, NULL, 'd'},
    {"budget-tokens", required_argument, NULL, 'K'},
    {"budget-cost", required_argument, NULL, 'M'},
    {"budget-steps", required_argument, NULL, 'R'},
    {"budget-tool-calls", required_argument, NULL, 'C'},
    {"budget-time", required_argument, NULL, 'D'},
    {NULL, 0, NULL, 0},
};

static const char *option_name(int letter)
{
  const struct option *option = long_options;
  while (option->name && option->val != letter)
    option++;
  return option->name ? option->name : "";
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

static int take_time(struct session_arguments *arguments, int letter, int64_t *ret_ms)
{
  int64_t ago;
  if (mag_clock_parse(optarg, ret_ms) == 0)
    return 0;
  if (mag_parse_duration(mbp_str(optarg), &ago) < 0)
    return cli_usage(arguments->command, "--%s %s: neither a time such as 2026-11-23 nor a duration such as 2h",
                     option_name(letter), optarg);
  *ret_ms = mag_clock_wall_ms() - ago;
  return 0;
}

static int take_limit(struct session_arguments *arguments)
{
  int64_t limit;
  if (mag_parse_int(mbp_str(optarg), &limit) < 0 || limit < 1 || limit > 100000)
    return cli_usage(arguments->command, "--limit %s: not a number from 1 to 100000", optarg);
  arguments->filter.limit = (uint32_t) limit;
  arguments->all = false;
  return 0;
}

static int take_status(struct session_arguments *arguments)
{
  static const char *const statuses[] = {"idle", "running", "terminated", "interrupted"};
  for (size_t i = 0; i < MAG_COUNT(statuses); i++)
    if (strcmp(optarg, statuses[i]) == 0) {
      arguments->filter.status = optarg;
      arguments->filter.archived |= i == 2;
      return 0;
    }
  return cli_usage(arguments->command, "--status %s: there are idle, running, interrupted and terminated", optarg);
}

static int take_budget(struct session_arguments *arguments, int letter)
{
  static const char *const keys[] = {"tokens", "cost", "steps", "tool_calls", "time"};
  const char *key = keys[strchr(BUDGETS, letter) - BUDGETS];
  struct mbp_str text = mbp_str(optarg);
  int64_t value = 0;
  int r = strcmp(optarg, "none") == 0 ? 0
          : letter == 'M'             ? mag_parse_micros(text, &value)
          : letter == 'D'             ? mag_parse_duration(text, &value)
                                      : mag_parse_int(text, &value);
  if (r < 0 || value < 0 || (value == 0 && strcmp(optarg, "none") != 0))
    return cli_usage(arguments->command, "--%s %s: not %s, nor \"none\"", option_name(letter), optarg,
                     letter == 'M'   ? "an amount such as 2.50, without a currency"
                     : letter == 'D' ? "a duration such as 5m"
                                     : "a number from 1 on");
  if (!arguments->budget) {
    arguments->budget = mag_writer_new();
    mag_writer_object(arguments->budget, NULL);
  }
  if (!value)
    mag_writer_null(arguments->budget, key);
  else if (letter == 'M' || letter == 'D')
    mag_writer_string(arguments->budget, key, text);
  else
    mag_writer_number(arguments->budget, key, value);
  return 0;
}

static int take_option(struct session_arguments *arguments, int letter)
{
  switch (letter) {
  case 'j':
    arguments->json = true;
    return 0;
  case 'y':
    arguments->yes = true;
    return 0;
  case 'f':
    arguments->follow = true;
    return 0;
  case 'w':
    arguments->without_files = true;
    return 0;
  case 'x':
    arguments->filter.archived = true;
    return 0;
  case 's':
    return take_status(arguments);
  case 'g':
    arguments->filter.agent = optarg;
    return 0;
  case 'a':
    return take_time(arguments, letter, &arguments->filter.created_after_ms);
  case 'b':
    return take_time(arguments, letter, &arguments->filter.created_before_ms);
  case 'n':
    return take_limit(arguments);
  case 'p':
    arguments->filter.page = optarg;
    return 0;
  case 't':
    arguments->title = optarg;
    return 0;
  case 'o':
    return take_time(arguments, letter, &arguments->before_ms);
  case 'd':
    arguments->dry_run = true;
    return 0;
  case 'e':
    arguments->event = optarg;
    return 0;
  default:
    return take_budget(arguments, letter);
  }
}

/* ---- Dispatch ------------------------------------------------------------------------------------------------- */

/* Those of the long options that the sub-command has. */
static void choose_options(const struct command *command, struct option chosen[MAG_COUNT(long_options)])
{
  size_t n = 0;
  for (const struct option *option = long_options; option->name; option++)
    if (strchr(command->options, option->val))
      chosen[n++] = *option;
  chosen[n] = (struct option){NULL, 0, NULL, 0};
}

static int check_words(const struct command *command, const struct session_arguments *arguments)
{
  const char *name = arguments->command;
  if (arguments->n_words > command->most)
    return cli_usage(name, "unexpected \"%s\"", arguments->words[command->most]);
  if (arguments->dry_run && !arguments->before_ms)
    return cli_usage(name, "--dry-run goes with --older-than");
  if (arguments->before_ms)
    return arguments->n_words ? cli_usage(name, "either ids or --older-than") : 0;
  return arguments->n_words < command->least ? cli_usage(name, "%s needed", command->words) : 0;
}

/* 0, a status to exit with, or -1: help was printed. argv[0] is the sub-command. */
static int read_arguments(const struct command *command, struct session_arguments *arguments, int argc, char **argv)
{
  struct option options[MAG_COUNT(long_options)];
  int letter, status = 0;
  choose_options(command, options);
  cli_options_begin();
  while (status == 0 && (letter = cli_option(arguments->command, argc, argv, options)) != -1) {
    if (letter == CLI_HELP) {
      fputs(help_text, stdout);
      return -1;
    }
    status = letter == CLI_WRONG ? EXIT_USAGE : take_option(arguments, letter);
  }
  arguments->words = argv + optind;
  arguments->n_words = (size_t) (argc - optind);
  return status ? status : check_words(command, arguments);
}

static int run(struct cli *cli, const struct command *command, int argc, char **argv)
{
  char name[32];
  struct session_arguments arguments = {.command = name, .all = true};
  (void) snprintf(name, sizeof(name), "session %s", command->name);
  int status = read_arguments(command, &arguments, argc, argv);
  if (status == 0)
    status = command->run(cli, &arguments);
  mag_writer_free(arguments.budget);
  return status < 0 ? EXIT_OK : status;
}

int cli_session(struct cli *cli, int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    fputs(help_text, stdout);
    return EXIT_OK;
  }
  for (size_t i = 0; i < MAG_COUNT(commands); i++)
    if (strcmp(name, commands[i].name) == 0)
      return commands[i].run ? run(cli, &commands[i], argc - 1, argv + 1) : cli_session_answer(cli, argc - 1, argv + 1);
  return cli_unknown_command("session", name, commands, MAG_COUNT(commands), sizeof(commands[0]));
}
