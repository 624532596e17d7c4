/* services.h - the named tables that plugins can ask the host for. */
#ifndef MAG_HOST_SERVICES_H
#define MAG_HOST_SERVICES_H

/* NULL: this host has none of that name. */
const void *mag_service_find(const char *name);

/* A table of a higher layer; may be told again. Both arguments live until the process ends. */
void mag_service_add(const char *name, const void *table);

#endif
