/* mbp-host.h - the larger services that a host gives to plugins, each a named, versioned table.
 *
 *   const struct mbp_http_v1 *http = host->get_interface(host->ctx, MBP_HTTP_V1);
 *
 * Tables live until the process ends and are safe from any thread; one object (document, stream, process) is used
 * by one thread at a time unless its text says otherwise. Functions return 0 or a positive answer, or a negative
 * MBP_E_* code with `err` filled. Whatever waits ends early when its call is cancelled.
 */
#ifndef MAGENT_MBP_HOST_H
#define MAGENT_MBP_HOST_H

#include <magent/mbp-compute.h>
#include <magent/mbp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- magent.json/1: strict JSON (RFC 8259, UTF-8, no duplicate keys, no NUL, nothing after the end) ---------- */

#define MBP_JSON_V1 "magent.json/1"

struct mbp_json;   /* a value inside a parsed document; borrowed from it */
struct mbp_writer; /* JSON text being written */

#define MBP_JSON_NULL 1
#define MBP_JSON_BOOL 2
#define MBP_JSON_NUMBER 3
#define MBP_JSON_STRING 4
#define MBP_JSON_ARRAY 5
#define MBP_JSON_OBJECT 6

struct mbp_json_v1 {
  uint32_t size;
  uint32_t reserved;
  /* Whole document; free it with free. MBP_E_PROTOCOL with place and reason. */
  int (*parse)(struct mbp_str text, struct mbp_json **ret_document, struct mbp_error *err);
  void (*free)(struct mbp_json *document);

  /* Reading. All accept NULL (answering NULL or 0), so that look-ups chain without checks. */
  uint32_t (*type)(const struct mbp_json *value); /* MBP_JSON_*; 0 for NULL */
  const struct mbp_json *(*get)(const struct mbp_json *object, const char *key);
  const struct mbp_json *(*first)(const struct mbp_json *array_or_object);
  const struct mbp_json *(*next)(const struct mbp_json *value);
  size_t (*count)(const struct mbp_json *array_or_object);
  struct mbp_str (*key)(const struct mbp_json *value);  /* of a member; else empty */
  struct mbp_str (*str)(const struct mbp_json *value);  /* of a string, also 0-terminated; else empty */
  int64_t (*num)(const struct mbp_json *value, int64_t otherwise); /* an integer in +-2^53 */
  int (*truth)(const struct mbp_json *value, int otherwise);
  /* The value's text as it stood in the parsed text: numbers keep all digits. Borrowed from `text`, which must be
   * the bytes that were parsed. `path` is keys and indexes joined by '/': "delta/tool_calls/0". 1 found, 0 not. */
  int (*slice)(struct mbp_str text, const char *path, struct mbp_str *ret_slice);

  /* Writing: compact, commas and escapes by the writer. `key` is NULL inside arrays and at the top. A failure (out
   * of memory, invalid UTF-8 replaced by U+FFFD is none) is remembered and told by `text`. */
  struct mbp_writer *(*writer_new)(void);
  void (*writer_free)(struct mbp_writer *writer);
  void (*object)(struct mbp_writer *writer, const char *key);
  void (*array)(struct mbp_writer *writer, const char *key);
  void (*end)(struct mbp_writer *writer);
  void (*string)(struct mbp_writer *writer, const char *key, struct mbp_str value);
  void (*number)(struct mbp_writer *writer, const char *key, int64_t value);
  void (*boolean)(struct mbp_writer *writer, const char *key, int value);
  void (*null)(struct mbp_writer *writer, const char *key);
  void (*raw)(struct mbp_writer *writer, const char *key, struct mbp_str json); /* trusted to be one value */
  /* The text so far; borrowed until the next use. -MBP_E_NO_MEMORY or -MBP_E_INTERNAL (not balanced). */
  int (*text)(struct mbp_writer *writer, struct mbp_str *ret_text);
  void (*reset)(struct mbp_writer *writer);
};

/* ---- magent.http/1: HTTP client on the process's one HTTP thread ------------------------------------------------ */

#define MBP_HTTP_V1 "magent.http/1"

struct mbp_http; /* one exchange */

