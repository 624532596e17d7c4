/* tool_text.h - what is told of a tool, kept once for all sessions of the process that have it: most have the same
 * ones, and there may be many. Any thread. */
#ifndef MAG_AGENT_TOOL_TEXT_H
#define MAG_AGENT_TOOL_TEXT_H

#include "agent/json_schema.h"

#include <magent/mbp.h>

struct mag_tool_text {
  char *name, *description, *schema; /* never changed */
  struct mag_schema *input_schema;   /* of `schema` */
  /* The table's own. */
  struct mag_tool_text *next;
  unsigned refs;
};

/* One that is the same byte for byte, or a new one. Fails like mag_schema_new. */
int mag_tool_text_get(struct mbp_str name, struct mbp_str description, struct mbp_str schema,
                      struct mag_tool_text **ret_text, struct mbp_error *err);
void mag_tool_text_put(struct mag_tool_text *text); /* accepts NULL */

#endif
