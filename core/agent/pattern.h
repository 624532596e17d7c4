/* pattern.h - the regular expressions of JSON Schema: ECMAScript's, over Unicode, as far as PCRE2 means the same by
 * them. The only file that knows PCRE2. */
#ifndef MAG_AGENT_PATTERN_H
#define MAG_AGENT_PATTERN_H

#include <magent/mbp.h>

struct mag_pattern; /* compiled; may be matched by several threads at once */

/* MBP_E_INVALID: not such an expression; MBP_E_UNSUPPORTED: magent was built without PCRE2. */
int mag_pattern_new(struct mbp_str expression, struct mag_pattern **ret_pattern, struct mbp_error *err);
void mag_pattern_free(struct mag_pattern *pattern); /* accepts NULL */

/* Does it match anywhere in the text (UTF-8)? 1, 0, or -MBP_E_LIMIT: it would take too long to tell. */
int mag_pattern_match(const struct mag_pattern *pattern, struct mbp_str text);

#endif
