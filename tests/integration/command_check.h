/* command_check.h - runs a line of magent and compares what came. */
#ifndef TEST_COMMAND_CHECK_H
#define TEST_COMMAND_CHECK_H

#include "command.h"

/* A reply of command_script that runs a command. */
#define CALLS(command) "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"command\":\"" command "\"}}}"

/* Of a command that has ended: its status, and what stdout and stderr hold; NULL: anything. */
void expect(struct command *command, int status, const char *out, const char *err);
void check(const char *line, int status, const char *out, const char *err);
void check_no_session(void);
/* One line that begins with "magent: ", and nothing on stdout. */
void check_error_line(const char *line, int status, const char *text);

#endif
