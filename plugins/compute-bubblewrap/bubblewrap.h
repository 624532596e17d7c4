/* bubblewrap.h - the parts of compute-bubblewrap. */
#ifndef MAG_BUBBLEWRAP_H
#define MAG_BUBBLEWRAP_H

#include "plugins/common/provider.h"

#define INSIDE_HELPER "/run/magent/magent-sandbox"
#define INSIDE_HOME "/tmp/home"
#define INSIDE_WORKSPACE "/workspace"

/* What one sandbox is made of. */
struct layout {
  const struct mbp_sandbox_spec *spec;
  const char *bwrap, *helper; /* host paths */
  const char *workspace;      /* host path, or NULL: private and in memory */
  const char *working_dir;    /* inside */
  int64_t tmp_bytes;
  bool has_extra;             /* read-only paths of the configuration's */
  const struct guard *guard;  /* or NULL */
  struct plug_list args;      /* bubblewrap's, then init's */
  int files[8];               /* generated files, passed as descriptors; -1 ends them */
  int n_files;
};

/* mounts.c: fills args and files but for init's own words. 0 or -MBP_E_*. */
int layout_fill(struct layout *layout, struct mbp_instance *instance, struct mbp_error *err);
void layout_done(struct layout *layout);

#define FIRST_FILE_FD 10 /* files[i] is FIRST_FILE_FD + i in bubblewrap */

/* diagnose.c: what of this machine decides about namespaces. Settings are -1 where the kernel has none. */
struct machine {
  long apparmor_restricts, userns_clone, max_namespaces;
  bool chroot, container;
  bool filtered; /* by a seccomp filter */
};
void machine_read(struct machine *machine);
/* Why bubblewrap failed, by what it said, and the cure. Fills err; returns -code. */
int diagnose(const struct machine *machine, const char *bwrap, const char *complaint, struct mbp_error *err);

/* guard.c: what in a user's directory must not change, see there. */
struct guard;
int guard_new(const char *workspace, struct guard **ret_guard, struct mbp_error *err);
/* Calls back for every mount that protects, in order: `writable` ones first make a name a mount point. */
void guard_mounts(const struct guard *guard, void (*add)(void *ctx, const char *relative, bool writable), void *ctx);
/* Words for magent-sandbox init: that every mount shows what was looked at here. */
void guard_words(const struct guard *guard, const char *inside, struct plug_list *words);
/* There may be repositories below the directory that are not guarded: too many, too far down, or odd. */
bool guard_incomplete(const struct guard *guard);
void guard_free(struct guard *guard); /* takes its placeholders away. Accepts NULL */

#define GUARD_REPOSITORIES 16

/* guard_find.c: calls back for every directory below `workspace` that has a .git, until it answers false. False: not
 * everything was looked at. */
typedef bool (*guard_found)(void *ctx, const char *relative);
bool guard_find(const char *workspace, guard_found found, void *ctx);

#endif
