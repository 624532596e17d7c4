# A zoo of broken modules: each is zoo.c with something wrong. They are built as real shared objects (-rpath) and
# copied by the tests to where they are looked for.
ZOO_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere
check_LTLIBRARIES += \
  tests/loader/zoo-good.la \
  tests/loader/zoo-other.la \
  tests/loader/zoo-null.la \
  tests/loader/zoo-small.la \
  tests/loader/zoo-absurd.la \
  tests/loader/zoo-bigger.la \
  tests/loader/zoo-major.la \
  tests/loader/zoo-entry.la \
  tests/loader/zoo-needs.la \
  tests/loader/zoo-operation.la \
  tests/loader/zoo-kind.la \
  tests/loader/zoo-license.la \
  tests/loader/zoo-name.la \
  tests/loader/zoo-params.la \
  tests/loader/zoo-crash.la \
  tests/loader/zoo-hang.la \
  tests/loader/zoo-exit.la \
  tests/loader/zoo-chatty.la \
  tests/loader/zoo-symbol.la \
  tests/loader/zoo-dependency.la \
  tests/loader/zoo-unresolved.la
tests_loader_zoo_good_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_good_la_CPPFLAGS = $(AM_CPPFLAGS)
tests_loader_zoo_good_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_other_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_other_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"other"' -DZOO_MODELS='"zoo-x*", "other-1"'
tests_loader_zoo_other_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_null_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_null_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ANSWER=NULL
tests_loader_zoo_null_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_small_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_small_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_SIZE=8
tests_loader_zoo_small_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_absurd_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_absurd_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_SIZE=1048576
tests_loader_zoo_absurd_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_bigger_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_bigger_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"bigger"' -DZOO_SIZE='sizeof(plugin)'
tests_loader_zoo_bigger_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_major_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_major_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_MAJOR=7
tests_loader_zoo_major_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_entry_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_entry_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ENTRY=mbp_plugin_v1
tests_loader_zoo_entry_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_needs_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_needs_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NEEDS=0x10
tests_loader_zoo_needs_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_operation_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_operation_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_GENERATE=NULL
tests_loader_zoo_operation_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_kind_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_kind_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"kind"' -DZOO_KIND=99
tests_loader_zoo_kind_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_license_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_license_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_LICENSE='""'
tests_loader_zoo_license_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_name_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_name_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"Bad_Name"'
tests_loader_zoo_name_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_params_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_params_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"params"' -DZOO_TIMEOUT='"soon"'
tests_loader_zoo_params_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_crash_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_crash_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ACT='raise(SIGSEGV)'
tests_loader_zoo_crash_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_hang_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_hang_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ACT='for (;;) pause()'
tests_loader_zoo_hang_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_exit_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_exit_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ACT='_exit(0)'
tests_loader_zoo_exit_la_LDFLAGS = $(ZOO_LDFLAGS)
tests_loader_zoo_chatty_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_chatty_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_NAME='"chatty"' -DZOO_ACT='puts("{}"); fflush(stdout)'
tests_loader_zoo_chatty_la_LDFLAGS = $(ZOO_LDFLAGS)

# These three cannot have the flags of a well-made plugin.
tests_loader_zoo_symbol_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_symbol_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_ENTRY=zoo_entry
tests_loader_zoo_symbol_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_loader_zoo_unresolved_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_unresolved_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_UNRESOLVED
tests_loader_zoo_unresolved_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -Wl,-z,now -rpath /nowhere
tests_loader_zoo_dependency_la_SOURCES = tests/loader/zoo.c
tests_loader_zoo_dependency_la_CPPFLAGS = $(AM_CPPFLAGS) -DZOO_DEPENDENCY
# Past libtool, which would add the build tree to the places where the library is looked for.
tests_loader_zoo_dependency_la_LDFLAGS = $(ZOO_LDFLAGS) -Wl,--no-as-needed,tests/loader/.libs/libzoodependency.so
tests_loader_zoo_dependency_la_DEPENDENCIES = tests/loader/libzoodependency.la
check_LTLIBRARIES += tests/loader/libzoodependency.la
tests_loader_libzoodependency_la_SOURCES = tests/loader/zoo_dependency.c
tests_loader_libzoodependency_la_LDFLAGS = $(AM_LDFLAGS) -avoid-version -shared -no-undefined -rpath /nowhere

check_PROGRAMS += tests/loader/check_test tests/loader/loader_test tests/loader/plugin_command_test
tests_loader_check_test_SOURCES = tests/loader/check_test.c
tests_loader_check_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_loader_check_test_LDADD = $(TEST_LIBS)
tests_loader_loader_test_SOURCES = tests/loader/loader_test.c tests/loader/loader_test.h tests/loader/asking_test.c \
  tests/loader/fixture.c tests/loader/fixture.h
tests_loader_loader_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_loader_loader_test_LDADD = $(TEST_LIBS)
tests_loader_plugin_command_test_SOURCES = tests/loader/plugin_command_test.c tests/loader/fixture.c \
  tests/loader/fixture.h cli/plugin.c cli/plugin.h cli/plugin_list.c cli/plugin_inspect.c cli/plugin_help.c \
  cli/cli.c cli/cli.h cli/options.c cli/options.h cli/render.c cli/render.h cli/wrap.c cli/wrap.h
tests_loader_plugin_command_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_loader_plugin_command_test_LDADD = $(TEST_LIBS)
