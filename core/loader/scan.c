#include "loader/scan.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void mag_registry_add_report(struct mag_registry *registry, const char *path, bool notice, const struct mbp_error *why)
{
  struct mag_report_line *report = calloc(1, sizeof(*report));
  if (!report)
    return;
  report->path = mag_str_dup(mbp_str(path));
  report->message = mag_str_dup(mbp_str(why->message));
  report->notice = notice;
  if (!report->path || !report->message) {
    free(report->path);
    free(report->message);
    free(report);
    return;
  }
  *registry->last_report = report;
  registry->last_report = &report->next;
}

/* ---- Scanning ------------------------------------------------------------------------------------------------- */

struct mag_entry *mag_registry_entry(struct mag_registry *registry, uint32_t kind, struct mbp_str name)
{
  for (size_t i = 0; i < registry->n_entries; i++)
    if (registry->entries[i].candidate.kind == kind && mbp_str_eq(name, registry->entries[i].name))
      return &registry->entries[i];
  return NULL;
}

static int entry_add(struct mag_registry *registry, const struct mag_directory *directory, uint32_t kind,
                     struct mbp_str name, const char *path, const struct stat *st, struct mbp_error *err)
{
  if (registry->n_entries == MAG_REGISTRY_MAX)
    return mag_error(err, MBP_E_LIMIT, "more than %d plugin files", MAG_REGISTRY_MAX);
  struct mag_entry *more = reallocarray(registry->entries, registry->n_entries + 1, sizeof(*more));
  if (!more)
    return mag_error_no_memory(err);
  registry->entries = more;
  struct mag_entry *entry = &more[registry->n_entries];
  memset(entry, 0, sizeof(*entry));
  entry->name = mag_str_dup(name);
  entry->path = mag_str_dup(mbp_str(path));
  if (!entry->name || !entry->path) {
    free(entry->name);
    free(entry->path);
    return mag_error_no_memory(err);
  }
  entry->dev = st->st_dev;
  entry->ino = st->st_ino;
  entry->candidate = (struct mag_candidate){kind, entry->name, entry->path, directory->path, directory->trust};
  registry->n_entries++;
  return 0;
}

/* The name is taken by a directory that comes earlier. The same file seen twice is not worth a word. */
static void report_shadowed(struct mag_registry *registry, const struct mag_entry *winner, const char *path,
                            const struct stat *st)
{
  struct mbp_error why = MAG_ERROR_INIT;
  if (winner->dev == st->st_dev && winner->ino == st->st_ino)
    return;
  (void) mag_error(&why, MBP_E_EXISTS, "%s: not used: %s '%s' is already there as %s", mag_path_shown(path),
                   mag_kind_name(winner->candidate.kind), winner->name, mag_path_shown(winner->path));
  mag_registry_add_report(registry, path, false, &why);
}

