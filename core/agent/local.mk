libmagcore_la_SOURCES += \
  core/agent/act.c core/agent/custom.h core/agent/definition.c core/agent/definition.h core/agent/definition_file.c \
  core/agent/definition_read.c core/agent/definition_value.c core/agent/definition_value.h core/agent/demand.c \
  core/agent/demand.h core/agent/engine.c core/agent/engine.h \
  core/agent/log.c core/agent/log.h core/agent/policy.c core/agent/project.c core/agent/project.h \
  core/agent/record.c core/agent/record.h core/agent/recover.c core/agent/sandbox.c core/agent/sandbox.h \
  core/agent/sandbox_parts.h core/agent/sandbox_setup.c core/agent/sandbox_stream.c core/agent/sandbox_table.c \
  core/agent/schema.c core/agent/schema.h core/agent/session.c core/agent/session.h core/agent/state.c \
  core/agent/state.h core/agent/step.c core/agent/toolbox.c \
  core/agent/toolbox.h core/agent/turn.c core/agent/turn.h core/agent/yaml.c core/agent/yaml.h
libmagcore_la_SOURCES += core/agent/sandbox_use.c
if HAVE_YAML
libmagcore_la_LIBADD += $(YAML_LIBS)
endif
# Sessions as a whole: budgets and prices, what reaches them from outside, forks.
libmagcore_la_SOURCES += core/agent/budget.c core/agent/budget.h core/agent/fork.c core/agent/outside.c core/agent/outside.h \
  core/agent/price.c core/agent/price.h core/agent/rounds.c core/agent/rounds.h core/agent/sessions.c \
  core/agent/sessions.h core/agent/summary.c
