libmagcore_la_SOURCES += \
  core/loader/check.c core/loader/check.h core/loader/describe.c core/loader/dl.c core/loader/dl.h core/loader/elf.c \
  core/loader/file.c core/loader/file.h core/loader/inspect.c core/loader/inspect.h core/loader/known.c \
  core/loader/known.h core/loader/open.c core/loader/params.c core/loader/registry.c core/loader/registry.h \
  core/loader/scan.c core/loader/scan.h
