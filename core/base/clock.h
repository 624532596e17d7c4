/* clock.h - three clocks: monotonic for deadlines, boot for lifetimes, wall for display. Milliseconds. */
#ifndef MAG_BASE_CLOCK_H
#define MAG_BASE_CLOCK_H

#include <magent/mbp.h>
#include <time.h>

int64_t mag_clock_monotonic_ms(void);
int64_t mag_clock_monotonic_ns(void);
int64_t mag_clock_boot_ms(void);
int64_t mag_clock_wall_ms(void);

/* That time from now, for what waits until a time: conditions (of the clock that they are made for), semaphores. */
struct timespec mag_clock_monotonic_after(int64_t ms);
struct timespec mag_clock_wall_after(int64_t ms);

/* "2026-11-23T04:33:57.123Z", 24 characters and a 0. */
#define MAG_TIME_TEXT 25
void mag_clock_format(int64_t wall_ms, char text[MAG_TIME_TEXT]);

/* That, or the beginning of it from the day on: "2026-11-23", "2026-11-23T04:33Z". 0, or -MBP_E_INVALID. */
int mag_clock_parse(const char *text, int64_t *ret_wall_ms);

#endif
