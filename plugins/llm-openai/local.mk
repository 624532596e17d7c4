EXTRA_DIST += plugins/llm-openai/README.md
if PLUGIN_LLM_OPENAI
plugin_LTLIBRARIES += plugins/llm-openai/magent-llm-openai.la
llm_openai_parts = plugins/llm-openai/calls.c plugins/llm-openai/calls.h \
  plugins/llm-openai/decoder.c plugins/llm-openai/decoder.h plugins/llm-openai/error.c \
  plugins/llm-openai/history.c plugins/llm-openai/history.h \
  plugins/llm-openai/messages.c plugins/llm-openai/messages.h plugins/llm-openai/names.c plugins/llm-openai/names.h \
  plugins/llm-openai/request.c plugins/llm-openai/request.h \
  plugins/llm-common/endpoint.c plugins/llm-common/llm.c plugins/llm-common/llm.h \
  plugins/llm-common/service.c
plugins_llm_openai_magent_llm_openai_la_SOURCES = plugins/llm-openai/plugin.c $(llm_openai_parts)
plugins_llm_openai_magent_llm_openai_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_llm_openai_magent_llm_openai_la_LIBADD =
if HAVE_CHECK
check_PROGRAMS += plugins/llm-openai/openai_test
plugins_llm_openai_openai_test_SOURCES = plugins/llm-openai/openai_test.c plugins/llm-openai/plugin.c \
  $(llm_openai_parts) plugins/llm-common/llm_test.c plugins/llm-common/llm_test.h
plugins_llm_openai_openai_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
plugins_llm_openai_openai_test_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
endif
endif
EXTRA_DIST += plugins/llm-openai/testdata
