libmagcore_la_SOURCES += \
  core/base/buf.c core/base/buf.h core/base/cleanup.h core/base/clock.c core/base/clock.h \
  core/base/error.c core/base/error.h core/base/id.c core/base/id.h core/base/json.c core/base/json.h \
  core/base/json_scan.c core/base/json_scan.h core/base/log.c core/base/log.h core/base/text.c core/base/text.h
libmagcore_la_SOURCES += core/base/thread.c core/base/thread.h
libmagcore_la_SOURCES += core/base/tree.h core/base/tree_copy.c core/base/tree_remove.c
libmagcore_la_SOURCES += core/base/buf.c core/base/buf.h
libmagcore_la_SOURCES += core/base/cleanup.h
libmagcore_la_SOURCES += core/base/clock.c core/base/clock.h
libmagcore_la_SOURCES += core/base/error.c core/base/error.h
libmagcore_la_SOURCES += core/base/id.c core/base/id.h
libmagcore_la_SOURCES += core/base/json.c core/base/json.h
libmagcore_la_SOURCES += core/base/json_members.c core/base/json_members.h
libmagcore_la_SOURCES += core/base/json_scan.c core/base/json_scan.h
libmagcore_la_SOURCES += core/base/log.c core/base/log.h
libmagcore_la_SOURCES += core/base/text.c core/base/text.h
libmagcore_la_SOURCES += core/base/tree.h
libmagcore_la_SOURCES += core/base/tree_copy.c
libmagcore_la_SOURCES += core/base/tree_remove.c
