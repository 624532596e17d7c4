# Programs that measure; built by "make bench" or by name, never run as tests.
EXTRA_PROGRAMS = tests/bench/sse_bench tests/bench/agent_bench tests/bench/bare_loop tests/bench/bare_curl
tests_bench_sse_bench_SOURCES = tests/bench/sse_bench.c
tests_bench_sse_bench_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
tests_bench_agent_bench_SOURCES = tests/bench/agent_bench.c tests/bench/client.c tests/bench/client.h \
  tests/bench/delta_bench.c tests/bench/delta_bench.h tests/bench/model_server.c tests/bench/model_server.h \
  tests/bench/report.c tests/bench/report.h tests/bench/session_figures.c tests/bench/session_figures.h \
  tests/bench/sessions_bench.c tests/bench/sessions_bench.h
tests_bench_agent_bench_LDADD = libmagcore.la
EXTRA_PROGRAMS += tests/bench/docker_bench
tests_bench_docker_bench_SOURCES = tests/bench/docker_bench.c tests/bench/client.c tests/bench/client.h \
  tests/bench/report.c tests/bench/report.h
tests_bench_docker_bench_LDADD = libmagcore.la
tests_bench_bare_loop_SOURCES = tests/bench/bare_loop.c
tests_bench_bare_curl_SOURCES = tests/bench/bare_curl.c
tests_bench_bare_curl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
tests_bench_bare_curl_LDADD = $(CURL_LIBS)
if PLUGIN_STORE_SQLITE
EXTRA_PROGRAMS += tests/bench/store_bench
bench_store = tests/bench/store_bench
tests_bench_store_bench_SOURCES = tests/bench/store_bench.c $(store_sqlite_sources)
tests_bench_store_bench_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
tests_bench_store_bench_LDADD = libmagcore.la $(SQLITE_LIBS)
endif
CLEANFILES += $(EXTRA_PROGRAMS)

bench: all tests/bench/agent_bench tests/bench/bare_loop tests/bench/bare_curl tests/bench/docker_bench $(bench_store)
	tests/bench/agent_bench $(bin_PROGRAMS) $(pkglibexec_PROGRAMS) plugins-0/*.so
	tests/bench/docker_bench
