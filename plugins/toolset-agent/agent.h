/* agent.h - the agent toolset: what its files share. */
#ifndef TOOLSET_AGENT_AGENT_H
#define TOOLSET_AGENT_AGENT_H

#include "text.h"

#include <magent/mbp-host.h>
#include <magent/mbp-toolset.h>
#include <pthread.h>

#define TYPE_NAME "agent_toolset_20260401"

enum tool_id { TOOL_BASH, TOOL_READ, TOOL_WRITE, TOOL_EDIT, TOOL_GLOB, TOOL_GREP, N_TOOLS };

#define INPUT_STRING 1
#define INPUT_BOOLEAN 2
#define INPUT_INTEGER 3
#define INPUT_RANGE 4 /* an array of two integers */

#define N_INPUTS 4

struct tool_input {
  const char *name; /* NULL: no more */
  int type;
  int required;
};

struct tool {
  const char *name;
  uint32_t flags;
  const char *description;
  const char *schema; /* JSON */
  struct tool_input inputs[N_INPUTS];
};

extern const struct tool tools[N_TOOLS];

/* Names that other systems have for our tools, accepted wherever a configuration names one. Frozen: none ever goes or
 * changes its meaning. */
struct alias {
  const char *name, *tool;
};
extern const struct alias aliases[];

/* A checked input: values in the order of the tool's inputs; strings are borrowed from the document. */
struct input {
  struct mbp_json *document;
  struct {
    int given;
    struct mbp_str text;
    int64_t number, second;
  } values[N_INPUTS];
};

struct shell;

struct mbp_instance {
  const struct mbp_host *host;
  const struct mbp_json_v1 *json;
  const struct mbp_compute_v1 *compute;
  int64_t timeout_ms, max_timeout_ms, output_limit, spill_limit;
  uint32_t enabled; /* a bit a tool: what list_tools has last said */
  pthread_mutex_t shell_lock; /* one bash command at a time; guards `shell` and `spills` */
  struct shell *shell;
  pthread_mutex_t lock; /* enabled, spill_dir */
  char spill_name[24];     /* a directory of our own below the sandbox's place for temporary files */
  char spill_dir[512];     /* where it was last: in a new sandbox it may be elsewhere */
  uint32_t spills;
};

/* config.c: which tools an entry of the agent's "tools" enables. */
int config_parse(const struct mbp_json_v1 *json, struct mbp_str config, uint32_t *ret_enabled, struct mbp_error *err);

/* input.c: 0, or 1 and a line for the model in `problem`. */
int input_parse(const struct mbp_json_v1 *json, const struct tool *tool, struct mbp_str text, struct input *ret_input,
                struct text *problem);

/* files.c and shell.c: the tool's answer. Negative: it could not be run. */
int files_run(struct mbp_instance *agent, struct mbp_call *call, enum tool_id id, const struct input *input,
              struct text *answer, uint32_t *ret_is_error, struct mbp_error *err);
int shell_run(struct mbp_instance *agent, struct mbp_call *call, const struct input *input, struct text *answer,
              uint32_t *ret_is_error, struct mbp_error *err);
void shell_free(struct mbp_instance *agent);

#endif
