#include "cli.h"
#include "options.h"
#include "render.h"

#include "agent/agents.h"
#include "agent/schema.h"
#include "agent/session.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent agent validate FILE...\n"
    "       magent agent create FILE [--set KEY=VALUE]... [--json]\n"
    "       magent agent list [--all] [--json]\n"
    "       magent agent show AGENT [--json]\n"
    "       magent agent update AGENT [FILE] [--set KEY=VALUE]... [--version N] [--json]\n"
    "       magent agent archive AGENT [--json]\n"
    "\n"
    "  validate  check agent files as `magent run` would here, keys aside, and say what is wrong where\n"
    "  create    store an agent, with the defaults of today filled in\n"
    "  list      stored agents, newest first; --all: archived ones as well\n"
    "  show      what an agent says, each key that it has\n"
    "  update    store a new version: keys of FILE and --set replace, null (or an empty VALUE) clears, mappings are\n"
    "            joined; nothing changed: nothing stored; --version: only if that is the version now\n"
    "  archive   no new versions and no new sessions from now on\n"
    "\n"
    "AGENT is a name or an id, with @VERSION for an earlier version. `magent run --agent AGENT PROMPT` uses one.\n"
    "`magent help config` lists the keys.\n";

#define SETS_MAX 64

struct arguments {
  char **words;
  size_t n_words;
  const char *sets[SETS_MAX];
  size_t n_sets;
  int64_t version;
  bool json, all;
  size_t n_printed;
};

enum { O_JSON = 256, O_ALL, O_SET, O_VERSION };

static int take_option(struct arguments *arguments, const char *command, int option)
{
  switch (option) {
  case O_JSON:
    arguments->json = true;
    return 0;
  case O_ALL:
    arguments->all = true;
    return 0;
  case O_SET:
    if (arguments->n_sets == SETS_MAX)
      return cli_usage(command, "--set may stand at most %d times", SETS_MAX);
    arguments->sets[arguments->n_sets++] = optarg;
    return 0;
  case O_VERSION:
    if (mag_parse_int(mbp_str(optarg), &arguments->version) < 0 || arguments->version < 1)
      return cli_usage(command, "--version %s: not a number from 1 on", optarg);
    return 0;
  case CLI_HELP:
    fputs(help_text, stdout);
    return -1;
  default:
    return EXIT_USAGE;
  }
}

/* ---- What is printed -------------------------------------------------------------------------------------------- */

static void print_value(struct mag_definition *definition, const struct mag_key *key)
{
  int64_t number = mag_key_is_number(key) ? *mag_key_number(definition, key) : 0;
  switch (key->type) {
  case MAG_KEY_TRUTH:
    fputs(number > 0 ? "true" : "false", stdout);
    break;
  case MAG_KEY_CPU:
    printf("%.10g", (double) number / 1000);
    break;
  case MAG_KEY_MONEY: {
    mag_autofree char *text = mag_micros_text(number);
    fputs(text ? text : "", stdout);
    break;
  }
  case MAG_KEY_DURATION:
    printf("%lld%s", (long long) (number % 1000 ? number : number / 1000), number % 1000 ? "ms" : "s");
    break;
  case MAG_KEY_NUMBER:
  case MAG_KEY_SIZE:
    printf("%lld", (long long) number);
    break;
  default:
    render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(*mag_key_text(definition, key)));
  }
}

static void print_agent(struct mag_agent *agent, bool json)
{
  if (json) {
    printf("{\"agent\":%s,\"environment\":%s}\n", agent->agent, agent->environment);
    return;
  }
  printf("%-34s %s, version %lld%s\n", "id", agent->definition.agent_id, (long long) agent->definition.agent_version,
         agent->archived ? ", archived" : "");
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (key->path[0] != '.' && mag_key_is_said(&agent->definition, key)) {
      printf("%-34s ", key->path);
      print_value(&agent->definition, key);
      putchar('\n');
    }
}

