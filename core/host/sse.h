/* sse.h - server-sent events out of a stream of bytes (WHATWG HTML, "interpreting an event stream").
 *
 * Bytes come in pieces of any size; lines end in CR, LF or CRLF in any mix. Comments and unknown fields are dropped, an
 * event without data is none, and what is not ended by a blank line is never shown. Text is passed as it came: invalid
 * UTF-8 is for the reader of the data to refuse. In the steady state nothing is allocated.
 */
#ifndef MAG_HOST_SSE_H
#define MAG_HOST_SSE_H

#include "base/buf.h"

#include <magent/mbp-host.h>
#include <stdbool.h>

#define MAG_SSE_MAX ((size_t) 16 << 20) /* default bound of a line and of an event's data, bytes */

struct mag_sse {
  size_t max;
  struct mag_buf line; /* the beginning of a line whose end has not come */
  struct mag_buf data; /* each data line with a LF after it */
  struct mag_buf event, id;
  int64_t retry_ms;
  uint32_t bom;    /* bytes of the byte order mark seen; 3 once the start is behind */
  bool skip_lf;    /* the last line ended in CR: a LF now belongs to it */
  bool dispatched; /* data and event were shown and go with the next byte */
};

/* max: 0 for MAG_SSE_MAX. */
void mag_sse_init(struct mag_sse *sse, size_t max);
void mag_sse_done(struct mag_sse *sse);

/* Takes bytes until an event is complete. 1: an event (borrowed until the next use of `sse`), 0: all bytes taken and no
 * event complete, -MBP_E_LIMIT: longer than the bound, -MBP_E_NO_MEMORY. After an error the parser is of no more use.
 * *ret_used: how many bytes were taken. */
int mag_sse_feed(struct mag_sse *sse, const char *bytes, size_t len, size_t *ret_used, struct mbp_sse_event *ret_event);

#endif
