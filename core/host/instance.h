/* instance.h - an opened plugin: its configuration, its thread gate, its health.
 *
 * Operations are run through MAG_RUN, which makes the call, passes the gate, enters the plugin and waits for `done`:
 *
 *   const struct mbp_llm_ops *ops = mag_instance_ops(llm);
 *   r = MAG_RUN(llm, &options, err, ops->generate(plugin, call, &request, err));
 *
 * Inside the last argument `plugin` is the plugin's own instance and `call` the new call.
 */
#ifndef MAG_HOST_INSTANCE_H
#define MAG_HOST_INSTANCE_H

#include "host/call.h"

struct mag_instance;

/* `descriptor`: the host's own full-size copy, which outlives the instance. `config`: JSON object or empty. */
int mag_instance_open(const struct mbp_plugin *descriptor, struct mbp_str config, struct mag_instance **ret_instance,
                      struct mbp_error *err);
/* No operation may be running. Accepts NULL. An unhealthy instance is left alone for as long as the process lives: its
 * plugin may still be at work. */
void mag_instance_close(struct mag_instance *instance);

const struct mbp_plugin *mag_instance_descriptor(const struct mag_instance *instance);
const void *mag_instance_ops(const struct mag_instance *instance);
const void *mag_instance_info(const struct mag_instance *instance); /* NULL: states nothing */
struct mbp_instance *mag_instance_plugin(const struct mag_instance *instance);

/* A call was abandoned: every later one is refused with MBP_E_UNAVAILABLE. Who wants to go on opens another instance.
 */
bool mag_instance_unhealthy(const struct mag_instance *instance);

/* The three steps of MAG_RUN. `control` passes the gate; waiting there ends with the call's cancellation or deadline
 * (MBP_E_CANCELLED, MBP_E_TIMEOUT). leave waits and frees. */
int mag_instance_enter(struct mag_instance *instance, const struct mag_call_options *options, bool control,
                       struct mbp_call **ret_call, struct mbp_error *err);
void mag_instance_returned(struct mag_instance *instance, bool control);
int mag_instance_leave(struct mag_instance *instance, struct mbp_call *call, int r, struct mbp_error *err);

#define MAG_RUN_(instance_, options_, control_, err_, operation_)                                                      \
  __extension__({                                                                                                      \
    struct mag_instance *run_instance_ = (instance_);                                                                  \
    struct mbp_instance *plugin = mag_instance_plugin(run_instance_);                                                  \
    struct mbp_call *call = NULL;                                                                                      \
    int run_result_ = mag_instance_enter(run_instance_, (options_), (control_), &call, (err_));                        \
    if (run_result_ == 0) {                                                                                            \
      run_result_ = (operation_);                                                                                      \
      mag_instance_returned(run_instance_, (control_));                                                                \
      run_result_ = mag_instance_leave(run_instance_, call, run_result_, (err_));                                      \
    }                                                                                                                  \
    (void) plugin;                                                                                                     \
    run_result_;                                                                                                       \
  })
#define MAG_RUN(instance_, options_, err_, operation_) MAG_RUN_(instance_, options_, false, err_, operation_)
/* For operations that their header marks "control". */
#define MAG_RUN_CONTROL(instance_, options_, err_, operation_) MAG_RUN_(instance_, options_, true, err_, operation_)

#endif
