/* log.h - diagnostics of the program itself. Library code stays at debug and returns errors instead. */
#ifndef MAG_BASE_LOG_H
#define MAG_BASE_LOG_H

#include <magent/mbp.h>

typedef void (*mag_log_sink)(void *ctx, uint32_t level, const char *topic, struct mbp_str message);

/* Where lines go and up to which level (MBP_LOG_*). Default: nowhere. Set before threads start. */
void mag_log_set(mag_log_sink sink, void *ctx, uint32_t level);
void mag_log_str(uint32_t level, const char *topic, struct mbp_str message);

#endif
