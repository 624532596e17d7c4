/* mbp.h - the ManagedBackendProtocol: what a magent plugin is, and what it is given.
 *
 * A plugin is a shared object named magent-<kind>-<name>.so in the plugin directory. It exports one
 * function, mbp_plugin_v0, that returns a static const struct mbp_plugin: a pure query without side
 * effects. Everything that the plugin needs from magent comes in a table (struct mbp_host), so a
 * plugin has no undefined symbol of magent's, links with -z defs and can be tested with a fake table.
 *
 * The kinds and their operations: mbp-llm.h, mbp-compute.h, mbp-toolset.h, mbp-store.h.
 * The larger host services (JSON, HTTP, processes, the sandbox of a session): mbp-host.h.
 *
 * Rules of the interface
 *
 *  1. Structs grow at the end. `size` is the first member and is the end of the last member that the
 *     writer knows: set it with MBP_SIZE, never with sizeof. The reader copies min(size, its own
 *     size) into a zeroed struct, so "absent" is always 0 or NULL. Structs without a `size` member
 *     (mbp_str, mbp_pair, mbp_message ...) are frozen: they never change.
 *  2. Nothing is reordered, retyped or reused. A changed signature is a new slot.
 *  3. Plain C99 types only: fixed-width integers, UTF-8 text as pointer and length, JSON as text.
 *     No enum, bool, bit-field, long, off_t, time_t, FILE, no type of another library.
 *  4. Pointers that the host passes are borrowed until the operation's `done`; config strings and
 *     the host table until `close`. What a plugin passes to the host is copied before the host's
 *     function returns. Nobody frees the other side's memory.
 *  5. An operation that returns 0 has accepted: it calls `emit` any number of times and `done` exactly
 *     once, before or after it returns, from any thread. An operation that returns a negative MBP_E_*
 *     code has refused: it has filled its error struct and must not call `done`.
 *  6. `emit`: 0 means go on. A plugin with MBP_CAP_ASYNC may get MBP_AGAIN: the event was not taken;
 *     wait until emit_fd is readable and emit it again. Other plugins are held inside `emit` instead.
 *     Negative means stop: finish with `done` soon.
 *  7. Cancellation is a state and a descriptor of the call (`cancelled`, `cancel_fd`); the deadline
 *     cancels too. `done` must still come. After deadline and grace the host abandons the call and
 *     marks the instance unhealthy; a late `done` is then harmless. An operation that has not returned cannot be
 *     abandoned: code that blocks inside one must watch the call's cancel_fd.
 *  8. The host makes no callback into the plugin while it holds a lock of its own. Host functions may
 *     be called from any thread unless their text says otherwise.
 *  9. A plugin does not change signal handlers, the working directory, umask, locale or environment;
 *     does not read the environment (parameters have an `env` name for that); does not write to
 *     stdout or stderr; does not fork without exec; does not call exit; opens descriptors CLOEXEC.
 * 10. Errors are one line for a human, say what to do, and hold no secret.
 */
#ifndef MAGENT_MBP_H
#define MAGENT_MBP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBP_ABI_MAJOR 0 /* 0 until the interface is frozen; then 1, once */
#define MBP_ABI_MINOR 1

/* End of the last member known to the writer: free of tail padding on every architecture. */
#define MBP_SIZE(type, last) ((uint32_t) (offsetof(type, last) + sizeof(((type *) 0)->last)))
/* Does a struct that came over the interface hold this member? */
#define MBP_HAS(ptr, type, member) ((ptr)->size >= MBP_SIZE(type, member))

/* ---- Text ------------------------------------------------------------------------------------- */

/* Bytes, borrowed. `ptr` may be NULL only if `len` is 0. Not necessarily 0-terminated. Frozen. */
struct mbp_str {
  const char *ptr;
  size_t len;
};

/* A name and a value (environment variables, labels, headers). Frozen. */
struct mbp_pair {
  struct mbp_str name;
  struct mbp_str value;
};

