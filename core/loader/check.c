#include "loader/check.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "loader/file.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* An operation that a kind cannot do without: always, or where the plugin claims a capability. */
struct slot {
  const char *name;
  size_t offset;
  uint64_t cap; /* 0: always */
};
#define SLOT(kind, member, bit)                                                                                        \
  {                                                                                                                    \
    #member, offsetof(struct mbp_##kind##_ops, member), bit                                                            \
  }

static const struct slot compute_slots[] = {
    SLOT(compute, create, 0),
    SLOT(compute, attach, 0),
    SLOT(compute, status, 0),
    SLOT(compute, list, 0),
    SLOT(compute, destroy, 0),
    SLOT(compute, exec, 0),
    SLOT(compute, write_stdin, 0),
    SLOT(compute, signal, 0),
    SLOT(compute, list_processes, 0),
    SLOT(compute, put, 0),
    SLOT(compute, get, 0),
    SLOT(compute, attach_process, MBP_CAP_COMPUTE_REATTACH),
    SLOT(compute, suspend, MBP_CAP_COMPUTE_SUSPEND),
    SLOT(compute, resume, MBP_CAP_COMPUTE_SUSPEND),
    SLOT(compute, snapshot, MBP_CAP_COMPUTE_SNAPSHOT),
    SLOT(compute, resize, MBP_CAP_COMPUTE_PTY),
    {NULL, 0, 0},
};
static const struct slot toolset_slots[] = {SLOT(toolset, list_tools, 0), SLOT(toolset, invoke, 0), {NULL, 0, 0}};
static const struct slot llm_slots[] = {SLOT(llm, generate, 0), {NULL, 0, 0}};
static const struct slot store_slots[] = {
    SLOT(store, append, 0),  SLOT(store, read, 0),    SLOT(store, head, 0),    SLOT(store, watch, 0),
    SLOT(store, list, 0),    SLOT(store, fork, 0),    SLOT(store, remove, 0),  SLOT(store, claim, 0),
    SLOT(store, release, 0), SLOT(store, doc_put, 0), SLOT(store, doc_get, 0), SLOT(store, doc_list, 0),
    {NULL, 0, 0},
};

static const struct kind {
  uint32_t kind;
  uint32_t version; /* the newest that this host knows */
  const char *name;
  size_t ops_size, info_size;
  size_t info_least; /* of the kind's first version: a part of it would be half a pointer */
  const struct slot *slots;
} kinds[] = {
    {MBP_KIND_COMPUTE, MBP_COMPUTE_VERSION, "compute", sizeof(struct mbp_compute_ops), sizeof(struct mbp_compute_info),
     MBP_SIZE(struct mbp_compute_info, isolation), compute_slots},
    {MBP_KIND_TOOLSET, MBP_TOOLSET_VERSION, "toolset", sizeof(struct mbp_toolset_ops), sizeof(struct mbp_toolset_info),
     MBP_SIZE(struct mbp_toolset_info, type), toolset_slots},
    {MBP_KIND_LLM, MBP_LLM_VERSION, "llm", sizeof(struct mbp_llm_ops), sizeof(struct mbp_llm_info),
     MBP_SIZE(struct mbp_llm_info, models), llm_slots},
    {MBP_KIND_STORE, MBP_STORE_VERSION, "store", sizeof(struct mbp_store_ops), 0, 0, store_slots},
};

static const struct kind *kind_find(uint32_t kind)
{
  for (size_t i = 0; i < MAG_COUNT(kinds); i++)
    if (kinds[i].kind == kind)
      return &kinds[i];
  return NULL;
}

const char *mag_kind_name(uint32_t kind)
{
  const struct kind *known = kind_find(kind);
  return known ? known->name : NULL;
}

uint32_t mag_kind_of(struct mbp_str name)
{
  for (size_t i = 0; i < MAG_COUNT(kinds); i++)
    if (mbp_str_eq(name, kinds[i].name))
      return kinds[i].kind;
  return 0;
}

