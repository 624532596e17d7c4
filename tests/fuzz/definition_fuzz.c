/* Agent files: any bytes give a definition or an error of one line; a definition survives the way into its resources
 * and back. */
#include "agent/definition.h"
#include "agent/schema.h"
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(int condition)
{
  if (!condition)
    abort();
}

static void same(const char *one, const char *two)
{
  must((!one || !*one) == (!two || !*two));
  must(!one || !*one || strcmp(one, two) == 0);
}

static void round_trip(struct mag_definition *definition)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition back = {0};
  mag_autofree char *agent = NULL, *environment = NULL;
  if (!definition->model)
    definition->model = mag_str_dup(mbp_str("m"));
  if (!definition->compute)
    definition->compute = mag_str_dup(mbp_str("c"));
  if (!definition->tools)
    definition->tools = mag_str_dup(mbp_str("[]"));
  if (mag_definition_resources(definition, &agent, &environment, &err) < 0)
    return;
  must(mag_json_check(mbp_str(agent), NULL) == 0 && mag_json_check(mbp_str(environment), NULL) == 0);
  must(mag_definition_from_resources(&back, mbp_str(agent), mbp_str(environment), &err) == 0);
  same(definition->model, back.model);
  same(definition->model_params, back.model_params);
  same(definition->system, back.system);
  same(definition->tools, back.tools);
  same(definition->compute, back.compute);
  same(definition->network, back.network);
  same(definition->workspace, back.workspace);
  same(definition->env, back.env);
  must(definition->memory_bytes == back.memory_bytes && definition->pids == back.pids);
  mag_definition_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mag_definition definition = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *text = mag_str_dup(mbp_str_n((const char *) data, size)), *json = NULL;
  if (!text)
    return 0;
  int r = mag_yaml_to_json(mbp_str_n(text, size), &json, &err);
  if (r == 0)
    r = mag_definition_take(&definition, mbp_str(json), "file", &err);
  must(r == 0 || (err.message[0] && !strchr(err.message, '\n') && mag_utf8_valid(err.message, strlen(err.message))));
  if (r == 0)
    round_trip(&definition);
  mag_definition_done(&definition);
  mag_error_clear(&err);
  r = mag_definition_set_tools(&definition, text, &err);
  if (r == 0)
    r = mag_definition_take_in(&definition, mbp_str("{\"tools\":[{\"type\":\"set\"}]}"), MAG_IN_DEFAULTS, "defaults", true,
                               &err);
  must(r < 0 || mag_json_check(mbp_str(definition.tools), NULL) == 0);
  mag_definition_done(&definition);
  return 0;
}
