EXTRA_DIST += plugins/compute-bubblewrap/README.md
if PLUGIN_COMPUTE_BUBBLEWRAP
plugin_LTLIBRARIES += plugins/compute-bubblewrap/magent-compute-bubblewrap.la
plugins_compute_bubblewrap_magent_compute_bubblewrap_la_SOURCES = plugins/compute-bubblewrap/bubblewrap.c \
  plugins/compute-bubblewrap/bubblewrap.h plugins/compute-bubblewrap/diagnose.c plugins/compute-bubblewrap/guard.c \
  plugins/compute-bubblewrap/guard_find.c plugins/compute-bubblewrap/mounts.c
plugins_compute_bubblewrap_magent_compute_bubblewrap_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir) \
  -DMAGENT_BWRAP='"$(BWRAP)"'
plugins_compute_bubblewrap_magent_compute_bubblewrap_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_compute_bubblewrap_magent_compute_bubblewrap_la_LIBADD = libmagbox.la
endif
