#include "cli.h"
#include "options.h"
#include "render.h"

#include "agent/definition.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent doctor [--json]\n"
    "\n"
    "Checks the store, every compute provider, every model provider and all plugin files, and says what is wrong\n"
    "and how to mend it. Exit status 1 if the defaults cannot work.\n"
    "\n"
    "  ok    works\n"
    "  FAIL  does not, and the defaults use it (*)\n"
    "  bad   a plugin file that cannot be used\n"
    "  -     cannot be used here, and the defaults do not use it\n"
    "\n"
    "  --json  one JSON object on standard output; the same are \"ok\", \"fail\", \"bad\" and \"unavailable\"\n";

#define REMARK_MAX 256

struct examination {
  struct mag_engine *engine;
  struct mag_definition defaults;
  const char *provider; /* of the default model: a plugin's name, or NULL */
  bool compute_seen;    /* the default one is there */
  bool store_works;
  size_t problems;           /* of what the defaults need */
  struct mbp_writer *writer; /* NULL: text */
};

/* ---- What is printed -------------------------------------------------------------------------------------------- */

enum finding { WORKS, FAILS, IS_BAD, IS_UNAVAILABLE };

static void print_line(const char *mark, const char *what, const char *text)
{
  printf("%-4s %-22s ", mark, what);
  render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(text));
  putchar('\n');
}

static void write_text(struct mbp_writer *writer, const char *key, const char *text)
{
  if (text && *text)
    mag_writer_string(writer, key, mbp_str(text));
}

/* `used`: by the defaults. `remark`: more of what works, or NULL. */
static void tell(struct examination *examination, enum finding finding, const char *name, bool used, const char *text,
                 const char *remark)
{
  static const char *const marks[] = {"ok", "FAIL", "bad", "-"}, *const names[] = {"ok", "fail", "bad", "unavailable"};
  struct mbp_writer *writer = examination->writer;
  examination->problems += finding == FAILS;
  if (writer) {
    mag_writer_object(writer, NULL);
    mag_writer_string(writer, "status", mbp_str(names[finding]));
    mag_writer_string(writer, "name", mbp_str(name));
    mag_writer_boolean(writer, "used", used);
    write_text(writer, "message", text);
    write_text(writer, "remark", remark);
    mag_writer_end(writer);
    return;
  }
  mag_autofree char *starred = mag_sprintf("%s%s", name, used && strchr(name, '-') ? " *" : ""); /* a plugin */
  print_line(marks[finding], starred ? starred : name, text);
  if (remark && *remark)
    print_line("", "", remark);
}

static void print_end(struct examination *examination)
{
  if (!examination->writer) {
    if (examination->problems)
      printf("\n* what the defaults use: %zu problem%s\n", examination->problems,
             mag_plural((int64_t) examination->problems));
    else
      puts("\n* what the defaults use: all of it works");
    return;
  }
  mag_writer_end(examination->writer);
  mag_writer_boolean(examination->writer, "ok", !examination->problems);
  mag_writer_end(examination->writer);
  mag_autofree char *text = mag_writer_take(examination->writer);
  puts(text ? text : "{}");
}

/* ---- Defaults and store ----------------------------------------------------------------------------------------- */

static void examine_defaults(struct examination *examination)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_definition *defaults = &examination->defaults;
  if (mag_definition_defaults(&examination->defaults, &err) < 0) {
    tell(examination, FAILS, "defaults", true, err.message, NULL);
    return;
  }
  mag_autofree char *text = mag_sprintf("model %s, compute %s", defaults->model, defaults->compute);
  tell(examination, WORKS, "defaults", true, text ? text : "", NULL);
}

static void examine_store(struct examination *examination)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_instance *store;
  struct mag_call_options options = {.timeout_ms = 15000};
  struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved), .limit = 1};
  int r = mag_engine_store(examination->engine, &store, &err);
  if (r == 0) {
    const struct mbp_store_ops *ops = mag_instance_ops(store);
    r = MAG_RUN(store, &options, &err, ops->list(plugin, call, &query, &err));
  }
  mag_autofree char *dir = mag_state_dir();
  examination->store_works = r == 0;
  tell(examination, r < 0 ? FAILS : WORKS, "sessions", true, r < 0 ? err.message : dir ? dir : "", NULL);
}

/* ---- Plugins ---------------------------------------------------------------------------------------------------- */

/* What a probe says beside yes or no: limits in force, and the like. */
static int keep_remark(void *ctx, const struct mbp_event *event)
{
  if (event->type == MBP_EV_PROGRESS)
    (void) snprintf(ctx, REMARK_MAX, "%.*s", (int) MAG_MIN(event->data.len, (size_t) REMARK_MAX - 1), event->data.ptr);
  return 0;
}

