# Examples are built and run by the tests, so that they stay true. In the build tree they use the plugins of that.
example_CPPFLAGS = $(AM_CPPFLAGS) -Dmagent_open=in_tree_open
noinst_LTLIBRARIES += examples/libin_tree.la
examples_libin_tree_la_SOURCES = tests/lib/in_tree.c
examples_libin_tree_la_LIBADD = libmagent.la
example_libs = examples/libin_tree.la

noinst_PROGRAMS += examples/analyst
examples_analyst_SOURCES = examples/analyst.c
examples_analyst_LDADD = $(example_libs)
examples_analyst_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/calculator
examples_calculator_SOURCES = examples/calculator.c
examples_calculator_LDADD = $(example_libs) -lm
examples_calculator_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/echo
examples_echo_SOURCES = examples/echo.c
examples_echo_LDADD = $(example_libs)
examples_echo_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/hello
examples_hello_SOURCES = examples/hello.c
examples_hello_LDADD = $(example_libs)
examples_hello_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/loop
examples_loop_SOURCES = examples/loop.c
examples_loop_LDADD = $(example_libs)
examples_loop_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/remember
examples_remember_SOURCES = examples/remember.c
examples_remember_LDADD = $(example_libs)
examples_remember_CPPFLAGS = $(example_CPPFLAGS)
noinst_PROGRAMS += examples/sandbox
examples_sandbox_SOURCES = examples/sandbox.c
examples_sandbox_LDADD = $(example_libs)
examples_sandbox_CPPFLAGS = $(example_CPPFLAGS)
EXTRA_DIST += examples/skeleton-plugin/echo.c examples/skeleton-plugin/Makefile
