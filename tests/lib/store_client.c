#include "store_client.h"

#include "host/config.h"
#include "host/host.h"

#include <string.h>

/* ---- Results -------------------------------------------------------------------------------------------------- */

enum wanted { WANT_NOTHING, WANT_RECORDS, WANT_ENTRIES, WANT_DOCUMENT };

struct taker {
  enum wanted wanted;
  struct mag_buf *text, *page, *summary;
  uint64_t count, next_seq;
  void *result;
  size_t result_size;
  bool wrong;
};

static int take_event(void *ctx, const struct mbp_event *event)
{
  struct taker *taker = ctx;
  taker->count++;
  if (event->type == MBP_EV_STORE_RECORD) {
    struct mbp_record record;
    memcpy(&record, event->data.ptr, sizeof(record));
    taker->wrong |= event->data.len != sizeof(record) || (taker->next_seq && record.seq != taker->next_seq);
    taker->next_seq = record.seq + 1;
    if (taker->text)
      mag_buf_printf(taker->text, "%llu:%.*s ", (unsigned long long) record.seq, (int) record.payload.len,
                     record.payload.ptr);
  } else if (taker->text) {
    bool document = taker->wanted == WANT_DOCUMENT;
    if (document)
      mag_buf_printf(taker->text, "%lld:", (long long) event->number);
    mag_buf_add_str(taker->text, document ? event->data : event->name);
    if (!document)
      mag_buf_printf(taker->text, "=%lld ", (long long) event->number);
  }
  return 0;
}

static int take_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct taker *taker = ctx;
  (void) err;
  if (taker->page) {
    mag_buf_clear(taker->page);
    mag_buf_add_str(taker->page, ((const struct mbp_page *) result)->next);
  }
  if (taker->summary)
    mag_buf_add_str(taker->summary, ((const struct mbp_head *) result)->summary);
  if (taker->result)
    memcpy(taker->result, result, taker->result_size);
  return 0;
}

/* Makes a call, runs the operation in it and waits. */
#define RUN(client_, taker_, operation_)                                                                               \
  __extension__({                                                                                                      \
    struct mag_call_options options_ = {                                                                               \
        .timeout_ms = 60000, .sink = take_event, .on_result = take_result, .ctx = (taker_)};                           \
    struct mbp_call *call = mag_call_new(&options_);                                                                   \
    struct mbp_error *err = &(client_)->err;                                                                           \
    mag_error_clear(err);                                                                                              \
    int run_result_ = mag_call_wait(call, (operation_), NULL, err);                                                    \
    mag_call_unref(call);                                                                                              \
    run_result_;                                                                                                       \
  })

/* ---- Operations ----------------------------------------------------------------------------------------------- */

int store_client_open(struct store_client *client, const struct mbp_plugin *plugin, const char *options)
{
  static const struct mbp_host *host; /* lives as long as the process */
  if (!host)
    host = mag_host_for("store");
  *client = (struct store_client){.plugin = plugin, .ops = plugin->ops, .err = MAG_ERROR_INIT};
  int r = mag_config_new("store", plugin->params, mbp_str(options), &client->config, &client->err);
  return r < 0 ? r : plugin->open(host, client->config, &client->instance, &client->err);
}

void store_client_close(struct store_client *client)
{
  client->plugin->close(client->instance);
  mag_config_free(client->config);
  client->instance = NULL;
  client->config = NULL;
}

int store_client_probe(struct store_client *client)
{
  struct taker taker = {.count = 0};
  return RUN(client, &taker, client->plugin->probe(client->instance, call, err));
}

int store_client_append(struct store_client *client, const struct mbp_append *append, struct mbp_appended *ret_appended)
{
  struct taker taker = {.result = ret_appended, .result_size = sizeof(*ret_appended)};
  return RUN(client, &taker, client->ops->append(client->instance, call, append, err));
}

static int append_one(struct store_client *client, const char *session, uint32_t klass, uint32_t flags, uint64_t epoch,
                      uint64_t expected, const char *payload, const char *summary)
{
  struct mbp_record record = {.klass = klass, .type = mbp_str("user.message"), .payload = mbp_str(payload)};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .flags = flags,
                              .session = mbp_str(session),
                              .epoch = epoch,
                              .expected = expected,
                              .records = &record,
                              .n_records = 1,
                              .summary = mbp_str(summary)};
  struct mbp_appended appended = {0};
  return store_client_append(client, &append, &appended);
}

