/* mbp-llm.h - plugins of kind llm: a model behind a wire protocol.
 *
 * The host speaks one canonical form, the content blocks of the Messages API as they stand in
 * docs/LOG-FORMAT: text, image, thinking, redacted_thinking, tool_use, tool_result. A plugin translates them
 * to its wire and back. Blocks of any other type are opaque provider data: the plugin that produced
 * them gets them back untouched and in order; other plugins never see them.
 */
#ifndef MAGENT_MBP_LLM_H
#define MAGENT_MBP_LLM_H

#include <magent/mbp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBP_LLM_VERSION 1

/* What a provider states. */
struct mbp_llm_info {
  uint32_t size;
  uint32_t reserved;
  /* Model names it answers to, as globs ("claude-*"), NULL-terminated; NULL: only by "provider/name". */
  const char *const *models;
};

#define MBP_CAP_LLM_IMAGES (UINT64_C(1) << 32)        /* image blocks in user messages */
#define MBP_CAP_LLM_RESULT_IMAGES (UINT64_C(1) << 33) /* image blocks in tool results */
#define MBP_CAP_LLM_OFFLINE (UINT64_C(1) << 34)       /* answers without a model: users are told so */

#define MBP_ROLE_USER 1
#define MBP_ROLE_ASSISTANT 2

#define MBP_MESSAGE_CACHE 0x1u /* a good place for a prompt-cache mark: the end of this message */

/* One message. `content` is a JSON array of canonical blocks, never empty. Frozen.
 * The messages of one request are a byte prefix of the next one's; flags may differ. */
struct mbp_message {
  uint32_t role; /* MBP_ROLE_*; two of a role may follow one another */
  uint32_t flags;
  struct mbp_str content;
};

/* One tool that the model may call. Frozen. */
struct mbp_tool {
  struct mbp_str name;         /* [A-Za-z0-9_-]{1,64} */
  struct mbp_str description;
  struct mbp_str input_schema; /* JSON object */
};

struct mbp_llm_request {
  uint32_t size;
  uint32_t max_tokens; /* 0: the plugin's default */
  struct mbp_str model;
  struct mbp_str system; /* may be empty */
  const struct mbp_message *messages;
  size_t n_messages;
  const struct mbp_tool *tools; /* order is stable over a session */
  size_t n_tools;
  struct mbp_str params; /* JSON object of the agent's model parameters, or empty */
};

/* Events of generate, in any number: previews, shown and not stored. `index` is the block's number. */
#define MBP_EV_LLM_TEXT 100       /* data: a piece of text, whole UTF-8 characters */
#define MBP_EV_LLM_THINKING 101   /* data: a piece of thinking, may be empty */
#define MBP_EV_LLM_TOOL_START 102 /* name: the tool; data: the call's id */
#define MBP_EV_LLM_TOOL_INPUT 103 /* data: a piece of the input's JSON text */

#define MBP_STOP_END_TURN 1
#define MBP_STOP_TOOL_USE 2   /* set it whenever the content holds a tool_use block to be run */
#define MBP_STOP_MAX_TOKENS 3 /* cut off by max_tokens */
#define MBP_STOP_REFUSAL 4
#define MBP_STOP_PAUSE 5      /* send the content back as it is and go on */
#define MBP_STOP_CONTEXT 6    /* the context window is full */
#define MBP_STOP_SEQUENCE 7   /* a stop sequence; ends the turn */

/* Tokens of one request. Total input = input + cache_read + cache_write. */
struct mbp_usage {
  uint32_t size;
  uint32_t reserved;
  int64_t input, output, cache_read, cache_write;
};

/* Result of generate. Only a response whose stream reached its final mark is a result; anything else is
 * an error (MBP_E_NETWORK or MBP_E_PROTOCOL, retryable). */
struct mbp_llm_response {
  uint32_t size;
  uint32_t stop; /* MBP_STOP_* */
  struct mbp_str content;     /* JSON array of canonical blocks, verbatim; may be "[]" */
  struct mbp_str stop_details; /* JSON object {"type":"refusal","category":..,"explanation":..} or empty */
  struct mbp_str model;       /* as the service names it, or empty */
  struct mbp_str request_id;  /* the service's own, or empty */
  const struct mbp_usage *usage; /* NULL: not told */
};

struct mbp_llm_ops {
  uint32_t size;
  uint32_t reserved;
  /* Required. done: struct mbp_llm_response. Retries are the host's: the error says whether one makes
   * sense (flags, retry_after_ms). */
  int (*generate)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_llm_request *request,
                  struct mbp_error *err);
  /* Optional. Emits one MBP_EV_LLM_MODEL a model; done: no result. */
  int (*list_models)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);
  /* Optional. done: struct mbp_usage with input set. */
  int (*count_tokens)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_llm_request *request,
                      struct mbp_error *err);
  /* Optional. Would generate refuse these model parameters, whatever was said? The request has them, a model and a
   * message of one word. Asks nobody. done: no result. */
  int (*check_params)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_llm_request *request,
                      struct mbp_error *err);
};

#define MBP_EV_LLM_MODEL 104 /* name: the model's name; data: JSON object with what is known of it, or empty */

#ifdef __cplusplus
}
#endif
#endif
