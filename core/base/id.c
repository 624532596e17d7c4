#include "base/id.h"

#include "base/clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

void mag_id_random(char *text, size_t n)
{
  unsigned char bytes[64];
  for (size_t at = 0; at < n;) {
    /* Never fails for so few bytes once the kernel's pool is ready; then it is the machine that is broken. */
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
      abort();
    for (size_t i = 0; i < sizeof(bytes) && at < n; i++)
      if (bytes[i] < 252) /* 7 * 36: no digit is more likely than another */
        text[at++] = digits[bytes[i] % 36];
  }
  text[n] = 0;
}

void mag_id_new(char id[MAG_ID_SIZE], const char *prefix)
{
  size_t n = strnlen(prefix, 16);
  memcpy(id, prefix, n);
  uint64_t time = (uint64_t) mag_clock_wall_ms();
  for (int i = 8; i >= 0; i--) {
    id[n + (size_t) i] = digits[time % 36];
    time /= 36;
  }
  mag_id_random(id + n + 9, 17);
}
