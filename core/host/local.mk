libmagcore_la_SOURCES += \
  core/host/call.c core/host/call.h core/host/config.c core/host/config.h core/host/group.c core/host/group.h \
  core/host/group_find.c core/host/group_find.h core/host/host.c core/host/host.h core/host/http.c core/host/http.h \
  core/host/http_chunk.c core/host/http_chunk.h core/host/http_easy.c core/host/http_fail.c core/host/http_head.c \
  core/host/http_head.h core/host/http_private.h core/host/http_request.c core/host/http_request.h \
  core/host/http_thread.c core/host/http_upgrade.c core/host/instance.c core/host/instance.h core/host/late.c \
  core/host/late.h core/host/process.c core/host/process.h core/host/process_child.c core/host/process_child.h \
  core/host/redact.c core/host/redact.h core/host/retry.c core/host/retry.h core/host/services.c core/host/services.h \
  core/host/sse.c core/host/sse.h
