/* files.h - put and get: done by magent-sandbox inside the sandbox, so that the host resolves no path of it. */
#ifndef MAG_COMMON_FILES_H
#define MAG_COMMON_FILES_H

#include "plugins/common/exec.h"

/* Where magent-sandbox is, and how a command is run there. */
struct mag_files {
  const char *helper;  /* path inside */
  const char *beneath; /* paths stay below this directory; NULL: the sandbox has walls */
  int (*exec)(void *ctx, struct mbp_call *call, const struct mbp_exec *exec, const struct mag_exec_sink *sink,
              struct mag_exec_end *ret_end, struct mbp_error *err);
  void *ctx;
};

int mag_files_put(const struct mag_files *files, struct mbp_call *call, const struct mbp_put *put,
                  struct mbp_error *err);

/* `data` gets the content piece by piece; negative stops. */
int mag_files_get(const struct mag_files *files, struct mbp_call *call, struct mbp_str path, int64_t limit,
                  int (*data)(void *ctx, const char *bytes, size_t len), void *ctx, struct mbp_file_info *ret_info,
                  struct mbp_error *err);

#endif
