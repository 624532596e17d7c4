/* list.h - structs, one piece of memory each with its texts (block.h), joined to a list that is one as well. */
#ifndef MAG_EMBED_LIST_H
#define MAG_EMBED_LIST_H

#include <magent/mbp.h>

struct embed_list {
  struct embed_row {
    void *item;
    size_t size; /* with its texts */
  } * rows;
  size_t n, cap;
};

/* Takes `item`, also when it fails. */
int embed_list_add(struct embed_list *list, void *item, size_t size, struct mbp_error *err);
void embed_list_done(struct embed_list *list);

/* `head` zeroed bytes, the pointers to the items, the items, which `copy` puts there, and a text. The caller frees;
 * NULL without memory. */
void *embed_list_join(const struct embed_list *list, size_t head, void (*copy)(void *to, const void *from, size_t size),
                      const char *text, const void *const **ret_items, const char **ret_text);

#endif
