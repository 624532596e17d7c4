#include "loader/registry.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 4096 /* files and directories of one registry */

enum entry_state { ENTRY_UNTRIED, ENTRY_OPEN, ENTRY_BAD };

struct entry {
  struct mag_candidate candidate;
  char *name, *path;
  dev_t dev;
  ino_t ino;
  enum entry_state state;
  struct mag_plugin *plugin; /* ENTRY_OPEN */
  struct mbp_error error;    /* ENTRY_BAD */
};

struct directory {
  char *path;
  int trust;
  dev_t dev;
  ino_t ino;
};

struct report {
  char *path, *message;
  bool notice;
  struct report *next;
};

struct mag_registry {
  struct directory *directories;
  size_t n_directories;
  struct entry *entries; /* sorted by kind and name once made */
  size_t n_entries;
  struct report *reports, **last_report;
  pthread_mutex_t lock; /* states and reports; all else does not change */
};

static void report_add(struct mag_registry *registry, const char *path, bool notice, const struct mbp_error *why)
{
  struct report *report = calloc(1, sizeof(*report));
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

/* ---- Scanning: before the registry is handed out, so without the lock ------------------------------------------ */

static struct entry *entry_find(struct mag_registry *registry, uint32_t kind, struct mbp_str name)
{
  for (size_t i = 0; i < registry->n_entries; i++)
    if (registry->entries[i].candidate.kind == kind && mbp_str_eq(name, registry->entries[i].name))
      return &registry->entries[i];
  return NULL;
}

static int entry_add(struct mag_registry *registry, const struct directory *directory, uint32_t kind,
                     struct mbp_str name, const char *path, const struct stat *st, struct mbp_error *err)
{
  if (registry->n_entries == ENTRIES_MAX)
    return mag_error(err, MBP_E_LIMIT, "more than %d plugin files", ENTRIES_MAX);
  struct entry *more = reallocarray(registry->entries, registry->n_entries + 1, sizeof(*more));
  if (!more)
    return mag_error_no_memory(err);
  registry->entries = more;
  struct entry *entry = &more[registry->n_entries];
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
static void report_shadowed(struct mag_registry *registry, const struct entry *winner, const char *path,
                            const struct stat *st)
{
  struct mbp_error why = MAG_ERROR_INIT;
  if (winner->dev == st->st_dev && winner->ino == st->st_ino)
    return;
  (void) mag_error(&why, MBP_E_EXISTS, "%s: not used: %s '%s' is already there as %s", mag_path_shown(path),
                   mag_kind_name(winner->candidate.kind), winner->name, mag_path_shown(winner->path));
  report_add(registry, path, false, &why);
}

static int scan_file(struct mag_registry *registry, const struct directory *directory, int fd, const char *file_name,
                     struct mbp_error *err)
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
    report_add(registry, path, false, &why);
    return 0;
  }
  uint32_t kind = mag_kind_of(kind_name);
  if (kind == 0) {
    (void) mag_error(&why, MBP_E_UNSUPPORTED, "%s: skipped: this magent has no plugins of kind '%.*s'",
                     mag_path_shown(path), (int) kind_name.len, kind_name.ptr);
    report_add(registry, path, true, &why);
    return 0;
  }
  /* A dangling link is a candidate too, so that asking for it says what is wrong with it. */
  if (fstatat(fd, file_name, &st, 0) < 0 && fstatat(fd, file_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return 0;
  struct entry *winner = entry_find(registry, kind, name);
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

/* In the order of names, so that reports come out the same on every machine. */
static int scan(struct mag_registry *registry, const struct directory *directory, int fd, struct mbp_error *err)
{
  struct dirent **files = NULL;
  int n = scandirat(fd, ".", &files, not_a_dot, alphasort), r = 0;
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

static int directory_add(struct mag_registry *registry, const char *path, int trust, struct mbp_error *err)
{
  struct mbp_error why = MAG_ERROR_INIT;
  mag_autoclose int fd = -1;
  struct stat st;
  int r = mag_directory_open(path, trust, &fd, &why);
  if (r == 0 && fstat(fd, &st) < 0)
    r = mag_error_errno(&why, errno, "%s", mag_path_shown(path));
  if (r < 0) {
    if (trust == MAG_TRUST_GIVEN) {
      *err = why;
      return mag_error_wrap(err, "plugin directory");
    }
    if (r != -MBP_E_NOT_FOUND)
      report_add(registry, path, false, &why);
    st.st_dev = 0;
    st.st_ino = 0; /* kept in the list: people are told where plugins were looked for */
  }
  for (size_t i = 0; i < registry->n_directories && fd >= 0; i++)
    if (registry->directories[i].ino == st.st_ino && registry->directories[i].dev == st.st_dev)
      return 0;
  if (registry->n_directories == ENTRIES_MAX)
    return mag_error(err, MBP_E_LIMIT, "more than %d plugin directories", ENTRIES_MAX);
  struct directory *more = reallocarray(registry->directories, registry->n_directories + 1, sizeof(*more));
  char *copy = mag_str_dup(mbp_str(path));
  if (more)
    registry->directories = more;
  if (!more || !copy) {
    free(copy);
    return mag_error_no_memory(err);
  }
  struct directory *directory = &registry->directories[registry->n_directories++];
  *directory = (struct directory){copy, trust, st.st_dev, st.st_ino};
  return fd < 0 ? 0 : scan(registry, directory, fd, err);
}

static int add_environment(struct mag_registry *registry, struct mbp_error *err)
{
  const char *list = secure_getenv("MAGENT_PLUGIN_PATH");
  int r = 0;
  while (list && *list && r == 0) {
    size_t n = strcspn(list, ":");
    if (list[0] == '/') {
      mag_autofree char *path = mag_str_dup(mbp_str_n(list, n));
      if (!path)
        return mag_error_no_memory(err);
      r = directory_add(registry, path, MAG_TRUST_CHECKED, err);
    } else if (n > 0) {
      struct mbp_error why = MAG_ERROR_INIT;
      (void) mag_error(&why, MBP_E_INVALID, "%.*s: not searched: MAGENT_PLUGIN_PATH takes absolute directories",
                       (int) MAG_MIN(n, 200), list);
      report_add(registry, "MAGENT_PLUGIN_PATH", false, &why);
    }
    list += n + (list[n] == ':');
  }
  return r;
}

static int compare(const void *a, const void *b)
{
  const struct entry *x = a, *y = b;
  if (x->candidate.kind != y->candidate.kind)
    return x->candidate.kind < y->candidate.kind ? -1 : 1;
  return strcmp(x->name, y->name);
}

static void registry_cleanup(struct mag_registry **registry)
{
  mag_registry_free(*registry);
}

int mag_registry_new(const char *const *trusted_dirs, const char *installed_dir, struct mag_registry **ret_registry,
                     struct mbp_error *err)
{
  mag_auto(registry_cleanup) struct mag_registry *registry = calloc(1, sizeof(*registry));
  if (!registry)
    return mag_error_no_memory(err);
  pthread_mutex_init(&registry->lock, NULL);
  registry->last_report = &registry->reports;
  int r = 0;
  for (size_t i = 0; trusted_dirs && trusted_dirs[i] && r == 0; i++)
    r = directory_add(registry, trusted_dirs[i], MAG_TRUST_GIVEN, err);
  if (r == 0)
    r = directory_add(registry, installed_dir ? installed_dir : MAGENT_PLUGINDIR, MAG_TRUST_CHECKED, err);
  if (r == 0)
    r = add_environment(registry, err);
  if (r < 0)
    return r;
  /* Candidates point to the directories' paths, which do not move, unlike the array of directories. */
  if (registry->n_entries)
    qsort(registry->entries, registry->n_entries, sizeof(*registry->entries), compare);
  *ret_registry = mag_steal(&registry);
  return 0;
}

void mag_registry_free(struct mag_registry *registry)
{
  if (!registry)
    return;
  for (size_t i = 0; i < registry->n_entries; i++) {
    mag_plugin_free(registry->entries[i].plugin);
    free(registry->entries[i].name);
    free(registry->entries[i].path);
  }
  for (size_t i = 0; i < registry->n_directories; i++)
    free(registry->directories[i].path);
  while (registry->reports) {
    struct report *report = registry->reports;
    registry->reports = report->next;
    free(report->path);
    free(report->message);
    free(report);
  }
  pthread_mutex_destroy(&registry->lock);
  free(registry->entries);
  free(registry->directories);
  free(registry);
}

/* ---- Use ---------------------------------------------------------------------------------------------------- */

/* With the lock held. A failure is remembered: asking again gives the same answer and no second report. */
static int entry_open(struct mag_registry *registry, struct entry *entry, struct mbp_error *err)
{
  if (entry->state == ENTRY_UNTRIED) {
    mag_error_clear(&entry->error);
    int r = mag_plugin_open(entry->path, entry->candidate.trust, &entry->plugin, &entry->error);
    entry->state = r == 0 ? ENTRY_OPEN : ENTRY_BAD;
    if (r != 0)
      report_add(registry, entry->path, r > 0, &entry->error);
  }
  if (entry->state == ENTRY_OPEN)
    return 0;
  if (err)
    *err = entry->error;
  return -entry->error.code;
}

static int not_found(struct mag_registry *registry, uint32_t kind, const char *name, struct mbp_error *err)
{
  mag_autobuf where = MAG_BUF_INIT;
  const char *kind_name = mag_kind_name(kind);
  mag_autofree const char **names = calloc(registry->n_entries + 1, sizeof(*names));
  if (!names)
    return mag_error_no_memory(err);
  size_t n = 0;
  for (size_t i = 0; i < registry->n_entries; i++)
    if (registry->entries[i].candidate.kind == kind)
      names[n++] = registry->entries[i].name;
  for (size_t i = 0; i < registry->n_directories; i++)
    mag_buf_printf(&where, "%s%s", i ? ", " : "", registry->directories[i].path);
  int nearest = mag_nearest(name, names);
  return mag_error(err, MBP_E_NOT_FOUND, "no %s plugin '%.64s'%s%s%s; searched: %s", kind_name ? kind_name : "such",
                   name, nearest >= 0 ? "; did you mean '" : "", nearest >= 0 ? names[nearest] : "",
                   nearest >= 0 ? "'" : "", where.failed ? "" : where.ptr);
}

int mag_registry_find(struct mag_registry *registry, uint32_t kind, const char *name,
                      const struct mag_plugin **ret_plugin, struct mbp_error *err)
{
  struct entry *entry = entry_find(registry, kind, mbp_str(name));
  if (!entry)
    return not_found(registry, kind, name, err);
  pthread_mutex_lock(&registry->lock);
  int r = entry_open(registry, entry, err);
  pthread_mutex_unlock(&registry->lock);
  if (r == 0)
    *ret_plugin = entry->plugin;
  return r;
}

static bool answers_to(const struct mag_plugin *plugin, const char *model)
{
  const char *const *patterns = plugin->info.llm.models;
  for (size_t i = 0; patterns && patterns[i]; i++)
    if (mag_glob_match(patterns[i], mbp_str(model)))
      return true;
  return false;
}

/* What a user can say instead, from the plugins that could be opened. */
static int no_model(struct mag_registry *registry, const char *model, struct mbp_error *err)
{
  mag_autobuf known = MAG_BUF_INIT;
  size_t bad = 0;
  pthread_mutex_lock(&registry->lock);
  for (size_t i = 0; i < registry->n_entries; i++) {
    const struct entry *entry = &registry->entries[i];
    if (entry->candidate.kind != MBP_KIND_LLM)
      continue;
    bad += entry->state == ENTRY_BAD;
    if (entry->state != ENTRY_OPEN)
      continue;
    const char *const *patterns = entry->plugin->info.llm.models;
    mag_buf_printf(&known, "%s%s/NAME", known.len ? ", " : "", entry->name);
    for (size_t p = 0; patterns && patterns[p]; p++)
      mag_buf_printf(&known, "%s%s", p ? " " : " (", patterns[p]);
    mag_buf_add_text(&known, patterns && patterns[0] ? ")" : "");
  }
  pthread_mutex_unlock(&registry->lock);
  return mag_error(err, MBP_E_NOT_FOUND, "no plugin answers to the model '%.100s'; there are: %s%s", model,
                   known.len ? known.ptr : "no llm plugins",
                   bad ? "; plugins that cannot be used were skipped: see magent plugin list" : "");
}

int mag_registry_find_model(struct mag_registry *registry, const char *model, const struct mag_plugin **ret_plugin,
                            const char **ret_bare, struct mbp_error *err)
{
  const char *slash = strchr(model, '/');
  struct entry *found = slash ? entry_find(registry, MBP_KIND_LLM, mbp_str_n(model, (size_t) (slash - model))) : NULL;
  if (found && slash[1]) {
    int r = mag_registry_find(registry, MBP_KIND_LLM, found->name, ret_plugin, err);
    if (r == 0)
      *ret_bare = slash + 1;
    return r;
  }
  /* Also for names with a slash of their own, such as "meta-llama/x". */
  found = NULL;
  for (size_t i = 0; i < registry->n_entries; i++) {
    struct entry *entry = &registry->entries[i];
    if (entry->candidate.kind != MBP_KIND_LLM)
      continue;
    pthread_mutex_lock(&registry->lock);
    int r = entry_open(registry, entry, NULL);
    pthread_mutex_unlock(&registry->lock);
    if (r < 0 || !answers_to(entry->plugin, model))
      continue;
    if (found)
      return mag_error(err, MBP_E_INVALID, "the model '%.100s' is ambiguous: say %s/%.100s or %s/%.100s", model,
                       found->name, model, entry->name, model);
    found = entry;
  }
  if (!found)
    return no_model(registry, model, err);
  *ret_plugin = found->plugin;
  *ret_bare = model;
  return 0;
}

int mag_registry_each(struct mag_registry *registry, int (*each)(void *ctx, const struct mag_candidate *candidate),
                      void *ctx)
{
  int r = 0;
  for (size_t i = 0; i < registry->n_entries && r == 0; i++)
    r = each(ctx, &registry->entries[i].candidate);
  return r;
}

int mag_registry_report(struct mag_registry *registry, size_t index, struct mag_report *ret_report)
{
  pthread_mutex_lock(&registry->lock);
  const struct report *report = registry->reports;
  while (report && index-- > 0)
    report = report->next;
  if (report)
    *ret_report = (struct mag_report){report->path, report->message, report->notice};
  pthread_mutex_unlock(&registry->lock);
  return report ? 1 : 0;
}

const char *mag_registry_directory(struct mag_registry *registry, size_t index)
{
  return index < registry->n_directories ? registry->directories[index].path : NULL;
}
