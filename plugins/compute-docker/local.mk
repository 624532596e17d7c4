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
