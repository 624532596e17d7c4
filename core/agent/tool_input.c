#include "agent/tool_input.h"

#include "base/cleanup.h"
#include "base/text.h"

/* The object without the members that are null and not required. */
static char *without_nulls(const struct mag_tool *tool, struct mbp_str input)
{
  mag_autowriter w = mag_writer_new();
  mag_autojson schema = NULL;
  struct mbp_str key, value;
  size_t at = 0;
  if (mag_json_parse(mbp_str(tool->schema), &schema, NULL) < 0)
    return NULL;
  mag_writer_object(w, NULL);
  while (mag_json_step(input, &at, &key, &value)) {
    mag_autofree char *name = mag_str_dup(key);
    bool dropped = mbp_str_eq(value, "null");
    if (!name)
      return NULL;
    for (const struct mbp_json *i = mag_json_first(mag_json_get(schema, "required")); i; i = mag_json_next(i))
      dropped &= !mag_str_eq(mag_json_str(i), key);
    if (!dropped)
      mag_writer_raw(w, name, value);
  }
  mag_writer_end(w);
  return mag_writer_take(w);
}

static bool fits(const struct mag_tool *tool, const char *input, struct mag_buf *problems)
{
  mag_autojson json = NULL;
  return input && mag_json_parse(mbp_str(input), &json, NULL) == 0 &&
         mag_schema_holds(tool->input_schema, json, problems);
}

int mag_tool_input(const struct mag_tool *tool, struct mbp_str input, char **ret_input, char **ret_problem)
{
  mag_autobuf problems = MAG_BUF_INIT;
  mag_autofree char *given = mag_str_dup(input);
  if (!given)
    return -MBP_E_NO_MEMORY;
  if (fits(tool, given, &problems)) {
    *ret_input = mag_steal(&given);
    return 1;
  }
  mag_autofree char *clean = without_nulls(tool, input);
  if (fits(tool, clean, NULL)) {
    *ret_input = mag_steal(&clean);
    return 1;
  }
  *ret_problem = mag_sprintf("The input does not fit the input_schema of %s, so it was not run:\n%s", tool->name,
                             problems.len ? problems.ptr : "");
  return *ret_problem ? 0 : -MBP_E_NO_MEMORY;
}
