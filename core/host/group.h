/* group.h - limit groups: cgroup v2 where its controllers are delegated, else v1, else nothing; and what is in force.
 * */
#ifndef MAG_HOST_GROUP_H
#define MAG_HOST_GROUP_H

#include <magent/mbp-host.h>

#define MAG_GROUP_MAX_JOIN 4

#define MAG_GROUP_MEMORY 0x1u
#define MAG_GROUP_PIDS 0x2u
#define MAG_GROUP_CPU 0x4u
#define MAG_GROUP_KILL 0x8u

/* See mbp_process_v1. */
int mag_group_new(const struct mbp_group_spec *spec, struct mbp_group **ret_group, struct mbp_error *err);
int mag_group_state(struct mbp_group *group, struct mbp_group_state *ret_state);
int mag_group_kill(struct mbp_group *group);
void mag_group_free(struct mbp_group *group);

/* Descriptors of the cgroup.procs files that a member writes "0" to; owned by the group. Returns their number. */
int mag_group_join_fds(const struct mbp_group *group, const int **ret_fds);

#endif
