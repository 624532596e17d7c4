#include "host/retry.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_MS 500
#define LAST_MS 8000

int64_t mag_retry_delay_ms(unsigned attempt, const struct mbp_error *err)
{
  if (err && err->retry_after_ms > MAG_RETRY_WAIT_MAX_MS)
    return -1;
  if (err && err->retry_after_ms > 0)
    return err->retry_after_ms;
  int64_t delay = FIRST_MS;
  for (unsigned i = 1; i < attempt && delay < LAST_MS; i++)
    delay *= 2;
  uint16_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t) sizeof(random))
    random = 0;
  return delay - delay / 4 * random / UINT16_MAX;
}

bool mag_retry_wanted(unsigned attempt, unsigned max, struct mbp_error *err, bool shown)
{
  if (!err || !(err->flags & MBP_ERR_RETRYABLE) || shown || attempt > max)
    return false;
  if (mag_retry_delay_ms(attempt, err) >= 0)
    return true;
  size_t used = strlen(err->message);
  (void) snprintf(err->message + used, sizeof(err->message) - used, " (asks to wait %lld s: not tried again)",
                  (long long) ((err->retry_after_ms + 999) / 1000));
  return false;
}
