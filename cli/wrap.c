#include "wrap.h"

#include <stdbool.h>

int cli_columns(struct mbp_str text)
{
  int n = 0;
  for (size_t i = 0; i < text.len; i++)
    n += ((unsigned char) text.ptr[i] & 0xc0) != 0x80;
  return n;
}

/* What a plugin says is shown on terminals, which obey control characters. */
void cli_put_clean(FILE *out, struct mbp_str text)
{
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char) text.ptr[i];
    bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char) text.ptr[i + 1] < 0xa0;
    (void) fputc(c < 0x20 || c == 0x7f || c1 ? '?' : c, out);
    i += c1;
  }
}

static struct mbp_str next_word(struct mbp_str *text)
{
  size_t n = 0;
  while (n < text->len && text->ptr[n] != ' ' && text->ptr[n] != '\n' && text->ptr[n] != '\t')
    n++;
  struct mbp_str word = mbp_str_n(text->ptr, n);
  *text = mbp_str_n(text->ptr + n, text->len - n);
  return word;
}

void cli_wrap(FILE *out, int width, int at, int indent, struct mbp_str text)
{
  bool fresh = true; /* at the beginning of a line */
  while (text.len) {
    if (*text.ptr == '\n') {
      (void) fputc('\n', out);
      text = mbp_str_n(text.ptr + 1, text.len - 1);
      at = -1;
      fresh = true;
    } else if (*text.ptr == ' ' || *text.ptr == '\t') {
      text = mbp_str_n(text.ptr + 1, text.len - 1);
    } else {
      struct mbp_str word = next_word(&text);
      int n = cli_columns(word);
      if (!fresh && at + 1 + n > width) {
        (void) fputc('\n', out);
        at = -1;
        fresh = true;
      }
      if (at < 0) {
        (void) fprintf(out, "%*s", indent, "");
        at = indent;
      }
      if (!fresh) {
        (void) fputc(' ', out);
        at++;
      }
      cli_put_clean(out, word);
      at += n;
      fresh = false;
    }
  }
  (void) fputc('\n', out);
}
