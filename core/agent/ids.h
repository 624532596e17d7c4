/* ids.h - the names that a program needs to find its session again, as a file of one line:
 *
 *   {"version": 1, "agent_id": "agent_...", "agent_version": 1, "environment_id": "env_...", "environment_version": 1,
 *    "session_id": "sesn_..."}
 *
 * The command and magent.h write and read the same one. Null, or missing: there is none, as for a session whose agent
 * was given with it; session_id must be there, and is null after a reset. Without `version` it is 1; unknown keys are
 * passed over.
 */
#ifndef MAG_AGENT_IDS_H
#define MAG_AGENT_IDS_H

#include "agent/engine.h"
#include "base/id.h"

/* Texts are empty and versions are 0 where the file says null. Laid out as struct magent_ids is. */
struct mag_ids {
  char agent_id[MAG_ID_SIZE], environment_id[MAG_ID_SIZE], session_id[MAG_ID_SIZE];
  uint32_t agent_version, environment_version;
};

/* Of a session that exists. MBP_E_NOT_FOUND. */
int mag_ids_of(struct mag_engine *engine, const char *session_id, struct mag_ids *ret_ids, struct mbp_error *err);

/* Is the session there and one of this agent and this environment, and was there ever such a version of them, in the
 * session or stored? Else MBP_E_NOT_FOUND. What is empty is not asked about. Changes nothing. */
int mag_ids_check(struct mag_engine *engine, const struct mag_ids *ids, struct mbp_error *err);

/* Replaces the file at once: readers see the old one or the new one. Only its owner may read it. MBP_E_INVALID: what
 * could not be read again. */
int mag_ids_save(const struct mag_ids *ids, const char *path, struct mbp_error *err);
/* Errors name the file, and the key. */
int mag_ids_load(const char *path, struct mag_ids *ret_ids, struct mbp_error *err);

/* The file's text. -MBP_E_INVALID, with `where` in front of what is wrong; -MBP_E_UNSUPPORTED for a newer version. */
int mag_ids_read(struct mbp_str json, const char *where, struct mag_ids *ret_ids, struct mbp_error *err);
/* And back. Caller frees; NULL without memory. */
char *mag_ids_text(const struct mag_ids *ids);

#endif
