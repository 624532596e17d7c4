#include "loader/registry.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "loader/dl.h"
#include "loader/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The file is checked on its descriptor but opened by its path: a path through /proc/self/fd would be remembered by the
 * dynamic linker under that name, and the next plugin on the same descriptor number would silently be the first one.
 * For a path without links whose directories nobody else can write both are the same file, which is looked at once
 * more. */
static int same_file(int fd, const char *real_path, struct mbp_error *err)
{
  struct stat opened, named;
  if (fstat(fd, &opened) < 0 || lstat(real_path, &named) < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(real_path));
  if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
    return mag_error(err, MBP_E_BUSY, "%s: was replaced while it was being checked: try again",
                     mag_path_shown(real_path));
  return 0;
}

static int find_entry(void *module, const char *path, mbp_entry_fn *ret_entry, struct mbp_error *err)
{
  void *symbol = mag_dl_symbol(module, MBP_ENTRY_NAME);
  if (symbol) {
    memcpy(ret_entry, &symbol, sizeof(symbol));
    return 0;
  }
  for (int major = 0; major < 10; major++) {
    char name[32];
    (void) snprintf(name, sizeof(name), "mbp_plugin_v%d", major);
    if (mag_dl_symbol(module, name))
      return mag_refuse(err, MBP_E_UNSUPPORTED, path, "symbol", name,
                        MBP_ENTRY_NAME ": it is for another major version of the plugin interface");
  }
  return mag_refuse(err, MBP_E_INVALID, path, "symbol", "nothing", MBP_ENTRY_NAME " (see MBP_PLUGIN in mbp.h)");
}

int mag_plugin_open(const char *path, int trust, struct mag_plugin **ret_plugin, struct mbp_error *err)
{
  mag_autoclose int fd = -1;
  mag_autofree char *real_path = NULL;
  void *module = NULL;
  mbp_entry_fn entry = NULL;
  int r = mag_file_open(path, trust, &fd, &real_path, err);
  if (r == 0)
    r = mag_file_check_elf(fd, path, err);
  if (r == 0)
    r = same_file(fd, real_path, err);
  if (r < 0)
    return r;
  r = mag_dl_open(real_path, &module, err);
  if (r < 0)
    return mag_error_wrap(err, "%s", mag_path_shown(path));
  r = find_entry(module, path, &entry, err);
  if (r < 0)
    return r;
  const struct mbp_plugin *given = entry();
  if (!given)
    return mag_refuse(err, MBP_E_INVALID, path, MBP_ENTRY_NAME "()", "NULL", "a descriptor");
  const char *slash = strrchr(path, '/');
  return mag_plugin_check(given, path, slash ? slash + 1 : path, ret_plugin, err);
}
