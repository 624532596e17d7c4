/* script.h - script files: what a scripted model answers. The format stands in README.md beside this file. */
#ifndef LLM_SCRIPTED_SCRIPT_H
#define LLM_SCRIPTED_SCRIPT_H

#include "../llm-common/llm.h"

#include <stdatomic.h>

#define SCRIPT_MAX_BYTES ((size_t) 16 << 20)
#define SCRIPT_MAX_REPEAT 1000000
#define SCRIPT_MAX_DELAY_MS 3600000

enum script_kind { STEP_TEXT, STEP_THINKING, STEP_CALL, STEP_BLOCK, STEP_DELAY, STEP_ERROR };

struct script_error {
  int code;
  uint32_t flags;
  int32_t status;
  int64_t retry_after_ms;
  int64_t times; /* 0: always */
};

struct script_step {
  enum script_kind kind;
  char *text;  /* text, thinking, or an error's message */
  char *name;  /* of a call */
  char *id;    /* of a call, or NULL */
  char *json;  /* a call's input, or a block */
  int64_t chunk, pace_ms; /* text and thinking: characters a piece, pause between pieces */
  int64_t delay_ms;
  struct script_error error;
  atomic_llong failed; /* how often this error was played */
};

struct script_reply {
  char *match; /* glob on the last user text, or NULL */
  int64_t repeat;
  struct script_step *steps;
  size_t n_steps;
  uint32_t stop; /* 0: by content */
  char *stop_details, *model;
  struct mbp_usage usage;
  int has_usage;
};

struct script {
  struct script_reply *replies;
  size_t n;
  int loop; /* begin again after the last reply */
};

/* `name` is how errors call the file. MBP_E_INVALID: "file:line: what is wrong". */
int script_parse(const struct mbp_json_v1 *json, const char *name, struct mbp_str text, struct script **ret_script,
                 struct mbp_error *err);
int script_load(const struct mbp_json_v1 *json, const char *path, struct script **ret_script, struct mbp_error *err);
void script_free(struct script *script); /* accepts NULL */

/* The reply to a request whose history holds `assistants` assistant messages, `in_turn` of them since the last user
 * text. NULL: the script has none. */
struct script_reply *script_choose(const struct script *script, struct mbp_str user, size_t assistants, size_t in_turn);

#endif
