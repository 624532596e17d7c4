/* run.h - the end of a test program. */
#ifndef MAG_TESTS_RUN_H
#define MAG_TESTS_RUN_H

#include <check.h>

/* Runs the suite, as CK_* of the environment says, and frees it. The program's exit status. */
static inline int run_suite(Suite *suite)
{
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}

#endif
