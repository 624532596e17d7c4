# One suite for every compute plugin; a new one is a row in providers.c.
EXTRA_DIST += tests/compute/registry.py
noinst_PROGRAMS += tests/compute/attack
tests_compute_attack_SOURCES = tests/compute/attack.c
check_PROGRAMS += tests/compute/compute_test
tests_compute_compute_test_SOURCES = tests/compute/compute_test.c tests/compute/cases.h tests/compute/rig.c \
  tests/compute/rig.h tests/compute/providers.c tests/compute/basic_cases.c tests/compute/process_cases.c \
  tests/compute/limit_cases.c tests/compute/wall_cases.c tests/compute/docker_cases.c \
  tests/compute/docker_own_cases.c tests/compute/docker_way_cases.c tests/compute/cutter.c tests/compute/cutter.h \
  tests/compute/engine.c tests/compute/engine.h
tests_compute_compute_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/compute -DTEST_BUILDDIR='"$(abs_builddir)"' \
  -DTEST_SRCDIR='"$(abs_srcdir)"'
tests_compute_compute_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_compute_compute_test_LDADD = $(TEST_LIBS)
if SANDBOX_HELPER
if PLUGIN_COMPUTE_BUBBLEWRAP
tests_compute_compute_test_CPPFLAGS += -DTEST_BUBBLEWRAP
endif
if PLUGIN_COMPUTE_LOCAL
tests_compute_compute_test_CPPFLAGS += -DTEST_LOCAL
endif
endif
