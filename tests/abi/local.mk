check_PROGRAMS += tests/abi/layout_test
tests_abi_layout_test_SOURCES = tests/abi/layout_test.c tests/abi/layout.h
tests_abi_layout_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_abi_layout_test_LDADD = $(TEST_LIBS)

dist_check_SCRIPTS += tests/abi/headers_c_test.sh tests/abi/headers_cxx_test.sh
TESTS += tests/abi/headers_c_test.sh tests/abi/headers_cxx_test.sh
EXTRA_DIST += tests/abi/header_list.sh

# magent.h, the face for programs.
check_PROGRAMS += tests/abi/embed_layout_test
tests_abi_embed_layout_test_SOURCES = tests/abi/embed_layout_test.c tests/abi/embed_layout.h
tests_abi_embed_layout_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_abi_embed_layout_test_LDADD = $(CHECK_LIBS)
dist_check_SCRIPTS += tests/abi/symbols_test.sh
TESTS += tests/abi/symbols_test.sh
