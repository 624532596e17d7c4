/* custom_entry.h - the entry of a custom tool in an agent's "tools".
 *
 *   type: custom
 *   name: weather                      [A-Za-z0-9_-]{1,128}, not mcp__...
 *   description: ...
 *   input_schema: {type: object, ...}
 *   permission_policy: {type: ...}     always_allow, always_ask, always_deny
 *   read_only: true                    changes nothing: may run beside others, and again after a crash
 *   timeout: 30s
 *   command: [prog, arg] or "shell"    else it is answered by the program itself, or from outside
 *   run_on: sandbox or host
 *   env: {NAME: value}                 ${NAME} stands for a variable of this process, and its value for a secret
 *
 * The last three are for programs. They are magent's own, as are read_only and timeout.
 */
#ifndef MAG_AGENT_CUSTOM_ENTRY_H
#define MAG_AGENT_CUSTOM_ENTRY_H

#include "base/json.h"

#define MAG_CUSTOM_TIMEOUT_MS 120000
#define MAG_CUSTOM_ARGUMENTS 64
#define MAG_CUSTOM_KEY 64 /* bytes of a key's name */
#define MAG_CUSTOM_KEYS 10

struct mag_custom_key {
  const char *name;
  bool required;
  const char *schema; /* of its value, as JSON Schema, for editors: it allows all that is taken, and some more */
};
extern const struct mag_custom_key mag_custom_keys[MAG_CUSTOM_KEYS];

struct mag_custom_entry {
  struct mbp_json *json; /* checked */
  char *env; /* JSON object of the program's environment, or NULL */
  bool has_command, on_host;
  int64_t timeout_ms;
};

/* ret_key: of an entry that is refused the key at fault, which may be missing in it; or "". */
int mag_custom_entry_new(struct mbp_str text, struct mag_custom_entry **ret_entry, char ret_key[MAG_CUSTOM_KEY],
                         struct mbp_error *err);
void mag_custom_entry_free(struct mag_custom_entry *entry); /* accepts NULL */

#endif