const char *mag_threads_name(uint32_t threads)
{
  switch (threads) {
  case MBP_THREADS_SERIAL:
    return "serial";
  case MBP_THREADS_INSTANCE:
    return "instance";
  case MBP_THREADS_PARALLEL:
    return "parallel";
  default:
    return NULL;
  }
}

bool mag_file_name_parse(const char *file_name, struct mbp_str *ret_kind, struct mbp_str *ret_name)
{
  struct mbp_str s = mbp_str(file_name);
  if (s.len < 10 || !mag_str_starts(s, "magent-") || memcmp(s.ptr + s.len - 3, ".so", 3) != 0)
    return false;
  const char *kind = s.ptr + 7, *end = s.ptr + s.len - 3;
  const char *dash = memchr(kind, '-', (size_t) (end - kind));
  if (!dash)
    return false;
  struct mbp_str kind_str = mbp_str_n(kind, (size_t) (dash - kind));
  struct mbp_str name_str = mbp_str_n(dash + 1, (size_t) (end - dash - 1));
  if (!mag_plugin_name_valid(kind_str) || !mag_plugin_name_valid(name_str))
    return false;
  *ret_kind = kind_str;
  *ret_name = name_str;
  return true;
}

const char *mag_text_fault(const char *text, size_t max, bool lines)
{
  size_t n = strnlen(text, max + 1);
  if (n > max)
    return "too long";
  if (!mag_utf8_valid(text, n))
    return "not UTF-8";
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char) text[i];
    if ((c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f)
      return "control characters";
    if (c == 0xc2 && (unsigned char) text[i + 1] < 0xa0)
      return "control characters"; /* U+0080..U+009F: terminals obey them too */
  }
  return NULL;
}

/* Refusals whose found and expected are numbers. */
static int refuse_number(struct mbp_error *err, int code, const char *path, const char *field, uint64_t found,
                         const char *expected)
{
  char text[32];
  (void) snprintf(text, sizeof(text), "%llu", (unsigned long long) found);
  return mag_refuse(err, code, path, field, text, expected);
}

static int check_size(const char *path, const char *field, uint32_t size, size_t least, struct mbp_error *err)
{
  char expected[64];
  if (size >= least && size <= MAG_STRUCT_MAX)
    return 0;
  (void) snprintf(expected, sizeof(expected), "%zu to %d", least, MAG_STRUCT_MAX);
  return refuse_number(err, MBP_E_INVALID, path, field, size, expected);
}

static int check_version(const struct mbp_plugin *d, const char *path, struct mbp_error *err)
{
  char found[48], expected[64];
  (void) snprintf(expected, sizeof(expected), "%d: it is for another magent", MBP_ABI_MAJOR);
  if (d->abi_major != MBP_ABI_MAJOR)
    return refuse_number(err, MBP_E_UNSUPPORTED, path, "abi_major", d->abi_major, expected);
  /* A newer minor is fine: what it added is beyond our structs, and what it cannot do without is in `needs`. */
  if (d->abi_major == 0 && d->abi_minor == 0)
    return mag_refuse(err, MBP_E_UNSUPPORTED, path, "abi_minor", "0", "1 or newer");
  if (d->needs & ~MAG_KNOWN_NEEDS) {
    (void) snprintf(found, sizeof(found), "unknown bits 0x%llx", (unsigned long long) (d->needs & ~MAG_KNOWN_NEEDS));
    (void) snprintf(expected, sizeof(expected), "only 0x%llx: it needs a newer magent",
                    (unsigned long long) MAG_KNOWN_NEEDS);
    return mag_refuse(err, MBP_E_UNSUPPORTED, path, "needs", found, expected);
  }
  return 0;
}

