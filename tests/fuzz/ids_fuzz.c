/* Files of ids: any bytes give ids or an error of one line; ids survive the way into text and back. */
#include "agent/ids.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(int condition)
{
  if (!condition)
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_ids ids, back;
  if (mag_ids_read(mbp_str_n((const char *) data, size), "file", &ids, &err) < 0) {
    must(err.message[0] && !strchr(err.message, '\n') && mag_utf8_valid(err.message, strlen(err.message)));
    return 0;
  }
  mag_autofree char *again = mag_ids_text(&ids);
  must(again && mag_ids_read(mbp_str(again), "text", &back, &err) == 0 && memcmp(&ids, &back, sizeof(ids)) == 0);
  return 0;
}
