# Kills of whole sessions: needs the command, the default store and the scripted model.
if PLUGIN_STORE_SQLITE
if PLUGIN_LLM_SCRIPTED
if PLUGIN_TOOLSET_AGENT
check_PROGRAMS += tests/crash/crash_test
tests_crash_crash_test_SOURCES = tests/crash/crash_test.c tests/crash/victim.c tests/crash/victim.h
tests_crash_crash_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_crash_crash_test_LDADD = $(TEST_LIBS)
check-crash-long: all tests/crash/crash_test
	MAGENT_CRASH_KILLS=$${MAGENT_CRASH_KILLS:-400} tests/crash/crash_test
check_long_targets += check-crash-long
endif
endif
endif
