/* Negotiation, on descriptors made in memory. */
#include "../lib/run.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "loader/check.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int a_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                  struct mbp_error *err)
{
  (void) host;
  (void) config;
  (void) ret_instance;
  (void) err;
  return 0;
}
static void a_close(struct mbp_instance *instance)
{
  (void) instance;
}
static int an_op(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_llm_request *request,
                 struct mbp_error *err)
{
  (void) instance;
  (void) call;
  (void) request;
  (void) err;
  return 0;
}

static const struct mbp_llm_ops llm_ops = {.size = MBP_SIZE(struct mbp_llm_ops, count_tokens), .generate = an_op};
static const struct mbp_plugin good = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .kind = MBP_KIND_LLM,
    .kind_version = MBP_LLM_VERSION,
    .threads = MBP_THREADS_SERIAL,
    .name = "x",
    .version = "1",
    .license = "MIT",
    .origin = "here",
    .summary = "A plugin",
    .ops = &llm_ops,
    .open = a_open,
    .close = a_close,
};

static int check(const struct mbp_plugin *plugin, struct mbp_error *err)
{
  struct mag_plugin *copy = NULL;
  int r = mag_plugin_check(plugin, "/p/magent-llm-x.so", NULL, &copy, err);
  ck_assert((r == 0) == (copy != NULL));
  mag_plugin_free(copy);
  return r;
}

static void says(const struct mbp_plugin *plugin, const char *fragment)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = check(plugin, &err);
  ck_assert_msg(r != 0 && strstr(err.message, fragment), "%d: \"%s\" is not in \"%s\"", r, fragment, err.message);
  ck_assert_msg(strncmp(err.message, "/p/magent-llm-x.so: ", 20) == 0, "%s", err.message);
}

START_TEST(what_is_whole_passes)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(check(&good, &err) == 0, "%s", err.message);
}
END_TEST

START_TEST(a_newer_minor_passes_and_unknown_caps_are_ignored)
{
  struct mbp_plugin p = good;
  p.abi_minor = 500;
  p.caps = ~UINT64_C(0);
  ck_assert_int_eq(check(&p, NULL), 0);
}
END_TEST

START_TEST(the_first_fault_in_the_order_of_negotiation_is_told)
{
  struct mbp_plugin p = {0};
  says(&p, "size: found 0, expected ");
  p.size = good.size;
  p.abi_major = 9;
  says(&p, "abi_major: found 9, expected 0");
  p.abi_major = MBP_ABI_MAJOR;
  says(&p, "abi_minor: found 0, expected 1 or newer");
  p.abi_minor = MBP_ABI_MINOR;
  says(&p, "name: found nothing, expected [a-z0-9][a-z0-9-]*");
  p.name = "-x";
  says(&p, "version: found nothing");
  p.version = "1\n2";
  says(&p, "version: found control characters");
  p.version = "1";
  says(&p, "license: found nothing");
  p.license = "MIT";
  says(&p, "origin: found nothing");
  p.origin = "here";
  says(&p, "summary: found nothing, expected one line of text");
  p.summary = "A\033[1mplugin";
  says(&p, "summary: found control characters, expected one line of text");
  p.summary = "A plugin\xff";
  says(&p, "summary: found not UTF-8");
  p.summary = "A plugin\xc2\x9b";
  says(&p, "summary: found control characters");
  p.summary = "A plugin";
  says(&p, "name: found -x, expected [a-z0-9][a-z0-9-]*");
  p.name = "x";
  p.help = "\007";
  says(&p, "help: found control characters");
  p.help = "two\nlines";
  says(&p, "kind: found 0, expected compute, toolset, llm or store");
  p.kind = MBP_KIND_LLM;
  says(&p, "kind_version: found 0, expected 1 to 1 for kind llm");
  p.kind_version = 2;
  says(&p, "kind_version: found 2, expected 1 to 1 for kind llm");
  p.kind_version = 1;
  says(&p, "threads: found 0, expected an MBP_THREADS_ value");
  p.threads = MBP_THREADS_PARALLEL;
  says(&p, "open: found nothing, expected a function");
  p.open = a_open;
  says(&p, "close: found nothing, expected a function");
  p.close = a_close;
  says(&p, "ops: found nothing, expected a table of operations");
  struct mbp_llm_ops ops = {.size = 3};
  p.ops = &ops;
  says(&p, "ops.size: found 3, expected 8 to 4096");
  ops = llm_ops;
  ops.size = MBP_SIZE(struct mbp_llm_ops, generate) - 1;
  says(&p, "expected the end of a member: set it with MBP_SIZE");
  ops.size = 8; /* the slot is filled but not declared */
  says(&p, "required operation generate: found nothing, expected a function");
  ops.size = llm_ops.size;
  ck_assert_int_eq(check(&p, NULL), 0);
}
END_TEST