static int check_strings(const struct mbp_plugin *d, const char *path, struct mbp_error *err)
{
  const struct {
    const char *field, *text, *expected;
  } lines[] = {
      {"name", d->name, "[a-z0-9][a-z0-9-]*"},        {"version", d->version, "the plugin's version"},
      {"license", d->license, "an SPDX identifier"},  {"origin", d->origin, "who made it"},
      {"summary", d->summary, "one line of text"},
  };
  for (size_t i = 0; i < MAG_COUNT(lines); i++) {
    if (!lines[i].text || !lines[i].text[0])
      return mag_refuse(err, MBP_E_INVALID, path, lines[i].field, lines[i].text ? "an empty string" : "nothing",
                        lines[i].expected);
    const char *fault = mag_text_fault(lines[i].text, MAG_LINE_MAX, false);
    if (fault)
      return mag_refuse(err, MBP_E_INVALID, path, lines[i].field, fault, lines[i].expected);
  }
  if (!mag_plugin_name_valid(mbp_str(d->name)))
    return mag_refuse(err, MBP_E_INVALID, path, "name", d->name, lines[0].expected);
  const char *fault = d->help ? mag_text_fault(d->help, MAG_TEXT_MAX, true) : NULL;
  return fault ? mag_refuse(err, MBP_E_INVALID, path, "help", fault, "paragraphs of text") : 0;
}

/* `known` may be NULL: then only the name can be compared. */
static int check_file_name(const struct mbp_plugin *d, const struct kind *known, const char *path,
                           const char *file_name, struct mbp_error *err)
{
  struct mbp_str kind, name;
  char fits[128];
  if (!file_name)
    return 0;
  if (mag_file_name_parse(file_name, &kind, &name) && mbp_str_eq(name, d->name) &&
      (!known || mbp_str_eq(kind, known->name)))
    return 0;
  (void) snprintf(fits, sizeof(fits), "magent-%s-%s.so after its kind and name", known ? known->name : "KIND", d->name);
  return mag_refuse(err, MBP_E_INVALID, path, "file name", file_name, fits);
}

static int check_ops(struct mag_plugin *plugin, const struct kind *kind, struct mbp_error *err)
{
  const struct mbp_plugin *d = &plugin->descriptor;
  char field[64];
  if (!d->ops)
    return mag_refuse(err, MBP_E_INVALID, plugin->path, "ops", "nothing", "a table of operations");
  memcpy(&plugin->declared_ops_size, d->ops, sizeof(uint32_t));
  int r = check_size(plugin->path, "ops.size", plugin->declared_ops_size, 2 * sizeof(uint32_t), err);
  if (r < 0)
    return r;
  if ((plugin->declared_ops_size - 2 * sizeof(uint32_t)) % sizeof(void (*)(void)) != 0)
    return refuse_number(err, MBP_E_INVALID, plugin->path, "ops.size", plugin->declared_ops_size,
                         "the end of a member: set it with MBP_SIZE");
  memcpy(&plugin->ops, d->ops, MAG_MIN(plugin->declared_ops_size, kind->ops_size));
  for (const struct slot *slot = kind->slots; slot->name; slot++) {
    void (*function)(void);
    memcpy(&function, (const char *) &plugin->ops + slot->offset, sizeof(function));
    if (function || (slot->cap && !(d->caps & slot->cap)))
      continue;
    (void) snprintf(field, sizeof(field), "required operation %s", slot->name);
    return mag_refuse(err, MBP_E_INVALID, plugin->path, field, "nothing",
                      slot->cap ? "a function: `caps` promises it" : "a function");
  }
  plugin->descriptor.ops = &plugin->ops;
  return 0;
}

static int check_models(struct mag_plugin *plugin, struct mbp_error *err)
{
  const char *const *models = plugin->info.llm.models;
  for (size_t i = 0; models && models[i]; i++) {
    const char *fault = i == MAG_MODELS_MAX ? "too many" : mag_text_fault(models[i], MAG_LINE_MAX, false);
    if (!fault && !models[i][0])
      fault = "an empty pattern";
    if (fault)
      return mag_refuse(err, MBP_E_INVALID, plugin->path, "info.models", fault, "patterns of model names");
  }
  return 0;
}

