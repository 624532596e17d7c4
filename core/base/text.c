#include "base/text.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the character at p (1-4); 0 if it is invalid or unfinished. */
static int utf8_char(const unsigned char *p, size_t len)
{
  static const unsigned char least[] = {0, 0, 0x80, 0xa0, 0x90}; /* of the second byte after E0, F0 */
  if (p[0] < 0x80)
    return 1;
  int need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4)
    return 0;
  for (int i = 1; i < need; i++) {
    if ((size_t) i == len || (p[i] & 0xc0) != 0x80)
      return 0;
    if (i > 1)
      continue;
    if ((p[0] == 0xe0 || p[0] == 0xf0) && p[1] < least[need])
      return 0;
    if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f)) /* surrogates; above U+10FFFF */
      return 0;
  }
  return need;
}

/* Over ASCII eight bytes at a time: most of what is checked is nothing else. */
static size_t skip_ascii(const char *text, size_t len, size_t at)
{
  for (uint64_t word; len - at >= sizeof(word); at += sizeof(word)) {
    memcpy(&word, text + at, sizeof(word));
    if (word & UINT64_C(0x8080808080808080))
      break;
  }
  return at;
}

size_t mag_utf8_valid_prefix(const char *text, size_t len)
{
  size_t at = skip_ascii(text, len, 0);
  while (at < len) {
    if (len - at >= 8 && (at & 7) == 0)
      at = skip_ascii(text, len, at);
    if (at == len)
      break;
    int n = utf8_char((const unsigned char *) text + at, len - at);
    if (n == 0)
      break;
    at += (size_t) n;
  }
  return at;
}

bool mag_utf8_valid(const char *text, size_t len)
{
  return mag_utf8_valid_prefix(text, len) == len;
}

bool mag_str_eq(struct mbp_str a, struct mbp_str b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool mag_str_starts(struct mbp_str s, const char *prefix)
{
  size_t n = strlen(prefix);
  return s.len >= n && memcmp(s.ptr, prefix, n) == 0;
}

char *mag_str_dup(struct mbp_str s)
{
  char *copy = malloc(s.len + 1);
  if (!copy)
    return NULL;
  if (s.len)
    memcpy(copy, s.ptr, s.len);
  copy[s.len] = 0;
  return copy;
}

char *mag_sprintf(const char *format, ...)
{
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int n = vasprintf(&text, format, args);
  va_end(args);
  return n < 0 ? NULL : text;
}

bool mag_glob_match(const char *pattern, struct mbp_str text)
{
  const char *star = NULL;
  size_t at = 0, star_at = 0;
  while (at < text.len) {
    if (*pattern == '*') {
      star = pattern++;
      star_at = at;
    } else if (*pattern && (*pattern == '?' || *pattern == text.ptr[at])) {
      pattern++;
      at++;
    } else if (star) {
      pattern = star + 1;
      at = ++star_at;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return *pattern == 0;
}

/* Levenshtein distance of names shorter than 64; longer ones are never near. */
static size_t distance(const char *a, const char *b)
{
  size_t row[64], na = strlen(a), nb = strlen(b);
  if (na >= 64 || nb >= 64)
    return SIZE_MAX;
  for (size_t j = 0; j <= nb; j++)
    row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = MAG_MIN(change, MAG_MIN(row[j], row[j - 1]) + 1);
    }
  }
  return row[nb];
}

int mag_nearest(const char *text, const char *const *names)
{
  int best = -1;
  size_t best_distance = strlen(text) / 3 + 2;
  for (int i = 0; names[i]; i++) {
    size_t d = distance(text, names[i]);
    if (d < best_distance) {
      best = i;
      best_distance = d;
    }
  }
  return best;
}

bool mag_plugin_name_valid(struct mbp_str name)
{
  if (name.len == 0 || name.len > 64 || name.ptr[0] == '-')
    return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
      return false;
  }
  return true;
}

int mag_parse_int(struct mbp_str text, int64_t *ret_value)
{
  size_t at = 0;
  bool negative = text.len > 1 && text.ptr[0] == '-';
  int64_t value = 0;
  if (negative)
    at++;
  if (at == text.len)
    return -MBP_E_INVALID;
  for (; at < text.len; at++) {
    if (text.ptr[at] < '0' || text.ptr[at] > '9')
      return -MBP_E_INVALID;
    int digit = text.ptr[at] - '0';
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
      return -MBP_E_INVALID;
  }
  /* Collected as a negative number, whose range is larger by one. */
  if (!negative && value == INT64_MIN)
    return -MBP_E_INVALID;
  *ret_value = negative ? value : -value;
  return 0;
}

int mag_parse_micros(struct mbp_str text, int64_t *ret_micros)
{
  size_t digits = 0, decimals = 0, at = 0;
  int64_t value = 0;
  for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++, digits++)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text.ptr[at] - '0', &value))
      return -MBP_E_INVALID;
  bool point = at < text.len && text.ptr[at] == '.';
  for (at += point; decimals < 6; decimals++) {
    bool digit = point && at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9';
    if (point && decimals == 0 && !digit)
      return -MBP_E_INVALID;
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, digit ? text.ptr[at] - '0' : 0, &value))
      return -MBP_E_INVALID;
    point = digit;
    at += digit;
  }
  if (digits == 0 || at != text.len)
    return -MBP_E_INVALID;
  *ret_micros = value;
  return 0;
}

char *mag_micros_text(int64_t micros)
{
  char *text = mag_sprintf("%lld.%06lld", (long long) (micros / 1000000), (long long) (micros % 1000000));
  size_t n = text ? strlen(text) : 0, least = n - 4; /* the point and two decimals */
  while (n > least && text[n - 1] == '0')
    text[--n] = 0;
  return text;
}

struct unit {
  const char *name;
  int64_t factor;
};

static int parse_unit(struct mbp_str text, const struct unit *units, int64_t *ret_value)
{
  size_t digits = 0;
  while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
    digits++;
  int64_t value;
  if (digits == 0 || mag_parse_int(mbp_str_n(text.ptr, digits), &value) < 0)
    return -MBP_E_INVALID;
  for (; units->name; units++) {
    if (!mbp_str_eq(mbp_str_n(text.ptr + digits, text.len - digits), units->name))
      continue;
    if (__builtin_mul_overflow(value, units->factor, &value))
      return -MBP_E_INVALID;
    *ret_value = value;
    return 0;
  }
  return -MBP_E_INVALID;
}

int mag_parse_size(struct mbp_str text, int64_t *ret_bytes)
{
  static const struct unit units[] = {
      {"", 1},          {"B", 1},       {"K", 1 << 10},   {"KiB", 1 << 10},        {"M", 1 << 20},
      {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}, {"T", INT64_C(1) << 40}, {"TiB", INT64_C(1) << 40},
      {NULL, 0},
  };
  return parse_unit(text, units, ret_bytes);
}

int mag_parse_duration(struct mbp_str text, int64_t *ret_ms)
{
  static const struct unit units[] = {
      {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
  };
  return parse_unit(text, units, ret_ms);
}
