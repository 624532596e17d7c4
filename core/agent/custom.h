/* custom.h - custom tools: those that an agent names itself and that no plugin brings.
 *
 *   {"type": "custom", "name": "weather", "description": "...", "input_schema": {"type": "object", ...}}
 *
 * A call of one is answered by the first of these that there is:
 *
 *   1. the handler that the program gave the session with mag_session_handle: a function of this process;
 *   2. the entry's `command`: a program, in the sandbox or on the host;
 *   3. whoever appends a user.custom_tool_result, in any process: until then the session is idle, requires_action.
 *
 * Whoever it is sees no input that the entry's input_schema does not allow.
 */
#ifndef MAG_AGENT_CUSTOM_H
#define MAG_AGENT_CUSTOM_H

#include <magent/mbp.h>
#include <stdbool.h>

struct mag_session;

/* ---- Handlers ------------------------------------------------------------------------------------------------- */

/* One call that a handler works on. Counted, so that an answer that comes too late harms nobody. */
struct mag_custom_call;

#define MAG_CUSTOM_LATER 1

/* Gives the answer with the functions below and returns 0; or returns MAG_CUSTOM_LATER, and any thread gives it and
 * ends with mag_custom_call_done. Negative with `err` filled: the tool could not be run, and the model is told why.
 *
 * Runs in a thread of its own with every signal blocked: one call of a session at a time, unless the entry says
 * read_only; then calls of one step run side by side. A handler should end early once the call is cancelled. One that
 * has not answered at its timeout is given up: the model gets an error, the thread is left alone and counted. */
typedef int (*mag_custom_handle)(void *ctx, struct mag_custom_call *call, struct mbp_error *err);

struct mag_custom_handler {
  const char *name; /* of a custom tool of the session's agent */
  mag_custom_handle handle;
  void *ctx;
  void (*release)(void *ctx); /* once no call can use ctx any more (never, after one that did not end); may be NULL */
  int64_t timeout_ms;         /* 0: what the entry says */
};

/* While no turn runs. A second one for the same name replaces the first. MBP_E_NOT_FOUND: the agent has no such custom
 * tool. `release` is called only after success. */
int mag_session_handle(struct mag_session *session, const struct mag_custom_handler *handler, struct mbp_error *err);

/* What is asked. Borrowed from the call. */
struct mbp_str mag_custom_call_tool(const struct mag_custom_call *call);
struct mbp_str mag_custom_call_input(const struct mag_custom_call *call); /* JSON object, checked against the schema */
struct mbp_str mag_custom_call_event_id(const struct mag_custom_call *call); /* of the agent.custom_tool_use */
struct mbp_str mag_custom_call_session_id(const struct mag_custom_call *call);

/* Interrupted, or given up. The descriptor is readable from then on, is the call's own, and may be -1. */
bool mag_custom_call_cancelled(struct mag_custom_call *call);
int mag_custom_call_cancel_fd(struct mag_custom_call *call);

/* The answer, block by block. After the end of the call, or beyond 4 MiB in all: a negative code, and no harm. */
int mag_custom_call_text(struct mag_custom_call *call, struct mbp_str text, struct mbp_error *err);
int mag_custom_call_json(struct mag_custom_call *call, struct mbp_str json, struct mbp_error *err); /* any JSON value */
/* The image's bytes. media_type: image/png, image/jpeg, image/gif or image/webp, and the bytes must be that. */
int mag_custom_call_image(struct mag_custom_call *call, const char *media_type, struct mbp_str data,
                          struct mbp_error *err);
/* A text that says what went wrong: the whole answer counts as an error. */
int mag_custom_call_fail(struct mag_custom_call *call, struct mbp_str text, struct mbp_error *err);
/* A line for whoever watches; not part of the answer. */
void mag_custom_call_progress(struct mag_custom_call *call, struct mbp_str line);

/* Ends the call, once, after MAG_CUSTOM_LATER. An answer without any block is "done". */
void mag_custom_call_done(struct mag_custom_call *call);
/* For whoever answers later: keeps the call's memory. */
struct mag_custom_call *mag_custom_call_ref(struct mag_custom_call *call);
void mag_custom_call_unref(struct mag_custom_call *call); /* accepts NULL */

/* Threads of this process that were given up and are still inside a handler. */
unsigned mag_custom_stray_threads(void);

#endif