static inline struct mbp_str mbp_str_n(const char *ptr, size_t len)
{
  struct mbp_str s;
  s.ptr = ptr;
  s.len = len;
  return s;
}

/* A 0-terminated string as mbp_str; NULL gives the empty one. */
static inline struct mbp_str mbp_str(const char *text)
{
  return mbp_str_n(text, text ? strlen(text) : 0);
}

static inline int mbp_str_eq(struct mbp_str a, const char *b)
{
  size_t n = strlen(b);
  return a.len == n && (n == 0 || memcmp(a.ptr, b, n) == 0);
}

/* ---- Errors ----------------------------------------------------------------------------------- */

/* Codes. Functions return them negated: `return -MBP_E_AUTH`. */
#define MBP_E_INVALID 1      /* a value that the caller gave is wrong */
#define MBP_E_NOT_FOUND 2    /* no such session, sandbox, model, file */
#define MBP_E_EXISTS 3       /* it is there already */
#define MBP_E_CONFLICT 4     /* version, sequence or epoch does not match: read again */
#define MBP_E_AUTH 5         /* key missing or refused (401) */
#define MBP_E_PERMISSION 6   /* known, but not allowed (403, EACCES) */
#define MBP_E_BILLING 7      /* account has no credit (402) */
#define MBP_E_RATE 8         /* too many requests (429) */
#define MBP_E_OVERLOADED 9   /* the service is overloaded (503, 529) */
#define MBP_E_UNAVAILABLE 10 /* something needed is not there: program, socket, kernel feature */
#define MBP_E_NETWORK 11     /* connection failed or was cut */
#define MBP_E_PROTOCOL 12    /* the other side sent what it must not */
#define MBP_E_TIMEOUT 13     /* a deadline passed */
#define MBP_E_CANCELLED 14   /* the caller gave up */
#define MBP_E_UNSUPPORTED 15 /* valid, but this provider cannot */
#define MBP_E_LIMIT 16       /* a bound of magent's was reached: budget, size, number */
#define MBP_E_NO_SPACE 17    /* disk full, quota */
#define MBP_E_NO_MEMORY 18
#define MBP_E_BUSY 19        /* somebody else holds it: try later */
#define MBP_E_CORRUPT 20     /* stored data is damaged or newer than this program */
#define MBP_E_READ_ONLY 21   /* may be read, not changed */
#define MBP_E_LOST 22        /* sandbox, process or stream is gone */
#define MBP_E_UPSTREAM 23    /* the service failed (5xx) */
#define MBP_E_INTERNAL 24    /* a bug */

#define MBP_ERR_RETRYABLE 0x1u /* the same call may succeed later */

/* Caller allocates and zeroes, sets size; callee fills. Host and plugin may write one from any thread
 * that owns it. */
struct mbp_error {
  uint32_t size;
  int32_t code;             /* MBP_E_*, positive; 0: none */
  uint32_t flags;           /* MBP_ERR_* */
  int32_t upstream_status;  /* HTTP status or exit status, else 0 */
  int64_t retry_after_ms;   /* 0: not told */
  char upstream_request[64]; /* the service's own id of the request, or "" */
  char message[424];        /* UTF-8, one line, 0-terminated, no secrets */
};

/* ---- Events ----------------------------------------------------------------------------------- */

/* What an operation shows while it runs. One shape for all kinds: which members mean what stands with
 * each MBP_EV_* in the kind's header. Everything not named there is 0. */
struct mbp_event {
  uint32_t size;
  uint32_t type;       /* MBP_EV_* */
  uint32_t index;      /* which block, stream or item */
  uint32_t flags;
  int64_t number;
  struct mbp_str name;
  struct mbp_str data;
};

#define MBP_EV_PROGRESS 1 /* any kind: data: a line for a human; number: percent or -1 */
/* 100.. llm, 200.. compute, 300.. toolset, 400.. store; from 0x10000 on free for private use. */

#define MBP_AGAIN 1 /* emit: not taken, wait for emit_fd */

/* ---- Parameters ------------------------------------------------------------------------------- */

