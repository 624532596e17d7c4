/* store_contract.h - what holds for every store plugin, as tests. A store's own test adds them for its plugin. */
#ifndef MAG_TESTS_STORE_CONTRACT_H
#define MAG_TESTS_STORE_CONTRACT_H

#include "store_client.h"

#include <check.h>

struct store_subject {
  const struct mbp_plugin *plugin;
  /* Writes the options (JSON) of a store that is new and empty. Opened a second time it is the same store. */
  void (*fresh)(char *options, size_t cap);
};

void store_contract_add(Suite *suite, const struct store_subject *subject);

#endif
