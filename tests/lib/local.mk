# What several tests share. Link with: LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
check_LTLIBRARIES += tests/lib/libtestlib.la
tests_lib_libtestlib_la_SOURCES = tests/lib/http_server.c tests/lib/http_server.h
