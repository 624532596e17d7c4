/* What hostile code in a sandbox would try. Prints a line "BREACH: ..." for whatever succeeds; exit 0 if nothing did.
 * */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef MAGENT_SANITIZED
/* Looking for leaks needs ptrace, which a sandbox refuses. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
  return "detect_leaks=0";
}
#endif

static int breaches;

static void expect(int refused, const char *what)
{
  if (refused)
    return;
  (void) printf("BREACH: %s\n", what);
  breaches++;
}

static void trace_one(pid_t pid)
{
  char path[64], text[16];
  struct iovec local = {text, sizeof(text)}, remote = {(void *) &breaches, sizeof(text)};
  expect(ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0, "ptrace");
  expect(process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0, "process_vm_readv");
  int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
  for (int fd = 0; fd < 10; fd++)
    expect(pidfd < 0 || syscall(SYS_pidfd_getfd, pidfd, fd, 0) < 0, "pidfd_getfd");
  static const char *const files[] = {"mem", "environ", "fd/3", "fd/5", "maps", "auxv", "syscall"};
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
    (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, files[i]);
    int fd = open(path, O_RDONLY);
    expect(fd < 0 || read(fd, text, sizeof(text)) <= 0, path);
  }
  (void) snprintf(path, sizeof(path), "/proc/%d/mem", (int) pid);
  expect(open(path, O_WRONLY) < 0, "mem for writing");
  (void) snprintf(path, sizeof(path), "/proc/%d/root", (int) pid);
  expect(chdir(path) < 0, "root of init");
}

static void starve_init(void)
{
  struct rlimit none = {0, 0};
  struct sched_param zero = {0};
  for (int i = 1; i < 32; i++)
    (void) kill(1, i);
  expect(prlimit(1, RLIMIT_NOFILE, &none, NULL) < 0, "prlimit of init");
  expect(prlimit(1, RLIMIT_CPU, &none, NULL) < 0, "prlimit of init");
  expect(setpriority(PRIO_PROCESS, 1, 19) < 0, "priority of init");
  expect(setpriority(PRIO_PGRP, 1, 19) < 0, "priority of init's group");
  expect(setpriority(PRIO_USER, getuid(), 19) < 0, "priority of all");
  expect(sched_setscheduler(1, SCHED_IDLE, &zero) < 0, "scheduler of init");
  expect(syscall(SYS_prlimit64, 0x100000001L, RLIMIT_NOFILE, &none, NULL) < 0, "prlimit by a wide pid");
  expect(syscall(SYS_ioprio_set, 1, 1, 3 << 13) < 0, "input/output priority of init");
}

static int child_main(void *unused)
{
  (void) unused;
  _exit(0);
}

static void namespaces(void)
{
  static char stack[65536];
  static const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC};
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
    expect(unshare(flags[i]) < 0, "unshare");
    expect(clone(child_main, stack + sizeof(stack), flags[i] | SIGCHLD, NULL) < 0, "clone into a namespace");
  }
  unsigned long long args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  long pid = syscall(SYS_clone3, args, sizeof(args));
  if (pid == 0)
    _exit(0);
  expect(pid < 0, "clone3");
  expect(mount("none", "/tmp", "tmpfs", 0, NULL) < 0, "mount");
  expect(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL) < 0, "remount");
  expect(umount("/workspace") < 0, "umount");
  expect(chroot("/tmp") < 0, "chroot");
  expect(syscall(SYS_open_tree, AT_FDCWD, "/", 1) < 0, "open_tree");
  expect(syscall(SYS_keyctl, 0, -3, 0) < 0, "keyctl");
  expect(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM, "bpf");
  expect(syscall(SYS_userfaultfd, 0) < 0, "userfaultfd");
  expect(syscall(SYS_io_uring_setup, 4, args) < 0 && errno == ENOSYS, "io_uring");
  expect(sethostname("x", 1) < 0, "sethostname");
}

/* The bit may be refused or dropped; it must not be there. */
static void no_bits(const char *path, const char *how)
{
  struct stat st;
  expect(stat(path, &st) < 0 || !(st.st_mode & (S_ISUID | S_ISGID)), how);
  (void) unlink(path);
}

