/* The small things that everything stands on: text, buffers, JSON. */
#include "../lib/run.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_members.h"
#include "base/text.h"
#include "base/thread.h"

#include <check.h>

static int parse(const char *text)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_json *document = NULL;
  int r = mag_json_parse(mbp_str(text), &document, &err);
  if (r == 0)
    mag_json_free(document);
  else
    ck_assert_msg(err.message[0] && err.code == -r, "no message for %s", text);
  return r;
}

START_TEST(json_accepts_what_the_rfc_accepts)
{
  static const char *const good[] = {
      "{}",
      "[]",
      " [ 1 , -0.5e+3 ] ",
      "\"\\u00e9\\ud83d\\ude00\"",
      "null",
      "true",
      "0",
      "{\"a\":{\"b\":[{}]}}",
      "\"\xc3\xa9\"",
  };
  for (size_t i = 0; i < MAG_COUNT(good); i++)
    ck_assert_msg(parse(good[i]) == 0, "refused: %s", good[i]);
}
END_TEST

START_TEST(json_refuses_what_cjson_lets_through)
{
  static const char *const bad[] = {
      "",
      " ",
      "{",
      "[1,]",
      "[1 2]",
      "{\"a\" 1}",
      "{\"a\":1,}",
      "{a:1}",
      "01",
      "+1",
      "1.",
      ".5",
      "1e",
      "nul",
      "tru",
      "'a'",
      "\"\\u0000\"",
      "\"\\ud800\"",
      "\"\\udc00\"",
      "\"\\x\"",
      "\"a\nb\"",
      "\"",
      "{} x",
      "[]]",
      "\"\xff\"",
      "\"\xc3\"",
      "{\"a\":1,\"a\":2}",
      "[{\"a\":{\"b\":1,\"b\":2}}]",
      "\xef\xbb\xbf{}",
  };
  for (size_t i = 0; i < MAG_COUNT(bad); i++)
    ck_assert_msg(parse(bad[i]) == -MBP_E_PROTOCOL, "accepted: %s", bad[i]);
  char deep[3 * MAG_JSON_DEPTH + 1];
  memset(deep, '[', sizeof(deep) - 1);
  deep[sizeof(deep) - 1] = 0;
  ck_assert_int_eq(parse(deep), -MBP_E_PROTOCOL);
}
END_TEST

/* Strings are looked through eight bytes at a time: what matters must be seen wherever it stands. */
START_TEST(json_sees_a_bad_byte_at_every_place)
{
  static const char bad[] = {'\n', 0x1f, '"', '\\', (char) 0xff, (char) 0xc3};
  for (size_t len = 1; len < 40; len++)
    for (size_t at = 1; at <= len; at++) {
      char text[64] = "\"";
      memset(text + 1, 'a', len);
      text[len + 1] = '"';
      ck_assert_int_eq(parse(text), 0);
      for (size_t i = 0; i < sizeof(bad); i++) {
        text[at] = bad[i];
        ck_assert_msg(parse(text) == -MBP_E_PROTOCOL, "byte %02x at %zu of %zu", (unsigned char) bad[i], at, len);
      }
      if (at < len) {
        memcpy(text + at, "\xc3\xa9", 2);
        ck_assert_int_eq(parse(text), 0);
        memcpy(text + at, "\\n", 2);
        ck_assert_int_eq(parse(text), 0);
      }
    }
}
END_TEST

static int read_members(const char *text)
{
  mag_automembers members = {0};
  return mag_json_members_read(&members, mbp_str(text), NULL);
}

START_TEST(json_members_are_found_without_a_tree)
{
  mag_automembers members = {0};
  struct mbp_str text =
      mbp_str(" {\"id\" : \"x\", \"t\":\"a\\n\\u00e9\",\"n\":{\"k\":[1,2]} ,\"big\":12345678901234567890}\n");
  ck_assert_int_eq(mag_json_members_read(&members, text, NULL), 0);
  ck_assert_uint_eq(members.n, 4);
  ck_assert(mbp_str_eq(mag_json_member_str(&members, "id"), "x"));
  ck_assert(mbp_str_eq(mag_json_member_str(&members, "t"), "a\n\xc3\xa9"));
  ck_assert(mbp_str_eq(mag_json_member_str(&members, "n"), ""));
  ck_assert(mbp_str_eq(mag_json_member_raw(&members, "n"), "{\"k\":[1,2]}"));
  ck_assert(mbp_str_eq(mag_json_member_raw(&members, "big"), "12345678901234567890"));
  ck_assert_uint_eq(mag_json_count(mag_json_get(mag_json_member_tree(&members, "n"), "k")), 2);
  ck_assert_uint_eq(mag_json_member_raw(&members, "absent").len, 0);
  ck_assert_ptr_null(mag_json_member_tree(&members, "absent"));
}
END_TEST

