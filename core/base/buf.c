#include "base/buf.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mag_buf_done(struct mag_buf *buf)
{
  free(buf->ptr);
  memset(buf, 0, sizeof(*buf));
}

void mag_buf_clear(struct mag_buf *buf)
{
  buf->len = 0;
  buf->failed = false;
  if (buf->ptr)
    buf->ptr[0] = 0;
}

int mag_buf_reserve(struct mag_buf *buf, size_t more)
{
  size_t need;
  if (buf->failed)
    return -MBP_E_NO_MEMORY;
  if (__builtin_add_overflow(buf->len, more, &need) || __builtin_add_overflow(need, (size_t) 1, &need)) {
    buf->failed = true;
    return -MBP_E_NO_MEMORY;
  }
  if (need <= buf->cap)
    return 0;
  /* What comes first is often all there is; then doubling: many small additions stay cheap. */
  size_t cap = buf->cap ? buf->cap : MAG_MAX(need, (size_t) 64);
  while (cap < need)
    cap = cap > SIZE_MAX / 2 ? need : cap * 2;
  char *ptr = realloc(buf->ptr, cap);
  if (!ptr) {
    buf->failed = true;
    return -MBP_E_NO_MEMORY;
  }
  buf->ptr = ptr;
  buf->cap = cap;
  return 0;
}

void mag_buf_add(struct mag_buf *buf, const void *data, size_t len)
{
  if (mag_buf_reserve(buf, len) < 0)
    return;
  if (len)
    memcpy(buf->ptr + buf->len, data, len);
  buf->len += len;
  buf->ptr[buf->len] = 0;
}

void mag_buf_add_str(struct mag_buf *buf, struct mbp_str s)
{
  mag_buf_add(buf, s.ptr, s.len);
}

void mag_buf_add_text(struct mag_buf *buf, const char *text)
{
  mag_buf_add(buf, text, strlen(text));
}

void mag_buf_add_char(struct mag_buf *buf, char c)
{
  mag_buf_add(buf, &c, 1);
}

void mag_buf_printf(struct mag_buf *buf, const char *format, ...)
{
  char small[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(small, sizeof(small), format, args);
  va_end(args);
  if (n < 0) {
    buf->failed = true;
    return;
  }
  if ((size_t) n < sizeof(small)) {
    mag_buf_add(buf, small, (size_t) n);
    return;
  }
  if (mag_buf_reserve(buf, (size_t) n) < 0)
    return;
  va_start(args, format);
  (void) vsnprintf(buf->ptr + buf->len, (size_t) n + 1, format, args);
  va_end(args);
  buf->len += (size_t) n;
}

void mag_buf_consume(struct mag_buf *buf, size_t n)
{
  if (n == 0)
    return;
  buf->len -= n;
  memmove(buf->ptr, buf->ptr + n, buf->len);
  buf->ptr[buf->len] = 0;
}

char *mag_buf_take(struct mag_buf *buf)
{
  if (buf->failed || mag_buf_reserve(buf, 0) < 0) {
    mag_buf_done(buf);
    return NULL;
  }
  buf->ptr[buf->len] = 0;
  char *text = buf->ptr;
  memset(buf, 0, sizeof(*buf));
  return text;
}
