/* stream.h - what comes out of an engine's exec without a terminal: frames of stdout and stderr, cut anywhere. */
#ifndef MAG_DOCKER_STREAM_H
#define MAG_DOCKER_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct docker_stream {
  unsigned char head[8];
  size_t have;   /* bytes of the head */
  uint32_t left; /* bytes of the frame that are still to come */
};

/* Passes on what `data` holds: stream 1 is stdout, 2 stderr. 0; negative: this is no such stream, or `take` said so. */
int docker_stream_feed(struct docker_stream *stream, const char *data, size_t len,
                       int (*take)(void *ctx, unsigned stream, const char *data, size_t len), void *ctx);

#endif
