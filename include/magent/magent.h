/* magent.h - running managed agents inside a program. Link with `pkg-config --cflags --libs magent`.
 *
 *   struct magent *magent;
 *   struct magent_session *session;
 *   struct magent_error error;
 *   if (magent_open(NULL, &magent, &error) < 0 ||
 *       magent_session_create(magent, "{\"system\": \"Be concise.\"}", NULL, &session, &error) < 0 ||
 *       magent_session_run(session, "Write a Python script and run it", &callbacks, NULL, &outcome, &error) < 0)
 *     fprintf(stderr, "%s\n", error.message);
 *
 * This face is young: until 1.0 it may change with every release (the SONAME changes with it).
 *
 * Threads: a context may be used from any thread; a session by one thread at a time, except for
 * magent_session_interrupt. The library starts threads of its own, with all signals blocked; it leaves signal handlers,
 * working directory, locale, environment and umask alone, waits only for children of its own, and opens every
 * descriptor CLOEXEC. After fork, a child may only call exec or _exit.
 *
 * Errors: functions return 0, or a negative number and a filled error; outputs are untouched then.
 */
#ifndef MAGENT_MAGENT_H
#define MAGENT_MAGENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MAGENT_API __attribute__((visibility("default")))
#else
#define MAGENT_API
#endif

struct magent;         /* plugins and the store; one is enough for a process */
struct magent_session; /* one conversation, with its tools and sandbox */

struct magent_error {
  int32_t code;      /* MBP_E_* of mbp.h */
  int32_t reserved;
  char message[504]; /* one line of UTF-8, without secrets */
};

/* "0.1.0"; static. */
MAGENT_API const char *magent_version(void);

struct magent_options {
  size_t size;                    /* sizeof(struct magent_options) */
  const char *const *plugin_dirs; /* searched first and trusted; NULL-terminated, or NULL */
};

/* `options` may be NULL. Reads directories, opens nothing. */
MAGENT_API int magent_open(const struct magent_options *options, struct magent **ret_magent,
                           struct magent_error *error);
/* All sessions must be closed. Accepts NULL. */
MAGENT_API void magent_close(struct magent *magent);

/* A new session. `agent`: what an agent file holds, as YAML or JSON text; NULL or "": the defaults. `title` may be
 * NULL. What the compute provider cannot enforce is refused before anything is created. */
MAGENT_API int magent_session_create(struct magent *magent, const char *agent, const char *title,
                                     struct magent_session **ret_session, struct magent_error *error);
/* One that exists, also of an earlier process. MBP_E_NOT_FOUND; MBP_E_BUSY while another process runs it. */
MAGENT_API int magent_session_open(struct magent *magent, const char *id, struct magent_session **ret_session,
                                   struct magent_error *error);
/* Its sandbox goes, its log and workspace stay. Accepts NULL. */
MAGENT_API void magent_session_close(struct magent_session *session);
/* Valid until close. */
MAGENT_API const char *magent_session_id(const struct magent_session *session);

/* Who watches a turn. Texts are borrowed and not 0-terminated. Called one at a time, but not always from the thread
 * that runs the session. Members may be NULL. */
struct magent_callbacks {
  size_t size; /* sizeof(struct magent_callbacks) */
  void *ctx;
  /* A durable event: one JSON object in the wire shape of docs/LOG-FORMAT.md. */
  void (*event)(void *ctx, const char *json, size_t len);
  /* A piece of the answer, as it comes. */
  void (*text)(void *ctx, const char *text, size_t len);
  /* A piece of what a tool prints, as it comes. */
  void (*tool_output)(void *ctx, const char *tool, const char *text, size_t len);
  /* May this tool run? 1 yes, 0 no, -1 not known now: the session becomes idle and waits. `input` is JSON. */
  int (*confirm)(void *ctx, const char *tool, const char *input);
};

struct magent_limits {
  size_t size;         /* sizeof(struct magent_limits) */
  int64_t max_steps;   /* model requests of this turn; 0: no limit */
  int64_t timeout_ms;  /* of this turn; 0: none */
};

#define MAGENT_END_TURN 0        /* answered */
#define MAGENT_REQUIRES_ACTION 1 /* a tool call waits for an answer */
#define MAGENT_LIMIT 2           /* a limit was reached; can be gone on with */
#define MAGENT_REFUSED 3
#define MAGENT_FAILED 4          /* `error` says why; can be tried again */
#define MAGENT_INTERRUPTED 5

struct magent_outcome {
  int32_t ending; /* MAGENT_* */
  int32_t reserved;
  struct magent_error error; /* for LIMIT, REFUSED, FAILED */
};

/* Says `prompt` (NULL: goes on where the session stopped) and runs until the session is idle. Returns negative only
 * if the session could not be run or recorded; how the turn went is in the outcome. `callbacks` and `limits` may be
 * NULL. */
MAGENT_API int magent_session_run(struct magent_session *session, const char *prompt,
                                  const struct magent_callbacks *callbacks, const struct magent_limits *limits,
                                  struct magent_outcome *ret_outcome, struct magent_error *error);
/* Ends the running turn, or the next one as soon as it begins. Any thread; not from a signal handler. */
MAGENT_API void magent_session_interrupt(struct magent_session *session);

#ifdef __cplusplus
}
#endif
#endif
