/* magent-toolset-agent: bash, read, write, edit, glob and grep in the session's sandbox. */
#include "agent.h"

#include <stdlib.h>
#include <sys/random.h>

static int agent_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                      struct mbp_error *err)
{
  const struct mbp_json_v1 *json = host->get_interface(host->ctx, MBP_JSON_V1);
  const struct mbp_compute_v1 *compute = host->get_interface(host->ctx, MBP_COMPUTE_V1);
  if (!json || !compute)
    return fail(err, MBP_E_UNSUPPORTED, "the host does not offer %s", json ? MBP_COMPUTE_V1 : MBP_JSON_V1);
  struct mbp_instance *agent = calloc(1, sizeof(*agent));
  if (!agent)
    return fail(err, MBP_E_NO_MEMORY, "out of memory");
  agent->host = host;
  agent->json = json;
  agent->compute = compute;
  agent->enabled = (UINT32_C(1) << N_TOOLS) - 1;
  (void) host->config_int(config, "timeout", &agent->timeout_ms);
  (void) host->config_int(config, "max_timeout", &agent->max_timeout_ms);
  (void) host->config_int(config, "output_limit", &agent->output_limit);
  (void) host->config_int(config, "spill_limit", &agent->spill_limit);
  unsigned char random[8];
  if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
    free(agent);
    return fail(err, MBP_E_INTERNAL, "no random numbers");
  }
  memcpy(agent->spill_name, ".magent-", 8);
  for (size_t i = 0; i < 7; i++) {
    agent->spill_name[8 + 2 * i] = "0123456789abcdef"[random[i] >> 4];
    agent->spill_name[9 + 2 * i] = "0123456789abcdef"[random[i] & 15];
  }
  pthread_mutex_init(&agent->lock, NULL);
  pthread_mutex_init(&agent->shell_lock, NULL);
  *ret_instance = agent;
  return 0;
}

static void agent_close(struct mbp_instance *agent)
{
  if (!agent)
    return;
  shell_free(agent);
  pthread_mutex_destroy(&agent->shell_lock);
  pthread_mutex_destroy(&agent->lock);
  free(agent);
}

static int emit_tool(struct mbp_instance *agent, struct mbp_call *call, const struct tool *tool, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = agent->json;
  struct mbp_writer *writer = json->writer_new();
  struct mbp_str text;
  if (!writer)
    return fail(err, MBP_E_NO_MEMORY, "out of memory");
  json->object(writer, NULL);
  json->string(writer, "description", mbp_str(tool->description));
  json->raw(writer, "input_schema", mbp_str(tool->schema));
  json->array(writer, "aliases");
  for (const struct alias *alias = aliases; alias->name; alias++)
    if (strcmp(alias->tool, tool->name) == 0)
      json->string(writer, NULL, mbp_str(alias->name));
  json->end(writer);
  json->end(writer);
  int r = json->text(writer, &text);
  if (r == 0) {
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                              .type = MBP_EV_TOOL,
                              .flags = tool->flags,
                              .name = mbp_str(tool->name),
                              .data = text};
    r = agent->host->emit(call, &event);
  }
  json->writer_free(writer);
  return r < 0 ? fail(err, -r, "the tools could not be listed") : 0;
}

static int agent_list_tools(struct mbp_instance *agent, struct mbp_call *call, struct mbp_str config,
                            struct mbp_error *err)
{
  uint32_t enabled = 0;
  int r = config_parse(agent->json, config, &enabled, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < N_TOOLS; i++)
    if (enabled >> i & 1) {
      r = emit_tool(agent, call, &tools[i], err);
      if (r < 0)
        return r;
    }
  pthread_mutex_lock(&agent->lock);
  agent->enabled = enabled;
  pthread_mutex_unlock(&agent->lock);
  agent->host->done(call, NULL, NULL);
  return 0;
}

