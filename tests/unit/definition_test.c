/* Agent files and everything else that says a key: what it means, what is refused with which words, and that it comes
 * through the two resources. Numbers of behaviours are those of docs/BEHAVIOURS.md. */
#include "../lib/run.h"
#include "agent/definition.h"
#include "agent/project_file.h"
#include "agent/schema.h"
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "host/late.h"
#include "host/redact.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int take(struct mag_definition *definition, const char *yaml, uint32_t place, struct mbp_error *err)
{
  mag_autofree char *json = NULL;
  int r = mag_yaml_to_json(mbp_str(yaml), "f.yaml", &json, err);
  return r < 0 ? r : mag_definition_take_in(definition, mbp_str(json), place, "f.yaml", true, err);
}

static void good(struct mag_definition *definition, const char *yaml)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(take(definition, yaml, MAG_IN_AGENT, &err) == 0, "%s: %s", yaml, err.message);
}

static void bad_in(uint32_t place, const char *yaml, const char *message)
{
  struct mag_definition definition = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(take(&definition, yaml, place, &err) < 0, "was taken: %s", yaml);
  ck_assert_msg(strstr(err.message, message) != NULL, "\"%s\" instead of \"%s\"", err.message, message);
  mag_definition_done(&definition);
}

static void bad(const char *yaml, const char *message)
{
  bad_in(MAG_IN_AGENT, yaml, message);
}

static const char full[] =
    "name: a\ndescription: d\nmodel: {id: p/m, fallbacks: [q/n], max_tokens: 100, stop: [x, y]}\nsystem: s\ntools: []\n"
    "packages: {pip: [requests], npm: left-pad, apt: [a], cargo: [c], gem: [g], go: [o]}\nnetworking:\n  type: "
    "limited\n  allowed_hosts: [example.org]\n"
    "  allow_mcp_servers: false\n  allow_package_managers: true\n"
    "compute:\n  provider: c\n  options: {size: small}\n  image: i\n  cpu: 0.5\n  memory: 512M\n  gpu: t4\n  pids: 64\n"
    "  env: {A: x, N: 1, T: true}\n  setup: make ready\n  working_dir: /w\n  workspace: /tmp\n"
    "  mounts: [{host: /x}]\n  idle_timeout: 90s\n  lifetime: 2h\n"
    "host_packages_ok: true\nbudget: {tokens: 1000, cost: 2.50, steps: 7, tool_calls: 9, time: 30m}\n"
    "metadata: {team: blue}\n";

/* Behaviours 9, 33, 63. */
START_TEST(a_file_with_every_key_is_kept_whole)
{
  struct mag_definition d = {0}, back = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *agent = NULL, *environment = NULL, *agent2 = NULL, *environment2 = NULL;
  good(&d, full);
  ck_assert_str_eq(d.model, "p/m");
  ck_assert_str_eq(d.model_fallbacks, "[\"q/n\"]");
  ck_assert_str_eq(d.model_params, "{\"max_tokens\":100,\"stop\":[\"x\",\"y\"]}");
  ck_assert_str_eq(d.packages[5], "[\"requests\"]");
  ck_assert_str_eq(d.packages[4], "[\"left-pad\"]");
  ck_assert_str_eq(d.network, "limited");
  ck_assert_str_eq(d.allowed_hosts, "[\"example.org\"]");
  ck_assert(d.allow_mcp_servers == -1 && d.allow_package_managers == 1 && d.host_packages_ok == 1);
  ck_assert_int_eq(d.cpu_millis, 500);
  ck_assert_int_eq(d.memory_bytes, 512 << 20);
  ck_assert_str_eq(d.env, "{\"A\":\"x\",\"N\":\"1\",\"T\":\"true\"}");
  ck_assert_str_eq(d.setup, "[\"make ready\"]");
  ck_assert(d.idle_ms == 90000 && d.lifetime_ms == 7200000);
  ck_assert(d.budget_tokens == 1000 && d.budget_cost_micros == 2500000 && d.budget_steps == 7 &&
            d.budget_tool_calls == 9 && d.budget_time_ms == 1800000);
  ck_assert_int_eq(mag_definition_resources(&d, &agent, &environment, &err), 0);
  ck_assert_int_eq(mag_definition_from_resources(&back, mbp_str(agent), mbp_str(environment), &err), 0);
  for (const struct mag_key *key = mag_schema; key->path; key++)
    if (key->flags & MAG_IN_AGENT && key->type != MAG_KEY_GROUP)
      ck_assert_msg(mag_key_is_said(&d, key) && mag_key_is_said(&back, key), "%s is lost", key->path);
  ck_assert_int_eq(mag_definition_resources(&back, &agent2, &environment2, &err), 0);
  ck_assert_str_eq(agent, agent2);
  ck_assert_str_eq(environment, environment2);
  mag_definition_done(&d);
  mag_definition_done(&back);
}
END_TEST

