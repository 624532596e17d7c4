/* The suite that holds for every compute plugin. */
#include "cases.h"

#include "engine.h"

#include <stdio.h>

static bool start(struct rig *rig, int i, const struct box_options *options, bool isolated)
{
  if (providers[i].engine)
    engine_clear(engine_socket());
  rig_open(rig, &providers[i]);
  if (isolated && rig->info->isolation == MBP_ISOLATION_NONE) {
    rig_close(rig);
    return false;
  }
  if (providers[i].engine && !rig_environment("MAGENT_TEST_DOCKER_IMAGE")[0])
    (void) snprintf(rig->why_not, sizeof(rig->why_not), "there is no image with bash and python3 to try it with");
  if (rig->why_not[0]) {
    (void) fprintf(stderr, "compute_test: SKIPPED for %s: %s\n", providers[i].name, rig->why_not);
    rig_close(rig);
    return false;
  }
  rig_create(rig, "a", options);
  return true;
}

bool begin(struct rig *rig, int i, const struct box_options *options)
{
  return start(rig, i, options, false);
}

bool begin_isolated(struct rig *rig, int i, const struct box_options *options)
{
  return start(rig, i, options, true);
}

void finish(struct rig *rig)
{
  rig_destroy(rig, "a");
  rig_close(rig);
}

int main(void)
{
  providers_choose();
  if (n_providers == 0) {
    (void) fprintf(stderr, "compute_test: SKIPPED: no such compute plugin is built\n");
    return 77;
  }
  Suite *suite = suite_create("compute");
  add_basic_cases(suite);
  add_process_cases(suite);
  add_limit_cases(suite);
  add_wall_cases(suite);
  add_docker_own_cases(suite);
  add_docker_way_cases(suite);
  add_docker_cases(suite);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? 1 : 0;
}
