#include "host/sse.h"

#include "base/cleanup.h"

#include <string.h>

/* How far to look for a line's end at a time. Without it, looking for the LF in a text that only has CR would read
 * everything that is left once a line. */
#define WINDOW 256
#define KEEP ((size_t) 256 << 10) /* a buffer that one large event made larger is given back */

void mag_sse_init(struct mag_sse *sse, size_t max)
{
  memset(sse, 0, sizeof(*sse));
  sse->max = max ? max : MAG_SSE_MAX;
  sse->retry_ms = -1;
}

void mag_sse_done(struct mag_sse *sse)
{
  mag_buf_done(&sse->line);
  mag_buf_done(&sse->data);
  mag_buf_done(&sse->event);
  mag_buf_done(&sse->id);
}

static void empty(struct mag_buf *buf)
{
  if (buf->cap > KEEP)
    mag_buf_done(buf);
  else
    mag_buf_clear(buf);
}

static int append(struct mag_sse *sse, struct mag_buf *buf, const char *bytes, size_t len)
{
  if (len > sse->max || buf->len > sse->max - len)
    return -MBP_E_LIMIT;
  mag_buf_add(buf, bytes, len);
  return buf->failed ? -MBP_E_NO_MEMORY : 0;
}

static void take_retry(struct mag_sse *sse, const char *digits, size_t len)
{
  int64_t ms = 0;
  if (len == 0 || len > 15)
    return;
  for (size_t i = 0; i < len; i++) {
    if (digits[i] < '0' || digits[i] > '9')
      return;
    ms = ms * 10 + (digits[i] - '0');
  }
  sse->retry_ms = ms;
}

/* One line without its end. 1: it was blank and completes an event. */
static int take_line(struct mag_sse *sse, const char *line, size_t len)
{
  if (len == 0) {
    if (sse->data.len > 0)
      return 1;
    mag_buf_clear(&sse->event);
    return 0;
  }
  const char *colon = memchr(line, ':', len);
  size_t name_len = colon ? (size_t) (colon - line) : len;
  const char *value = colon ? colon + 1 : line + len;
  size_t value_len = (size_t) (line + len - value);
  if (value_len > 0 && value[0] == ' ') {
    value++;
    value_len--;
  }
  if (name_len == 4 && memcmp(line, "data", 4) == 0) {
    int r = append(sse, &sse->data, value, value_len);
    return r < 0 ? r : append(sse, &sse->data, "\n", 1);
  }
  if (name_len == 5 && memcmp(line, "event", 5) == 0) {
    mag_buf_clear(&sse->event);
    return append(sse, &sse->event, value, value_len);
  }
  if (name_len == 2 && memcmp(line, "id", 2) == 0 && !memchr(value, 0, value_len)) {
    mag_buf_clear(&sse->id);
    return append(sse, &sse->id, value, value_len);
  }
  if (name_len == 5 && memcmp(line, "retry", 5) == 0)
    take_retry(sse, value, value_len);
  return 0;
}

/* Offset of the first CR or LF, or `len`. */
static size_t line_end(const char *bytes, size_t len)
{
  for (size_t at = 0; at < len; at += WINDOW) {
    size_t n = MAG_MIN(len - at, (size_t) WINDOW);
    const char *lf = memchr(bytes + at, '\n', n);
    if (lf)
      n = (size_t) (lf - (bytes + at));
    const char *cr = n ? memchr(bytes + at, '\r', n) : NULL;
    if (cr)
      return (size_t) (cr - bytes);
    if (lf)
      return (size_t) (lf - bytes);
  }
  return len;
}

/* Over a byte order mark at the very start, which may come in pieces. One that breaks off was text: it goes into the
 * line. Returns how many bytes were taken. */
static size_t skip_bom(struct mag_sse *sse, const char *bytes, size_t len)
{
  static const char mark[] = "\xef\xbb\xbf";
  size_t used = 0;
  while (sse->bom < 3 && used < len && bytes[used] == mark[sse->bom]) {
    sse->bom++;
    used++;
  }
  if (sse->bom < 3 && used < len) {
    mag_buf_add(&sse->line, mark, sse->bom);
    sse->bom = 3;
  }
  return used;
}

static void show(struct mag_sse *sse, struct mbp_sse_event *ret_event)
{
  memset(ret_event, 0, sizeof(*ret_event));
  ret_event->size = MBP_SIZE(struct mbp_sse_event, retry_ms);
  ret_event->event = mag_buf_str(&sse->event);
  ret_event->data = mbp_str_n(sse->data.ptr, sse->data.len - 1); /* the last LF ends the line */
  ret_event->id = mag_buf_str(&sse->id);
  ret_event->retry_ms = sse->retry_ms;
  sse->dispatched = true;
}

int mag_sse_feed(struct mag_sse *sse, const char *bytes, size_t len, size_t *ret_used, struct mbp_sse_event *ret_event)
{
  if (sse->dispatched) {
    empty(&sse->data);
    empty(&sse->event);
    sse->retry_ms = -1;
    sse->dispatched = false;
  }
  size_t at = sse->bom < 3 ? skip_bom(sse, bytes, len) : 0;
  int r = 0;
  while (at < len) {
    if (sse->skip_lf) {
      sse->skip_lf = false;
      if (bytes[at] == '\n') {
        at++;
        continue;
      }
    }
    const char *line = bytes + at;
    size_t n = line_end(line, len - at);
    bool whole = n < len - at;
    if (whole && sse->line.len == 0) {
      if (n > sse->max) {
        r = -MBP_E_LIMIT;
        break;
      }
      r = take_line(sse, line, n);
    } else {
      r = append(sse, &sse->line, line, n);
      if (r == 0 && whole) {
        r = take_line(sse, sse->line.ptr ? sse->line.ptr : "", sse->line.len);
        empty(&sse->line);
      }
    }
    at += n;
    if (whole)
      sse->skip_lf = bytes[at++] == '\r';
    if (r != 0)
      break;
  }
  *ret_used = at;
  if (r == 1)
    show(sse, ret_event);
  return r;
}
