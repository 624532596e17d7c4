bin_PROGRAMS += magent
magent_SOURCES = cli/main.c cli/cli.h cli/compute.c cli/doctor.c cli/interrupt.c cli/interrupt.h cli/plugin.c cli/plugin.h \
  cli/plugin_help.c cli/plugin_inspect.c cli/plugin_list.c cli/render.c cli/render.h cli/run.c cli/session.c
magent_CFLAGS = $(AM_CFLAGS) $(PROGRAM_CFLAGS)
magent_LDFLAGS = $(AM_LDFLAGS) $(PROGRAM_LDFLAGS)
magent_LDADD = libmagcore.la
magent_SOURCES += cli/session.h cli/session_change.c cli/session_list.c cli/session_reach.c cli/session_show.c