#define MBP_PARAM_STRING 1
#define MBP_PARAM_INT 2      /* decimal, range min..max */
#define MBP_PARAM_SIZE 3     /* bytes: "64M", "2GiB"; read with config_int */
#define MBP_PARAM_DURATION 4 /* milliseconds: "500ms", "30s", "5m", "1h"; read with config_int */
#define MBP_PARAM_BOOL 5     /* true or false; read with config_int: 1 or 0 */
#define MBP_PARAM_CHOICE 6   /* one of `choices` */
#define MBP_PARAM_PATH 7     /* @libexecdir@, @statedir@, @sysconfdir@ and ~/ are expanded */
#define MBP_PARAM_URL 8      /* http:, https: or unix: */
#define MBP_PARAM_SECRET 9   /* never logged, shown or stored; known to the redaction */

#define MBP_PARAM_REQUIRED 0x1u
#define MBP_PARAM_REPEATABLE 0x2u /* read the items with config_item */
#define MBP_PARAM_DEPRECATED 0x4u

/* One key of a plugin's configuration. The host validates, explains, documents and completes. */
struct mbp_param {
  uint32_t size;
  uint32_t type;               /* MBP_PARAM_* */
  uint32_t flags;
  uint32_t reserved;
  const char *name;            /* [a-z][a-z0-9_]* */
  const char *default_value;   /* as text, or NULL */
  const char *const *choices;  /* NULL-terminated, for CHOICE */
  int64_t min, max;            /* for INT, SIZE, DURATION; both 0: no bounds */
  const char *env;             /* environment variable that gives the value if the key is absent, or NULL */
  const char *help;            /* one or two sentences */
};

/* ---- Host table ------------------------------------------------------------------------------- */

struct mbp_call;     /* one running operation; the host's */
struct mbp_config;   /* validated configuration; the host's */
struct mbp_instance; /* one validated configuration of a plugin; the plugin's */

#define MBP_LOG_ERROR 3 /* syslog's numbers */
#define MBP_LOG_WARNING 4
#define MBP_LOG_INFO 6
#define MBP_LOG_DEBUG 7

#define MBP_CLOCK_MONOTONIC 1 /* for deadlines */
#define MBP_CLOCK_BOOT 2      /* for lifetimes: goes on in suspend */
#define MBP_CLOCK_WALL 3      /* for display: since 1970 */

struct mbp_host {
  uint32_t size;
  uint16_t abi_major, abi_minor;
  uint64_t features; /* MBP_NEED_* that this host understands */
  void *ctx;         /* first argument of the three below */

  /* One line, without secrets. Library-like code stays at MBP_LOG_DEBUG: errors are returned. */
  void (*log)(void *ctx, uint32_t level, struct mbp_str message);
  int64_t (*clock_ms)(void *ctx, uint32_t clock);
  /* A table of mbp-host.h by name, e.g. "magent.http/1"; NULL if this host has none. Lives until the
   * process ends. */
  const void *(*get_interface)(void *ctx, const char *name);

  /* Configuration, from `open` on until `close`. Returns 1 and the value (default applied), or 0 if
   * there is none. An unknown key or wrong type is a bug of the plugin: 0. Values are 0-terminated. */
  int (*config_str)(const struct mbp_config *config, const char *key, struct mbp_str *ret_value);
  int (*config_int)(const struct mbp_config *config, const char *key, int64_t *ret_value);
  int (*config_item)(const struct mbp_config *config, const char *key, size_t index, struct mbp_str *ret_value);

  /* Calls. `emit` and `done` copy. `done`: either `error` is NULL and `result` is the struct that the
   * operation's text names (NULL where it names none), or `error` says what failed. */
  int (*emit)(struct mbp_call *call, const struct mbp_event *event);
  int (*emit_fd)(struct mbp_call *call); /* readable: emit again; owned by the host; -1: never needed */
  void (*done)(struct mbp_call *call, const void *result, const struct mbp_error *error);
  int (*cancelled)(struct mbp_call *call); /* 1 once cancelled or past the deadline */
  int (*cancel_fd)(struct mbp_call *call); /* readable once cancelled; owned by the host */
  int64_t (*deadline_ms)(struct mbp_call *call); /* monotonic; INT64_MAX: none */
  struct mbp_str (*trace_id)(struct mbp_call *call);
  /* The session that the call works for, or empty. */
  struct mbp_str (*session_id)(struct mbp_call *call);
};

