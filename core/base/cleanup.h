/* cleanup.h - scope-bound release of memory and descriptors, and small arithmetic. */
#ifndef MAG_BASE_CLEANUP_H
#define MAG_BASE_CLEANUP_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void mag_cleanup_free(void *place)
{
  free(*(void **) place);
}

static inline void mag_cleanup_close(int *fd)
{
  if (*fd >= 0)
    (void) close(*fd);
}

/* mag_autofree char *p = NULL;  mag_autoclose int fd = -1;  Always initialise. */
#define mag_autofree __attribute__((cleanup(mag_cleanup_free)))
#define mag_autoclose __attribute__((cleanup(mag_cleanup_close)))
#define mag_auto(cleanup_function) __attribute__((cleanup(cleanup_function)))

/* Takes the value out of a variable that would be released: return mag_steal(&p); */
static inline void *mag_steal_pointer(void *place)
{
  void *value = *(void **) place;
  *(void **) place = NULL;
  return value;
}
#define mag_steal(place) ((__typeof__(*(place))) mag_steal_pointer(place))

static inline int mag_steal_fd(int *fd)
{
  int value = *fd;
  *fd = -1;
  return value;
}

#define MAG_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAG_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
