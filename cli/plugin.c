#include "plugin.h"

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

int plugin_columns(struct mbp_str text)
{
  int n = 0;
  for (size_t i = 0; i < text.len; i++)
    n += ((unsigned char) text.ptr[i] & 0xc0) != 0x80;
  return n;
}

/* What a plugin says is shown on terminals, which obey control characters. */
static void print_clean(FILE *out, struct mbp_str text)
{
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char) text.ptr[i];
    bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char) text.ptr[i + 1] < 0xa0;
    (void) fputc(c < 0x20 || c == 0x7f || c1 ? '?' : c, out);
    i += c1;
  }
}

void plugin_cell(FILE *out, struct mbp_str text, int width)
{
  print_clean(out, text);
  for (int n = plugin_columns(text); n < width; n++)
    (void) fputc(' ', out);
}

void plugin_bold(FILE *out, int on)
{
  if (isatty(fileno(out)) && !secure_getenv("NO_COLOR"))
    (void) fputs(on ? "\033[1m" : "\033[0m", out);
}

static struct mbp_str next_word(struct mbp_str *text)
{
  size_t n = 0;
  while (n < text->len && text->ptr[n] != ' ' && text->ptr[n] != '\n' && text->ptr[n] != '\t')
    n++;
  struct mbp_str word = mbp_str_n(text->ptr, n);
  *text = mbp_str_n(text->ptr + n, text->len - n);
  return word;
}

void plugin_wrap(FILE *out, int at, int indent, struct mbp_str text)
{
  bool fresh = true; /* at the beginning of a line */
  while (text.len) {
    if (*text.ptr == '\n') {
      (void) fputc('\n', out);
      text = mbp_str_n(text.ptr + 1, text.len - 1);
      at = -1;
      fresh = true;
    } else if (*text.ptr == ' ' || *text.ptr == '\t') {
      text = mbp_str_n(text.ptr + 1, text.len - 1);
    } else {
      struct mbp_str word = next_word(&text);
      int n = plugin_columns(word);
      if (!fresh && at + 1 + n > WIDTH) {
        (void) fputc('\n', out);
        at = -1;
        fresh = true;
      }
      if (at < 0) {
        (void) fprintf(out, "%*s", indent, "");
        at = indent;
      }
      if (!fresh) {
        (void) fputc(' ', out);
        at++;
      }
      print_clean(out, word);
      at += n;
      fresh = false;
    }
  }
  (void) fputc('\n', out);
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
  return mag_error(err, MBP_E_NOT_FOUND, "no plugin '%.64s'%s%s%s; magent plugin list shows which there are", name,
                   nearest >= 0 ? "; did you mean '" : "", nearest >= 0 ? names[nearest] : "", nearest >= 0 ? "'" : "");
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

static int wrong(const char *text, const char *what)
{
  (void) fprintf(stderr, "magent plugin: %s%s (see magent plugin --help)\n", text, what);
  return 2;
}

static int parse(int argc, char **argv, struct plugin_options *options)
{
  bool only_names = false;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (only_names || a[0] != '-' || !a[1]) {
      if (options->name)
        return wrong("one name at a time, not also ", a);
      options->name = a;
    } else if (strcmp(a, "--") == 0) {
      only_names = true;
    } else if (strcmp(a, "--json") == 0) {
      options->json = true;
    } else if (strcmp(a, "--exists") == 0) {
      options->exists = true;
    } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
      options->help = true;
    } else if (strncmp(a, "--atleast-version=", 18) == 0) {
      options->atleast = a + 18;
    } else if (strcmp(a, "--atleast-version") == 0) {
      if (++i == argc)
        return wrong("--atleast-version needs a version", "");
      options->atleast = argv[i];
    } else {
      return wrong("unknown option ", a);
    }
  }
  return 0;
}

int magent_cmd_plugin(struct mag_registry *registry, int argc, char **argv)
{
  struct plugin_options options = {0};
  if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    (void) fputs(usage, argc < 2 ? stderr : stdout);
    return argc < 2 ? 2 : 0;
  }
  const char *verb = argv[1];
  if (strcmp(verb, "query-child") == 0) /* hidden: see inspect.h */
    return mag_inspect_query(argc - 1, argv + 1);
  int r = parse(argc - 1, argv + 1, &options);
  if (r != 0)
    return r;
  if (options.help) {
    (void) fputs(usage, stdout);
    return 0;
  }
  bool list = strcmp(verb, "list") == 0, inspect = strcmp(verb, "inspect") == 0, help = strcmp(verb, "help") == 0;
  if (!list && !inspect && !help)
    return wrong("unknown command ", verb);
  if (!inspect && (options.exists || options.atleast))
    return wrong("--exists and --atleast-version are for inspect", "");
  if (list && options.name)
    return wrong("list takes no name: did you mean inspect ", options.name);
  if (!list && !options.name)
    return wrong(verb, " needs a plugin's name");
  r = list      ? plugin_list(registry, &options)
      : inspect ? plugin_inspect(registry, &options)
                : plugin_help(registry, &options);
  /* A full disk or a closed pipe is an error, not a short list. */
  if (fflush(stdout) != 0 || ferror(stdout)) {
    (void) fputs("magent plugin: standard output cannot be written\n", stderr);
    return 1;
  }
  return r;
}
