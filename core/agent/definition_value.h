/* definition_value.h - the value of one key: its text checked by its type and put in the definition. What
 * definition_read.c and definition_value.c share; nobody else includes it. */
#ifndef MAG_AGENT_DEFINITION_VALUE_H
#define MAG_AGENT_DEFINITION_VALUE_H

#include "agent/schema.h"
#include "base/buf.h"
#include "base/json.h"

/* One document being read. */
struct mag_reading {
  struct mag_definition said; /* what it says */
  struct mbp_str document;
  uint32_t place; /* MAG_IN_* */
  const char *where;
  bool lines, change;
  uint64_t cleared;                 /* rows of the schema that are null in a change */
  const char *places[MAG_KEYS_MAX]; /* where each row's key stands in the document */
  struct mbp_error *err;
};

/* "FILE:LINE: PATH: MESSAGE". `place`: in the document. */
int mag_reading_fail(struct mag_reading *reading, const char *place, const char *path, int code, const char *format,
                     ...) __attribute__((format(printf, 5, 6)));

int mag_reading_value(struct mag_reading *reading, const char *place, const struct mag_key *key, struct mbp_str value);
/* A member of a group that has no row of its own. */
int mag_reading_rest(struct mag_reading *reading, const char *place, const struct mag_key *key, const char *name,
                     struct mbp_str value);

/* A quoted JSON string, unescaped. Caller frees; NULL: none, or no memory. */
char *mag_json_unquote(struct mbp_str quoted);

#endif
