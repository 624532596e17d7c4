/* What schemas allow and what they say about the rest: a table of our own, and the matching part of the official JSON
 * Schema test suite (draft 2020-12), where that is installed. */
#include "../lib/run.h"
#include "agent/custom_entry.h"
#include "agent/json_schema.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define SUITE "/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance/tests/draft2020-12"

static bool holds(const struct mag_schema *schema, const char *value, struct mag_buf *problems)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autojson json = NULL;
  ck_assert_msg(mag_json_parse(mbp_str(value), &json, &err) == 0, "%s: %s", value, err.message);
  return mag_schema_holds(schema, json, problems);
}

/* ---- Our own table -------------------------------------------------------------------------------------------- */

static const struct {
  const char *schema, *value, *problems; /* problems: NULL if the value holds */
} cases[] = {
    {"true", "1", NULL},
    {"false", "1", "the input: nothing is allowed here"},
    {"{}", "{\"a\":[null]}", NULL},
    {"{\"type\":\"string\"}", "5", "the input: expected string, got number"},
    {"{\"type\":[\"string\",\"null\"]}", "{}", "the input: expected string or null, got object"},
    {"{\"type\":\"integer\"}", "1.0", NULL},
    {"{\"type\":\"integer\"}", "1.5", "the input: expected integer, got a fraction"},
    {"{\"properties\":{\"items\":{\"items\":{\"properties\":{\"name\":{\"type\":\"string\"}}}}}}",
     "{\"items\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":3}]}", "/items/2/name: expected string, got number"},
    {"{\"properties\":{\"a/b~c\":{\"type\":\"null\"}}}", "{\"a/b~c\":1}", "/a~1b~0c: expected null, got number"},
    {"{\"required\":[\"a\",\"b\"]}", "{}",
     "the input: required property \"a\" is missing\nthe input: required property \"b\" is missing"},
    {"{\"properties\":{\"command\":{}},\"additionalProperties\":false}", "{\"comand\":1}",
     "the input: unknown property \"comand\"; did you mean \"command\"?"},
    {"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"x\":\"y\"}", "/x: expected number, got string"},
    {"{\"patternProperties\":{\"^x\":true},\"additionalProperties\":false}", "{\"xy\":1}", NULL},
    {"{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}", "the input: a property must not be named \"abc\""},
    {"{\"enum\":[\"a\",2,null,[1],true]}", "\"b\"", "the input: must be one of \"a\", 2, null, an array, true"},
    {"{\"const\":{\"a\":1,\"b\":[2.0]}}", "{\"b\":[2],\"a\":1.0}", NULL},
    {"{\"const\":\"yes\"}", "\"no\"", "the input: must be \"yes\""},
    {"{\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", NULL},
    {"{\"maxLength\":2}", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
     "the input: has 3 characters, must have at most 2"},
    {"{\"minItems\":2}", "[1]", "the input: has 1 item, must have at least 2"},
    {"{\"minimum\":1.5}", "1", "the input: is 1, must be at least 1.5"},
    {"{\"exclusiveMaximum\":1}", "1", "the input: is 1, must be less than 1"},
    {"{\"multipleOf\":0.01}", "19.99", NULL},
    {"{\"multipleOf\":1}", "1000000000000000.5", "the input: is 1e+15, must be a multiple of 1"},
    {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},1,{\"b\":2,\"a\":1}]", "the input: items 0 and 2 are equal"},
    {"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", "[\"a\",1,\"b\"]",
     "/2: expected number, got string"},
    {"{\"anyOf\":[{\"type\":\"string\"},{\"properties\":{\"n\":{\"type\":\"null\"}},\"type\":\"object\"}]}",
     "{\"n\":1}",
     "the input: fits no alternative of anyOf (the input: expected string, got object; or /n: expected null, got "
     "number)"},
    {"{\"oneOf\":[{\"type\":\"number\"},{\"minimum\":2}]}", "3",
     "the input: fits 2 alternatives of oneOf, must fit exactly one"},
    {"{\"not\":{\"type\":\"string\"}}", "\"x\"", "the input: fits what \"not\" excludes"},
    {"{\"allOf\":[{\"minimum\":2},{\"maximum\":1}]}", "1.5",
     "the input: is 1.5, must be at least 2\nthe input: is 1.5, must be at most 1"},
    {"{\"$defs\":{\"a b\":{\"type\":\"null\"}},\"$ref\":\"#/$defs/a%20b\"}", "1",
     "the input: expected null, got number"},
    /* A reference beside other keywords, a list that ends in itself, a circle that leads nowhere. */
    {"{\"$defs\":{\"n\":{\"type\":\"number\"}},\"$ref\":\"#/$defs/n\",\"minimum\":3}", "2",
     "the input: is 2, must be at least 3"},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}", "{\"v\":1,\"next\":{\"next\":{\"v\":1}}}",
     "/next: required property \"v\" is missing"},
    {"{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},\"$ref\":\"#/$defs/a\"}", "1",
     "the input: too much to check"},
    /* "too much" is never turned into "yes" by a not. */
    {"{\"not\":{\"$ref\":\"#\"}}", "1", "the input: too much to check"},
    {"{\"description\":\"d\",\"default\":1,\"format\":\"email\",\"x-mine\":{},\"$schema\":\"s\",\"$id\":\"i\"}", "1",
     NULL},
};

