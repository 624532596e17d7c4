#include "command_check.h"

#include <check.h>
#include <string.h>

void expect(struct command *command, int status, const char *out, const char *err)
{
  ck_assert_msg(command->status == status, "status %d instead of %d (\"%s\" is wanted): \"%s\" \"%s\"", command->status,
                status, err ? err : "", command->stdout_text.ptr, command->stderr_text.ptr);
  if (out)
    ck_assert_msg(strstr(command->stdout_text.ptr, out), "no \"%s\" on stdout: \"%s\" \"%s\"", out,
                  command->stdout_text.ptr, command->stderr_text.ptr);
  if (err)
    ck_assert_msg(strstr(command->stderr_text.ptr, err), "no \"%s\" on stderr: \"%s\"", err, command->stderr_text.ptr);
}

void check(const char *line, int status, const char *out, const char *err)
{
  struct command command = command_run(line);
  expect(&command, status, out, err);
  command_done(&command);
}

void check_no_session(void)
{
  struct command command = command_run("session list --json");
  expect(&command, 0, NULL, NULL);
  ck_assert_str_eq(command.stdout_text.ptr, "");
  command_done(&command);
}

void check_error_line(const char *line, int status, const char *text)
{
  struct command command = command_run(line);
  expect(&command, status, NULL, text);
  ck_assert_str_eq(command.stdout_text.ptr, "");
  const char *newline = strchr(command.stderr_text.ptr, '\n');
  ck_assert_msg(newline && (newline[1] == 0 || strncmp(newline + 1, "Try `magent", 11) == 0), "%s",
                command.stderr_text.ptr);
  ck_assert_int_eq(strncmp(command.stderr_text.ptr, "magent: ", 8), 0);
  command_done(&command);
}
