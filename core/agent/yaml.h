/* yaml.h - YAML to JSON, for agent files. */
#ifndef MAG_AGENT_YAML_H
#define MAG_AGENT_YAML_H

#include <magent/mbp.h>

/* One document, core schema (null, booleans and numbers are what JSON can say; everything else is a string); aliases,
 * tags and keys that stand twice are refused. Every key and every item of a list stands in the JSON text on the line on
 * which it stands in the YAML, so that a later error can name it. Without libyaml only JSON is read. Errors are
 * "WHERE:LINE: message"; `where` "": "line LINE: message". Caller frees. */
int mag_yaml_to_json(struct mbp_str yaml, const char *where, char **ret_json, struct mbp_error *err);

#endif
