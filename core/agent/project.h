/* project.h - from a session's state to the messages of a model request. docs/LOG-FORMAT.md, section 8. */
#ifndef MAG_AGENT_PROJECT_H
#define MAG_AGENT_PROJECT_H

#include "agent/state.h"

struct mag_projection {
  struct mbp_message *messages; /* content is borrowed from the state, or from `kept` */
  size_t n;
  char **kept; /* contents that had to be written anew */
  size_t n_kept;
};

/* `provider`: who is asked. The last message carries the cache mark. */
int mag_project(const struct mag_state *state, const char *provider, struct mag_projection *ret_projection,
                struct mbp_error *err);
void mag_projection_done(struct mag_projection *projection);

/* The tool_result blocks of all calls of the last response, in call order, as a JSON array; a call without a result
 * gets an error that says so. NULL without memory. */
char *mag_project_results(const struct mag_state *state);

#endif
