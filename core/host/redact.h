/* redact.h - the secrets that this process knows, and their removal from text that is stored or shown.
 *
 * A secret is found as it is and in the forms that it commonly takes: base64 (standard and URL-safe, at any
 * alignment), percent-encoded and JSON-escaped. Secrets shorter than 8 bytes are not looked for: they would be found
 * everywhere. Any thread.
 */
#ifndef MAG_HOST_REDACT_H
#define MAG_HOST_REDACT_H

#include "base/buf.h"

#define MAG_REDACTED "[redacted]"

void mag_redact_add(struct mbp_str secret);
/* One that the user gives to a sandbox: it is removed like the others, and may go there. */
void mag_redact_add_lent(struct mbp_str secret);
/* Does `text` hold a secret of the other kind, which must not go anywhere? */
bool mag_redact_is_key(struct mbp_str text);
/* A variable of the environment that a provider's key stands in: its value is such a secret, unless it is no more than
 * the address of a service, and none that asks for it by name is a place for it. */
void mag_redact_add_variable(const char *name);
bool mag_redact_is_variable(struct mbp_str name);
/* Appends `text` to `out` with every known secret replaced. */
void mag_redact_into(struct mag_buf *out, struct mbp_str text);
/* Is anything in `text` a known secret? Quick; lets the usual text pass without a copy. */
bool mag_redact_wanted(struct mbp_str text);
/* `text` itself, or a new text in its place with every known secret replaced. Owned in, owned out; NULL: no memory. */
char *mag_redact_text(char *text);
/* In place; what no longer fits is cut off. */
void mag_redact_error(struct mbp_error *err);

/* For pieces of a stream: appends what can be told to `out`, and keeps in `held` what may be the beginning of a
 * secret that the next piece ends. After the last piece the rest is in `held`, and holds no secret. */
void mag_redact_piece(struct mag_buf *held, struct mbp_str piece, struct mag_buf *out);

#endif
