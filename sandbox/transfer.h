/* transfer.h - what `magent-sandbox put` and `get` have in common with the host.
 *
 *   put mode=OCTAL length=N [beneath=DIR] PATH   stdin to a file; directories are made; all of it or nothing
 *   get limit=N [beneath=DIR] PATH               a header and the content to stdout; regular files only; 0: no limit
 *
 * The exit status is 0 or an errno, EFBIG for a file over the limit. beneath: PATH must lie below DIR, symbolic links
 * and races notwithstanding; inside a sandbox that has walls of its own it is not needed.
 */
#ifndef MAGENT_SANDBOX_TRANSFER_H
#define MAGENT_SANDBOX_TRANSFER_H

#include <stdint.h>

#define MAG_GET_MAGIC 0x6d674631u

struct mag_get_header {
  uint32_t magic;
  uint32_t mode; /* permission bits */
  int64_t length;
};

#endif
