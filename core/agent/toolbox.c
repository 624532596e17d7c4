#include "agent/toolbox.h"

#include "agent/custom_entry.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_members.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define TOOLS_MAX 256

/* ---- Which plugin answers to a type --------------------------------------------------------------------------- */

#define TYPES_MAX 32

struct search {
  struct mag_registry *registry;
  struct mbp_str type;
  const struct mag_plugin *found;
  const char *types[TYPES_MAX + 1]; /* those that there are; ends with NULL */
  size_t n_types;
};

static int look_at(void *ctx, const struct mag_candidate *candidate)
{
  struct search *search = ctx;
  const struct mag_plugin *plugin;
  if (candidate->kind != MBP_KIND_TOOLSET ||
      mag_registry_find(search->registry, candidate->kind, candidate->name, &plugin, NULL) < 0)
    return 0;
  const char *type = plugin->info.toolset.type;
  if (!type)
    return 0;
  if (search->n_types < TYPES_MAX)
    search->types[search->n_types++] = type;
  if (!mbp_str_eq(search->type, type))
    return 0;
  search->found = plugin;
  return 1;
}

static int no_such_type(const struct search *search, struct mbp_error *err)
{
  int shown = (int) MAG_MIN(search->type.len, (size_t) 60);
  int nearest = mag_nearest(search->type.ptr, search->types);
  if (nearest >= 0)
    return mag_error(err, MBP_E_NOT_FOUND, "no tools are of type \"%.*s\"; did you mean \"%s\"?", shown,
                     search->type.ptr, search->types[nearest]);
  mag_autobuf all = MAG_BUF_INIT;
  for (size_t i = 0; i < search->n_types; i++)
    mag_buf_printf(&all, "%s%s", i ? ", " : "", search->types[i]);
  return mag_error(err, MBP_E_NOT_FOUND, "no plugin has tools of type \"%.*s\"; there are %s", shown, search->type.ptr,
                   all.len ? all.ptr : "none");
}

static int find_toolset(struct mag_registry *registry, struct mbp_str type, const struct mag_plugin **ret_plugin,
                        struct mbp_error *err)
{
  struct search search = {.registry = registry, .type = type, .types = {"custom"}, .n_types = 1};
  if (mbp_str_eq(type, "mcp_toolset"))
    return mag_error(err, MBP_E_UNSUPPORTED, "tools of type \"%.*s\" are not supported by this version", (int) type.len,
                     type.ptr);
  mag_registry_each(registry, look_at, &search);
  if (!search.found)
    return no_such_type(&search, err);
  *ret_plugin = search.found;
  return 0;
}

/* ---- Taking a toolset's list ---------------------------------------------------------------------------------- */

struct listing {
  struct mag_toolbox *toolbox;
  struct mag_instance *toolset;
  struct mbp_str entry;
  struct mbp_error *err;
  int result;
};

static bool name_is_legal(struct mbp_str name)
{
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
      return false;
  }
  return name.len > 0 && name.len <= 64;
}

/* A place for one more tool, whose name and schema are good. */
static int new_tool(struct mag_toolbox *toolbox, struct mbp_str name, struct mbp_str description, struct mbp_str schema,
                    struct mag_tool **ret_tool, struct mbp_error *err)
{
  if (toolbox->n == TOOLS_MAX)
    return mag_error(err, MBP_E_LIMIT, "more than %d tools", TOOLS_MAX);
  if (mag_toolbox_find(toolbox, name))
    return mag_error(err, MBP_E_INVALID, "two tools are named \"%.*s\"", (int) name.len, name.ptr);
  struct mag_tool *tools = realloc(toolbox->tools, (toolbox->n + 1) * sizeof(*tools));
  if (!tools)
    return mag_error_no_memory(err);
  toolbox->tools = tools;
  struct mag_tool *tool = &tools[toolbox->n];
  struct mag_tool_text *text = NULL;
  if (mag_tool_text_get(name, description, schema, &text, err) < 0)
    return mag_error_wrap(err, "input_schema of %.*s", (int) name.len, name.ptr);
  toolbox->n++;
  *tool = (struct mag_tool){.name = text->name,
                            .description = text->description,
                            .schema = text->schema,
                            .input_schema = text->input_schema,
                            .text = text};
  *ret_tool = tool;
  return 0;
}

