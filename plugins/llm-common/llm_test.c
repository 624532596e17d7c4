#include "llm_test.h"
#include "../../tests/lib/run.h"

#include "base/error.h"
#include "base/json.h"
#include "host/call.h"
#include "host/config.h"
#include "host/host.h"
#include "host/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static void full_path(const char *path, char *full, size_t cap)
{
  const char *srcdir = secure_getenv("srcdir");
  (void) snprintf(full, cap, "%s/%s", srcdir ? srcdir : ".", path);
}

char *test_read(const char *path)
{
  char full[2048], piece[4096];
  struct llm_buf text = {0};
  size_t n;
  full_path(path, full, sizeof(full));
  FILE *file = fopen(full, "rb");
  ck_assert_msg(file != NULL, "%s: cannot be opened", full);
  while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
    llm_buf_add(&text, piece, n);
  (void) fclose(file);
  ck_assert_msg(text.len > 0, "%s: empty", full);
  return text.ptr;
}

void test_golden(const char *path, const char *text)
{
  if (secure_getenv("MAGENT_WRITE_GOLDEN")) {
    char full[2048];
    full_path(path, full, sizeof(full));
    FILE *file = fopen(full, "wb");
    ck_assert_ptr_nonnull(file);
    (void) fprintf(file, "%s\n", text);
    (void) fclose(file);
    return;
  }
  char *want = test_read(path);
  want[strcspn(want, "\n")] = 0;
  ck_assert_str_eq(text, want);
  free(want);
}

int test_show(void *ctx, const struct mbp_event *event)
{
  static const char *const names[] = {"text", "thinking", "start", "input", "model"};
  struct test_shown *shown = ctx;
  size_t at = strlen(shown->text);
  const char *name = event->type >= 100 && event->type <= 104 ? names[event->type - 100] : "?";
  (void) snprintf(shown->text + at, sizeof(shown->text) - at, "%s %u%s%.*s %.*s\n", name, event->index,
                  event->name.len ? " " : "", (int) event->name.len, event->name.len ? event->name.ptr : "",
                  (int) event->data.len, event->data.len ? event->data.ptr : "");
  return shown->stop_after && ++shown->events >= shown->stop_after ? -1 : 0;
}

int test_stream(struct mbp_str stream, test_feed feed, void *ctx, struct mbp_error *err)
{
  struct mag_sse sse;
  size_t at = 0;
  int r = 0;
  mag_sse_init(&sse, 1 << 20);
  while (at < stream.len && r == 0) {
    struct mbp_sse_event event;
    size_t used = 0;
    int got = mag_sse_feed(&sse, stream.ptr + at, stream.len - at, &used, &event);
    at += used;
    if (got < 0)
      r = mag_error(err, MBP_E_PROTOCOL, "bad stream");
    else if (got == 1)
      r = feed(ctx, event.event, event.data, err);
  }
  mag_sse_done(&sse);
  return r;
}

/* ---- HTTP ----------------------------------------------------------------------------------------------------- */

struct test_http test_http;
int test_real_http;

struct mbp_http {
  const struct test_answer *answer;
  struct mag_sse sse;
  size_t at;
};

static int http_open(struct mbp_call *call, const struct mbp_http_request *request, struct mbp_http **ret_exchange,
                     struct mbp_error *err)
{
  (void) call;
  if (test_http.used >= test_http.n)
    return mag_error(err, MBP_E_NETWORK, "nobody listens");
  (void) snprintf(test_http.url, sizeof(test_http.url), "%.*s", (int) request->url.len, request->url.ptr);
  test_http.headers[0] = 0;
  for (size_t i = 0; i < request->n_headers; i++) {
    size_t at = strlen(test_http.headers);
    (void) snprintf(test_http.headers + at, sizeof(test_http.headers) - at, "%.*s: %.*s\n",
                    (int) request->headers[i].name.len, request->headers[i].name.ptr,
                    (int) request->headers[i].value.len, request->headers[i].value.ptr);
  }
  llm_buf_clear(&test_http.body);
  llm_buf_str(&test_http.body, request->body);
  struct mbp_http *exchange = calloc(1, sizeof(*exchange));
  ck_assert_ptr_nonnull(exchange);
  exchange->answer = &test_http.answers[test_http.used++];
  mag_sse_init(&exchange->sse, 1 << 20);
  *ret_exchange = exchange;
  return 0;
}

static int http_status(struct mbp_http *exchange)
{
  return exchange->answer->status;
}

static struct mbp_str http_header(struct mbp_http *exchange, const char *name)
{
  if (strcasecmp(name, "content-type") == 0)
    return mbp_str(exchange->answer->content_type);
  return mbp_str(strstr(name, "request-id") ? "req_1" : "");
}

static int http_body(struct mbp_http *exchange, struct mbp_str *ret_body, struct mbp_error *err)
{
  (void) err;
  *ret_body = mbp_str(exchange->answer->body);
  return 0;
}

