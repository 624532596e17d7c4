# Examples are built and run by the tests, so that they stay true.
noinst_PROGRAMS += examples/run
examples_run_SOURCES = examples/run.c
examples_run_LDADD = libmagent.la
EXTRA_DIST += examples/skeleton-plugin/echo.c examples/skeleton-plugin/Makefile