START_TEST(each_value_holds_or_the_line_says_where_and_why)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_schema *schema;
  mag_autobuf problems = MAG_BUF_INIT;
  ck_assert_msg(mag_schema_new(mbp_str(cases[_i].schema), &schema, &err) == 0, "%s: %s", cases[_i].schema, err.message);
  bool held = holds(schema, cases[_i].value, &problems);
  ck_assert_int_eq(held, cases[_i].problems == NULL);
  ck_assert_str_eq(problems.len ? problems.ptr : "", cases[_i].problems ? cases[_i].problems : "");
  ck_assert_int_eq(holds(schema, cases[_i].value, NULL), held);
  mag_schema_free(schema);
}
END_TEST

#ifdef HAVE_PCRE2
static const struct {
  const char *pattern, *text;
  bool match;
} patterns[] = {
    {"^\\d{3}-\\w+$", "123-ab", true},
    {"^\\d$", "\xd9\xa3", false},     /* digits are ASCII's */
    {"^.{2}$", "\xf0\x9f\x98\x80x", true}, /* characters, not bytes */
    {"^a$", "a\n", false},
    {"b", "abc", true},
    {"^(?=.*x)[a-z]+$", "axb", true},
    {"^\\u00e4\\u{1F600}$", "\xc3\xa4\xf0\x9f\x98\x80", true},
    {"^[^]$", "\n", true},
    {"^\\p{Lu}$", "\xc3\x84", true},
    {"^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", false},
};

START_TEST(patterns_are_ecmascripts)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_schema *schema;
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "pattern", mbp_str(patterns[_i].pattern));
  mag_writer_end(w);
  mag_writer_text(w, &text);
  ck_assert_msg(mag_schema_new(text, &schema, &err) == 0, "%s", err.message);
  mag_writer_reset(w);
  mag_writer_string(w, NULL, mbp_str(patterns[_i].text));
  mag_writer_text(w, &text);
  mag_autofree char *value = mag_str_dup(text);
  ck_assert_int_eq(holds(schema, value, NULL), patterns[_i].match);
  mag_schema_free(schema);
}
END_TEST
#endif

