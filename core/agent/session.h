/* session.h - a session that can be run: its log, its model, its tools and its sandbox.
 *
 * One thread runs a session at a time; mag_session_interrupt may be called from any.
 */
#ifndef MAG_AGENT_SESSION_H
#define MAG_AGENT_SESSION_H

#include "agent/custom_parts.h"
#include "agent/definition.h"
#include "agent/engine.h"
#include "agent/log.h"
#include "agent/output.h"
#include "agent/price.h"
#include "agent/rounds.h"
#include "agent/sandbox.h"
#include "agent/toolbox.h"
#include "base/buf.h"

#include <pthread.h>

#define MAG_PREVIEW_TEXT 1        /* a piece of an agent.message */
#define MAG_PREVIEW_THINKING 2
#define MAG_PREVIEW_TOOL_START 3  /* name: the tool; event_id is not known yet */
#define MAG_PREVIEW_TOOL_INPUT 4
#define MAG_PREVIEW_TOOL_OUTPUT 5
#define MAG_PREVIEW_PROGRESS 6    /* a line for a human */

/* Shown as it comes, never stored. */
struct mag_preview {
  uint32_t kind;
  const char *event_id; /* of the event that will hold it, or "" */
  struct mbp_str name, data;
};

/* A call that waits for a person. */
struct mag_question {
  const char *event_id, *tool, *input; /* input: JSON object */
  bool on_host;                        /* it would not run in the sandbox */
};

/* Who watches. Members may be NULL. Called from the session's thread and, for tool output, from tools' threads, one
 * at a time. */
struct mag_observer {
  void *ctx;
  void (*event)(void *ctx, const struct mbp_record *record); /* durable */
  void (*preview)(void *ctx, const struct mag_preview *preview);
  /* May this tool run? 1 yes, 0 no, -1 nobody is there to say. */
  int (*confirm)(void *ctx, const char *tool, const char *input);
  /* The same with more to ask and to say; it goes before confirm. reply->message is malloced, and freed by us. */
  void (*ask)(void *ctx, const struct mag_question *question, struct mag_reply *reply);
};

struct mag_limits {
  int64_t max_steps;  /* model requests of one turn; 0: no limit */
  int64_t timeout_ms; /* of one turn; 0: none */
};

enum mag_ending {
  MAG_END_TURN,
  MAG_END_REQUIRES_ACTION,
  MAG_END_LIMIT,
  MAG_END_REFUSAL,
  MAG_END_ERROR,
  MAG_END_INTERRUPTED,
};

/* How a turn ended; `error` tells why for ERROR, LIMIT and REFUSAL. */
struct mag_outcome {
  enum mag_ending ending;
  struct mbp_error error;
};

struct mag_session {
  struct mag_engine *engine;
  struct mag_definition definition;
  struct mag_log log;
  pthread_mutex_t commit_lock; /* the sandbox is recorded from tools' threads */
  struct mag_toolbox toolbox;
  struct mag_model *models;     /* the definition's and its fallbacks: models.h */
  size_t n_models;
  struct mag_instance *llm;     /* of the one that is asked now, like the next three */
  const char *provider; /* the plugin's name */
  const char *model;    /* its name there */
  struct mag_price price; /* without a currency: not known */
  struct mag_instance *compute; /* NULL: the agent has no tool that needs one */
  uint32_t network;             /* MBP_NET_* */
  struct mag_sandbox *sandbox;
  struct mag_sandbox *host;     /* for custom tools that run on the host; NULL: there is none */
  struct mag_handlers handlers; /* of custom tools */
  bool sandbox_known;           /* what the log says of a sandbox is about one of this process */
  struct mag_output output;     /* of the running tool */
  struct mag_round idle;
  struct mag_observer observer;
  pthread_mutex_t observer_lock;
  pthread_mutex_t call_lock;
  struct mbp_call *call; /* of the running turn */
  bool dropping;         /* the sandbox is being removed: no turn begins */
  unsigned holders;      /* who uses the sandbox and is no turn: it is not removed */
  pthread_cond_t dropped;
  struct mag_round outside; /* of the running turn: what do others append? */
  bool watched;             /* it has joined */
  uint64_t outside_seen;
  bool interrupted;      /* before there was a turn to interrupt: holds for the next one */
};

/* Model, tools, provider and network: everything that can be checked before anything is created. */
int mag_session_check(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_error *err);

