EXTRA_DIST += plugins/common/README.md
# What compute plugins of this machine share; only mbp.h and the sandbox's protocol.
noinst_LTLIBRARIES += libmagbox.la
libmagbox_la_SOURCES = plugins/common/box.c plugins/common/box.h plugins/common/exec.c plugins/common/exec.h \
  plugins/common/files.c plugins/common/files.h plugins/common/plug.c plugins/common/plug.h \
  plugins/common/frame.c plugins/common/frame.h plugins/common/provider.c plugins/common/provider.h \
  plugins/common/show.c plugins/common/show.h
libmagbox_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
