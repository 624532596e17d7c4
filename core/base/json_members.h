/* json_members.h - the members of one JSON object, found in its text in one pass: for who reads many texts and wants
 * little of each. What is asked for as a tree becomes one; all else stays bytes. */
#ifndef MAG_BASE_JSON_MEMBERS_H
#define MAG_BASE_JSON_MEMBERS_H

#include "base/json.h"

struct mag_json_member {
  struct mbp_str key, value; /* slices of the text; the key without its quotes, escapes as they stand */
  struct mbp_json *tree;     /* once it was asked for */
};

struct mag_json_members {
  struct mag_json_member *items;
  size_t n, cap;
};

/* `text` must stay until mag_json_members_done. Fails where mag_json_parse does, but for duplicate keys further down,
 * and for what is not an object. */
int mag_json_members_read(struct mag_json_members *members, struct mbp_str text, struct mbp_error *err);
void mag_json_members_done(struct mag_json_members *members);

/* Empty, NULL: no such member (or, for the tree, no memory). */
struct mbp_str mag_json_member_raw(const struct mag_json_members *members, const char *key);
const struct mbp_json *mag_json_member_tree(struct mag_json_members *members, const char *key);
/* A string's text; empty if it is none. */
struct mbp_str mag_json_member_str(struct mag_json_members *members, const char *key);

#define mag_automembers __attribute__((cleanup(mag_json_members_done))) struct mag_json_members

#endif
