/* The shell's stream: the mark that ends a command, and head and tail of a long output. */
#include "plugins/toolset-agent/output.h"

#include "plugins/toolset-agent/agent_test.h"

#include <string.h>

START_TEST(a_mark_is_found_however_the_stream_is_split)
{
  static const char nonce[] = "0123456789abcdef0123456789abcdef";
  static const char stream[] = "a\x1e"
                               "b\x1e"
                               "0123\033[1mX\033[0m\x1e"
                               "0123456789abcdef0123456789abcdef 127\x1e"
                               "rest";
  size_t len = sizeof(stream) - 1;
  for (size_t split = 0; split <= len; split++) {
    struct scanner scanner;
    struct text fresh = {0};
    scanner_start(&scanner, nonce);
    size_t used = scanner_feed(&scanner, stream, split, &fresh);
    if (!scanner.found)
      used += scanner_feed(&scanner, stream + split, len - split, &fresh);
    ck_assert_int_eq(scanner.found, 1);
    ck_assert_int_eq(scanner.exit_code, 127);
    ck_assert_uint_eq(used, len - 4);
    ck_assert_str_eq(fresh.ptr, "ab0123X");
    text_done(&fresh);
  }
}
END_TEST

START_TEST(head_and_tail_meet_at_every_size)
{
  for (size_t total = 1; total < 30000; total += 997)
    for (size_t piece = 1; piece < 9000; piece = piece * 3 + 1) {
      struct collector collector = {.limit = 8192};
      struct text print = {0};
      char bytes[9000];
      size_t done = 0;
      while (done < total) {
        size_t n = piece < total - done ? piece : total - done;
        for (size_t i = 0; i < n; i++)
          bytes[i] = (char) ('a' + (done + i) % 26);
        (void) collector_add(&collector, bytes, n);
        done += n;
      }
      collector_print(&collector, "note", &print);
      if (total <= 8192) {
        ck_assert_uint_eq(print.len, total);
      } else {
        const char *head = strstr(print.ptr, "note]\n") + 6, *gap = strstr(print.ptr, "\n\n[... "),
                   *tail = strstr(print.ptr, "...]\n\n") + 6;
        size_t tail_len = print.len - (size_t) (tail - print.ptr);
        ck_assert_uint_eq((size_t) (gap - head), 2048);
        ck_assert_uint_eq(tail_len, 4096);
        for (size_t i = 0; i < 2048; i++)
          ck_assert_int_eq(head[i], 'a' + (int) (i % 26));
        for (size_t i = 0; i < tail_len; i++)
          ck_assert_int_eq(tail[i], 'a' + (int) ((total - tail_len + i) % 26));
      }
      text_done(&print);
      collector_done(&collector);
    }
}
END_TEST

void agent_output_tests(TCase *tests)
{
  tcase_add_test(tests, a_mark_is_found_however_the_stream_is_split);
  tcase_add_test(tests, head_and_tail_meet_at_every_size);
}
