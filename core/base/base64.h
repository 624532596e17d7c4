/* base64.h - standard base64 (RFC 4648, section 4), with padding. */
#ifndef MAG_BASE_BASE64_H
#define MAG_BASE_BASE64_H

#include "base/buf.h"

void mag_base64_encode(struct mag_buf *to, struct mbp_str data);
/* Bytes that the text stands for, or SIZE_MAX if it is no base64. */
size_t mag_base64_decoded(struct mbp_str text);
/* The first bytes, at most `cap`, of text that is known to be base64. */
size_t mag_base64_decode(struct mbp_str text, unsigned char *to, size_t cap);

#endif
