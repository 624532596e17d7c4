/* embed.h - what the files behind magent.h share; nobody else includes it.
 *
 * Locks: an agent's is held for a moment only, never while a plugin, a callback or the session's own code waits.
 */
#ifndef MAG_EMBED_EMBED_H
#define MAG_EMBED_EMBED_H

#include "agent/session.h"

#include <magent/magent.h>

struct magent {
  struct mag_engine *engine;
};

/* A piece of an agent file. */
struct embed_piece {
  struct embed_piece *next;
  const char *where; /* the file's name for messages, behind the JSON; "": a single key */
  char json[];
};

struct magent_config {
  struct embed_piece *first;
  struct mbp_error mistake; /* the first one; code 0: none */
};

struct embed_tool;

struct magent_agent {
  struct magent *magent;
  struct mag_definition definition; /* of sessions that begin from now on */
  struct mag_definition made;       /* as it was in the beginning */
  int (*confirm)(void *ctx, const char *tool, const char *input);
  void *confirm_ctx;
  struct embed_tool *tools; /* the program's own */

  pthread_mutex_t making;      /* held while a session is made, so that there is one */
  pthread_mutex_t lock;        /* for all below */
  struct mag_session *session; /* NULL: none yet */
  struct mag_session *running; /* the session of the running turn, or NULL */
  bool turn;                   /* one runs, or begins */
  bool alone;                  /* the session is being changed */
  unsigned beside;             /* functions that use the session while a turn may run */
  bool interrupted;            /* before there was a turn: holds for the next one */

  int interrupt_fds[2]; /* a pipe, -1 until it is wanted */
  int interrupt_stop;   /* readable once its thread is to end */
  pthread_t interrupt_thread;
};

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/* Fills `error` (may be NULL) and returns the negative code. */
int embed_fail(struct magent_error *error, const struct mbp_error *err);
/* A caller's struct may be older than ours. NULL gives all zero; MBP_E_INVALID: its size was forgotten, and so all of
 * it would be. `name`: of the struct, for the message. */
int embed_import(void *to, size_t to_size, const void *from, const char *name, struct mbp_error *err);

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

/* Lays the configuration (may be NULL) over what is there. */
int embed_change(const struct magent_config *config, struct mag_definition *definition, struct mbp_error *err);

/* With its ids and versions. */
int embed_copy(const struct mag_definition *from, struct mag_definition *ret_definition, struct mbp_error *err);

/* ---- Who uses an agent ------------------------------------------------------------------------------------------ */

enum embed_use {
  EMBED_TURN,   /* runs a turn: one at a time */
  EMBED_BESIDE, /* uses the session, also while a turn runs */
  EMBED_ALONE,  /* changes which session it is */
};

/* MBP_E_BUSY if that cannot be now. */
int embed_enter(struct magent_agent *agent, enum embed_use use, struct mbp_error *err);
void embed_leave(struct magent_agent *agent, enum embed_use use);
/* Inside of a use: the agent's session, or NULL. */
struct mag_session *embed_present(struct magent_agent *agent);
/* The same, made if there is none. */
int embed_session(struct magent_agent *agent, struct mag_session **ret_session, struct mbp_error *err);

/* session.c. The agent goes by these ids, which name no session: the next prompt begins one. */
int embed_become(struct magent_agent *agent, const struct magent_ids *ids, struct mbp_error *err);

/* Alone: `changed` becomes the agent's definition, and its session's; with `counts` a new version if it is another one.
 * Afterwards `changed` holds what is to be freed. */
int embed_redefine(struct magent_agent *agent, struct mag_definition *changed, bool counts, struct mbp_error *err);

/* tools.c. Gives a session the functions of the agent's tools; adds to a definition those that it lacks. */
int embed_tools_give(struct magent_agent *agent, struct mag_session *session, struct mbp_error *err);
int embed_tools_join(const struct magent_agent *agent, struct mag_definition *definition, struct mbp_error *err);
void embed_tools_free(struct magent_agent *agent);

/* interrupt.c: ends the thread behind magent_interrupt_fd. */
void embed_interrupt_done(struct magent_agent *agent);

/* ---- Turns ------------------------------------------------------------------------------------------------------ */

/* `pollable` gives the stream a descriptor. */
int embed_stream_open(struct magent_agent *agent, const char *prompt, bool pollable, struct magent_stream **ret_stream,
                      struct mbp_error *err);
/* 1: an event, borrowed until the next call; 0: the turn has ended; -MBP_E_TIMEOUT. */
int embed_stream_next(struct magent_stream *stream, int timeout_ms, const struct magent_event **ret_event,
                      struct mbp_error *err);
/* Waits for the end of the turn: how it was, or a negative code. */
int embed_stream_ending(struct magent_stream *stream, struct magent_error *error);
/* The same, after interrupting what still runs; frees. */
int embed_stream_close(struct magent_stream *stream, struct magent_error *error);

#endif
