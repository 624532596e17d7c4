/* files.h - put and get: done by magent-sandbox inside the sandbox, so that the host resolves no path of it. */
#ifndef MAG_COMMON_FILES_H
#define MAG_COMMON_FILES_H

#include "plugins/common/box.h"

int mag_files_put(struct mag_box *box, struct mbp_call *call, const struct mbp_put *put, struct mbp_error *err);

/* `data` gets the content piece by piece; negative stops. */
int mag_files_get(struct mag_box *box, struct mbp_call *call, struct mbp_str path, int64_t limit,
                  int (*data)(void *ctx, const char *bytes, size_t len), void *ctx, struct mbp_file_info *ret_info,
                  struct mbp_error *err);

#endif
