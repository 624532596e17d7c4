/* price.h - what models cost: a table that is data, in prices.json.
 *
 *   {"currency": "USD", "prices": [{"model": "name-*", "input": 3, "output": 15, "cache_write": 3.75,
 *                                   "cache_read": 0.3}, ...]}
 *
 * Prices are for a million tokens, with at most six decimals; without cache_write or cache_read those tokens cost what
 * input does. A pattern with a slash is compared with "provider/name", another with the name; the first that matches
 * counts. A model that matches none has no price, which is not the price 0. All arithmetic is in whole millionths.
 */
#ifndef MAG_AGENT_PRICE_H
#define MAG_AGENT_PRICE_H

#include <magent/mbp-llm.h>
#include <stdbool.h>

#define MAG_CURRENCY_SIZE 8

/* Millionths of the currency for a million tokens. */
struct mag_price {
  int64_t input, output, cache_write, cache_read;
  char currency[MAG_CURRENCY_SIZE]; /* empty: there is no price */
};

struct mag_prices;

/* The user's own file ($XDG_CONFIG_HOME/magent/prices.json, or below ~/.config) before that of the installation (beside
 * defaults.json). Files that are not there are no error. A user's file in another currency replaces the installed
 * one. */
int mag_prices_load(struct mag_prices **ret_prices, struct mbp_error *err);
/* A table of one file's text. */
int mag_prices_read(struct mbp_str json, const char *where, struct mag_prices **ret_prices, struct mbp_error *err);
void mag_prices_free(struct mag_prices *prices); /* accepts NULL */

/* False: there is no price, and ret_price is all zero. */
bool mag_prices_find(const struct mag_prices *prices, const char *provider, const char *model,
                     struct mag_price *ret_price);

/* Rounded once, half up, to a millionth; INT64_MAX if it is more than that. */
int64_t mag_price_cost(const struct mag_price *price, const struct mbp_usage *usage);

#endif
