/* yaml.h - YAML to JSON, for agent files. */
#ifndef MAG_AGENT_YAML_H
#define MAG_AGENT_YAML_H

#include <magent/mbp.h>

/* One document, core schema (null, booleans and numbers are what JSON can say; everything else is a string); anchors
 * and tags are refused. Without libyaml only JSON is read. Errors name the line. Caller frees. */
int mag_yaml_to_json(struct mbp_str yaml, char **ret_json, struct mbp_error *err);

#endif
