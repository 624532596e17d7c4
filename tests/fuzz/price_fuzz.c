/* Price tables: any bytes give a table or an error of one line; costs never overflow. */
#include "agent/price.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(int condition)
{
  if (!condition)
    abort();
}

static void check_error(int r, const struct mbp_error *err)
{
  must(r == 0 ||
       (err->message[0] && !strchr(err->message, '\n') && mag_utf8_valid(err->message, strlen(err->message))));
}

static void ask(const struct mag_prices *prices, const char *model)
{
  struct mag_price price;
  const struct mbp_usage small = {.input = 1, .output = 999999, .cache_read = 1000001, .cache_write = 3};
  const struct mbp_usage large = {
      .input = INT64_MAX, .output = INT64_MAX, .cache_read = INT64_MAX, .cache_write = INT64_MAX};
  if (!mag_prices_find(prices, "provider", model, &price))
    return;
  must(price.currency[0] && price.input >= 0 && price.cache_read >= 0);
  must(mag_price_cost(&price, &small) >= 0 && mag_price_cost(&price, &large) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_prices *prices = NULL;
  mag_autofree char *text = mag_str_dup(mbp_str_n((const char *) data, size));
  if (!text)
    return 0;
  int r = mag_prices_read(mbp_str_n(text, size), "file", &prices, &err);
  check_error(r, &err);
  if (r == 0) {
    ask(prices, "a");
    ask(prices, "model-1");
    mag_prices_free(prices);
  }
  return 0;
}
