#include "plugins/common/show.h"

#include <magent/mbp-compute.h>

int mag_show_started(void *ctx, int32_t pid, const char *key)
{
  struct mag_show *show = ctx;
  struct mbp_event event = {
      .size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_EXEC_STARTED, .number = pid, .name = mbp_str(key)};
  return show->host->emit(show->call, &event);
}

int mag_show_output(void *ctx, unsigned stream, int64_t offset, const char *data, size_t len)
{
  struct mag_show *show = ctx;
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                            .type = MBP_EV_EXEC_OUTPUT,
                            .index = stream,
                            .number = offset,
                            .data = mbp_str_n(data, len)};
  return show->host->emit(show->call, &event);
}

int mag_show_data(void *ctx, const char *bytes, size_t len)
{
  struct mag_show *show = ctx;
  struct mbp_event event = {
      .size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_FILE_DATA, .data = mbp_str_n(bytes, len)};
  return show->host->emit(show->call, &event);
}
