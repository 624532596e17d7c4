/* What comes from a Docker engine and from a sandbox's server: whole and byte by byte must tell the same. The first
 * byte chooses the format. */
#include "plugins/common/frame.h"
#include "plugins/compute-docker/progress.h"
#include "plugins/compute-docker/stream.h"

#include "base/buf.h"
#include "host/host.h"

#include <stdlib.h>
#include <string.h>

struct heard {
  struct mag_buf streams[3];
};

static int hear(void *ctx, unsigned stream, const char *data, size_t len)
{
  struct heard *heard = ctx;
  if (stream < 1 || stream > 2)
    abort();
  mag_buf_add(&heard->streams[stream], data, len);
  return 0;
}

static int run_stream(const char *bytes, size_t len, size_t piece, struct mag_buf *log)
{
  struct docker_stream stream = {0};
  struct heard heard = {0};
  int r = 0;
  for (size_t at = 0; at < len && r == 0; at += piece)
    r = docker_stream_feed(&stream, bytes + at, len - at < piece ? len - at : piece, hear, &heard);
  for (int i = 1; i < 3; i++) {
    mag_buf_printf(log, "%zu:", heard.streams[i].len);
    mag_buf_add_str(log, mag_buf_str(&heard.streams[i]));
    mag_buf_done(&heard.streams[i]);
  }
  return r;
}

static int run_frames(const char *bytes, size_t len, size_t piece, struct mag_buf *log)
{
  struct mag_frame_reader reader = {0};
  int r = 0;
  for (size_t at = 0; at < len && r >= 0; at += piece) {
    struct mag_answer answer;
    if (mag_frame_feed(&reader, bytes + at, len - at < piece ? len - at : piece) < 0)
      abort();
    while ((r = mag_frame_next(&reader, &answer)) > 0) {
      mag_buf_printf(log, "%u,%zu:", answer.op, answer.len);
      mag_buf_add(log, answer.data, answer.len);
    }
  }
  mag_frame_done(&reader);
  return r < 0 ? -1 : 0;
}

static int run_progress(const char *bytes, size_t len, size_t piece, struct mag_buf *log)
{
  static const struct mbp_host *host;
  if (!host)
    host = mag_host_for("fuzz");
  struct progress *progress = malloc(sizeof(*progress));
  progress_init(progress, host->get_interface(host->ctx, MBP_JSON_V1));
  for (size_t at = 0; at < len; at += piece)
    (void) progress_feed(progress, bytes + at, len - at < piece ? len - at : piece);
  (void) progress_end(progress);
  if (progress->percent < -1 || progress->percent > 100)
    abort();
  char text[160];
  progress_text(progress, text, sizeof(text));
  mag_buf_printf(log, "%d %s %s", progress->percent, text, progress->error);
  free(progress);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static int (*const formats[])(const char *bytes, size_t len, size_t piece,
                                struct mag_buf *log) = {run_stream, run_frames, run_progress};
  if (size < 1)
    return 0;
  struct mag_buf whole = MAG_BUF_INIT, split = MAG_BUF_INIT;
  const char *bytes = (const char *) data + 1;
  int a = formats[data[0] % 3](bytes, size - 1, size, &whole);
  int b = formats[data[0] % 3](bytes, size - 1, 1, &split);
  if (a != b || whole.len != split.len || (whole.len && memcmp(whole.ptr, split.ptr, whole.len) != 0))
    abort();
  mag_buf_done(&whole);
  mag_buf_done(&split);
  return 0;
}
