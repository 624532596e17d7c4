/* buf.h - a growing byte buffer. The content is always followed by a 0 that `len` does not count.
 *
 * Out of memory is remembered (`failed`) and later additions do nothing, so a run of additions is checked once.
 */
#ifndef MAG_BASE_BUF_H
#define MAG_BASE_BUF_H

#include <magent/mbp.h>
#include <stdbool.h>
#include <stddef.h>

struct mag_buf {
  char *ptr; /* NULL while empty */
  size_t len, cap;
  bool failed;
};

#define MAG_BUF_INIT {NULL, 0, 0, false}

void mag_buf_done(struct mag_buf *buf); /* frees; the buffer is empty and usable again */
void mag_buf_clear(struct mag_buf *buf); /* keeps the memory */
int mag_buf_reserve(struct mag_buf *buf, size_t more); /* 0 or -MBP_E_NO_MEMORY */
void mag_buf_add(struct mag_buf *buf, const void *data, size_t len);
void mag_buf_add_str(struct mag_buf *buf, struct mbp_str s);
void mag_buf_add_text(struct mag_buf *buf, const char *text);
void mag_buf_add_char(struct mag_buf *buf, char c);
void mag_buf_printf(struct mag_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first n bytes. */
void mag_buf_consume(struct mag_buf *buf, size_t n);
/* The content as a 0-terminated string, owned by the caller; NULL if anything failed. The buffer is empty then. */
char *mag_buf_take(struct mag_buf *buf);

static inline struct mbp_str mag_buf_str(const struct mag_buf *buf)
{
  return mbp_str_n(buf->len ? buf->ptr : "", buf->len);
}

#define mag_autobuf __attribute__((cleanup(mag_buf_done))) struct mag_buf

#endif