int store_client_event(struct store_client *client, const char *session, const char *payload)
{
  return append_one(client, session, MBP_RECORD_EVENT, 0, 0, MBP_SEQ_ANY, payload, NULL);
}

int store_client_create(struct store_client *client, const char *session, const char *payload, const char *summary)
{
  return append_one(client, session, MBP_RECORD_PRIVATE, MBP_APPEND_CREATE, 0, MBP_SEQ_ANY, payload, summary);
}

int store_client_private(struct store_client *client, const char *session, uint64_t epoch, uint64_t expected,
                         const char *payload)
{
  return append_one(client, session, MBP_RECORD_PRIVATE, 0, epoch, expected, payload, NULL);
}

int store_client_read(struct store_client *client, const char *session, uint64_t from, uint32_t limit,
                      struct mag_buf *text, uint64_t *ret_count)
{
  struct taker taker = {.wanted = WANT_RECORDS, .text = text, .next_seq = from};
  int r = RUN(client, &taker, client->ops->read(client->instance, call, mbp_str(session), from, limit, err));
  if (ret_count)
    *ret_count = taker.count;
  return r == 0 && taker.wrong ? mag_error(&client->err, MBP_E_PROTOCOL, "gap or wrong size") : r;
}

int store_client_head(struct store_client *client, const char *session, struct mbp_head *ret_head)
{
  struct taker taker = {.result = ret_head, .result_size = sizeof(*ret_head)};
  int r = RUN(client, &taker, client->ops->head(client->instance, call, mbp_str(session), err));
  ret_head->summary = mbp_str(NULL); /* lent only until then */
  return r;
}

int store_client_summary(struct store_client *client, const char *session, struct mag_buf *summary)
{
  struct taker taker = {.summary = summary};
  mag_buf_clear(summary);
  return RUN(client, &taker, client->ops->head(client->instance, call, mbp_str(session), err));
}

int store_client_claim(struct store_client *client, const char *session, struct mbp_claim *ret_claim)
{
  struct mbp_claim own;
  struct taker taker = {.result = ret_claim ? ret_claim : &own, .result_size = sizeof(own)};
  return RUN(client, &taker, client->ops->claim(client->instance, call, mbp_str(session), err));
}

void store_client_release(struct store_client *client, const char *session)
{
  client->ops->release(client->instance, mbp_str(session));
}

int store_client_fork(struct store_client *client, const char *session, uint64_t upto, const char *new_session,
                      const char *summary)
{
  struct mbp_head head = {0};
  struct taker taker = {.result = &head, .result_size = sizeof(head)};
  return RUN(
      client, &taker,
      client->ops->fork(client->instance, call, mbp_str(session), upto, mbp_str(new_session), mbp_str(summary), err));
}

int store_client_remove(struct store_client *client, const char *session)
{
  struct taker taker = {.count = 0};
  return RUN(client, &taker, client->ops->remove(client->instance, call, mbp_str(session), err));
}

int store_client_list(struct store_client *client, const char *collection, const char *filter, uint32_t limit,
                      bool descending, struct mag_buf *page, struct mag_buf *text)
{
  mag_autobuf token = MAG_BUF_INIT;
  struct taker taker = {.wanted = WANT_ENTRIES, .text = text, .page = page};
  if (page)
    mag_buf_add_str(&token, mag_buf_str(page));
  struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, descending),
                            .limit = limit,
                            .filter = mbp_str(filter),
                            .page = mag_buf_str(&token),
                            .descending = descending};
  if (collection)
    return RUN(client, &taker, client->ops->doc_list(client->instance, call, mbp_str(collection), &query, err));
  return RUN(client, &taker, client->ops->list(client->instance, call, &query, err));
}

int store_client_put(struct store_client *client, const char *collection, const char *id, uint64_t expected,
                     const char *json, uint64_t *ret_version)
{
  struct mbp_version version = {0};
  struct taker taker = {.result = &version, .result_size = sizeof(version)};
  int r =
      RUN(client, &taker,
          client->ops->doc_put(client->instance, call, mbp_str(collection), mbp_str(id), expected, mbp_str(json), err));
  if (r == 0 && ret_version)
    *ret_version = version.version;
  return r;
}

int store_client_get(struct store_client *client, const char *collection, const char *id, uint64_t version,
                     struct mag_buf *text)
{
  struct taker taker = {.wanted = WANT_DOCUMENT, .text = text};
  return RUN(client, &taker,
             client->ops->doc_get(client->instance, call, mbp_str(collection), mbp_str(id), version, err));
}
