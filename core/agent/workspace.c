#include "agent/workspace.h"

#include "agent/engine.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Is `path` the directory `above`, or below it? Both without symbolic links. */
static bool is_in(const char *path, const char *above)
{
  size_t n = strlen(above);
  if (n == 1) /* the root */
    return true;
  return strncmp(path, above, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* Without symbolic links, as far as it is there. Caller frees. */
static char *resolve(const char *path)
{
  mag_autofree char *known = mag_str_dup(mbp_str(path));
  for (char *end = known ? known + strlen(known) : NULL; end && end > known; end = strrchr(known, '/')) {
    *end = 0;
    char *real = realpath(known[0] ? known : "/", NULL);
    if (real) {
      char *all = mag_sprintf("%s%s", real, path + strlen(known));
      free(real);
      return all;
    }
    if (errno != ENOENT)
      break;
  }
  return mag_str_dup(mbp_str(path));
}

static int check_own(const char *workspace, const char *own, const char *what, struct mbp_error *err)
{
  mag_autofree char *place = !own ? NULL : own[0] == '/' ? resolve(own) : realpath(own, NULL);
  if (!place || (!is_in(place, workspace) && !is_in(workspace, place)))
    return 0;
  return mag_error(err, MBP_E_PERMISSION,
                   "workspace %s: %s %s, %s, which what runs in a sandbox must not write: choose another directory",
                   workspace, is_in(place, workspace) ? "holds" : "lies in", place, what);
}

static char *own_place(const char *given, const char *home, const char *otherwise)
{
  if (given && given[0] == '/')
    return mag_sprintf("%s/magent", given);
  return home && home[0] == '/' ? mag_sprintf("%s/%s/magent", home, otherwise) : NULL;
}

/* A bound directory brings along what is mounted below it. */
static int check_mounts(const char *workspace, struct mbp_error *err)
{
  static const char *const kernel[] = {"proc",    "sysfs",      "devtmpfs", "cgroup",   "cgroup2", "debugfs",
                                       "tracefs", "securityfs", "configfs", "efivarfs", "bpf",     "pstore"};
  FILE *table = fopen("/proc/self/mountinfo", "re");
  mag_autofree char *line = NULL;
  size_t size = 0;
  int r = strcmp(workspace, "/") == 0 || is_in(workspace, "/dev")
              ? mag_error(err, MBP_E_PERMISSION, "workspace %s: that is the machine itself: choose a directory in it",
                          workspace)
              : 0;
  while (r == 0 && table && getline(&line, &size, table) >= 0) {
    char place[PATH_MAX], type[64];
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", place) != 1 || sscanf(rest, " - %63s", type) != 1)
      continue;
    for (size_t i = 0; r == 0 && i < MAG_COUNT(kernel); i++)
      if (strcmp(type, kernel[i]) == 0 && (is_in(place, workspace) || is_in(workspace, place)))
        r = mag_error(err, MBP_E_PERMISSION, "workspace %s: it brings along %s, which is the machine's own (%s)",
                      workspace, place, type);
  }
  if (table)
    (void) fclose(table);
  return r;
}

int mag_workspace_check(const char *path, bool isolated, struct mag_registry *registry, struct mbp_error *err)
{
  struct stat st;
  if (path[0] != '/')
    return mag_error(err, MBP_E_INVALID, "workspace %s: must be an absolute path", path);
  mag_autofree char *workspace = realpath(path, NULL);
  if (!workspace || stat(workspace, &st) < 0)
    return mag_error_errno(err, errno, "workspace %s", path);
  if (!S_ISDIR(st.st_mode))
    return mag_error(err, MBP_E_INVALID, "workspace %s: not a directory", path);
  if (!isolated)
    return 0;
  const char *home = secure_getenv("HOME"), *cache = secure_getenv("XDG_CACHE_HOME"),
             *config = secure_getenv("XDG_CONFIG_HOME"), *defaults = secure_getenv("MAGENT_CONF_DIR"),
             *helpers = secure_getenv("MAGENT_LIBEXEC_DIR");
  mag_autofree char *state = mag_state_dir();
  mag_autofree char *caches = own_place(cache, home, ".cache");
  mag_autofree char *configs = own_place(config, home, ".config");
  const struct {
    const char *path, *what;
  } own[] = {
      {state, "where sessions are kept"},
      {caches, "where it is kept which plugins are well"},
      {configs, "the configuration"},
      {defaults ? defaults : MAGENT_SYSCONFDIR, "the configuration"},
      {helpers ? helpers : MAGENT_LIBEXECDIR, "programs of magent"},
  };
  int r = check_mounts(workspace, err);
  for (size_t i = 0; r == 0 && i < MAG_COUNT(own); i++)
    r = check_own(workspace, own[i].path, own[i].what, err);
  for (size_t i = 0; r == 0 && mag_registry_directory(registry, i); i++)
    r = check_own(workspace, mag_registry_directory(registry, i), "plugins", err);
  return r;
}
