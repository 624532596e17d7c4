/* ids.h - the names that a program needs to find its session again, as a file:
 *
 *   {"version": 1, "agent_id": "...", "agent_version": 1, "environment_id": "...", "session_id": "sesn_..."}
 *
 * agent_id, agent_version and environment_id are null for a session whose agent was given with it.
 */
#ifndef MAG_AGENT_IDS_H
#define MAG_AGENT_IDS_H

#include "agent/engine.h"
#include "base/id.h"

#define MAG_IDS_TEXT 201

/* Texts are empty and the version is 0 where the file says null. */
struct mag_ids {
  char agent_id[MAG_IDS_TEXT], environment_id[MAG_IDS_TEXT];
  int64_t agent_version;
  char session_id[MAG_ID_SIZE];
};

/* Of a session that exists. MBP_E_NOT_FOUND. */
int mag_ids_of(struct mag_engine *engine, const char *session_id, struct mag_ids *ret_ids, struct mbp_error *err);

/* Replaces the file at once: readers see the old one or the new one. Only its owner may read it. */
int mag_ids_save(const struct mag_ids *ids, const char *path, struct mbp_error *err);

/* Reads the file and makes sure that its session is there: else MBP_E_NOT_FOUND. Changes nothing. */
int mag_ids_restore(struct mag_engine *engine, const char *path, struct mag_ids *ret_ids, struct mbp_error *err);

/* The file's text. -MBP_E_INVALID, with `where` in front of what is wrong; -MBP_E_UNSUPPORTED for a newer version. */
int mag_ids_read(struct mbp_str json, const char *where, struct mag_ids *ret_ids, struct mbp_error *err);
/* And back. Caller frees; NULL without memory. */
char *mag_ids_text(const struct mag_ids *ids);

#endif
