if PLUGIN_STORE_SQLITE
# Built by "make check", run by hand.
noinst_PROGRAMS += tests/bench/store_bench
tests_bench_store_bench_SOURCES = tests/bench/store_bench.c $(store_sqlite_sources)
tests_bench_store_bench_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
tests_bench_store_bench_LDADD = libmagcore.la $(SQLITE_LIBS)
endif
