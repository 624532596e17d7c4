EXTRA_DIST += plugins/llm-scripted/README.md
if PLUGIN_LLM_SCRIPTED
plugin_LTLIBRARIES += plugins/llm-scripted/magent-llm-scripted.la
llm_scripted_parts = plugins/llm-scripted/builtin.c plugins/llm-scripted/play.c plugins/llm-scripted/play.h \
  plugins/llm-scripted/script.c plugins/llm-scripted/script.h plugins/llm-scripted/view.c \
  plugins/llm-common/llm.c plugins/llm-common/llm.h
plugins_llm_scripted_magent_llm_scripted_la_SOURCES = plugins/llm-scripted/plugin.c $(llm_scripted_parts)
plugins_llm_scripted_magent_llm_scripted_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_llm_scripted_magent_llm_scripted_la_LIBADD =
if HAVE_CHECK
check_PROGRAMS += plugins/llm-scripted/scripted_test
plugins_llm_scripted_scripted_test_SOURCES = plugins/llm-scripted/scripted_test.c plugins/llm-scripted/plugin.c \
  $(llm_scripted_parts) plugins/llm-common/llm_test.c plugins/llm-common/llm_test.h
plugins_llm_scripted_scripted_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
plugins_llm_scripted_scripted_test_LDADD = $(TEST_LIBS)
endif
endif
