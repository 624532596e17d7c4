/* store_client.h - a store plugin for tests: every operation as a function that waits for its end. */
#ifndef MAG_TESTS_STORE_CLIENT_H
#define MAG_TESTS_STORE_CLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "host/call.h"

#include <magent/mbp-store.h>

struct store_client {
  const struct mbp_store_ops *ops;
  const struct mbp_plugin *plugin;
  struct mbp_instance *instance;
  struct mbp_config *config;
  struct mbp_error err; /* of the last operation */
};

/* `options`: JSON. 0 or negative. */
int store_client_open(struct store_client *client, const struct mbp_plugin *plugin, const char *options);
void store_client_close(struct store_client *client);

/* All return 0 or the negative code of what failed. */
int store_client_append(struct store_client *client, const struct mbp_append *append,
                        struct mbp_appended *ret_appended);
int store_client_probe(struct store_client *client);
/* One event of type "user.message". */
int store_client_event(struct store_client *client, const char *session, const char *payload);
/* The same as the first of a new session; `summary` may be NULL. */
int store_client_create(struct store_client *client, const char *session, const char *payload, const char *summary);
/* A private record by whoever holds `epoch`. */
int store_client_private(struct store_client *client, const char *session, uint64_t epoch, uint64_t expected,
                         const char *payload);
/* Adds "SEQ:PAYLOAD " for each record; NULL text: only counts. The sequence is checked to be without gaps. */
int store_client_read(struct store_client *client, const char *session, uint64_t from, uint32_t limit,
                      struct mag_buf *text, uint64_t *ret_count);
/* Without the summary, which has a function of its own. */
int store_client_head(struct store_client *client, const char *session, struct mbp_head *ret_head);
int store_client_summary(struct store_client *client, const char *session, struct mag_buf *summary);
int store_client_claim(struct store_client *client, const char *session, struct mbp_claim *ret_claim);
void store_client_release(struct store_client *client, const char *session);
int store_client_fork(struct store_client *client, const char *session, uint64_t upto, const char *new_session,
                      const char *summary);
int store_client_remove(struct store_client *client, const char *session);
/* Adds "NAME=NUMBER " for each; `collection` NULL: sessions. `page` is the token: in and out. */
int store_client_list(struct store_client *client, const char *collection, const char *filter, uint32_t limit,
                      bool descending, struct mag_buf *page, struct mag_buf *text);
int store_client_put(struct store_client *client, const char *collection, const char *id, uint64_t expected,
                     const char *json, uint64_t *ret_version);
/* Adds "VERSION:JSON". */
int store_client_get(struct store_client *client, const char *collection, const char *id, uint64_t version,
                     struct mag_buf *text);

#endif
