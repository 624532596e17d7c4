/* What a runner that was killed has left running in a sandbox that outlives it. Nobody reads it any more, and it must
 * not work beside what is started now. */
#include "agent/sandbox_parts.h"

#include "base/error.h"
#include "base/text.h"

#define PROCESSES_MAX 1000

struct leftovers {
  char *keys[PROCESSES_MAX];
  size_t n;
};

static int note_process(void *ctx, const struct mbp_event *event)
{
  struct leftovers *leftovers = ctx;
  if (event->type != MBP_EV_PROCESS || leftovers->n == PROCESSES_MAX)
    return 0;
  char *key = mag_str_dup(event->name);
  if (!key)
    return -MBP_E_NO_MEMORY;
  leftovers->keys[leftovers->n++] = key;
  return 0;
}

/* Also those that have ended: what they started may live on. */
int mag_sandbox_end_leftovers(struct mag_sandbox *sandbox, struct mbp_call *parent, const struct box *box,
                              struct mbp_error *err)
{
  struct leftovers leftovers = {.n = 0};
  struct mag_call_options list = {.parent = parent, .sink = note_process, .ctx = &leftovers};
  struct mag_call_options control = {.parent = parent};
  int r = MAG_RUN(sandbox->compute, &list, err, sandbox->ops->list_processes(plugin, call, box->info.id, err));
  for (size_t i = 0; i < leftovers.n; i++) {
    struct mbp_str key = mbp_str(leftovers.keys[i]);
    if (r == 0)
      r = MAG_RUN_CONTROL(sandbox->compute, &control, err,
                          sandbox->ops->signal(plugin, call, box->info.id, key, MBP_SIG_KILL, MBP_SIGNAL_TREE, err));
    free(leftovers.keys[i]);
  }
  return r;
}
