/* Tools that are functions of the program. */
#include "agent/custom.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "embed/embed.h"

#include <stdatomic.h>
#include <string.h>

/* Counted: the agent has it, and each session that was given it, until no call can use it any more. */
struct embed_tool {
  struct embed_tool *next; /* of the agent */
  atomic_uint refs;
  int (*run)(void *ctx, struct magent_tool_call *call, const char *input);
  void *ctx;
  int64_t timeout_ms;
  char *entry; /* as it stands in an agent's "tools" */
  char name[];
};

/* One call, from the handler's beginning to its end or to magent_tool_done. */
struct magent_tool_call {
  struct mag_custom_call *call;
  char *name, *input;
  struct mbp_json *json; /* of the input */
  struct embed_argument *arguments;
};

/* A member of the input that has been asked for. */
struct embed_argument {
  struct embed_argument *next;
  char text[];
};

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static void call_free(struct magent_tool_call *call)
{
  while (call->arguments) {
    struct embed_argument *first = call->arguments;
    call->arguments = first->next;
    free(first);
  }
  mag_json_free(call->json);
  mag_custom_call_unref(call->call);
  free(call->name);
  free(call->input);
  free(call);
}

static struct magent_tool_call *call_new(struct mag_custom_call *inner, struct mbp_error *err)
{
  struct magent_tool_call *call = calloc(1, sizeof(*call));
  if (!call)
    return NULL;
  call->call = mag_custom_call_ref(inner);
  call->name = mag_str_dup(mag_custom_call_tool(inner));
  call->input = mag_str_dup(mag_custom_call_input(inner));
  if (call->name && call->input && mag_json_parse(mbp_str(call->input), &call->json, err) == 0)
    return call;
  call_free(call);
  return NULL;
}

static int handle(void *ctx, struct mag_custom_call *inner, struct mbp_error *err)
{
  const struct embed_tool *tool = ctx;
  struct magent_tool_call *call = call_new(inner, err);
  if (!call)
    return mag_error_no_memory(err);
  int answer = tool->run(tool->ctx, call, call->input);
  if (answer == MAGENT_LATER)
    return MAG_CUSTOM_LATER;
  call_free(call);
  return answer == 0 ? 0 : mag_error(err, MBP_E_INTERNAL, "the tool failed with %d", answer);
}

void magent_tool_done(struct magent_tool_call *call)
{
  mag_custom_call_done(call->call);
  call_free(call);
}

const char *magent_tool_name(struct magent_tool_call *call)
{
  return call->name;
}

const char *magent_tool_event_id(struct magent_tool_call *call)
{
  return mag_custom_call_event_id(call->call).ptr;
}

const char *magent_tool_session_id(struct magent_tool_call *call)
{
  return mag_custom_call_session_id(call->call).ptr;
}

const char *magent_tool_argument(struct magent_tool_call *call, const char *name)
{
  const struct mbp_json *value = mag_json_get(call->json, name);
  struct mbp_str text = mag_json_str(value);
  if (!value)
    return NULL;
  if (mag_json_type(value) == MBP_JSON_STRING)
    return text.ptr; /* ends with a 0 */
  if (!mag_json_slice(mbp_str(call->input), name, &text))
    return NULL;
  struct embed_argument *argument = calloc(1, sizeof(*argument) + text.len + 1);
  if (!argument)
    return NULL;
  memcpy(argument->text, text.ptr, text.len);
  argument->next = call->arguments;
  call->arguments = argument;
  return argument->text;
}

int magent_tool_cancelled(struct magent_tool_call *call)
{
  return mag_custom_call_cancelled(call->call);
}

int magent_tool_cancel_fd(struct magent_tool_call *call)
{
  return mag_custom_call_cancel_fd(call->call);
}

void magent_tool_progress(struct magent_tool_call *call, const char *line)
{
  mag_custom_call_progress(call->call, mbp_str(line));
}

int magent_tool_text(struct magent_tool_call *call, const char *text)
{
  return mag_custom_call_text(call->call, mbp_str(text), NULL);
}

int magent_tool_json(struct magent_tool_call *call, const char *json)
{
  return mag_custom_call_json(call->call, mbp_str(json), NULL);
}

int magent_tool_image(struct magent_tool_call *call, const char *media_type, const void *data, size_t len)
{
  return mag_custom_call_image(call->call, media_type, mbp_str_n(data, len), NULL);
}

int magent_tool_error(struct magent_tool_call *call, const char *message)
{
  return mag_custom_call_fail(call->call, mbp_str(message), NULL);
}

/* ---- The agent's ------------------------------------------------------------------------------------------------ */

static char *entry_of(const struct magent_tool *tool)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("custom"));
  mag_writer_string(w, "name", mbp_str(tool->name));
  mag_writer_string(w, "description", mbp_str(tool->description));
  mag_writer_raw(w, "input_schema",
                 mbp_str(tool->input_schema ? tool->input_schema : "{\"type\":\"object\",\"properties\":{}}"));
  if (tool->read_only)
    mag_writer_boolean(w, "read_only", true);
  mag_writer_end(w);
  return mag_writer_take(w);
}