#define MBP_HTTP_STREAM_BODY 0x1u /* the body is written with `write` and ended with `finish` */
#define MBP_HTTP_UPGRADE 0x2u     /* raw duplex after 101 or 2xx without length: `write`, `finish` (half), `read` */
#define MBP_HTTP_H2_PRIOR 0x4u    /* HTTP/2 without upgrade on plain connections; over TLS it is used when offered */
#define MBP_HTTP_NO_REDIRECT 0x8u /* redirects are followed only for GET and HEAD, and never with this */
#define MBP_HTTP_BODY_STAYS 0x10u /* `body` is there until `close` has returned or `open` failed: it is not copied */

/* Headers are sent as given. Added are Host, the body's framing (a Content-Length given with STREAM_BODY is kept, then
 * the body must have that length; Transfer-Encoding is refused) and User-Agent if it is absent; nothing else, so an
 * UPGRADE gives its own "Connection: Upgrade" and "Upgrade: ...". Bodies are passed as they come: no content coding is
 * asked for and none is undone. A redirect to another host takes along none of the headers but Accept, Accept-Language,
 * User-Agent and Range, and no client certificate; one from https to http is an error. */

struct mbp_http_request {
  uint32_t size;
  uint32_t flags;               /* MBP_HTTP_* */
  struct mbp_str method;        /* empty: GET, or POST with a body */
  struct mbp_str url;           /* http: or https:, encoded (no spaces) */
  struct mbp_str unix_socket;   /* path: connect there instead of to the URL's host; no proxy then */
  const struct mbp_pair *headers;
  size_t n_headers;
  struct mbp_str body;
  int64_t connect_timeout_ms;   /* 0: 30 s */
  int64_t idle_timeout_ms;      /* longest silence once sent; 0: 5 min. Time in which the caller does not read, or has
                                 * a streamed body open, is no silence; after an upgrade there is no limit. There is no
                                 * total timeout but the call's */
  struct mbp_str ca_file;       /* PEM; empty: the system's */
  struct mbp_str cert_file, key_file; /* client certificate, PEM */
  struct mbp_str proxy;         /* empty: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY of the environment */
  int64_t max_body;             /* bytes that `body` collects; 0: 32 MiB */
};

/* One server-sent event; borrowed until the next call on the exchange. Text is passed as it came (check its UTF-8);
 * `id` stays from one event to the next until it is changed, as the format says. */
struct mbp_sse_event {
  uint32_t size;
  uint32_t reserved;
  struct mbp_str event; /* empty: no event line (RFC: "message") */
  struct mbp_str data;
  struct mbp_str id;
  int64_t retry_ms; /* -1: not told */
};

/* `call` ends every wait of its exchanges when it is cancelled or past its deadline (-MBP_E_CANCELLED, -MBP_E_TIMEOUT),
 * and the transfer with it. An exchange is used by one thread at a time; of an UPGRADE one thread may write and finish
 * while another reads, and nobody uses what is being closed.
 *
 * Transport errors: MBP_E_NETWORK (not found, refused, cut; retryable), MBP_E_NETWORK without the flag (a certificate
 * that is not trusted), MBP_E_TIMEOUT (connecting, silence; retryable), MBP_E_PROTOCOL (not HTTP, a redirect not
 * followed), MBP_E_LIMIT (256 KiB of headers, max_body, 16 MiB for an event), MBP_E_INVALID (the request itself). After
 * an error every further call on the exchange tells the same one. Messages name the host, never a header or a password.
 *
 * Responses wait in memory, about 1 MiB at most; then the sender is held until they are read. A streamed body is held
 * in the same way, so who sends much to a server that answers meanwhile must read meanwhile. */