/* Behaviour 123. */
START_TEST(the_resources_have_the_shapes_of_the_wire)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *agent = NULL, *environment = NULL;
  good(&d, full);
  ck_assert_int_eq(mag_definition_resources(&d, &agent, &environment, &err), 0);
  ck_assert_str_eq(agent,
                   "{\"type\":\"agent\",\"name\":\"a\",\"description\":\"d\",\"model\":{\"id\":\"p/m\"},"
                   "\"system\":\"s\",\"tools\":[],\"metadata\":{\"team\":\"blue\"},"
                   "\"x_magent\":{\"fallbacks\":[\"q/n\"],\"params\":{\"max_tokens\":100,\"stop\":[\"x\",\"y\"]},"
                   "\"budget\":{\"tokens\":1000,\"cost_micros\":2500000,\"steps\":7,\"tool_calls\":9,"
                   "\"time_ms\":1800000}}}");
  ck_assert_msg(strstr(environment, "\"config\":{\"type\":\"cloud\",\"packages\":{\"type\":\"packages\","
                                    "\"apt\":[\"a\"],\"cargo\":[\"c\"],\"gem\":[\"g\"],\"go\":[\"o\"],\"npm\":[\"left-"
                                    "pad\"],\"pip\":[\"requests\"]},\"networking\":{\"type\":\"limited\","
                                    "\"allowed_hosts\":[\"example.org\"],\"allow_mcp_servers\":false,"
                                    "\"allow_package_managers\":true}},\"x_magent\":{") != NULL,
                "%s", environment);
  mag_definition_done(&d);
}
END_TEST

/* Behaviours 8, 37, 62, 64, 65, 90. */
START_TEST(an_empty_file_says_nothing)
{
  struct mag_definition d = {0};
  good(&d, "");
  good(&d, "# a remark\n");
  good(&d, "{}");
  for (const struct mag_key *key = mag_schema; key->path; key++)
    ck_assert_msg(!mag_key_is_said(&d, key), "%s", key->path);
  ck_assert_int_eq(d.host_packages_ok, 0);
  mag_definition_done(&d);
}
END_TEST

/* Behaviour 34. */
START_TEST(a_single_text_stands_for_a_list_of_one)
{
  struct mag_definition d = {0};
  good(&d, "compute: {setup: make}\n");
  ck_assert_str_eq(d.setup, "[\"make\"]");
  mag_definition_done(&d);
}
END_TEST

/* Behaviours 35, 36. */
/* Behaviour 109. */
START_TEST(what_is_wrong_is_told_with_file_line_key_and_what_to_do)
{
  bad("name: a\nsystem: s\nmodle: x\n", "f.yaml:3: modle: unknown key; did you mean \"model\"?");
  bad("name: a\ncompute:\n  provider: local\n  memroy: 1G\n",
      "f.yaml:4: compute.memroy: unknown key; did you mean \"memory\"?");
  bad("name: a\nmemory: 1G\n",
      "f.yaml:2: memory: unknown key; did you mean \"compute.memory\" (a key inside of a mapping)?");
  bad("compute.memory: 1G\n", "f.yaml:1: compute.memory: unknown key; did you mean \"compute.memory\" (a key inside");
  bad("name: a\nqqqqqq: 1\n", "f.yaml:2: qqqqqq: unknown key; known are name, description, model, system, tools");
  bad("- a\n- b\n", "f.yaml:1: expected a mapping of keys to values");
  bad("just text\n", "f.yaml:1: expected a mapping of keys to values");
  bad("name: a\nname: b\n", "f.yaml:2: \"name\" stands twice: also on line 1; keep one of them");
  bad("compute:\n\tmemory: 1G\n", "f.yaml:2: found character that cannot start any token; is it a tab?");
  bad("a: &x [1]\nb: *x\n", "f.yaml:2: aliases are not allowed here");
  bad("name: !!int 5\n", "f.yaml:1: tags are not allowed here");
  bad("compute: !x {provider: c}\n", "f.yaml:1: tags are not allowed here");
  bad("name: a\n---\nname: b\n", "f.yaml:2: a second document begins here");
  bad("name:\n", "f.yaml:1: name: it has no value; expected text, or leave the key out");
  bad("model: {id: x, id: y}\n", "\"id\" stands twice");
  bad("networking: {type: nnoe}\n", "f.yaml:1: networking.type: \"nnoe\" is not known; did you mean \"none\"?");
  bad("a: {\n", "f.yaml:2: did not find expected node content");
  bad("store: sqlite\n", "f.yaml:1: store: this has a place in defaults.json only");
}
END_TEST

