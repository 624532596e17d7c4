#include "host/http_chunk.h"

#include "base/cleanup.h"

#include <magent/mbp.h>
#include <string.h>

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF };

#define SKIPPED_MAX 65536

static int hex(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

static int take_size(struct mag_http_chunk *chunk, char c)
{
  int value = hex(c);
  if (value >= 0) {
    if (++chunk->digits > 15)
      return -MBP_E_PROTOCOL;
    chunk->left = chunk->left * 16 + (uint64_t) value;
    return 0;
  }
  if (chunk->digits == 0)
    return -MBP_E_PROTOCOL;
  if (c == '\r')
    chunk->state = SIZE_LF;
  else if (c == ';' || c == ' ' || c == '\t')
    chunk->state = EXTENSION;
  else
    return -MBP_E_PROTOCOL;
  return 0;
}

/* One byte that is not data. */
static int take(struct mag_http_chunk *chunk, char c)
{
  switch (chunk->state) {
  case SIZE:
    return take_size(chunk, c);
  case EXTENSION:
    if (c == '\r')
      chunk->state = SIZE_LF;
    return c == '\n' || ++chunk->skipped > SKIPPED_MAX ? -MBP_E_PROTOCOL : 0;
  case SIZE_LF:
    chunk->state = chunk->left ? DATA : TRAILER;
    return c == '\n' ? 0 : -MBP_E_PROTOCOL;
  case DATA_CR:
    chunk->state = DATA_LF;
    return c == '\r' ? 0 : -MBP_E_PROTOCOL;
  case DATA_LF:
    chunk->state = SIZE;
    chunk->digits = 0;
    return c == '\n' ? 0 : -MBP_E_PROTOCOL;
  case TRAILER:
    if (c == '\r')
      chunk->state = TRAILER_LF;
    else
      chunk->trailer++;
    return ++chunk->skipped > SKIPPED_MAX ? -MBP_E_PROTOCOL : 0;
  default: /* TRAILER_LF */
    if (c != '\n')
      return -MBP_E_PROTOCOL;
    chunk->state = TRAILER;
    if (chunk->trailer == 0)
      return MAG_HTTP_CHUNK_END;
    chunk->trailer = 0;
    return 0;
  }
}

int mag_http_chunk_decode(struct mag_http_chunk *chunk, char *bytes, size_t len, size_t *ret_len)
{
  size_t out = 0, at = 0;
  int r = 0;
  while (at < len && r == 0) {
    if (chunk->state != DATA) {
      r = take(chunk, bytes[at++]);
      continue;
    }
    size_t n = (size_t) MAG_MIN((uint64_t) (len - at), chunk->left);
    memmove(bytes + out, bytes + at, n);
    out += n;
    at += n;
    chunk->left -= n;
    if (chunk->left == 0)
      chunk->state = DATA_CR;
  }
  *ret_len = out;
  return r;
}
