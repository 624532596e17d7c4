/* Server-sent events: every rule of the format, split at every byte. */
#include "../lib/run.h"
#include "base/cleanup.h"
#include "host/sse.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Events as "[event|data|id|retry]", fed in two pieces cut at `cut`, or byte by byte (cut < 0). */
static int render(const char *text, size_t len, long cut, struct mag_buf *out)
{
  struct mag_sse sse;
  int r = 0;
  mag_sse_init(&sse, 64);
  for (size_t at = 0; at < len && r >= 0;) {
    size_t n = cut < 0 ? 1 : at < (size_t) cut ? MAG_MIN((size_t) cut, len) - at : len - at, used;
    struct mbp_sse_event event;
    /* A copy of just these bytes, so that a sanitizer sees a read past them. */
    char *piece = malloc(n);
    ck_assert_ptr_nonnull(piece);
    memcpy(piece, text + at, n);
    r = mag_sse_feed(&sse, piece, n, &used, &event);
    if (r == 1) {
      mag_buf_add_char(out, '[');
      mag_buf_add_str(out, event.event);
      mag_buf_add_char(out, '|');
      mag_buf_add_str(out, event.data);
      mag_buf_add_char(out, '|');
      mag_buf_add_str(out, event.id);
      mag_buf_printf(out, "|%lld]", (long long) event.retry_ms);
    }
    free(piece);
    at += used;
  }
  mag_sse_done(&sse);
  return r < 0 ? r : 0;
}

static const struct {
  const char *text;
  size_t len; /* 0: strlen */
  const char *want;
} cases[] = {
    {"data: a\n\n", 0, "[|a||-1]"},
    {"event: e\ndata: a\n\n", 0, "[e|a||-1]"},
    {"data: a\r\rdata: b\r\n\r\ndata: c\n\r", 0, "[|a||-1][|b||-1][|c||-1]"},
    {"data: a\ndata:b\ndata:  c\n\n", 0, "[|a\nb\n c||-1]"},
    {"data\n\ndata:\ndata\n\n", 0, "[|||-1][|\n||-1]"},
    {": comment\ndata: a\n:\n\n", 0, "[|a||-1]"},
    {"event: e\n\ndata: a\n\n", 0, "[|a||-1]"}, /* no data, no event, and its name is forgotten */
    {"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", 0, "[|a|7|-1][|b|7|-1][|c||-1]"},
    {"id: a\0b\ndata: x\n\n", 17, "[|x||-1]"},
    {"retry: 1500\ndata: a\n\ndata: b\n\nretry: 1s\ndata: c\n\n", 0, "[|a||1500][|b||-1][|c||-1]"},
    {"\xef\xbb\xbf"
     "data: a\n\n",
     0, "[|a||-1]"},
    {"\xef\xbb"
     "data: a\n\ndata: b\n\n",
     0, "[|b||-1]"},
    {"\xef\xbb\xbf\xef\xbb\xbf"
     "data: a\n\n",
     0, ""},
    {"DATA: a\nfoo: b\n data: c\n\n", 0, ""},
    {"data: a\n", 0, ""}, /* not ended by a blank line */
    {"data: a\ndata: b", 0, ""},
    {"\n\r\n\r\r\ndata: {\"a\":1}\n\n", 0, "[|{\"a\":1}||-1]"},
    {"data: x:y: z\n\n", 0, "[|x:y: z||-1]"},
};

START_TEST(the_format_holds_wherever_it_is_split)
{
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);
    for (long cut = -1; cut <= (long) len; cut++) {
      mag_autobuf out = MAG_BUF_INIT;
      ck_assert_int_eq(render(cases[i].text, len, cut, &out), 0);
      ck_assert_msg(mbp_str_eq(mag_buf_str(&out), cases[i].want), "case %zu cut at %ld: %s", i, cut,
                    out.ptr ? out.ptr : "");
    }
  }
}
END_TEST

START_TEST(line_ends_of_every_kind_mean_the_same)
{
  static const char *const ends[] = {"\n", "\r", "\r\n"};
  for (unsigned mix = 0; mix < 27; mix++) {
    mag_autobuf text = MAG_BUF_INIT;
    mag_buf_printf(&text, "data: a%sdata: b%s%sdata: z\n\n", ends[mix % 3], ends[mix / 3 % 3], ends[mix / 9]);
    /* CR then LF is one line end: "a CR LF z" has no blank line between. */
    bool joined = mix / 3 % 3 == 1 && mix / 9 == 0;
    for (long cut = -1; cut <= (long) text.len; cut++) {
      mag_autobuf out = MAG_BUF_INIT;
      ck_assert_int_eq(render(text.ptr, text.len, cut, &out), 0);
      ck_assert_str_eq(out.ptr, joined ? "[|a\nb\nz||-1]" : "[|a\nb||-1][|z||-1]");
    }
  }
}
END_TEST

START_TEST(long_lines_and_events_are_refused)
{
  char text[256];
  mag_autobuf out = MAG_BUF_INIT;
  memset(text, 'x', sizeof(text)); /* a line without end */
  ck_assert_int_eq(render(text, 64, 1000, &out), 0);
  ck_assert_int_eq(render(text, 65, 1000, &out), -MBP_E_LIMIT);
  ck_assert_int_eq(render(text, 65, -1, &out), -MBP_E_LIMIT);
  text[100] = '\n';
  ck_assert_int_eq(render(text, 101, 1000, &out), -MBP_E_LIMIT);
  for (size_t i = 0; i < 11; i++) /* short lines, a long event: 11 * (6 + LF) */
    memcpy(text + i * 12, "data:abcdef\n", 12);
  ck_assert_int_eq(render(text, 9 * 12, 1000, &out), 0);
  ck_assert_int_eq(render(text, 11 * 12, 1000, &out), -MBP_E_LIMIT);
  ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(nothing_is_allocated_in_the_steady_state)
{
  static const char text[] = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
  struct mag_sse sse;
  struct mbp_sse_event event;
  size_t used;
  mag_sse_init(&sse, 0);
  ck_assert_int_eq(mag_sse_feed(&sse, text, strlen(text), &used, &event), 1);
  const char *data = event.data.ptr, *name = event.event.ptr;
  for (int i = 0; i < 1000; i++) {
    ck_assert_int_eq(mag_sse_feed(&sse, text, strlen(text), &used, &event), 1);
    ck_assert_uint_eq(used, strlen(text));
    ck_assert(event.data.ptr == data && event.event.ptr == name);
  }
  mag_sse_done(&sse);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sse");
  TCase *t = tcase_create("sse");
  tcase_add_test(t, the_format_holds_wherever_it_is_split);
  tcase_add_test(t, line_ends_of_every_kind_mean_the_same);
  tcase_add_test(t, long_lines_and_events_are_refused);
  tcase_add_test(t, nothing_is_allocated_in_the_steady_state);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
