#include "output.h"

#define CONTROL_LIMIT 4096 /* a control sequence that is longer was none */

enum { PLAIN, ESCAPE, CSI, STRING, STRING_ESCAPE, CHARSET };

/* ---- Terminal control -------------------------------------------------------------------------------------------- */

static void show(struct scanner *scanner, char c, struct text *fresh)
{
  if (scanner->return_seen && c != '\r') {
    scanner->return_seen = 0;
    if (c != '\n')
      text_add(fresh, "\n", 1); /* what was drawn over stays readable */
  }
  if (c == '\r')
    scanner->return_seen = 1;
  else if (c == '\n' || c == '\t' || ((unsigned char) c >= ' ' && c != 0x7f))
    text_add(fresh, &c, 1);
}

static void begin_control(struct scanner *scanner, char c)
{
  scanner->swallowed = 0;
  scanner->state = c == '[' ? CSI : c && strchr("]PX^_", c) ? STRING : c >= ' ' && c <= '/' ? CHARSET : PLAIN;
}

static void filter_byte(struct scanner *scanner, char c, struct text *fresh)
{
  if (scanner->state != PLAIN && ++scanner->swallowed > CONTROL_LIMIT)
    scanner->state = PLAIN;
  switch (scanner->state) {
  case PLAIN:
    if (c == '\033') {
      scanner->state = ESCAPE;
      scanner->swallowed = 0;
    } else
      show(scanner, c, fresh);
    break;
  case ESCAPE:
    begin_control(scanner, c);
    break;
  case CSI:
    if (c == '\n' || c == '\033' || (c >= '@' && c <= '~'))
      scanner->state = c == '\033' ? ESCAPE : PLAIN;
    if (c == '\n')
      show(scanner, c, fresh);
    break;
  case STRING:
    if (c == '\a')
      scanner->state = PLAIN;
    else if (c == '\033')
      scanner->state = STRING_ESCAPE;
    else if (c == '\n') { /* never ended: the text goes on */
      scanner->state = PLAIN;
      show(scanner, c, fresh);
    }
    break;
  case STRING_ESCAPE:
    scanner->state = c == '\\' ? PLAIN : STRING;
    break;
  default:
    if (!(c >= ' ' && c <= '/'))
      scanner->state = PLAIN;
  }
}

/* Most output has no control bytes at all: whole runs are taken. */
static void filter(struct scanner *scanner, const char *bytes, size_t len, struct text *fresh)
{
  size_t i = 0;
  while (i < len) {
    size_t run = i;
    if (scanner->state == PLAIN && !scanner->return_seen)
      while (run < len && ((unsigned char) bytes[run] >= ' ' || bytes[run] == '\n') && bytes[run] != 0x7f)
        run++;
    text_add(fresh, bytes + i, run - i);
    i = run;
    if (i < len)
      filter_byte(scanner, bytes[i++], fresh);
  }
}

/* ---- The mark ---------------------------------------------------------------------------------------------------- */

void scanner_start(struct scanner *scanner, const char *nonce)
{
  *scanner = (struct scanner){.held_len = 0};
  memcpy(scanner->nonce, nonce, NONCE_LEN);
}

/* Could the held bytes and this one be the mark's beginning? */
static int fits(const struct scanner *scanner, char c)
{
  size_t at = scanner->held_len;
  if (at == 0)
    return c == MARK_BYTE;
  if (at <= NONCE_LEN)
    return c == scanner->nonce[at - 1];
  if (at == NONCE_LEN + 1)
    return c == ' ';
  size_t digits = at - NONCE_LEN - 2;
  return (c >= '0' && c <= '9' && digits < 3) || (c == MARK_BYTE && digits > 0);
}

static void end_mark(struct scanner *scanner)
{
  scanner->found = 1;
  scanner->exit_code = 0;
  for (size_t i = NONCE_LEN + 2; i < scanner->held_len; i++)
    scanner->exit_code = scanner->exit_code * 10 + (scanner->held[i] - '0');
  scanner->held_len = 0;
}

