# magent-sandbox: static where it can be, because it runs inside any sandbox. A new mode is a row in main.c.
include sandbox/tool.mk
if SANDBOX_HELPER
pkglibexec_PROGRAMS += sandbox/magent-sandbox
sandbox_magent_sandbox_SOURCES = sandbox/main.c sandbox/modes.h sandbox/protocol.h sandbox/init.c sandbox/init.h \
  sandbox/slots.c sandbox/slots.h sandbox/frames.h sandbox/serve.c sandbox/serve.h sandbox/serve_job.c \
  sandbox/serve_link.c sandbox/serve_memory.c sandbox/init_exec.c sandbox/init_filter.c sandbox/init_tree.c \
  sandbox/init_watch.c sandbox/scratch.c sandbox/scratch.h sandbox/transfer.c sandbox/transfer.h \
  $(sandbox_tool_sources)
sandbox_magent_sandbox_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
sandbox_magent_sandbox_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(PCRE2_CFLAGS)
sandbox_magent_sandbox_LDADD = $(SECCOMP_LIBS) $(PCRE2_LIBS)
sandbox_magent_sandbox_LDFLAGS = $(AM_LDFLAGS)
if STATIC_HELPER
sandbox_magent_sandbox_LDFLAGS += -all-static
endif
endif
