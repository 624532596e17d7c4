/* magent - run managed agents at a shell. */
#include "cli.h"
#include "plugin.h"
#include "render.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "host/http.h"
#include "loader/inspect.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
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

bool cli_colours(FILE *stream)
{
  const char *no = secure_getenv("NO_COLOR"), *term = secure_getenv("TERM");
  return isatty(fileno(stream)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int cli_fail(const struct mbp_error *err)
{
  fputs("magent: ", stderr);
  render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(err->message[0] ? err->message : "failed"));
  fputc('\n', stderr);
  return EXIT_ERROR;
}

int cli_hint(struct mbp_error *err, const char *hint)
{
  char message[sizeof(err->message)];
  memcpy(message, err->message, sizeof(message));
  return mag_error(err, err->code, "%s; %s", message, hint);
}

int cli_usage(const char *command, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fprintf(stderr, "magent: ");
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\nTry `magent %s%s--help`.\n", command, *command ? " " : "");
  return EXIT_USAGE;
}

struct mag_engine *cli_engine(struct cli *cli)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = NULL;
  struct mag_engine_options options = {.plugin_dirs = cli->plugin_dirs, .store_config = mbp_str(""),
                                       .exe = mag_inspect_self()};
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
  (void) argc;
  (void) argv;
  puts("magent " PACKAGE_VERSION);
  return EXIT_OK;
}

static int help(struct cli *cli, int argc, char **argv);

static const struct command {
  const char *name;
  int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"agent", cli_agent},   {"help", help},
    {"run", cli_run},       {"session", cli_session}, {"compute", cli_compute},
    {"plugin", cli_plugin}, {"doctor", cli_doctor},   {"version", print_version},
    {NULL, NULL},
};

static int unknown_command(const char *name)
{
  const char *names[sizeof(commands) / sizeof(commands[0])];
  size_t n = 0;
  while ((names[n] = commands[n].name))
    n++;
  int nearest = mag_nearest(name, names);
  if (nearest >= 0)
    return cli_usage("", "unknown command \"%s\"; did you mean \"%s\"?", name, names[nearest]);
  return cli_usage("", "unknown command \"%s\"", name);
}

/* `magent help run` is `magent run --help`. */
static int help(struct cli *cli, int argc, char **argv)
{
  char option[] = "--help", *words[] = {argc > 1 ? argv[1] : NULL, option, NULL};
  if (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
    fputs(help_text, stdout);
    return EXIT_OK;
  }
  if (strcmp(argv[1], "config") == 0)
    return cli_reference(argc - 1, argv + 1);
  for (const struct command *command = commands; command->name; command++)
    if (strcmp(command->name, argv[1]) == 0)
      return command->run(cli, 2, words);
  return unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
  struct cli cli = {0};
  size_t n_dirs = 0;
  int at = 1;
  setlocale(LC_CTYPE, ""); /* and no more: what we write is the same everywhere */
  signal(SIGPIPE, SIG_IGN);
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
      fputs(help_text, stdout);
      return EXIT_OK;
    }
    if (strcmp(argv[at], "--version") == 0)
      return print_version(&cli, 0, NULL);
    if (strcmp(argv[at], "--verbose") == 0)
      cli.verbose = true;
    else if (strcmp(argv[at], "--plugin-dir") == 0 && at + 1 < argc && n_dirs < PLUGIN_DIRS_MAX)
      cli.plugin_dirs[n_dirs++] = argv[++at];
    else
      return cli_usage("", "unknown option \"%s\"", argv[at]);
  }
  if (at == argc)
    return cli_usage("", "a command is needed");
  if (cli.verbose)
    mag_log_set(print_log, NULL, MBP_LOG_DEBUG);
  for (const struct command *command = commands; command->name; command++)
    if (strcmp(command->name, argv[at]) == 0) {
      int status = command->run(&cli, argc - at, argv + at);
      mag_http_stop(); /* no TLS work beside exit handlers */
      return status;
    }
  return unknown_command(argv[at]);
}