/* Opens a plugin and asks it whether it can be used. */
static int examine(const struct mag_plugin *found, struct mbp_str config, char remark[REMARK_MAX],
                   struct mbp_error *err)
{
  struct mag_instance *instance = NULL;
  int r = mag_instance_open(&found->descriptor, config, &instance, err);
  if (r == 0 && found->descriptor.probe) {
    struct mag_call_options options = {.timeout_ms = 15000, .sink = keep_remark, .ctx = remark};
    r = MAG_RUN(instance, &options, err, found->descriptor.probe(plugin, call, err));
  }
  mag_instance_close(instance);
  return r;
}

static bool is_default(const struct examination *examination, const struct mag_candidate *candidate)
{
  const char *name = candidate->kind == MBP_KIND_STORE     ? mag_engine_store_name(examination->engine)
                     : candidate->kind == MBP_KIND_COMPUTE ? examination->defaults.compute
                     : candidate->kind == MBP_KIND_LLM     ? examination->provider
                                                           : NULL;
  return name && strcmp(name, candidate->name) == 0;
}

static int examine_candidate(void *ctx, const struct mag_candidate *candidate)
{
  struct examination *examination = ctx;
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin;
  char remark[REMARK_MAX] = "", name[96];
  bool used = is_default(examination, candidate);
  if (candidate->kind == MBP_KIND_STORE && used && !examination->store_works)
    return 0; /* that has been told */
  examination->compute_seen |= candidate->kind == MBP_KIND_COMPUTE && used;
  (void) snprintf(name, sizeof(name), "%s-%s", mag_kind_name(candidate->kind), candidate->name);
  if (mag_registry_find(mag_engine_registry(examination->engine), candidate->kind, candidate->name, &plugin, &err) < 0)
    tell(examination, used ? FAILS : IS_BAD, name, used, err.message, NULL);
  else if (examine(plugin, mag_engine_config(examination->engine, candidate->kind, candidate->name), remark, &err) < 0)
    tell(examination, used ? FAILS : IS_UNAVAILABLE, name, used, err.message, NULL);
  else
    tell(examination, WORKS, name, used, plugin->descriptor.summary, remark);
  return 0;
}

/* Which plugin has the default model. */
static void examine_model(struct examination *examination)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin;
  const char *model = examination->defaults.model, *bare;
  if (!model)
    return; /* the defaults' trouble */
  if (mag_registry_find_model(mag_engine_registry(examination->engine), model, &plugin, &bare, &err) == 0)
    examination->provider = plugin->descriptor.name;
  else
    tell(examination, FAILS, "model", true, err.message, NULL);
}

static void examine_plugins(struct examination *examination)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin;
  struct mag_registry *registry = mag_engine_registry(examination->engine);
  const char *compute = examination->defaults.compute;
  examine_model(examination);
  (void) mag_registry_each(registry, examine_candidate, examination);
  if (compute && !examination->compute_seen &&
      mag_registry_find(registry, MBP_KIND_COMPUTE, compute, &plugin, &err) < 0)
    tell(examination, FAILS, "compute", true, err.message, NULL);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static int has_path(void *ctx, const struct mag_candidate *candidate)
{
  return strcmp(candidate->path, ctx) == 0;
}

/* Those that are no plugin to begin with; the others have been examined. */
static void examine_files(struct examination *examination)
{
  struct mag_registry *registry = mag_engine_registry(examination->engine);
  struct mag_report report;
  for (size_t i = 0; mag_registry_report(registry, i, &report); i++)
    if (mag_registry_each(registry, has_path, (void *) (uintptr_t) report.path) == 0)
      tell(examination, report.notice ? IS_UNAVAILABLE : IS_BAD, "plugin file", false, report.message, NULL);
}

static int examine_all(struct examination *examination)
{
  if (examination->writer) {
    mag_writer_object(examination->writer, NULL);
    mag_writer_array(examination->writer, "checks");
  }
  examine_defaults(examination);
  examine_store(examination);
  examine_plugins(examination);
  examine_files(examination);
  print_end(examination);
  return examination->problems ? EXIT_ERROR : EXIT_OK;
}

int cli_doctor(struct cli *cli, int argc, char **argv)
{
  static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  int option;
  bool json = false;
  cli_options_begin();
  while ((option = cli_option("doctor", argc, argv, options)) != -1) {
    if (option == CLI_WRONG)
      return EXIT_USAGE;
    if (option == CLI_HELP) {
      fputs(help_text, stdout);
      return EXIT_OK;
    }
    json = true;
  }
  if (optind < argc)
    return cli_usage("doctor", "unexpected \"%s\"", argv[optind]);
  struct examination examination = {.engine = cli_engine(cli)};
  if (!examination.engine)
    return EXIT_ERROR;
  examination.writer = json ? mag_writer_new() : NULL;
  int status = examine_all(&examination);
  mag_writer_free(examination.writer);
  mag_definition_done(&examination.defaults);
  mag_engine_free(examination.engine);
  return status;
}