static int finish(struct mbp_instance *agent, struct mbp_call *call, const struct text *answer, uint32_t is_error,
                  struct mbp_error *err)
{
  const struct mbp_json_v1 *json = agent->json;
  struct mbp_writer *writer = json->writer_new();
  struct mbp_tool_result result = {.size = MBP_SIZE(struct mbp_tool_result, content), .is_error = is_error};
  if (!writer)
    return fail(err, MBP_E_NO_MEMORY, "out of memory");
  json->array(writer, NULL);
  json->object(writer, NULL);
  json->string(writer, "type", mbp_str("text"));
  json->string(writer, "text", text_str(answer));
  json->end(writer);
  json->end(writer);
  int r = answer->failed ? -MBP_E_NO_MEMORY : json->text(writer, &result.content);
  if (r == 0)
    agent->host->done(call, &result, NULL);
  json->writer_free(writer);
  return r < 0 ? fail(err, -r, "the answer could not be built") : 0;
}

static int agent_invoke(struct mbp_instance *agent, struct mbp_call *call, struct mbp_str name,
                        struct mbp_str input_text, struct mbp_error *err)
{
  size_t id = 0;
  while (id < N_TOOLS && !mbp_str_eq(name, tools[id].name))
    id++;
  pthread_mutex_lock(&agent->lock);
  uint32_t enabled = agent->enabled;
  pthread_mutex_unlock(&agent->lock);
  if (id == N_TOOLS || !(enabled >> id & 1))
    return fail(err, MBP_E_NOT_FOUND, "this toolset has no tool \"%.*s\"%s", (int) (name.len < 64 ? name.len : 64),
                name.ptr ? name.ptr : "", id == N_TOOLS ? "" : " for this agent: it is disabled");
  auto_text answer = {0};
  struct input input;
  uint32_t is_error = 1;
  int r = input_parse(agent->json, &tools[id], input_text, &input, &answer);
  if (r == 0 && id == TOOL_BASH)
    r = shell_run(agent, call, &input, &answer, &is_error, err);
  else if (r == 0)
    r = files_run(agent, call, (enum tool_id) id, &input, &answer, &is_error, err);
  agent->json->free(input.document);
  return r < 0 ? r : finish(agent, call, &answer, is_error, err);
}

/* ---- Descriptor -------------------------------------------------------------------------------------------------- */

static const struct mbp_param timeout = {.size = MBP_SIZE(struct mbp_param, help),
                                         .type = MBP_PARAM_DURATION,
                                         .name = "timeout",
                                         .default_value = "120s",
                                         .min = 100,
                                         .max = 86400000,
                                         .help = "How long a bash command may run when the model names no time."};
static const struct mbp_param max_timeout = {.size = MBP_SIZE(struct mbp_param, help),
                                             .type = MBP_PARAM_DURATION,
                                             .name = "max_timeout",
                                             .default_value = "30m",
                                             .min = 100,
                                             .max = 86400000,
                                             .help = "The longest time that the model may name for a bash command."};
static const struct mbp_param output_limit = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_SIZE,
    .name = "output_limit",
    .default_value = "100K",
    .min = 4096,
    .max = 1048576,
    .help =
        "Output of a bash command beyond so many bytes goes to a file in the sandbox; the model gets its beginning, "
        "its end, its size and the path."};
static const struct mbp_param spill_limit = {.size = MBP_SIZE(struct mbp_param, help),
                                             .type = MBP_PARAM_SIZE,
                                             .name = "spill_limit",
                                             .default_value = "16M",
                                             .min = 65536,
                                             .max = 1073741824,
                                             .help = "The most bytes that such a file may have; the rest is dropped."};
static const struct mbp_param *const params[] = {&timeout, &max_timeout, &output_limit, &spill_limit, NULL};

static const struct mbp_toolset_info info = {.size = MBP_SIZE(struct mbp_toolset_info, type), .type = TYPE_NAME};

static const struct mbp_toolset_ops ops = {
    .size = MBP_SIZE(struct mbp_toolset_ops, invoke), .list_tools = agent_list_tools, .invoke = agent_invoke};

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .kind = MBP_KIND_TOOLSET,
    .kind_version = MBP_TOOLSET_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "agent",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "bash, read, write, edit, glob and grep in the session's sandbox",
    .help =
        "Selected by {\"type\": \"" TYPE_NAME "\"} in an agent's tools. default_config and configs enable and disable "
        "single tools and set their permission policies.",
    .params = params,
    .info = &info,
    .ops = &ops,
    .open = agent_open,
    .close = agent_close,
};

MBP_PLUGIN(plugin);