static int print_listed(void *ctx, struct mbp_str json)
{
  struct arguments *arguments = ctx;
  mag_autojson document = NULL;
  arguments->n_printed++;
  if (arguments->json) {
    printf("%.*s\n", (int) json.len, json.ptr);
    return 0;
  }
  if (mag_json_parse(json, &document, NULL) < 0)
    return 0;
  if (arguments->n_printed == 1)
    printf("%-32s %7s  %-16s  %-24s %s\n", "ID", "VERSION", "UPDATED", "NAME", "MODEL");
  printf("%-32s %7lld  %-16.16s  ", mag_json_str(mag_json_get(document, "id")).ptr,
         (long long) mag_json_num(mag_json_get(document, "version"), 0),
         mag_json_str(mag_json_get(document, "updated_at")).ptr);
  mag_autofree char *line =
      mag_sprintf("%-24s %s%s", mag_json_str(mag_json_get(document, "name")).ptr,
                  mag_json_str(mag_json_get(mag_json_get(document, "model"), "id")).ptr,
                  mag_json_type(mag_json_get(document, "archived_at")) == MBP_JSON_STRING ? "  (archived)" : "");
  render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(line));
  putchar('\n');
  return 0;
}

/* ---- Commands --------------------------------------------------------------------------------------------------- */

/* What `magent run` would refuse before anything has begun. */
static int check_definition(struct mag_engine *engine, const struct mag_definition *definition, const char *where,
                            struct mbp_error *err)
{
  int r = mag_session_check_agent(engine, definition, err);
  bool named = r < 0 && mag_str_starts(mbp_str(err->message), where); /* with its line, too */
  return r < 0 && !named ? mag_error_wrap(err, "%s", where) : r;
}

static int validate_file(struct mag_engine *engine, const char *path)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  int r = mag_definition_load(&definition, path, &err);
  if (r == 0)
    r = mag_definition_defaults(&definition, &err);
  if (r == 0)
    r = check_definition(engine, &definition, path, &err);
  mag_definition_done(&definition);
  if (r == 0)
    printf("%s: ok\n", path);
  return r < 0 ? cli_fail(&err) : EXIT_OK;
}

/* Every file is looked at; one that is wrong makes it the status. */
static int validate(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent,
                    struct mbp_error *err)
{
  int status = EXIT_OK;
  (void) agent;
  (void) err;
  for (size_t i = 0; i < arguments->n_words; i++)
    if (validate_file(engine, arguments->words[i]) != EXIT_OK)
      status = EXIT_ERROR;
  return status;
}

static int create(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent,
                  struct mbp_error *err)
{
  struct mag_definition definition = {0};
  int r = mag_definition_load(&definition, arguments->words[0], err);
  for (size_t i = 0; i < arguments->n_sets && r == 0; i++)
    r = cli_change(&definition, arguments->sets[i], err);
  if (r == 0)
    r = mag_definition_defaults(&definition, err);
  if (r == 0)
    r = check_definition(engine, &definition, arguments->words[0], err);
  if (r == 0)
    r = mag_agent_create(engine, &definition, agent, err);
  mag_definition_done(&definition);
  return r;
}

static int update(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent,
                  struct mbp_error *err)
{
  struct mag_agent old = {0};
  mag_autofree char *json = NULL;
  int r = mag_agent_get(engine, arguments->words[0], &old, err);
  if (r == 0 && arguments->n_words > 1)
    r = mag_definition_read_file(arguments->words[1], &json, err);
  if (r == 0 && json)
    r = mag_definition_change(&old.definition, mbp_str(json), arguments->words[1], true, err);
  for (size_t i = 0; i < arguments->n_sets && r == 0; i++)
    r = cli_change(&old.definition, arguments->sets[i], err);
  if (r == 0)
    r = check_definition(engine, &old.definition, arguments->words[arguments->n_words - 1], err);
  if (r == 0)
    r = mag_agent_update(engine, &old.definition, arguments->version, agent, err);
  mag_agent_done(&old);
  return r;
}

static int show(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent, struct mbp_error *err)
{
  return mag_agent_get(engine, arguments->words[0], agent, err);
}

