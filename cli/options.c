#include "options.h"

#include "cli.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <string.h>

void cli_options_begin(void)
{
  optind = 0; /* of glibc: forget how the last command line was read */
  opterr = 0;
}

/* ---- What is wrong ---------------------------------------------------------------------------------------------- */

static const char *name_of(const struct option *options, int value)
{
  while (options->name && options->val != value)
    options++;
  return options->name ? options->name : "help";
}

/* The word up to its value, and which options it is the beginning of. */
static int unknown(const char *command, const char *word, const struct option *options)
{
  const char *names[64];
  size_t n = 0, n_begun = 0;
  mag_autofree char *name = mag_str_dup(mbp_str_n(word, strcspn(word, "=")));
  mag_autobuf begun = MAG_BUF_INIT;
  if (!name)
    return EXIT_ERROR;
  for (const struct option *i = options; i->name && n + 2 < MAG_COUNT(names); i++) {
    names[n++] = i->name;
    if (strlen(name) > 2 && strncmp(i->name, name + 2, strlen(name + 2)) == 0)
      mag_buf_printf(&begun, "%s--%s", n_begun++ ? ", " : "", i->name);
  }
  names[n++] = "help";
  names[n] = NULL;
  if (n_begun > 1)
    return cli_usage(command, "%s may be %s", name, begun.ptr);
  if (*command && (strcmp(name, "--plugin-dir") == 0 || strcmp(name, "--verbose") == 0))
    return cli_usage(command, "%s stands before the command: magent %s ... %s", name, name, command);
  int nearest = mag_nearest(name + 2, names);
  if (nearest >= 0)
    return cli_usage(command, "unknown option %s; did you mean --%s?", name, names[nearest]);
  return cli_usage(command, "unknown option %s", name);
}

static void tell(const char *command, int found, char **argv, const struct option *options)
{
  const char *word = argv[optind - 1];
  if (found == ':')
    (void) cli_usage(command, "--%s needs a value", name_of(options, optopt));
  else if (optopt && strncmp(word, "--", 2) == 0)
    (void) cli_usage(command, "--%s takes no value", name_of(options, optopt));
  else if (optopt)
    (void) cli_usage(command, "unknown option -%c", optopt);
  else
    (void) unknown(command, word, options);
}

int cli_option(const char *command, int argc, char **argv, const struct option *options)
{
  int found = getopt_long(argc, argv, *command ? ":h" : "+:h", options, NULL);
  if (found != ':' && found != '?')
    return found;
  if (optopt == 0 && strcmp(argv[optind - 1], "--help") == 0)
    return CLI_HELP;
  tell(command, found, argv, options);
  return CLI_WRONG;
}

/* ---- Sub-commands ----------------------------------------------------------------------------------------------- */

int cli_unknown_command(const char *group, const char *name, const void *rows, size_t n, size_t size)
{
  const char *names[32];
  const char *space = *group ? " " : "";
  n = MAG_MIN(n, MAG_COUNT(names) - 1);
  for (size_t i = 0; i < n; i++)
    memcpy(&names[i], (const char *) rows + i * size, sizeof(names[i]));
  names[n] = NULL;
  if (!*name)
    return cli_usage(group, "a command is needed");
  if (*name == '-')
    return cli_usage(group, "a command is needed before %s", name);
  int nearest = mag_nearest(name, names);
  if (nearest >= 0)
    return cli_usage(group, "unknown command \"%s%s%s\"; did you mean \"%s\"?", group, space, name, names[nearest]);
  return cli_usage(group, "unknown command \"%s%s%s\"", group, space, name);
}