/* What a provider must state, since nobody may guess it. */
static int check_info(struct mag_plugin *plugin, const struct kind *kind, struct mbp_error *err)
{
  const struct mbp_plugin *d = &plugin->descriptor;
  const void *given = d->info;
  plugin->descriptor.info = given ? &plugin->info : NULL;
  if (given && kind->info_size) {
    uint32_t size;
    memcpy(&size, given, sizeof(size));
    int r = check_size(plugin->path, "info.size", size, kind->info_least, err);
    if (r < 0)
      return r;
    memcpy(&plugin->info, given, MAG_MIN(size, kind->info_size));
  }
  if (d->kind == MBP_KIND_COMPUTE && plugin->info.compute.networks == 0)
    return mag_refuse(err, MBP_E_INVALID, plugin->path, "info.networks", "nothing", "the network policies it enforces");
  if (d->kind == MBP_KIND_TOOLSET) {
    const char *type = plugin->info.toolset.type;
    const char *fault = type && type[0] ? mag_text_fault(type, MAG_LINE_MAX, false) : "nothing";
    if (fault)
      return mag_refuse(err, MBP_E_INVALID, plugin->path, "info.type", fault, "the type that selects this toolset");
  }
  return d->kind == MBP_KIND_LLM ? check_models(plugin, err) : 0;
}

static int check_kind(struct mag_plugin *plugin, const char *file_name, struct mbp_error *err)
{
  const struct mbp_plugin *d = &plugin->descriptor;
  const struct kind *kind = kind_find(d->kind);
  int r = check_file_name(d, kind, plugin->path, file_name, err);
  if (r < 0)
    return r;
  if (!kind) {
    char found[16];
    (void) snprintf(found, sizeof(found), "%u", d->kind);
    (void) mag_refuse(err, MBP_E_UNSUPPORTED, plugin->path, "kind", found,
                      "compute, toolset, llm or store: skipped, it may be for a newer magent");
    return MAG_CHECK_UNKNOWN_KIND;
  }
  if (d->kind_version < 1 || d->kind_version > kind->version) {
    char expected[64];
    (void) snprintf(expected, sizeof(expected), "1 to %u for kind %s", kind->version, kind->name);
    return refuse_number(err, MBP_E_UNSUPPORTED, plugin->path, "kind_version", d->kind_version, expected);
  }
  if (!mag_threads_name(d->threads))
    return refuse_number(err, MBP_E_INVALID, plugin->path, "threads", d->threads, "an MBP_THREADS_ value");
  if (!d->open || !d->close)
    return mag_refuse(err, MBP_E_INVALID, plugin->path, d->open ? "close" : "open", "nothing", "a function");
  r = check_ops(plugin, kind, err);
  return r < 0 ? r : check_info(plugin, kind, err);
}

static void plugin_cleanup(struct mag_plugin **plugin)
{
  mag_plugin_free(*plugin);
}

int mag_plugin_check(const struct mbp_plugin *given, const char *path, const char *file_name,
                     struct mag_plugin **ret_plugin, struct mbp_error *err)
{
  int r = check_size(path, "size", given->size, MBP_SIZE(struct mbp_plugin, close), err);
  if (r < 0)
    return r;
  mag_auto(plugin_cleanup) struct mag_plugin *plugin = calloc(1, sizeof(*plugin));
  if (!plugin || !(plugin->path = mag_str_dup(mbp_str(path))))
    return mag_error_no_memory(err);
  plugin->declared_size = given->size;
  memcpy(&plugin->descriptor, given, MAG_MIN(given->size, sizeof(plugin->descriptor)));
  const struct mbp_param *const *given_params = plugin->descriptor.params;
  r = check_version(&plugin->descriptor, path, err);
  if (r == 0)
    r = check_strings(&plugin->descriptor, path, err);
  if (r == 0)
    r = check_kind(plugin, file_name, err);
  if (r == 0)
    r = mag_plugin_check_params(plugin, given_params, err);
  if (r == 0)
    *ret_plugin = mag_steal(&plugin);
  return r;
}

void mag_plugin_free(struct mag_plugin *plugin)
{
  if (!plugin)
    return;
  free(plugin->params);
  free(plugin->param_list);
  free(plugin->path);
  free(plugin);
}