START_TEST(json_members_refuse_what_is_no_object)
{
  static const char *const bad[] = {"",
                                    "[]",
                                    "1",
                                    "{",
                                    "{}x",
                                    "{\"a\"}",
                                    "{\"a\":}",
                                    "{\"a\":1",
                                    "{\"a\":1,}",
                                    "{,\"a\":1}",
                                    "{\"a\":1 \"b\":2}",
                                    "{\"a\":1,\"a\":2}",
                                    "{\"a\":\"\xff\"}",
                                    "{\"a\":\"\n\"}",
                                    "{\"a\":[1}"};
  mag_autobuf many = MAG_BUF_INIT;
  for (size_t i = 0; i < MAG_COUNT(bad); i++)
    ck_assert_msg(read_members(bad[i]) == -MBP_E_PROTOCOL, "accepted: %s", bad[i]);
  ck_assert_int_eq(read_members("{}"), 0);
  for (unsigned i = 0; i < 100; i++)
    mag_buf_printf(&many, "%s\"k%u\":%u", i ? "," : "{", i, i);
  mag_buf_add_char(&many, '}');
  ck_assert_int_eq(read_members(many.ptr), 0);
  many.ptr[many.len - 1] = ',';
  mag_buf_add_text(&many, "\"k7\":0}");
  ck_assert_int_eq(read_members(many.ptr), -MBP_E_PROTOCOL);
}
END_TEST

START_TEST(json_slices_keep_every_digit)
{
  struct mbp_str text = mbp_str("{\"a\":[1, {\"id\" : 12345678901234567890 }],\"b\":\"x\"}"), slice;
  ck_assert_int_eq(mag_json_slice(text, "a/1/id", &slice), 1);
  ck_assert(mbp_str_eq(slice, "12345678901234567890"));
  ck_assert_int_eq(mag_json_slice(text, "b", &slice), 1);
  ck_assert(mbp_str_eq(slice, "\"x\""));
  ck_assert_int_eq(mag_json_slice(text, "a/2", &slice), 0);
  ck_assert_int_eq(mag_json_slice(text, "b/c", &slice), 0);
  ck_assert_int_eq(mag_json_slice(mbp_str("[ ]"), "0", &slice), 0);
}
END_TEST

START_TEST(json_writes_what_it_reads)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "s", mbp_str_n("q\" \\ \n \x01 \xc3\xa9\" \xff \0 end", 20));
  mag_writer_array(w, "a");
  mag_writer_number(w, NULL, INT64_MIN);
  mag_writer_null(w, NULL);
  mag_writer_end(w);
  mag_writer_boolean(w, "t", 1);
  mag_writer_raw(w, "r", mbp_str("{\"n\":1}"));
  mag_writer_end(w);
  ck_assert_int_eq(mag_writer_text(w, &text), 0);
  ck_assert_int_eq(parse(text.ptr), 0);
  ck_assert_msg(strstr(text.ptr, "\xc3\xa9\\\"") && strstr(text.ptr, "\xef\xbf\xbd"), "%s", text.ptr);
  ck_assert_ptr_nonnull(strstr(text.ptr, "[-9223372036854775808,null],\"t\":true,\"r\":{\"n\":1}}"));
}
END_TEST

START_TEST(json_writer_refuses_what_is_not_balanced)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  ck_assert_int_eq(mag_writer_text(w, &text), -MBP_E_INTERNAL);
  mag_writer_number(w, NULL, 1); /* no key in an object */
  mag_writer_end(w);
  ck_assert_int_eq(mag_writer_text(w, &text), -MBP_E_INTERNAL);
}
END_TEST

