/* http_chunk.h - the chunked coding of HTTP/1.1, decoded in place. Private to the HTTP client (libcurl decodes its own;
 * this one is for answers to an upgrade that was refused). */
#ifndef MAG_HOST_HTTP_CHUNK_H
#define MAG_HOST_HTTP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

struct mag_http_chunk {
  int state; /* 0 at the start */
  int digits;
  uint64_t left;
  size_t trailer; /* bytes of the present trailer line */
  size_t skipped; /* extensions and trailers */
};

#define MAG_HTTP_CHUNK_END 1

/* Decodes `len` bytes in place: *ret_len bytes of the body remain at the front. MAG_HTTP_CHUNK_END: the last chunk and
 * its trailers were seen (what follows is dropped), 0: more to come, -MBP_E_PROTOCOL. */
int mag_http_chunk_decode(struct mag_http_chunk *chunk, char *bytes, size_t len, size_t *ret_len);

#endif
