/* mbp-toolset.h - plugins of kind toolset: tools that a model can call.
 *
 * An instance serves one session. What touches the machine goes through the session's sandbox
 * (magent.compute/1 of mbp-host.h), never to the host directly; a tool that does work on the host says so with
 * MBP_TOOL_HOST and is asked for before it runs.
 */
#ifndef MAGENT_MBP_TOOLSET_H
#define MAGENT_MBP_TOOLSET_H

#include <magent/mbp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBP_TOOLSET_VERSION 1

/* What a provider states. */
struct mbp_toolset_info {
  uint32_t size;
  uint32_t reserved;
  const char *type; /* the `type` of an entry in an agent's "tools" that selects this toolset */
};

#define MBP_TOOL_SANDBOX 0x1u    /* works in the session's sandbox */
#define MBP_TOOL_HOST 0x2u       /* works on the host, or on the network from the host */
#define MBP_TOOL_READ_ONLY 0x4u  /* changes nothing: may run beside others, may be repeated */
#define MBP_TOOL_REPEATABLE 0x8u /* doing it twice is the same as once */

/* Emitted by list_tools, once a tool, in a stable order. name: the tool's name; flags: MBP_TOOL_*;
 * data: JSON {"description":string,"input_schema":object,"aliases":[string]}. The schema is one that the host can check
 * (docs/TOOLS.md). aliases, which may be absent: other names of the tool that `config` may have for it, so that the
 * host knows whose permission policy stands there. */
#define MBP_EV_TOOL 300
/* Emitted by invoke: previews. data: bytes, UTF-8 not promised; index: 1 stdout, 2 stderr. */
#define MBP_EV_TOOL_OUTPUT 301

/* Result of invoke. A tool that ran and failed is a result with is_error, for the model to read;
 * an error in `done` means that the tool could not be run at all. */
struct mbp_tool_result {
  uint32_t size;
  uint32_t is_error;
  struct mbp_str content; /* JSON array of text and image blocks; may be "[]" */
};

struct mbp_toolset_ops {
  uint32_t size;
  uint32_t reserved;
  /* Required. `config` is the entry of the agent's "tools" as JSON, e.g.
   * {"type":"agent_toolset_20260401","configs":[{"name":"bash","enabled":false}]}. Emits MBP_EV_TOOL for each
   * enabled tool; an unknown tool or key in it is refused. Quick, touches nothing. done: no result. */
  int (*list_tools)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str config, struct mbp_error *err);
  /* Required. `input` is a JSON object that holds to the tool's input_schema. done: struct mbp_tool_result. */
  int (*invoke)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str tool, struct mbp_str input,
                struct mbp_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