struct mbp_http_v1 {
  uint32_t size;
  uint32_t reserved;
  /* Sends and waits for the response's status and headers (with STREAM_BODY: returns at once; the first of status,
   * read, next_event waits). Any status is a success here. `call` may be NULL: nothing cancels. */
  int (*open)(struct mbp_call *call, const struct mbp_http_request *request, struct mbp_http **ret_exchange,
              struct mbp_error *err);
  /* The HTTP status, or a negative code if there will be none (read tells the error). */
  int (*status)(struct mbp_http *exchange);
  /* First header, or trailer once the body has ended, of that name, any case; empty if absent or if the status is not
   * known yet. Borrowed until close. An upgraded exchange has no trailers. */
  struct mbp_str (*header)(struct mbp_http *exchange, const char *name);
  struct mbp_str (*trailer)(struct mbp_http *exchange, const char *name);
  /* Next bytes of the body: number read, 0 at its end. A body that was cut is an error, never an end. */
  int64_t (*read)(struct mbp_http *exchange, void *buf, size_t cap, struct mbp_error *err);
  /* The whole (rest of the) body, up to max_body; borrowed until close. */
  int (*body)(struct mbp_http *exchange, struct mbp_str *ret_body, struct mbp_error *err);
  /* Next server-sent event: 1, or 0 at the end of the body. Set ret_event->size first. Do not mix with read. */
  int (*next_event)(struct mbp_http *exchange, struct mbp_sse_event *ret_event, struct mbp_error *err);
  /* STREAM_BODY and UPGRADE. Takes all of `data` (waits while the other side is slow). -MBP_E_LOST: the response came
   * before the end of the body; status and read tell what it is. */
  int (*write)(struct mbp_http *exchange, struct mbp_str data, struct mbp_error *err);
  /* No more is written. An UPGRADE over TLS cannot close one direction: -MBP_E_UNSUPPORTED. Without it, close cuts the
   * request. */
  int (*finish)(struct mbp_http *exchange, struct mbp_error *err);
  /* Readable while read or status would not wait; next_event may wait for the rest of an event that has begun. Owned by
   * the exchange; level-triggered; costs a little more for each read from the first call on. -1: no descriptor left. */
  int (*poll_fd)(struct mbp_http *exchange);
  /* Ends it wherever it is, without waiting. Accepts NULL. */
  void (*close)(struct mbp_http *exchange);
  /* Fills `err` from a response that is not 2xx: code, retryable, Retry-After (also retry-after-ms, x-should-retry),
   * request id; message = `what` and `message` as the service said it, or the status if that is empty. Returns -code.
   * */
  int (*fail)(struct mbp_http *exchange, const char *what, struct mbp_str message, struct mbp_error *err);
};

/* ---- magent.process/1: children of the host, spawned by one thread that lives as long as the process ------------- */

#define MBP_PROCESS_V1 "magent.process/1"

struct mbp_process; /* one child */
struct mbp_group;   /* a limit group: a cgroup where the machine lets us, else nothing */

#define MBP_SPAWN_SESSION 0x1u    /* setsid */
#define MBP_SPAWN_PDEATHSIG 0x2u  /* SIGKILL to the child when magent dies */

/* A child's descriptor `child` becomes a copy of ours. All others are closed; 0-2 not named are /dev/null. Frozen. */
struct mbp_fd {
  int32_t ours;
  int32_t child;
};

/* Soft and hard limit of the child; `resource` is RLIMIT_* of this platform. Frozen. */
struct mbp_rlimit {
  int32_t resource;
  int32_t reserved;
  uint64_t value;
};

struct mbp_spawn {
  uint32_t size;
  uint32_t flags;            /* MBP_SPAWN_* */
  const char *const *argv;   /* NULL-terminated; argv[0] is searched in PATH of envp if it has no slash */
  const char *const *envp;   /* NULL-terminated; the child's whole environment */
  const char *cwd;           /* NULL: / */
  const struct mbp_fd *fds;
  size_t n_fds;
  const struct mbp_rlimit *rlimits;
  size_t n_rlimits;
  struct mbp_group *group;   /* joined before exec; or NULL */
};

struct mbp_group_spec {
  uint32_t size;
  uint32_t pids;
  const char *name;     /* [a-z0-9-]{1,63} */
  int64_t memory_bytes;
  uint32_t cpu_millis;
  uint32_t reserved;
};

struct mbp_group_state {
  uint32_t size;
  uint32_t enforced;      /* bit 0 memory, bit 1 pids, bit 2 cpu, bit 3 kill of all members */
  int64_t oom_kills;      /* since it was made */
  int64_t pids_refused;   /* forks refused since it was made */
  int64_t memory_peak;
  struct mbp_str how;     /* "cgroup v2", "cgroup v1" or "none"; static */
};