/* Behaviour 38: wrong shapes, nested ones too. */
START_TEST(wrong_types_name_what_is_expected)
{
  bad("name: 5\n", "name: expected text; put it in quotes");
  bad("name: [a]\n", "name: expected text");
  bad("tools: bash\n", "tools: expected a list");
  bad("packages: [requests]\n", "packages: expected a mapping");
  bad("packages: {pip: [1]}\n", "packages.pip: expected a list of texts; put numbers in quotes");
  bad("packages: {pip: {a: b}}\n", "packages.pip: expected a list of texts");
  bad("packages: {pip: ['']}\n", "packages.pip: expected no empty text in it");
  bad("compute: [local]\n", "compute: expected a name or a mapping");
  bad("compute: {env: [A]}\n", "compute.env: expected a mapping of names to texts");
  bad("compute: {env: {A: [1]}}\n", "compute.env: A: expected text");
  bad("compute: {env: {1A: x}}\n", "\"1A\" is no name of a variable");
  bad("compute: {memory: lots}\n", "compute.memory: expected a size such as 512M");
  bad("compute: {memory: -1}\n", "compute.memory: expected a size such as 512M");
  bad("compute: {cpu: 0}\n", "compute.cpu: expected a number of processors");
  bad("compute: {pids: 1.5}\n", "compute.pids: expected a whole number from 1 on");
  bad("compute: {pids: 99999999999}\n", "compute.pids: expected a whole number from 1 on");
  bad("compute: {idle_timeout: soon}\n", "compute.idle_timeout: expected a duration such as 30s or 5m");
  bad("compute: {workspace: here}\n", "compute.workspace: expected an absolute path");
  bad("compute: {mounts: /x}\n", "compute.mounts: expected a list");
  bad("host_packages_ok: maybe\n", "host_packages_ok: expected true or false");
  bad("budget: 5\n", "budget: expected a mapping");
  bad("budget: {cost: 2 EUR}\n", "budget.cost: expected an amount such as 2.50, without a currency");
  bad("budget: {cost: 1.1234567}\n", "budget.cost: expected an amount");
  bad("budget: {cost: 99999999999999999999}\n", "budget.cost: expected an amount");
  bad("budget: {tokens: 0}\n", "budget.tokens: expected a whole number from 1 on");
  bad("metadata: {a: {b: c}}\n", "metadata: a: expected text");
  bad("metadata: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1, m: 1, n: 1, o: 1, p: 1, q: "
      "1}",
      "metadata: more than 16 entries");
  bad("networking: {allowed_hosts: [a]}\n", "networking.allowed_hosts: this goes with networking.type limited only");
  bad("networking:\n  type: none\n  allow_mcp_servers: true\n",
      "f.yaml:3: networking.allow_mcp_servers: this goes with");
}
END_TEST

START_TEST(what_was_said_first_stays_and_maps_are_joined)
{
  struct mag_definition d = {0};
  good(&d, "model: {max_tokens: 5}\ncompute: {env: {A: first, B: b}}\n");
  good(&d, "model: {id: x, max_tokens: 6, effort: low}\nname: n\ncompute: {provider: local, env: {A: second, C: c}}\n");
  ck_assert_str_eq(d.model, "x");
  ck_assert_str_eq(d.model_params, "{\"max_tokens\":5,\"effort\":\"low\"}");
  ck_assert_str_eq(d.env, "{\"A\":\"first\",\"B\":\"b\",\"C\":\"c\"}");
  mag_definition_done(&d);
  /* Another model's parameters are not taken over. */
  good(&d, "model: y\n");
  good(&d, "model: {id: x, max_tokens: 6, fallbacks: [z]}\n");
  ck_assert_str_eq(d.model, "y");
  ck_assert(!d.model_params && !d.model_fallbacks);
  mag_definition_done(&d);
}
END_TEST

