#include "delta_bench.h"

#include "agent/engine.h"
#include "base/error.h"

#include <magent/mbp-llm.h>
#include <stdio.h>
#include <sys/resource.h>

static int count(void *ctx, const struct mbp_event *event)
{
  size_t *deltas = ctx;
  *deltas += event->type == MBP_EV_LLM_TEXT;
  return 0;
}

static double cpu_us(void)
{
  struct rusage use;
  (void) getrusage(RUSAGE_SELF, &use);
  return (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
         (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

int delta_bench(const char *plugin_dir)
{
  const char *const dirs[] = {plugin_dir, NULL};
  struct mag_engine_options options = {.plugin_dirs = dirs};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = NULL;
  struct mag_instance *llm;
  const char *model;
  size_t deltas = 0;
  struct mbp_message message = {.role = MBP_ROLE_USER, .content = mbp_str("[{\"type\":\"text\",\"text\":\"Talk.\"}]")};
  int r = mag_engine_new(&options, &engine, &err);
  if (r == 0)
    r = mag_engine_llm(engine, "anthropic/claude-bench", &llm, &model, &err);
  if (r == 0) {
    const struct mbp_llm_ops *ops = mag_instance_ops(llm);
    struct mbp_llm_request request = {.size = MBP_SIZE(struct mbp_llm_request, params),
                                      .model = mbp_str(model),
                                      .messages = &message,
                                      .n_messages = 1};
    struct mag_call_options call_options = {.sink = count, .ctx = &deltas};
    double before = cpu_us();
    r = MAG_RUN(llm, &call_options, &err, ops->generate(plugin, call, &request, &err));
    if (deltas)
      printf("%.4f\n", (cpu_us() - before) / (double) deltas);
  }
  if (r < 0)
    fprintf(stderr, "delta_bench: %s\n", err.message);
  mag_engine_free(engine);
  return r < 0;
}
