/* Which lists of blocks a message and a result may be made of. */
#include "agent/state.h"

/* A list of blocks of the first n kinds; *ret_n: how many. */
static bool is_list_of(struct mbp_str content, size_t n_kinds, size_t *ret_n)
{
  static const char *const kinds[] = {"\"text\"", "\"image\"", "\"document\"", "\"search_result\""};
  struct mbp_str block, type;
  size_t at = 0, n = 0;
  if (content.len == 0 || content.ptr[0] != '[')
    return false;
  for (; mag_json_step(content, &at, NULL, &block); n++) {
    bool known = false;
    if (block.ptr[0] != '{' || !mag_json_slice(block, "type", &type))
      return false;
    for (size_t i = 0; i < n_kinds; i++)
      known |= mbp_str_eq(type, kinds[i]);
    if (!known)
      return false;
  }
  *ret_n = n;
  return true;
}

bool mag_state_is_message(struct mbp_str payload)
{
  struct mbp_str content;
  size_t n;
  return mag_json_slice(payload, "content", &content) && is_list_of(content, 3, &n) && n > 0;
}

bool mag_state_is_content(struct mbp_str content)
{
  size_t n;
  return is_list_of(content, 3, &n) && n > 0;
}

bool mag_state_is_result(struct mbp_str content)
{
  size_t n;
  return is_list_of(content, 4, &n);
}