static void set(struct mag_definition *d, const char *path, const char *value)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(mag_definition_set(d, path, value, &err) == 0, "%s", err.message);
}

START_TEST(every_key_is_set_by_its_path)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  set(&d, "compute.memory", "1G");
  set(&d, "compute.memory", "2G"); /* the last one counts */
  set(&d, "compute", "local");
  set(&d, "compute.env.A", "5");
  set(&d, "compute.env.B", "true");
  set(&d, "compute.options.size", "small");
  set(&d, "model.temperature", "0.5");
  set(&d, "model.effort", "low");
  set(&d, "budget.cost", "1.25");
  set(&d, "budget.steps", "3");
  set(&d, "packages.pip", "[a, b]");
  set(&d, "compute.setup", "make ready");
  set(&d, "host_packages_ok", "true");
  set(&d, "description", "null");
  ck_assert(d.memory_bytes == INT64_C(2) << 30 && d.budget_cost_micros == 1250000 && d.budget_steps == 3);
  ck_assert_str_eq(d.compute, "local");
  ck_assert_str_eq(d.env, "{\"B\":\"true\",\"A\":\"5\"}");
  ck_assert_str_eq(d.compute_options, "{\"size\":\"small\"}");
  ck_assert_str_eq(d.model_params, "{\"effort\":\"low\",\"temperature\":0.5}");
  ck_assert_str_eq(d.packages[5], "[\"a\",\"b\"]");
  ck_assert_str_eq(d.setup, "[\"make ready\"]");
  ck_assert_str_eq(d.description, "null");
  ck_assert_int_eq(d.host_packages_ok, 1);
  set(&d, "description", NULL);
  ck_assert_ptr_null(d.description);
  ck_assert(mag_definition_set(&d, "compute.memroy", "1G", &err) < 0);
  ck_assert_str_eq(err.message, "compute.memroy: unknown key; did you mean \"memory\"?");
  ck_assert(mag_definition_set(&d, "budget.steps", "many", &err) < 0);
  ck_assert_str_eq(err.message, "budget.steps: expected a whole number from 1 on");
  ck_assert(mag_definition_set(&d, ".agent", "x", &err) < 0);
  ck_assert(mag_definition_set(&d, "model.*", "{}", &err) < 0 || strstr(d.model_params, "\"*\""));
  mag_definition_done(&d);
}
END_TEST

START_TEST(a_group_is_set_by_a_mapping)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  set(&d, "packages", "{pip: [x], apt: y}");
  set(&d, "budget", " {tokens: 5}");
  set(&d, "compute", "{provider: local, env: {A: 1}}");
  set(&d, "model", "{id: scripted, max_tokens: 5}");
  set(&d, "networking", "limited");
  set(&d, "networking", "{\"allowed_hosts\": [a]}");
  ck_assert_str_eq(d.packages[5], "[\"x\"]");
  ck_assert_str_eq(d.packages[0], "[\"y\"]");
  ck_assert_int_eq(d.budget_tokens, 5);
  ck_assert_str_eq(d.compute, "local");
  ck_assert_str_eq(d.env, "{\"A\":\"1\"}");
  ck_assert_str_eq(d.model, "scripted");
  ck_assert_str_eq(d.model_params, "{\"max_tokens\":5}");
  ck_assert(strcmp(d.network, "limited") == 0 && strcmp(d.allowed_hosts, "[\"a\"]") == 0);
  ck_assert(mag_definition_set(&d, "budget", "5", &err) < 0);
  ck_assert_str_eq(err.message, "budget: expected a mapping");
  ck_assert(mag_definition_set(&d, "model", "[a]", &err) < 0);
  ck_assert_str_eq(err.message, "model: expected a name or a mapping");
  ck_assert(mag_definition_set(&d, "model", "{id: ", &err) < 0);
  ck_assert_str_eq(d.model, "scripted");
  mag_definition_done(&d);
}
END_TEST

