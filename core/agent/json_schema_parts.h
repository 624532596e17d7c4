/* json_schema_parts.h - what loading and checking a schema share. Private to them. */
#ifndef MAG_AGENT_JSON_SCHEMA_PARTS_H
#define MAG_AGENT_JSON_SCHEMA_PARTS_H

#include "agent/json_schema.h"
#include "agent/pattern.h"
#include "base/json.h"

/* A `pattern`, or a key of `patternProperties`, where it stands in the document. */
struct mag_schema_pattern {
  const struct mbp_json *where;
  struct mag_pattern *pattern;
};

struct mag_schema {
  struct mbp_json *document;
  struct mag_schema_pattern *patterns;
  size_t n_patterns;
};

const struct mag_pattern *mag_schema_pattern(const struct mag_schema *schema, const struct mbp_json *where);

/* The place that a $ref names, or NULL. */
const struct mbp_json *mag_schema_resolve(const struct mag_schema *schema, struct mbp_str reference);

/* Adds "/key" to a JSON pointer, with what pointers and lines escape; keys are cut at a bound. */
void mag_schema_path_key(struct mag_buf *path, struct mbp_str key);

#endif
