/* The interface's layout against the table of layout.h. */
#include <magent/mbp-compute.h>
#include <magent/mbp-host.h>
#include <magent/mbp-llm.h>
#include <magent/mbp-store.h>
#include <magent/mbp-toolset.h>
#include <magent/mbp.h>

#include "../lib/run.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* One line of the table beside what the header says now. */
struct line {
  const char *type, *member; /* member NULL: the struct itself */
  bool frozen;
  size_t size, offset;         /* of the table */
  size_t now_size, now_offset; /* of the header */
};

static const struct line lines[] = {
#define STRUCT(type, size) {#type, NULL, false, size, 0, sizeof(struct type), 0},
#define FROZEN(type, size) {#type, NULL, true, size, 0, sizeof(struct type), 0},
#define MEMBER(type, member, offset, size)                                                                             \
  {#type, #member, false, size, offset, sizeof(((struct type *) 0)->member), offsetof(struct type, member)},
#define CONSTANT(name, value)
#define TEXT(name, value)
#include "layout.h"
#undef STRUCT
#undef FROZEN
#undef MEMBER
#undef CONSTANT
#undef TEXT
};

static const struct {
  const char *name;
  uint64_t value, now;
} constants[] = {
#define STRUCT(type, size)
#define FROZEN(type, size)
#define MEMBER(type, member, offset, size)
#define CONSTANT(name, value) {#name, value, (uint64_t) (name)},
#define TEXT(name, value)
#include "layout.h"
#undef CONSTANT
#undef TEXT
};

static const struct {
  const char *name, *value, *now;
} texts[] = {
#define CONSTANT(name, value)
#define TEXT(name, value) {#name, value, name},
#include "layout.h"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(no_member_has_moved_or_changed)
{
  for (size_t i = 0; i < COUNT(lines); i++) {
    const struct line *l = &lines[i];
    if (!l->member)
      continue;
    ck_assert_msg(l->now_offset == l->offset,
                  "struct %s: member %s is at %zu, was at %zu: nothing is reordered or put between (rule 2 of mbp.h)",
                  l->type, l->member, l->now_offset, l->offset);
    ck_assert_msg(l->now_size == l->size,
                  "struct %s: member %s has %zu bytes, had %zu: nothing is retyped; add a new member (rule 2 of mbp.h)",
                  l->type, l->member, l->now_size, l->size);
  }
}
END_TEST

START_TEST(structs_grow_only_where_they_may)
{
  for (size_t i = 0; i < COUNT(lines); i++) {
    const struct line *l = &lines[i];
    if (l->member)
      continue;
    ck_assert_msg(!l->frozen || l->now_size == l->size,
                  "struct %s has %zu bytes, had %zu: it has no `size` and is frozen (rule 1 of mbp.h)", l->type,
                  l->now_size, l->size);
    ck_assert_msg(l->now_size >= l->size, "struct %s has shrunk from %zu to %zu bytes (rule 2 of mbp.h)", l->type,
                  l->size, l->now_size);
    ck_assert_msg(l->now_size == l->size,
                  "struct %s has grown from %zu to %zu bytes: raise MBP_ABI_MINOR and add the new members to layout.h",
                  l->type, l->size, l->now_size);
  }
}
END_TEST

/* A hole at the end would be the trap of growing structs: an old plugin's sizeof would cover the first bytes of a new
 * member with whatever lay there. MBP_SIZE does not fall into it; without holes nobody can, and a member that is
 * missing in the table is seen. */
START_TEST(structs_have_no_holes)
{
  size_t end = 0;
  for (size_t i = 0; i < COUNT(lines); i++) {
    const struct line *l = &lines[i];
    if (!l->member) {
      end = 0;
      continue;
    }
    ck_assert_msg(l->now_offset == end,
                  "struct %s: %zu bytes before member %s are padding or not in layout.h: fill them with a reserved one",
                  l->type, l->now_offset - end, l->member);
    end += l->now_size;
    bool last = i + 1 == COUNT(lines) || !lines[i + 1].member;
    size_t whole = 0;
    for (size_t j = i; last && j-- > 0 && whole == 0;)
      whole = lines[j].member ? 0 : lines[j].now_size;
    ck_assert_msg(!last || end == whole,
                  "struct %s: %zu bytes at its end are padding or not in layout.h: end it with a reserved member",
                  l->type, whole - end);
  }
}
END_TEST

START_TEST(sized_structs_begin_with_their_size)
{
  for (size_t i = 0; i + 1 < COUNT(lines); i++)
    if (!lines[i].member && !lines[i].frozen)
      ck_assert_msg(strcmp(lines[i + 1].member, "size") == 0 && lines[i + 1].now_size == sizeof(uint32_t),
                    "struct %s does not begin with uint32_t size (rule 1 of mbp.h)", lines[i].type);
}
END_TEST

START_TEST(constants_and_names_keep_their_values)
{
  for (size_t i = 0; i < COUNT(constants); i++)
    ck_assert_msg(constants[i].now == constants[i].value,
                  "%s is 0x%llx, was 0x%llx: nothing is reused (rule 2 of mbp.h)", constants[i].name,
                  (unsigned long long) constants[i].now, (unsigned long long) constants[i].value);
  for (size_t i = 0; i < COUNT(texts); i++)
    ck_assert_msg(strcmp(texts[i].now, texts[i].value) == 0, "%s is \"%s\", was \"%s\"", texts[i].name, texts[i].now,
                  texts[i].value);
}
END_TEST

int main(void)
{
  if (sizeof(void *) != 8 || sizeof(size_t) != 8) {
    (void) puts("the table is of 64-bit platforms");
    return 77;
  }
  Suite *suite = suite_create("layout");
  TCase *t = tcase_create("layout");
  tcase_add_test(t, no_member_has_moved_or_changed);
  tcase_add_test(t, structs_grow_only_where_they_may);
  tcase_add_test(t, structs_have_no_holes);
  tcase_add_test(t, sized_structs_begin_with_their_size);
  tcase_add_test(t, constants_and_names_keep_their_values);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
