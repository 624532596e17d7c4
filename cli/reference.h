/* reference.h - what is printed from the table of keys: text, docs/CONFIG.md, magent-agent(5), the JSON Schema for
 * editors, and words for the shell's completion. */
#ifndef MAG_CLI_REFERENCE_H
#define MAG_CLI_REFERENCE_H

#include "agent/schema.h"

/* A chapter of prose. A paragraph that begins with a blank is an example, line by line. */
struct reference_chapter {
  const char *title;
  const char *const *paragraphs; /* NULL-terminated */
};
extern const struct reference_chapter reference_chapters[]; /* ends with a NULL title */
extern const char reference_summary[];

/* "list of texts" */
const char *reference_type(const struct mag_key *key);
void reference_schema(void); /* the JSON Schema, on stdout */

struct cli;
/* Words that the value of an option of `magent run` may be, a line each: of the schema, or what the plugins have. The
 * status to exit with. */
int reference_values(struct cli *cli, const char *option);

#endif
