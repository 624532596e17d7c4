/* services.h - the named tables that plugins can ask the host for. */
#ifndef MAG_HOST_SERVICES_H
#define MAG_HOST_SERVICES_H

struct mag_service {
  const char *name;
  const void *table;
};

/* Ended by a NULL name. */
extern const struct mag_service mag_services[];

#endif