START_TEST(a_change_replaces_joins_and_clears)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  good(&d, "name: a\ndescription: d\nmodel: {id: x, effort: low}\nmetadata: {a: '1', b: '2'}\n"
           "compute: {memory: 1G, pids: 5, setup: make}\n");
  d.agent_id = mag_str_dup(mbp_str("agent_1"));
  d.agent_version = 4;
  ck_assert_int_eq(mag_definition_change(&d,
                                         mbp_str("{\"description\":null,\"model\":\"x\",\"metadata\":{\"a\":null,\"c\":"
                                                 "\"3\"},\"compute\":{\"memory\":\"2G\",\"setup\":null}}"),
                                         "u", false, &err),
                   0);
  ck_assert_str_eq(d.name, "a");
  ck_assert_ptr_null(d.description);
  ck_assert_str_eq(d.model_params, "{\"effort\":\"low\"}"); /* the same model again */
  ck_assert_str_eq(d.metadata, "{\"c\":\"3\",\"b\":\"2\"}");
  ck_assert(d.memory_bytes == INT64_C(2) << 30 && d.pids == 5 && !d.setup);
  ck_assert_str_eq(d.agent_id, "agent_1");
  ck_assert_int_eq(d.agent_version, 4);
  ck_assert_int_eq(
      mag_definition_change(&d, mbp_str("{\"model\":\"y\",\"metadata\":{\"b\":null,\"c\":null}}"), "u", false, &err),
      0);
  ck_assert_str_eq(d.model, "y");
  ck_assert(!d.model_params && !d.metadata);
  ck_assert_int_eq(mag_definition_change(&d, mbp_str("{\"compute\":null}"), "u", false, &err), 0);
  ck_assert(!d.memory_bytes && !d.pids);
  ck_assert(mag_definition_change(&d, mbp_str("{\"naem\":1}"), "u", false, &err) < 0);
  ck_assert_str_eq(err.message, "u: naem: unknown key; did you mean \"name\"?");
  ck_assert_str_eq(d.name, "a"); /* what failed changed nothing */
  mag_definition_done(&d);
}
END_TEST

/* A project's file comes with somebody's work: it tightens and equips, and opens nothing. */
START_TEST(a_projects_file_can_open_nothing)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(
      take(&d,
           "packages: {pip: [x]}\nnetworking: none\ncompute: {image: i, cpu: 2, memory: 1G, pids: 9, gpu: t4,"
           " env: {A: b}, setup: [make], working_dir: /w, idle_timeout: 1m, lifetime: 1h}\n",
           MAG_IN_PROJECT, &err),
      0);
  ck_assert_str_eq(d.network, "none");
  mag_definition_done(&d);
  bad_in(MAG_IN_PROJECT, "compute: local\n", "f.yaml:1: compute.provider: a project's file cannot say this");
  static const char *const refused[] = {
      "compute: {provider: local}\n",
      "compute: {options: {a: b}}\n",
      "compute: {workspace: /}\n",
      "compute: {mounts: [x]}\n",
      "host_packages_ok: true\n",
      "model: x\n",
      "system: s\n",
      "tools: []\n",
      "budget: {tokens: 5}\n",
      "networking: {type: limited, allowed_hosts: [a]}\n",
  };
  for (size_t i = 0; i < MAG_COUNT(refused); i++)
    bad_in(MAG_IN_PROJECT, refused[i], "a project's file cannot say this, because it may come from somebody else");
  bad_in(MAG_IN_PROJECT, "networking: host\n", "f.yaml:1: networking.type: a project's file can say none only");
  bad_in(MAG_IN_PROJECT, "compute: {env: {A: \"${HOME}\"}}\n", "cannot ask for variables of your environment");
  bad_in(MAG_IN_PROJECT, "imgae: x\n", "f.yaml:1: imgae: unknown key");
}
END_TEST

