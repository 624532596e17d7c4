/* block.h - a struct and the texts that it points to in one piece of memory, which one free(3) frees. */
#ifndef MAG_EMBED_BLOCK_H
#define MAG_EMBED_BLOCK_H

#include <magent/mbp.h>
#include <stdlib.h>

/* Zeroed, with room for `n` texts behind the struct; *ret_at is where embed_place puts the first one. NULL without
 * memory. */
static inline void *embed_block(size_t head, const struct mbp_str *texts, size_t n, char **ret_at)
{
  size_t len = n;
  for (size_t i = 0; i < n; i++)
    len += texts[i].len;
  char *block = calloc(1, head + len);
  if (block)
    *ret_at = block + head;
  return block;
}

static inline const char *embed_place(char **at, struct mbp_str text)
{
  char *start = *at;
  if (text.len)
    memcpy(start, text.ptr, text.len);
  start[text.len] = 0;
  *at += text.len + 1;
  return start;
}

/* A block was copied from `from` to `to`: its pointers, which are at `places`, to the texts of the copy. */
static inline void embed_moved(const char **const *places, size_t n, const void *to, const void *from)
{
  for (size_t i = 0; i < n; i++)
    *places[i] = (const char *) to + (*places[i] - (const char *) from);
}

#endif
