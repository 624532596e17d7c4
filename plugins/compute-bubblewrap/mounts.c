/* What a sandbox sees: the machine's programs and libraries read-only, a few harmless files of /etc, and nothing
 * else. */
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Shown if they are there. No keys, no accounts, no configuration of services. */
static const char *const etc[] = {
    "/etc/ld.so.cache",  "/etc/alternatives",  "/etc/localtime",       "/etc/ssl/certs",       "/etc/ssl/openssl.cnf",
    "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/crypto-policies", "/etc/mime.types",      "/etc/services",
    "/etc/protocols",    "/etc/fonts",         "/etc/java-17-openjdk", "/etc/java-21-openjdk",
};

static const char *const system_dirs[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

static void add(struct layout *layout, const char *word)
{
  plug_list_add(&layout->args, word);
}

static void add2(struct layout *layout, const char *a, const char *b)
{
  add(layout, a);
  add(layout, b);
}

static void add3(struct layout *layout, const char *a, const char *b, const char *c)
{
  add2(layout, a, b);
  add(layout, c);
}

static void add_size(struct layout *layout, int64_t bytes)
{
  add(layout, "--size");
  plug_list_take(&layout->args, plug_printf("%lld", (long long) bytes));
}

/* On some systems /bin is a link to usr/bin, on others a directory. */
static void add_system(struct layout *layout)
{
  add3(layout, "--ro-bind", "/usr", "/usr");
  for (size_t i = 0; i < sizeof(system_dirs) / sizeof(system_dirs[0]); i++) {
    struct stat st;
    char target[256];
    if (lstat(system_dirs[i], &st) < 0)
      continue;
    ssize_t n = S_ISLNK(st.st_mode) ? readlink(system_dirs[i], target, sizeof(target) - 1) : -1;
    if (n > 0) {
      target[n] = 0;
      add3(layout, "--symlink", target, system_dirs[i]);
    } else if (S_ISDIR(st.st_mode)) {
      add3(layout, "--ro-bind", system_dirs[i], system_dirs[i]);
    }
  }
  for (size_t i = 0; i < sizeof(etc) / sizeof(etc[0]); i++)
    if (access(etc[i], R_OK) == 0)
      add3(layout, "--ro-bind", etc[i], etc[i]);
  add3(layout, "--symlink", "../usr/lib/os-release", "/etc/os-release");
}

/* A file that is made for the sandbox; bubblewrap reads it from a descriptor. */
static int add_file(struct layout *layout, const char *path, const char *text, struct mbp_error *err)
{
  char number[16];
  int fd = memfd_create("etc", MFD_CLOEXEC);
  if (fd < 0)
    return plug_errno(err, errno, "cannot make %s for the sandbox", path);
  layout->files[layout->n_files++] = fd;
  if (write(fd, text, strlen(text)) != (ssize_t) strlen(text) || lseek(fd, 0, SEEK_SET) != 0)
    return plug_errno(err, errno, "cannot make %s for the sandbox", path);
  (void) snprintf(number, sizeof(number), "%d", FIRST_FILE_FD + layout->n_files - 1);
  add2(layout, "--perms", "0444");
  add3(layout, "--file", number, path);
  return 0;
}

static int add_generated(struct layout *layout, struct mbp_error *err)
{
  int r;
  if ((r = add_file(layout, "/etc/passwd",
                    "agent:x:1000:1000:agent:" INSIDE_HOME ":/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
                    err)) < 0 ||
      (r = add_file(layout, "/etc/group", "agent:x:1000:\nnogroup:x:65534:\n", err)) < 0 ||
      (r = add_file(layout, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", err)) < 0)
    return r;
  if (layout->spec->network == MBP_NET_HOST) {
    add3(layout, "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf");
    add3(layout, "--ro-bind-try", "/etc/hosts", "/etc/hosts");
    return 0;
  }
  return add_file(layout, "/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n", err);
}

static void add_guard(void *ctx, const char *relative, bool writable)
{
  struct layout *layout = ctx;
  add(layout, writable ? "--bind" : "--ro-bind");
  plug_list_take(&layout->args, plug_printf("%s/%s", layout->workspace, relative));
  plug_list_take(&layout->args, plug_printf("%s/%s", layout->working_dir, relative));
}

static void add_workspace(struct layout *layout)
{
  if (layout->workspace) {
    add3(layout, "--bind", layout->workspace, layout->working_dir);
    if (layout->guard)
      guard_mounts(layout->guard, add_guard, layout);
  } else {
    add_size(layout, layout->tmp_bytes);
    add2(layout, "--tmpfs", layout->working_dir);
  }
}

static void add_extra(struct layout *layout, struct mbp_instance *instance)
{
  struct mbp_str path;
  for (size_t i = 0; instance->host->config_item(instance->config, "read_only", i, &path) == 1; i++) {
    add3(layout, "--ro-bind", path.ptr, path.ptr);
    layout->has_extra = true;
  }
}

static bool is_kernel_dir(const char *name)
{
  static const char *const dirs[] = {"sys", "fs", "acpi", "scsi", "driver", "tty", "asound", "pressure"};
  for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
    if (strcmp(name, dirs[i]) == 0)
      return true;
  return false;
}

/* Started by root, the sandbox's processes own what root owns in /proc, and for many of those files
 * (kernel.core_pattern, for one) the kernel asks for nothing more: no capability is needed to take the machine over.
 * bubblewrap covers only irq and bus of them. What can be written becomes read-only, what is for root's eyes is
 * masked. */
static void add_proc_walls(struct layout *layout)
{
  DIR *proc = geteuid() == 0 ? opendir("/proc") : NULL;
  for (struct dirent *entry; proc && (entry = readdir(proc)) != NULL;) {
    struct stat st;
    char path[300];
    if (entry->d_name[0] == '.' || (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') ||
        fstatat(dirfd(proc), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
      continue;
    (void) snprintf(path, sizeof(path), "/proc/%s", entry->d_name);
    if (S_ISREG(st.st_mode) && !(st.st_mode & S_IROTH))
      add3(layout, "--ro-bind", "/dev/null", path);
    else if ((S_ISREG(st.st_mode) && (st.st_mode & 0222)) || (S_ISDIR(st.st_mode) && is_kernel_dir(entry->d_name)))
      add3(layout, "--ro-bind", path, path);
  }
  if (proc)
    (void) closedir(proc);
}

/* What bubblewrap makes on the way to a mount point would be for the owner alone. */
static void add_dirs(struct layout *layout)
{
  static const char *const dirs[] = {"/etc", "/etc/ssl", "/etc/pki", "/run", "/run/magent", "/var"};
  for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
    if (strncmp(dirs[i], "/etc/", 5) == 0 && access(dirs[i], F_OK) < 0)
      continue;
    add2(layout, "--perms", "0755");
    add2(layout, "--dir", dirs[i]);
  }
}

int layout_fill(struct layout *layout, struct mbp_instance *instance, struct mbp_error *err)
{
  static const char *const isolation[] = {
      "--unshare-all", "--unshare-user", "--disable-userns",
      "--new-session", "--as-pid-1",     "--cap-drop",
      "ALL",           "--uid",          "1000",
      "--gid",         "1000",           "--hostname",
      "sandbox",       "--clearenv",
  };
  add(layout, layout->bwrap);
  for (size_t i = 0; i < sizeof(isolation) / sizeof(isolation[0]); i++)
    add(layout, isolation[i]);
  if (layout->spec->network == MBP_NET_HOST)
    add(layout, "--share-net");
  add_size(layout, 1 << 20);
  add2(layout, "--tmpfs", "/");
  add_dirs(layout);
  add_system(layout);
  int r = add_generated(layout, err);
  if (r < 0)
    return r;
  add2(layout, "--proc", "/proc");
  add_proc_walls(layout);
  add2(layout, "--dev", "/dev");
  add_size(layout, 64 << 20);
  add2(layout, "--tmpfs", "/dev/shm");
  add2(layout, "--perms", "1777");
  add_size(layout, layout->tmp_bytes);
  add2(layout, "--tmpfs", "/tmp");
  add2(layout, "--dir", INSIDE_HOME);
  add3(layout, "--symlink", "../tmp", "/var/tmp");
  add3(layout, "--ro-bind", layout->helper, INSIDE_HELPER);
  add_extra(layout, instance);
  add_workspace(layout);
  add2(layout, "--remount-ro", "/dev");
  add2(layout, "--remount-ro", "/");
  add2(layout, "--chdir", "/");
  add(layout, INSIDE_HELPER);
  add2(layout, "init", "isolated=1");
  return layout->args.failed ? plug_no_memory(err) : 0;
}

void layout_done(struct layout *layout)
{
  plug_list_free(&layout->args);
  for (int i = 0; i < layout->n_files; i++)
    (void) close(layout->files[i]);
  layout->n_files = 0;
}