START_TEST(references_are_kept_and_filled_in_late)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *one = NULL, *two = NULL;
  good(&d, "system: costs ${PRICE\ncompute: {env: {A: \"${LATE_TEST}\"}, options: {key: \"x-${LATE_TEST}\"}}\n");
  ck_assert_str_eq(d.env, "{\"A\":\"${LATE_TEST}\"}");
  mag_definition_done(&d);
  bad("compute: {env: {A: \"${}\"}}\n", "compute.env: \"${\" begins a reference such as ${NAME}; write \"$${\"");
  bad("compute: {env: {A: \"${A-B}\"}}\n", "begins a reference");
  bad("compute: {options: {a: [{b: \"${\"}]}}\n", "compute.options: \"${\" begins");
  ck_assert_int_eq(setenv("LATE_TEST", "late-secret-value", 1), 0);
  ck_assert_int_eq(mag_late_resolve(mbp_str("a ${LATE_TEST}${LATE_TEST} $5 $${LATE_TEST} $"), &one, &err), 0);
  ck_assert_str_eq(one, "a late-secret-valuelate-secret-value $5 ${LATE_TEST} $");
  ck_assert(mag_redact_wanted(mbp_str("it is late-secret-value")) && !mag_redact_is_key(mbp_str("late-secret-value")));
  mag_redact_add(mbp_str("late-secret-value")); /* a plugin uses it as its key */
  ck_assert(mag_redact_is_key(mbp_str("late-secret-value")));
  ck_assert_int_eq(unsetenv("LATE_TEST"), 0);
  ck_assert_int_eq(mag_late_resolve(mbp_str("${LATE_TEST}"), &two, &err), -MBP_E_NOT_FOUND);
  ck_assert_str_eq(err.message, "the environment variable LATE_TEST is not set");
  ck_assert_ptr_null(two);
}
END_TEST

START_TEST(the_table_holds_together)
{
  size_t n = 0;
  for (const struct mag_key *key = mag_schema; key->path; key++, n++) {
    ck_assert_ptr_eq(mag_schema_find(mbp_str(key->path)), key); /* each once */
    ck_assert_msg(key->path[0] == '.' || (key->help && key->help[0]), "%s has no help", key->path);
    ck_assert_msg((key->resource == MAG_NO_RESOURCE) == (key->wire == NULL), "%s", key->path);
    if (key->scalar)
      ck_assert_ptr_nonnull(mag_schema_find(mbp_str(key->scalar)));
    if (key->option)
      ck_assert_ptr_nonnull(key->argument);
    if (key->type == MAG_KEY_CHOICE)
      ck_assert_ptr_nonnull(key->choices);
    const char *dot = key->path[0] == '.' ? NULL : strrchr(key->path, '.');
    const struct mag_key *group = dot ? mag_schema_find(mbp_str_n(key->path, (size_t) (dot - key->path))) : NULL;
    ck_assert_msg(!dot || (group && group->type == MAG_KEY_GROUP && !(key->flags & ~group->flags & 7)), "%s",
                  key->path);
  }
  ck_assert_uint_lt(n, 64);
}
END_TEST

START_TEST(a_removed_working_directory_belongs_to_no_project)
{
  struct mag_definition d = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *path = NULL, *notice = NULL;
  ck_assert_msg(mag_project_lay(&d, "/nowhere/at/all", &path, &notice, &err) == 0, "%s", err.message);
  ck_assert(!path && !notice);
  ck_assert_int_eq(mag_project_lay(&d, "/dev/null/x", &path, &notice, &err), -MBP_E_NOT_FOUND);
  mag_definition_done(&d);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("definition");
  TCase *tests = tcase_create("definition");
  tcase_add_test(tests, a_file_with_every_key_is_kept_whole);
  tcase_add_test(tests, the_resources_have_the_shapes_of_the_wire);
  tcase_add_test(tests, an_empty_file_says_nothing);
  tcase_add_test(tests, a_single_text_stands_for_a_list_of_one);
  tcase_add_test(tests, what_is_wrong_is_told_with_file_line_key_and_what_to_do);
  tcase_add_test(tests, wrong_types_name_what_is_expected);
  tcase_add_test(tests, what_was_said_first_stays_and_maps_are_joined);
  tcase_add_test(tests, every_key_is_set_by_its_path);
  tcase_add_test(tests, a_group_is_set_by_a_mapping);
  tcase_add_test(tests, a_change_replaces_joins_and_clears);
  tcase_add_test(tests, a_projects_file_can_open_nothing);
  tcase_add_test(tests, references_are_kept_and_filled_in_late);
  tcase_add_test(tests, the_table_holds_together);
  tcase_add_test(tests, a_removed_working_directory_belongs_to_no_project);
  suite_add_tcase(suite, tests);
  return run_suite(suite);
}
