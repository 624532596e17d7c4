/* session_parts.h - what the files behind session.h share; nobody else includes it. */
#ifndef MAG_AGENT_SESSION_PARTS_H
#define MAG_AGENT_SESSION_PARTS_H

#include "agent/session.h"

/* ---- session.c ------------------------------------------------------------------------------------------------ */

struct mag_session *mag_session_new(struct mag_engine *engine); /* for mag_session_close; NULL without memory */

/* The session's own copy, with tools by their real names, and the two resources. */
int mag_session_define(struct mag_session *session, const struct mag_definition *definition, char **ret_agent,
                       char **ret_environment, struct mbp_error *err);

/* Model, tools and compute: all that can fail for reasons that the user can mend, before a log exists. */
int mag_session_open_parts(struct mag_session *session, struct mbp_error *err);

/* ---- session_sandbox.c ---------------------------------------------------------------------------------------- */

bool mag_session_needs_compute(const struct mag_session *session);

/* What the environment asks for and the provider cannot give is refused here, before there is a log or a sandbox. */
int mag_session_open_compute(struct mag_session *session, struct mbp_error *err);

/* Makes nothing but the workspace: the sandboxes themselves are made when a tool needs them. */
int mag_session_prepare_sandboxes(struct mag_session *session, struct mbp_error *err);

/* After a change of the agent; `moved`: of its environment too. */
int mag_session_renew_sandboxes(struct mag_session *session, bool moved, struct mbp_error *err);

void mag_session_free_sandboxes(struct mag_session *session);

/* ---- session_preview.c ---------------------------------------------------------------------------------------- */

/* A record that became durable, for the observer. */
void mag_session_observed(struct mag_session *session, const struct mbp_record *record);

#endif
