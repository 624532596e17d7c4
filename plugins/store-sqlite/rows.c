/* Rows that were fetched and are to be emitted. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

static int reserve_bytes(struct store_rows *rows, size_t more)
{
  if (rows->bytes_cap - rows->len >= more)
    return 0;
  size_t cap = rows->bytes_cap ? rows->bytes_cap : 4096;
  while (cap - rows->len < more)
    cap *= 2;
  char *bytes = realloc(rows->bytes, cap);
  if (!bytes)
    return -MBP_E_NO_MEMORY;
  rows->bytes = bytes;
  rows->bytes_cap = cap;
  return 0;
}

static size_t add_text(struct store_rows *rows, struct mbp_str text)
{
  size_t at = rows->len;
  if (text.len)
    memcpy(rows->bytes + at, text.ptr, text.len);
  rows->len += text.len;
  return at;
}

int store_rows_add(struct store_rows *rows, const struct mbp_record *record, int64_t position)
{
  if (rows->n == rows->cap) {
    size_t cap = rows->cap ? 2 * rows->cap : 16;
    struct store_row *larger = realloc(rows->rows, cap * sizeof(*larger));
    if (!larger)
      return -MBP_E_NO_MEMORY;
    rows->rows = larger;
    rows->cap = cap;
  }
  if (reserve_bytes(rows, record->type.len + record->payload.len) < 0)
    return -MBP_E_NO_MEMORY;
  struct store_row *row = &rows->rows[rows->n++];
  *row = (struct store_row){.record = *record, .position = position};
  row->type_at = add_text(rows, record->type);
  row->payload_at = add_text(rows, record->payload);
  return 0;
}

struct mbp_record store_rows_record(const struct store_rows *rows, size_t index)
{
  const struct store_row *row = &rows->rows[index];
  struct mbp_record record = row->record;
  record.type.ptr = rows->bytes ? rows->bytes + row->type_at : "";
  record.payload.ptr = rows->bytes ? rows->bytes + row->payload_at : "";
  return record;
}

void store_rows_clear(struct store_rows *rows)
{
  rows->n = rows->len = 0;
}

void store_rows_done(struct store_rows *rows)
{
  free(rows->rows);
  free(rows->bytes);
}
