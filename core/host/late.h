/* late.h - ${NAME} in configuration: a variable of this program's environment, looked up when the value is used.
 *
 * What is stored and logged is the reference. What it stands for is a secret: it is told to the redaction, and so shows
 * nowhere. "$${" stands for "${"; a "$" before anything else is itself.
 */
#ifndef MAG_HOST_LATE_H
#define MAG_HOST_LATE_H

#include <magent/mbp.h>
#include <stdbool.h>

/* Is there a reference in `text`? An ill-formed one counts. */
bool mag_late_wanted(struct mbp_str text);
/* Is every reference well-formed? */
int mag_late_check(struct mbp_str text, struct mbp_error *err);
/* Is one of them to a variable that a key stands in (redact.h)? */
bool mag_late_wants_key(struct mbp_str text);
/* `text` with everything filled in; a variable that is not set is an error that names it. Caller frees. */
int mag_late_resolve(struct mbp_str text, char **ret_text, struct mbp_error *err);

#endif
