#include "embed/list.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

int embed_list_add(struct embed_list *list, void *item, size_t size, struct mbp_error *err)
{
  if (list->n == list->cap) {
    size_t cap = list->cap ? 2 * list->cap : 64;
    struct embed_row *more = realloc(list->rows, cap * sizeof(*more));
    if (!more) {
      free(item);
      return mag_error_no_memory(err);
    }
    list->rows = more;
    list->cap = cap;
  }
  list->rows[list->n++] = (struct embed_row){.item = item, .size = size};
  return 0;
}

void embed_list_done(struct embed_list *list)
{
  for (size_t i = 0; i < list->n; i++)
    free(list->rows[i].item);
  free(list->rows);
}

static size_t aligned(size_t size)
{
  return (size + 15) & ~(size_t) 15;
}

void *embed_list_join(const struct embed_list *list, size_t head, void (*copy)(void *to, const void *from, size_t size),
                      const char *text, const void *const **ret_items, const char **ret_text)
{
  size_t first = aligned(aligned(head) + list->n * sizeof(void *)), total = first, len = strlen(text) + 1;
  for (size_t i = 0; i < list->n; i++)
    total += aligned(list->rows[i].size);
  char *whole = calloc(1, total + len), *at = whole + first;
  if (!whole)
    return NULL;
  const void **items = (const void **) (void *) (whole + aligned(head));
  for (size_t i = 0; i < list->n; i++) {
    copy(at, list->rows[i].item, list->rows[i].size);
    items[i] = at;
    at += aligned(list->rows[i].size);
  }
  *ret_items = items;
  *ret_text = memcpy(at, text, len);
  return whole;
}
