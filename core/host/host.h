/* host.h - the table of services that plugins are given. */
#ifndef MAG_HOST_HOST_H
#define MAG_HOST_HOST_H

#include <magent/mbp-host.h>

/* A table for one plugin, whose name is the topic of its log lines. Lives until the process ends; NULL without
 * memory. */
const struct mbp_host *mag_host_for(const char *plugin_name);

#endif
