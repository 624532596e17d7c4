/* The layout of magent.h's structs against the table of embed_layout.h. */
#include <magent/magent.h>

#include "../lib/run.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct line {
  const char *type, *member; /* member NULL: the struct itself */
  size_t size, offset;       /* of the table */
  size_t now_size, now_offset;
} lines[] = {
#define STRUCT(type, size) {#type, NULL, size, 0, sizeof(struct type), 0},
#define MEMBER(type, member, offset, size)                                                                             \
  {#type, #member, size, offset, sizeof(((struct type *) 0)->member), offsetof(struct type, member)},
#define CONSTANT(name, value)
#include "embed_layout.h"
#undef STRUCT
#undef MEMBER
#undef CONSTANT
};

static const struct {
  const char *name;
  long value, now;
} constants[] = {
#define STRUCT(type, size)
#define MEMBER(type, member, offset, size)
#define CONSTANT(name, value) {#name, value, name},
#include "embed_layout.h"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(no_member_has_moved_or_changed)
{
  for (size_t i = 0; i < COUNT(lines); i++)
    ck_assert_msg(!lines[i].member ||
                      (lines[i].now_offset == lines[i].offset && lines[i].now_size == lines[i].size),
                  "struct %s: member %s is %zu bytes at %zu, was %zu at %zu: raise the SONAME, or add a new member at "
                  "the end",
                  lines[i].type, lines[i].member, lines[i].now_size, lines[i].now_offset, lines[i].size,
                  lines[i].offset);
}
END_TEST

/* A hole would hold whatever lay there once a new member is put into it. */
START_TEST(structs_have_no_holes_and_all_their_members_are_known)
{
  size_t end = 0, whole = 0;
  for (size_t i = 0; i < COUNT(lines); i++) {
    if (!lines[i].member) {
      ck_assert_msg(lines[i].now_size == lines[i].size, "struct %s has %zu bytes, was %zu: add its new members here",
                    lines[i].type, lines[i].now_size, lines[i].size);
      end = 0;
      whole = lines[i].now_size;
      continue;
    }
    ck_assert_msg(lines[i].now_offset == end, "struct %s: a hole or an unknown member before %s", lines[i].type,
                  lines[i].member);
    end += lines[i].now_size;
    bool last = i + 1 == COUNT(lines) || !lines[i + 1].member;
    ck_assert_msg(!last || end == whole, "struct %s: a hole or an unknown member at its end", lines[i].type);
  }
}
END_TEST

START_TEST(constants_keep_their_values)
{
  for (size_t i = 0; i < COUNT(constants); i++)
    ck_assert_msg(constants[i].now == constants[i].value, "%s is %ld, was %ld", constants[i].name, constants[i].now,
                  constants[i].value);
}
END_TEST

int main(void)
{
  if (sizeof(void *) != 8 || sizeof(size_t) != 8) {
    (void) puts("the table is of 64-bit platforms");
    return 77;
  }
  Suite *suite = suite_create("embed_layout");
  TCase *t = tcase_create("layout");
  tcase_add_test(t, no_member_has_moved_or_changed);
  tcase_add_test(t, structs_have_no_holes_and_all_their_members_are_known);
  tcase_add_test(t, constants_keep_their_values);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
