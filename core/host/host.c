#include "host/host.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/call.h"
#include "host/config.h"
#include "host/services.h"

#include <stdlib.h>
#include <string.h>

static void host_log(void *ctx, uint32_t level, struct mbp_str message)
{
  mag_log_str(level, ctx, message);
}

static int64_t host_clock(void *ctx, uint32_t clock)
{
  (void) ctx;
  return clock == MBP_CLOCK_BOOT   ? mag_clock_boot_ms()
         : clock == MBP_CLOCK_WALL ? mag_clock_wall_ms()
                                   : mag_clock_monotonic_ms();
}

static const void *host_interface(void *ctx, const char *name)
{
  (void) ctx;
  return mag_service_find(name);
}

const struct mbp_host *mag_host_for(const char *plugin_name)
{
  struct mbp_host *host = calloc(1, sizeof(*host));
  char *topic = strdup(plugin_name);
  if (!host || !topic) {
    free(host);
    free(topic);
    return NULL;
  }
  *host = (struct mbp_host){
      .size = MBP_SIZE(struct mbp_host, session_id),
      .abi_major = MBP_ABI_MAJOR,
      .abi_minor = MBP_ABI_MINOR,
      .ctx = topic,
      .log = host_log,
      .clock_ms = host_clock,
      .get_interface = host_interface,
      .config_str = mag_config_str,
      .config_int = mag_config_int,
      .config_item = mag_config_item,
      .emit = mag_call_emit,
      .emit_fd = mag_call_emit_fd,
      .done = mag_call_done,
      .cancelled = mag_call_cancelled,
      .cancel_fd = mag_call_cancel_fd,
      .deadline_ms = mag_call_deadline_ms,
      .trace_id = mag_call_trace_id,
      .session_id = mag_call_session_id,
  };
  return host;
}