START_TEST(absent_is_null_and_newer_is_left_out)
{
  struct {
    struct mbp_llm_ops known;
    void *newer[4];
  } ops = {.known = llm_ops, .newer = {&ops, &ops, &ops, &ops}};
  ops.known.size = sizeof(ops);
  struct mbp_plugin p = good;
  p.ops = &ops;
  struct mag_plugin *copy = NULL;
  ck_assert_int_eq(mag_plugin_check(&p, "/p", NULL, &copy, NULL), 0);
  ck_assert_uint_eq(copy->declared_ops_size, sizeof(ops));
  ck_assert_ptr_null(copy->descriptor.info);
  ck_assert(copy->ops.llm.generate == an_op && !copy->ops.llm.list_models && copy->n_params == 0);
  ck_assert_ptr_null(copy->param_list[0]);
  mag_plugin_free(copy);
}
END_TEST

/* Every slot of a kind, filled with something. */
static void fill(void *ops, uint32_t size)
{
  for (size_t at = 8; at < size; at += sizeof(void (*)(void))) {
    memcpy((char *) ops + at, &llm_ops.generate, sizeof(llm_ops.generate));
  }
  memcpy(ops, &size, sizeof(size));
}

/* Behaviours 18, 20, 32. */
START_TEST(every_required_slot_of_every_kind_is_demanded)
{
  struct mbp_store_ops store;
  struct mbp_compute_ops compute;
  struct mbp_plugin p = good;
  fill(&store, MBP_SIZE(struct mbp_store_ops, doc_list));
  p.kind = MBP_KIND_STORE;
  p.ops = &store;
  ck_assert_int_eq(check(&p, NULL), 0);
  for (size_t at = 8; at < store.size; at += sizeof(void (*)(void))) {
    fill(&store, store.size);
    memset((char *) &store + at, 0, sizeof(void (*)(void)));
    says(&p, "required operation ");
  }
  struct mbp_compute_info info = {.size = MBP_SIZE(struct mbp_compute_info, isolation), .networks = MBP_NET_NONE};
  fill(&compute, MBP_SIZE(struct mbp_compute_ops, resize));
  p.kind = MBP_KIND_COMPUTE;
  p.ops = &compute;
  says(&p, "info.networks: found nothing, expected the network policies it enforces");
  p.info = &info;
  ck_assert_int_eq(check(&p, NULL), 0);
  compute.get = NULL;
  says(&p, "required operation get");
  fill(&compute, compute.size);
  compute.touch = NULL;
  compute.resize = NULL;
  compute.attach_process = NULL;
  compute.suspend = compute.resume = NULL;
  compute.snapshot = NULL;
  ck_assert_int_eq(check(&p, NULL), 0);
  static const struct {
    uint64_t cap;
    const char *slot;
  } promised[] = {
      {MBP_CAP_COMPUTE_REATTACH, "required operation attach_process"},
      {MBP_CAP_COMPUTE_SUSPEND, "required operation suspend"},
      {MBP_CAP_COMPUTE_SNAPSHOT, "required operation snapshot"},
      {MBP_CAP_COMPUTE_PTY, "required operation resize: found nothing, expected a function: `caps` promises it"},
  };
  for (size_t i = 0; i < MAG_COUNT(promised); i++) {
    p.caps = promised[i].cap;
    says(&p, promised[i].slot);
  }
}
END_TEST

