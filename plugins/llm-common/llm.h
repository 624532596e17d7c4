/* llm.h - what the llm plugins of this tree share: buffers, errors, JSON splicing, endpoints. Each plugin compiles it
 * in.
 *
 * Nothing here knows a vendor. Functions return 0 or a negative MBP_E_* code with `err` filled.
 */
#ifndef LLM_COMMON_LLM_H
#define LLM_COMMON_LLM_H

#include <magent/mbp-host.h>
#include <magent/mbp-llm.h>

/* Bytes of one response, all blocks together; more is an error. */
#define LLM_MAX_RESPONSE ((size_t) 32 << 20)

/* ---- Buffers: text that grows; out of memory is remembered in `failed` ---- */

struct llm_buf {
  char *ptr; /* NULL while empty, else 0-terminated */
  size_t len, cap;
  int failed;
};

void llm_buf_done(struct llm_buf *buf);
void llm_buf_clear(struct llm_buf *buf);
void llm_buf_reserve(struct llm_buf *buf, size_t more); /* one step of growth for what is known to come */
void llm_buf_add(struct llm_buf *buf, const void *data, size_t len);
void llm_buf_str(struct llm_buf *buf, struct mbp_str s);
void llm_buf_text(struct llm_buf *buf, const char *text);
void llm_buf_printf(struct llm_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For a piece of a response: `received` counts the bytes of all of its buffers, LLM_MAX_RESPONSE at most. */
int llm_buf_receive(struct llm_buf *buf, size_t *received, struct mbp_str piece, struct mbp_error *err);

static inline struct mbp_str llm_buf_view(const struct llm_buf *buf)
{
  return mbp_str_n(buf->len ? buf->ptr : "", buf->len);
}

#define llm_autobuf __attribute__((cleanup(llm_buf_done))) struct llm_buf

/* ---- Errors ---- */

/* Fills `err` (one line, valid UTF-8, cut to fit) and returns -code. */
int llm_error(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for what may work when it is tried again. */
int llm_error_retry(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int llm_no_memory(struct mbp_error *err);
/* Writes "text: " before the message. */
void llm_error_prefix(struct mbp_error *err, const char *text);
int llm_broken_stream(struct mbp_error *err, const char *why);

/* The entry of a NULL-terminated list that is nearest to `text`, or NULL if none is near. */
const char *llm_nearest(struct mbp_str text, const char *const *names);

/* ---- Previews ---- */

/* Where a decoder's previews go. `emit` may be NULL; negative stops. */
struct llm_out {
  int (*emit)(void *ctx, const struct mbp_event *event);
  void *ctx;
};

int llm_emit(const struct llm_out *out, uint32_t type, size_t index, struct mbp_str name, struct mbp_str data,
             struct mbp_error *err);

/* The `emit` of a struct llm_out whose ctx is a struct llm_call. */
struct llm_call {
  const struct mbp_host *host;
  struct mbp_call *call;
};

int llm_emit_to_call(void *ctx, const struct mbp_event *event);
/* Ends a call that was accepted: with `result` if r is 0, else with `err`. Returns 0, for the operation to return. */
int llm_done(const struct mbp_host *host, struct mbp_call *call, int r, const void *result,
             const struct mbp_error *err);

/* ---- JSON ---- */

/* Appends `text` as a JSON string. */
int llm_quote(const struct mbp_json_v1 *json, struct mbp_str text, struct llm_buf *buf, struct mbp_error *err);
/* Sets one member of the JSON text of an object that is held in `object`; all other bytes stay as they are. */
int llm_splice(const struct mbp_json_v1 *json, struct llm_buf *object, const char *member, struct mbp_str value,
               struct mbp_error *err);
/* Is `text` one JSON object, and nothing else? */
int llm_is_object(const struct mbp_json_v1 *json, struct mbp_str text);
/* Does `text` hold anything but white space? */
int llm_is_blank(struct mbp_str text);
/* The human part of an error body, in any of the forms that services use; empty if there is none. */
struct mbp_str llm_error_text(const struct mbp_json_v1 *json, const struct mbp_json *body);
/* MBP_E_INVALID if the object has a member that is not in `known` (NULL-terminated): names it and the nearest. */
int llm_check_members(const struct mbp_json_v1 *json, const struct mbp_json *object, const char *const *known,
                      const char *what, struct mbp_error *err);

/* ---- Endpoints ---- */

struct llm_endpoint {
  char *base;   /* without a slash at its end and without `suffix` */
  char *socket; /* path of a unix socket, or NULL */
};

/* `suffix` ("/v1") is cut off if `url` ends with it. */
int llm_endpoint_init(struct llm_endpoint *endpoint, struct mbp_str url, const char *suffix, struct mbp_error *err);
void llm_endpoint_done(struct llm_endpoint *endpoint);

/* Fetches the JSON body of a GET. The document is the caller's. */
struct llm_fetch {
  const struct mbp_http_v1 *http;
  const struct mbp_json_v1 *json;
  struct mbp_http_request request;
  const char *what; /* "list models": begins error messages */
};

int llm_fetch_json(const struct llm_fetch *fetch, struct mbp_call *call, struct mbp_json **ret_document,
                   struct mbp_error *err);
/* The error of a response that is not 2xx; reads its body. Returns -code. `ret_body` gets a document that the caller
 * frees, or NULL where the body is none; `ret_text` the body, borrowed until the exchange is closed. Both may be NULL.
 */
int llm_http_error(const struct llm_fetch *fetch, struct mbp_http *exchange, struct mbp_json **ret_body,
                   struct mbp_str *ret_text, struct mbp_error *err);

/* ---- Services: what an instance knows of the one that it speaks to ---- */

struct llm_service {
  const struct mbp_host *host;
  const struct mbp_json_v1 *json;
  const struct mbp_http_v1 *http;
  struct llm_endpoint endpoint;
  char *bearer; /* "Bearer TOKEN", or NULL */
  int64_t connect_timeout_ms, idle_timeout_ms;
};

/* From the parameters base_url, connect_timeout, idle_timeout and `token_key`. `base`: where there is no base_url.
 * A zeroed service may be given to `done` whatever came of it. */
int llm_service_init(struct llm_service *service, const struct mbp_host *host, const struct mbp_config *config,
                     const char *token_key, const char *base, const char *suffix, struct mbp_error *err);
void llm_service_done(struct llm_service *service);

/* One request and what it borrows. */
struct llm_exchange {
  struct mbp_pair headers[8];
  struct llm_buf url, body;
  struct llm_fetch fetch;
};

int llm_exchange_init(struct llm_exchange *exchange, const struct llm_service *service, const char *path,
                      const char *what, struct mbp_error *err);
void llm_exchange_header(struct llm_exchange *exchange, const char *name, struct mbp_str value); /* if it has a value */
void llm_exchange_done(struct llm_exchange *exchange); /* also where `init` failed */

/* The id that the service gave the request that failed, unless one is known. */
void llm_error_request(struct mbp_error *err, struct mbp_str id);

#endif
