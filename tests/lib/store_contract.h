/* store_contract.h - what holds for every store plugin, as tests. A store's own test adds them for its plugin. */
#ifndef MAG_TESTS_STORE_CONTRACT_H
#define MAG_TESTS_STORE_CONTRACT_H

#include "store_client.h"

#include <check.h>
#include <string.h>

/* What failed belongs into the message. */
#define OK(client_, operation_) ck_assert_msg((operation_) == 0, "%s", (client_)->err.message)
#define FAILS(client_, operation_, code_)                                                                              \
  do {                                                                                                                 \
    int r_ = (operation_);                                                                                             \
    ck_assert_msg(r_ == -(code_), "%d: %s", r_, (client_)->err.message);                                               \
    ck_assert_msg((client_)->err.message[0] && !strchr((client_)->err.message, '\n'), "no message");                   \
  } while (0)
#define SAYS(client_, text_)                                                                                           \
  ck_assert_msg(strstr((client_)->err.message, (text_)) != NULL, "\"%s\" is not in: %s", (text_),                      \
                (client_)->err.message)

struct store_subject {
  const struct mbp_plugin *plugin;
  /* Writes the options (JSON) of a store that is new and empty. Opened a second time it is the same store. */
  void (*fresh)(char *options, size_t cap);
};

void store_contract_add(Suite *suite, const struct store_subject *subject);

#endif