static int add_tool(struct listing *listing, const struct mbp_event *event)
{
  mag_automembers members = {0};
  struct mag_tool *tool;
  if (!name_is_legal(event->name))
    return mag_error(listing->err, MBP_E_INTERNAL, "a tool with an illegal name");
  int r = mag_json_members_read(&members, event->data, listing->err);
  if (r < 0)
    return r;
  struct mbp_str schema = mag_json_member_raw(&members, "input_schema");
  if (schema.len == 0 || schema.ptr[0] != '{')
    return mag_error(listing->err, MBP_E_INTERNAL, "tool %.*s has no input_schema", (int) event->name.len,
                     event->name.ptr);
  r = new_tool(listing->toolbox, event->name, mag_json_member_str(&members, "description"), schema, &tool,
               listing->err);
  if (r < 0)
    return r;
  tool->flags = event->flags;
  tool->toolset = listing->toolset;
  return mag_policy_decide(listing->entry, tool->name, mag_json_member_tree(&members, "aliases"), tool->flags,
                           &tool->permission, listing->err);
}

static int add_custom(struct mag_toolbox *toolbox, struct mbp_str text, char wrong_key[MAG_CUSTOM_KEY],
                      struct mbp_error *err)
{
  struct mag_custom_entry *entry;
  struct mag_tool *tool;
  struct mbp_str schema = {NULL, 0};
  int r = mag_custom_entry_new(text, &entry, wrong_key, err);
  if (r < 0)
    return r;
  (void) mag_json_slice(text, "input_schema", &schema);
  r = new_tool(toolbox, mag_json_str(mag_json_get(entry->json, "name")),
               mag_json_str(mag_json_get(entry->json, "description")), schema, &tool, err);
  if (r < 0) {
    bool again = mag_toolbox_find(toolbox, mag_json_str(mag_json_get(entry->json, "name"))) != NULL;
    (void) snprintf(wrong_key, MAG_CUSTOM_KEY, "%s", again ? "name" : "input_schema");
    mag_custom_entry_free(entry);
    return r;
  }
  (void) snprintf(wrong_key, MAG_CUSTOM_KEY, "permission_policy");
  tool->custom = entry;
  if (entry->has_command)
    tool->flags |= entry->on_host ? MBP_TOOL_HOST : MBP_TOOL_SANDBOX;
  if (mag_json_truth(mag_json_get(entry->json, "read_only"), 0))
    tool->flags |= MBP_TOOL_READ_ONLY | MBP_TOOL_REPEATABLE;
  return mag_policy_custom(entry->json, tool->name, tool->flags, &tool->permission, err);
}

static int take_tool(void *ctx, const struct mbp_event *event)
{
  struct listing *listing = ctx;
  if (event->type == MBP_EV_TOOL && listing->result == 0)
    listing->result = add_tool(listing, event);
  return listing->result;
}

static int open_entry(struct mag_toolbox *toolbox, struct mag_engine *engine, struct mbp_str entry,
                      char wrong_key[MAG_CUSTOM_KEY], struct mbp_error *err)
{
  const struct mag_plugin *found = NULL;
  mag_autojson json = NULL;
  int r = mag_json_parse(entry, &json, err);
  if (r < 0)
    return r;
  struct mbp_str type = mag_json_str(mag_json_get(json, "type"));
  if (type.len == 0)
    return mag_error(err, MBP_E_INVALID, "an entry of tools needs a type");
  if (mbp_str_eq(type, "custom"))
    return add_custom(toolbox, entry, wrong_key, err);
  r = find_toolset(mag_engine_registry(engine), type, &found, err);
  if (r < 0) {
    (void) snprintf(wrong_key, MAG_CUSTOM_KEY, "type");
    return r;
  }
  struct mag_instance **toolsets =
      realloc(toolbox->toolsets, (toolbox->n_toolsets + 1) * sizeof(struct mag_instance *));
  if (!toolsets)
    return mag_error_no_memory(err);
  toolbox->toolsets = toolsets;
  r = mag_instance_open(&found->descriptor, mag_engine_config(engine, MBP_KIND_TOOLSET, found->descriptor.name),
                        &toolsets[toolbox->n_toolsets], err);
  if (r < 0)
    return r;
  struct mag_instance *toolset = toolsets[toolbox->n_toolsets++];
  struct mbp_error own = MAG_ERROR_INIT;
  struct listing listing = {toolbox, toolset, entry, &own, 0};
  struct mag_call_options options = {.timeout_ms = 10000, .sink = take_tool, .ctx = &listing};
  const struct mbp_toolset_ops *ops = mag_instance_ops(toolset);
  r = MAG_RUN(toolset, &options, err, ops->list_tools(plugin, call, entry, err));
  if (listing.result == 0)
    return r;
  if (err)
    *err = own;
  return listing.result;
}

