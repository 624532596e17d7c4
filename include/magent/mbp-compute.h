/* mbp-compute.h - plugins of kind compute: where sandboxes are made and commands run.
 *
 * A provider offers a lifecycle, exec, put and get; everything else (file tools, shells, output
 * caps) is built on these by the host. Sandboxes and processes have keys made by the host before the
 * thing exists, so that what was made can be found again after a crash at any instant.
 *
 * Every byte that comes out of a sandbox is hostile: the provider bounds what it reads, and trusts no
 * path, pid or length from inside.
 */
#ifndef MAGENT_MBP_COMPUTE_H
#define MAGENT_MBP_COMPUTE_H

#include <magent/mbp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBP_COMPUTE_VERSION 1

/* Network policies. A provider states which it enforces; the host refuses the others before create. */
#define MBP_NET_NONE 0x1u         /* nothing but the sandbox's own loopback */
#define MBP_NET_LIMITED 0x2u      /* named hosts only */
#define MBP_NET_UNRESTRICTED 0x4u /* any public host; no private, loopback, link-local or metadata address */
#define MBP_NET_HOST 0x8u         /* shares the host's network: no policy at all */
#define MBP_NET_PROVIDER 0x10u    /* the provider's own network, unfiltered: by name only */

/* Package managers served. */
#define MBP_PKG_APT 0x1u
#define MBP_PKG_CARGO 0x2u
#define MBP_PKG_GEM 0x4u
#define MBP_PKG_GO 0x8u
#define MBP_PKG_NPM 0x10u
#define MBP_PKG_PIP 0x20u

#define MBP_ISOLATION_NONE 0      /* the user's own rights */
#define MBP_ISOLATION_NAMESPACE 1 /* shares the host's kernel */
#define MBP_ISOLATION_CONTAINER 2
#define MBP_ISOLATION_VM 3

/* What a provider states. */
struct mbp_compute_info {
  uint32_t size;
  uint32_t networks;  /* MBP_NET_* it enforces */
  uint32_t packages;  /* MBP_PKG_* */
  uint32_t isolation; /* MBP_ISOLATION_* */
};

#define MBP_CAP_COMPUTE_OUTLIVES (UINT64_C(1) << 32)   /* a sandbox lives on when the process dies; attach finds it */
#define MBP_CAP_COMPUTE_REATTACH (UINT64_C(1) << 33)   /* so do its processes; attach_process finds them */
#define MBP_CAP_COMPUTE_WORKSPACE (UINT64_C(1) << 34)  /* a host directory can be its workspace */
#define MBP_CAP_COMPUTE_SUSPEND (UINT64_C(1) << 35)
#define MBP_CAP_COMPUTE_SNAPSHOT (UINT64_C(1) << 36)
#define MBP_CAP_COMPUTE_PTY (UINT64_C(1) << 37)
#define MBP_CAP_COMPUTE_KILL_TREE (UINT64_C(1) << 38) /* a tree is killed whole, setsid and double fork included */
#define MBP_CAP_COMPUTE_STDERR (UINT64_C(1) << 39)    /* stdout and stderr arrive apart */
#define MBP_CAP_COMPUTE_IMAGE (UINT64_C(1) << 40)     /* a sandbox is made from an image, which can be chosen */

#define MBP_WORKSPACE_GUARDED 0x1u /* a user's directory, not the session's own: protect .git and friends */

struct mbp_sandbox_spec {
  uint32_t size;
  uint32_t flags;         /* MBP_WORKSPACE_* */
  struct mbp_str key;     /* host-made, [a-z0-9-]{1,63}: creating the same key twice gives the same sandbox */
  struct mbp_str session; /* for labels */
  struct mbp_str owner;   /* for labels: whose it is, "UID@HOST" */
  struct mbp_str workspace;   /* host directory that becomes the working directory; empty: the provider's own */
  struct mbp_str working_dir; /* inside; empty: /workspace */
  struct mbp_str image;       /* empty: the provider's default */
  const struct mbp_pair *env; /* in addition to the provider's clean base environment */
  size_t n_env;
  uint32_t network;       /* one MBP_NET_* */
  uint32_t cpu_millis;    /* 1000 = one processor; 0 here and below: the provider's default */
  int64_t memory_bytes;
  int64_t disk_bytes;     /* of private writable places such as /tmp */
  uint32_t pids;
  uint32_t reserved;
  int64_t idle_ms;        /* may be removed after so long without use */
  int64_t lifetime_ms;    /* is removed after so long */
  struct mbp_str allowed_hosts; /* JSON array, for MBP_NET_LIMITED */
};

