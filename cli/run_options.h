/* run_options.h - the options of `magent run`, in one table: its own, and those that the schema of agent files gives.
 * Reading them, --help, the manual page and the completion are made from it. */
#ifndef MAG_CLI_RUN_OPTIONS_H
#define MAG_CLI_RUN_OPTIONS_H

#include <stdio.h>

enum run_option_id {
  RUN_AGENT = 256,
  RUN_SET,
  RUN_TOOLS,
  RUN_NO_PROJECT,
  RUN_TRUST_PROJECT,
  RUN_SESSION,
  RUN_TITLE,
  RUN_TURNS,
  RUN_TIMEOUT,
  RUN_YES,
  RUN_JSON,
  RUN_HELP,
  RUN_KEY /* from here on: rows of the schema */
};

#define RUN_OPTIONS_MAX 40

struct run_option {
  int id;
  const char *name, *argument; /* argument NULL: it takes none */
  const char *help;            /* sentences */
  const char *key;             /* which key of an agent file it is, or NULL */
  const char *otherwise;       /* what holds without it, or NULL */
};

/* All of them, in the order in which they are shown. How many. */
size_t run_options(struct run_option ret_options[RUN_OPTIONS_MAX]);
/* "(model.id; otherwise by which key is set)", or "". */
void run_option_note(const struct run_option *option, char *text, size_t size);
/* The lines of --help. */
void run_options_print(FILE *out);

#endif
