EXTRA_DIST += plugins/toolset-agent/README.md
toolset_agent_sources = plugins/toolset-agent/agent.c plugins/toolset-agent/agent.h plugins/toolset-agent/config.c \
  plugins/toolset-agent/files.c plugins/toolset-agent/input.c plugins/toolset-agent/output.c \
  plugins/toolset-agent/output.h plugins/toolset-agent/shell.c plugins/toolset-agent/spill.c \
  plugins/toolset-agent/spill.h plugins/toolset-agent/text.c plugins/toolset-agent/text.h \
  plugins/toolset-agent/tools.c
if PLUGIN_TOOLSET_AGENT
plugin_LTLIBRARIES += plugins/toolset-agent/magent-toolset-agent.la
plugins_toolset_agent_magent_toolset_agent_la_SOURCES = $(toolset_agent_sources)
plugins_toolset_agent_magent_toolset_agent_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_toolset_agent_magent_toolset_agent_la_LIBADD =
endif
if HAVE_CHECK
check_PROGRAMS += plugins/toolset-agent/agent_test
plugins_toolset_agent_agent_test_SOURCES = plugins/toolset-agent/agent_test.c plugins/toolset-agent/agent_test.h \
  plugins/toolset-agent/config_test.c plugins/toolset-agent/output_test.c $(toolset_agent_sources) \
  tests/unit/fake_compute.c tests/unit/fake_compute.h
plugins_toolset_agent_agent_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir) -I$(srcdir)/tests/unit -DMBP_ENTRY=agent_entry
plugins_toolset_agent_agent_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
plugins_toolset_agent_agent_test_LDADD = $(TEST_LIBS)
endif
