#include "reference.h"

#include <stddef.h>

const char reference_summary[] = "An agent file is an agent and its environment in one mapping, YAML or JSON. The same "
                                 "keys, with the same names, are "
                                 "given by --set KEY=VALUE of magent run and magent agent, and by programs. What was "
                                 "said first counts: options, then "
                                 "the agent, then the project's environment, then defaults.json; mappings such as "
                                 "compute.env are joined. A model that "
                                 "is given as an option keeps the parameters of the file's model away.";

static const char *const strictness[] = {
    "An unknown key, a wrong type or an impossible combination is an error that names file, line and key, and what to "
    "do. "
    "A key that is known, and that this version or the chosen provider cannot do, is refused before anything is "
    "created: "
    "there is no key without effect.",
    NULL,
};

static const char *const tools[] = {
    "tools is a list of toolsets, of custom tools, and of names of the default toolset's tools, of which then only "
    "these "
    "are on. agent_toolset_20260401 has bash, read, write, edit, glob and grep. Its default_config and its configs, a "
    "list "
    "of {name: TOOL, ...}, turn tools on and off by enabled, and say what may run by permission_policy: {type: "
    "always_allow}, {type: always_ask} or {type: always_deny}. All rules that match count: deny before ask before "
    "allow; "
    "without one, what runs in the sandbox is allowed and what touches this machine is asked.",
    "A custom tool has type: custom, a name, a description and an input_schema. With a command it is answered by that "
    "program, in the sandbox or, with run_on: host, on this machine; otherwise by the program that embeds magent, or "
    "from "
    "outside with magent session answer.",
    NULL,
};

static const char *const references[] = {
    "In compute.env, compute.options and the plugins of defaults.json, ${NAME} stands for a variable of magent's own "
    "environment. Stored agents and session logs keep the reference; it is looked up when the value is used, and what "
    "it stands for is a secret that is blanked wherever it would show, if it has 8 bytes or more. A variable that is "
    "not set "
    "is an error. $${ stands for ${. A key that a model provider uses never enters a sandbox, by no way: the "
    "variables that defaults.json names under models cannot be referred to there, nor can their values, whichever "
    "provider is used.",
    NULL,
};

static const char *const projects[] = {
    ".magent/environment.yaml in the working directory, or else in the nearest directory above it, says what a project "
    "needs of its sandbox. magent run tells that it takes part; --no-project leaves it out. It may come with somebody "
    "else's work, so it can say the keys marked \"project\" only: not the provider, not the workspace, of the network "
    "none only, and no ${NAME}. With a compute provider that has no sandbox it is refused, and where the sandbox has a "
    "network, so are its image, setup and env: they would be its code beside what the agent is given. --trust-project "
    "allows the latter. A file that belongs to another user, that everybody can write, or that is reached by a "
    "symbolic "
    "link, is left out, and magent says so.",
    NULL,
};

static const char *const stored[] = {
    "magent agent create FILE stores an agent with all defaults filled in, as two resources: an agent and an "
    "environment. "
    "Every update that changes something is a new version, and every version is kept: magent agent show NAME@2. A "
    "session "
    "is a snapshot, which later updates do not touch. magent run --agent takes the name or id of a stored agent, or "
    "the "
    "name of a file: one with a slash, or with the ending .yaml, .yml or .json.",
    NULL,
};

static const char *const example[] = {
    " name: reviewer\n"
    " description: Reviews a change and says what is wrong with it.\n"
    " model: {id: claude-haiku-4-5, max_tokens: 8000}\n"
    " system: Review code. Change nothing.\n"
    " tools:\n"
    "   - type: agent_toolset_20260401\n"
    "     default_config: {enabled: false}\n"
    "     configs:\n"
    "       - {name: read, enabled: true}\n"
    "       - {name: grep, enabled: true}\n"
    " compute:\n"
    "   provider: bubblewrap\n"
    "   memory: 1GiB\n"
    "   env: {CI: \"1\", TOKEN: \"${REVIEW_TOKEN}\"}\n"
    "   setup: git config --global user.name reviewer\n"
    " networking: none\n"
    " budget: {tokens: 200000, cost: 2.50, time: 10m}\n",
    NULL,
};

const struct reference_chapter reference_chapters[] = {
    {"Strictness", strictness},
    {"Tools", tools},
    {"References", references},
    {"The project's environment", projects},
    {"Stored agents", stored},
    {"Example", example},
    {NULL, NULL},
};

const char *reference_type(const struct mag_key *key)
{
  static const char *const names[] = {
      [MAG_KEY_GROUP] = "mapping",
      [MAG_KEY_TEXT] = "text",
      [MAG_KEY_PATH] = "absolute path",
      [MAG_KEY_CHOICE] = "name",
      [MAG_KEY_TEXTS] = "list of texts",
      [MAG_KEY_LIST] = "list",
      [MAG_KEY_TEXT_MAP] = "mapping of texts",
      [MAG_KEY_MAP] = "mapping",
      [MAG_KEY_NUMBER] = "whole number",
      [MAG_KEY_CPU] = "number",
      [MAG_KEY_SIZE] = "size",
      [MAG_KEY_DURATION] = "duration",
      [MAG_KEY_MONEY] = "amount",
      [MAG_KEY_TRUTH] = "true or false",
      [MAG_KEY_MODELS] = "list",
  };
  return key->type == MAG_KEY_GROUP && key->scalar ? "name or mapping" : names[key->type];
}
