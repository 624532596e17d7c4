#include "base/log.h"

static mag_log_sink the_sink;
static void *the_ctx;
static uint32_t the_level;

void mag_log_set(mag_log_sink sink, void *ctx, uint32_t level)
{
  the_sink = sink;
  the_ctx = ctx;
  the_level = level;
}

void mag_log_str(uint32_t level, const char *topic, struct mbp_str message)
{
  if (the_sink && level <= the_level)
    the_sink(the_ctx, level, topic, message);
}
