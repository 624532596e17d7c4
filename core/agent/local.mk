# One noun a line, so that two people can add one each.
libmagcore_la_SOURCES += \
  core/agent/act.c \
  core/agent/agents.c core/agent/agents.h \
  core/agent/custom.h \
  core/agent/definition.c core/agent/definition.h \
  core/agent/definition_file.c \
  core/agent/definition_read.c \
  core/agent/definition_value.c core/agent/definition_value.h \
  core/agent/demand.c core/agent/demand.h \
  core/agent/engine.c core/agent/engine.h \
  core/agent/idle.c core/agent/idle.h \
  core/agent/log.c core/agent/log.h \
  core/agent/output.c core/agent/output.h \
  core/agent/policy.c \
  core/agent/project.c core/agent/project.h \
  core/agent/project_file.c core/agent/project_file.h \
  core/agent/record.c core/agent/record.h \
  core/agent/recover.c \
  core/agent/sandbox.c core/agent/sandbox.h \
  core/agent/sandbox_parts.h \
  core/agent/sandbox_setup.c \
  core/agent/sandbox_stream.c \
  core/agent/sandbox_table.c \
  core/agent/schema.c core/agent/schema.h \
  core/agent/session.c core/agent/session.h \
  core/agent/state.c core/agent/state.h \
  core/agent/step.c \
  core/agent/toolbox.c core/agent/toolbox.h \
  core/agent/turn.c core/agent/turn.h \
  core/agent/yaml.c core/agent/yaml.h
if HAVE_YAML
libmagcore_la_LIBADD += $(YAML_LIBS)
endif