START_TEST(utf8_ends_before_halves_and_errors)
{
  ck_assert_uint_eq(mag_utf8_valid_prefix("a\xe2\x82", 3), 1);
  ck_assert_uint_eq(mag_utf8_valid_prefix("a\xff", 2), 1);
  ck_assert(!mag_utf8_valid("\xc0\xaf", 2));
  ck_assert(!mag_utf8_valid("\xed\xa0\x80", 3));
  ck_assert(!mag_utf8_valid("\xf4\x90\x80\x80", 4));
  ck_assert(mag_utf8_valid("\xf4\x8f\xbf\xbf", 4));
}
END_TEST

START_TEST(globs_match_whole_names)
{
  ck_assert(mag_glob_match("claude-*", mbp_str("claude-haiku-4-5")));
  ck_assert(mag_glob_match("*a*b", mbp_str("xaaxb")));
  ck_assert(!mag_glob_match("claude-*", mbp_str("xclaude-1")));
  ck_assert(!mag_glob_match("gpt-?", mbp_str("gpt-")));
}
END_TEST

START_TEST(numbers_with_units)
{
  int64_t v;
  ck_assert_int_eq(mag_parse_size(mbp_str("64M"), &v), 0);
  ck_assert_int_eq(v, 64 << 20);
  ck_assert_int_eq(mag_parse_duration(mbp_str("5m"), &v), 0);
  ck_assert_int_eq(v, 300000);
  ck_assert_int_eq(mag_parse_size(mbp_str("99999999999999T"), &v), -MBP_E_INVALID);
  ck_assert_int_eq(mag_parse_size(mbp_str("5Q"), &v), -MBP_E_INVALID);
  ck_assert_int_eq(mag_parse_int(mbp_str("-9223372036854775808"), &v), 0);
  ck_assert(v == INT64_MIN);
  ck_assert_int_eq(mag_parse_int(mbp_str("9223372036854775808"), &v), -MBP_E_INVALID);
}
END_TEST

