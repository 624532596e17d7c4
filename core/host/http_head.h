/* http_head.h - status and headers of a response, and its trailers. Private to the HTTP client. */
#ifndef MAG_HOST_HTTP_HEAD_H
#define MAG_HOST_HTTP_HEAD_H

#include "base/buf.h"

#define MAG_HTTP_HEAD_MAX ((size_t) 256 << 10) /* bytes of all headers and trailers of one exchange */

struct mag_http_head {
  int status;           /* 0: not known yet */
  size_t total;         /* bytes seen, interim responses too */
  struct mag_buf lines; /* header lines as they came, without the status line */
  struct mag_buf trailers;
};

void mag_http_head_done(struct mag_http_head *head);

/* One line, with or without its end. A status line begins a new head. -MBP_E_LIMIT, -MBP_E_PROTOCOL or
 * -MBP_E_NO_MEMORY. */
int mag_http_head_line(struct mag_http_head *head, const char *line, size_t len);
int mag_http_head_trailer(struct mag_http_head *head, const char *line, size_t len);

/* First value of that name, any case; empty if there is none. Borrowed. */
struct mbp_str mag_http_head_find(const struct mag_buf *lines, const char *name);

/* Fills `err` from a response that is not wanted; see `fail` of magent.http/1. */
int mag_http_head_fail(const struct mag_http_head *head, const char *what, struct mbp_str message,
                       struct mbp_error *err);

#endif
