/* command.h - runs the magent of the build tree in an environment of the test's own. */
#ifndef TEST_COMMAND_H
#define TEST_COMMAND_H

#include "base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

/* A running or ended magent. */
struct command {
  pid_t pid;
  int in, out, err;       /* our ends; -1 when closed. With a terminal `out` is the master and `err` -1 */
  struct mag_buf stdout_text, stderr_text;
  int status;             /* exit status, or 1000 + signal */
};

/* A new directory with everything a run needs: state, configuration, workspace "work"; the current place of all
 * following runs. */
void command_begin(void);
void command_end(void);
const char *command_path(const char *name); /* in that directory; a buffer that the eighth next call overwrites */
void command_write_file(const char *name, const char *text);
char *command_read_file(const char *name); /* caller frees; "" if it is not there */
/* "NAME=VALUE" or "NAME" (unset) for the following runs. */
void command_env(const char *assignment);
/* Following runs start in `path` (borrowed; NULL: in the test's own directory). */
void command_directory(const char *path);
/* Following runs start without descriptors 0 and 1, as a careless parent starts its children. */
void command_without_streams(bool without);
/* Following runs ignore this signal from the start, as the background jobs of a shell do; 0: none. */
void command_ignores(int signal_number);
/* A script for the scripted model, as JSON. */
void command_script(const char *json);

/* Runs `magent --plugin-dir ... LINE` to its end; words of LINE are separated by blanks, '...' keeps them together.
 * Aborts the test after 30 s. Free with command_done. */
struct command command_run(const char *line);
struct command command_run_with(const char *line, const char *stdin_text);
struct command command_start(const char *line, bool terminal);
/* Reads until `text` has come on either stream. */
void command_await(struct command *command, const char *text);
void command_finish(struct command *command);
void command_done(struct command *command);

/* The value after "--session " or of the newest session. In a static buffer. */
const char *command_session(void);

#endif
