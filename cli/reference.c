#include "reference.h"

#include "cli.h"
#include "options.h"
#include "run_options.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <string.h>

const char cli_reference_help[] =
    "Usage: magent help [COMMAND]\n"
    "       magent help config [--markdown | --man | --man-options | --json-schema]\n"
    "       magent help config --keys | --options | --values OPTION\n"
    "\n"
    "Shows the help of a command, or the keys of agent files: as text, as CONFIG.md, as magent-agent(5), as the\n"
    "options in magent(1), as JSON Schema for editors. The last three are words for the shell's completion: keys,\n"
    "options of `magent run`, and what there is for the value of one.\n";

static bool is_shown(const struct mag_key *key)
{
  return key->path[0] != '.';
}

static const char *note(const struct mag_key *key)
{
  return key->flags & MAG_KEY_REFUSED ? " Refused by this version." : "";
}

static void add_place(struct mag_buf *out, const struct mag_key *key, uint32_t place, const char *name)
{
  if (key->flags & place)
    mag_buf_printf(out, "%s%s", out->len ? ", " : "", name);
}

/* "agent, project, defaults" */
static void add_places(struct mag_buf *out, const struct mag_key *key)
{
  add_place(out, key, MAG_IN_AGENT, "agent");
  add_place(out, key, MAG_IN_PROJECT, "project");
  add_place(out, key, MAG_IN_DEFAULTS, "defaults");
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static void print_text(void)
{
  for (const struct mag_key *key = mag_schema; key->path; key++) {
    if (!is_shown(key))
      continue;
    printf("%s  (%s%s%s)%s%s\n    %s%s\n", key->path, reference_type(key), key->otherwise ? "; otherwise " : "",
           key->otherwise ? key->otherwise : "", key->option ? "  --" : "", key->option ? key->option : "", key->help,
           note(key));
  }
}

/* ---- Markdown --------------------------------------------------------------------------------------------------- */

static void print_markdown(void)
{
  printf("# Configuration\n\n<!-- Made by `magent help config --markdown`; tests/integration/reference_test.sh holds "
         "it. -->\n\n%s\n\n| key | value | otherwise | where | |\n| --- | --- | --- | --- | --- |\n",
         reference_summary);
  for (const struct mag_key *key = mag_schema; key->path; key++) {
    mag_autobuf places = MAG_BUF_INIT;
    if (!is_shown(key))
      continue;
    add_places(&places, key);
    printf("| `%s` | %s | %s | %s | %s%s%s%s%s |\n", key->path, reference_type(key),
           key->otherwise ? key->otherwise : "", places.len ? places.ptr : "", key->help, note(key),
           key->option ? " Option: `--" : "", key->option ? key->option : "", key->option ? "`." : "");
  }
  for (const struct reference_chapter *chapter = reference_chapters; chapter->title; chapter++) {
    printf("\n## %s\n", chapter->title);
    for (const char *const *text = chapter->paragraphs; *text; text++) {
      if (**text != ' ') {
        printf("\n%s\n", *text);
        continue;
      }
      printf("\n```yaml\n");
      for (const char *line = *text; *line; line += strcspn(line, "\n") + 1)
        printf("%.*s\n", (int) strcspn(line, "\n") - 1, line + 1);
      printf("```\n");
    }
  }
}

/* ---- Manual page ------------------------------------------------------------------------------------------------ */

/* A sentence a line, no line too long, nothing that roff would take for its own. */
static void print_roff(const char *text)
{
  size_t column = 0;
  for (const char *p = text; *p;) {
    size_t len = strcspn(p, " ");
    bool ends = column && p[-2] == '.';
    if (column && (ends || column + 1 + len > 110)) {
      putchar('\n');
      column = 0;
    } else if (column) {
      column += (size_t) printf(" ");
    }
    if (column == 0 && (*p == '.' || *p == '\''))
      printf("\\&");
    for (size_t i = 0; i < len; i++)
      if (p[i] == '\\')
        printf("\\e");
      else
        putchar(p[i]);
    column += len;
    p += len;
    p += *p == ' ';
  }
  putchar('\n');
}

static void print_roff_key(const struct mag_key *key)
{
  mag_autobuf facts = MAG_BUF_INIT, places = MAG_BUF_INIT;
  add_places(&places, key);
  mag_buf_printf(&facts, "%s; ", reference_type(key));
  if (key->otherwise)
    mag_buf_printf(&facts, "otherwise %s; ", key->otherwise);
  if (key->option)
    mag_buf_printf(&facts, "option --%s; ", key->option);
  mag_buf_printf(&facts, "in: %s.", places.len ? places.ptr : "");
  printf(".It Ic %s\n", key->path);
  mag_autobuf help = MAG_BUF_INIT;
  mag_buf_printf(&help, "%s%s", key->help, note(key));
  print_roff(help.ptr);
  putchar('(');
  facts.ptr[facts.len - 1] = ')';
  print_roff(facts.ptr);
}

/* The list of options of `magent run`. */
static void print_man_options(void)
{
  struct run_option options[RUN_OPTIONS_MAX];
  size_t n = run_options(options);
  printf(".Bl -tag -width Ds\n");
  for (size_t i = 0; i < n; i++) {
    char note[128];
    const char *equals = options[i].argument ? strchr(options[i].argument, '=') : NULL;
    printf(".It Fl Fl %s", options[i].name);
    if (equals)
      printf(" Ar %.*s Ns = Ns Ar %s", (int) (equals - options[i].argument), options[i].argument, equals + 1);
    else if (options[i].argument)
      printf(" Ar %s", options[i].argument);
    putchar('\n');
    print_roff(options[i].help);
    run_option_note(&options[i], note, sizeof(note));
    if (*note)
      print_roff(note);
  }
  printf(".El\n");
}

static void print_man(void)
{
  printf(
      ".\\\" Made by magent help config --man; tests/integration/reference_test.sh holds it.\n.Dd November 23, 2026\n"
      ".Dt MAGENT-AGENT 5\n.Os\n.Sh NAME\n.Nm magent-agent\n.Nd agent files\n.Sh DESCRIPTION\n");
  print_roff(reference_summary);
  printf(
      ".Pp\nBehind each key stand what its value is, what holds otherwise, the option of\n.Xr magent 1\nthat gives it "
      "beside\n.Fl Fl set ,\nand where it may stand: in an agent file, a project's file, the defaults.\n"
      ".Bl -tag -width Ds\n");
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (is_shown(key))
      print_roff_key(key);
  printf(".El\n");
  for (const struct reference_chapter *chapter = reference_chapters; chapter->title; chapter++) {
    bool is_example = chapter->paragraphs[0][0] == ' ';
    printf(is_example ? ".Sh EXAMPLES\n" : ".Ss %s\n", chapter->title);
    for (const char *const *text = chapter->paragraphs; *text; text++) {
      if (**text != ' ') {
        print_roff(*text);
        continue;
      }
      printf(".Bd -literal -offset indent\n");
      for (const char *line = *text; *line; line += strcspn(line, "\n") + 1)
        printf("%.*s\n", (int) strcspn(line, "\n") - 1, line + 1);
      printf(".Ed\n");
    }
  }
  printf(".Sh SEE ALSO\n.Xr magent 1 ,\n.Xr mbp 7\n");
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

static void print_keys(void)
{
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (is_shown(key) && key->flags & MAG_IN_AGENT && !(key->flags & MAG_KEY_REST) && key->type != MAG_KEY_GROUP)
      printf("%s=\n", key->path);
}

static void print_options(void)
{
  struct run_option options[RUN_OPTIONS_MAX];
  size_t n = run_options(options);
  for (size_t i = 0; i < n; i++)
    printf("--%s\n", options[i].name);
}

static const struct format {
  const char *option;
  void (*print)(void);
} formats[] = {
    {"markdown", print_markdown},      {"man", print_man},   {"man-options", print_man_options},
    {"json-schema", reference_schema}, {"keys", print_keys}, {"options", print_options},
};

#define O_VALUES 256

int cli_reference(struct cli *cli, int argc, char **argv)
{
  struct option options[MAG_COUNT(formats) + 2] = {{"values", required_argument, NULL, O_VALUES}};
  const struct format *format = NULL;
  const char *values = NULL;
  int option, n = 0;
  for (size_t i = 0; i < MAG_COUNT(formats); i++)
    options[i + 1] = (struct option){formats[i].option, no_argument, NULL, O_VALUES + 1 + (int) i};
  cli_options_begin();
  while ((option = cli_option("help config", argc, argv, options)) != -1) {
    if (option == CLI_WRONG)
      return EXIT_USAGE;
    if (option == CLI_HELP) {
      fputs(cli_reference_help, stdout);
      return EXIT_OK;
    }
    format = option > O_VALUES ? &formats[option - O_VALUES - 1] : NULL;
    values = option == O_VALUES ? optarg : NULL;
    n++;
  }
  if (optind < argc || n > 1)
    return cli_usage("help config", optind < argc ? "unexpected \"%s\"" : "one format at a time%s",
                     optind < argc ? argv[optind] : "");
  if (values)
    return reference_values(cli, values);
  (format ? format->print : print_text)();
  return EXIT_OK;
}
