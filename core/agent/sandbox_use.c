/* Uses of a session's sandbox by who is no tool: looking at it, and files that are too large for memory. */
#include "agent/sandbox_parts.h"

#include "base/error.h"

struct looking {
  mag_call_result show;
  void *ctx;
  uint32_t state;
};

static int look(void *ctx, const void *result, struct mbp_error *err)
{
  struct looking *looking = ctx;
  const struct mbp_sandbox_info *info = result;
  if (!info || !MBP_HAS(info, struct mbp_sandbox_info, state))
    return mag_error(err, MBP_E_PROTOCOL, "the provider told nothing of its sandbox");
  looking->state = info->state;
  return info->state == MBP_SANDBOX_STOPPED ? 0 : looking->show(looking->ctx, info, err);
}

int mag_sandbox_status(struct mag_sandbox *sandbox, struct mbp_call *parent, mag_call_result show, void *ctx,
                       struct mbp_error *err)
{
  struct looking looking = {.show = show, .ctx = ctx};
  struct mag_call_options options = {.parent = parent, .on_result = look, .ctx = &looking};
  pthread_mutex_lock(&sandbox->lock);
  struct box *box = sandbox->busy ? NULL : sandbox->box;
  if (box) {
    atomic_fetch_add(&box->refs, 1);
    sandbox->users++;
  }
  pthread_mutex_unlock(&sandbox->lock);
  if (!box)
    return 0;
  int r = MAG_RUN(sandbox->compute, &options, err, sandbox->ops->status(plugin, call, box->info.id, err));
  bool gone = r == -MBP_E_NOT_FOUND || r == -MBP_E_LOST || (r == 0 && looking.state == MBP_SANDBOX_STOPPED);
  mag_sandbox_release(sandbox, box, gone ? -MBP_E_LOST : 0);
  return gone ? 0 : r;
}

int mag_sandbox_fetch(struct mag_sandbox *sandbox, struct mbp_call *parent, struct mbp_str path, int64_t limit,
                      const struct mag_call_options *receiver, struct mbp_error *err)
{
  struct box *box = NULL;
  struct mag_call_options options = *receiver;
  options.parent = parent;
  int r = mag_sandbox_acquire(sandbox, parent, &box, err);
  if (r < 0)
    return r;
  r = MAG_RUN(sandbox->compute, &options, err, sandbox->ops->get(plugin, call, box->info.id, path, limit, err));
  mag_sandbox_release(sandbox, box, r);
  return r;
}
