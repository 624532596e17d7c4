/* show.h - what commands and files do, as events of a call. */
#ifndef MAG_COMMON_SHOW_H
#define MAG_COMMON_SHOW_H

#include "plugins/common/plug.h"

struct mag_show {
  const struct mbp_host *host;
  struct mbp_call *call;
};

/* For mag_exec_sink and mag_files_get; ctx is a struct mag_show. */
int mag_show_started(void *ctx, int32_t pid, const char *key);
int mag_show_output(void *ctx, unsigned stream, int64_t offset, const char *data, size_t len);
int mag_show_data(void *ctx, const char *bytes, size_t len);

#endif
