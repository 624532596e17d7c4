#include "plugins/compute-docker/stream.h"

#include <string.h>

#define FRAME_MAX (16u << 20) /* engines send 32 KiB at most; more is nonsense, not data */

int docker_stream_feed(struct docker_stream *stream, const char *data, size_t len,
                       int (*take)(void *ctx, unsigned stream, const char *data, size_t len), void *ctx)
{
  while (len > 0) {
    if (stream->left == 0) {
      size_t n = sizeof(stream->head) - stream->have;
      if (n > len)
        n = len;
      memcpy(stream->head + stream->have, data, n);
      stream->have += n;
      data += n;
      len -= n;
      if (stream->have < sizeof(stream->head))
        return 0;
      const unsigned char *head = stream->head;
      stream->have = 0;
      stream->left = (uint32_t) head[4] << 24 | (uint32_t) head[5] << 16 | (uint32_t) head[6] << 8 | head[7];
      if (head[0] < 1 || head[0] > 2 || head[1] || head[2] || head[3] || stream->left > FRAME_MAX)
        return -1;
      continue;
    }
    size_t n = stream->left < len ? stream->left : len;
    int r = take(ctx, stream->head[0], data, n);
    if (r < 0)
      return r;
    stream->left -= (uint32_t) n;
    data += n;
    len -= n;
  }
  return 0;
}
