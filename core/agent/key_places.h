/* key_places.h - where the keys of an agent stand in files, so that what is found wrong with one later, when its plugin
 * is known, can name the line. */
#ifndef MAG_AGENT_KEY_PLACES_H
#define MAG_AGENT_KEY_PLACES_H

#include <magent/mbp.h>
#include <stddef.h>

#define MAG_KEYS_MAX 64 /* rows of the schema */

struct mag_key_places {
  char **texts; /* owned, MAG_KEYS_MAX of them: "agent.yaml:7", or NULL; NULL: nobody knows of any */
};

void mag_key_places_done(struct mag_key_places *places);
/* `place`: NULL for a key that was said otherwise. Copied. */
int mag_key_places_set(struct mag_key_places *places, size_t row, const char *place, struct mbp_error *err);
const char *mag_key_places_get(const struct mag_key_places *places, size_t row); /* or NULL; borrowed */
int mag_key_places_copy(struct mag_key_places *to, const struct mag_key_places *from, struct mbp_error *err);

#endif
