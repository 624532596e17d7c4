/* rig.h - a compute plugin under test, driven through its table as the host does. */
#ifndef MAG_TEST_COMPUTE_RIG_H
#define MAG_TEST_COMPUTE_RIG_H

#include "base/buf.h"
#include "base/error.h"

#include <magent/mbp-compute.h>
#include <magent/mbp-host.h>
#include <pthread.h>
#include <stdatomic.h>

/* One provider of the suite. A new one is a row in providers.c. */
struct provider {
  const char *name;   /* as in magent-compute-NAME */
  const char *config; /* JSON; %HELPER%, %WORK%, and of an engine %DOCKER% and %IMAGE% are replaced */
  uint32_t network;   /* of ordinary sandboxes */
  bool engine;        /* sandboxes are made by a daemon, from an image */
  int64_t start_ms;   /* what making one may take, on a slow day, of its own lifetime */
};

extern const struct provider *providers;
extern size_t n_providers;
/* By the environment. Before anything else. */
void providers_choose(void);

#define RIG_IDS 16

struct rig {
  const struct provider *provider;
  const struct mbp_plugin *plugin;
  const struct mbp_compute_ops *ops;
  const struct mbp_compute_info *info;
  const struct mbp_host *host;
  struct mbp_config *config;
  struct mbp_instance *instance;
  char work[64];      /* a host directory of the test's own */
  char workspace[80]; /* below it: given to sandboxes */
  char remark[256];   /* of probe: limits in force; as much as doctor shows */
  char why_not[512];  /* probe's message where no sandbox can be made; else empty */
  struct rig_id {
    char key[64], id[128];
  } ids[RIG_IDS]; /* of the sandboxes that were made, the newest at (n_ids - 1) % RIG_IDS */
  size_t n_ids;
  char texts[6][512]; /* of the newest info */
};

/* Fails the test if the plugin cannot be opened. */
void rig_open(struct rig *rig, const struct provider *provider);
/* The same on a machine whose cgroups cannot limit anything. */
void rig_open_without_groups(struct rig *rig, const struct provider *provider);
void rig_close(struct rig *rig);
/* With `with` instead of `what`, wherever it stands. Caller frees. */
char *rig_replaced(const char *text, const char *what, const char *with);
const char *rig_environment(const char *name); /* a variable's value, or "" */
void rig_remove(const char *work);             /* a rig's directory */

/* A sandbox with the workspace; the id, which is static for each key. Fails the test. */
struct box_options {
  uint32_t flags, network, pids, cpu_millis;
  int64_t memory_bytes, disk_bytes, lifetime_ms, idle_ms;
  const char *workspace; /* NULL: the rig's; "": none */
  const char *image;     /* NULL: the provider's default */
  const struct mbp_pair *env;
  size_t n_env;
};
void rig_create(struct rig *rig, const char *key, const struct box_options *options);
int rig_try_create(struct rig *rig, const char *key, const struct box_options *options, struct mbp_sandbox_info *info,
                   struct mbp_error *err);
void rig_destroy(struct rig *rig, const char *key);
const char *rig_helper(const struct rig *rig); /* inside the newest one */
int rig_try_destroy(struct rig *rig, const char *key, struct mbp_error *err);
uint32_t rig_state(struct rig *rig, const char *key);

struct outcome {
  int r; /* 0 or negative */
  struct mbp_error err;
  struct mbp_exec_result result;
  char message[256];
  struct mag_buf out[3]; /* 1 stdout, 2 stderr */
  bool started, orderly; /* orderly: offsets were right */
  int64_t number;        /* of the started event */
};

struct run_options {
  uint32_t flags;
  int64_t soft_ms, hard_ms, limit;
  const char *key, *cwd, *spool, *user;
  const struct mbp_pair *env;
  size_t n_env;
  int64_t call_timeout_ms;
  _Atomic(struct mbp_call *) *call; /* where to put the call, so that another thread can cancel it */
};

/* `sh -c script`. */
void rig_sh(struct rig *rig, const char *key, const char *script, const struct run_options *options,
            struct outcome *outcome);
void rig_run(struct rig *rig, const char *key, const char *const *argv, const struct run_options *options,
             struct outcome *outcome);
void outcome_done(struct outcome *outcome);

/* The output of a script that must exit 0. Static, until the next use. */
const char *rig_text(struct rig *rig, const char *key, const char *script);
/* The exit code of a script, whatever it prints; its output is in *rig_last_output. */
int rig_code(struct rig *rig, const char *key, const char *script);
extern char rig_last_output[65536];

/* In a thread of its own. */
struct background {
  pthread_t thread;
  struct rig *rig;
  const char *key, *script;
  struct run_options options;
  struct outcome outcome;
  _Atomic(struct mbp_call *) call;
  atomic_int started;
};
void rig_start(struct background *background, struct rig *rig, const char *key, const char *script,
               const struct run_options *options);
void rig_join(struct background *background);
void rig_wait_started(struct background *background);

int rig_write(struct rig *rig, const char *key, const char *process, struct mbp_str data, uint32_t flags,
              int64_t timeout_ms, struct mbp_error *err);
int rig_signal(struct rig *rig, const char *key, const char *process, uint32_t signal, uint32_t flags);
int rig_put(struct rig *rig, const char *key, const char *path, struct mbp_str content, uint32_t mode,
            struct mbp_error *err);
/* The program ./attack, unless it is there. */
void rig_bring_attack(struct rig *rig, const char *key);
int rig_get(struct rig *rig, const char *key, const char *path, int64_t limit, struct mag_buf *content,
            struct mbp_file_info *info, struct mbp_error *err);
/* "key:running command\n" lines. */
const char *rig_processes(struct rig *rig, const char *key);

/* Host side */
void host_write(struct rig *rig, const char *name, const char *content);
bool host_exists(struct rig *rig, const char *name);
char *host_path(struct rig *rig, const char *name); /* static, one of eight */
/* `sh -c` on this machine; fails the test if that fails. */
void host_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool host_has(const char *program);
/* Processes on the host with `mark` in their command line; zombies do not count. */
int host_count(const char *mark);
/* Waits until there are `n`. */
bool host_there(const char *mark, int n);
/* Waits until there are none, at most so long. */
bool host_gone(const char *mark, int64_t wait_ms);

#endif
