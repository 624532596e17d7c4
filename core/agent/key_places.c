#include "agent/key_places.h"

#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>

void mag_key_places_done(struct mag_key_places *places)
{
  for (size_t i = 0; places->texts && i < MAG_KEYS_MAX; i++)
    free(places->texts[i]);
  free(places->texts);
  places->texts = NULL;
}

int mag_key_places_set(struct mag_key_places *places, size_t row, const char *place, struct mbp_error *err)
{
  if (!place && !places->texts)
    return 0;
  if (!places->texts)
    places->texts = calloc(MAG_KEYS_MAX, sizeof(*places->texts));
  char *copy = place && places->texts ? mag_str_dup(mbp_str(place)) : NULL;
  if (!places->texts || (place && !copy))
    return mag_error_no_memory(err);
  free(places->texts[row]);
  places->texts[row] = copy;
  return 0;
}

const char *mag_key_places_get(const struct mag_key_places *places, size_t row)
{
  return places->texts ? places->texts[row] : NULL;
}

int mag_key_places_copy(struct mag_key_places *to, const struct mag_key_places *from, struct mbp_error *err)
{
  int r = 0;
  for (size_t i = 0; i < MAG_KEYS_MAX && r == 0; i++)
    r = mag_key_places_set(to, i, mag_key_places_get(from, i), err);
  return r;
}
