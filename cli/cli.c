#include "cli.h"
#include "render.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
  const char *sub_command = strchr(command, ' ') ? command : "";
  mag_autofree char *message = NULL;
  va_list args;
  va_start(args, format);
  int n = vasprintf(&message, format, args);
  va_end(args);
  fprintf(stderr, "magent: %s%s", sub_command, *sub_command ? ": " : "");
  render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(n < 0 ? "wrong usage" : message));
  fprintf(stderr, "\nTry `magent %s%s--help`.\n", command, *command ? " " : "");
  return EXIT_USAGE;
}
