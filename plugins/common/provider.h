/* provider.h - the compute operations of a provider whose sandboxes are boxes of this machine. A plugin adds how its
 * init is started, its parameters and its descriptor. */
#ifndef MAG_COMMON_PROVIDER_H
#define MAG_COMMON_PROVIDER_H

#include "plugins/common/box.h"

/* Makes a box ready, or fills err: its limit group, init, environment, directories. `spec` is complete. */
typedef int (*mag_provider_launch)(struct mbp_instance *instance, struct mbp_call *call,
                                   const struct mbp_sandbox_spec *spec, struct mag_box *box, struct mbp_error *err);

/* The instance of such a plugin. */
struct mbp_instance {
  const struct mbp_host *host;
  const struct mbp_config *config;
  const struct mbp_process_v1 *process;
  const char *name; /* of the plugin, for messages */
  uint32_t networks;
  mag_provider_launch launch;
  pthread_mutex_t lock;
  struct mag_box *boxes;
};

int mag_provider_open(const struct mbp_host *host, const struct mbp_config *config, const char *name,
                      uint32_t networks, mag_provider_launch launch, struct mbp_instance **ret_instance,
                      struct mbp_error *err);
void mag_provider_close(struct mbp_instance *instance); /* ends all sandboxes; accepts NULL */

/* Makes a sandbox and ends it. */
int mag_provider_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);

extern const struct mbp_compute_ops mag_provider_ops;

/* For launch: PATH, HOME, LANG, TERM and what the spec adds. 0 or -MBP_E_*. */
int mag_provider_env(struct mag_box *box, const char *home, const struct mbp_sandbox_spec *spec,
                     struct mbp_error *err);

/* What holds a sandbox where no cgroup does: rlimits of each process, which the kernel holds, and magent-sandbox, which
 * watches over the whole. 0: nothing. */
struct mag_rlimits {
  uint32_t processes, watched_processes;
  int64_t data_bytes; /* of a process, and watched of all */
};

/* For launch, before it makes anything: the limit group, from the spec or, where it says nothing, the parameters
 * memory, pids and cpu; and the line that tells what is in force. What is asked for and nothing here can hold is
 * MBP_E_UNSUPPORTED. `own_count`: the kernel counts a sandbox's processes apart from the user's others. */
int mag_provider_limits(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mag_box *box,
                        bool own_count, struct mag_rlimits *ret_rlimits, struct mbp_error *err);
/* The words of them for magent-sandbox init. */
void mag_provider_add_rlimits(struct plug_list *args, const struct mag_rlimits *rlimits);

/* 0-terminated value of a parameter, or `otherwise`. */
const char *mag_provider_str(struct mbp_instance *instance, const char *key, const char *otherwise);
int64_t mag_provider_int(struct mbp_instance *instance, const char *key, int64_t otherwise);

#endif