#define MBP_SANDBOX_STARTING 1
#define MBP_SANDBOX_RUNNING 2
#define MBP_SANDBOX_SUSPENDED 3
#define MBP_SANDBOX_STOPPED 4 /* known, but no longer there */

/* Result of create, attach and status; data of MBP_EV_SANDBOX. */
struct mbp_sandbox_info {
  uint32_t size;
  uint32_t state;             /* MBP_SANDBOX_* */
  struct mbp_str id;          /* the provider's name for it; used in every later operation */
  struct mbp_str key;         /* as created, or empty if not known */
  struct mbp_str session;     /* or empty */
  struct mbp_str working_dir; /* absolute path inside */
  struct mbp_str helper;      /* absolute path of magent-sandbox inside, or empty if it is not there */
  int64_t created_ms;         /* wall clock; 0: not known */
  struct mbp_str limits;      /* one line for a human: which limits are in force and how, or empty */
  uint32_t network;           /* the MBP_NET_* that is in force; 0: not known */
  uint32_t existed;           /* create: 1 if the key's sandbox was there already */
};

#define MBP_EXEC_BACKGROUND 0x1u /* done once it has started; its output goes to a file, see `spool` */
#define MBP_EXEC_STDIN 0x2u      /* stdin is fed with write_stdin; else it is /dev/null */
#define MBP_EXEC_PTY 0x4u        /* needs MBP_CAP_COMPUTE_PTY */
#define MBP_EXEC_MERGE 0x8u      /* stderr goes where stdout goes */
#define MBP_EXEC_KEEP 0x10u      /* cancelling the call only ends the watching: the process lives on */

struct mbp_exec {
  uint32_t size;
  uint32_t flags;                 /* MBP_EXEC_* */
  struct mbp_str key;             /* host-made, unique in the sandbox, [a-z0-9-]{1,63}: names the process */
  const struct mbp_str *argv;     /* no shell is involved */
  size_t n_argv;
  const struct mbp_pair *env;     /* in addition to the sandbox's */
  size_t n_env;
  struct mbp_str cwd;             /* empty: the sandbox's working directory */
  struct mbp_str user;            /* empty: the provider's default, never the host's root */
  int64_t soft_timeout_ms;        /* SIGTERM to the tree after so long; 0: none */
  int64_t hard_timeout_ms;        /* SIGKILL to the tree after so long; 0: none */
  int64_t output_limit;           /* bytes of stdout and stderr together; the rest is dropped and counted; 0: none */
  struct mbp_str spool;           /* BACKGROUND: path inside that receives the output, at most `output_limit` bytes of
                                   * it, or a bound of the provider's own if that is 0 */
};

/* Events of exec. */
#define MBP_EV_EXEC_STARTED 200 /* number: a pid for display, or 0; name: the process key */
#define MBP_EV_EXEC_OUTPUT 201  /* index: 1 stdout, 2 stderr; number: offset in that stream; data: bytes */

#define MBP_EXIT_EXITED 1
#define MBP_EXIT_SIGNALED 2
#define MBP_EXIT_SOFT_TIMEOUT 3 /* ended by the soft timeout */
#define MBP_EXIT_HARD_TIMEOUT 4
#define MBP_EXIT_MEMORY 5       /* killed by the memory limit */
#define MBP_EXIT_CANCELLED 6    /* the call was cancelled and the tree was killed */
#define MBP_EXIT_RUNNING 7      /* BACKGROUND: it runs */
#define MBP_EXIT_NOT_STARTED 8  /* no such program, no permission: `message` says why */

#define MBP_EXIT_F_UNSURE 0x1u    /* the provider cannot vouch for the exit code */
#define MBP_EXIT_F_HELD_OPEN 0x2u /* something still holds the output open: there may be more that is not shown */
#define MBP_EXIT_F_128 0x4u       /* exited with 128+n and killed by signal n look alike here */

/* Result of exec and attach_process. A stream that ends without the process's own exit is an error
 * (MBP_E_LOST), never exit 0. */
struct mbp_exec_result {
  uint32_t size;
  uint32_t reason;        /* MBP_EXIT_* */
  int32_t exit_code;      /* 0..255; 128 + signal when signaled */
  int32_t signal;         /* or 0 */
  int64_t dropped;        /* bytes of output beyond output_limit */
  int64_t memory_peak;    /* bytes, or 0 */
  struct mbp_str message; /* one line for a human, or empty: "killed: memory limit of 512 MiB" */
  uint32_t flags;         /* MBP_EXIT_F_* */
  uint32_t reserved;
};

#define MBP_STDIN_EOF 0x1u    /* after the data, close */
#define MBP_SIGNAL_TREE 0x1u  /* the process and everything that it started */

