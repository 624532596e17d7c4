# libmagent: the embedding face. Everything else of the core stays inside it.
lib_LTLIBRARIES += libmagent.la
mbpinclude_HEADERS += include/magent/magent.h
libmagent_la_SOURCES = core/embed/agent.c core/embed/block.h core/embed/compute.c core/embed/config.c \
  core/embed/context.c core/embed/embed.h core/embed/event.c core/embed/event.h core/embed/files.c core/embed/files.h \
  core/embed/ids.c core/embed/info.c core/embed/info.h core/embed/interrupt.c core/embed/run.c core/embed/session.c core/embed/sessions.c core/embed/stream.c
libmagent_la_LIBADD = libmagcore.la
libmagent_la_LDFLAGS = $(AM_LDFLAGS) -version-info 1:0:0 -no-undefined \
  -Wl,--version-script=$(srcdir)/core/embed/libmagent.map
libmagent_la_DEPENDENCIES = libmagcore.la core/embed/libmagent.map
EXTRA_DIST += core/embed/libmagent.map
