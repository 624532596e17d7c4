if PLUGIN_LLM_ANTHROPIC
plugin_LTLIBRARIES += plugins/llm-anthropic/magent-llm-anthropic.la
llm_anthropic_parts = plugins/llm-anthropic/decoder.c plugins/llm-anthropic/decoder.h \
  plugins/llm-anthropic/request.c plugins/llm-anthropic/request.h \
  plugins/llm-common/endpoint.c plugins/llm-common/llm.c plugins/llm-common/llm.h
plugins_llm_anthropic_magent_llm_anthropic_la_SOURCES = plugins/llm-anthropic/plugin.c $(llm_anthropic_parts)
plugins_llm_anthropic_magent_llm_anthropic_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_llm_anthropic_magent_llm_anthropic_la_LIBADD =
endif
