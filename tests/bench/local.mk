# Programs that measure; built by "make bench-programs" or by name, never run as tests.
EXTRA_PROGRAMS = tests/bench/sse_bench
tests_bench_sse_bench_SOURCES = tests/bench/sse_bench.c
tests_bench_sse_bench_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
CLEANFILES += $(EXTRA_PROGRAMS)
if PLUGIN_STORE_SQLITE
# Built by "make check", run by hand.
noinst_PROGRAMS += tests/bench/store_bench
tests_bench_store_bench_SOURCES = tests/bench/store_bench.c $(store_sqlite_sources)
tests_bench_store_bench_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
tests_bench_store_bench_LDADD = libmagcore.la $(SQLITE_LIBS)
endif
