/* custom_parts.h - running custom tools. Private to core/agent. */
#ifndef MAG_AGENT_CUSTOM_PARTS_H
#define MAG_AGENT_CUSTOM_PARTS_H

#include "agent/custom.h"
#include "agent/toolbox.h"

/* Handlers of a session; each is counted, because a call that was given up may still use one. */
struct mag_handler;
struct mag_handlers {
  struct mag_handler **items;
  size_t n;
};
struct mag_handler *mag_handlers_find(const struct mag_handlers *handlers, const char *name); /* or NULL */
void mag_handlers_done(struct mag_handlers *handlers);

/* One call to be answered. */
struct mag_custom_job {
  struct mag_session *session;
  struct mbp_call *call; /* the turn's */
  const struct mag_tool *tool;
  const char *event_id, *input;
};

/* `content`: JSON array of blocks. Caller frees. */
struct mag_custom_answer {
  char *content;
  bool is_error;
};

/* Can this process answer calls of the tool? */
bool mag_custom_here(const struct mag_session *session, const struct mag_tool *tool);
/* Answers one. Negative: the tool could not be run, or did not end as it should. */
int mag_custom_run(const struct mag_custom_job *job, struct mag_custom_answer *ret_answer, struct mbp_error *err);

int mag_custom_run_handler(const struct mag_custom_job *job, struct mag_handler *handler,
                           struct mag_custom_answer *ret_answer, struct mbp_error *err);

#define MAG_CUSTOM_ANSWER_MAX (4u << 20)

/* An answer as others give it (a program on stdout, a person on the command line): {"content": [blocks], "is_error":
 * bool}, where blocks are text and images. *ret_found: the text is an object with just these keys; else nothing is
 * done. MBP_E_INVALID: it is one, and something is wrong with it. */
int mag_custom_parse_answer(struct mbp_str text, bool *ret_found, struct mag_custom_answer *ret_answer,
                            struct mbp_error *err);
/* [{"type":"text","text":...}]; NULL without memory. Caller frees. */
char *mag_custom_text_content(struct mbp_str text);

/* Are these the bytes (or, `base64`, their base64) of an image of that type? */
int mag_image_check(struct mbp_str media_type, struct mbp_str data, bool base64, struct mbp_error *err);

#endif
