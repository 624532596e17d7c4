/* spill.h - a file in the sandbox that receives an output too long for the model, while it is produced. */
#ifndef TOOLSET_AGENT_SPILL_H
#define TOOLSET_AGENT_SPILL_H

#include "agent.h"

struct spill {
  struct mbp_stream *stream; /* a writer in the sandbox, or NULL */
  uint64_t written;
  int cut; /* the file has reached its limit */
  char path[600];
  char problem[200];
};

/* Never fails: what went wrong is told by spill_end. */
void spill_begin(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill);
void spill_add(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill, const char *bytes, size_t len);
/* Closes it and says where the output is. */
void spill_end(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill, struct text *ret_note);

#endif
