/* text.h - growing text and errors, for this plugin. */
#ifndef TOOLSET_AGENT_TEXT_H
#define TOOLSET_AGENT_TEXT_H

#include <magent/mbp.h>

/* Growing bytes; a failure to get memory is remembered and later additions do nothing. */
struct text {
  char *ptr;
  size_t len, cap;
  int failed;
};

void text_done(struct text *text);
void text_add(struct text *text, const char *bytes, size_t len);
void text_add_str(struct text *text, const char *s);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct mbp_str text_str(const struct text *text)
{
  return mbp_str_n(text->len ? text->ptr : "", text->len);
}
#define auto_text __attribute__((cleanup(text_done))) struct text

/* Fills `err`; returns -code. */
int fail(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Bytes of `s` without a piece of a character at its end; and how many to skip to begin with a whole one. */
size_t cut_end(const char *s, size_t len);
size_t cut_begin(const char *s, size_t len);

/* The one of the NULL-terminated names that is nearest to `name`, or NULL. */
const char *nearest(struct mbp_str name, const char *const *names);

#endif
