/* provider.h - the compute operations of a provider whose sandboxes are boxes of this machine. A plugin adds how its
 * init is started, its parameters and its descriptor. */
#ifndef MAG_COMMON_PROVIDER_H
#define MAG_COMMON_PROVIDER_H

#include "plugins/common/box.h"

/* Makes a box ready, or fills err: its limit group, init, environment, directories. `spec` is complete. */
typedef int (*mag_provider_launch)(struct mbp_instance *instance, struct mbp_call *call,
                                   const struct mbp_sandbox_spec *spec, struct mag_box *box, struct mbp_error *err);

/* Every instance of such a plugin begins with this. */
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

/* `instance` is zeroed memory of the plugin's own, at least that large. */
int mag_provider_open(struct mbp_instance *instance, const struct mbp_host *host, const struct mbp_config *config,
                      const char *name, uint32_t networks, mag_provider_launch launch, struct mbp_error *err);
void mag_provider_close(struct mbp_instance *instance); /* ends all sandboxes; does not free */

/* Makes a sandbox and ends it. */
int mag_provider_probe(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);

extern const struct mbp_compute_ops mag_provider_ops;

/* For launch: PATH, HOME, LANG, TERM and what the spec adds. 0 or -MBP_E_*. */
int mag_provider_env(struct mag_box *box, const char *home, const struct mbp_sandbox_spec *spec,
                     struct mbp_error *err);

/* For launch: the limit group, from the spec or, where it says nothing, the parameters memory, pids and cpu; and the
 * line that tells what is in force. */
int mag_provider_limits(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, struct mag_box *box,
                        uint32_t *ret_pids, struct mbp_error *err);

/* 0-terminated value of a parameter, or `otherwise`. */
const char *mag_provider_str(struct mbp_instance *instance, const char *key, const char *otherwise);
int64_t mag_provider_int(struct mbp_instance *instance, const char *key, int64_t otherwise);

#endif
