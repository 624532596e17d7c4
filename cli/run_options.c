#include "run_options.h"

#include "wrap.h"

#include "agent/schema.h"
#include "base/buf.h"
#include "base/cleanup.h"

#include <string.h>

#define WIDTH 112
#define INDENT 20

static const struct run_option first_options[] = {
    {RUN_AGENT, "agent", "A",
     "A stored agent, by its name or id, with @VERSION for an earlier version; or an agent file, in YAML or JSON, if A "
     "has a slash in it or ends in .yaml, .yml or .json.",
     NULL, NULL},
    {RUN_SET, "set", "KEY=VALUE",
     "Any key of an agent file by its path, such as compute.memory=512M or compute.env.CI=1; `magent help config` "
     "lists them. Lists and mappings are given as JSON or YAML. May be repeated. The next options are other names for "
     "some of them.",
     NULL, NULL},
};

static const struct run_option last_options[] = {
    {RUN_TOOLS, "tools", "LIST", "Only these tools of the default toolset, such as bash,read,write; none for none.",
     NULL, NULL},
    {RUN_NO_PROJECT, "no-project", NULL, "Leave out .magent/environment.yaml of this directory and those above it.",
     NULL, NULL},
    {RUN_TRUST_PROJECT, "trust-project", NULL, "Let it say what runs in a sandbox that has a network.", NULL, NULL},
    {RUN_SESSION, "session", "ID",
     "Go on with an earlier session. It keeps what it was made with: of these options only --model and --system can "
     "change something in it.",
     NULL, NULL},
    {RUN_TITLE, "title", "T", "The title of a new session.", NULL, NULL},
    {RUN_TURNS, "max-turns", "N",
     "Stop after N model requests. Each request, with the tools that it asked for, counts as one.", NULL, NULL},
    {RUN_TIMEOUT, "timeout", "D", "Stop after D, such as 90s or 5m.", NULL, NULL},
    {RUN_YES, "yes", NULL, "Answer yes where a tool call has to be asked for. What is denied stays denied.", NULL,
     NULL},
    {RUN_JSON, "json", NULL, "Print one event a line, in JSON, on standard output and nothing else.", NULL, NULL},
    {RUN_HELP, "help", NULL, "Print these options.", NULL, NULL},
};

size_t run_options(struct run_option ret_options[RUN_OPTIONS_MAX])
{
  size_t n = MAG_COUNT(first_options), most = RUN_OPTIONS_MAX - MAG_COUNT(last_options);
  memcpy(ret_options, first_options, sizeof(first_options));
  for (int i = 0; mag_schema[i].path && n < most; i++)
    if (mag_schema[i].option)
      ret_options[n++] = (struct run_option){RUN_KEY + i,        mag_schema[i].option, mag_schema[i].argument,
                                             mag_schema[i].help, mag_schema[i].path,   mag_schema[i].otherwise};
  memcpy(ret_options + n, last_options, sizeof(last_options));
  return n + MAG_COUNT(last_options);
}

void run_option_note(const struct run_option *option, char *text, size_t size)
{
  (void) snprintf(text, size, "%s%s%s%s%s", option->key ? "(" : "", option->key ? option->key : "",
                  option->otherwise ? "; otherwise " : "", option->otherwise ? option->otherwise : "",
                  option->key ? ")" : "");
}

void run_options_print(FILE *out)
{
  struct run_option options[RUN_OPTIONS_MAX];
  size_t n = run_options(options);
  for (size_t i = 0; i < n; i++) {
    const struct run_option *option = &options[i];
    char name[64], note[128];
    mag_autobuf text = MAG_BUF_INIT;
    (void) snprintf(name, sizeof(name), "  --%s%s%s", option->name, option->argument ? " " : "",
                    option->argument ? option->argument : "");
    run_option_note(option, note, sizeof(note));
    mag_buf_printf(&text, "%s%s%s", option->help, *note ? " " : "", note);
    fprintf(out, "%-*s", INDENT, name);
    cli_wrap(out, WIDTH, INDENT, INDENT, mag_buf_str(&text));
  }
}
