/* Programs that embed magent: magent.h and its promises, on real plugins. */
#include "embed_rig.h"
#include "../lib/run.h"

#include <string.h>

int main(int argc, char **argv)
{
  if (argc == 5 && strcmp(argv[1], "--child") == 0)
    return embed_child(argv + 2);
  Suite *suite = suite_create("embed");
  TCase *const cases[] = {embed_run_tests(),   embed_guest_tests(),  embed_compute_tests(), embed_session_tests(),
                          embed_reach_tests(), embed_stored_tests(), embed_tool_tests()};
  for (size_t i = 0; i < COUNT(cases); i++) {
    tcase_set_timeout(cases[i], 120);
    suite_add_tcase(suite, cases[i]);
  }
  return run_suite(suite);
}
