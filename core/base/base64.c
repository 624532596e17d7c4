#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mag_base64_encode(struct mag_buf *to, struct mbp_str data)
{
  const unsigned char *from = (const unsigned char *) data.ptr;
  if (mag_buf_reserve(to, (data.len + 2) / 3 * 4) < 0)
    return;
  for (size_t i = 0; i < data.len; i += 3) {
    size_t n = data.len - i < 3 ? data.len - i : 3;
    uint32_t bits = (uint32_t) from[i] << 16 | (n > 1 ? (uint32_t) from[i + 1] << 8 : 0) | (n > 2 ? from[i + 2] : 0);
    char four[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], n > 1 ? alphabet[bits >> 6 & 63] : '=',
                    n > 2 ? alphabet[bits & 63] : '='};
    mag_buf_add(to, four, 4);
  }
}

static int value_of(char c)
{
  const char *found = c ? strchr(alphabet, c) : NULL;
  return found ? (int) (found - alphabet) : -1;
}

static size_t padding(struct mbp_str text)
{
  size_t n = 0;
  while (n < 2 && n < text.len && text.ptr[text.len - 1 - n] == '=')
    n++;
  return n;
}

size_t mag_base64_decoded(struct mbp_str text)
{
  size_t pad = padding(text);
  if (text.len % 4)
    return SIZE_MAX;
  for (size_t i = 0; i < text.len - pad; i++)
    if (value_of(text.ptr[i]) < 0)
      return SIZE_MAX;
  return text.len / 4 * 3 - pad;
}

size_t mag_base64_decode(struct mbp_str text, unsigned char *to, size_t cap)
{
  size_t len = text.len - padding(text), n = 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < len; i++) {
    bits = bits << 6 | (uint32_t) value_of(text.ptr[i]);
    if (i % 4 && n < cap)
      to[n++] = (unsigned char) (bits >> (6 - 2 * (i % 4)));
  }
  return n;
}
