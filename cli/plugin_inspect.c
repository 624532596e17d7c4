#include "plugin.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <string.h>

#define LABEL 14

static void label(const char *text)
{
  plugin_bold(stdout, 1);
  (void) printf("%s", text);
  plugin_bold(stdout, 0);
  (void) printf("%*s", LABEL - (int) strlen(text), "");
}

static void line(const char *name, struct mbp_str text)
{
  if (!text.len)
    return;
  label(name);
  plugin_wrap(stdout, LABEL, LABEL, text);
}

/* An array of strings, or of objects with a name, as one line. */
static void list(const char *name, const struct mbp_json *array, const char *empty)
{
  mag_autobuf text = MAG_BUF_INIT;
  for (const struct mbp_json *item = mag_json_first(array); item; item = mag_json_next(item)) {
    mag_buf_add_text(&text, text.len ? ", " : "");
    mag_buf_add_str(&text, mag_json_type(item) == MBP_JSON_OBJECT ? plugin_text(item, "name") : mag_json_str(item));
  }
  if (array)
    line(name, text.len ? mag_buf_str(&text) : mbp_str(empty));
}

static void print_text(const struct mbp_json *d)
{
  mag_autobuf kind = MAG_BUF_INIT;
  mag_buf_add_str(&kind, plugin_text(d, "kind"));
  mag_buf_printf(&kind, ", version %lld", (long long) mag_json_num(mag_json_get(d, "kind_version"), 0));
  line("File", plugin_text(d, "file"));
  line("Kind", mag_buf_str(&kind));
  line("Name", plugin_text(d, "name"));
  line("Version", plugin_text(d, "version"));
  line("Summary", plugin_text(d, "summary"));
  line("License", plugin_text(d, "license"));
  line("Origin", plugin_text(d, "origin"));
  line("Interface", plugin_text(d, "abi"));
  line("Threads", plugin_text(d, "threads"));
  list("Capabilities", mag_json_get(d, "caps"), "none");
  list("Models", mag_json_get(d, "models"), "only as NAME/MODEL");
  line("Tools type", plugin_text(d, "type"));
  line("Isolation", plugin_text(d, "isolation"));
  list("Networks", mag_json_get(d, "networks"), "none");
  list("Packages", mag_json_get(d, "packages"), "none");
  list("Parameters", mag_json_get(d, "params"), "none");
}

static int print_problem(const char *path, const struct mag_inspection *inspection, bool json)
{
  const char *problem = inspection->problem ? inspection->problem : "out of memory";
  if (!json) {
    (void) fprintf(stderr, "magent: %s\n", problem);
    return 1;
  }
  mag_autowriter writer = mag_writer_new();
  mag_writer_object(writer, NULL);
  mag_writer_string(writer, "file", mbp_str(path));
  mag_writer_string(writer, "problem", mbp_str(problem));
  mag_writer_boolean(writer, "notice", inspection->notice);
  mag_writer_end(writer);
  mag_autofree char *text = mag_writer_take(writer);
  (void) printf("%s\n", text ? text : "{}");
  return 1;
}

/* A file given by hand is trusted by that act, as a directory is. */
static int find(struct mag_registry *registry, const char *name, struct mag_candidate *ret_candidate,
                struct mbp_error *err)
{
  size_t n = strlen(name);
  if (!strchr(name, '/') && !(n > 3 && strcmp(name + n - 3, ".so") == 0))
    return plugin_resolve(registry, name, ret_candidate, err);
  /* "llm/openai" is a name, unless there is such a file. */
  if (access(name, F_OK) != 0 && plugin_resolve(registry, name, ret_candidate, NULL) == 0)
    return 0;
  *ret_candidate = (struct mag_candidate){.path = name, .trust = MAG_TRUST_GIVEN};
  return 0;
}

int plugin_inspect(struct mag_registry *registry, const struct plugin_options *options)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_candidate candidate;
  struct mag_inspection inspection;
  bool quiet = options->exists || options->atleast;
  if (find(registry, options->name, &candidate, &err) < 0) {
    if (!quiet)
      (void) fprintf(stderr, "magent: %s\n", err.message);
    return 1;
  }
  mag_autojson document = plugin_ask(candidate.path, candidate.trust, &inspection);
  struct mbp_str version = plugin_text(document, "version");
  int r = 0;
  if (!document)
    r = quiet ? 1 : print_problem(candidate.path, &inspection, options->json);
  else if (options->atleast)
    r = version.len && strverscmp(version.ptr, options->atleast) >= 0 ? 0 : 1;
  else if (options->json)
    (void) printf("%s\n", inspection.json);
  else if (!quiet)
    print_text(document);
  mag_inspection_done(&inspection);
  return r;
}