START_TEST(amounts_are_exact_to_a_millionth)
{
  static const struct {
    const char *text;
    int64_t micros;
  } good[] = {{"0", 0},
              {"3", 3000000},
              {"0.25", 250000},
              {"0.000001", 1},
              {"2.50", 2500000},
              {"007.1", 7100000},
              {"9223372036854.775807", INT64_MAX}};
  static const char *const bad[] = {"",
                                    ".",
                                    "1.",
                                    ".5",
                                    "-1",
                                    "+1",
                                    "1e3",
                                    "0.0000001",
                                    "1.2.3",
                                    " 1",
                                    "1 ",
                                    "9223372036854.775808",
                                    "99999999999999999999",
                                    "x"};
  int64_t v;
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    ck_assert_msg(mag_parse_micros(mbp_str(good[i].text), &v) == 0, "%s", good[i].text);
    ck_assert_int_eq(v, good[i].micros);
  }
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(mag_parse_micros(mbp_str(bad[i]), &v) == -MBP_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(amounts_have_two_decimals_or_as_many_as_it_takes)
{
  static const struct {
    int64_t micros;
    const char *text;
  } rows[] = {{0, "0.00"},      {1, "0.000001"},         {500000, "0.50"},          {2500000, "2.50"},
              {1230000, "1.23"}, {1234000, "1.234"}, {12000000, "12.00"}, {INT64_MAX, "9223372036854.775807"}};
  for (size_t i = 0; i < MAG_COUNT(rows); i++) {
    mag_autofree char *text = mag_micros_text(rows[i].micros);
    int64_t back = -1;
    ck_assert_str_eq(text, rows[i].text);
    ck_assert_int_eq(mag_parse_micros(mbp_str(text), &back), 0);
    ck_assert_int_eq(back, rows[i].micros);
  }
  ck_assert_str_eq(mag_plural(0), "s");
  ck_assert_str_eq(mag_plural(1), "");
  ck_assert_str_eq(mag_plural(2), "s");
}
END_TEST

START_TEST(times_are_read_as_they_are_written)
{
  static const char *const bad[] = {"",
                                    "2026",
                                    "2026-13-01",
                                    "2026-02-29",
                                    "2026-1-1",
                                    "2026-01-01T",
                                    "2026-01-01T1",
                                    "2026-01-01T24:00",
                                    "2026-01-01 10:00",
                                    "x026-01-01",
                                    "2026-01-01T10:00+01"};
  char text[MAG_TIME_TEXT];
  int64_t ms;
  ck_assert_int_eq(mag_clock_parse("2026-11-23T04:33:57.123Z", &ms), 0);
  mag_clock_format(ms, text);
  ck_assert_str_eq(text, "2026-11-23T04:33:57.123Z");
  ck_assert_int_eq(mag_clock_parse("2024-02-29", &ms), 0);
  mag_clock_format(ms, text);
  ck_assert_str_eq(text, "2024-02-29T00:00:00.000Z");
  ck_assert_int_eq(mag_clock_parse("2026-11-23T04:33Z", &ms), 0);
  ck_assert_int_eq(ms % 60000, 0);
  ck_assert_int_eq(mag_clock_parse("2026-11-23T04:33:07", &ms), 0);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(mag_clock_parse(bad[i], &ms) == -MBP_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(errors_are_one_line_and_wrapped)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(mag_error(&err, MBP_E_AUTH, "no key\nset %s", "X"), -MBP_E_AUTH);
  ck_assert_int_eq(mag_error_wrap(&err, "llm '%s'", "x"), -MBP_E_AUTH);
  ck_assert_str_eq(err.message, "llm 'x': no key set X");
  /* C1 controls are controls too; what only begins like one is not. */
  (void) mag_error(&err, MBP_E_AUTH,
                   "a\xc2\x9b"
                   "2Jb\xc2\x80\xc2\x85\xc2\x9f"
                   "c\xc2\xa0\xc3\x9f\xe2\x82\xac\xc2");
  ck_assert_str_eq(err.message, "a 2Jb   c\xc2\xa0\xc3\x9f\xe2\x82\xac");
  struct mbp_error from = MAG_ERROR_INIT;
  from.code = MBP_E_RATE;
  memcpy(from.message,
         "\xc2\x9b"
         "2J",
         5);
  (void) mag_error_import(&err, &from);
  ck_assert_str_eq(err.message, " 2J");
}
END_TEST

START_TEST(nearest_name_is_offered)
{
  static const char *const names[] = {"model", "system", "tools", NULL};
  ck_assert_int_eq(mag_nearest("modle", names), 0);
  ck_assert_int_eq(mag_nearest("zzzzzz", names), -1);
}
END_TEST

/* It lies in the stacks of all threads. */
static _Thread_local char local_storage[1 << 20];

static void *use_stack(void *argument)
{
  volatile char stack[160 << 10];
  for (size_t i = 0; i < sizeof(stack); i += 512)
    stack[i] = local_storage[i] = 1;
  *(bool *) argument = stack[0] && local_storage[512];
  return NULL;
}

START_TEST(a_small_stack_has_room_in_a_program_with_much_thread_local_storage)
{
  pthread_t thread;
  bool used = false;
  ck_assert_int_eq(mag_thread_start(use_stack, &used, &thread), 0);
  ck_assert_int_eq(pthread_join(thread, NULL), 0);
  ck_assert(used && !local_storage[512]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base");
  TCase *t = tcase_create("base");
  tcase_add_test(t, json_accepts_what_the_rfc_accepts);
  tcase_add_test(t, json_refuses_what_cjson_lets_through);
  tcase_add_test(t, json_sees_a_bad_byte_at_every_place);
  tcase_add_test(t, json_members_are_found_without_a_tree);
  tcase_add_test(t, json_members_refuse_what_is_no_object);
  tcase_add_test(t, json_slices_keep_every_digit);
  tcase_add_test(t, json_writes_what_it_reads);
  tcase_add_test(t, json_writer_refuses_what_is_not_balanced);
  tcase_add_test(t, utf8_ends_before_halves_and_errors);
  tcase_add_test(t, globs_match_whole_names);
  tcase_add_test(t, numbers_with_units);
  tcase_add_test(t, amounts_are_exact_to_a_millionth);
  tcase_add_test(t, amounts_have_two_decimals_or_as_many_as_it_takes);
  tcase_add_test(t, times_are_read_as_they_are_written);
  tcase_add_test(t, errors_are_one_line_and_wrapped);
  tcase_add_test(t, nearest_name_is_offered);
  tcase_add_test(t, a_small_stack_has_room_in_a_program_with_much_thread_local_storage);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