START_TEST(a_toolset_states_its_type)
{
  struct mbp_toolset_ops ops;
  struct mbp_toolset_info info = {.size = MBP_SIZE(struct mbp_toolset_info, type), .type = ""};
  struct mbp_plugin p = good;
  fill(&ops, MBP_SIZE(struct mbp_toolset_ops, invoke));
  p.kind = MBP_KIND_TOOLSET;
  p.ops = &ops;
  says(&p, "info.type: found nothing");
  p.info = &info;
  says(&p, "info.type: found nothing");
  info.type = "t_20260401";
  ck_assert_int_eq(check(&p, NULL), 0);
  info.size = 12; /* half a pointer */
  says(&p, "info.size: found 12, expected 16 to 4096");
}
END_TEST

START_TEST(patterns_of_models_are_lines)
{
  const char *models[] = {"a-*", "", NULL};
  struct mbp_llm_info info = {.size = MBP_SIZE(struct mbp_llm_info, models), .models = models};
  struct mbp_plugin p = good;
  p.info = &info;
  says(&p, "info.models: found an empty pattern");
  models[1] = "b\n";
  says(&p, "info.models: found control characters");
  models[1] = "b";
  ck_assert_int_eq(check(&p, NULL), 0);
}
END_TEST

START_TEST(parameters_are_checked)
{
  static const char *const choices[] = {"red", "green", NULL};
  static const char *const no_choices[] = {NULL};
  static const struct {
    struct mbp_param param;
    const char *fault; /* NULL: good */
  } cases[] = {
      {{.type = MBP_PARAM_STRING, .name = "a", .default_value = ""}, NULL},
      {{.type = 0, .name = "a"}, "parameter a: type: found 0"},
      {{.type = 10, .name = "a"}, "parameter a: type: found 10"},
      {{.type = MBP_PARAM_STRING}, "params[0].name: found nothing, expected [a-z][a-z0-9_]*"},
      {{.type = MBP_PARAM_STRING, .name = "A"}, "params[0].name: found A"},
      {{.type = MBP_PARAM_STRING, .name = "1a"}, "params[0].name: found 1a"},
      {{.type = MBP_PARAM_STRING, .name = "a", .env = "A=B"}, "parameter a: env: found a malformed name"},
      {{.type = MBP_PARAM_STRING, .name = "a", .env = "http_proxy"}, NULL},
      {{.type = MBP_PARAM_STRING, .name = "a", .help = ""}, "parameter a: help: found nothing"},
      {{.type = MBP_PARAM_STRING, .name = "a", .default_value = "a\nb"}, "parameter a: default: found control"},
      {{.type = MBP_PARAM_INT, .name = "a", .default_value = "1"}, NULL},
      {{.type = MBP_PARAM_INT, .name = "a", .default_value = "1s"}, "default: found 1s, expected a whole number"},
      {{.type = MBP_PARAM_INT, .name = "a", .default_value = "0", .min = 1, .max = 2}, "between min and max"},
      {{.type = MBP_PARAM_INT, .name = "a", .min = 3, .max = 2}, "parameter a: min: found more than max"},
      {{.type = MBP_PARAM_SIZE, .name = "a", .default_value = "64M"}, NULL},
      {{.type = MBP_PARAM_SIZE, .name = "a", .default_value = "64Q"}, "expected a size such as 64M"},
      {{.type = MBP_PARAM_DURATION, .name = "a", .default_value = "500ms"}, NULL},
      {{.type = MBP_PARAM_DURATION, .name = "a", .default_value = "later"}, "expected a duration such as 30s"},
      {{.type = MBP_PARAM_BOOL, .name = "a", .default_value = "yes"}, "expected true or false"},
      {{.type = MBP_PARAM_BOOL, .name = "a", .default_value = "false"}, NULL},
      {{.type = MBP_PARAM_CHOICE, .name = "a"}, "parameter a: choices: found nothing"},
      {{.type = MBP_PARAM_CHOICE, .name = "a", .choices = no_choices}, "parameter a: choices: found nothing"},
      {{.type = MBP_PARAM_CHOICE, .name = "a", .choices = choices, .default_value = "blue"}, "one of its choices"},
      {{.type = MBP_PARAM_CHOICE, .name = "a", .choices = choices, .default_value = "green"}, NULL},
      {{.type = MBP_PARAM_URL, .name = "a", .default_value = "example.org"}, "an http:, https: or unix: URL"},
      {{.type = MBP_PARAM_URL, .name = "a", .default_value = "https://example.org"}, NULL},
      {{.type = MBP_PARAM_PATH, .name = "a", .default_value = "@statedir@/x"}, NULL},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    struct mbp_param param = cases[i].param;
    param.size = MBP_SIZE(struct mbp_param, help);
    if (!param.help)
      param.help = "Help.";
    const struct mbp_param *params[] = {&param, NULL};
    struct mbp_plugin p = good;
    struct mbp_error err = MAG_ERROR_INIT;
    p.params = params;
    if (cases[i].fault)
      says(&p, cases[i].fault);
    else
      ck_assert_msg(check(&p, &err) == 0, "%zu: %s", i, err.message);
  }
}
END_TEST

