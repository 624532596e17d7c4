/* call.h - one running operation of a plugin: events out, one `done`, a deadline and a way to cancel.
 *
 * The host makes a call, passes it to an operation and waits for it:
 *
 *   struct mbp_call *call = mag_call_new(&options);
 *   int r = ops->generate(instance, call, &request, err);
 *   r = mag_call_wait(call, r, err);        // also when r says "refused"
 *   mag_call_unref(call);
 *
 * A call is counted: the caller and the plugin (until `done`) hold it, so a plugin that is abandoned after deadline
 * and grace may say `done` late without harm. Calls made inside a call inherit its cancellation, deadline, trace id
 * and session.
 */
#ifndef MAG_HOST_CALL_H
#define MAG_HOST_CALL_H

#include <magent/mbp.h>
#include <stdbool.h>

/* An event, borrowed. Runs in whatever thread emits (never two at a time); for an asynchronous plugin in the thread
 * that waits. Negative stops the plugin. May take its time: that is the back pressure. */
typedef int (*mag_call_sink)(void *ctx, const struct mbp_event *event);
/* The operation's result struct, borrowed, possibly of another size (or NULL): copy what is needed. 0 or negative. */
typedef int (*mag_call_result)(void *ctx, const void *result, struct mbp_error *err);

struct mag_call_options {
  struct mbp_call *parent;    /* or NULL */
  int64_t timeout_ms;         /* 0: the parent's deadline only */
  struct mbp_str session;     /* empty: the parent's */
  bool asynchronous;          /* the plugin has MBP_CAP_ASYNC */
  mag_call_sink sink;         /* NULL: events are dropped */
  mag_call_result on_result;  /* NULL: results are dropped */
  void *ctx;
};

/* A call for one operation: mag_call_wait must follow. NULL without memory. */
struct mbp_call *mag_call_new(const struct mag_call_options *options);
/* A call that is never passed to an operation: the parent of others, for a turn or a command. */
struct mbp_call *mag_call_new_scope(const struct mag_call_options *options);
struct mbp_call *mag_call_ref(struct mbp_call *call);
void mag_call_unref(struct mbp_call *call); /* accepts NULL */

/* Before the operation is entered and after it has returned `r`: waits for `done` (at most deadline plus grace, then
 * the call is abandoned: -MBP_E_TIMEOUT and *ret_abandoned). Returns 0 or the negative code of whatever failed. */
int mag_call_wait(struct mbp_call *call, int r, bool *ret_abandoned, struct mbp_error *err);

/* Any thread, any number of times. */
void mag_call_cancel(struct mbp_call *call);

/* What the host table offers, see mbp.h. */
/* A copy of the event whose texts are at `place`, name before data, where there is room for both. */
struct mbp_event mag_event_copy(const struct mbp_event *event, char *place);
int mag_call_emit(struct mbp_call *call, const struct mbp_event *event);
int mag_call_emit_fd(struct mbp_call *call);
void mag_call_done(struct mbp_call *call, const void *result, const struct mbp_error *error);
int mag_call_cancelled(struct mbp_call *call);
int mag_call_cancel_fd(struct mbp_call *call);
int64_t mag_call_deadline_ms(struct mbp_call *call);
struct mbp_str mag_call_trace_id(struct mbp_call *call);
struct mbp_str mag_call_session_id(struct mbp_call *call);

/* -MBP_E_CANCELLED or -MBP_E_TIMEOUT with a message, as fits; for code that waits and was told to stop. */
int mag_call_cancel_error(struct mbp_call *call, struct mbp_error *err);

/* Something that lives as long as the call (freed with it). 0 or -MBP_E_NO_MEMORY (then it is freed at once). */
int mag_call_keep(struct mbp_call *call, void *memory);

/* The session engine's own context, inherited by inner calls: how magent.compute/1 finds the sandbox. May be NULL. */
void mag_call_set_scope(struct mbp_call *call, void *scope);
void *mag_call_scope(struct mbp_call *call);

#endif