struct mbp_process_v1 {
  uint32_t size;
  uint32_t reserved;
  /* MBP_E_NOT_FOUND, MBP_E_PERMISSION: the program; the errno of a failed exec is told, not lost. */
  int (*spawn)(const struct mbp_spawn *spec, struct mbp_process **ret_process, struct mbp_error *err);
  int (*pidfd)(struct mbp_process *process); /* owned by the process; readable when it has ended */
  int64_t (*pid)(struct mbp_process *process); /* valid until reaped */
  /* 1 and the status (exit code, or 128 + signal; `ret_signal` 0 or the signal) once it has ended, waiting at most
   * wait_ms (-1: for ever); 0: it runs. May be asked again. */
  int (*wait)(struct mbp_process *process, int64_t wait_ms, int32_t *ret_code, int32_t *ret_signal);
  int (*kill)(struct mbp_process *process, int32_t signal); /* by pidfd; ended already: 0 */
  void (*free)(struct mbp_process *process); /* kills it if it runs, and reaps. Accepts NULL */

  /* Limit groups. group_new never fails for want of rights: the state says what is enforced. */
  int (*group_new)(const struct mbp_group_spec *spec, struct mbp_group **ret_group, struct mbp_error *err);
  int (*group_state)(struct mbp_group *group, struct mbp_group_state *ret_state);
  int (*group_kill)(struct mbp_group *group); /* SIGKILL to every member; 0, or -MBP_E_UNSUPPORTED */
  void (*group_free)(struct mbp_group *group); /* kills the members and removes it. Accepts NULL */
};

/* ---- magent.compute/1: the sandbox of the session that a call works for; for toolsets ---------------------------- */

#define MBP_COMPUTE_V1 "magent.compute/1"

struct mbp_stream; /* a process in the sandbox, seen from a toolset */

struct mbp_compute_v1 {
  uint32_t size;
  uint32_t reserved;
  /* Starts a process; makes the sandbox first if there is none. `exec->key` may be empty: the host makes one. With
   * MBP_EXEC_KEEP the stream may be used by later calls of the session; without, it ends with this call. */
  int (*exec)(struct mbp_call *call, const struct mbp_exec *exec, struct mbp_stream **ret_stream,
              struct mbp_error *err);
  /* Next event (MBP_EV_EXEC_*), waiting at most wait_ms (-1: for ever): 1 an event, borrowed until the next use of
   * the stream; 0 the process has ended and all was read; -MBP_E_TIMEOUT nothing yet; -MBP_E_LOST the sandbox is gone;
   * -MBP_E_CANCELLED `call` was cancelled. */
  int (*next)(struct mbp_stream *stream, struct mbp_call *call, int64_t wait_ms, struct mbp_event *ret_event,
              struct mbp_error *err);
  int (*write)(struct mbp_stream *stream, struct mbp_call *call, struct mbp_str data, uint32_t flags,
               struct mbp_error *err);
  int (*signal)(struct mbp_stream *stream, struct mbp_call *call, uint32_t signal, uint32_t flags,
                struct mbp_error *err);
  /* After next has answered 0; borrowed until close. */
  const struct mbp_exec_result *(*result)(struct mbp_stream *stream);
  /* Kills the tree if it runs. Accepts NULL. */
  void (*close)(struct mbp_stream *stream);
  int (*put)(struct mbp_call *call, const struct mbp_put *put, struct mbp_error *err);
  /* The whole file, at most `limit` bytes; borrowed until the call is done. */
  int (*get)(struct mbp_call *call, struct mbp_str path, int64_t limit, struct mbp_str *ret_content,
             struct mbp_error *err);
  /* Path of magent-sandbox inside; put there on first use. MBP_E_UNSUPPORTED: none for that architecture. Borrowed
   * until the call is done. */
  int (*helper)(struct mbp_call *call, struct mbp_str *ret_path, struct mbp_error *err);
  /* Absolute path of the working directory inside. Borrowed until the call is done. */
  int (*working_dir)(struct mbp_call *call, struct mbp_str *ret_path, struct mbp_error *err);
  /* MBP_ISOLATION_* of the session's provider; makes no sandbox. */
  int (*isolation)(struct mbp_call *call);
};

#ifdef __cplusplus
}
#endif
#endif