/* Signals, by Linux's numbers whatever the platform. */
#define MBP_SIG_HUP 1
#define MBP_SIG_INT 2
#define MBP_SIG_QUIT 3
#define MBP_SIG_KILL 9
#define MBP_SIG_TERM 15
#define MBP_SIG_CONT 18
#define MBP_SIG_STOP 19

/* Emitted by list. name: id; number: created_ms; data points to one struct mbp_sandbox_info. */
#define MBP_EV_SANDBOX 202
/* Emitted by list_processes. name: key; number: 1 running, 0 ended; data: command line or empty. */
#define MBP_EV_PROCESS 203
/* Emitted by get. data: the file's next bytes. */
#define MBP_EV_FILE_DATA 204

/* A file that is put. `read` fills buf and returns the number of bytes, 0 at the end, negative MBP_E_* on failure; it
 * is called from the operation's thread only. Missing directories are made. */
struct mbp_put {
  uint32_t size;
  uint32_t mode; /* permission bits, e.g. 0644 */
  struct mbp_str path; /* inside; relative: below the working directory */
  int64_t length;      /* of the content */
  int64_t (*read)(void *ctx, void *buf, size_t cap);
  void *ctx;
};

/* Result of get. */
struct mbp_file_info {
  uint32_t size;
  uint32_t mode;
  int64_t length;
};

struct mbp_compute_ops {
  uint32_t size;
  uint32_t reserved;
  /* Required. Cancelling leaves nothing behind. done: mbp_sandbox_info. */
  int (*create)(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                struct mbp_error *err);
  /* Required. By id, or by key if id is empty: makes a sandbox of another process usable here. MBP_E_NOT_FOUND if
   * it is gone. done: mbp_sandbox_info. */
  int (*attach)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str key,
                struct mbp_error *err);
  /* Required. done: mbp_sandbox_info; state STOPPED for an unknown id. */
  int (*status)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err);
  /* Required. Emits MBP_EV_SANDBOX for everything of magent's that this provider can see. done: no result. */
  int (*list)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_error *err);
  /* Required, control. Kills what runs in it; running execs end with MBP_E_LOST. An unknown id is no error. A
   * workspace given by the host stays. done: no result. */
  int (*destroy)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err);

  /* Required. done: mbp_exec_result. Cancelling kills the tree. It ends when the main process ends and 100 ms have
   * passed for output of others that keep the pipes open. */
  int (*exec)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_exec *exec,
              struct mbp_error *err);
  /* Required, control. Takes all of `data`, waiting while the process is slow to read; ends early when the call is
   * cancelled. A process that has ended or closed its stdin: MBP_E_LOST. done: no result. */
  int (*write_stdin)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                     struct mbp_str data, uint32_t flags, struct mbp_error *err);
  /* Required, control. A process that has ended is no error; with MBP_SIGNAL_TREE what it has left behind gets the
   * signal all the same. done: no result. */
  int (*signal)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                uint32_t signal, uint32_t flags, struct mbp_error *err);
  /* Required. Emits MBP_EV_PROCESS. done: no result. */
  int (*list_processes)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                        struct mbp_error *err);
  /* With MBP_CAP_COMPUTE_REATTACH. Emits the output from byte `from` of the spool on; of a process that is not in the
   * background from byte `from` of its stdout on, as far as the provider still has it, and what it has of its stderr
   * (the offsets tell). Also for a process that has ended a while ago. Cancelling only ends the watching. Done like
   * exec; MBP_E_NOT_FOUND: no such process is known. */
  int (*attach_process)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id,
                        struct mbp_str process, int64_t from, struct mbp_error *err);

  /* Required. done: no result. */
  int (*put)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, const struct mbp_put *put,
             struct mbp_error *err);
  /* Required. Emits MBP_EV_FILE_DATA, at most `limit` bytes in all (more is MBP_E_LIMIT; 0: no limit). Regular files
   * only. done: mbp_file_info. */
  int (*get)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str path,
             int64_t limit, struct mbp_error *err);

  /* Optional: tells the provider that the sandbox is in use. done: no result. */
  int (*touch)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err);
  /* With MBP_CAP_COMPUTE_SUSPEND. done: no result. */
  int (*suspend)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err);
  int (*resume)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_error *err);
  /* With MBP_CAP_COMPUTE_SNAPSHOT. `name` is an image for later creates. done: no result. */
  int (*snapshot)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str name,
                  struct mbp_error *err);
  /* With MBP_CAP_COMPUTE_PTY, control. done: no result. */
  int (*resize)(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str id, struct mbp_str process,
                uint32_t columns, uint32_t rows, struct mbp_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
