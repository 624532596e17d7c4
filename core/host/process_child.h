/* process_child.h - what happens between clone and exec. Private to process.c. */
#ifndef MAG_HOST_PROCESS_CHILD_H
#define MAG_HOST_PROCESS_CHILD_H

#include <magent/mbp-host.h>
#include <sys/types.h>

#define MAG_SPAWN_MAX_FDS 32

/* Where a child failed, and why; travels through a pipe that closes on exec. */
struct mag_spawn_failure {
  int32_t stage; /* MAG_STAGE_* */
  int32_t number; /* errno */
};

#define MAG_STAGE_GROUP 1
#define MAG_STAGE_FDS 2
#define MAG_STAGE_SETUP 3
#define MAG_STAGE_LIMITS 4
#define MAG_STAGE_CWD 5
#define MAG_STAGE_EXEC 6

/* Everything is prepared by the parent: the child must not allocate, lock or search. */
struct mag_spawn_plan {
  const struct mbp_spawn *spec;
  const char *program;    /* with a slash */
  int null_fd;            /* /dev/null, read and write */
  int report_fd;          /* write end of the failure pipe */
  const int *group_fds;   /* cgroup.procs files to join */
  int n_group_fds;
  pid_t parent;           /* who must still be there once the death signal is armed */
};

/* Never returns; void pointer for clone(2). */
int mag_spawn_child(void *plan);

#endif
