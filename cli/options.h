/* options.h - reading the command line: options as getopt_long has them, and what is said of those that are wrong. */
#ifndef MAG_CLI_OPTIONS_H
#define MAG_CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#define CLI_HELP 'h' /* --help and -h, whether they are among the options or not */
#define CLI_WRONG '?'

/* Before the first option of a command line. */
void cli_options_begin(void);
/* The `val` of the next one, with optarg; -1: there are no more, and the other words are argv[optind] and following.
 * CLI_WRONG: usage was told on stderr. `command` ("session list") is what the message begins with; "": nothing. Of the
 * program's own options nothing behind the first other word is one. */
int cli_option(const char *command, int argc, char **argv, const struct option *options);

/* A sub-command that is not there, or none; `rows` are structs that begin with a name. The status to exit with. */
int cli_unknown_command(const char *group, const char *name, const void *rows, size_t n, size_t size);

#endif
