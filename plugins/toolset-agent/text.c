#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void text_done(struct text *text)
{
  free(text->ptr);
  *text = (struct text){0};
}

static int reserve(struct text *text, size_t more)
{
  if (text->failed)
    return 0;
  if (text->cap - text->len > more)
    return 1;
  size_t cap = text->cap ? text->cap : 256;
  while (cap - text->len <= more)
    cap *= 2;
  char *ptr = realloc(text->ptr, cap);
  if (!ptr) {
    text->failed = 1;
    return 0;
  }
  text->ptr = ptr;
  text->cap = cap;
  return 1;
}

void text_add(struct text *text, const char *bytes, size_t len)
{
  if (len == 0 || !reserve(text, len))
    return;
  memcpy(text->ptr + text->len, bytes, len);
  text->len += len;
  text->ptr[text->len] = 0;
}

void text_add_str(struct text *text, const char *s)
{
  text_add(text, s, strlen(s));
}

void text_printf(struct text *text, const char *format, ...)
{
  char line[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  if (n > 0)
    text_add(text, line, (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1);
}

int fail(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (err) {
    err->code = code;
    (void) vsnprintf(err->message, sizeof(err->message), format, args);
    err->message[cut_end(err->message, strlen(err->message))] = 0;
  }
  va_end(args);
  return -code;
}

static int continues(char c)
{
  return ((unsigned char) c & 0xC0) == 0x80;
}

size_t cut_end(const char *s, size_t len)
{
  size_t begin = len;
  while (begin > 0 && len - begin < 3 && continues(s[begin - 1]))
    begin--;
  if (begin == 0 || (unsigned char) s[begin - 1] < 0xC0)
    return len;
  unsigned char first = (unsigned char) s[begin - 1];
  size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  return len - (begin - 1) < wanted ? begin - 1 : len;
}

size_t cut_begin(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && n < 3 && continues(s[n]))
    n++;
  return n;
}

/* Edit distance; names are short. */
static size_t distance(struct mbp_str a, const char *b)
{
  size_t row[33], n = strlen(b);
  if (a.len > 32 || n > 32)
    return 99;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t change = diagonal + (a.ptr[i - 1] != b[j - 1]);
      diagonal = row[j];
      size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
      row[j] = change < least ? change : least;
    }
  }
  return row[n];
}

const char *nearest(struct mbp_str name, const char *const *names)
{
  const char *best = NULL;
  size_t least = name.len / 2 + 2;
  for (; *names; names++) {
    size_t d = distance(name, *names);
    if (d < least) {
      least = d;
      best = *names;
    }
  }
  return best;
}
