/* From what bubblewrap says and what the kernel is set to: the cause, and what to do about it. */
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A number in a file of /proc/sys, or -1 without one. */
static long read_setting(const char *path)
{
  char text[32];
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (n <= 0)
    return -1;
  text[n] = 0;
  return strtol(text, NULL, 10);
}

static bool has_seccomp(void)
{
  char text[4096];
  mag_autoclose int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  text[n < 0 ? 0 : n] = 0;
  const char *line = strstr(text, "\nSeccomp:\t");
  return line && line[10] == '2';
}

/* A root that is no mount's own. (One that was made a mount first is not told from others.) */
static bool is_chroot(void)
{
  struct statx root;
  return statx(AT_FDCWD, "/", 0, STATX_INO, &root) == 0 && root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
         !(root.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

void machine_read(struct machine *machine)
{
  *machine = (struct machine){
      .apparmor_restricts = read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
      .userns_clone = read_setting("/proc/sys/kernel/unprivileged_userns_clone"),
      .max_namespaces = read_setting("/proc/sys/user/max_user_namespaces"),
      .chroot = is_chroot(),
      .container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0,
      .filtered = has_seccomp(),
  };
}

static const char *namespace_cure(const struct machine *machine)
{
  static const char in_container[] =
      "this is a container whose profile refuses namespaces: start it with `--security-opt seccomp=unconfined "
      "--security-opt apparmor=unconfined --security-opt systempaths=unconfined`, or use compute 'local' in it";
  if (machine->chroot)
    return "the kernel refuses namespaces in a chroot: start the tree as a container (`systemd-nspawn -D DIRECTORY`), "
           "or use "
           "compute 'local' in it";
  /* Before the settings, which a container shows of its host: its own filter refuses first. */
  if (machine->container && machine->filtered)
    return in_container;
  if (machine->apparmor_restricts == 1)
    return "AppArmor refuses user namespaces to ordinary programs (Ubuntu 24.04 and newer): as root run `sysctl -w "
           "kernel.apparmor_restrict_unprivileged_userns=0`, or install an AppArmor profile for bwrap that has "
           "`userns,`";
  if (machine->userns_clone == 0)
    return "the kernel refuses user namespaces to users: as root run `sysctl -w kernel.unprivileged_userns_clone=1`";
  if (machine->max_namespaces == 0)
    return "user namespaces are switched off: as root run `sysctl -w user.max_user_namespaces=10000`";
  if (machine->container || machine->filtered)
    return in_container;
  return "the kernel refuses to make namespaces (see `dmesg`, and user.max_user_namespaces); compute 'local' works "
         "without isolation";
}

static bool says(const char *complaint, const char *what)
{
  return strstr(complaint, what) != NULL;
}

int diagnose(const struct machine *machine, const char *bwrap, const char *complaint, struct mbp_error *err)
{
  int shown = (int) PLUG_MIN(strlen(complaint), (size_t) 160);
  if (err->code == MBP_E_CANCELLED || (err->code != MBP_E_UNAVAILABLE && !complaint[0]))
    return -err->code;
  if (says(complaint, "Unknown option"))
    return plug_error(err, MBP_E_UNAVAILABLE, "%s is too old (%.*s): bubblewrap 0.8.0 or newer is needed", bwrap, shown,
                      complaint);
  /* Counts that are used up say nothing about what the kernel allows. */
  if (says(complaint, "Resource temporarily unavailable"))
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "no sandbox can be made: no process can be started: a limit of processes is reached; raise "
                      "compute.pids, `ulimit -u`, or the limit of the service or container that magent runs in (%.*s)",
                      shown, complaint);
  if (says(complaint, "No space left on device") && says(complaint, "namespace") && machine->max_namespaces > 0)
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "no sandbox can be made: there are as many user namespaces as user.max_user_namespaces allows "
                      "(%ld), or they are nested too deeply: end other sandboxes, or as root raise it with `sysctl -w` "
                      "(%.*s)",
                      machine->max_namespaces, shown, complaint);
  if (says(complaint, "namespace") || says(complaint, "uid map") || says(complaint, "gid map") ||
      says(complaint, "loopback") || says(complaint, "setgroups") || says(complaint, "clone"))
    return plug_error(err, MBP_E_UNAVAILABLE, "no sandbox can be made: %s (%.*s)", namespace_cure(machine), shown,
                      complaint);
  if (says(complaint, "mount proc") || says(complaint, "/newroot/proc"))
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "no sandbox can be made: this container hides parts of /proc, so that no new one can be mounted: "
                      "start it with `--security-opt systempaths=unconfined` (%.*s)",
                      shown, complaint);
  if (complaint[0])
    return plug_error(err, MBP_E_UNAVAILABLE, "no sandbox can be made: %.*s", shown, complaint);
  return plug_error(err, MBP_E_UNAVAILABLE,
                    "no sandbox can be made: %s ended without a word (killed by a limit of memory or processes?)",
                    bwrap);
}
