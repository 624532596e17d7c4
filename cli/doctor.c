#include "cli.h"
#include "render.h"

#include "agent/definition.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent doctor\n"
    "\n"
    "Checks the store, every compute provider, every model provider and all plugin files, and says what is wrong\n"
    "and how to mend it. Exit status 1 if the defaults cannot work.\n";

#define REMARK_MAX 256

struct examination {
  struct mag_engine *engine;
  struct mag_definition defaults;
  size_t problems; /* of what the defaults need */
};

static void line(const char *mark, const char *what, const char *text)
{
  printf("%-4s %-22s ", mark, what);
  render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(text));
  putchar('\n');
}

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
  const char *model = examination->defaults.model, *compute = examination->defaults.compute;
  size_t len = strlen(candidate->name);
  if (candidate->kind == MBP_KIND_STORE)
    return true;
  if (candidate->kind == MBP_KIND_COMPUTE)
    return compute && strcmp(compute, candidate->name) == 0;
  return candidate->kind == MBP_KIND_LLM && model && strncmp(model, candidate->name, len) == 0 && model[len] == '/';
}

static int examine_candidate(void *ctx, const struct mag_candidate *candidate)
{
  struct examination *examination = ctx;
  struct mag_registry *registry = mag_engine_registry(examination->engine);
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin;
  char remark[REMARK_MAX] = "", name[96];
  bool wanted = is_default(examination, candidate);
  (void) snprintf(name, sizeof(name), "%s-%s%s", mag_kind_name(candidate->kind), candidate->name, wanted ? " *" : "");
  int r = mag_registry_find(registry, candidate->kind, candidate->name, &plugin, &err);
  if (r == 0)
    r = examine(plugin, mag_engine_config(examination->engine, candidate->kind, candidate->name), remark, &err);
  if (r == 0) {
    line("ok", name, plugin->descriptor.summary);
    if (remark[0])
      line("", "", remark);
  } else {
    line(wanted ? "FAIL" : "-", name, err.message);
    examination->problems += wanted;
  }
  return 0;
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
  line(r < 0 ? "FAIL" : "ok", "sessions", r < 0 ? err.message : dir ? dir : "");
  examination->problems += r < 0;
}

int cli_doctor(struct cli *cli, int argc, char **argv)
{
  if (argc > 1) {
    if (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
      return cli_usage("doctor", "unexpected \"%s\"", argv[1]);
    fputs(help_text, stdout);
    return EXIT_OK;
  }
  struct mbp_error err = MAG_ERROR_INIT;
  struct examination examination = {.engine = cli_engine(cli)};
  if (!examination.engine)
    return EXIT_ERROR;
  if (mag_definition_defaults(&examination.defaults, &err) < 0) {
    line("FAIL", "defaults", err.message);
    examination.problems++;
  } else {
    mag_autofree char *text =
        mag_sprintf("model %s, compute %s", examination.defaults.model, examination.defaults.compute);
    line("ok", "defaults", text);
  }
  examine_store(&examination);
  mag_registry_each(mag_engine_registry(examination.engine), examine_candidate, &examination);
  struct mag_report report;
  for (size_t i = 0; mag_registry_report(mag_engine_registry(examination.engine), i, &report); i++)
    line(report.notice ? "-" : "bad", "plugin file", report.message);
  puts("\n* what the defaults use");
  mag_definition_done(&examination.defaults);
  mag_engine_free(examination.engine);
  return examination.problems ? EXIT_ERROR : EXIT_OK;
}
