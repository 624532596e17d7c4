# Whole sessions on the build tree's plugins. They run in the build directory, where plugins-0 is.
check_PROGRAMS += tests/integration/engine_test
tests_integration_engine_test_SOURCES = tests/integration/engine_test.c tests/integration/engine_test.h \
  tests/integration/engine_turn_test.c tests/integration/engine_stream_test.c tests/integration/engine_tool_test.c \
  tests/integration/engine_crash_test.c tests/integration/engine_outside_test.c tests/integration/engine_custom_test.c \
  tests/integration/engine_command_test.c tests/integration/rig.c tests/integration/rig.h \
  tests/integration/service.c tests/integration/service.h
tests_integration_engine_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_engine_test_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)

# The magent of the build tree as a program.
command_sources = tests/integration/command.c tests/integration/command.h tests/integration/command_check.c \
  tests/integration/command_check.h
check_PROGRAMS += tests/integration/cli_test
tests_integration_cli_test_SOURCES = tests/integration/cli_test.c $(command_sources) tests/integration/rig.c \
  tests/integration/rig.h tests/integration/service.h
tests_integration_cli_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_cli_test_LDADD = $(TEST_LIBS) -lutil
check_PROGRAMS += tests/integration/cli_signal_test
tests_integration_cli_signal_test_SOURCES = tests/integration/cli_signal_test.c $(command_sources) \
  tests/integration/rig.c tests/integration/rig.h
tests_integration_cli_signal_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_cli_signal_test_LDADD = $(TEST_LIBS) -lutil
check_PROGRAMS += tests/integration/cli_message_test
tests_integration_cli_message_test_SOURCES = tests/integration/cli_message_test.c $(command_sources) \
  tests/integration/rig.c tests/integration/rig.h
tests_integration_cli_message_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_cli_message_test_LDADD = $(TEST_LIBS) -lutil
check_PROGRAMS += tests/integration/cli_terminal_test
tests_integration_cli_terminal_test_SOURCES = tests/integration/cli_terminal_test.c $(command_sources) \
  tests/integration/rig.c tests/integration/rig.h
tests_integration_cli_terminal_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_cli_terminal_test_LDADD = $(TEST_LIBS) -lutil

# What the command says of sandboxes that other processes made.
check_LTLIBRARIES += tests/integration/shelf.la
tests_integration_shelf_la_SOURCES = tests/integration/shelf.c
tests_integration_shelf_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere
check_PROGRAMS += tests/integration/compute_cli_test
tests_integration_compute_cli_test_SOURCES = tests/integration/compute_cli_test.c $(command_sources)
tests_integration_compute_cli_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_compute_cli_test_LDADD = $(TEST_LIBS) -lutil

# Tool calls that wait for an answer.
if PLUGIN_COMPUTE_LOCAL
check_PROGRAMS += tests/integration/answer_cli_test
tests_integration_answer_cli_test_SOURCES = tests/integration/answer_cli_test.c $(command_sources)
tests_integration_answer_cli_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_answer_cli_test_LDADD = $(TEST_LIBS) -lutil
endif
# Programs that embed libmagent: nothing of the core is linked beside it.
check_PROGRAMS += tests/integration/embed_test
tests_integration_embed_test_SOURCES = tests/integration/embed_compute_test.c tests/integration/embed_guest_test.c \
  tests/integration/embed_reach_test.c tests/integration/embed_rig.c tests/integration/embed_rig.h \
  tests/integration/embed_run_test.c tests/integration/embed_session_test.c tests/integration/embed_stored_test.c \
  tests/integration/embed_test.c tests/integration/embed_tool_test.c
tests_integration_embed_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_embed_test_LDADD = libmagent.la $(CHECK_LIBS)
# Stored agents, projects' files and references, by the command; and the files that are made from the table of keys.
check_PROGRAMS += tests/integration/agent_test
tests_integration_agent_test_SOURCES = tests/integration/agent_test.c $(command_sources) tests/integration/rig.c \
  tests/integration/rig.h tests/integration/service.h
tests_integration_agent_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_agent_test_LDADD = $(TEST_LIBS) -lutil
dist_check_SCRIPTS += tests/integration/reference_test.sh
TESTS += tests/integration/reference_test.sh
dist_check_SCRIPTS += tests/integration/setup_test.sh
TESTS += tests/integration/setup_test.sh
# Sessions as a whole: budgets, deliveries, forks, lists.
check_PROGRAMS += tests/integration/sessions_test
tests_integration_sessions_test_SOURCES = tests/integration/sessions_test.c tests/integration/sessions_test.h \
  tests/integration/budget_test.c tests/integration/delivery_test.c tests/integration/fork_test.c \
  tests/integration/view_test.c tests/integration/engine_test.h tests/integration/rig.c tests/integration/rig.h \
  tests/integration/service.c tests/integration/service.h
tests_integration_sessions_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_sessions_test_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)

# magent session, with processes that share one.
check_PROGRAMS += tests/integration/session_cli_test
tests_integration_session_cli_test_SOURCES = tests/integration/session_cli_test.c $(command_sources) \
  tests/integration/rig.c tests/integration/rig.h
tests_integration_session_cli_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_integration_session_cli_test_LDADD = $(TEST_LIBS) -lutil
