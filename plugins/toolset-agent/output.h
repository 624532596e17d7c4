/* output.h - what a shell prints: the mark that ends a command is taken out, terminal control too, and of a long output
 * the beginning and the end are kept in fixed memory. */
#ifndef TOOLSET_AGENT_OUTPUT_H
#define TOOLSET_AGENT_OUTPUT_H

#include "text.h"

#define NONCE_LEN 32
#define MARK_BYTE '\036'

/* The stream of one command. The mark is MARK_BYTE, the nonce, a space, 1 to 3 digits, MARK_BYTE. */
struct scanner {
  char nonce[NONCE_LEN + 1];
  char held[NONCE_LEN + 8]; /* may be the mark's beginning */
  size_t held_len;
  int found, exit_code;
  int state;      /* inside a control sequence */
  size_t swallowed;
  int return_seen; /* a carriage return waits for what follows */
};

void scanner_start(struct scanner *scanner, const char *nonce);
/* Adds what a reader should see to `fresh`; returns the number of bytes used, fewer than len only once the mark is
 * found. */
size_t scanner_feed(struct scanner *scanner, const char *bytes, size_t len, struct text *fresh);
/* The stream has ended: what was held was no mark. */
void scanner_end(struct scanner *scanner, struct text *fresh);

/* Everything up to `limit`, then only a head and a tail of it. */
struct collector {
  size_t limit;
  struct text all;  /* the whole, while it fits; then at least the head */
  size_t before;    /* bytes of `all` that came before the piece that made it too long */
  struct text tail; /* ring, once it does not */
  size_t tail_at;
  uint64_t total;
};

void collector_done(struct collector *collector);
/* Returns 1 when this piece made it too long: the first `before` bytes of `all` are what came before it. */
int collector_add(struct collector *collector, const char *bytes, size_t len);
/* The text for the model; `note`: where the rest is, or why it is gone. */
void collector_print(const struct collector *collector, const char *note, struct text *ret_text);

#endif
