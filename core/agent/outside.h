/* outside.h - what reaches a session from outside of its runner: from another thread or another process.
 *
 * Everything here is an ordinary append to the session's log (docs/LOG-FORMAT.md, section 10). Any thread.
 */
#ifndef MAG_AGENT_OUTSIDE_H
#define MAG_AGENT_OUTSIDE_H

#include "agent/engine.h"
#include "base/id.h"

struct mag_session;

/* Appends a user message of one text block, durably. `delivery`: MAG_DELIVERY_*, or NULL. MBP_E_NOT_FOUND;
 * MBP_E_READ_ONLY for an archived session. */
int mag_outside_say(struct mag_engine *engine, const char *id, struct mbp_str text, const char *delivery,
                    char ret_event_id[MAG_ID_SIZE], struct mbp_error *err);
/* The same with any content: a JSON array of text, image and document blocks. */
int mag_outside_say_content(struct mag_engine *engine, const char *id, struct mbp_str content, const char *delivery,
                            char ret_event_id[MAG_ID_SIZE], struct mbp_error *err);

/* Interrupts the running turn, whichever process runs it. *ret_running false: there was none, and nothing was
 * appended. */
int mag_outside_interrupt(struct mag_engine *engine, const char *id, bool *ret_running, struct mbp_error *err);

/* For the turn: from now on an interrupt from outside cancels the turn's call, within a moment. */
void mag_outside_watch(struct mag_session *session);
void mag_outside_unwatch(struct mag_session *session); /* also if it was not watched */
/* The runner itself has come upon such an event, beside its own. */
struct mbp_record;
void mag_outside_noticed(struct mag_session *session, const struct mbp_record *record);

#endif
