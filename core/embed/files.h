/* files.h - files of this machine: read for an upload, and written whole or not at all. */
#ifndef MAG_EMBED_FILES_H
#define MAG_EMBED_FILES_H

#include <magent/mbp-compute.h>

/* A regular file as what a provider puts: all but `path` and `ctx`, which is the descriptor's address. *ret_fd is the
 * caller's. */
int embed_file_open(const char *path, int *ret_fd, struct mbp_put *ret_put, struct mbp_error *err);

/* A new file that stands under its name once it is finished; until then beside it, under another. */
struct embed_file {
  const char *path; /* borrowed */
  char *beside;
  int fd;
  int number; /* errno of a write that failed, or 0 */
  uint32_t mode;
  int64_t length;   /* written so far */
  int64_t expected; /* -1: not told */
};

int embed_file_create(struct embed_file *file, const char *path, struct mbp_error *err);
int embed_file_add(struct embed_file *file, struct mbp_str data); /* failures are told by finish */
/* `r`: how it went; after a failure nothing is left behind. Returns `r`, or what failed at the end. */
int embed_file_finish(struct embed_file *file, int r, struct mbp_error *err);

/* A sink for MBP_EV_FILE_DATA and an on_result for struct mbp_file_info; `ctx` is the file. */
int embed_file_write(void *ctx, const struct mbp_event *event);
int embed_file_info(void *ctx, const void *result, struct mbp_error *err);

#endif