/* ---- Names among the entries ---------------------------------------------------------------------------------- */

/* The default toolset with all tools off but those that are named. */
static int write_chosen(struct mbp_writer *w, const char *toolset, struct mbp_str entries, struct mbp_error *err)
{
  size_t at = 0;
  struct mbp_str entry;
  if (!toolset)
    return mag_error(err, MBP_E_INVALID,
                     "no default toolset to choose tools from: defaults.json names none; give an entry with a type "
                     "instead of names");
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str(toolset));
  mag_writer_object(w, "default_config");
  mag_writer_boolean(w, "enabled", 0);
  mag_writer_end(w);
  mag_writer_array(w, "configs");
  while (mag_json_step(entries, &at, NULL, &entry))
    if (entry.ptr[0] == '"') {
      mag_writer_object(w, NULL);
      mag_writer_raw(w, "name", entry);
      mag_writer_boolean(w, "enabled", 1);
      mag_writer_end(w);
    }
  mag_writer_end(w);
  mag_writer_end(w);
  return 0;
}

int mag_toolbox_expand(struct mag_engine *engine, const char *entries, char **ret_entries, struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str text = mbp_str(entries), entry;
  size_t at = 0;
  bool chosen = false;
  if (!entries) {
    *ret_entries = NULL;
    return 0;
  }
  if (mag_json_check(text, err) < 0)
    return mag_error_wrap(err, "tools");
  mag_writer_array(w, NULL);
  while (mag_json_step(text, &at, NULL, &entry)) {
    if (entry.ptr[0] != '"') {
      mag_writer_raw(w, NULL, entry);
    } else if (!chosen) {
      int r = write_chosen(w, mag_engine_toolset(engine), text, err);
      if (r < 0)
        return mag_error_wrap(err, "tools");
      chosen = true;
    }
  }
  mag_writer_end(w);
  *ret_entries = mag_writer_take(w);
  return *ret_entries ? 0 : mag_error_no_memory(err);
}

/* "agent.yaml:7: tools: " before what is wrong with an entry, where that is known. */
static int fail_of(const struct mag_tools_source *source, size_t index, const char *key, struct mbp_error *err)
{
  mag_autofree char *place = source ? mag_tools_source_place(source, index, key) : NULL;
  return mag_error_wrap(err, "%s%stools", place ? place : "", place ? ": " : "");
}

int mag_toolbox_open(struct mag_toolbox *toolbox, struct mag_engine *engine, struct mbp_str entries,
                     const struct mag_tools_source *source, struct mbp_error *err)
{
  struct mag_toolbox opened = {0};
  size_t at = 0, index = 0;
  struct mbp_str entry;
  char wrong_key[MAG_CUSTOM_KEY] = "";
  int r = 0;
  while (r == 0 && entries.len && mag_json_step(entries, &at, NULL, &entry)) {
    wrong_key[0] = 0;
    r = open_entry(&opened, engine, entry, wrong_key, err);
    index += r == 0;
  }
  if (r == 0) {
    opened.offer = calloc(opened.n + 1, sizeof(*opened.offer));
    r = opened.offer ? 0 : mag_error_no_memory(err);
  }
  if (r < 0) {
    mag_toolbox_close(&opened);
    return fail_of(source, index, wrong_key, err);
  }
  for (size_t i = 0; i < opened.n; i++)
    opened.offer[i] = (struct mbp_tool){mbp_str(opened.tools[i].name), mbp_str(opened.tools[i].description),
                                        mbp_str(opened.tools[i].schema)};
  *toolbox = opened;
  return 0;
}

void mag_toolbox_close(struct mag_toolbox *toolbox)
{
  for (size_t i = 0; i < toolbox->n; i++) {
    mag_tool_text_put(toolbox->tools[i].text);
    mag_custom_entry_free(toolbox->tools[i].custom);
  }
  for (size_t i = 0; i < toolbox->n_toolsets; i++)
    mag_instance_close(toolbox->toolsets[i]);
  free(toolbox->tools);
  free(toolbox->toolsets);
  free(toolbox->offer);
  memset(toolbox, 0, sizeof(*toolbox));
}

const struct mag_tool *mag_toolbox_find(const struct mag_toolbox *toolbox, struct mbp_str name)
{
  for (size_t i = 0; i < toolbox->n; i++)
    if (mbp_str_eq(name, toolbox->tools[i].name))
      return &toolbox->tools[i];
  return NULL;
}