static void set_id(void)
{
  static const unsigned bits[] = {S_ISUID, S_ISGID};
  for (int i = 0; i < 2; i++) {
    unsigned mode = 0755 | bits[i];
    int fd = open("s1", O_CREAT | O_WRONLY, 0755);
    (void) fchmod(fd, mode);
    no_bits("s1", "fchmod");
    fd = open("s2", O_CREAT | O_WRONLY, 0755);
    (void) chmod("s2", mode);
    no_bits("s2", "chmod");
    fd = open("s3", O_CREAT | O_WRONLY, 0755);
    (void) fchmodat(AT_FDCWD, "s3", mode, 0);
    no_bits("s3", "fchmodat");
    fd = open("s4", O_CREAT | O_WRONLY, 0755);
    (void) syscall(452, AT_FDCWD, "s4", mode, 0);
    no_bits("s4", "fchmodat2");
    fd = open("s5", O_CREAT | O_WRONLY, mode);
    no_bits("s5", "open");
    fd = openat(AT_FDCWD, "s6", O_CREAT | O_WRONLY, mode);
    no_bits("s6", "openat");
    fd = creat("s7", mode);
    no_bits("s7", "creat");
    (void) mknod("s8", S_IFREG | mode, 0);
    no_bits("s8", "mknod");
    unsigned long long how[3] = {O_CREAT | O_WRONLY, mode, 0};
    fd = (int) syscall(SYS_openat2, AT_FDCWD, "s9", how, sizeof(how));
    no_bits("s9", "openat2");
    fd = (int) syscall(SYS_openat, 0xffffffffffffff9cL, "s10", O_CREAT | O_WRONLY | 0x100000000L, mode);
    no_bits("s10", "openat by wide flags");
    fd = open(".", O_TMPFILE | O_WRONLY, mode);
    struct stat st;
    expect(fd < 0 || fstat(fd, &st) < 0 || !(st.st_mode & (S_ISUID | S_ISGID)), "O_TMPFILE");
  }
  expect(mknod("d1", S_IFCHR | 0666, 0x103) < 0, "character device");
  expect(mknod("d2", S_IFBLK | 0666, 0xfe00) < 0, "block device");
}

static void families(void)
{
  expect(socket(40, SOCK_STREAM, 0) < 0, "vsock");
  expect(socket(AF_PACKET, SOCK_RAW, 0) < 0, "packet socket");
  expect(socket(38, SOCK_SEQPACKET, 0) < 0, "AF_ALG");
  expect(syscall(SYS_socket, 0x100000000L + 40, SOCK_STREAM, 0) < 0, "vsock by a wide family");
}

static void unix_sockets(const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int pair[2];
  (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  expect(fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0, "connect to the host's socket");
  fd = (int) syscall(SYS_socket, 0x100000000L + AF_UNIX, SOCK_STREAM, 0);
  expect(fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0, "connect by a wide family");
  fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  expect(fd < 0 || sendto(fd, "x", 1, 0, (struct sockaddr *) &address, sizeof(address)) < 0, "sendto");
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
    (void) printf("no socketpair\n");
  else
    expect(connect(pair[0], (struct sockaddr *) &address, sizeof(address)) < 0 || errno == EPROTOTYPE,
           "connect of a pair's end");
}

static void dial(const char *port)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short) strtol(port, NULL, 10))};
  (void) inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  expect(fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0, "the host's loopback");
}

/* Each generation is a new session and lives for a moment, so that no list of processes is ever right. */
static void run_away(void)
{
  if (fork() > 0)
    _exit(0);
  for (;;) {
    if (fork() > 0)
      _exit(0);
    (void) setsid();
  }
}

/* Kills whatever it can see above itself. */
static void orphan(void)
{
  for (int i = 0; i < 20; i++) {
    pid_t parent = getppid();
    if (parent <= 1)
      break;
    (void) kill(parent, SIGSTOP);
    (void) kill(parent, SIGKILL);
    (void) usleep(2000);
  }
  for (;;)
    (void) pause();
}

int main(int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "trace") == 0)
    trace_one(argc > 2 ? (pid_t) strtol(argv[2], NULL, 10) : 1);
  else if (strcmp(mode, "trace-leader") == 0)
    trace_one(getppid());
  else if (strcmp(mode, "starve") == 0)
    starve_init();
  else if (strcmp(mode, "namespaces") == 0)
    namespaces();
  else if (strcmp(mode, "set-id") == 0)
    set_id();
  else if (strcmp(mode, "families") == 0)
    families();
  else if (strcmp(mode, "unix") == 0)
    unix_sockets(argv[2]);
  else if (strcmp(mode, "dial") == 0)
    dial(argv[2]);
  else if (strcmp(mode, "run-away") == 0)
    run_away();
  else if (strcmp(mode, "orphan") == 0)
    orphan();
  else
    return 2;
  return breaches ? 1 : 0;
}
