/* The JSON Schema of agent files, for editors: draft 2020-12. */
#include "reference.h"

#include "agent/custom_entry.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

static void write_types(struct mbp_writer *w, const char *one, const char *two)
{
  mag_writer_array(w, "type");
  mag_writer_string(w, NULL, mbp_str(one));
  mag_writer_string(w, NULL, mbp_str(two));
  mag_writer_end(w);
}

static void write_texts(struct mbp_writer *w)
{
  write_types(w, "string", "array");
  mag_writer_object(w, "items");
  mag_writer_string(w, "type", mbp_str("string"));
  mag_writer_end(w);
}

static void write_custom_tool(struct mbp_writer *w)
{
  mag_writer_object(w, NULL);
  mag_writer_string(w, "type", mbp_str("object"));
  mag_writer_array(w, "required");
  for (size_t i = 0; i < MAG_CUSTOM_KEYS; i++)
    if (mag_custom_keys[i].required)
      mag_writer_string(w, NULL, mbp_str(mag_custom_keys[i].name));
  mag_writer_end(w);
  mag_writer_object(w, "properties");
  for (size_t i = 0; i < MAG_CUSTOM_KEYS; i++)
    mag_writer_raw(w, mag_custom_keys[i].name, mbp_str(mag_custom_keys[i].schema));
  mag_writer_end(w);
  mag_writer_boolean(w, "additionalProperties", false);
  mag_writer_end(w);
}

/* A tool's name, a custom tool, or a toolset, whose plugin knows its keys. */
static void write_tools(struct mbp_writer *w)
{
  mag_writer_object(w, "items");
  mag_writer_array(w, "anyOf");
  mag_writer_raw(w, NULL, mbp_str("{\"type\":\"string\"}"));
  write_custom_tool(w);
  mag_writer_raw(w, NULL,
                 mbp_str("{\"type\":\"object\",\"required\":[\"type\"],"
                         "\"properties\":{\"type\":{\"type\":\"string\",\"not\":{\"const\":\"custom\"}}}}"));
  mag_writer_end(w);
  mag_writer_end(w);
}

/* The members of a value's schema. */
static void write_value(struct mbp_writer *w, const struct mag_key *key)
{
  switch (key->type) {
  case MAG_KEY_CHOICE:
    mag_writer_array(w, "enum");
    for (const char *const *choice = key->choices; *choice; choice++)
      mag_writer_string(w, NULL, mbp_str(*choice));
    mag_writer_end(w);
    break;
  case MAG_KEY_TEXTS:
    write_texts(w);
    break;
  case MAG_KEY_LIST:
    mag_writer_string(w, "type", mbp_str("array"));
    if (key->max)
      mag_writer_number(w, "maxItems", key->max);
    if (strcmp(key->path, "tools") == 0)
      write_tools(w);
    break;
  case MAG_KEY_TEXT_MAP:
    mag_writer_string(w, "type", mbp_str("object"));
    mag_writer_object(w, "additionalProperties");
    mag_writer_raw(w, "type", mbp_str("[\"string\",\"number\",\"boolean\"]"));
    mag_writer_end(w);
    break;
  case MAG_KEY_MAP:
    mag_writer_string(w, "type", mbp_str("object"));
    break;
  case MAG_KEY_NUMBER:
    mag_writer_string(w, "type", mbp_str("integer"));
    mag_writer_number(w, "minimum", 1);
    break;
  case MAG_KEY_CPU:
    mag_writer_string(w, "type", mbp_str("number"));
    mag_writer_number(w, "exclusiveMinimum", 0);
    break;
  case MAG_KEY_SIZE:
    write_types(w, "integer", "string");
    mag_writer_string(w, "pattern", mbp_str("^[0-9]+(B|[KMGT](iB)?)?$"));
    break;
  case MAG_KEY_DURATION:
    write_types(w, "integer", "string");
    mag_writer_string(w, "pattern", mbp_str("^[0-9]+(ms|s|m|min|h|d)?$"));
    break;
  case MAG_KEY_MONEY:
    write_types(w, "number", "string");
    mag_writer_string(w, "pattern", mbp_str("^[0-9]+(\\.[0-9]{1,6})?$"));
    break;
  case MAG_KEY_TRUTH:
    mag_writer_string(w, "type", mbp_str("boolean"));
    break;
  default:
    mag_writer_string(w, "type", mbp_str("string"));
    if (key->type == MAG_KEY_PATH)
      mag_writer_string(w, "pattern", mbp_str("^/"));
    if (key->max)
      mag_writer_number(w, "maxLength", key->max);
  }
}

static void write_members(struct mbp_writer *w, const char *group);

static void write_group(struct mbp_writer *w, const struct mag_key *key)
{
  const struct mag_key *scalar = key->scalar ? mag_schema_find(mbp_str(key->scalar)) : NULL;
  if (scalar) {
    mag_writer_array(w, "anyOf");
    mag_writer_object(w, NULL);
    write_value(w, scalar);
    mag_writer_end(w);
    mag_writer_object(w, NULL);
  }
  write_members(w, key->path);
  if (scalar) {
    mag_writer_end(w);
    mag_writer_end(w);
  }
}

/* type, properties and additionalProperties of a mapping; `group` "": the whole file. */
static void write_members(struct mbp_writer *w, const char *group)
{
  size_t len = strlen(group);
  bool rest = false;
  mag_writer_string(w, "type", mbp_str("object"));
  mag_writer_object(w, "properties");
  for (const struct mag_key *key = mag_schema; key->path; key++) {
    const char *name = key->path + (len ? len + 1 : 0);
    if (!(key->flags & MAG_IN_AGENT) || (len && (strncmp(key->path, group, len) != 0 || key->path[len] != '.')) ||
        strchr(name, '.'))
      continue;
    if (key->flags & MAG_KEY_REST) {
      rest = true;
      continue;
    }
    mag_writer_object(w, name);
    mag_writer_string(w, "description", mbp_str(key->help));
    if (key->type == MAG_KEY_GROUP)
      write_group(w, key);
    else
      write_value(w, key);
    mag_writer_end(w);
  }
  mag_writer_end(w);
  mag_writer_boolean(w, "additionalProperties", rest);
}

static void new_line(size_t depth)
{
  printf("\n%*s", (int) (2 * depth), "");
}

/* A member a line, so that a change of one is a change of one line. */
static void print_indented(struct mbp_str json)
{
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.len; i++) {
    char c = json.ptr[i];
    bool closes = !quoted && (c == '}' || c == ']'), opens = !quoted && (c == '{' || c == '[');
    if (closes) {
      depth--;
      if (json.ptr[i - 1] != '{' && json.ptr[i - 1] != '[')
        new_line(depth);
    }
    putchar(c);
    if (c == '"')
      quoted = !quoted;
    else if (quoted && c == '\\')
      putchar(json.ptr[++i]);
    else if (!quoted && c == ':')
      putchar(' ');
    depth += opens;
    if ((opens && i + 1 < json.len && json.ptr[i + 1] != '}' && json.ptr[i + 1] != ']') || (!quoted && c == ','))
      new_line(depth);
  }
  putchar('\n');
}

void reference_schema(void)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "$schema", mbp_str("https://json-schema.org/draft/2020-12/schema"));
  mag_writer_string(w, "title", mbp_str("magent agent file"));
  write_members(w, "");
  mag_writer_end(w);
  if (mag_writer_text(w, &text) == 0)
    print_indented(text);
}
