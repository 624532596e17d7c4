EXTRA_DIST += scripts/check-vendor-types
EXTRA_DIST += plugins/llm-anthropic/README.md
if PLUGIN_LLM_ANTHROPIC
plugin_LTLIBRARIES += plugins/llm-anthropic/magent-llm-anthropic.la
llm_anthropic_parts = plugins/llm-anthropic/decoder.c plugins/llm-anthropic/decoder.h \
  plugins/llm-anthropic/request.c plugins/llm-anthropic/request.h \
  plugins/llm-common/endpoint.c plugins/llm-common/llm.c plugins/llm-common/llm.h \
  plugins/llm-common/service.c
plugins_llm_anthropic_magent_llm_anthropic_la_SOURCES = plugins/llm-anthropic/plugin.c $(llm_anthropic_parts)
plugins_llm_anthropic_magent_llm_anthropic_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_llm_anthropic_magent_llm_anthropic_la_LIBADD =
if HAVE_CHECK
check_PROGRAMS += plugins/llm-anthropic/anthropic_test
plugins_llm_anthropic_anthropic_test_SOURCES = plugins/llm-anthropic/anthropic_test.c \
  plugins/llm-anthropic/anthropic_test.h plugins/llm-anthropic/decoder_test.c plugins/llm-anthropic/plugin.c \
  $(llm_anthropic_parts) plugins/llm-common/llm_test.c plugins/llm-common/llm_test.h
plugins_llm_anthropic_anthropic_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
plugins_llm_anthropic_anthropic_test_LDADD = tests/lib/libtestlib.la $(TEST_LIBS)
endif
endif
EXTRA_DIST += plugins/llm-anthropic/testdata
