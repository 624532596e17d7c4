/* Which tools an entry of an agent turns on, and what is refused. */
#include "plugins/toolset-agent/agent_test.h"

#include "base/error.h"
#include "base/json.h"

#include <magent/mbp-toolset.h>
#include <stdio.h>
#include <string.h>

#define TYPE "{\"type\":\"agent_toolset_20260401\""

static int list_seen(void *ctx, const struct mbp_event *event)
{
  mag_autojson json = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(event->type, MBP_EV_TOOL);
  ck_assert_int_eq(mag_json_parse(event->data, &json, &err), 0);
  ck_assert_uint_gt(mag_json_str(mag_json_get(json, "description")).len, 80);
  ck_assert(mbp_str_eq(mag_json_str(mag_json_get(mag_json_get(json, "input_schema"), "type")), "object"));
  mag_buf_printf(ctx, "%.*s:%x ", (int) event->name.len, event->name.ptr, event->flags);
  return 0;
}

static struct mag_buf listed;

static int list(const char *config, struct mbp_error *err)
{
  const struct mbp_toolset_ops *ops = mag_instance_ops(toolset);
  struct mag_call_options options = {.sink = list_seen, .ctx = &listed};
  mag_buf_clear(&listed);
  mag_buf_add_text(&listed, "");
  mag_buf_reserve(&listed, 1);
  listed.ptr[0] = 0;
  mag_error_clear(err);
  return MAG_RUN(toolset, &options, err, ops->list_tools(plugin, call, mbp_str(config), err));
}

static void lists(const char *config, const char *wanted)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(list(config, &err) == 0, "%s", err.message);
  ck_assert_str_eq(listed.ptr, wanted);
}

static void refuses(const char *config, int code, const char *wanted)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(list(config, &err), -code);
  HAS(err.message, wanted);
  ck_assert_str_eq(listed.ptr, "");
}

#define NAME(n) "{\"name\":\"" n "\""

START_TEST(tools_are_enabled_and_disabled)
{
  const char *all = "bash:1 read:d write:9 edit:1 glob:d grep:d ";
  lists(TYPE "}", all);
  lists(TYPE ",\"default_config\":null,\"configs\":[]}", all);
  lists(TYPE ",\"default_config\":{\"enabled\":true,\"permission_policy\":{\"type\":\"always_ask\"}}}", all);
  lists(TYPE ",\"default_config\":{\"enabled\":false}}", "");
  lists(TYPE ",\"configs\":[" NAME("bash") ",\"enabled\":false}]}", "read:d write:9 edit:1 glob:d grep:d ");
  lists(TYPE ",\"default_config\":{\"enabled\":false},\"configs\":[" NAME(
            "read") ",\"type\":\"read\",\"enabled\":true}," NAME("grep") "}]}",
        "read:d ");
  lists(TYPE ",\"configs\":[" NAME("web_fetch") ",\"enabled\":false,\"allowed_domains\":[]}]}", all);
}
END_TEST

