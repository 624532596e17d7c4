#include "base/clock.h"

#include <magent/mbp.h>
#include <stdio.h>
#include <string.h>

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

static struct timespec after(clockid_t id, int64_t ms)
{
  int64_t ns = read_ns(id) + ms * 1000000;
  return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

struct timespec mag_clock_monotonic_after(int64_t ms)
{
  return after(CLOCK_MONOTONIC, ms);
}

struct timespec mag_clock_wall_after(int64_t ms)
{
  return after(CLOCK_REALTIME, ms);
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

int mag_clock_parse(const char *text, int64_t *ret_wall_ms)
{
  static const char shape[] = "0000-00-00T00:00:00.000Z";
  static const size_t ends[] = {10, 16, 19, 23};
  char filled[] = "0000-01-01T00:00:00.000Z", again[MAG_TIME_TEXT];
  size_t len = strlen(text), end = 0;
  if (len > 10 && text[len - 1] == 'Z')
    len--;
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
    end = len == ends[i] ? len : end;
  for (size_t i = 0; i < end; i++) {
    if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
      return -MBP_E_INVALID;
    filled[i] = text[i];
  }
  struct tm tm = {0};
  int milliseconds = 0;
  if (end == 0 || sscanf(filled, "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                         &tm.tm_min, &tm.tm_sec, &milliseconds) != 7)
    return -MBP_E_INVALID;
  tm.tm_year -= 1900;
  tm.tm_mon--;
  int64_t ms = (int64_t) timegm(&tm) * 1000 + milliseconds;
  mag_clock_format(ms, again); /* no 31st of February */
  if (strcmp(again, filled) != 0)
    return -MBP_E_INVALID;
  *ret_wall_ms = ms;
  return 0;
}
