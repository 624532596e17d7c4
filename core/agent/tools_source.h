/* tools_source.h - where the entries of an agent's "tools" stand in a file, so that what is found wrong with one later,
 * when its plugin is known, can name the line. */
#ifndef MAG_AGENT_TOOLS_SOURCE_H
#define MAG_AGENT_TOOLS_SOURCE_H

#include <magent/mbp.h>

/* Both NULL: nobody knows. */
struct mag_tools_source {
  char *file; /* owned */
  char *text; /* the array as it stands there, behind as many newlines as stand before it */
};

void mag_tools_source_done(struct mag_tools_source *source);
/* `document`: a whole file as JSON whose lines are those of the file (yaml.h). */
int mag_tools_source_read(struct mag_tools_source *source, struct mbp_str document, const char *file,
                          struct mbp_error *err);
int mag_tools_source_copy(struct mag_tools_source *to, const struct mag_tools_source *from, struct mbp_error *err);
/* "agent.yaml:7" of a key of the entry that has this index after mag_toolbox_expand, or of the entry if it has no such
 * key; NULL: not known. Caller frees. */
char *mag_tools_source_place(const struct mag_tools_source *source, size_t index, const char *key);

#endif
