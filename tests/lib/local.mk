# What several tests share. Link with: LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
check_LTLIBRARIES += tests/lib/libtestlib.la
tests_lib_libtestlib_la_SOURCES = tests/lib/http_server.c tests/lib/http_server.h tests/lib/run.h
# What holds for every store plugin: part of each one's own test.
store_contract_sources = tests/lib/store_client.c tests/lib/store_client.h tests/lib/store_contract.c \
  tests/lib/store_contract.h tests/lib/store_model.c tests/lib/store_subject.h
