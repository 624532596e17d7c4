/* What an HTTP peer sends: head lines, and the chunked coding, which must give the same whether it comes whole or in
 * two pieces. */
#include "base/error.h"
#include "host/http_chunk.h"
#include "host/http_head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(const char *text, size_t size)
{
  struct mag_http_head head = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  for (size_t at = 0; at < size;) {
    const char *newline = memchr(text + at, '\n', size - at);
    size_t len = newline ? (size_t) (newline - text) - at + 1 : size - at;
    if (mag_http_head_line(&head, text + at, len) < 0 || mag_http_head_trailer(&head, text + at, len) < 0)
      break;
    at += len;
  }
  (void) mag_http_head_find(&head.lines, "retry-after");
  (void) mag_http_head_find(&head.trailers, "x");
  if (mag_http_head_fail(&head, "fuzz", mbp_str(""), &err) >= 0)
    abort();
  mag_http_head_done(&head);
}

/* The body that comes out, its length in *ret_len; `cut`: where the input is divided. */
static int decode(const uint8_t *data, size_t size, size_t cut, char *body, size_t *ret_len)
{
  struct mag_http_chunk chunk = {0};
  size_t n = 0, got;
  if (size) /* an empty input may be NULL */
    memcpy(body, data, size);
  int r = mag_http_chunk_decode(&chunk, body, cut, &got);
  n = got;
  if (r == 0) {
    memmove(body + n, body + cut, size - cut);
    r = mag_http_chunk_decode(&chunk, body + n, size - cut, &got);
    n += got;
  }
  *ret_len = n;
  return r;
}

static void read_chunks(const uint8_t *data, size_t size)
{
  char *whole = malloc(size + 1), *parts = malloc(size + 1);
  size_t n_whole, n_parts;
  int r_whole = decode(data, size, size, whole, &n_whole);
  int r_parts = decode(data, size, size / 2, parts, &n_parts);
  if (r_whole != r_parts || (r_whole >= 0 && (n_whole != n_parts || memcmp(whole, parts, n_whole) != 0)))
    abort();
  free(whole);
  free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size > 65536)
    return 0;
  read_head((const char *) data, size);
  read_chunks(data, size);
  return 0;
}
