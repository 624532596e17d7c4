/* The system calls that nothing in a sandbox may make. A list of what is refused, because what programs need is
 * without end; the namespaces and the absence of every capability carry the isolation, this takes away the kernel's odd
 * corners, and the ways to hurt init or the host through a bound directory. */
#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ERRNO(number) SCMP_ACT_ERRNO(number)
/* Arguments narrower than a register: the kernel does not look at the upper half, so neither may we. */
#define INT_IS(arg, value) SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t) (value))
#define HAS_BITS(arg, bits) SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t) (bits), (scmp_datum_t) (bits))

#define SYS_FCHMODAT2 452 /* newer than the library; the same number everywhere */

static const char *const refused[] = {
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise", "move_pages",
    "migrate_pages", "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "mount", "umount",
    "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
    "mount_setattr", "unshare", "setns", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "create_module", "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff", "reboot",
    "acct", "syslog", "sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    "ioperm", "iopl", "lookup_dcookie", "nfsservctl", "vhangup", "fanotify_init",
};

/* Programs do without these if they are told that there is no such thing. */
static const char *const absent[] = {
    "io_uring_setup", "io_uring_enter", "io_uring_register", "openat2", "clone3",
};

/* A call that this architecture does not have is as good as refused. */
static int add(scmp_filter_ctx filter, uint32_t action, int number, unsigned n, const struct scmp_arg_cmp *args)
{
  if (number == __NR_SCMP_ERROR)
    return 0;
  int r = seccomp_rule_add_array(filter, action, number, n, args);
  return r == -EEXIST || r == -EDOM ? 0 : r;
}

static int add_name(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned n,
                    const struct scmp_arg_cmp *args)
{
  return add(filter, action, seccomp_syscall_resolve_name(name), n, args);
}

/* Set-id bits would outlive the sandbox in a bound directory. */
static int refuse_set_id(scmp_filter_ctx filter)
{
  static const struct {
    const char *name;
    unsigned mode_arg;
    int flags_arg; /* -1: always makes or changes a file */
  } calls[] = {{"chmod", 1, -1}, {"fchmod", 1, -1}, {"fchmodat", 2, -1}, {"creat", 1, -1}, {"mknod", 1, -1},
               {"mknodat", 2, -1}, {"open", 2, 1}, {"openat", 3, 2}};
  static const unsigned bits[] = {S_ISUID, S_ISGID};
  int r = add(filter, ERRNO(ENOSYS), SYS_FCHMODAT2, 0, NULL);
  for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
    for (int k = 0; k < 2 && r == 0; k++) {
      struct scmp_arg_cmp args[2] = {HAS_BITS(calls[i].mode_arg, bits[k])};
      if (calls[i].flags_arg < 0) {
        r = add_name(filter, ERRNO(EPERM), calls[i].name, 1, args);
        continue;
      }
      args[1] = HAS_BITS((unsigned) calls[i].flags_arg, O_CREAT);
      r = add_name(filter, ERRNO(EPERM), calls[i].name, 2, args);
      args[1] = HAS_BITS((unsigned) calls[i].flags_arg, O_TMPFILE & ~O_DIRECTORY);
      if (r == 0)
        r = add_name(filter, ERRNO(EPERM), calls[i].name, 2, args);
    }
  return r;
}

static int refuse_devices(scmp_filter_ctx filter)
{
  static const unsigned types[] = {S_IFCHR, S_IFBLK};
  int r = 0;
  for (int i = 0; i < 2 && r == 0; i++) {
    struct scmp_arg_cmp node = SCMP_CMP(1, SCMP_CMP_MASKED_EQ, S_IFMT, types[i]);
    struct scmp_arg_cmp node_at = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, S_IFMT, types[i]);
    if ((r = add_name(filter, ERRNO(EPERM), "mknod", 1, &node)) == 0)
      r = add_name(filter, ERRNO(EPERM), "mknodat", 1, &node_at);
  }
  return r;
}