static int scan_file(struct mag_registry *registry, const struct mag_directory *directory, int fd,
                     const char *file_name, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  struct mbp_str kind_name, name;
  struct stat st;
  size_t n = strlen(file_name);
  if (n < 4 || strcmp(file_name + n - 3, ".so") != 0 || file_name[0] == '.')
    return 0; /* README, .la files, editor leftovers: not even meant as plugins */
  mag_autofree char *path = mag_sprintf("%s/%s", directory->path, file_name);
  if (!path)
    return mag_error_no_memory(err);
  if (!mag_file_name_parse(file_name, &kind_name, &name)) {
    (void) mag_refuse(&why, MBP_E_INVALID, path, "file name", file_name, "magent-KIND-NAME.so");
    mag_registry_add_report(registry, path, false, &why);
    return 0;
  }
  uint32_t kind = mag_kind_of(kind_name);
  if (kind == 0) {
    (void) mag_error(&why, MBP_E_UNSUPPORTED, "%s: skipped: this magent has no plugins of kind '%.*s'",
                     mag_path_shown(path), (int) kind_name.len, kind_name.ptr);
    mag_registry_add_report(registry, path, true, &why);
    return 0;
  }
  /* A dangling link is a candidate too, so that asking for it says what is wrong with it. */
  if (fstatat(fd, file_name, &st, 0) < 0 && fstatat(fd, file_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return 0;
  struct mag_entry *winner = mag_registry_entry(registry, kind, name);
  if (winner) {
    report_shadowed(registry, winner, path, &st);
    return 0;
  }
  return entry_add(registry, directory, kind, name, path, &st, err);
}

static int not_a_dot(const struct dirent *file)
{
  return file->d_name[0] != '.';
}

/* By bytes, whatever the locale: reports come out the same on every machine. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int scan(struct mag_registry *registry, const struct mag_directory *directory, int fd, struct mbp_error *err)
{
  struct dirent **files = NULL;
  int n = scandirat(fd, ".", &files, not_a_dot, by_name), r = 0;
  if (n < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(directory->path));
  for (int i = 0; i < n; i++) {
    if (r == 0)
      r = scan_file(registry, directory, fd, files[i]->d_name, err);
    free(files[i]);
  }
  free(files);
  return r;
}

static int directory_add(struct mag_registry *registry, const char *path, int trust, const struct stat *st,
                         struct mbp_error *err)
{
  if (registry->n_directories == MAG_REGISTRY_MAX)
    return mag_error(err, MBP_E_LIMIT, "more than %d plugin directories", MAG_REGISTRY_MAX);
  struct mag_directory *more = reallocarray(registry->directories, registry->n_directories + 1, sizeof(*more));
  char *copy = mag_str_dup(mbp_str(path));
  if (more)
    registry->directories = more;
  if (!more || !copy) {
    free(copy);
    return mag_error_no_memory(err);
  }
  more[registry->n_directories++] = (struct mag_directory){copy, trust, st->st_dev, st->st_ino};
  return 0;
}

int mag_registry_scan(struct mag_registry *registry, const char *path, int trust, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  mag_autoclose int fd = -1;
  struct stat st = {0};
  int r = mag_directory_open(path, trust, &fd, &why);
  if (r == 0 && fstat(fd, &st) < 0)
    r = mag_error_errno(&why, errno, "%s", mag_path_shown(path));
  if (r < 0 && trust == MAG_TRUST_GIVEN)
    return mag_error(err, why.code, "plugin directory: %s", why.message);
  if (r < 0 && r != -MBP_E_NOT_FOUND)
    mag_registry_add_report(registry, path, false, &why);
  for (size_t i = 0; i < registry->n_directories && fd >= 0; i++)
    if (registry->directories[i].ino == st.st_ino && registry->directories[i].dev == st.st_dev)
      return 0;
  /* One that cannot be read stays in the list: people are told where plugins were looked for. */
  r = directory_add(registry, path, trust, &st, err);
  return r < 0 || fd < 0 ? r : scan(registry, &registry->directories[registry->n_directories - 1], fd, err);
}

int mag_registry_scan_environment(struct mag_registry *registry, struct mbp_error *err)
{
  const char *list = secure_getenv("MAGENT_PLUGIN_PATH");
  int r = 0;
  while (list && *list && r == 0) {
    size_t n = strcspn(list, ":");
    if (list[0] == '/') {
      mag_autofree char *path = mag_str_dup(mbp_str_n(list, n));
      if (!path)
        return mag_error_no_memory(err);
      r = mag_registry_scan(registry, path, MAG_TRUST_CHECKED, err);
    } else if (n > 0) {
      struct mbp_error why = MAG_ERROR_INIT;
      (void) mag_error(&why, MBP_E_INVALID, "%.*s: not searched: MAGENT_PLUGIN_PATH takes absolute directories",
                       (int) MAG_MIN(n, 200), list);
      mag_registry_add_report(registry, "MAGENT_PLUGIN_PATH", false, &why);
    }
    list += n + (list[n] == ':');
  }
  return r;
}
