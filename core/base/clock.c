#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
  struct timespec t;
  (void) clock_gettime(id, &t);
  return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t mag_clock_monotonic_ns(void)
{
  return read_ns(CLOCK_MONOTONIC);
}

int64_t mag_clock_monotonic_ms(void)
{
  return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t mag_clock_boot_ms(void)
{
  return read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t mag_clock_wall_ms(void)
{
  return read_ns(CLOCK_REALTIME) / 1000000;
}

void mag_clock_format(int64_t wall_ms, char text[MAG_TIME_TEXT])
{
  time_t seconds = (time_t) (wall_ms / 1000);
  struct tm tm;
  char buf[64];
  if (wall_ms < 0 || !gmtime_r(&seconds, &tm) || tm.tm_year > 8099) {
    memcpy(text, "1970-01-01T00:00:00.000Z", MAG_TIME_TEXT);
    return;
  }
  (void) snprintf(buf, sizeof(buf), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                  tm.tm_hour, tm.tm_min, tm.tm_sec, (int) (wall_ms % 1000));
  memcpy(text, buf, MAG_TIME_TEXT - 1);
  text[MAG_TIME_TEXT - 1] = 0;
}

int64_t mag_clock_parse(struct mbp_str text)
{
  struct tm tm = {0};
  int ms = 0, end = 0;
  char buf[MAG_TIME_TEXT];
  if (text.len != MAG_TIME_TEXT - 1)
    return 0;
  memcpy(buf, text.ptr, text.len);
  buf[text.len] = 0;
  if (sscanf(buf, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
             &tm.tm_sec, &ms, &end) != 7 ||
      end != MAG_TIME_TEXT - 1)
    return 0;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return (int64_t) timegm(&tm) * 1000 + ms;
}
