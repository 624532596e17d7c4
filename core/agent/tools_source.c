#include "agent/tools_source.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void mag_tools_source_done(struct mag_tools_source *source)
{
  free(source->file);
  free(source->text);
  *source = (struct mag_tools_source){NULL, NULL};
}

/* Takes both; either may be NULL for want of memory. */
static int set(struct mag_tools_source *source, char *file, char *text, struct mbp_error *err)
{
  mag_tools_source_done(source);
  *source = (struct mag_tools_source){file, text};
  if (file && text)
    return 0;
  mag_tools_source_done(source);
  return mag_error_no_memory(err);
}

int mag_tools_source_read(struct mag_tools_source *source, struct mbp_str document, const char *file,
                          struct mbp_error *err)
{
  struct mag_buf text = MAG_BUF_INIT;
  struct mbp_str array;
  if (!mag_json_slice(document, "tools", &array))
    return 0;
  for (const char *p = document.ptr; p < array.ptr; p++)
    if (*p == '\n')
      mag_buf_add_char(&text, '\n');
  mag_buf_add_str(&text, array);
  return set(source, mag_str_dup(mbp_str(file)), mag_buf_take(&text), err);
}

int mag_tools_source_copy(struct mag_tools_source *to, const struct mag_tools_source *from, struct mbp_error *err)
{
  if (from->file)
    return set(to, mag_str_dup(mbp_str(from->file)), mag_str_dup(mbp_str(from->text)), err);
  mag_tools_source_done(to);
  return 0;
}

/* Where that key begins, or else the first one. */
static const char *find_key(struct mbp_str entry, const char *wanted)
{
  struct mbp_str key, value;
  size_t at = 0;
  while (entry.ptr[0] == '{' && mag_json_step(entry, &at, &key, &value))
    if (mbp_str_eq(key, wanted))
      return key.ptr;
  const char *first = memchr(entry.ptr, '"', entry.len);
  return first ? first : entry.ptr;
}

char *mag_tools_source_place(const struct mag_tools_source *source, size_t index, const char *key)
{
  struct mbp_str entry;
  size_t at = 0, n = 0;
  bool named = false; /* all names are one entry, where the first of them stands */
  if (!source->file)
    return NULL;
  size_t newlines = strspn(source->text, "\n");
  struct mbp_str array = mbp_str(source->text + newlines);
  while (mag_json_step(array, &at, NULL, &entry)) {
    bool name = entry.ptr[0] == '"';
    if (name && named)
      continue;
    named |= name;
    if (n++ < index)
      continue;
    const char *place = find_key(entry, key);
    for (const char *p = array.ptr; p < place; p++)
      newlines += *p == '\n';
    return mag_sprintf("%s:%zu", source->file, newlines + 1);
  }
  return NULL;
}
