/* id.h - identifiers: a prefix and 26 characters of [0-9a-z], the first 9 of which grow with time, so that ids sort by
 * age; the others are random. */
#ifndef MAG_BASE_ID_H
#define MAG_BASE_ID_H

#include <stddef.h>

#define MAG_ID_SIZE 48 /* of any id with its prefix and a 0 */

/* prefix: "sesn_", "sevt_" ... at most 16 long. */
void mag_id_new(char id[MAG_ID_SIZE], const char *prefix);

/* n random characters of [0-9a-z] and a 0. */
void mag_id_random(char *text, size_t n);

#endif
