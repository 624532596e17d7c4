/* json_schema.h - JSON Schema (draft 2020-12) as far as the inputs of tools need it.
 *
 * Checked: type, enum, const, properties, required, additionalProperties, patternProperties, propertyNames,
 * minProperties, maxProperties, items, prefixItems, minItems, maxItems, uniqueItems, minLength, maxLength (in
 * characters), pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, anyOf, oneOf, allOf, not,
 * $ref to a place in the same document, $defs, definitions, and true and false as schemas.
 * Only told to the model: title, description, default, examples, format, deprecated, readOnly, writeOnly, $schema,
 * $comment, contentEncoding, contentMediaType, $id at the top, and x-...
 * Any other keyword could change what a schema means, so a schema that has it is refused by the keyword's name.
 */
#ifndef MAG_AGENT_JSON_SCHEMA_H
#define MAG_AGENT_JSON_SCHEMA_H

#include "base/buf.h"

struct mag_schema;
struct mbp_json;

#define MAG_SCHEMA_PROBLEMS 8 /* so many are told at once */

/* MBP_E_UNSUPPORTED names a keyword, MBP_E_INVALID what is wrong with one, MBP_E_LIMIT a bound. */
int mag_schema_new(struct mbp_str text, struct mag_schema **ret_schema, struct mbp_error *err);
void mag_schema_free(struct mag_schema *schema); /* accepts NULL */

/* Does the value hold? If not, `problems` gets lines such as "/items/2/name: expected string, got number". Bounded in
 * depth and work: what cannot be told within the bounds does not hold, and the line says so. Any thread. */
bool mag_schema_holds(const struct mag_schema *schema, const struct mbp_json *value, struct mag_buf *problems);

#endif
