libmagcore_la_SOURCES += \
  core/agent/sandbox.c core/agent/sandbox.h core/agent/sandbox_parts.h core/agent/sandbox_stream.c core/agent/sandbox_table.c
