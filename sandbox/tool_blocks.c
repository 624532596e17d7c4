#include "sandbox/tool_common.h"

int tool_blocks(const char *text, size_t len, struct tool_block ret_blocks[2])
{
  struct tool_block blocks[2];
  size_t at = 0;
  for (int i = 0; i < 2; i++) {
    size_t n = 0, digits = 0;
    for (; at < len && text[at] >= '0' && text[at] <= '9' && digits < 10; at++, digits++)
      n = n * 10 + (size_t) (text[at] - '0');
    if (digits == 0 || at >= len || text[at] != '\n')
      return -1;
    at++;
    if (n > len - at)
      return -1;
    blocks[i] = (struct tool_block){text + at, n};
    at += n;
  }
  if (at != len)
    return -1;
  ret_blocks[0] = blocks[0];
  ret_blocks[1] = blocks[1];
  return 0;
}
