#include "agent/sandbox_parts.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/text.h"
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define KEY_SESSION 40 /* characters of the session's id in a key */

/* ---- Waiting: a tool has a descriptor, so that its cancellation is heard beside it ------------------------------- */

#define WAIT_BLIND_MS 20 /* without a descriptor: between two looks at the cancellation */

void mag_sandbox_wake(struct mag_sandbox *sandbox)
{
  for (struct waiter *waiter = sandbox->waiters; waiter; waiter = waiter->next)
    (void) !write(waiter->fd, &(uint64_t){1}, sizeof(uint64_t));
  pthread_cond_broadcast(&sandbox->changed);
}

/* Descriptors can run out, and then waiting must still let go of the lock. */
static void wait_blind(struct mag_sandbox *sandbox)
{
  struct timespec until = mag_clock_monotonic_after(WAIT_BLIND_MS);
  (void) pthread_cond_timedwait(&sandbox->changed, &sandbox->lock, &until);
}

static void wait_with_cancel(struct mag_sandbox *sandbox, int cancel_fd)
{
  struct waiter waiter = {.next = sandbox->waiters, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (waiter.fd < 0 || cancel_fd < 0) {
    if (waiter.fd >= 0)
      close(waiter.fd);
    wait_blind(sandbox);
    return;
  }
  sandbox->waiters = &waiter;
  pthread_mutex_unlock(&sandbox->lock);
  struct pollfd fds[2] = {{.fd = waiter.fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
  while (poll(fds, 2, -1) < 0 && errno == EINTR)
    continue;
  pthread_mutex_lock(&sandbox->lock);
  for (struct waiter **place = &sandbox->waiters; *place; place = &(*place)->next)
    if (*place == &waiter) {
      *place = waiter.next;
      break;
    }
  close(waiter.fd);
}

int mag_sandbox_wait(struct mag_sandbox *sandbox, struct mbp_call *call, struct mbp_error *err)
{
  if (!call) {
    pthread_cond_wait(&sandbox->changed, &sandbox->lock);
    return 0;
  }
  wait_with_cancel(sandbox, mag_call_cancel_fd(call));
  return mag_call_cancelled(call) ? mag_call_cancel_error(call, err) : 0;
}

/* ---- Making it and removing it ---------------------------------------------------------------------------------- */

static void destroy_box(struct mag_sandbox *sandbox, const struct box *box)
{
  mag_sandbox_destroy(sandbox->compute, mbp_str(sandbox->session), box->info.id, mbp_str(""));
}

/* Of an earlier process that was killed while one was being made: nobody knows what is in it. */
static void destroy_stray(struct mag_sandbox *sandbox)
{
  mag_autofree char *key = mag_steal(&sandbox->stray_key);
  if (key)
    mag_sandbox_destroy(sandbox->compute, mbp_str(sandbox->session), mbp_str(""), mbp_str(key));
}

/* "sesn-0c3...-1-k2x9qa": of this session, and of no other attempt of any process. */
static void make_key(struct mag_sandbox *sandbox, uint64_t number, char key[64])
{
  char random[7];
  mag_id_random(random, 6);
  size_t n = 0;
  for (const char *p = sandbox->session; *p && n < KEY_SESSION; p++) {
    unsigned char c = (unsigned char) *p;
    if (c >= 'A' && c <= 'Z')
      c = (unsigned char) (c - 'A' + 'a');
    key[n++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char) c : '-';
  }
  (void) snprintf(key + n, 64 - n, "%s%llu-%s", n ? "-" : "", (unsigned long long) number % 1000000, random);
  if (key[0] == '-')
    key[0] = 'x';
}

static int intend(struct mag_sandbox *sandbox, char key[64], struct mbp_error *err)
{
  pthread_mutex_lock(&sandbox->lock);
  uint64_t number = ++sandbox->n_keys;
  pthread_mutex_unlock(&sandbox->lock);
  make_key(sandbox, number, key);
  return sandbox->options.intent ? sandbox->options.intent(sandbox->options.ctx, key, err) : 0;
}

/* What create makes. */
struct making {
  struct mag_sandbox *sandbox;
  struct box *box;
};

static int take_made(void *ctx, const void *result, struct mbp_error *err)
{
  return mag_box_take(&((struct making *) ctx)->box, result, err);
}

static int pass_remark(void *ctx, const struct mbp_event *event)
{
  const struct mag_sandbox_options *options = &((struct making *) ctx)->sandbox->options;
  if (event->type == MBP_EV_PROGRESS && event->data.len && options->remark)
    options->remark(options->ctx, event->data);
  return 0;
}

static int create(struct mag_sandbox *sandbox, struct mbp_call *parent, const char *key, struct box **ret_box,
                  struct mbp_error *err)
{
  struct making making = {.sandbox = sandbox};
  struct mbp_sandbox_spec spec = sandbox->options.spec;
  spec.key = mbp_str(key);
  struct mag_call_options options = {.parent = parent, .sink = pass_remark, .on_result = take_made, .ctx = &making};
  destroy_stray(sandbox);
  int r = MAG_RUN(sandbox->compute, &options, err, sandbox->ops->create(plugin, call, &spec, err));
  struct box *box = making.box;
  if (r == 0 && !box)
    return mag_error(err, MBP_E_INTERNAL, "the provider told nothing of the sandbox that it made");
  if (r == 0)
    r = mag_sandbox_set_up(sandbox, parent, box, err);
  if (r < 0) {
    if (box) /* told of it and then failed: it is no use */
      destroy_box(sandbox, box);
    mag_box_unref(box);
    return r;
  }
  *ret_box = box;
  return 0;
}

/* The sandbox of an earlier process. 0 without a box: it is gone. */
static int attach(struct mag_sandbox *sandbox, struct mbp_call *parent, struct box **ret_box, struct mbp_error *err)
{
  mag_autofree char *id = mag_steal(&sandbox->attach_id); /* tried until it is there or gone */
  struct box *box = NULL;
  struct mag_call_options options = {.parent = parent, .on_result = mag_box_take, .ctx = &box};
  int r = MAG_RUN(sandbox->compute, &options, err,
                  sandbox->ops->attach(plugin, call, mbp_str(id), mbp_str_n(NULL, 0), err));
  if (r == 0 && box && box->info.state == MBP_SANDBOX_SUSPENDED && sandbox->ops->resume) {
    struct mag_call_options resume = {.parent = parent};
    r = MAG_RUN(sandbox->compute, &resume, err, sandbox->ops->resume(plugin, call, box->info.id, err));
  }
  bool there = r == 0 && box && box->info.state != MBP_SANDBOX_STOPPED;
  if (there)
    r = mag_sandbox_end_leftovers(sandbox, parent, box, err);
  if (r < 0 || !there) {
    mag_box_unref(box);
    if (r == 0 || r == -MBP_E_NOT_FOUND || r == -MBP_E_LOST) {
      mag_error_clear(err);
      return 0;
    }
    sandbox->attach_id = mag_steal(&id);
    return r;
  }
  box->attached = true;
  *ret_box = box;
  return 0;
}

/* In the thread of a tool: attach or intend, then create. `busy` is ours. */
static int make(struct mag_sandbox *sandbox, struct mbp_call *call, struct box **ret_box, struct mbp_error *err)
{
  struct box *box = NULL;
  if (sandbox->attach_id) {
    int r = attach(sandbox, call, &box, err);
    if (r < 0)
      return r;
  }
  if (!box) {
    char key[64];
    int r = intend(sandbox, key, err);
    if (r == 0)
      r = create(sandbox, call, key, &box, err);
    if (r < 0)
      return r;
  }
  *ret_box = box;
  return 0;
}

/* Tells the session what was made; without its consent the sandbox goes again. `busy` is ours. */
static int tell(struct mag_sandbox *sandbox, struct box *box, struct mbp_error *err)
{
  int r = 0;
  if (sandbox->options.made)
    r = sandbox->options.made(sandbox->options.ctx, &box->info, box->attached, err);
  if (r < 0 && !box->attached)
    destroy_box(sandbox, box);
  return r;
}

/* Ends an attempt: what it made and whether it failed. Takes the lock. */
static void end_attempt(struct mag_sandbox *sandbox, struct box *box, bool told, int r, const struct mbp_error *err)
{
  pthread_mutex_lock(&sandbox->lock);
  if (box) {
    box->told = told;
    sandbox->box = box;
  }
  if (r < 0) {
    sandbox->failed_attempt = sandbox->attempt;
    if (err)
      sandbox->error = *err;
  }
  sandbox->busy = false;
  mag_sandbox_wake(sandbox);
  pthread_mutex_unlock(&sandbox->lock);
}

/* One attempt to have a sandbox that the session knows of; why it failed is in `error`. `busy` has been taken. */
static int attempt(struct mag_sandbox *sandbox, struct mbp_call *call)
{
  struct mbp_error why = MAG_ERROR_INIT;
  pthread_mutex_lock(&sandbox->lock);
  struct box *box = mag_steal(&sandbox->box); /* made in the background: only to be told */
  pthread_mutex_unlock(&sandbox->lock);
  int r = box ? 0 : make(sandbox, call, &box, &why);
  if (r == 0)
    r = tell(sandbox, box, &why);
  if (r < 0) {
    mag_box_unref(box);
    box = NULL;
  }
  end_attempt(sandbox, box, true, r, &why);
  return r;
}

/* Lock held: the last attempt failed, and somebody who needed it hears of that. */
static int tell_failure(struct mag_sandbox *sandbox, struct mbp_call *call, struct mbp_error *err)
{
  sandbox->error_kept = false;
  sandbox->failed = !mag_call_cancelled(call);
  return mag_error_import(err, &sandbox->error);
}

/* Waits for somebody else's attempt; its failure is ours too, unless only its tool was cancelled. Lock held. */
static int await_attempt(struct mag_sandbox *sandbox, struct mbp_call *call, struct mbp_error *err)
{
  uint64_t number = sandbox->attempt;
  int r = mag_sandbox_wait(sandbox, call, err);
  if (r < 0 || sandbox->failed_attempt != number || sandbox->error.code == MBP_E_CANCELLED ||
      sandbox->error.code == MBP_E_TIMEOUT)
    return r;
  return tell_failure(sandbox, call, err);
}

int mag_sandbox_acquire(struct mag_sandbox *sandbox, struct mbp_call *call, struct box **ret_box, struct mbp_error *err)
{
  int r = 0;
  pthread_mutex_lock(&sandbox->lock);
  while (r == 0 && !(sandbox->box && sandbox->box->told && !sandbox->busy)) {
    if (sandbox->freed)
      r = mag_error(err, MBP_E_LOST, "the session's sandbox has been closed");
    else if (mag_call_cancelled(call))
      r = mag_call_cancel_error(call, err);
    else if (sandbox->busy)
      r = await_attempt(sandbox, call, err);
    else if (sandbox->error_kept)
      r = tell_failure(sandbox, call, err);
    else {
      sandbox->busy = true;
      sandbox->attempt++;
      pthread_mutex_unlock(&sandbox->lock);
      r = attempt(sandbox, call);
      pthread_mutex_lock(&sandbox->lock);
      if (r < 0)
        r = tell_failure(sandbox, call, err);
    }
  }
  if (r == 0) {
    sandbox->failed = false;
    sandbox->users++;
    sandbox->last_use_ms = mag_clock_monotonic_ms();
    atomic_fetch_add(&sandbox->box->refs, 1);
    *ret_box = sandbox->box;
  }
  pthread_mutex_unlock(&sandbox->lock);
  return r;
}

/* ---- Losing it --------------------------------------------------------------------------------------------------- */

static int take_state(void *ctx, const void *result, struct mbp_error *err)
{
  (void) err;
  const struct mbp_sandbox_info *info = result;
  if (info && MBP_HAS(info, struct mbp_sandbox_info, state))
    *(uint32_t *) ctx = info->state;
  return 0;
}

/* A process or file may be gone, or the whole sandbox: only the provider knows. */
static bool is_gone(struct mag_sandbox *sandbox, const struct box *box)
{
  uint32_t state = 0;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_call_options options = {.session = mbp_str(sandbox->session),
                                     .timeout_ms = MAG_SANDBOX_DESTROY_MS,
                                     .on_result = take_state,
                                     .ctx = &state};
  int r = MAG_RUN(sandbox->compute, &options, &err, sandbox->ops->status(plugin, call, box->info.id, &err));
  return r == -MBP_E_NOT_FOUND || r == -MBP_E_LOST || (r == 0 && state == MBP_SANDBOX_STOPPED);
}

void mag_sandbox_use(struct mag_sandbox *sandbox, int change)
{
  pthread_mutex_lock(&sandbox->lock);
  sandbox->users += (size_t) change;
  sandbox->last_use_ms = mag_clock_monotonic_ms();
  pthread_mutex_unlock(&sandbox->lock);
}

void mag_sandbox_release(struct mag_sandbox *sandbox, struct box *box, int r)
{
  bool gone = (r == -MBP_E_LOST || r == -MBP_E_NOT_FOUND) && is_gone(sandbox, box);
  struct box *old = NULL;
  mag_sandbox_use(sandbox, -1);
  pthread_mutex_lock(&sandbox->lock);
  if (gone && sandbox->box == box && !sandbox->busy)
    old = mag_steal(&sandbox->box);
  pthread_mutex_unlock(&sandbox->lock);
  mag_box_unref(old);
  mag_box_unref(box);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

struct mag_sandbox *mag_sandbox_ref(struct mag_sandbox *sandbox)
{
  atomic_fetch_add(&sandbox->refs, 1);
  return sandbox;
}

void mag_sandbox_unref(struct mag_sandbox *sandbox)
{
  if (!sandbox || atomic_fetch_sub(&sandbox->refs, 1) != 1)
    return;
  mag_box_unref(sandbox->box);
  mag_call_unref(sandbox->scope);
  free(sandbox->session);
  free(sandbox->attach_id);
  free(sandbox->stray_key);
  free(sandbox->setup);
  free(sandbox->spec_text);
  free(sandbox->spec_env);
  pthread_cond_destroy(&sandbox->changed);
  pthread_mutex_destroy(&sandbox->lock);
  free(sandbox);
}

/* Several people and machines may share a provider: "1000@host". */
static void name_owner(char *owner, size_t size)
{
  char host[HOST_NAME_MAX + 1] = "";
  (void) gethostname(host, sizeof(host) - 1);
  (void) snprintf(owner, size, "%u@%s", (unsigned) geteuid(), host);
}

static int copy_spec(struct mag_sandbox *sandbox, const struct mbp_sandbox_spec *from)
{
  struct mbp_sandbox_spec *spec = &sandbox->options.spec;
  char owner[HOST_NAME_MAX + 16];
  memset(spec, 0, sizeof(*spec));
  memcpy(spec, from, MAG_MIN((size_t) from->size, sizeof(*spec)));
  spec->size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts);
  spec->key = mbp_str_n(NULL, 0);
  spec->session = mbp_str(sandbox->session);
  name_owner(owner, sizeof(owner));
  spec->owner = mbp_str(owner);
  struct mbp_str *texts[] = {&spec->owner, &spec->workspace, &spec->working_dir, &spec->image, &spec->allowed_hosts};
  size_t total = 1;
  for (size_t i = 0; i < MAG_COUNT(texts); i++)
    total += texts[i]->len + 1;
  for (size_t i = 0; i < spec->n_env; i++)
    total += spec->env[i].name.len + spec->env[i].value.len + 2;
  char *at = sandbox->spec_text = malloc(total);
  sandbox->spec_env = calloc(spec->n_env + 1, sizeof(*sandbox->spec_env));
  if (!at || !sandbox->spec_env)
    return -MBP_E_NO_MEMORY;
  for (size_t i = 0; i < MAG_COUNT(texts); i++)
    *texts[i] = mag_text_place(&at, *texts[i]);
  for (size_t i = 0; i < spec->n_env; i++) {
    sandbox->spec_env[i].name = mag_text_place(&at, spec->env[i].name);
    sandbox->spec_env[i].value = mag_text_place(&at, spec->env[i].value);
  }
  spec->env = sandbox->spec_env;
  return 0;
}

static void init_condition(pthread_cond_t *condition)
{
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

int mag_sandbox_new(const struct mag_sandbox_options *options, struct mag_sandbox **ret_sandbox, struct mbp_error *err)
{
  struct mag_sandbox *sandbox = calloc(1, sizeof(*sandbox));
  if (!sandbox)
    return mag_error_no_memory(err);
  sandbox->refs = 1;
  pthread_mutex_init(&sandbox->lock, NULL);
  init_condition(&sandbox->changed);
  mag_id_random(sandbox->run, sizeof(sandbox->run) - 1);
  sandbox->options = *options;
  sandbox->compute = options->compute;
  sandbox->ops = mag_instance_ops(options->compute);
  sandbox->session = mag_str_dup(options->session);
  if (options->attach_id.len)
    sandbox->attach_id = mag_str_dup(options->attach_id);
  if (options->stray_key.len)
    sandbox->stray_key = mag_str_dup(options->stray_key); /* without memory it ends by its own clock */
  if (options->setup.len)
    sandbox->setup = mag_str_dup(options->setup);
  struct mag_call_options scope = {.session = options->session};
  sandbox->scope = mag_call_new_scope(&scope);
  if (!sandbox->session || !sandbox->scope || (options->attach_id.len && !sandbox->attach_id) ||
      (options->setup.len && !sandbox->setup) || copy_spec(sandbox, &options->spec) < 0) {
    mag_sandbox_unref(sandbox);
    return mag_error_no_memory(err);
  }
  mag_call_set_scope(sandbox->scope, sandbox);
  *ret_sandbox = sandbox;
  return 0;
}

void mag_sandbox_free(struct mag_sandbox *sandbox, bool keep)
{
  if (!sandbox)
    return;
  pthread_mutex_lock(&sandbox->lock);
  sandbox->freed = true;
  mag_sandbox_wake(sandbox);
  pthread_mutex_unlock(&sandbox->lock);
  mag_call_cancel(sandbox->scope);
  mag_streams_end(sandbox);
  pthread_mutex_lock(&sandbox->lock);
  while (sandbox->busy || sandbox->helper_busy)
    (void) mag_sandbox_wait(sandbox, NULL, NULL);
  struct box *box = mag_steal(&sandbox->box);
  pthread_mutex_unlock(&sandbox->lock);
  /* One that the session has never heard of could not be found again. */
  if (box && (!keep || !box->told))
    destroy_box(sandbox, box);
  mag_box_unref(box);
  mag_sandbox_unref(sandbox);
}

struct warming {
  struct mag_sandbox *sandbox;
  char key[64];
};

static void *warm_thread(void *argument)
{
  struct warming *warming = argument;
  struct mag_sandbox *sandbox = warming->sandbox;
  struct mbp_error err = MAG_ERROR_INIT;
  struct box *box = NULL;
  int r = create(sandbox, sandbox->scope, warming->key, &box, &err);
  pthread_mutex_lock(&sandbox->lock);
  sandbox->error_kept = r < 0;
  pthread_mutex_unlock(&sandbox->lock);
  end_attempt(sandbox, box, false, r, &err);
  free(warming);
  mag_sandbox_unref(sandbox);
  return NULL;
}

/* The session hears of the intent here, in its own thread; of what was made from the first tool that uses it. */
void mag_sandbox_warm(struct mag_sandbox *sandbox, struct mbp_call *call)
{
  if (mag_call_cancelled(call))
    return;
  pthread_mutex_lock(&sandbox->lock);
  bool ours = !sandbox->busy && !sandbox->box && !sandbox->freed && !sandbox->attach_id;
  if (ours) {
    sandbox->busy = true;
    sandbox->attempt++;
  }
  pthread_mutex_unlock(&sandbox->lock);
  if (!ours) /* an old sandbox is looked for by the first tool: that costs it next to nothing */
    return;
  struct mbp_error err = MAG_ERROR_INIT;
  struct warming *warming = calloc(1, sizeof(*warming));
  int r = warming ? intend(sandbox, warming->key, &err) : -MBP_E_NO_MEMORY;
  if (r == 0) {
    warming->sandbox = mag_sandbox_ref(sandbox);
    r = mag_thread_start(warm_thread, warming, NULL);
    if (r < 0)
      mag_sandbox_unref(sandbox);
  }
  if (r < 0) { /* the first tool tries by itself and tells */
    free(warming);
    end_attempt(sandbox, NULL, false, 0, NULL);
  }
}

bool mag_sandbox_exists(struct mag_sandbox *sandbox)
{
  pthread_mutex_lock(&sandbox->lock);
  bool exists = sandbox->box || sandbox->busy;
  pthread_mutex_unlock(&sandbox->lock);
  return exists;
}

bool mag_sandbox_take_failure(struct mag_sandbox *sandbox, struct mbp_error *ret_why)
{
  pthread_mutex_lock(&sandbox->lock);
  bool failed = sandbox->failed;
  sandbox->failed = false;
  if (failed)
    *ret_why = sandbox->error;
  pthread_mutex_unlock(&sandbox->lock);
  return failed;
}

int64_t mag_sandbox_last_use_ms(struct mag_sandbox *sandbox)
{
  pthread_mutex_lock(&sandbox->lock);
  int64_t last = sandbox->last_use_ms;
  pthread_mutex_unlock(&sandbox->lock);
  return last;
}

void mag_sandbox_drop(struct mag_sandbox *sandbox)
{
  pthread_mutex_lock(&sandbox->lock);
  struct box *box = NULL;
  if (!sandbox->busy && !sandbox->helper_busy && sandbox->users == 0 && sandbox->box) {
    sandbox->busy = true; /* who wants one now waits until the old one is gone */
    box = mag_steal(&sandbox->box);
  }
  pthread_mutex_unlock(&sandbox->lock);
  if (!box)
    return;
  mag_streams_end(sandbox);
  destroy_box(sandbox, box);
  mag_box_unref(box);
  end_attempt(sandbox, NULL, false, 0, NULL);
}
