#include "agent/schema.h"

#include <string.h>

static const char *const networks[] = {"none", "limited", "unrestricted", "host", "provider", NULL};

#define AT(member) offsetof(struct mag_definition, member)
#define AGENT MAG_IN_AGENT
#define BOTH (MAG_IN_AGENT | MAG_IN_DEFAULTS)
#define PROJECT (MAG_IN_AGENT | MAG_IN_PROJECT)
#define EVERYWHERE (MAG_IN_AGENT | MAG_IN_PROJECT | MAG_IN_DEFAULTS)

/* Rows whose path begins with a point are not from files, which cannot name them: which stored resources a definition
 * is a snapshot of, and the project's file that took part. */
const struct mag_key mag_schema[] = {
    {".agent", MAG_KEY_TEXT, 0, AT(agent_id), MAG_AGENT, "id", .help = NULL},
    {".agent_version", MAG_KEY_NUMBER, 0, AT(agent_version), MAG_AGENT, "version", .help = NULL},
    {".environment", MAG_KEY_TEXT, 0, AT(environment_id), MAG_ENVIRONMENT, "id", .help = NULL},
    {".environment_version", MAG_KEY_NUMBER, 0, AT(environment_version), MAG_ENVIRONMENT, "version", .help = NULL},
    {".agent_environment", MAG_KEY_TEXT, 0, AT(environment_id), MAG_AGENT, "x_magent.environment.id", .help = NULL},
    {".agent_environment_version", MAG_KEY_NUMBER, 0, AT(environment_version), MAG_AGENT,
     "x_magent.environment.version", .help = NULL},
    {".project", MAG_KEY_TEXT, 0, AT(project), MAG_ENVIRONMENT, "x_magent.project", .help = NULL},
    {".project_code", MAG_KEY_TRUTH, 0, AT(project_code), MAG_ENVIRONMENT, "x_magent.project_code", .help = NULL},
    {"name", MAG_KEY_TEXT, AGENT | MAG_KEY_SHOWN, AT(name), MAG_AGENT, "name", .max = 256, .otherwise = "agent",
     .help = "The agent's name."},
    {"description", MAG_KEY_TEXT, AGENT | MAG_KEY_SHOWN, AT(description), MAG_AGENT, "description", .max = 2048,
     .help = "What it is for, for humans."},
    {"model", MAG_KEY_GROUP, AGENT, .scalar = "model.id",
     .help = "The model: a name, or a mapping with its id, fallbacks and parameters."},
    {"model.id", MAG_KEY_TEXT, AGENT, AT(model), MAG_AGENT, "model.id", .max = 256, .option = "model", .argument = "M",
     .otherwise = "by which API key is set", .help = "\"provider/name\", or a name that a provider answers to."},
    {"model.fallbacks", MAG_KEY_TEXTS, AGENT, AT(model_fallbacks), MAG_AGENT, "x_magent.fallbacks",
     .help = "Models that answer, in this order, when the one before is overloaded or cannot be reached, all retries "
             "are used and nothing has been shown. They get the same parameters."},
    {"model.*", MAG_KEY_MAP, AGENT | MAG_KEY_REST, AT(model_params), MAG_AGENT, "x_magent.params",
     .help = "Any other key is a parameter for the provider, such as max_tokens, temperature or effort."},
    {"system", MAG_KEY_TEXT, BOTH | MAG_KEY_SHOWN, AT(system), MAG_AGENT, "system", .max = 100000, .option = "system",
     .argument = "S", .help = "The system prompt."},
    {"tools", MAG_KEY_LIST, BOTH | MAG_KEY_SHOWN, AT(tools), MAG_AGENT, "tools", .max = 128,
     .otherwise = "what the defaults say",
     .help = "Toolsets, custom tools, and names of the default toolset's tools; see TOOLS.md in magent's documentation."},
    {"packages", MAG_KEY_GROUP, PROJECT,
     .help = "Packages that the sandbox needs, a list for each manager."},
    {"packages.apt", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[0]), MAG_ENVIRONMENT, "config.packages.apt",
     .help = "Debian packages."},
    {"packages.cargo", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[1]), MAG_ENVIRONMENT,
     "config.packages.cargo", .help = "Rust packages."},
    {"packages.gem", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[2]), MAG_ENVIRONMENT, "config.packages.gem",
     .help = "Ruby packages."},
    {"packages.go", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[3]), MAG_ENVIRONMENT, "config.packages.go",
     .help = "Go packages."},
    {"packages.npm", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[4]), MAG_ENVIRONMENT, "config.packages.npm",
     .help = "JavaScript packages."},
    {"packages.pip", MAG_KEY_TEXTS, PROJECT | MAG_KEY_REFUSED, AT(packages[5]), MAG_ENVIRONMENT, "config.packages.pip",
     .help = "Python packages."},
    {"networking", MAG_KEY_GROUP, EVERYWHERE, .scalar = "networking.type",
     .help = "What the sandbox may reach: a type, or a mapping."},
    {"networking.type", MAG_KEY_CHOICE, EVERYWHERE, AT(network), MAG_ENVIRONMENT, "config.networking.type",
     .choices = networks, .option = "network", .argument = "N", .otherwise = "the strictest that the provider has",
     .help = "none: nothing. limited: allowed_hosts only. unrestricted: any public host. host: shares this machine's "
             "network. provider: the provider's own, unfiltered. What the provider cannot enforce is refused. A project's "
             "file may only say none."},
    {"networking.allowed_hosts", MAG_KEY_TEXTS, BOTH, AT(allowed_hosts), MAG_ENVIRONMENT,
     "config.networking.allowed_hosts", .help = "Host names, for type limited."},
    {"networking.allow_mcp_servers", MAG_KEY_TRUTH, BOTH, AT(allow_mcp_servers), MAG_ENVIRONMENT,
     "config.networking.allow_mcp_servers", .otherwise = "false",
     .help = "For type limited: the agent's MCP servers as well. This version has none, so true is refused."},
    {"networking.allow_package_managers", MAG_KEY_TRUTH, BOTH, AT(allow_package_managers), MAG_ENVIRONMENT,
     "config.networking.allow_package_managers", .otherwise = "false",
     .help = "For type limited: package registries as well. This version installs none, so true is refused."},
    {"compute", MAG_KEY_GROUP, EVERYWHERE, .scalar = "compute.provider",
     .help = "Where tools run: a provider's name, or a mapping."},
    {"compute.provider", MAG_KEY_TEXT, BOTH, AT(compute), MAG_ENVIRONMENT, "x_magent.provider", .max = 64,
     .option = "compute", .argument = "C", .otherwise = "what the defaults say",
     .help = "Name of the compute provider, a plugin. local has no isolation: tools run with your own rights."},
    {"compute.options", MAG_KEY_MAP, BOTH | MAG_KEY_LATE, AT(compute_options), MAG_ENVIRONMENT, "x_magent.options",
     .help = "The provider's own options; the plugin's page has them."},
    {"compute.workspace", MAG_KEY_PATH, BOTH, AT(workspace), MAG_ENVIRONMENT, "x_magent.workspace",
     .option = "workspace", .argument = "DIR", .otherwise = "a private directory of the session",
     .help = "Work in a directory of this machine. Where the provider can guard it, what would make other programs run "
             "code, such as git hooks and shell start-up files, is read-only there."},
    {"compute.working_dir", MAG_KEY_PATH, EVERYWHERE, AT(working_dir), MAG_ENVIRONMENT, "x_magent.working_dir",
     .otherwise = "/workspace", .help = "The working directory inside of the sandbox."},
    {"compute.image", MAG_KEY_TEXT, EVERYWHERE, AT(image), MAG_ENVIRONMENT, "x_magent.image", .max = 512,
     .otherwise = "the provider's", .help = "What the sandbox is made from, for providers that have images."},
    {"compute.env", MAG_KEY_TEXT_MAP, EVERYWHERE | MAG_KEY_LATE, AT(env), MAG_ENVIRONMENT, "x_magent.env",
     .help =
         "Environment variables inside. ${NAME} stands for a variable of this program, and its value for a secret."},
    {"compute.cpu", MAG_KEY_CPU, EVERYWHERE, AT(cpu_millis), MAG_ENVIRONMENT, "x_magent.cpu_millis",
     .otherwise = "the provider's", .help = "Processors, such as 0.5 or 2."},
    {"compute.memory", MAG_KEY_SIZE, EVERYWHERE, AT(memory_bytes), MAG_ENVIRONMENT, "x_magent.memory",
     .otherwise = "the provider's", .help = "Memory, such as 512M."},
    {"compute.pids", MAG_KEY_NUMBER, EVERYWHERE, AT(pids), MAG_ENVIRONMENT, "x_magent.pids", .max = INT32_MAX,
     .otherwise = "the provider's", .help = "Processes and threads."},
    {"compute.gpu", MAG_KEY_TEXT, PROJECT | MAG_KEY_REFUSED, AT(gpu), MAG_ENVIRONMENT, "x_magent.gpu", .max = 64,
     .help = "Kind of accelerator."},
    {"compute.mounts", MAG_KEY_LIST, AGENT | MAG_KEY_REFUSED, AT(mounts), MAG_ENVIRONMENT, "x_magent.mounts",
     .max = 100, .help = "More directories of this machine, beside compute.workspace."},
    {"compute.setup", MAG_KEY_TEXTS, EVERYWHERE, AT(setup), MAG_ENVIRONMENT, "x_magent.setup",
     .help =
         "Shell commands that run once in every new sandbox, before anything else; one that fails fails the sandbox."},
    {"compute.idle_timeout", MAG_KEY_DURATION, EVERYWHERE, AT(idle_ms), MAG_ENVIRONMENT, "x_magent.idle_ms",
     .otherwise = "5m; containers: the provider's",
     .help =
         "A sandbox that nobody has used for so long goes. The workspace stays; what is in a container goes with it."},
    {"compute.lifetime", MAG_KEY_DURATION, EVERYWHERE, AT(lifetime_ms), MAG_ENVIRONMENT, "x_magent.lifetime_ms",
     .otherwise = "the provider's",
     .help = "A sandbox goes after so long, whatever runs in it; the next tool gets a new one."},
    {"host_packages_ok", MAG_KEY_TRUTH, AGENT, AT(host_packages_ok), MAG_ENVIRONMENT, "x_magent.host_packages_ok",
     .otherwise = "false", .help = "Packages may be installed on this machine itself, where compute has no sandbox."},
    {"budget", MAG_KEY_GROUP, BOTH, .help = "What a session may use up in all."},
    {"budget.tokens", MAG_KEY_NUMBER, BOTH, AT(budget_tokens), MAG_AGENT, "x_magent.budget.tokens",
     .otherwise = "no bound", .help = "Tokens, in and out."},
    {"budget.cost", MAG_KEY_MONEY, BOTH, AT(budget_cost_micros), MAG_AGENT, "x_magent.budget.cost_micros",
     .otherwise = "no bound",
     .help = "Money, as an amount such as 2.50 in the currency of prices.json."},
    {"budget.steps", MAG_KEY_NUMBER, BOTH, AT(budget_steps), MAG_AGENT, "x_magent.budget.steps",
     .otherwise = "no bound", .help = "Model requests."},
    {"budget.tool_calls", MAG_KEY_NUMBER, BOTH, AT(budget_tool_calls), MAG_AGENT, "x_magent.budget.tool_calls",
     .otherwise = "no bound", .help = "Tool calls."},
    {"budget.time", MAG_KEY_DURATION, BOTH, AT(budget_time_ms), MAG_AGENT, "x_magent.budget.time_ms",
     .otherwise = "no bound", .help = "Time in which turns run, such as 30m."},
    {"metadata", MAG_KEY_TEXT_MAP, AGENT | MAG_KEY_SHOWN, AT(metadata), MAG_AGENT, "metadata", .max = 16,
     .help = "Texts of your own, kept with the agent: at most 16."},
    {"models", MAG_KEY_MODELS, MAG_IN_DEFAULTS, AT(model),
     .help =
         "Which model by which variable is set: a list of {env: [NAME], model: M}; the first one that holds counts."},
    {"store", MAG_KEY_TEXT, MAG_IN_DEFAULTS, AT(store), .max = 64, .help = "The plugin that keeps sessions."},
    {"plugins", MAG_KEY_MAP, MAG_IN_DEFAULTS | MAG_KEY_LATE, AT(plugins),
     .help = "Options of plugins, by kind and name: {\"llm-NAME\": {...}}."},
    {.path = NULL},
};
_Static_assert(sizeof(mag_schema) / sizeof(mag_schema[0]) <= MAG_KEYS_MAX, "each row has a place");

