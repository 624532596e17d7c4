libmagcore_la_SOURCES += core/agent/act.c
libmagcore_la_SOURCES += core/agent/answer.c core/agent/answer.h
libmagcore_la_SOURCES += core/agent/budget.c core/agent/budget.h
libmagcore_la_SOURCES += core/agent/custom.h core/agent/custom_parts.h
libmagcore_la_SOURCES += core/agent/custom_answer.c
libmagcore_la_SOURCES += core/agent/custom_command.c
libmagcore_la_SOURCES += core/agent/custom_entry.c core/agent/custom_entry.h
libmagcore_la_SOURCES += core/agent/custom_handler.c
libmagcore_la_SOURCES += core/agent/definition.c core/agent/definition.h
libmagcore_la_SOURCES += core/agent/engine.c core/agent/engine.h
libmagcore_la_SOURCES += core/agent/fork.c
libmagcore_la_SOURCES += core/agent/ids.c core/agent/ids.h
libmagcore_la_SOURCES += core/agent/json_schema.c core/agent/json_schema.h
libmagcore_la_SOURCES += core/agent/json_schema_check.c core/agent/json_schema_parts.h
libmagcore_la_SOURCES += core/agent/log.c core/agent/log.h
libmagcore_la_SOURCES += core/agent/output.c core/agent/output.h
libmagcore_la_SOURCES += core/agent/outside.c core/agent/outside.h
libmagcore_la_SOURCES += core/agent/pattern.c core/agent/pattern.h
libmagcore_la_SOURCES += core/agent/policy.c
libmagcore_la_SOURCES += core/agent/price.c core/agent/price.h
libmagcore_la_SOURCES += core/agent/project.c core/agent/project.h
libmagcore_la_SOURCES += core/agent/record.c core/agent/record.h
libmagcore_la_SOURCES += core/agent/recover.c
libmagcore_la_SOURCES += core/agent/rounds.c core/agent/rounds.h
libmagcore_la_SOURCES += core/agent/sandbox.c core/agent/sandbox.h
libmagcore_la_SOURCES += core/agent/sandbox_parts.h
libmagcore_la_SOURCES += core/agent/sandbox_stream.c
libmagcore_la_SOURCES += core/agent/sandbox_table.c
libmagcore_la_SOURCES += core/agent/session.c core/agent/session.h
libmagcore_la_SOURCES += core/agent/sessions.c core/agent/sessions.h
libmagcore_la_SOURCES += core/agent/state.c core/agent/state.h
libmagcore_la_SOURCES += core/agent/step.c
libmagcore_la_SOURCES += core/agent/summary.c
libmagcore_la_SOURCES += core/agent/toolbox.c core/agent/toolbox.h
libmagcore_la_SOURCES += core/agent/tool_input.c core/agent/tool_input.h
libmagcore_la_SOURCES += core/agent/turn.c core/agent/turn.h
libmagcore_la_SOURCES += core/agent/yaml.c core/agent/yaml.h
if HAVE_YAML
libmagcore_la_LIBADD += $(YAML_LIBS)
endif
if HAVE_PCRE2
libmagcore_la_LIBADD += $(PCRE2_LIBS)
endif
