/* clock.h - three clocks: monotonic for deadlines, boot for lifetimes, wall for display. Milliseconds. */
#ifndef MAG_BASE_CLOCK_H
#define MAG_BASE_CLOCK_H

#include <magent/mbp.h>

int64_t mag_clock_monotonic_ms(void);
int64_t mag_clock_monotonic_ns(void);
int64_t mag_clock_boot_ms(void);
int64_t mag_clock_wall_ms(void);

/* "2026-11-23T04:33:57.123Z", 24 characters and a 0. */
#define MAG_TIME_TEXT 25
void mag_clock_format(int64_t wall_ms, char text[MAG_TIME_TEXT]);

/* That, or the beginning of it from the day on: "2026-11-23", "2026-11-23T04:33Z". 0, or -MBP_E_INVALID. */
int mag_clock_parse(const char *text, int64_t *ret_wall_ms);

#endif
