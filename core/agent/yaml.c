#include "agent/yaml.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_YAML

#include "base/json_scan.h"

#include <yaml.h>

#define DEPTH 32

static bool is_json_scalar(struct mbp_str text)
{
  struct mag_json_scan scan = {text.ptr, text.len, 0, NULL};
  return text.len && text.ptr[0] != '"' && text.ptr[0] != '{' && text.ptr[0] != '[' &&
         mag_json_scan_value(&scan) == 0 && scan.at == scan.len;
}

static int fail(const yaml_mark_t *mark, const char *what, struct mbp_error *err)
{
  return mag_error(err, MBP_E_INVALID, "line %zu: %s", mark->line + 1, what);
}

static void write_scalar(struct mbp_writer *w, const char *key, const yaml_node_t *node)
{
  struct mbp_str text = mbp_str_n((const char *) node->data.scalar.value, node->data.scalar.length);
  bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (plain && (text.len == 0 || mbp_str_eq(text, "~")))
    mag_writer_null(w, key);
  else if (plain && is_json_scalar(text))
    mag_writer_raw(w, key, text);
  else
    mag_writer_string(w, key, text);
}

static int write_node(yaml_document_t *document, struct mbp_writer *w, const char *key, int index, int depth,
                      struct mbp_error *err)
{
  yaml_node_t *node = yaml_document_get_node(document, index);
  int r = 0;
  if (depth == DEPTH)
    return fail(&node->start_mark, "nested too deeply", err);
  switch (node->type) {
  case YAML_SCALAR_NODE:
    write_scalar(w, key, node);
    return 0;
  case YAML_SEQUENCE_NODE:
    mag_writer_array(w, key);
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top && r == 0; i++)
      r = write_node(document, w, NULL, *i, depth + 1, err);
    mag_writer_end(w);
    return r;
  case YAML_MAPPING_NODE:
    mag_writer_object(w, key);
    for (yaml_node_pair_t *i = node->data.mapping.pairs.start; i < node->data.mapping.pairs.top && r == 0; i++) {
      yaml_node_t *name = yaml_document_get_node(document, i->key);
      if (name->type != YAML_SCALAR_NODE)
        return fail(&name->start_mark, "a key must be text", err);
      r = write_node(document, w, (const char *) name->data.scalar.value, i->value, depth + 1, err);
    }
    mag_writer_end(w);
    return r;
  default:
    return fail(&node->start_mark, "not understood", err);
  }
}

/* An alias can make a small file a huge document: they are refused before the document is built. */
static int refuse_aliases(struct mbp_str yaml, struct mbp_error *err)
{
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser))
    return mag_error_no_memory(err);
  yaml_parser_set_input_string(&parser, (const unsigned char *) yaml.ptr, yaml.len);
  int r = 0;
  for (bool end = false; !end && r == 0;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      r = mag_error(err, MBP_E_INVALID, "line %zu: %s", parser.problem_mark.line + 1,
                    parser.problem ? parser.problem : "not YAML");
      break;
    }
    end = event.type == YAML_STREAM_END_EVENT;
    if (event.type == YAML_ALIAS_EVENT)
      r = fail(&event.start_mark, "aliases are not allowed here", err);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return r;
}

int mag_yaml_to_json(struct mbp_str yaml, char **ret_json, struct mbp_error *err)
{
  yaml_parser_t parser;
  yaml_document_t document;
  int r = refuse_aliases(yaml, err);
  if (r < 0)
    return r;
  if (!yaml_parser_initialize(&parser))
    return mag_error_no_memory(err);
  yaml_parser_set_input_string(&parser, (const unsigned char *) yaml.ptr, yaml.len);
  if (!yaml_parser_load(&parser, &document)) {
    r = mag_error(err, MBP_E_INVALID, "line %zu: %s", parser.problem_mark.line + 1,
                  parser.problem ? parser.problem : "not YAML");
    yaml_parser_delete(&parser);
    return r;
  }
  mag_autowriter w = mag_writer_new();
  if (!yaml_document_get_root_node(&document))
    r = mag_error(err, MBP_E_INVALID, "the file is empty");
  else
    r = write_node(&document, w, NULL, 1, 0, err);
  yaml_document_delete(&document);
  yaml_parser_delete(&parser);
  if (r < 0)
    return r;
  char *json = mag_writer_take(w);
  if (!json)
    return mag_error_no_memory(err);
  *ret_json = json;
  return 0;
}

#else

int mag_yaml_to_json(struct mbp_str yaml, char **ret_json, struct mbp_error *err)
{
  int r = mag_json_check(yaml, err);
  if (r < 0)
    return mag_error_wrap(err, "built without libyaml, so only JSON is read");
  *ret_json = mag_str_dup(yaml);
  return *ret_json ? 0 : mag_error_no_memory(err);
}

#endif
