/* Agent files: any bytes give a definition or an error of one line, wherever they are read; a definition survives the
 * way into its resources and back; nothing that a project's file says opens anything. */
#include "agent/definition.h"
#include "agent/schema.h"
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "host/late.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(int condition)
{
  if (!condition)
    abort();
}

static void check_error(int r, const struct mbp_error *err)
{
  must(r == 0 ||
       (err->message[0] && !strchr(err->message, '\n') && mag_utf8_valid(err->message, strlen(err->message))));
}

/* Its resources are JSON, and say the same when they are read and written again. */
static void round_trip(struct mag_definition *definition)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition back = {0};
  mag_autofree char *agent = NULL, *environment = NULL, *agent_again = NULL, *environment_again = NULL;
  must(mag_definition_resources(definition, &agent, &environment, &err) == 0);
  must(mag_json_check(mbp_str(agent), NULL) == 0 && mag_json_check(mbp_str(environment), NULL) == 0);
  must(!strchr(agent, '\n') && !strchr(environment, '\n'));
  must(mag_definition_from_resources(&back, mbp_str(agent), mbp_str(environment), &err) == 0);
  must(mag_definition_resources(&back, &agent_again, &environment_again, &err) == 0);
  must(strcmp(agent, agent_again) == 0 && strcmp(environment, environment_again) == 0);
  mag_definition_done(&back);
}

/* A place is that of the file, on a line that it has. */
static void places(const struct mag_definition *definition, const char *json)
{
  int64_t lines = 1, line;
  for (const char *p = json; *p; p++)
    lines += *p == '\n';
  for (size_t i = 0; i < 4; i++) {
    mag_autofree char *place = mag_tools_source_place(&definition->tools_source, i, "name");
    if (place)
      must(strncmp(place, "file:", 5) == 0 && mag_parse_int(mbp_str(place + 5), &line) == 0 && line >= 1 &&
           line <= lines);
  }
}

static void as_agent(const char *json)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  int r = mag_definition_take(&definition, mbp_str(json), "file", &err);
  check_error(r, &err);
  if (r == 0) {
    round_trip(&definition);
    places(&definition, json);
  }
  /* As a change of what it says itself, and of an agent that says much. */
  int changed = mag_definition_change(&definition, mbp_str(json), "change", true, &err);
  must(r < 0 || changed == 0);
  check_error(changed, &err);
  round_trip(&definition);
  mag_definition_done(&definition);
}

static void as_project(const char *json)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  int r = mag_definition_take_in(&definition, mbp_str(json), MAG_IN_PROJECT, "project", true, &err);
  check_error(r, &err);
  must(!definition.compute && !definition.compute_options && !definition.workspace && !definition.mounts &&
       !definition.model && !definition.tools && !definition.host_packages_ok && !definition.allowed_hosts);
  must(!definition.network || strcmp(definition.network, "none") == 0);
  must(!definition.env || !mag_late_wanted(mbp_str(definition.env)) || strstr(definition.env, "\\u"));
  mag_definition_done(&definition);
}

/* "PATH=VALUE" in the first line. */
static void as_option(char *text)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  text[strcspn(text, "\n")] = 0;
  char *equals = strchr(text, '=');
  if (!equals)
    return;
  *equals = 0;
  check_error(mag_definition_set(&definition, text, equals[1] ? equals + 1 : NULL, &err), &err);
  round_trip(&definition);
  mag_definition_done(&definition);
}

static void as_tools(const char *text)
{
  static const char defaults[] = "{\"tools\":[{\"type\":\"set\"}]}";
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_definition definition = {0};
  int r = mag_definition_set_tools(&definition, text, &err);
  if (r == 0)
    r = mag_definition_take_in(&definition, mbp_str(defaults), MAG_IN_DEFAULTS, "defaults", true, &err);
  must(r < 0 || mag_json_check(mbp_str(definition.tools), NULL) == 0);
  mag_definition_done(&definition);
}

static void as_late(const char *text)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *resolved = NULL;
  int checked = mag_late_check(mbp_str(text), &err);
  check_error(checked, &err);
  int r = mag_late_resolve(mbp_str(text), &resolved, &err);
  must(checked == 0 || r < 0);
  must(r < 0 || mag_late_wanted(mbp_str(text)) || strcmp(resolved, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *text = mag_str_dup(mbp_str_n((const char *) data, size)), *json = NULL;
  if (!text)
    return 0;
  int r = mag_yaml_to_json(mbp_str_n(text, size), "", &json, &err);
  check_error(r, &err);
  if (r == 0) {
    as_agent(json);
    as_project(json);
  }
  as_tools(text);
  as_late(text);
  as_option(text);
  return 0;
}
