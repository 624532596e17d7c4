#include "base/json_scan.h"

#include "base/json.h"
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

static int fault(struct mag_json_scan *scan, const char *why)
{
  scan->fault = why;
  return -1;
}

static int peek(const struct mag_json_scan *scan)
{
  return scan->at < scan->len ? (unsigned char) scan->ptr[scan->at] : -1;
}

void mag_json_scan_space(struct mag_json_scan *scan)
{
  int c;
  while ((c = peek(scan)) == ' ' || c == '\n' || c == '\t' || c == '\r')
    scan->at++;
}

static int hex4(struct mag_json_scan *scan, unsigned *ret_value)
{
  unsigned value = 0;
  for (int i = 0; i < 4; i++, scan->at++) {
    int c = peek(scan);
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (c < 0 || digit < 0)
      return fault(scan, "bad \\u escape");
    value = value * 16 + (unsigned) digit;
  }
  *ret_value = value;
  return 0;
}

static int scan_unicode_escape(struct mag_json_scan *scan)
{
  unsigned high, low;
  if (hex4(scan, &high) < 0)
    return -1;
  if (high == 0)
    return fault(scan, "NUL in a string");
  if (high >= 0xdc00 && high <= 0xdfff)
    return fault(scan, "lone surrogate");
  if (high < 0xd800 || high > 0xdbff)
    return 0;
  if (peek(scan) != '\\' || scan->at + 1 >= scan->len || scan->ptr[scan->at + 1] != 'u')
    return fault(scan, "lone surrogate");
  scan->at += 2;
  if (hex4(scan, &low) < 0)
    return -1;
  return low >= 0xdc00 && low <= 0xdfff ? 0 : fault(scan, "lone surrogate");
}

/* Is one of the eight bytes a quote, a backslash or a control character? The borrow of a subtraction can only accuse
 * bytes above one that really is. */
static bool has_special(uint64_t word)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
  uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
  return ((word - ones * 0x20) & ~word & tops) || ((quote - ones) & ~quote & tops) ||
         ((backslash - ones) & ~backslash & tops);
}

/* Over what only stands for itself: nearly all of a long text. */
static void skip_plain(struct mag_json_scan *scan)
{
  for (uint64_t word; scan->len - scan->at >= sizeof(word); scan->at += sizeof(word)) {
    memcpy(&word, scan->ptr + scan->at, sizeof(word));
    if (has_special(word))
      break;
  }
}

int mag_json_scan_string(struct mag_json_scan *scan)
{
  if (peek(scan) != '"')
    return fault(scan, "expected a string");
  scan->at++;
  for (;;) {
    skip_plain(scan);
    int c;
    while ((c = peek(scan)) >= 0x20 && c != '"' && c != '\\')
      scan->at++;
    if (c < 0)
      return fault(scan, "unterminated string");
    scan->at++;
    if (c == '"')
      return 0;
    if (c < 0x20)
      return fault(scan, "control character in a string");
    c = peek(scan);
    scan->at++;
    switch (c) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      break;
    case 'u':
      if (scan_unicode_escape(scan) < 0)
        return -1;
      break;
    default:
      scan->at--;
      return fault(scan, "bad escape");
    }
  }
}

static size_t scan_digits(struct mag_json_scan *scan)
{
  size_t start = scan->at;
  while (peek(scan) >= '0' && peek(scan) <= '9')
    scan->at++;
  return scan->at - start;
}

static int scan_number(struct mag_json_scan *scan)
{
  if (peek(scan) == '-')
    scan->at++;
  bool zero = peek(scan) == '0';
  size_t n = scan_digits(scan);
  if (n == 0 || (zero && n > 1))
    return fault(scan, "bad number");
  if (peek(scan) == '.') {
    scan->at++;
    if (scan_digits(scan) == 0)
      return fault(scan, "bad number");
  }
  if (peek(scan) == 'e' || peek(scan) == 'E') {
    scan->at++;
    if (peek(scan) == '+' || peek(scan) == '-')
      scan->at++;
    if (scan_digits(scan) == 0)
      return fault(scan, "bad number");
  }
  return 0;
}

static int scan_word(struct mag_json_scan *scan, const char *word)
{
  if (!mag_str_starts(mbp_str_n(scan->ptr + scan->at, scan->len - scan->at), word))
    return fault(scan, "expected a value");
  scan->at += strlen(word);
  return 0;
}

static int scan_scalar(struct mag_json_scan *scan)
{
  switch (peek(scan)) {
  case -1:
    return fault(scan, "unexpected end");
  case '"':
    return mag_json_scan_string(scan);
  case 't':
    return scan_word(scan, "true");
  case 'f':
    return scan_word(scan, "false");
  case 'n':
    return scan_word(scan, "null");
  default:
    return scan_number(scan);
  }
}

static int scan_member_key(struct mag_json_scan *scan)
{
  mag_json_scan_space(scan);
  if (mag_json_scan_string(scan) < 0)
    return -1;
  mag_json_scan_space(scan);
  if (peek(scan) != ':')
    return fault(scan, "expected ':'");
  scan->at++;
  return 0;
}

/* Iterative: the depth of hostile text must not become the depth of our stack. */
int mag_json_scan_value(struct mag_json_scan *scan)
{
  char closers[MAG_JSON_DEPTH];
  size_t depth = 0;
  for (;;) {
    mag_json_scan_space(scan);
    int c = peek(scan);
    if (c == '{' || c == '[') {
      if (depth == MAG_JSON_DEPTH)
        return fault(scan, "nested too deeply");
      closers[depth++] = c == '{' ? '}' : ']';
      scan->at++;
      mag_json_scan_space(scan);
      if (peek(scan) != closers[depth - 1]) {
        if (c == '{' && scan_member_key(scan) < 0)
          return -1;
        continue;
      }
      scan->at++;
      depth--;
    } else if (scan_scalar(scan) < 0) {
      return -1;
    }
    /* A value has ended: close what ends here, then go on to the next value, if any. */
    for (;;) {
      if (depth == 0)
        return 0;
      mag_json_scan_space(scan);
      c = peek(scan);
      if (c == ',')
        break;
      if (c != closers[depth - 1])
        return fault(scan, c < 0 ? "unexpected end" : "expected ',' or the end of the array or object");
      scan->at++;
      depth--;
    }
    scan->at++;
    if (closers[depth - 1] == '}' && scan_member_key(scan) < 0)
      return -1;
  }
}
