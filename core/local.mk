noinst_LTLIBRARIES += libmagcore.la
libmagcore_la_SOURCES =
libmagcore_la_LIBADD = $(CURL_LIBS) $(CJSON_LIBS) $(LTDL_LIBS) -lm
include core/base/local.mk
include core/loader/local.mk
include core/host/local.mk
include core/agent/local.mk
include core/embed/local.mk
