# Examples are built and run by the tests, so that they stay true. In the build tree they use the plugins of that.
noinst_PROGRAMS += examples/analyst examples/hello examples/loop examples/remember examples/sandbox
example_CPPFLAGS = $(AM_CPPFLAGS) -Dmagent_open=in_tree_open
examples_analyst_SOURCES = examples/analyst.c
examples_analyst_LDADD = examples/libin_tree.la
examples_analyst_CPPFLAGS = $(example_CPPFLAGS)
examples_hello_SOURCES = examples/hello.c
examples_hello_LDADD = examples/libin_tree.la
examples_hello_CPPFLAGS = $(example_CPPFLAGS)
examples_loop_SOURCES = examples/loop.c
examples_loop_LDADD = examples/libin_tree.la
examples_loop_CPPFLAGS = $(example_CPPFLAGS)
examples_remember_SOURCES = examples/remember.c
examples_remember_LDADD = examples/libin_tree.la
examples_remember_CPPFLAGS = $(example_CPPFLAGS)
examples_sandbox_SOURCES = examples/sandbox.c
examples_sandbox_LDADD = examples/libin_tree.la
examples_sandbox_CPPFLAGS = $(example_CPPFLAGS)
noinst_LTLIBRARIES += examples/libin_tree.la
examples_libin_tree_la_SOURCES = tests/lib/in_tree.c
examples_libin_tree_la_LIBADD = libmagent.la
EXTRA_DIST += examples/skeleton-plugin/echo.c examples/skeleton-plugin/Makefile
