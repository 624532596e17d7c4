check_PROGRAMS += tests/unit/base_test
tests_unit_base_test_SOURCES = tests/unit/base_test.c
tests_unit_base_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_base_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/host_test
tests_unit_host_test_SOURCES = tests/unit/host_test.c
tests_unit_host_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_host_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/process_test
tests_unit_process_test_SOURCES = tests/unit/process_test.c
tests_unit_process_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_process_test_LDADD = $(TEST_LIBS)
