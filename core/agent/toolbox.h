/* toolbox.h - the tools of one session: which there are, who runs them, what may run without asking. */
#ifndef MAG_AGENT_TOOLBOX_H
#define MAG_AGENT_TOOLBOX_H

#include "agent/state.h"
#include "host/instance.h"
#include "agent/engine.h"
#include "agent/tools_source.h"
#include "agent/tool_text.h"

#include <magent/mbp-toolset.h>

struct mag_tool {
  const char *name, *description, *schema; /* these four are of `text` */
  const struct mag_schema *input_schema;   /* of `schema` */
  uint32_t flags; /* MBP_TOOL_* */
  enum mag_permission permission;
  struct mag_instance *toolset;    /* borrowed from the toolbox; NULL: a custom tool */
  struct mag_custom_entry *custom; /* what a custom tool's entry says; else NULL */
  struct mag_tool_text *text;
};

struct mag_toolbox {
  struct mag_tool *tools;
  size_t n;
  struct mag_instance **toolsets;
  size_t n_toolsets;
  struct mbp_tool *offer; /* the same tools as a model request shows them; n of them */
};

/* The "tools" of an agent as they are recorded: names among the entries become one entry of the default toolset, in
 * which all tools are off but these. NULL stays NULL. Caller frees. */
int mag_toolbox_expand(struct mag_engine *engine, const char *entries, char **ret_entries, struct mbp_error *err);

/* `entries`: that array. An entry is a custom tool, or opens the toolset plugin that answers to its type. `source` may
 * be NULL: where the entries stand, for errors. */
int mag_toolbox_open(struct mag_toolbox *toolbox, struct mag_engine *engine, struct mbp_str entries,
                     const struct mag_tools_source *source, struct mbp_error *err);
void mag_toolbox_close(struct mag_toolbox *toolbox);

/* NULL: no such tool. */
const struct mag_tool *mag_toolbox_find(const struct mag_toolbox *toolbox, struct mbp_str name);

/* What an agent's entry says of a tool: all rules that match count, deny before ask before allow; without one, what
 * runs in the sandbox is allowed and what touches the host is asked. `aliases`: array of other names of the tool, or
 * NULL. */
int mag_policy_decide(struct mbp_str entry, const char *tool, const struct mbp_json *aliases, uint32_t flags,
                      enum mag_permission *ret_permission, struct mbp_error *err);
/* The same of a custom tool: its own permission_policy; without one, a program on the host is asked about. */
int mag_policy_custom(const struct mbp_json *entry, const char *tool, uint32_t flags,
                      enum mag_permission *ret_permission, struct mbp_error *err);

const char *mag_permission_name(enum mag_permission permission); /* "allow", "ask", "deny" */

#endif
