/* What an option of `magent run` may be given, for the shell's completion. */
#include "cli.h"
#include "reference.h"

#include "agent/toolbox.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

static int print_compute(void *ctx, const struct mag_candidate *candidate)
{
  (void) ctx;
  if (candidate->kind == MBP_KIND_COMPUTE)
    puts(candidate->name);
  return 0;
}

/* Of the default toolset, as its plugin tells them. */
static int print_tools(struct mag_engine *engine, struct mbp_error *err)
{
  struct mag_toolbox toolbox = {0};
  const char *type = mag_engine_toolset(engine);
  mag_autofree char *entries = mag_sprintf("[{\"type\":\"%s\"}]", type ? type : "");
  int r = !entries ? mag_error_no_memory(err)
          : type   ? mag_toolbox_open(&toolbox, engine, mbp_str(entries), NULL, err)
                   : 0;
  if (r < 0)
    return r;
  puts("none");
  for (size_t i = 0; i < toolbox.n; i++)
    puts(toolbox.tools[i].name);
  mag_toolbox_close(&toolbox);
  return 0;
}

static void print_choices(const char *option)
{
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (key->option && strcmp(key->option, option) == 0)
      for (const char *const *choice = key->choices; choice && *choice; choice++)
        puts(*choice);
}

int reference_values(struct cli *cli, const char *option)
{
  struct mbp_error err = MAG_ERROR_INIT;
  bool compute = strcmp(option, "compute") == 0, tools = strcmp(option, "tools") == 0;
  int r = 0;
  if (!compute && !tools) {
    print_choices(option);
    return EXIT_OK;
  }
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  if (compute)
    (void) mag_registry_each(mag_engine_registry(engine), print_compute, NULL);
  else
    r = print_tools(engine, &err);
  mag_engine_free(engine);
  return r < 0 ? cli_fail(&err) : EXIT_OK;
}
