libmagcore_la_SOURCES += \
  core/host/call.c core/host/call.h core/host/config.c core/host/config.h core/host/host.c core/host/host.h \
  core/host/instance.c core/host/instance.h core/host/redact.c core/host/redact.h core/host/services.c core/host/services.h
libmagcore_la_SOURCES += \
  core/host/retry.c core/host/retry.h core/host/sse.c core/host/sse.h
