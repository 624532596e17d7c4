/* magent - run managed agents at a shell. */
#include "cli.h"
#include "options.h"
#include "plugin.h"
#include "render.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "host/http.h"
#include "loader/inspect.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent [--plugin-dir DIR]... [--verbose] COMMAND ...\n"
    "\n"
    "Runs managed agents: a model with tools that work in a sandbox, every step in a durable log.\n"
    "\n"
    "Commands:\n"
    "  run PROMPT        run an agent on a prompt, in a new session or an old one\n"
    "  agent ...         check, store and update agents\n"
    "  session ...       list, follow, steer, interrupt, resume, fork and remove sessions\n"
    "  compute ...       list and stop sandboxes that outlived their process\n"
    "  plugin ...        list plugins, look into one, show its options\n"
    "  doctor            check sandbox, keys, plugins and store, and say how to mend them\n"
    "  help [COMMAND]    the help of a command; help config: the keys of agent files\n"
    "  version           print the version\n"
    "\n"
    "  --plugin-dir DIR  look for plugins in DIR first, and trust what is there\n"
    "  --verbose         tell on stderr what plugins do\n"
    "\n"
    "`magent COMMAND --help` tells more. Exit status: 0 done, 1 error, 2 wrong usage, 3 a tool call waits for\n"
    "an answer, 4 a limit was reached, 130 interrupted.\n";

struct mag_engine *cli_engine(struct cli *cli)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = NULL;
  struct mag_engine_options options = {
      .plugin_dirs = cli->plugin_dirs, .store_config = mbp_str(""), .exe = mag_inspect_self()};
  if (mag_engine_new(&options, &engine, &err) < 0)
    cli_fail(&err);
  return engine;
}

int cli_plugin(struct cli *cli, int argc, char **argv)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_registry *registry = NULL;
  if (mag_registry_new(cli->plugin_dirs, NULL, &registry, &err) < 0)
    return cli_fail(&err);
  int status = magent_cmd_plugin(registry, argc, argv);
  mag_registry_free(registry);
  return status;
}

static void print_log(void *ctx, uint32_t level, const char *topic, struct mbp_str message)
{
  (void) ctx;
  (void) level;
  fprintf(stderr, "[%s] ", topic);
  render_put_line(stderr, isatty(STDERR_FILENO), message);
  fputc('\n', stderr);
}

static int print_version(struct cli *cli, int argc, char **argv)
{
  (void) cli;
  if (argc > 1 && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
    return cli_usage("version", "unexpected \"%s\"", argv[1]);
  if (argc > 1) {
    puts("Usage: magent version\n\nPrints the version.");
    return EXIT_OK;
  }
  puts("magent " PACKAGE_VERSION);
  return EXIT_OK;
}

static int help(struct cli *cli, int argc, char **argv);

static const struct command {
  const char *name;
  int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"agent", cli_agent},
    {"help", help},
    {"run", cli_run},
    {"session", cli_session},
    {"compute", cli_compute},
    {"plugin", cli_plugin},
    {"doctor", cli_doctor},
    {"version", print_version},
    {NULL, NULL},
};

static int unknown_command(const char *name)
{
  return cli_unknown_command("", name, commands, MAG_COUNT(commands) - 1, sizeof(commands[0]));
}

/* `magent help run` is `magent run --help`, and `magent help session list` is `magent session list --help`. */
static int help(struct cli *cli, int argc, char **argv)
{
  char option[] = "--help", *words[] = {argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : option, option, NULL};
  if (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    fputs(argc == 1 ? help_text : cli_reference_help, stdout);
    return EXIT_OK;
  }
  if (strcmp(argv[1], "config") == 0)
    return cli_reference(cli, argc - 1, argv + 1);
  if (strcmp(argv[1], "help") == 0) {
    fputs(cli_reference_help, stdout);
    return EXIT_OK;
  }
  for (const struct command *command = commands; command->name; command++)
    if (strcmp(command->name, argv[1]) == 0)
      return command->run(cli, argc > 2 ? 3 : 2, words);
  return unknown_command(argv[1]);
}

enum { O_PLUGIN_DIR = 256, O_VERBOSE, O_VERSION };

static const struct option global_options[] = {
    {"plugin-dir", required_argument, NULL, O_PLUGIN_DIR},
    {"verbose", no_argument, NULL, O_VERBOSE},
    {"version", no_argument, NULL, O_VERSION},
    {NULL, 0, NULL, 0},
};

/* What stands before the command. 0, a status to exit with, or -1: all is done. */
static int read_options(struct cli *cli, int argc, char **argv)
{
  size_t n_dirs = 0;
  int option;
  cli_options_begin();
  while ((option = cli_option("", argc, argv, global_options)) != -1)
    switch (option) {
    case O_PLUGIN_DIR:
      if (n_dirs == PLUGIN_DIRS_MAX)
        return cli_usage("", "--plugin-dir may stand at most %d times", PLUGIN_DIRS_MAX);
      cli->plugin_dirs[n_dirs++] = optarg;
      break;
    case O_VERBOSE:
      cli->verbose = true;
      break;
    case O_VERSION:
      (void) print_version(cli, 0, NULL);
      return -1;
    case CLI_HELP:
      fputs(help_text, stdout);
      return -1;
    default:
      return EXIT_USAGE;
    }
  return 0;
}

/* A full disk or a closed pipe is an error, not a short answer. */
static int end(int status)
{
  mag_http_stop(); /* no TLS work beside exit handlers */
  if ((fflush(stdout) == 0 && !ferror(stdout)) || status != EXIT_OK)
    return status;
  fputs("magent: stdout could not be written\n", stderr);
  return EXIT_ERROR;
}

/* A descriptor that we were started without would become that of a file we open, and what is printed would go there.
 * What stands in for it fails as it would have: stdin is not to be read, the others not to be written. */
static void hold_streams(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0)
      (void) open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

int main(int argc, char **argv)
{
  struct cli cli = {0};
  hold_streams();
  setlocale(LC_CTYPE, ""); /* and no more: what we write is the same everywhere */
  signal(SIGPIPE, SIG_IGN);
  int status = read_options(&cli, argc, argv);
  if (status)
    return status < 0 ? end(EXIT_OK) : status;
  if (cli.verbose)
    mag_log_set(print_log, NULL, MBP_LOG_DEBUG);
  argc -= optind;
  argv += optind;
  for (const struct command *command = commands; command->name && argc > 0; command++)
    if (strcmp(command->name, argv[0]) == 0)
      return end(command->run(&cli, argc, argv));
  return unknown_command(argc > 0 ? argv[0] : "");
}