const struct mag_key *mag_schema_find(struct mbp_str path)
{
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (mbp_str_eq(path, key->path))
      return key;
  return NULL;
}

const char *mag_key_wanted(const struct mag_key *key)
{
  switch (key->type) {
  case MAG_KEY_GROUP:
    return key->scalar ? "a name or a mapping" : "a mapping";
  case MAG_KEY_TEXT:
    return "text";
  case MAG_KEY_PATH:
    return "an absolute path";
  case MAG_KEY_CHOICE:
    return "one of these names";
  case MAG_KEY_TEXTS:
    return "a list of texts";
  case MAG_KEY_LIST:
    return "a list";
  case MAG_KEY_TEXT_MAP:
    return "a mapping of names to texts";
  case MAG_KEY_MAP:
    return "a mapping";
  case MAG_KEY_NUMBER:
    return "a whole number from 1 on";
  case MAG_KEY_CPU:
    return "a number of processors, such as 0.5 or 2";
  case MAG_KEY_SIZE:
    return "a size such as 512M";
  case MAG_KEY_DURATION:
    return "a duration such as 30s or 5m";
  case MAG_KEY_MONEY:
    return "an amount such as 2.50, without a currency";
  case MAG_KEY_TRUTH:
    return "true or false";
  case MAG_KEY_MODELS:
    return "a list of entries with a model, and a list of names as env";
  }
  return "";
}