static const struct {
  const char *schema, *message;
} refused[] = {
    {"[]", "/: a schema must be an object, true or false"},
    {"{\"properties\":{\"a\":{\"if\":true}}}", "/properties/a/if: this keyword of JSON Schema is not supported"},
    {"{\"requird\":[]}", "/requird: this keyword of JSON Schema is not supported; did you mean \"required\"?"},
    {"{\"properties\":{\"a\":{\"$id\":\"x\"}}}", "/properties/a/$id: this keyword of JSON Schema is not supported"},
    {"{\"items\":[{}]}", "/items: a schema must be an object, true or false"},
    {"{\"type\":\"str\"}", "/type: type must be null, boolean, number, integer, string, array or object"},
    {"{\"minimum\":\"1\"}", "/minimum: must be a number"},
    {"{\"minLength\":-1}", "/minLength: must be a whole number from 0 on"},
    {"{\"exclusiveMinimum\":true}", "/exclusiveMinimum: must be a number"},
    {"{\"required\":\"a\"}", "/required: required must be a list of names"},
    {"{\"anyOf\":[]}", "/anyOf: must be a list of schemas"},
    {"{\"$ref\":\"http://example.com/s\"}", "/$ref: this must name a place in the same schema, by \"#\" or \"#/...\""},
    {"{\"$ref\":\"#/$defs/a\"}", "/$ref: \"#/$defs/a\" leads nowhere: there is no \"$defs\" at the top of the schema"},
    {"{\"$ref\":\"#/$defs/a/b\",\"$defs\":{\"c\":{}}}",
     "/$ref: \"#/$defs/a/b\" leads nowhere: there is no \"a\" in #/$defs"},
    {"{\"$ref\":\"#/\"}", "/$ref: \"#/\" leads nowhere: there is no \"\" at the top of the schema"},
    /* A place that no keyword would look at is checked as soon as a reference leads there. */
    {"{\"$ref\":\"#/x-hidden\",\"x-hidden\":{\"contains\":{}}}", "contains: this keyword"},
#ifdef HAVE_PCRE2
    {"{\"pattern\":\"(\"}", "/pattern: pattern \"(\", at byte 1: "},
    {"{\"pattern\":\"\\\\Z\"}", "has an escape that ECMAScript does not have"},
    {"{\"pattern\":\"(?>a)\"}", "has a group that ECMAScript does not have"},
    {"{\"pattern\":\"(*UCP)\"}", "has \"(*\""},
#endif
};

START_TEST(what_is_not_understood_is_refused_by_name)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_schema *schema;
  ck_assert_int_lt(mag_schema_new(mbp_str(refused[_i].schema), &schema, &err), 0);
  ck_assert_msg(strstr(err.message, refused[_i].message), "%s", err.message);
}
END_TEST

START_TEST(at_most_so_many_problems_are_told)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_schema *schema;
  mag_autobuf problems = MAG_BUF_INIT;
  size_t lines = 1;
  ck_assert_int_eq(mag_schema_new(mbp_str("{\"items\":{\"type\":\"string\"}}"), &schema, &err), 0);
  ck_assert(!holds(schema, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", &problems));
  for (size_t i = 0; i < problems.len; i++)
    lines += problems.ptr[i] == '\n';
  ck_assert_uint_eq(lines, MAG_SCHEMA_PROBLEMS);
  mag_schema_free(schema);
}
END_TEST

/* ---- The official suite --------------------------------------------------------------------------------------- */

/* Files all of whose schemas must be understood, but for so many. */
static const struct {
  const char *name;
  int refused;
} whole_files[] = {
    {"additionalProperties", 1}, /* dependentSchemas */
    {"allOf", 0},
    {"anyOf", 0},
    {"boolean_schema", 0},
    {"const", 0},
    {"default", 0},
    {"enum", 0},
    {"exclusiveMaximum", 0},
    {"exclusiveMinimum", 0},
    {"format", 0},
    {"infinite-loop-detection", 0},
    {"items", 0},
    {"maxItems", 0},
    {"maxLength", 0},
    {"maxProperties", 0},
    {"maximum", 0},
    {"minItems", 0},
    {"minLength", 0},
    {"minProperties", 0},
    {"minimum", 0},
    {"multipleOf", 0},
    {"not", 1}, /* unevaluatedProperties */
    {"oneOf", 0},
    {"pattern", 0},
    {"patternProperties", 0},
    {"prefixItems", 0},
    {"properties", 0},
    {"propertyNames", 0},
    {"required", 0},
    {"type", 0},
    {"uniqueItems", 0},
};

struct tally {
  int groups, refused, tests, wrong;
};

static void run_group(const char *file, struct mbp_str group, struct tally *tally)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_schema *schema;
  mag_autojson json = NULL;
  struct mbp_str text, tests, test, data;
  size_t at = 0;
  ck_assert_int_eq(mag_json_parse(group, &json, &err), 0);
  const char *about = mag_json_str(mag_json_get(json, "description")).ptr;
  ck_assert(mag_json_slice(group, "schema", &text) && mag_json_slice(group, "tests", &tests));
  tally->groups++;
  int r = mag_schema_new(text, &schema, &err);
  if (r < 0) {
    ck_assert_msg(r == -MBP_E_UNSUPPORTED, "%s: %s: %s", file, about, err.message);
    tally->refused++;
    return;
  }
  const struct mbp_json *told = mag_json_first(mag_json_get(json, "tests"));
  for (; mag_json_step(tests, &at, NULL, &test); told = mag_json_next(told)) {
    mag_autojson value = NULL;
    mag_autobuf problems = MAG_BUF_INIT;
    ck_assert(mag_json_slice(test, "data", &data));
    ck_assert_int_eq(mag_json_parse(data, &value, &err), 0);
    bool wanted = mag_json_truth(mag_json_get(told, "valid"), 0);
    tally->tests++;
    if (mag_schema_holds(schema, value, &problems) == wanted && (problems.len == 0) == wanted)
      continue;
    tally->wrong++;
    printf("%s: %s: %s: %s\n", file, about, mag_json_str(mag_json_get(told, "description")).ptr,
           problems.len ? problems.ptr : "holds");
  }
  mag_schema_free(schema);
}