static int http_next_event(struct mbp_http *exchange, struct mbp_sse_event *ret_event, struct mbp_error *err)
{
  struct mbp_str body = mbp_str(exchange->answer->body);
  while (exchange->at < body.len) {
    size_t used = 0;
    int r = mag_sse_feed(&exchange->sse, body.ptr + exchange->at, body.len - exchange->at, &used, ret_event);
    exchange->at += used;
    if (r != 0)
      return r;
  }
  return exchange->answer->cut ? mag_error(err, MBP_E_NETWORK, "the connection was cut") : 0;
}

static int http_fail(struct mbp_http *exchange, const char *what, struct mbp_str message, struct mbp_error *err)
{
  int status = exchange->answer->status;
  int code = status == 401 ? MBP_E_AUTH : status == 429 ? MBP_E_RATE : status == 404 ? MBP_E_NOT_FOUND
             : status >= 500 ? MBP_E_UPSTREAM : MBP_E_INVALID;
  (void) mag_error(err, code, "%s: %.*s", what, (int) message.len, message.len ? message.ptr : "");
  err->upstream_status = status;
  err->flags = status == 429 || status >= 500 ? MBP_ERR_RETRYABLE : 0;
  return -code;
}

static void http_close(struct mbp_http *exchange)
{
  if (exchange)
    mag_sse_done(&exchange->sse);
  free(exchange);
}

static const struct mbp_http_v1 http_table = {
    .size = MBP_SIZE(struct mbp_http_v1, fail),
    .open = http_open,
    .status = http_status,
    .header = http_header,
    .body = http_body,
    .next_event = http_next_event,
    .close = http_close,
    .fail = http_fail,
};

static const void *get_interface(void *ctx, const char *name)
{
  (void) ctx;
  if (strcmp(name, MBP_JSON_V1) == 0)
    return &mag_json_table;
  return strcmp(name, MBP_HTTP_V1) == 0 ? &http_table : NULL;
}

/* ---- The plugin ----------------------------------------------------------------------------------------------- */

static int sink(void *ctx, const struct mbp_event *event)
{
  return test_show(&((struct test_outcome *) ctx)->shown, event);
}

static void copy(struct mbp_str from, char *to, size_t cap)
{
  (void) snprintf(to, cap, "%.*s", (int) from.len, from.len ? from.ptr : "");
}

static int take_response(void *ctx, const void *from, struct mbp_error *err)
{
  struct test_outcome *result = ctx;
  const struct mbp_llm_response *response = from;
  (void) err;
  result->stop = response->stop;
  copy(response->content, result->content, sizeof(result->content));
  copy(response->model, result->model, sizeof(result->model));
  copy(response->request_id, result->request_id, sizeof(result->request_id));
  if (response->usage)
    result->usage = *response->usage;
  return 0;
}

static int take_usage(void *ctx, const void *from, struct mbp_error *err)
{
  (void) err;
  if (from)
    ((struct test_outcome *) ctx)->usage = *(const struct mbp_usage *) from;
  return 0;
}

static struct mbp_host *open_plugin(const struct mbp_plugin *plugin, const char *json, struct mbp_config **ret_config,
                                    struct mbp_instance **ret_instance, struct mbp_error *err)
{
  static const struct mbp_host *real; /* lives until the process ends */
  static struct mbp_host host;
  if (!real)
    real = mag_host_for(plugin->name);
  host = *real;
  if (!test_real_http)
    host.get_interface = get_interface;
  if (mag_config_new(plugin->name, plugin->params, mbp_str(json), ret_config, err) == 0)
    (void) plugin->open(&host, *ret_config, ret_instance, err);
  return &host;
}

static void run(const struct mbp_plugin *plugin, const char *config_json, int op, const struct mbp_llm_request *request,
                struct test_outcome *result)
{
  struct mbp_config *config = NULL;
  struct mbp_instance *instance = NULL;
  const struct mbp_llm_ops *ops = plugin->ops;
  int stop_after = result->shown.stop_after;
  *result = (struct test_outcome){.err = MAG_ERROR_INIT, .shown.stop_after = stop_after};
  (void) open_plugin(plugin, config_json, &config, &instance, &result->err);
  if (instance) {
    struct mag_call_options options = {.sink = sink, .on_result = op < 0 ? take_response : take_usage, .ctx = result};
    struct mbp_call *call = mag_call_new(&options);
    int r = op < 0            ? ops->generate(instance, call, request, &result->err)
            : op == TEST_LIST ? ops->list_models(instance, call, &result->err)
            : op == TEST_COUNT ? ops->count_tokens(instance, call, request, &result->err)
                               : plugin->probe(instance, call, &result->err);
    result->r = mag_call_wait(call, r, NULL, &result->err);
    mag_call_unref(call);
    plugin->close(instance);
  } else {
    result->r = -result->err.code;
  }
  mag_config_free(config);
}

void test_generate(const struct mbp_plugin *plugin, const char *config, const struct mbp_llm_request *request,
                   struct test_outcome *ret_result)
{
  run(plugin, config, -1, request, ret_result);
}

void test_other(const struct mbp_plugin *plugin, const char *config, enum test_op op,
                const struct mbp_llm_request *request, struct test_outcome *ret_result)
{
  run(plugin, config, (int) op, request, ret_result);
}

int test_run(Suite *suite)
{
  int failed = run_suite(suite);
  llm_buf_done(&test_http.body);
  return failed;
}
