EXTRA_DIST += plugins/compute-docker/README.md
compute_docker_sources = plugins/compute-docker/archive.c plugins/compute-docker/box.c \
  plugins/compute-docker/channel.c plugins/compute-docker/container.c plugins/compute-docker/docker.h \
  plugins/compute-docker/engine.c plugins/compute-docker/engine.h plugins/compute-docker/image.c \
  plugins/compute-docker/plugin.c plugins/compute-docker/process.c plugins/compute-docker/progress.c \
  plugins/compute-docker/progress.h plugins/compute-docker/run.c plugins/compute-docker/spec.c \
  plugins/compute-docker/stream.c plugins/compute-docker/stream.h
if PLUGIN_COMPUTE_DOCKER
plugin_LTLIBRARIES += plugins/compute-docker/magent-compute-docker.la
plugins_compute_docker_magent_compute_docker_la_SOURCES = $(compute_docker_sources)
plugins_compute_docker_magent_compute_docker_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
plugins_compute_docker_magent_compute_docker_la_CFLAGS = $(AM_CFLAGS) $(ARCHIVE_CFLAGS)
plugins_compute_docker_magent_compute_docker_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_compute_docker_magent_compute_docker_la_LIBADD = libmagbox.la $(ARCHIVE_LIBS)
endif
if HAVE_CHECK
if PLUGIN_COMPUTE_DOCKER
check_PROGRAMS += plugins/compute-docker/docker_test
plugins_compute_docker_docker_test_SOURCES = plugins/compute-docker/docker_test.c $(compute_docker_sources)
plugins_compute_docker_docker_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir) -DMBP_ENTRY=docker_entry
plugins_compute_docker_docker_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(ARCHIVE_CFLAGS)
plugins_compute_docker_docker_test_LDADD = libmagbox.la tests/lib/libtestlib.la $(TEST_LIBS) $(ARCHIVE_LIBS)
endif
endif
