#include "base/json_members.h"

#include "base/error.h"
#include "base/json_scan.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define FEW 16 /* members: so many are compared each with each */

static int add(struct mag_json_members *members, struct mbp_str key, struct mbp_str value)
{
  if (members->n == members->cap) {
    size_t cap = members->cap ? 2 * members->cap : FEW;
    struct mag_json_member *items = realloc(members->items, cap * sizeof(*items));
    if (!items)
      return -MBP_E_NO_MEMORY;
    members->items = items;
    members->cap = cap;
  }
  members->items[members->n++] = (struct mag_json_member){.key = key, .value = value};
  return 0;
}

static int at(struct mag_json_scan *scan)
{
  mag_json_scan_space(scan);
  return scan->at < scan->len ? (unsigned char) scan->ptr[scan->at] : -1;
}

static bool take(struct mag_json_scan *scan, int c)
{
  bool there = at(scan) == c;
  scan->at += there;
  return there;
}

/* 1, 0: not an object, or -MBP_E_NO_MEMORY. */
static int scan_members(struct mag_json_members *members, struct mbp_str text)
{
  struct mag_json_scan scan = {text.ptr, text.len, 0, NULL};
  if (!take(&scan, '{'))
    return 0;
  for (bool more = at(&scan) != '}'; more; more = take(&scan, ',')) {
    (void) at(&scan);
    size_t key = scan.at + 1;
    if (mag_json_scan_string(&scan) < 0)
      return 0;
    size_t key_end = scan.at - 1;
    if (!take(&scan, ':'))
      return 0;
    mag_json_scan_space(&scan);
    size_t value = scan.at;
    if (mag_json_scan_value(&scan) < 0)
      return 0;
    if (add(members, mbp_str_n(text.ptr + key, key_end - key), mbp_str_n(text.ptr + value, scan.at - value)) < 0)
      return -MBP_E_NO_MEMORY;
  }
  return take(&scan, '}') && at(&scan) < 0;
}

static bool twice_in_few(const struct mag_json_members *members)
{
  for (size_t i = 0; i < members->n; i++)
    for (size_t j = 0; j < i; j++)
      if (mag_str_eq(members->items[i].key, members->items[j].key))
        return true;
  return false;
}

int mag_json_members_read(struct mag_json_members *members, struct mbp_str text, struct mbp_error *err)
{
  members->n = 0;
  int r = text.len && mag_utf8_valid(text.ptr, text.len) ? scan_members(members, text) : 0;
  if (r == 1 && members->n <= FEW && !twice_in_few(members))
    return 0;
  if (r < 0)
    return mag_error_no_memory(err);
  /* The long way knows what is wrong, or that nothing is. */
  mag_autojson document = NULL;
  bool object = r == 1;
  r = mag_json_parse(text, &document, err);
  return r < 0 || object ? r : mag_error(err, MBP_E_PROTOCOL, "not a JSON object");
}

void mag_json_members_done(struct mag_json_members *members)
{
  for (size_t i = 0; i < members->n; i++)
    mag_json_free(members->items[i].tree);
  free(members->items);
  *members = (struct mag_json_members){0};
}

static struct mag_json_member *find(const struct mag_json_members *members, const char *key)
{
  for (size_t i = 0; i < members->n; i++)
    if (mbp_str_eq(members->items[i].key, key))
      return &members->items[i];
  return NULL;
}

struct mbp_str mag_json_member_raw(const struct mag_json_members *members, const char *key)
{
  const struct mag_json_member *member = find(members, key);
  return member ? member->value : mbp_str("");
}

const struct mbp_json *mag_json_member_tree(struct mag_json_members *members, const char *key)
{
  struct mag_json_member *member = find(members, key);
  if (member && !member->tree)
    (void) mag_json_parse(member->value, &member->tree, NULL);
  return member ? member->tree : NULL;
}

struct mbp_str mag_json_member_str(struct mag_json_members *members, const char *key)
{
  struct mbp_str raw = mag_json_member_raw(members, key);
  if (raw.len < 2 || raw.ptr[0] != '"')
    return mbp_str("");
  if (memchr(raw.ptr, '\\', raw.len))
    return mag_json_str(mag_json_member_tree(members, key));
  return mbp_str_n(raw.ptr + 1, raw.len - 2);
}
