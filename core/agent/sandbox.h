/* sandbox.h - the sandbox of a session: made when the first tool needs one, shared by the session's tools, gone after
 * an idle time. Behind magent.compute/1.
 *
 * It is durable knowledge before it exists: `intent` is called with the key before the provider's create, `made` with
 * the id after it, so that the session's log can hold both.
 */
#ifndef MAG_AGENT_SANDBOX_H
#define MAG_AGENT_SANDBOX_H

#include "host/instance.h"

#include <magent/mbp-host.h>

struct mag_sandbox;

struct mag_sandbox_options {
  struct mag_instance *compute; /* borrowed */
  struct mbp_str session;
  struct mbp_sandbox_spec spec; /* key and session are filled in by us; its text is copied */
  struct mbp_str setup;         /* JSON array of shell commands that run in every new sandbox, or empty; copied */
  struct mbp_str attach_id;     /* a sandbox of an earlier process that may still be there, or empty */
  /* Both run in the tool's thread; negative: the sandbox is not made (intent) or destroyed again (made). May be NULL.
   * */
  int (*intent)(void *ctx, const char *key, struct mbp_error *err);
  int (*made)(void *ctx, const struct mbp_sandbox_info *info, bool attached, struct mbp_error *err);
  void (*remark)(void *ctx, struct mbp_str text); /* a line for a human, from the provider while it makes one */
  void *ctx;
};

int mag_sandbox_new(const struct mag_sandbox_options *options, struct mag_sandbox **ret_sandbox, struct mbp_error *err);
/* Destroys the provider's sandbox unless `keep`; streams that are still open end with MBP_E_LOST. Accepts NULL. */
void mag_sandbox_free(struct mag_sandbox *sandbox, bool keep);

/* Starts to make it in the background, so that it is ready when the first tool wants it; errors are told to that
 * tool. */
void mag_sandbox_warm(struct mag_sandbox *sandbox, struct mbp_call *call);
/* Was one made (or is being made)? */
bool mag_sandbox_exists(struct mag_sandbox *sandbox);
/* True once after it could not be made for somebody who needed it, and not since then either; *ret_why says why. Who
 * was called off is no such case. */
bool mag_sandbox_take_failure(struct mag_sandbox *sandbox, struct mbp_error *ret_why);
/* Monotonic time of the last use, 0 if never. */
int64_t mag_sandbox_last_use_ms(struct mag_sandbox *sandbox);
/* Destroys the provider's sandbox now; the next use makes a new one. Nothing happens while an operation uses it. */
void mag_sandbox_drop(struct mag_sandbox *sandbox);

/* Shows the provider's struct mbp_sandbox_info; nothing if there is no sandbox, or no more. Makes none. */
int mag_sandbox_status(struct mag_sandbox *sandbox, struct mbp_call *parent, mag_call_result show, void *ctx,
                       struct mbp_error *err);
/* A file, piece by piece: `receiver` has a sink for MBP_EV_FILE_DATA, and may have an on_result for struct
 * mbp_file_info. */
int mag_sandbox_fetch(struct mag_sandbox *sandbox, struct mbp_call *parent, struct mbp_str path, int64_t limit,
                      const struct mag_call_options *receiver, struct mbp_error *err);

/* magent.compute/1; finds the sandbox by mag_call_scope, which must be a struct mag_sandbox. */
extern const struct mbp_compute_v1 mag_compute_table;

#endif
