/* loader_test.h - what the tests of the loader share. */
#ifndef TESTS_LOADER_TEST_H
#define TESTS_LOADER_TEST_H

#include "fixture.h"

#include <check.h>

extern struct zoo zoo; /* of the running test */

void loader_asking_tests(TCase *tests);

#endif
