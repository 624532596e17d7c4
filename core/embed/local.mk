# libmagent: the embedding face. Everything else of the core stays inside it.
lib_LTLIBRARIES += libmagent.la
mbpinclude_HEADERS += include/magent/magent.h
libmagent_la_SOURCES = core/embed/magent.c
libmagent_la_LIBADD = libmagcore.la
libmagent_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
  -Wl,--version-script=$(srcdir)/core/embed/libmagent.map
libmagent_la_DEPENDENCIES = libmagcore.la core/embed/libmagent.map
EXTRA_DIST += core/embed/libmagent.map
