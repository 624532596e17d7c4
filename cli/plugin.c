#include "plugin.h"

#include "cli.h"
#include "options.h"
#include "wrap.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <string.h>
#include <unistd.h>

#define WIDTH 80

static const char usage[] =
    "Usage: magent plugin list [--json]\n"
    "       magent plugin inspect NAME|FILE [--json] [--exists] [--atleast-version V]\n"
    "       magent plugin help NAME [--json]\n"
    "\n"
    "Tells which plugins there are, what one of them says of itself, and how to\n"
    "configure it. NAME is a plugin's name (openai), with its kind where several\n"
    "kinds have it (llm-openai). Plugins are asked in a process of their own.\n"
    "\n"
    "  --json               one JSON object on standard output\n"
    "  --exists             no output: exit status 0 if it is there and usable\n"
    "  --atleast-version V  no output: exit status 0 if its version is V or newer\n"
    "  --help               this text\n"
    "\n"
    "Plugins are searched in the directories given by --plugin-dir, in the installed\n"
    "one, and in those of MAGENT_PLUGIN_PATH.\n";

/* ---- Text ---------------------------------------------------------------------------------------------------- */

struct mbp_str plugin_text(const struct mbp_json *object, const char *key)
{
  return mag_json_str(mag_json_get(object, key));
}

void plugin_cell(FILE *out, struct mbp_str text, int width)
{
  cli_put_clean(out, text);
  for (int n = cli_columns(text); n < width; n++)
    (void) fputc(' ', out);
}

void plugin_bold(FILE *out, int on)
{
  if (isatty(fileno(out)) && !secure_getenv("NO_COLOR"))
    (void) fputs(on ? "\033[1m" : "\033[0m", out);
}

void plugin_wrap(FILE *out, int at, int indent, struct mbp_str text)
{
  cli_wrap(out, WIDTH, at, indent, text);
}

/* ---- Plugins ------------------------------------------------------------------------------------------------- */

struct search {
  const char *name;
  struct mag_candidate full, bare; /* found by kind and name, by name only */
  bool has_full, has_bare, ambiguous;
  uint32_t other; /* kind of a second one with the bare name */
  const char **names;
  size_t n;
};

static int look(void *ctx, const struct mag_candidate *candidate)
{
  struct search *search = ctx;
  const char *kind = mag_kind_name(candidate->kind);
  size_t n = strlen(kind);
  if (strncmp(search->name, kind, n) == 0 && (search->name[n] == '-' || search->name[n] == '/') &&
      strcmp(search->name + n + 1, candidate->name) == 0) {
    search->full = *candidate;
    search->has_full = true;
  }
  if (strcmp(search->name, candidate->name) == 0) {
    search->ambiguous = search->has_bare;
    search->other = candidate->kind;
    if (!search->has_bare)
      search->bare = *candidate;
    search->has_bare = true;
  }
  const char **names = reallocarray(search->names, search->n + 2, sizeof(*names));
  if (names) {
    search->names = names;
    names[search->n++] = candidate->name;
    names[search->n] = NULL;
  }
  return 0;
}

int plugin_resolve(struct mag_registry *registry, const char *name, struct mag_candidate *ret_candidate,
                   struct mbp_error *err)
{
  struct search search = {.name = name};
  (void) mag_registry_each(registry, look, &search);
  mag_autofree const char **names = search.names;
  if (search.has_full || (search.has_bare && !search.ambiguous)) {
    *ret_candidate = search.has_full ? search.full : search.bare;
    return 0;
  }
  if (search.ambiguous)
    return mag_error(err, MBP_E_INVALID, "several plugins have the name '%s': say %s-%s or %s-%s", name,
                     mag_kind_name(search.bare.kind), name, mag_kind_name(search.other), name);
  int nearest = names ? mag_nearest(name, names) : -1;
  return mag_error(err, MBP_E_NOT_FOUND, "no plugin '%.64s'%s%s%s `magent plugin list` shows which there are", name,
                   nearest >= 0 ? "; did you mean '" : ";", nearest >= 0 ? names[nearest] : "",
                   nearest >= 0 ? "'?" : "");
}

struct mbp_json *plugin_ask(const char *path, int trust, struct mag_inspection *ret_inspection)
{
  struct mbp_json *document = NULL;
  mag_inspect_child(path, trust, mag_inspect_self(), MAG_INSPECT_MS, ret_inspection);
  if (ret_inspection->json && mag_json_parse(mbp_str(ret_inspection->json), &document, NULL) < 0)
    return NULL;
  return document;
}

/* ---- Command line -------------------------------------------------------------------------------------------- */

enum { O_JSON = 256, O_EXISTS, O_ATLEAST };

static const struct option of_any[] = {{"json", no_argument, NULL, O_JSON}, {NULL, 0, NULL, 0}};
static const struct option of_inspect[] = {
    {"json", no_argument, NULL, O_JSON},
    {"exists", no_argument, NULL, O_EXISTS},
    {"atleast-version", required_argument, NULL, O_ATLEAST},
    {NULL, 0, NULL, 0},
};

static const struct verb {
  const char *name, *full_name;
  int (*run)(struct mag_registry *registry, const struct plugin_options *options);
  const struct option *options;
} verbs[] = {
    {"list", "plugin list", plugin_list, of_any},
    {"inspect", "plugin inspect", plugin_inspect, of_inspect},
    {"help", "plugin help", plugin_help, of_any},
};

/* 0, a status to exit with, or -1: help was printed. */
static int read_options(const struct verb *verb, struct plugin_options *options, int argc, char **argv)
{
  int option;
  cli_options_begin();
  while ((option = cli_option(verb->full_name, argc, argv, verb->options)) != -1) {
    if (option == CLI_WRONG)
      return EXIT_USAGE;
    if (option == CLI_HELP) {
      (void) fputs(usage, stdout);
      return -1;
    }
    options->json |= option == O_JSON;
    options->exists |= option == O_EXISTS;
    if (option == O_ATLEAST)
      options->atleast = optarg;
  }
  options->name = argv[optind];
  if (verb->run == plugin_list && options->name)
    return cli_usage(verb->full_name, "it takes no name: did you mean inspect %s", options->name);
  if (verb->run != plugin_list && !options->name)
    return cli_usage(verb->full_name, "the name of a plugin is needed");
  if (options->name && argv[optind + 1])
    return cli_usage(verb->full_name, "one name at a time, not also %s", argv[optind + 1]);
  return 0;
}

int magent_cmd_plugin(struct mag_registry *registry, int argc, char **argv)
{
  struct plugin_options options = {0};
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    (void) fputs(usage, stdout);
    return EXIT_OK;
  }
  if (strcmp(name, "query-child") == 0) /* hidden: see inspect.h */
    return mag_inspect_query(argc - 1, argv + 1);
  for (size_t i = 0; i < MAG_COUNT(verbs); i++)
    if (strcmp(name, verbs[i].name) == 0) {
      int status = read_options(&verbs[i], &options, argc - 1, argv + 1);
      if (status)
        return status < 0 ? EXIT_OK : status;
      return verbs[i].run(registry, &options);
    }
  return cli_unknown_command("plugin", name, verbs, MAG_COUNT(verbs), sizeof(verbs[0]));
}