/* ---- Plugin ----------------------------------------------------------------------------------- */

#define MBP_KIND_COMPUTE 1
#define MBP_KIND_TOOLSET 2
#define MBP_KIND_LLM 3
#define MBP_KIND_STORE 4
#define MBP_KIND_BACKEND 5 /* reserved: its header comes with its first plugin */

/* How many operations of one plugin may run at a time. It guards code *inside* an operation, until
 * the operation returns, not the call's whole life. Control operations (marked so in their header)
 * pass the gate. Spaced, so that models can be added between. */
#define MBP_THREADS_SERIAL 2000   /* one operation of the plugin at a time */
#define MBP_THREADS_INSTANCE 3000 /* one operation of an instance at a time */
#define MBP_THREADS_PARALLEL 4000 /* any number */

/* needs: what the plugin cannot do without; a host that does not know a bit refuses the plugin.
 * None is defined yet. caps: what it offers; unknown bits are ignored. Bits 0-31 are common, bits
 * 32-63 belong to the kind. */
#define MBP_CAP_ASYNC 0x1u /* understands MBP_AGAIN; its operations return at once */

struct mbp_plugin {
  uint32_t size;
  uint16_t abi_major, abi_minor; /* MBP_ABI_MAJOR, MBP_ABI_MINOR */
  uint64_t needs;
  uint64_t caps;
  uint32_t kind;         /* MBP_KIND_* */
  uint32_t kind_version; /* MBP_<KIND>_VERSION */
  uint32_t threads;      /* MBP_THREADS_* */
  uint32_t reserved;
  const char *name;    /* [a-z0-9][a-z0-9-]*, as in the file's name */
  const char *version; /* the plugin's own */
  const char *license; /* SPDX */
  const char *origin;  /* who made it: a URL or a name */
  const char *summary; /* one line */
  const char *help;    /* paragraphs, or NULL */
  const struct mbp_param *const *params; /* NULL-terminated array of pointers, or NULL */
  const void *info; /* struct mbp_<kind>_info: what a provider of the kind must state, or NULL */
  const void *ops;  /* struct mbp_<kind>_ops */

  /* Makes an instance from a validated configuration. Quick: no network, no process. `host` and
   * `config` live until close has returned. May be called any number of times. */
  int (*open)(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
              struct mbp_error *err);
  /* Is the instance usable now? Optional. done: no result, or an error that names the cause and the
   * cure. Used by `magent doctor`. */
  int (*probe)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);
  /* No call of the instance runs any more. Accepts NULL. */
  void (*close)(struct mbp_instance *instance);
};

#if defined(__GNUC__)
#define MBP_EXPORT __attribute__((visibility("default")))
#else
#define MBP_EXPORT
#endif

#define MBP_ENTRY_NAME "mbp_plugin_v0"
#ifndef MBP_ENTRY
#define MBP_ENTRY mbp_plugin_v0 /* static builds give another name */
#endif

typedef const struct mbp_plugin *(*mbp_entry_fn)(void);

/* MBP_PLUGIN(descriptor); once in a plugin. */
#define MBP_PLUGIN(descriptor)                                                                                         \
  MBP_EXPORT const struct mbp_plugin *MBP_ENTRY(void);                                                                 \
  MBP_EXPORT const struct mbp_plugin *MBP_ENTRY(void)                                                                  \
  {                                                                                                                    \
    return &(descriptor);                                                                                              \
  }                                                                                                                    \
  extern int mbp_plugin_macro_wants_a_semicolon

#ifdef __cplusplus
}
#endif
#endif
