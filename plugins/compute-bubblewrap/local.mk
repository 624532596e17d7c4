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
if HAVE_CHECK
check_PROGRAMS += plugins/compute-bubblewrap/diagnose_test
plugins_compute_bubblewrap_diagnose_test_SOURCES = plugins/compute-bubblewrap/diagnose_test.c \
  plugins/compute-bubblewrap/diagnose.c
plugins_compute_bubblewrap_diagnose_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir) -I$(srcdir)/tests
plugins_compute_bubblewrap_diagnose_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
plugins_compute_bubblewrap_diagnose_test_LDADD = libmagbox.la $(TEST_LIBS)
endif
