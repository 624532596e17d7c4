/* wrap.h - text in lines of a width, for help and tables. */
#ifndef MAG_CLI_WRAP_H
#define MAG_CLI_WRAP_H

#include <magent/mbp.h>
#include <stdio.h>

/* Prints text without control characters, in lines of at most `width` columns: the first goes on at column `at`, the
 * others begin at `indent`. A newline of the text is kept. Ends with a newline. */
void cli_wrap(FILE *out, int width, int at, int indent, struct mbp_str text);
/* Others' text, which terminals would obey: a control character is a question mark. */
void cli_put_clean(FILE *out, struct mbp_str text);
int cli_columns(struct mbp_str text);

#endif