START_TEST(what_is_not_understood_is_refused)
{
  refuses(TYPE ",\"configs\":[" NAME("bsh") "}]}", MBP_E_INVALID, "unknown tool \"bsh\"; did you mean \"bash\"?");
  refuses(TYPE ",\"configs\":[" NAME("zzzzzzzz") "}]}", MBP_E_INVALID,
          "there are bash, read, write, edit, glob and grep");
  refuses(TYPE ",\"config\":[]}", MBP_E_INVALID, "\"config\"; did you mean \"configs\"?");
  refuses(TYPE ",\"configs\":[" NAME("bash") ",\"enable\":false}]}", MBP_E_INVALID, "did you mean \"enabled\"?");
  refuses(TYPE ",\"configs\":[" NAME("bash") ",\"enabled\":\"no\"}]}", MBP_E_INVALID, "true or false");
  refuses(TYPE ",\"configs\":[" NAME("bash") "}," NAME("bash") "}]}", MBP_E_INVALID, "twice");
  refuses(TYPE ",\"configs\":[" NAME("bash") ",\"type\":\"read\"}]}", MBP_E_INVALID, "type of bash");
  refuses(TYPE ",\"configs\":[{}]}", MBP_E_INVALID, "no name");
  refuses(TYPE ",\"configs\":{}}", MBP_E_INVALID, "array");
  refuses(TYPE ",\"configs\":[1]}", MBP_E_INVALID, "objects");
  refuses(TYPE ",\"default_config\":1}", MBP_E_INVALID, "default_config must be an object");
  refuses(TYPE ",\"default_config\":{\"permission_policy\":{\"type\":\"alway_allow\"}}}", MBP_E_INVALID,
          "did you mean \"always_allow\"?");
  refuses(TYPE ",\"default_config\":{\"permission_policy\":{\"kind\":\"x\"}}}", MBP_E_INVALID,
          "key in permission_policy");
  refuses(TYPE ",\"configs\":[" NAME("web_fetch") ",\"enabled\":true}]}", MBP_E_UNSUPPORTED, "web_fetch comes with");
  refuses(TYPE ",\"configs\":[" NAME("web_search") "}]}", MBP_E_UNSUPPORTED, "set its enabled to false");
  refuses("{\"type\":\"other\"}", MBP_E_INVALID, "type");
  refuses("{}", MBP_E_INVALID, "type");
  refuses("[]", MBP_E_INVALID, "object");
}
END_TEST

/* Names of other systems: this table never changes (behaviour 85). */
START_TEST(every_alias_means_the_same_for_ever)
{
  static const struct {
    const char *alias, *listed;
  } frozen[] = {{"execute_command", "bash:1 "}, {"read_file", "read:d "},  {"write_file", "write:9 "},
                {"apply_diff", "edit:1 "},      {"list_files", "glob:d "}, {"search_file", "grep:d "}};
  char config[256];
  for (size_t i = 0; i < sizeof(frozen) / sizeof(frozen[0]); i++) {
    (void) snprintf(config, sizeof(config),
                    TYPE ",\"default_config\":{\"enabled\":false},\"configs\":[{\"name\":\"%s\",\"enabled\":true}]}",
                    frozen[i].alias);
    lists(config, frozen[i].listed);
  }
  refuses(TYPE ",\"configs\":[" NAME("search_web") "}]}", MBP_E_UNSUPPORTED, "web_search comes with");
  refuses(TYPE ",\"configs\":[" NAME("search") "}]}", MBP_E_UNSUPPORTED, "web_search comes with");
  refuses(TYPE ",\"configs\":[" NAME("bash") "}," NAME("execute_command") "}]}", MBP_E_INVALID,
          "bash is named twice, here as \"execute_command\"");
  refuses(TYPE ",\"configs\":[" NAME("list_file") "}]}", MBP_E_INVALID, "did you mean \"list_files\"?");
}
END_TEST

START_TEST(a_disabled_tool_cannot_be_run)
{
  lists(TYPE ",\"configs\":[" NAME("bash") ",\"enabled\":false}]}", "read:d write:9 edit:1 glob:d grep:d ");
  invoke(&said, "bash", mbp_str("{\"command\":\"echo\"}"), false);
  ck_assert_int_eq(said.r, -MBP_E_NOT_FOUND);
  HAS(said.err.message, "disabled");
  invoke(&said, "format_disk", mbp_str("{}"), false);
  ck_assert_int_eq(said.r, -MBP_E_NOT_FOUND);
}
END_TEST

void agent_config_tests(TCase *tests)
{
  tcase_add_test(tests, tools_are_enabled_and_disabled);
  tcase_add_test(tests, what_is_not_understood_is_refused);
  tcase_add_test(tests, every_alias_means_the_same_for_ever);
  tcase_add_test(tests, a_disabled_tool_cannot_be_run);
}
