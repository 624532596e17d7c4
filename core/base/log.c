#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static mag_log_sink the_sink;
static void *the_ctx;
static uint32_t the_level;

void mag_log_set(mag_log_sink sink, void *ctx, uint32_t level)
{
  the_sink = sink;
  the_ctx = ctx;
  the_level = level;
}

int mag_log_wants(uint32_t level)
{
  return the_sink != NULL && level <= the_level;
}

void mag_log_str(uint32_t level, const char *topic, struct mbp_str message)
{
  if (mag_log_wants(level))
    the_sink(the_ctx, level, topic, message);
}

void mag_log(uint32_t level, const char *topic, const char *format, ...)
{
  if (!mag_log_wants(level))
    return;
  char line[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  if (n > 0)
    the_sink(the_ctx, level, topic, mbp_str_n(line, (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1));
}
