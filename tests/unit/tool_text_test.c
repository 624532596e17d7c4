/* What is told of tools is kept once, however many sessions have them. */
#include "../lib/run.h"
#include "agent/tool_text.h"
#include "base/error.h"

#include <check.h>
#include <pthread.h>

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}"

static struct mag_tool_text *get(const char *name, const char *description, const char *schema)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_tool_text *text = NULL;
  ck_assert_msg(mag_tool_text_get(mbp_str(name), mbp_str(description), mbp_str(schema), &text, &err) == 0, "%s",
                err.message);
  ck_assert_str_eq(text->name, name);
  ck_assert_str_eq(text->description, description);
  ck_assert_str_eq(text->schema, schema);
  ck_assert_ptr_nonnull(text->input_schema);
  return text;
}

START_TEST(the_same_tool_is_kept_once)
{
  struct mag_tool_text *first = get("a", "does", SCHEMA), *again = get("a", "does", SCHEMA);
  struct mag_tool_text *others[] = {get("b", "does", SCHEMA), get("a", "does not", SCHEMA), get("a", "does", "{}")};
  ck_assert_ptr_eq(first, again);
  for (int i = 0; i < 3; i++)
    ck_assert_ptr_ne(first, others[i]);
  mag_tool_text_put(first);
  ck_assert_ptr_eq(get("a", "does", SCHEMA), again); /* still there for who has it */
  mag_tool_text_put(again);
  mag_tool_text_put(again);
  for (int i = 0; i < 3; i++)
    mag_tool_text_put(others[i]);
  mag_tool_text_put(NULL);
}
END_TEST

START_TEST(a_bad_schema_is_refused_and_not_kept)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_tool_text *text;
  for (int i = 0; i < 2; i++)
    ck_assert_int_lt(mag_tool_text_get(mbp_str("a"), mbp_str(""), mbp_str("{\"type\":7}"), &text, &err), 0);
}
END_TEST

static void *come_and_go(void *unused)
{
  static const char *const names[] = {"a", "b", "c"};
  for (int i = 0; i < 2000; i++)
    mag_tool_text_put(get(names[i % 3], "does", SCHEMA));
  return unused;
}

START_TEST(sessions_may_come_and_go_side_by_side)
{
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tool_text");
  TCase *t = tcase_create("tool_text");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, the_same_tool_is_kept_once);
  tcase_add_test(t, a_bad_schema_is_refused_and_not_kept);
  tcase_add_test(t, sessions_may_come_and_go_side_by_side);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
