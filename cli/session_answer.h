/* session_answer.h - magent session answer. */
#ifndef MAG_CLI_SESSION_ANSWER_H
#define MAG_CLI_SESSION_ANSWER_H

#include "cli.h"

int cli_session_answer(struct cli *cli, int argc, char **argv);

#endif
