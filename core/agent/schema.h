/* schema.h - every key of an agent file, in one table.
 *
 * The reader of files and of the command's options, the two resources, the reference page, the JSON Schema, the manual
 * page and the completion are all made from it: a key that does not stand here does not exist.
 */
#ifndef MAG_AGENT_SCHEMA_H
#define MAG_AGENT_SCHEMA_H

#include "agent/definition.h"

#include <stddef.h>

enum mag_key_type {
  MAG_KEY_GROUP,    /* a mapping of other keys; nothing is kept for it */
  MAG_KEY_TEXT,     /* char * */
  MAG_KEY_PATH,     /* the same, absolute */
  MAG_KEY_CHOICE,   /* the same, one of `choices` */
  MAG_KEY_TEXTS,    /* char *: JSON array of strings; a single value stands for a list of one */
  MAG_KEY_LIST,     /* char *: JSON array */
  MAG_KEY_TEXT_MAP, /* char *: JSON object of strings; other scalars become strings */
  MAG_KEY_MAP,      /* char *: JSON object */
  MAG_KEY_NUMBER,   /* int64_t, from 1 on; 0: not said */
  MAG_KEY_CPU,      /* the same, thousandths */
  MAG_KEY_SIZE,     /* bytes */
  MAG_KEY_DURATION, /* milliseconds */
  MAG_KEY_MONEY,    /* millionths of the price table's currency */
  MAG_KEY_TRUTH,    /* 1 yes, -1 no, 0 not said */
  MAG_KEY_MODELS,   /* of the defaults file: which model by which variable is set */
};

/* Where a key may stand. */
#define MAG_IN_AGENT 0x1u    /* an agent file, options, the C interface */
#define MAG_IN_PROJECT 0x2u  /* a project's environment file */
#define MAG_IN_DEFAULTS 0x4u /* defaults.json */

#define MAG_KEY_LATE 0x10u    /* values may hold ${NAME}: kept as it is, filled in when used, never logged */
#define MAG_KEY_REST 0x20u    /* a map of all keys of its group that have no row of their own */
#define MAG_KEY_SHOWN 0x40u   /* stands in its resource also when nothing is said */
#define MAG_KEY_REFUSED 0x80u /* nothing of this version can do it: demand.c says so before anything is created */

enum mag_resource { MAG_NO_RESOURCE, MAG_AGENT, MAG_ENVIRONMENT };

struct mag_key {
  const char *path; /* "compute.memory" */
  enum mag_key_type type;
  uint32_t flags;
  size_t offset; /* in struct mag_definition */
  enum mag_resource resource;
  const char *wire;           /* where it stands there: "x_magent.memory" */
  const char *scalar;         /* of a group: the path of the key that a plain value stands for, or NULL */
  const char *const *choices; /* NULL-terminated */
  int64_t max;                /* characters of a text, or the greatest number; 0: no bound of its own */
  const char *option;         /* of `magent run`: "model", beside "set"; or NULL */
  const char *argument;       /* what the help calls its value */
  const char *otherwise;      /* what holds when nothing is said, for people; or NULL */
  const char *help;           /* one or two sentences */
};

/* The table ends with a row without path; groups stand before their keys. */
extern const struct mag_key mag_schema[];

/* NULL: no such key. */
const struct mag_key *mag_schema_find(struct mbp_str path);
/* "a size such as 512M": what a value must be. */
const char *mag_key_wanted(const struct mag_key *key);

static inline bool mag_key_is_text(const struct mag_key *key)
{
  return key->type >= MAG_KEY_TEXT && key->type <= MAG_KEY_MAP;
}
static inline bool mag_key_is_map(const struct mag_key *key)
{
  return key->type == MAG_KEY_TEXT_MAP || key->type == MAG_KEY_MAP;
}
static inline bool mag_key_is_number(const struct mag_key *key)
{
  return key->type >= MAG_KEY_NUMBER && key->type <= MAG_KEY_TRUTH;
}
static inline char **mag_key_text(struct mag_definition *definition, const struct mag_key *key)
{
  return (char **) (void *) ((char *) definition + key->offset);
}
static inline int64_t *mag_key_number(struct mag_definition *definition, const struct mag_key *key)
{
  return (int64_t *) (void *) ((char *) definition + key->offset);
}
/* Does the definition say it? */
bool mag_key_is_said(const struct mag_definition *definition, const struct mag_key *key);

#endif
