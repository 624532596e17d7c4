# Programs that measure; built by "make bench-programs" or by name, never run as tests.
EXTRA_PROGRAMS = tests/bench/sse_bench
tests_bench_sse_bench_SOURCES = tests/bench/sse_bench.c
tests_bench_sse_bench_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
CLEANFILES += $(EXTRA_PROGRAMS)
