#include "names.h"

#include <stdio.h>

static int is_legal(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static uint32_t hash(struct mbp_str s) /* FNV-1a */
{
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < s.len; i++)
    h = (h ^ (unsigned char) s.ptr[i]) * 16777619u;
  return h;
}

void openai_name_out(struct mbp_str name, char ret_name[OPENAI_NAME_CAP])
{
  size_t n = 0;
  int legal = name.len > 0 && name.len < OPENAI_NAME_CAP;
  for (; n < name.len && n < OPENAI_NAME_CAP - 1; n++) {
    ret_name[n] = is_legal(name.ptr[n]) ? name.ptr[n] : '_';
    legal = legal && is_legal(name.ptr[n]);
  }
  ret_name[n] = 0;
  if (legal)
    return;
  if (n > OPENAI_NAME_CAP - 10)
    n = OPENAI_NAME_CAP - 10;
  (void) snprintf(ret_name + n, OPENAI_NAME_CAP - n, "_%08x", (unsigned) hash(name));
}

struct mbp_str openai_name_in(const struct mbp_llm_request *request, struct mbp_str wire_name)
{
  for (size_t i = 0; request && i < request->n_tools; i++) {
    char out[OPENAI_NAME_CAP];
    openai_name_out(request->tools[i].name, out);
    if (mbp_str_eq(wire_name, out))
      return request->tools[i].name;
  }
  return wire_name;
}