static int archive(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent,
                   struct mbp_error *err)
{
  return mag_agent_archive(engine, arguments->words[0], agent, err);
}

static int list(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent, struct mbp_error *err)
{
  (void) agent;
  int r = mag_agent_list(engine, arguments->all, print_listed, arguments, err);
  if (r == 0 && arguments->n_printed == 0 && !arguments->json)
    puts("no stored agents yet; `magent agent create FILE` makes one");
  return r;
}

static const struct option of_validate[] = {{NULL, 0, NULL, 0}};
static const struct option of_one[] = {{"json", no_argument, NULL, O_JSON}, {NULL, 0, NULL, 0}};
static const struct option of_list[] = {
    {"json", no_argument, NULL, O_JSON},
    {"all", no_argument, NULL, O_ALL},
    {NULL, 0, NULL, 0},
};
static const struct option of_create[] = {
    {"json", no_argument, NULL, O_JSON},
    {"set", required_argument, NULL, O_SET},
    {NULL, 0, NULL, 0},
};
static const struct option of_update[] = {
    {"json", no_argument, NULL, O_JSON},
    {"set", required_argument, NULL, O_SET},
    {"version", required_argument, NULL, O_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct verb {
  const char *name;
  int (*run)(struct mag_engine *engine, struct arguments *arguments, struct mag_agent *agent, struct mbp_error *err);
  size_t least, most;
  const char *words; /* what is missing */
  const struct option *options;
} verbs[] = {
    {"validate", validate, 1, SIZE_MAX, "a file", of_validate},
    {"create", create, 1, 1, "a file", of_create},
    {"list", list, 0, 0, "", of_list},
    {"show", show, 1, 1, "an agent", of_one},
    {"update", update, 1, 2, "an agent", of_update},
    {"archive", archive, 1, 1, "an agent", of_one},
};

/* 0, a status to exit with, or -1: help was printed. */
static int read_arguments(const struct verb *verb, struct arguments *arguments, int argc, char **argv)
{
  char command[32];
  int option, status = 0;
  (void) snprintf(command, sizeof(command), "agent %s", verb->name);
  cli_options_begin();
  while (status == 0 && (option = cli_option(command, argc, argv, verb->options)) != -1)
    status = take_option(arguments, command, option);
  if (status)
    return status;
  arguments->words = argv + optind;
  arguments->n_words = (size_t) (argc - optind);
  if (arguments->n_words > verb->most)
    return cli_usage(command, "unexpected \"%s\"", arguments->words[verb->most]);
  if (arguments->n_words < verb->least)
    return cli_usage(command, "%s is needed", verb->words);
  if (verb->run == update && arguments->n_words == 1 && !arguments->n_sets)
    return cli_usage(command, "what shall be changed? a file or --set KEY=VALUE");
  return 0;
}

static int run_verb(struct cli *cli, const struct verb *verb, struct arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_agent agent = {0};
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = verb->run(engine, arguments, &agent, &err);
  if (r == 0 && agent.agent)
    print_agent(&agent, arguments->json);
  mag_agent_done(&agent);
  mag_engine_free(engine);
  if (r == -MBP_E_NOT_FOUND && verb->least && !mag_agent_is_file(arguments->words[0]))
    (void) cli_hint(&err, "`magent agent list` shows those that exist");
  return r < 0 ? cli_fail(&err) : r;
}

int cli_agent(struct cli *cli, int argc, char **argv)
{
  struct arguments arguments = {.version = 0};
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    fputs(help_text, stdout);
    return EXIT_OK;
  }
  for (size_t i = 0; i < MAG_COUNT(verbs); i++)
    if (strcmp(name, verbs[i].name) == 0) {
      int status = read_arguments(&verbs[i], &arguments, argc - 1, argv + 1);
      if (status)
        return status < 0 ? EXIT_OK : status;
      return run_verb(cli, &verbs[i], &arguments);
    }
  return cli_unknown_command("agent", name, verbs, MAG_COUNT(verbs), sizeof(verbs[0]));
}