START_TEST(a_table_of_parameters_is_bounded_and_without_doubles)
{
  struct mbp_param a = {.size = MBP_SIZE(struct mbp_param, help), .type = MBP_PARAM_STRING, .name = "a", .help = "H"};
  const struct mbp_param *params[MAG_PARAMS_MAX + 2] = {&a, &a};
  struct mbp_plugin p = good;
  p.params = params;
  says(&p, "parameter a: name: found it twice");
  for (size_t i = 0; i <= MAG_PARAMS_MAX; i++)
    params[i] = &a;
  says(&p, "params: found more than 256 entries");
  params[1] = NULL;
  a.size = 7;
  says(&p, "params[0].size: found 7, expected ");
}
END_TEST

START_TEST(file_names_fit_kind_and_name)
{
  struct mbp_str kind, name;
  ck_assert(mag_file_name_parse("magent-llm-a-b.so", &kind, &name));
  ck_assert(mbp_str_eq(kind, "llm") && mbp_str_eq(name, "a-b"));
  static const char *const bad[] = {"magent-.so", "magent-llm.so", "magent-llm-.so", "magent-llm-A.so", "magent--a.so",
                                    "Magent-llm-a.so", "magent-llm-a.so.1", "magent-llm-a", ".so", ""};
  for (size_t i = 0; i < MAG_COUNT(bad); i++)
    ck_assert_msg(!mag_file_name_parse(bad[i], &kind, &name), "%s", bad[i]);
}
END_TEST

START_TEST(a_long_path_does_not_push_the_fault_out_of_the_message)
{
  char path[3000];
  struct mag_plugin *copy = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_plugin p = good;
  p.license = "";
  memset(path, 'd', sizeof(path));
  (void) snprintf(path + 2900, 100, "/magent-llm-x.so");
  path[0] = '/';
  ck_assert_int_eq(mag_plugin_check(&p, path, NULL, &copy, &err), -MBP_E_INVALID);
  ck_assert_msg(strstr(err.message, "/magent-llm-x.so: license: found an empty string"), "%s", err.message);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("check");
  TCase *t = tcase_create("check");
  tcase_add_test(t, what_is_whole_passes);
  tcase_add_test(t, a_newer_minor_passes_and_unknown_caps_are_ignored);
  tcase_add_test(t, the_first_fault_in_the_order_of_negotiation_is_told);
  tcase_add_test(t, absent_is_null_and_newer_is_left_out);
  tcase_add_test(t, every_required_slot_of_every_kind_is_demanded);
  tcase_add_test(t, a_toolset_states_its_type);
  tcase_add_test(t, patterns_of_models_are_lines);
  tcase_add_test(t, parameters_are_checked);
  tcase_add_test(t, a_table_of_parameters_is_bounded_and_without_doubles);
  tcase_add_test(t, file_names_fit_kind_and_name);
  tcase_add_test(t, a_long_path_does_not_push_the_fault_out_of_the_message);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
