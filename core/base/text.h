/* text.h - UTF-8, string slices, names and globs. */
#ifndef MAG_BASE_TEXT_H
#define MAG_BASE_TEXT_H

#include <magent/mbp.h>
#include <stdbool.h>
#include <stddef.h>

#define MAG_MIN_SIZE(a, b) ((size_t) (a) < (size_t) (b) ? (size_t) (a) : (size_t) (b))

/* Length of the longest prefix of whole, valid UTF-8 characters. */
size_t mag_utf8_valid_prefix(const char *text, size_t len);
bool mag_utf8_valid(const char *text, size_t len);

bool mag_str_eq(struct mbp_str a, struct mbp_str b);
bool mag_str_starts(struct mbp_str s, const char *prefix);
/* 0-terminated copy, or NULL without memory. Caller frees. */
char *mag_str_dup(struct mbp_str s);
char *mag_sprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `*` any run, `?` one character; the whole of `text` must match. */
bool mag_glob_match(const char *pattern, struct mbp_str text);

/* Index of the name nearest to `text` in a NULL-terminated list, or -1 if none is near. */
int mag_nearest(const char *text, const char *const *names);

/* [a-z0-9][a-z0-9-]*, at most 64 long: plugin names. */
bool mag_plugin_name_valid(struct mbp_str name);

/* The end of a noun that is counted: "%lld step%s", n, mag_plural(n). */
static inline const char *mag_plural(int64_t n)
{
  return n == 1 ? "" : "s";
}

/* "64M", "2GiB", "1024" in bytes; "500ms", "30s", "5m", "1h", "2d" in milliseconds (a bare number: seconds); whole
 * decimal numbers. 0, or -MBP_E_INVALID. */
int mag_parse_size(struct mbp_str text, int64_t *ret_bytes);
int mag_parse_duration(struct mbp_str text, int64_t *ret_ms);
int mag_parse_int(struct mbp_str text, int64_t *ret_value);
/* "3", "0.25" in millionths, exactly: at most six decimals, no sign, no exponent. */
int mag_parse_micros(struct mbp_str text, int64_t *ret_micros);
/* And back, with two decimals or as many as it takes: "2.50", "0.001234". NULL without memory. Caller frees. */
char *mag_micros_text(int64_t micros);

#endif