static void run_file(const char *dir, const char *name, struct tally *tally)
{
  mag_autofree char *path = mag_sprintf("%s/%s.json", dir, name);
  mag_autobuf text = MAG_BUF_INIT;
  char chunk[8192];
  size_t n, at = 0;
  struct mbp_str group;
  FILE *file = fopen(path, "r");
  ck_assert_msg(file != NULL, "%s cannot be read", path);
  while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
    mag_buf_add(&text, chunk, n);
  fclose(file);
  while (mag_json_step(mag_buf_str(&text), &at, NULL, &group))
    run_group(name, group, tally);
}

START_TEST(the_official_suite_agrees)
{
  const char *dir = secure_getenv("MAGENT_SCHEMA_SUITE");
  struct tally all = {0};
  if (!dir)
    dir = SUITE;
  DIR *folder = opendir(dir);
  if (!folder) {
    printf("SKIPPED: no JSON Schema test suite in %s: install libtest-json-schema-acceptance-perl\n", dir);
    return;
  }
#ifndef HAVE_PCRE2
  printf("SKIPPED: the JSON Schema test suite needs patterns, and this build has none\n");
  return;
#endif
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    size_t len = strlen(entry->d_name), i = 0;
    if (len < 6 || strcmp(entry->d_name + len - 5, ".json") != 0 || strcmp(entry->d_name, "vocabulary.json") == 0)
      continue; /* a $schema of one's own means nothing here */
    entry->d_name[len - 5] = 0;
    struct tally tally = {0};
    run_file(dir, entry->d_name, &tally);
    while (i < MAG_COUNT(whole_files) && strcmp(whole_files[i].name, entry->d_name) != 0)
      i++;
    if (i < MAG_COUNT(whole_files))
      ck_assert_msg(tally.refused <= whole_files[i].refused, "%s: %d schemas were refused", entry->d_name,
                    tally.refused);
    all.groups += tally.groups;
    all.refused += tally.refused;
    all.tests += tally.tests;
    all.wrong += tally.wrong;
  }
  closedir(folder);
  printf("%d schemas, %d of them refused by name; %d values\n", all.groups, all.refused, all.tests);
  ck_assert_int_eq(all.wrong, 0);
  ck_assert_int_gt(all.tests, 700);
}
END_TEST

/* ---- For editors ------------------------------------------------------------------------------------------------ */