/* The same for an agent that may run later, or elsewhere: that a key or a variable of the environment is missing here
 * is no mistake of it. */
int mag_session_check_agent(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_error *err);

/* Both check the same first. */
int mag_session_create(struct mag_engine *engine, const struct mag_definition *definition, struct mbp_str title,
                       struct mag_session **ret_session, struct mbp_error *err);
/* `overrides`: model and system that replace the recorded ones from now on, or NULL. */
int mag_session_open(struct mag_engine *engine, const char *id, const struct mag_definition *overrides,
                     struct mag_session **ret_session, struct mbp_error *err);
/* Another agent and environment from the next turn on, with the same conversation; checked first, and durable when it
 * returns. While no turn runs. A changed environment means a new sandbox; the workspace stays. */
int mag_session_redefine(struct mag_session *session, const struct mag_definition *definition, struct mbp_error *err);
void mag_session_close(struct mag_session *session); /* the sandbox goes, the workspace stays; accepts NULL */

void mag_session_observe(struct mag_session *session, const struct mag_observer *observer);

/* Appends a user message of one text block. Durable when it returns. */
int mag_session_say(struct mag_session *session, struct mbp_str text, struct mbp_error *err);

/* The content of a message of one text block, in the writer. */
int mag_message_content(struct mbp_writer *writer, struct mbp_str text, struct mbp_str *ret_content,
                        struct mbp_error *err);

/* Runs until the session is idle. Negative only if the log itself failed; how the turn went is in the outcome. */
int mag_session_run(struct mag_session *session, const struct mag_limits *limits, struct mag_outcome *ret_outcome,
                    struct mbp_error *err);

/* Both in one, for who waits for the answer anyway: a session that rests takes the message and begins in one append. */
int mag_session_ask(struct mag_session *session, struct mbp_str text, const struct mag_limits *limits,
                    struct mag_outcome *ret_outcome, struct mbp_error *err);

/* Ends the running turn, or the next one as soon as it begins. Any thread. */
void mag_session_interrupt(struct mag_session *session);
/* While no turn runs: an interrupt that came too late for the last one does not hold for the next. */
void mag_session_forget_interrupt(struct mag_session *session);

/* The sandbox beside turns, without a model. While no turn runs: prepared, if no tool needs one. Makes none. */
int mag_session_need_sandbox(struct mag_session *session, struct mbp_error *err);
/* Between these two it may be used with mag_compute_table, also while a turn runs. */
void mag_session_hold_sandbox(struct mag_session *session);
void mag_session_release_sandbox(struct mag_session *session);
/* While no turn runs: it goes, the workspace stays. MBP_E_BUSY: it is in use. */
int mag_session_drop_sandbox(struct mag_session *session, struct mbp_error *err);
/* There is no workspace on this machine: what is lost with the sandbox are its files too. */
bool mag_session_files_inside(const struct mag_session *session);

/* With the lock; see mag_log_refresh and mag_log_commit. */
int mag_session_refresh(struct mag_session *session, struct mbp_error *err);
int mag_session_commit(struct mag_session *session, struct mag_batch *batch, struct mbp_error *err);
void mag_session_preview(struct mag_session *session, uint32_t kind, const char *event_id, struct mbp_str name,
                         struct mbp_str data);

/* Previews that come in pieces: a secret that is cut in two must still be found, so that the end of a piece may have
 * to wait for the next one. All zero in the beginning; `rest` shows what waits, and frees. */
struct mag_preview_stream {
  struct mag_buf held;
  uint32_t kind;
  char event_id[MAG_ID_SIZE];
  const char *name; /* borrowed */
};
void mag_session_preview_piece(struct mag_session *session, struct mag_preview_stream *stream, uint32_t kind,
                               const char *event_id, const char *name, struct mbp_str data);
void mag_session_preview_rest(struct mag_session *session, struct mag_preview_stream *stream);

/* "none", "host" ...; "" if it is none of MBP_NET_*. Static. */
const char *mag_network_name(uint32_t network);

/* An id becomes a path: only what we make ourselves is one. -MBP_E_NOT_FOUND, for NULL too. */
int mag_session_check_id(const char *id, struct mbp_error *err);
/* Where a session without --workspace works. Caller frees. */
char *mag_session_workspace(const char *id);

#endif
