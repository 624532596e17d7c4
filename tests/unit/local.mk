check_PROGRAMS += tests/unit/base_test
tests_unit_base_test_SOURCES = tests/unit/base_test.c
tests_unit_base_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_base_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/host_test
tests_unit_host_test_SOURCES = tests/unit/host_test.c
tests_unit_host_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_host_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/instance_test
tests_unit_instance_test_SOURCES = tests/unit/instance_test.c
tests_unit_instance_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_instance_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/sse_test
tests_unit_sse_test_SOURCES = tests/unit/sse_test.c
tests_unit_sse_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_sse_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/sandbox_test
tests_unit_sandbox_test_SOURCES = tests/unit/sandbox_test.c tests/unit/fake_compute.c tests/unit/fake_compute.h
tests_unit_sandbox_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_sandbox_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_sandbox_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/process_test
tests_unit_process_test_SOURCES = tests/unit/process_test.c
tests_unit_process_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_process_test_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/http_test
tests_unit_http_test_SOURCES = tests/unit/http_test.c tests/unit/http_test.h tests/unit/http_wait_test.c \
  tests/unit/http_duplex_test.c tests/unit/http_fail_test.c tests/unit/http_route_test.c
tests_unit_http_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_http_test_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
if SANDBOX_HELPER
noinst_PROGRAMS += tests/unit/magent-tools # not a test itself
check_PROGRAMS += tests/unit/tools_test
tests_unit_magent_tools_SOURCES = tests/unit/tools_main.c $(sandbox_tool_sources)
tests_unit_magent_tools_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_unit_magent_tools_CFLAGS = $(AM_CFLAGS) $(PCRE2_CFLAGS)
tests_unit_magent_tools_LDADD = $(PCRE2_LIBS)
tests_unit_tools_test_SOURCES = tests/unit/tools_test.c sandbox/tool_blocks.c sandbox/tool_common.h \
  sandbox/tool_pattern.c sandbox/tool_pattern.h
tests_unit_tools_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_unit_tools_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_tools_test_LDADD = $(TEST_LIBS)
endif

check_PROGRAMS += tests/unit/log_test
tests_unit_log_test_SOURCES = tests/unit/log_test.c
tests_unit_log_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_log_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/remove_test
tests_unit_remove_test_SOURCES = tests/unit/remove_test.c
tests_unit_remove_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_remove_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/definition_test
tests_unit_definition_test_SOURCES = tests/unit/definition_test.c
tests_unit_definition_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_definition_test_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/json_schema_test
tests_unit_json_schema_test_SOURCES = tests/unit/json_schema_test.c
tests_unit_json_schema_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_json_schema_test_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/tool_text_test
tests_unit_tool_text_test_SOURCES = tests/unit/tool_text_test.c
tests_unit_tool_text_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_tool_text_test_LDADD = $(TEST_LIBS)
