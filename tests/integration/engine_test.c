/* The engine as a whole: sessions on real plugins, a model service on the loopback that misbehaves, and processes
 * that die. */
#include "engine_test.h"
#include "../lib/run.h"

#include <signal.h>
#include <string.h>

const char *const *computes(void)
{
  static const char *found[3];
  size_t n = 0;
  if (rig_has_plugin("compute-local"))
    found[n++] = "local";
  else
    rig_skip("no compute-local in this build: tests of it are left out");
  if (rig_has_bubblewrap())
    found[n++] = "bubblewrap";
  found[n] = NULL;
  return found;
}

int main(int argc, char **argv)
{
  (void) signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && strcmp(argv[1], "--child") == 0)
    return crash_child(argc - 2, argv + 2);
  Suite *suite = suite_create("engine");
  TCase *const cases[] = {turn_tests(), stream_tests(), tool_tests(), crash_tests(), outside_tests(), custom_tests(),
                          command_tests()};
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    tcase_set_timeout(cases[i], 120);
    suite_add_tcase(suite, cases[i]);
  }
  return run_suite(suite);
}