static int refuse_namespaces(scmp_filter_ctx filter)
{
  static const unsigned flags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                   CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET};
  int r = 0;
#if defined(__s390__) || defined(__s390x__)
  const unsigned flags_arg = 1;
#else
  const unsigned flags_arg = 0;
#endif
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && r == 0; i++) {
    struct scmp_arg_cmp flag = HAS_BITS(flags_arg, flags[i]);
    r = add_name(filter, ERRNO(EPERM), "clone", 1, &flag);
  }
  return r;
}

/* Only the internet's families and netlink: others (vsock, for one) do not know network namespaces. */
static int refuse_sockets(scmp_filter_ctx filter, bool no_unix)
{
  struct scmp_arg_cmp high = {0, SCMP_CMP_GT, AF_NETLINK, 0};
  int r = add_name(filter, ERRNO(EAFNOSUPPORT), "socket", 1, &high);
  for (int family = 0; family <= AF_NETLINK && r == 0; family++) {
    if (family == AF_INET || family == AF_INET6 || family == AF_NETLINK || (family == AF_UNIX && !no_unix))
      continue;
    struct scmp_arg_cmp is = INT_IS(0, family);
    r = add_name(filter, ERRNO(family == AF_UNIX ? EACCES : EAFNOSUPPORT), "socket", 1, &is);
  }
  return r;
}

/* One uid for all: without this any process could take init's limits and its share of the processor away. */
static int protect_init(scmp_filter_ctx filter)
{
  static const char *const first[] = {"prlimit64", "sched_setscheduler", "sched_setattr", "sched_setparam",
                                      "sched_setaffinity"};
  struct scmp_arg_cmp is_init = INT_IS(0, 1);
  int r = 0;
  for (size_t i = 0; i < sizeof(first) / sizeof(first[0]) && r == 0; i++)
    r = add_name(filter, ERRNO(EPERM), first[i], 1, &is_init);
  static const char *const second[] = {"setpriority", "ioprio_set"};
  for (size_t i = 0; i < 2 && r == 0; i++) {
    struct scmp_arg_cmp who = INT_IS(1, 1), user = INT_IS(0, i == 0 ? PRIO_USER : 3);
    if ((r = add_name(filter, ERRNO(EPERM), second[i], 1, &who)) == 0)
      r = add_name(filter, ERRNO(EPERM), second[i], 1, &user);
  }
  return r;
}

static int refuse_terminal_tricks(scmp_filter_ctx filter)
{
  struct scmp_arg_cmp push = INT_IS(1, TIOCSTI), paste = INT_IS(1, 0x541c /* TIOCLINUX */);
  int r = add_name(filter, ERRNO(EPERM), "ioctl", 1, &push);
  return r ? r : add_name(filter, ERRNO(EPERM), "ioctl", 1, &paste);
}

static int fill(scmp_filter_ctx filter, bool no_unix)
{
  int r = 0;
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && r == 0; i++)
    r = add_name(filter, ERRNO(EPERM), refused[i], 0, NULL);
  for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]) && r == 0; i++)
    r = add_name(filter, ERRNO(ENOSYS), absent[i], 0, NULL);
  if (r == 0 && (r = refuse_set_id(filter)) == 0 && (r = refuse_devices(filter)) == 0 &&
      (r = refuse_namespaces(filter)) == 0 && (r = refuse_sockets(filter, no_unix)) == 0 &&
      (r = protect_init(filter)) == 0)
    r = refuse_terminal_tricks(filter);
  return r;
}

int init_filter(bool no_unix)
{
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return -errno;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter)
    return -ENOMEM;
  /* A binary tree of the calls instead of a list: this filter runs at every system call of the sandbox. */
  (void) seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  int r = fill(filter, no_unix);
  if (r == 0)
    r = seccomp_load(filter);
  seccomp_release(filter);
  return r;
}
