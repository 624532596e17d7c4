#include "plugin.h"
#include "wrap.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "host/config.h"

#include <string.h>

#define INDENT 4

struct unit {
  int64_t factor;
  const char *name;
};

/* The largest unit that gives a whole number. */
static void add_units(struct mag_buf *out, int64_t value, const struct unit *units)
{
  while (units->factor > 1 && (value == 0 || value % units->factor != 0))
    units++;
  mag_buf_printf(out, "%lld%s", (long long) (value / units->factor), units->name);
}

static void add_number(struct mag_buf *out, struct mbp_str type, int64_t value)
{
  static const struct unit bytes[] = {
      {INT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, " bytes"},
  };
  static const struct unit times[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
  static const struct unit plain[] = {{1, ""}};
  add_units(out, value, mbp_str_eq(type, "size") ? bytes : mbp_str_eq(type, "duration") ? times : plain);
}

static void add_choices(struct mag_buf *out, const struct mbp_json *choices)
{
  for (const struct mbp_json *c = mag_json_first(choices); c; c = mag_json_next(c)) {
    mag_buf_add_text(out, out->len ? ", " : "");
    mag_buf_add_str(out, mag_json_str(c));
  }
}

static void fact(const char *name, struct mbp_str text)
{
  if (!text.len)
    return;
  int at = printf("%*s%s: ", INDENT, "", name);
  plugin_wrap(stdout, at, at, text);
}

/* Of a path what it is here. */
static void fact_default(struct mbp_str type, struct mbp_str text)
{
  mag_autofree char *path = text.len && mbp_str_eq(type, "path") ? mag_config_expand(text.ptr) : NULL;
  fact("default", path ? mbp_str(path) : text);
}

/*   base_url  URL, required, repeatable
 *     Where requests go.
 *     default: https://...  */
static void print_param(const struct mbp_json *p, int width)
{
  static const char *const marks[] = {"required", "repeatable", "deprecated"};
  mag_autobuf values = MAG_BUF_INIT;
  struct mbp_str type = plugin_text(p, "type");
  (void) printf("  ");
  plugin_bold(stdout, 1);
  plugin_cell(stdout, plugin_text(p, "name"), width);
  plugin_bold(stdout, 0);
  (void) printf("  ");
  plugin_cell(stdout, type, 0);
  for (size_t i = 0; i < MAG_COUNT(marks); i++)
    if (mag_json_truth(mag_json_get(p, marks[i]), 0))
      (void) printf(", %s", marks[i]);
  (void) printf("\n%*s", INDENT, "");
  plugin_wrap(stdout, INDENT, INDENT, plugin_text(p, "help"));
  add_choices(&values, mag_json_get(p, "choices"));
  fact("one of", mag_buf_str(&values));
  mag_buf_clear(&values);
  const struct mbp_json *min = mag_json_get(p, "min"), *max = mag_json_get(p, "max");
  if (min && max) {
    add_number(&values, type, mag_json_num(min, INT64_MIN));
    bool bounded = mag_json_num(max, INT64_MAX) != INT64_MAX; /* beyond 2^53 is no bound that anybody meant */
    if (bounded) {
      mag_buf_add_text(&values, " to ");
      add_number(&values, type, mag_json_num(max, INT64_MAX));
    }
    fact(bounded ? "range" : "at least", mag_buf_str(&values));
  }
  fact_default(type, plugin_text(p, "default"));
  fact("environment", plugin_text(p, "env"));
  if (mag_json_truth(mag_json_get(p, "secret"), 0))
    fact("secret", mbp_str("never shown, logged or stored"));
}

static void print_text(const struct mbp_json *d)
{
  mag_autobuf title = MAG_BUF_INIT;
  const struct mbp_json *params = mag_json_get(d, "params");
  mag_buf_add_str(&title, plugin_text(d, "kind"));
  mag_buf_add_char(&title, '-');
  mag_buf_add_str(&title, plugin_text(d, "name"));
  plugin_bold(stdout, 1);
  plugin_cell(stdout, mag_buf_str(&title), 0);
  plugin_bold(stdout, 0);
  (void) printf(": ");
  plugin_wrap(stdout, (int) title.len + 2, 0, plugin_text(d, "summary"));
  if (plugin_text(d, "help").len) {
    (void) printf("\n");
    plugin_wrap(stdout, 0, 0, plugin_text(d, "help"));
  }
  if (!mag_json_first(params)) {
    (void) printf("\nIt has no parameters.\n");
    return;
  }
  int width = 0;
  for (const struct mbp_json *p = mag_json_first(params); p; p = mag_json_next(p))
    width = MAG_MAX(width, cli_columns(plugin_text(p, "name")));
  (void) printf("\nParameters:\n");
  for (const struct mbp_json *p = mag_json_first(params); p; p = mag_json_next(p)) {
    (void) printf("\n");
    print_param(p, MAG_MIN(width, 24));
  }
}

int plugin_help(struct mag_registry *registry, const struct plugin_options *options)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_candidate candidate;
  struct mag_inspection inspection;
  if (plugin_resolve(registry, options->name, &candidate, &err) < 0) {
    (void) fprintf(stderr, "magent: %s\n", err.message);
    return 1;
  }
  mag_autojson document = plugin_ask(candidate.path, candidate.trust, &inspection);
  if (!document)
    (void) fprintf(stderr, "magent: %s\n", inspection.problem ? inspection.problem : "out of memory");
  else if (options->json)
    (void) printf("%s\n", inspection.json);
  else
    print_text(document);
  int r = document ? 0 : 1;
  mag_inspection_done(&inspection);
  return r;
}