static int tool_new(const struct magent_tool *given, struct embed_tool **ret_tool, struct mbp_error *err)
{
  struct magent_tool from;
  int r = embed_import(&from, sizeof(from), given, "magent_tool", err);
  if (r < 0)
    return r;
  if (!from.name || !from.run)
    return mag_error(err, MBP_E_INVALID, "a tool needs a name and a function");
  if (from.input_schema && mag_json_check(mbp_str(from.input_schema), err) < 0)
    return mag_error_wrap(err, "the input_schema of tool %s", from.name);
  struct embed_tool *tool = calloc(1, sizeof(*tool) + strlen(from.name) + 1);
  if (!tool || !(tool->entry = entry_of(&from))) {
    free(tool);
    return mag_error_no_memory(err);
  }
  tool->refs = 1;
  tool->run = from.run;
  tool->ctx = from.ctx;
  tool->timeout_ms = from.timeout_ms;
  memcpy(tool->name, from.name, strlen(from.name) + 1);
  *ret_tool = tool;
  return 0;
}

static void tool_unref(void *place)
{
  struct embed_tool *tool = place;
  if (!tool || atomic_fetch_sub(&tool->refs, 1) != 1)
    return;
  free(tool->entry);
  free(tool);
}

void embed_tools_free(struct magent_agent *agent)
{
  while (agent->tools) {
    struct embed_tool *first = agent->tools;
    agent->tools = first->next;
    tool_unref(first);
  }
}

static bool is_entry_of(const struct mbp_json *entry, const char *name)
{
  return mbp_str_eq(mag_json_str(mag_json_get(entry, "type")), "custom") &&
         mbp_str_eq(mag_json_str(mag_json_get(entry, "name")), name);
}

/* `tools` with the tool's entry, unless one of its name is there: then NULL. */
static int with_entry(const char *tools, const struct embed_tool *tool, char **ret_tools, struct mbp_error *err)
{
  mag_autojson list = NULL;
  mag_autowriter w = mag_writer_new();
  struct mbp_str item;
  size_t at = 0;
  int r = mag_json_parse(mbp_str(tools ? tools : "[]"), &list, err);
  if (r < 0)
    return r;
  for (const struct mbp_json *i = mag_json_first(list); i; i = mag_json_next(i))
    if (is_entry_of(i, tool->name))
      return 0;
  mag_writer_array(w, NULL);
  while (tools && mag_json_step(mbp_str(tools), &at, NULL, &item))
    mag_writer_raw(w, NULL, item);
  mag_writer_raw(w, NULL, mbp_str(tool->entry));
  mag_writer_end(w);
  *ret_tools = mag_writer_take(w);
  return *ret_tools ? 0 : mag_error_no_memory(err);
}

static int join_one(struct mag_definition *definition, const struct embed_tool *tool, struct mbp_error *err)
{
  char *tools = NULL;
  int r = with_entry(definition->tools, tool, &tools, err);
  if (tools) {
    free(definition->tools);
    definition->tools = tools;
  }
  return r;
}

int embed_tools_join(const struct magent_agent *agent, struct mag_definition *definition, struct mbp_error *err)
{
  int r = 0;
  for (const struct embed_tool *tool = agent->tools; tool && r == 0; tool = tool->next)
    r = join_one(definition, tool, err);
  return r;
}

static int add_entry(struct magent_agent *agent, const struct embed_tool *tool, struct mbp_error *err)
{
  struct mag_definition changed;
  int r = embed_copy(&agent->definition, &changed, err);
  if (r < 0)
    return r;
  r = join_one(&changed, tool, err);
  if (r == 0)
    r = embed_redefine(agent, &changed, /* counts= */ false, err);
  mag_definition_done(&changed);
  return r;
}

static int give(struct mag_session *session, struct embed_tool *tool, struct mbp_error *err)
{
  struct mag_custom_handler handler = {
      .name = tool->name, .handle = handle, .ctx = tool, .release = tool_unref, .timeout_ms = tool->timeout_ms};
  atomic_fetch_add(&tool->refs, 1);
  int r = mag_session_handle(session, &handler, err);
  if (r < 0)
    tool_unref(tool);
  return r;
}

int embed_tools_give(struct magent_agent *agent, struct mag_session *session, struct mbp_error *err)
{
  int r = 0;
  for (struct embed_tool *tool = agent->tools; tool && r == 0; tool = tool->next)
    r = give(session, tool, err);
  return r;
}

static int add(struct magent_agent *agent, const struct magent_tool *given, struct mbp_error *err)
{
  struct embed_tool *tool = NULL;
  int r = tool_new(given, &tool, err);
  for (struct embed_tool *i = agent->tools; i && r == 0; i = i->next)
    if (strcmp(i->name, tool->name) == 0)
      r = mag_error(err, MBP_E_EXISTS, "the agent has a tool %s already", tool->name);
  if (r == 0)
    r = add_entry(agent, tool, err);
  if (r == 0 && agent->session)
    r = give(agent->session, tool, err);
  if (r < 0) {
    tool_unref(tool);
    return r;
  }
  tool->next = agent->tools;
  agent->tools = tool;
  return 0;
}

int magent_add_tool(struct magent_agent *agent, const struct magent_tool *tool, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = embed_enter(agent, EMBED_ALONE, &err);
  if (r == 0) {
    r = add(agent, tool, &err);
    embed_leave(agent, EMBED_ALONE);
  }
  return r < 0 ? embed_fail(error, &err) : 0;
}
