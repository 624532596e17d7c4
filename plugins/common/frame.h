/* frame.h - the host's end of sandbox/frames.h: whole answers out of bytes that come in any pieces. The bytes are
 * hostile: every answer is checked for its size and its values here, so that nobody has to do so again. */
#ifndef MAG_COMMON_FRAME_H
#define MAG_COMMON_FRAME_H

#include "sandbox/frames.h"

#include <stddef.h>

struct mag_frame_reader {
  char *bytes;
  size_t at, len, cap;
};

/* One answer; `data` is borrowed until the next use of the reader. */
struct mag_answer {
  uint32_t op; /* MAG_FRAME_HELLO .. MAG_FRAME_PROCESS */
  union {
    struct mag_frame_hello hello;
    struct mag_frame_number number;
    struct mag_frame_failed failed;
    struct mag_frame_output output;
    struct mag_frame_end end;
    struct mag_frame_wrote wrote;
    struct mag_frame_process process;
  } u;
  const char *data; /* behind OUTPUT, PROCESS */
  size_t len;
};

/* 0, or -1 without memory. */
int mag_frame_feed(struct mag_frame_reader *reader, const char *data, size_t len);
/* 1: an answer; 0: more bytes are needed; -1: this is not what a server says. */
int mag_frame_next(struct mag_frame_reader *reader, struct mag_answer *answer);
void mag_frame_done(struct mag_frame_reader *reader);

#endif
