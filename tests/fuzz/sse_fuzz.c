/* Server-sent events: whole and byte by byte must tell the same. */
#include "host/sse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BOUND 4096

static void note(struct mag_buf *log, const struct mbp_sse_event *event)
{
  mag_buf_printf(log, "%zu,%zu,%zu,%lld:", event->event.len, event->data.len, event->id.len,
                 (long long) event->retry_ms);
  mag_buf_add_str(log, event->event);
  mag_buf_add_str(log, event->data);
  mag_buf_add_str(log, event->id);
}

static int run(const char *bytes, size_t len, size_t piece, struct mag_buf *log)
{
  struct mag_sse sse;
  int r = 0;
  mag_sse_init(&sse, BOUND);
  for (size_t at = 0; at < len && r >= 0;) {
    struct mbp_sse_event event;
    size_t used = 0, n = len - at < piece ? len - at : piece;
    r = mag_sse_feed(&sse, bytes + at, n, &used, &event);
    if (used > n || (r == 0 && used != n) || (r == 1 && used == 0))
      abort();
    if (r == 1)
      note(log, &event);
    at += used;
  }
  mag_sse_done(&sse);
  return r < 0 ? r : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mag_buf whole = MAG_BUF_INIT, split = MAG_BUF_INIT;
  int a = run((const char *) data, size, SIZE_MAX, &whole);
  int b = run((const char *) data, size, 1, &split);
  if (a != b || whole.len != split.len || (whole.len && memcmp(whole.ptr, split.ptr, whole.len) != 0))
    abort();
  mag_buf_done(&whole);
  mag_buf_done(&split);
  return 0;
}
