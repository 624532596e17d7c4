#include "agent/price.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (1024u * 1024)
#define ENTRIES_MAX 10000
#define PATTERN_MAX 200
#define PRICE_MAX (INT64_C(1000000) * 1000000) /* a million for a million tokens */

struct entry {
  char *pattern;
  struct mag_price price;
};

struct mag_prices {
  struct entry *entries;
  size_t n;
  char currency[MAG_CURRENCY_SIZE];
  struct mag_prices *next; /* asked if no entry here matches */
};

void mag_prices_free(struct mag_prices *prices)
{
  while (prices) {
    struct mag_prices *next = prices->next;
    for (size_t i = 0; i < prices->n; i++)
      free(prices->entries[i].pattern);
    free(prices->entries);
    free(prices);
    prices = next;
  }
}

static void prices_cleanup(struct mag_prices **prices)
{
  mag_prices_free(*prices);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* `otherwise` negative: it must be there. */
static int read_price(struct mbp_str entry, const char *pattern, const char *key, int64_t otherwise, int64_t *ret_price,
                      struct mbp_error *err)
{
  struct mbp_str text;
  if (!mag_json_slice(entry, key, &text)) {
    if (otherwise < 0)
      return mag_error(err, MBP_E_INVALID, "%s: \"%s\" is missing", pattern, key);
    *ret_price = otherwise;
    return 0;
  }
  if (mag_parse_micros(text, ret_price) < 0 || *ret_price > PRICE_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: \"%s\" is not a price such as 3 or 0.25", pattern, key);
  return 0;
}

static int read_entry(struct mag_prices *prices, struct mbp_str text, const struct mbp_json *json,
                      struct mbp_error *err)
{
  struct mbp_str pattern = mag_json_str(mag_json_get(json, "model"));
  if (mag_json_type(json) != MBP_JSON_OBJECT || pattern.len == 0 || pattern.len > PATTERN_MAX)
    return mag_error(err, MBP_E_INVALID, "a price without \"model\"");
  struct entry *entry = &prices->entries[prices->n];
  memcpy(entry->price.currency, prices->currency, sizeof(prices->currency));
  entry->pattern = mag_str_dup(pattern);
  if (!entry->pattern)
    return mag_error_no_memory(err);
  prices->n++;
  struct mag_price *price = &entry->price;
  int r = read_price(text, entry->pattern, "input", -1, &price->input, err);
  if (r == 0)
    r = read_price(text, entry->pattern, "output", -1, &price->output, err);
  if (r == 0)
    r = read_price(text, entry->pattern, "cache_write", price->input, &price->cache_write, err);
  if (r == 0)
    r = read_price(text, entry->pattern, "cache_read", price->input, &price->cache_read, err);
  return r;
}

static int read_table(struct mag_prices *prices, struct mbp_str text, struct mbp_error *err)
{
  mag_autojson json = NULL;
  struct mbp_str list = {"", 0}, element;
  size_t at = 0;
  int r = mag_json_parse(text, &json, err);
  if (r < 0)
    return r;
  struct mbp_str currency = mag_json_str(mag_json_get(json, "currency"));
  const struct mbp_json *entries = mag_json_get(json, "prices");
  if (currency.len == 0 || currency.len >= MAG_CURRENCY_SIZE ||
      strspn(currency.ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != currency.len)
    return mag_error(err, MBP_E_INVALID, "\"currency\" is not a code such as USD");
  if (mag_json_type(entries) != MBP_JSON_ARRAY || !mag_json_slice(text, "prices", &list))
    return mag_error(err, MBP_E_INVALID, "\"prices\" is not a list");
  size_t n = mag_json_count(entries);
  if (n > ENTRIES_MAX)
    return mag_error(err, MBP_E_INVALID, "more than %d prices", ENTRIES_MAX);
  memcpy(prices->currency, currency.ptr, currency.len);
  prices->entries = calloc(n + 1, sizeof(*prices->entries));
  if (!prices->entries)
    return mag_error_no_memory(err);
  for (const struct mbp_json *i = mag_json_first(entries); i && r == 0; i = mag_json_next(i))
    if (mag_json_step(list, &at, NULL, &element))
      r = read_entry(prices, element, i, err);
  return r;
}

int mag_prices_read(struct mbp_str json, const char *where, struct mag_prices **ret_prices, struct mbp_error *err)
{
  mag_auto(prices_cleanup) struct mag_prices *prices = calloc(1, sizeof(*prices));
  if (!prices)
    return mag_error_no_memory(err);
  int r = read_table(prices, json, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", where);
  *ret_prices = mag_steal(&prices);
  return 0;
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

/* *ret_prices stays NULL if there is no such file. */
static int read_file(const char *path, struct mag_prices **ret_prices, struct mbp_error *err)
{
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  mag_autobuf text = MAG_BUF_INIT;
  char chunk[16384];
  ssize_t n = 0;
  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR ? 0 : mag_error_errno(err, errno, "%s", path);
  while (text.len <= FILE_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
    mag_buf_add(&text, chunk, (size_t) n);
  if (n < 0)
    return mag_error_errno(err, errno, "%s", path);
  if (text.len > FILE_MAX)
    return mag_error(err, MBP_E_INVALID, "%s: larger than %u KiB", path, FILE_MAX >> 10);
  return mag_prices_read(mag_buf_str(&text), path, ret_prices, err);
}

static char *own_path(void)
{
  const char *config = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
  if (config && config[0] == '/')
    return mag_sprintf("%s/magent/prices.json", config);
  return home && home[0] == '/' ? mag_sprintf("%s/.config/magent/prices.json", home) : NULL;
}

int mag_prices_load(struct mag_prices **ret_prices, struct mbp_error *err)
{
  const char *dir = secure_getenv("MAGENT_CONF_DIR");
  mag_autofree char *installed_path = mag_sprintf("%s/prices.json", dir ? dir : MAGENT_SYSCONFDIR);
  mag_autofree char *path = own_path();
  mag_auto(prices_cleanup) struct mag_prices *own = NULL;
  mag_auto(prices_cleanup) struct mag_prices *installed = NULL;
  int r = installed_path ? read_file(installed_path, &installed, err) : mag_error_no_memory(err);
  if (r == 0 && path)
    r = read_file(path, &own, err);
  if (r < 0)
    return r;
  if (own && installed && strcmp(own->currency, installed->currency) == 0)
    own->next = mag_steal(&installed);
  *ret_prices = own ? mag_steal(&own) : mag_steal(&installed);
  return 0;
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

bool mag_prices_find(const struct mag_prices *prices, const char *provider, const char *model,
                     struct mag_price *ret_price)
{
  mag_autofree char *full = mag_sprintf("%s/%s", provider, model);
  *ret_price = (struct mag_price){0};
  for (; prices && full; prices = prices->next)
    for (size_t i = 0; i < prices->n; i++) {
      const char *pattern = prices->entries[i].pattern;
      if (mag_glob_match(pattern, mbp_str(strchr(pattern, '/') ? full : model))) {
        *ret_price = prices->entries[i].price;
        return true;
      }
    }
  return false;
}

int64_t mag_price_cost(const struct mag_price *price, const struct mbp_usage *usage)
{
  const int64_t million = 1000000;
  const int64_t parts[][2] = {{usage->input, price->input},
                              {usage->output, price->output},
                              {usage->cache_write, price->cache_write},
                              {usage->cache_read, price->cache_read}};
  int64_t whole = 0, rest = 0; /* rest: millionths of a millionth; four parts fit, for prices up to PRICE_MAX */
  for (size_t i = 0; i < MAG_COUNT(parts); i++) {
    int64_t tokens = MAG_MAX(parts[i][0], 0), product;
    if (__builtin_mul_overflow(tokens / million, parts[i][1], &product) ||
        __builtin_add_overflow(whole, product, &whole))
      return INT64_MAX;
    rest += tokens % million * parts[i][1];
  }
  return __builtin_add_overflow(whole, (rest + million / 2) / million, &whole) ? INT64_MAX : whole;
}