#define ENTRY(more)                                                                                                    \
  "{\"type\":\"custom\",\"name\":\"n\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}" more "}"

/* Do the values of an entry fit the schemas for editors? `key`: look at that one only. */
static bool fits(const char *entry, const char *key)
{
  bool all = true;
  mag_autobuf problems = MAG_BUF_INIT;
  for (size_t i = 0; i < MAG_CUSTOM_KEYS; i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mag_schema *schema = NULL;
    struct mbp_str value;
    int r = mag_schema_new(mbp_str(mag_custom_keys[i].schema), &schema, &err);
    ck_assert_msg(r == 0, "%s: %s", mag_custom_keys[i].name, err.message);
    bool there = mag_json_slice(mbp_str(entry), mag_custom_keys[i].name, &value);
    mag_autofree char *text = there ? mag_str_dup(value) : NULL;
    if (there && (!key || strcmp(key, mag_custom_keys[i].name) == 0))
      all &= holds(schema, text, &problems);
    else if (!there)
      ck_assert_msg(!mag_custom_keys[i].required, "%s is needed", mag_custom_keys[i].name);
    mag_schema_free(schema);
  }
  return all;
}

static bool is_taken(const char *text)
{
  struct mag_custom_entry *entry = NULL;
  char key[MAG_CUSTOM_KEY];
  if (mag_custom_entry_new(mbp_str(text), &entry, key, NULL) < 0)
    return false;
  mag_custom_entry_free(entry);
  return true;
}

START_TEST(editors_are_told_what_a_custom_tool_may_be)
{
  static const char *const good[] = {
      ENTRY(""),
      ENTRY(",\"read_only\":true,\"timeout\":\"30s\",\"permission_policy\":{\"type\":\"always_ask\"}"),
      ENTRY(",\"timeout\":30,\"command\":\"cat\",\"run_on\":\"host\",\"env\":{\"A\":\"x\"}"),
      ENTRY(",\"command\":[\"cat\",\"-\"],\"run_on\":\"sandbox\""),
  };
  static const struct {
    const char *key, *entry;
  } bad[] = {
      {"name",
       "{\"type\":\"custom\",\"name\":\"a b\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}}"},
      {"description",
       "{\"type\":\"custom\",\"name\":\"a\",\"description\":\"\",\"input_schema\":{\"type\":\"object\"}}"},
      {"input_schema",
       "{\"type\":\"custom\",\"name\":\"a\",\"description\":\"d\",\"input_schema\":{\"type\":\"array\"}}"},
      {"read_only", ENTRY(",\"read_only\":1")},
      {"timeout", ENTRY(",\"timeout\":[]")},
      {"command", ENTRY(",\"command\":[]")},
      {"command", ENTRY(",\"command\":[1]")},
      {"run_on", ENTRY(",\"command\":\"cat\",\"run_on\":\"moon\"")},
      {"env", ENTRY(",\"command\":\"cat\",\"env\":{\"A\":1}")},
  };
  for (size_t i = 0; i < MAG_COUNT(good); i++)
    ck_assert_msg(is_taken(good[i]) && fits(good[i], NULL), "%s", good[i]);
  for (size_t i = 0; i < MAG_COUNT(bad); i++)
    ck_assert_msg(!is_taken(bad[i].entry) && !fits(bad[i].entry, bad[i].key), "%s", bad[i].entry);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("json_schema");
  TCase *tests = tcase_create("json_schema");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, each_value_holds_or_the_line_says_where_and_why, 0, MAG_COUNT(cases));
#ifdef HAVE_PCRE2
  tcase_add_loop_test(tests, patterns_are_ecmascripts, 0, MAG_COUNT(patterns));
#endif
  tcase_add_loop_test(tests, what_is_not_understood_is_refused_by_name, 0, MAG_COUNT(refused));
  tcase_add_test(tests, at_most_so_many_problems_are_told);
  tcase_add_test(tests, editors_are_told_what_a_custom_tool_may_be);
  tcase_add_test(tests, the_official_suite_agrees);
  suite_add_tcase(suite, tests);
  return run_suite(suite);
}
