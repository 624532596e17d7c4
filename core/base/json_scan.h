/* json_scan.h - walks JSON text without building anything. Private to base. */
#ifndef MAG_BASE_JSON_SCAN_H
#define MAG_BASE_JSON_SCAN_H

#include <magent/mbp.h>

struct mag_json_scan {
  const char *ptr;
  size_t len, at;
  const char *fault; /* why it stopped; static */
};

void mag_json_scan_space(struct mag_json_scan *scan);
/* Over one value, validating it. 0, or -1 with fault and at set. */
int mag_json_scan_value(struct mag_json_scan *scan);
int mag_json_scan_string(struct mag_json_scan *scan);

#endif
