/* What comes out of a sandbox's shell: the scanner for the mark and for terminal control, and head and tail. The first
 * byte says how the rest is split. */
#include "plugins/toolset-agent/output.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x) ((x) ? (void) 0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2)
    return 0;
  size_t piece = data[0] % 64 + 1, at = 1;
  struct scanner scanner;
  struct collector collector = {.limit = 256};
  struct text whole = {0}, print = {0};
  scanner_start(&scanner, "0123456789abcdef0123456789abcdef");
  while (at < size && !scanner.found) {
    struct text fresh = {0};
    size_t n = piece < size - at ? piece : size - at,
           used = scanner_feed(&scanner, (const char *) data + at, n, &fresh);
    REQUIRE(used == n || scanner.found);
    REQUIRE(fresh.len <= n + sizeof(scanner.held) + 1);
    if (fresh.len) {
      text_add(&whole, fresh.ptr, fresh.len);
      (void) collector_add(&collector, fresh.ptr, fresh.len);
    }
    text_done(&fresh);
    at += used;
  }
  REQUIRE(!scanner.found || (scanner.exit_code >= 0 && scanner.exit_code <= 999));
  for (size_t i = 0; i < whole.len; i++)
    REQUIRE((unsigned char) whole.ptr[i] >= ' ' || whole.ptr[i] == '\n' || whole.ptr[i] == '\t');
  REQUIRE(collector.total == whole.len);
  collector_print(&collector, "note", &print);
  REQUIRE(whole.len > 256 ||
          (print.len == whole.len && (whole.len == 0 || memcmp(print.ptr, whole.ptr, whole.len) == 0)));
  collector_done(&collector);
  text_done(&whole);
  text_done(&print);
  return 0;
}
