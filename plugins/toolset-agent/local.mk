toolset_agent_sources = plugins/toolset-agent/agent.c plugins/toolset-agent/agent.h plugins/toolset-agent/config.c \
  plugins/toolset-agent/files.c plugins/toolset-agent/input.c plugins/toolset-agent/output.c plugins/toolset-agent/output.h \
  plugins/toolset-agent/shell.c plugins/toolset-agent/spill.c plugins/toolset-agent/spill.h plugins/toolset-agent/text.c \
  plugins/toolset-agent/text.h plugins/toolset-agent/tools.c
if PLUGIN_TOOLSET_AGENT
plugin_LTLIBRARIES += plugins/toolset-agent/magent-toolset-agent.la
plugins_toolset_agent_magent_toolset_agent_la_SOURCES = $(toolset_agent_sources)
plugins_toolset_agent_magent_toolset_agent_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_toolset_agent_magent_toolset_agent_la_LIBADD =
endif
