/* cli.h - what the sub-commands of magent share. One file a sub-command; each prints its own help. */
#ifndef MAG_CLI_CLI_H
#define MAG_CLI_CLI_H

#include "agent/engine.h"

#include <stdbool.h>
#include <stdio.h>

/* Exit status, the same for all sub-commands. */
#define EXIT_OK 0
#define EXIT_ERROR 1
#define EXIT_USAGE 2
#define EXIT_WAITING 3     /* a tool call waits for an answer */
#define EXIT_LIMIT 4       /* a limit was reached */
#define EXIT_INTERRUPTED 130

#define PLUGIN_DIRS_MAX 16

struct cli {
  const char *plugin_dirs[PLUGIN_DIRS_MAX + 1]; /* --plugin-dir, NULL-terminated */
  bool verbose;
};

int cli_run(struct cli *cli, int argc, char **argv);
int cli_agent(struct cli *cli, int argc, char **argv);
int cli_reference(struct cli *cli, int argc, char **argv); /* of `magent help config` */
extern const char cli_reference_help[];
int cli_session(struct cli *cli, int argc, char **argv);
int cli_compute(struct cli *cli, int argc, char **argv);
int cli_doctor(struct cli *cli, int argc, char **argv);
int cli_plugin(struct cli *cli, int argc, char **argv);

struct mag_definition;
struct mbp_error;
/* "KEY=VALUE" of --set; an empty VALUE clears the key. */
int cli_change(struct mag_definition *definition, const char *text, struct mbp_error *err);

struct mag_session;
struct mag_limits;
/* Says `prompt` (NULL: nothing) and runs the session until it is idle, showing it. The exit status. */
int cli_run_session(struct mag_session *session, const char *prompt, const struct mag_limits *limits, bool yes,
                    bool json);

/* Opens the engine; NULL after the error has been printed. */
struct mag_engine *cli_engine(struct cli *cli);

/* "magent: message" on stderr, and the status to exit with. */
int cli_fail(const struct mbp_error *err);
/* The same of a session: with what reaches one that somebody else runs, and where to look for one that is not there. */
int cli_fail_session(const struct mbp_error *err);
/* Puts "; HINT" behind the message: what the library cannot say, because it does not know the command. -code. */
int cli_hint(struct mbp_error *err, const char *hint);
/* The same for wrong usage, with a pointer to the help of `command` ("session list"; "" is magent itself). */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is this stream a terminal that wants colours? (NO_COLOR and TERM=dumb are obeyed.) */
bool cli_colours(FILE *stream);

#endif
