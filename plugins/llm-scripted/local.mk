EXTRA_DIST += plugins/llm-scripted/README.md
if PLUGIN_LLM_SCRIPTED
plugin_LTLIBRARIES += plugins/llm-scripted/magent-llm-scripted.la
llm_scripted_parts = plugins/llm-scripted/builtin.c plugins/llm-scripted/play.c plugins/llm-scripted/play.h \
  plugins/llm-scripted/script.c plugins/llm-scripted/script.h plugins/llm-scripted/view.c \
  plugins/llm-common/llm.c plugins/llm-common/llm.h
plugins_llm_scripted_magent_llm_scripted_la_SOURCES = plugins/llm-scripted/plugin.c $(llm_scripted_parts)
plugins_llm_scripted_magent_llm_scripted_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_llm_scripted_magent_llm_scripted_la_LIBADD =
endif
