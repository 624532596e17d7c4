#include "loader/registry.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"
#include "loader/inspect.h"
#include "loader/scan.h"

#include <string.h>

#define ASK_MS 10000 /* for an answer: a busy machine is no reason to go without a plugin */

static int compare(const void *a, const void *b)
{
  const struct mag_entry *x = a, *y = b;
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
  registry->known.fd = -1;
  int r = 0;
  for (size_t i = 0; trusted_dirs && trusted_dirs[i] && r == 0; i++)
    r = mag_registry_scan(registry, trusted_dirs[i], MAG_TRUST_GIVEN, err);
  if (r == 0)
    r = mag_registry_scan(registry, installed_dir ? installed_dir : MAGENT_PLUGINDIR, MAG_TRUST_CHECKED, err);
  if (r == 0)
    r = mag_registry_scan_environment(registry, err);
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
    struct mag_report_line *report = registry->reports;
    registry->reports = report->next;
    free(report->path);
    free(report->message);
    free(report);
  }
  pthread_mutex_destroy(&registry->lock);
  mag_known_done(&registry->known);
  free(registry->asker);
  free(registry->entries);
  free(registry->directories);
  free(registry);
}

/* ---- Use ---------------------------------------------------------------------------------------------------- */

int mag_registry_ask_in(struct mag_registry *registry, const char *exe, struct mbp_error *err)
{
  registry->asker = mag_str_dup(mbp_str(exe));
  return registry->asker ? 0 : mag_error_no_memory(err);
}

/* With the lock held. Negative: asking it would take this process along. Opening tells all other faults better. */
static int ask_first(struct mag_registry *registry, const struct mag_entry *entry, struct mbp_error *err)
{
  if (!registry->asker)
    return 0;
  if (!registry->known_tried)
    (void) mag_known_open(&registry->known);
  registry->known_tried = true;
  if (registry->known.fd < 0 || mag_known_has(&registry->known, entry->path))
    return 0;
  struct mag_inspection inspection;
  mag_inspect_child(entry->path, entry->candidate.trust, registry->asker, ASK_MS, &inspection);
  int r = inspection.died ? mag_error(err, MBP_E_UNAVAILABLE, "%s", inspection.problem) : 0;
  if (inspection.json)
    mag_known_add(&registry->known, entry->path);
  mag_inspection_done(&inspection);
  return r;
}

/* With the lock held. A failure is remembered: asking again gives the same answer and no second report. */
static int entry_open(struct mag_registry *registry, struct mag_entry *entry, struct mbp_error *err)
{
  if (entry->state == MAG_ENTRY_UNTRIED) {
    mag_error_clear(&entry->error);
    int r = ask_first(registry, entry, &entry->error);
    if (r == 0)
      r = mag_plugin_open(entry->path, entry->candidate.trust, &entry->plugin, &entry->error);
    entry->state = r == 0 ? MAG_ENTRY_OPEN : MAG_ENTRY_BAD;
    if (r != 0)
      mag_registry_add_report(registry, entry->path, r > 0, &entry->error);
  }
  if (entry->state == MAG_ENTRY_OPEN)
    return 0;
  if (err)
    *err = entry->error;
  return -entry->error.code;
}

/* What there is instead, or else where it was looked for. */
static int not_found(struct mag_registry *registry, uint32_t kind, const char *name, struct mbp_error *err)
{
  mag_autobuf all = MAG_BUF_INIT;
  const char *kind_name = mag_kind_name(kind);
  mag_autofree const char **names = calloc(registry->n_entries + 1, sizeof(*names));
  if (!names)
    return mag_error_no_memory(err);
  size_t n = 0;
  for (size_t i = 0; i < registry->n_entries; i++)
    if (registry->entries[i].candidate.kind == kind) {
      mag_buf_printf(&all, "%s%s", n ? ", " : "", registry->entries[i].name);
      names[n++] = registry->entries[i].name;
    }
  mag_buf_add_text(&all, n ? "; searched: " : "searched: ");
  for (size_t i = 0; i < registry->n_directories; i++)
    mag_buf_printf(&all, "%s%s", i ? ", " : "", registry->directories[i].path);
  int nearest = mag_nearest(name, names);
  return mag_error(err, MBP_E_NOT_FOUND, "no %s plugin '%.64s'%s%s%s%s%s", kind_name ? kind_name : "such", name,
                   nearest >= 0 ? "; did you mean '" : "", nearest >= 0 ? names[nearest] : "",
                   nearest >= 0 ? "'? There are " : "; ", nearest < 0 && n ? "there are " : "",
                   all.failed ? "" : all.ptr);
}

int mag_registry_find(struct mag_registry *registry, uint32_t kind, const char *name,
                      const struct mag_plugin **ret_plugin, struct mbp_error *err)
{
  struct mag_entry *entry = mag_registry_entry(registry, kind, mbp_str(name));
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
  mag_autofree const char **names = calloc(registry->n_entries + 1, sizeof(*names));
  mag_autofree char *provider = mag_str_dup(mbp_str_n(model, strcspn(model, "/")));
  size_t bad = 0, n = 0;
  if (!names || !provider)
    return mag_error_no_memory(err);
  pthread_mutex_lock(&registry->lock);
  for (size_t i = 0; i < registry->n_entries; i++) {
    const struct mag_entry *entry = &registry->entries[i];
    if (entry->candidate.kind != MBP_KIND_LLM)
      continue;
    bad += entry->state == MAG_ENTRY_BAD;
    if (entry->state != MAG_ENTRY_OPEN)
      continue;
    names[n++] = entry->name;
    const char *const *patterns = entry->plugin->info.llm.models;
    mag_buf_printf(&known, "%s%s/NAME", known.len ? ", " : "", entry->name);
    for (size_t p = 0; patterns && patterns[p]; p++)
      mag_buf_printf(&known, "%s%s", p ? " " : " (", patterns[p]);
    mag_buf_add_text(&known, patterns && patterns[0] ? ")" : "");
  }
  pthread_mutex_unlock(&registry->lock);
  int nearest = strchr(model, '/') ? mag_nearest(provider, names) : -1;
  return mag_error(err, MBP_E_NOT_FOUND, "no plugin answers to the model '%.100s'%s%.64s%s are: %s%s", model,
                   nearest >= 0 ? "; did you mean '" : "", nearest >= 0 ? names[nearest] : "",
                   nearest >= 0 ? "/...'? There" : "; there", known.len ? known.ptr : "no llm plugins",
                   bad ? "; plugins that cannot be used were skipped" : "");
}

int mag_registry_find_model(struct mag_registry *registry, const char *model, const struct mag_plugin **ret_plugin,
                            const char **ret_bare, struct mbp_error *err)
{
  const char *slash = strchr(model, '/');
  struct mbp_str provider = mbp_str_n(model, slash ? (size_t) (slash - model) : 0);
  struct mag_entry *found = mag_registry_entry(registry, MBP_KIND_LLM, provider);
  if (found && slash[1]) {
    int r = mag_registry_find(registry, MBP_KIND_LLM, found->name, ret_plugin, err);
    if (r == 0)
      *ret_bare = slash + 1;
    return r;
  }
  /* Also for names with a slash of their own, such as "meta-llama/x". */
  found = NULL;
  for (size_t i = 0; i < registry->n_entries; i++) {
    struct mag_entry *entry = &registry->entries[i];
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
  const struct mag_report_line *report = registry->reports;
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
