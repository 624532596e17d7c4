EXTRA_DIST += plugins/compute-local/README.md
if PLUGIN_COMPUTE_LOCAL
plugin_LTLIBRARIES += plugins/compute-local/magent-compute-local.la
plugins_compute_local_magent_compute_local_la_SOURCES = plugins/compute-local/local.c sandbox/scratch.c \
  sandbox/scratch.h
plugins_compute_local_magent_compute_local_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
plugins_compute_local_magent_compute_local_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_compute_local_magent_compute_local_la_LIBADD = libmagbox.la
endif
