/* toolbox.h - the tools of one session: which there are, who runs them, what may run without asking. */
#ifndef MAG_AGENT_TOOLBOX_H
#define MAG_AGENT_TOOLBOX_H

#include "agent/state.h"
#include "host/instance.h"
#include "agent/engine.h"

#include <magent/mbp-toolset.h>

struct mag_tool {
  char *name, *description, *schema;
  uint32_t flags; /* MBP_TOOL_* */
  enum mag_permission permission;
  struct mag_instance *toolset; /* borrowed from the toolbox */
};

struct mag_toolbox {
  struct mag_tool *tools;
  size_t n;
  struct mag_instance **toolsets;
  size_t n_toolsets;
  struct mbp_tool *offer; /* the same tools as a model request shows them; n of them */
};

/* `entries`: the "tools" array of an agent. Each entry opens the toolset plugin that answers to its type. */
int mag_toolbox_open(struct mag_toolbox *toolbox, struct mag_engine *engine, struct mbp_str entries,
                     struct mbp_error *err);
void mag_toolbox_close(struct mag_toolbox *toolbox);

/* NULL: no such tool. */
const struct mag_tool *mag_toolbox_find(const struct mag_toolbox *toolbox, struct mbp_str name);

/* What an agent's entry says of a tool: all rules that match count, deny before ask before allow; without one, what
 * runs in the sandbox is allowed and what touches the host is asked. */
int mag_policy_decide(struct mbp_str entry, const char *tool, uint32_t flags, enum mag_permission *ret_permission,
                      struct mbp_error *err);

const char *mag_permission_name(enum mag_permission permission); /* "allow", "ask", "deny" */

#endif