size_t scanner_feed(struct scanner *scanner, const char *bytes, size_t len, struct text *fresh)
{
  size_t i = 0;
  while (i < len && !scanner->found) {
    if (scanner->held_len == 0) {
      const char *mark = memchr(bytes + i, MARK_BYTE, len - i);
      size_t run = mark ? (size_t) (mark - bytes) : len;
      filter(scanner, bytes + i, run - i, fresh);
      i = run;
      if (i == len)
        break;
    }
    char c = bytes[i];
    if (!fits(scanner, c)) { /* only its first byte is a MARK_BYTE, so nothing in it can begin another mark */
      filter(scanner, scanner->held, scanner->held_len, fresh);
      scanner->held_len = 0;
      continue;
    }
    i++;
    if (scanner->held_len > 0 && c == MARK_BYTE)
      end_mark(scanner);
    else
      scanner->held[scanner->held_len++] = c;
  }
  return i;
}

void scanner_end(struct scanner *scanner, struct text *fresh)
{
  filter(scanner, scanner->held, scanner->held_len, fresh);
  scanner->held_len = 0;
}

/* ---- Head and tail ----------------------------------------------------------------------------------------------- */

static size_t head_size(const struct collector *collector)
{
  return collector->limit / 4 < 16384 ? collector->limit / 4 : 16384;
}

static size_t tail_size(const struct collector *collector)
{
  return collector->limit / 2 < 32768 ? collector->limit / 2 : 32768;
}

void collector_done(struct collector *collector)
{
  text_done(&collector->all);
  text_done(&collector->tail);
}

static void add_tail(struct collector *collector, const char *bytes, size_t len)
{
  size_t size = tail_size(collector);
  if (len > size) {
    bytes += len - size;
    len = size;
  }
  while (len && !collector->tail.failed) {
    if (collector->tail.len < size) {
      size_t n = size - collector->tail.len < len ? size - collector->tail.len : len;
      text_add(&collector->tail, bytes, n);
      bytes += n;
      len -= n;
      continue;
    }
    size_t n = size - collector->tail_at < len ? size - collector->tail_at : len;
    memcpy(collector->tail.ptr + collector->tail_at, bytes, n);
    collector->tail_at = (collector->tail_at + n) % size;
    bytes += n;
    len -= n;
  }
}

int collector_add(struct collector *collector, const char *bytes, size_t len)
{
  int was_short = collector->total <= collector->limit;
  collector->total += len;
  if (collector->total <= collector->limit) {
    text_add(&collector->all, bytes, len);
    return 0;
  }
  if (was_short) {
    /* So that head and tail never overlap and the head is whole. */
    size_t head = head_size(collector), old = collector->all.len, more = old < head ? head - old : 0;
    more = more < len ? more : len;
    collector->before = old;
    text_add(&collector->all, bytes, more);
    if (old > head)
      add_tail(collector, collector->all.ptr + head, old - head);
    add_tail(collector, bytes + more, len - more);
    return 1;
  }
  add_tail(collector, bytes, len);
  return 0;
}

void collector_print(const struct collector *collector, const char *note, struct text *ret_text)
{
  if (collector->total <= collector->limit) {
    text_add(ret_text, collector->all.ptr, collector->all.len);
    return;
  }
  auto_text tail = {0};
  const struct text *ring = &collector->tail;
  if (ring->len) {
    text_add(&tail, ring->ptr + collector->tail_at, ring->len - collector->tail_at);
    text_add(&tail, ring->ptr, collector->tail_at);
  }
  size_t limit = head_size(collector), have = collector->all.len < limit ? collector->all.len : limit;
  size_t head = have ? cut_end(collector->all.ptr, have) : 0;
  size_t skip = tail.len ? cut_begin(tail.ptr, tail.len) : 0;
  text_printf(ret_text, "[%llu bytes of output, shortened in the middle; %s]\n", (unsigned long long) collector->total,
              note);
  text_add(ret_text, collector->all.ptr, head);
  text_printf(ret_text, "\n\n[... %llu bytes left out ...]\n\n",
              (unsigned long long) (collector->total - head - (tail.len - skip)));
  text_add(ret_text, tail.ptr + skip, tail.len - skip);
}
