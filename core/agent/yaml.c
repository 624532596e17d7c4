#include "agent/yaml.h"

#include "base/buf.h"
#include "base/cleanup.h"
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

/* "bad.yaml:2: message", or "line 2: message" of what has no name. */
static int fail_at(const char *where, size_t line, const char *what, struct mbp_error *err)
{
  return mag_error(err, MBP_E_INVALID, "%s%s%zu: %s", *where ? where : "line ", *where ? ":" : "", line + 1, what);
}

/* JSON being written, and the line that it has come to. */
struct output {
  const char *where; /* it comes from */
  struct mag_buf text;
  size_t line;
};

static int fail(const struct output *out, const yaml_mark_t *mark, const char *what, struct mbp_error *err)
{
  return fail_at(out->where, mark->line, what, err);
}

static void go_to_line(struct output *out, const yaml_mark_t *mark)
{
  for (; out->line < mark->line; out->line++)
    mag_buf_add_char(&out->text, '\n');
}

static void add_string(struct output *out, struct mbp_str text)
{
  mag_autowriter w = mag_writer_new();
  struct mbp_str quoted = mbp_str("");
  mag_writer_string(w, NULL, text);
  if (mag_writer_text(w, &quoted) < 0)
    out->text.failed = true;
  mag_buf_add_str(&out->text, quoted);
}

static struct mbp_str scalar_text(const yaml_node_t *node)
{
  return mbp_str_n((const char *) node->data.scalar.value, node->data.scalar.length);
}

static void write_scalar(struct output *out, const yaml_node_t *node)
{
  struct mbp_str text = scalar_text(node);
  bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (plain && (text.len == 0 || mbp_str_eq(text, "~")))
    mag_buf_add_text(&out->text, "null");
  else if (plain && is_json_scalar(text))
    mag_buf_add_str(&out->text, text);
  else
    add_string(out, text);
}

static int compare_keys(const void *a, const void *b)
{
  const yaml_node_t *one = *(const yaml_node_t *const *) a, *two = *(const yaml_node_t *const *) b;
  int order = strcmp((const char *) one->data.scalar.value, (const char *) two->data.scalar.value);
  return order ? order : one->start_mark.index < two->start_mark.index ? -1 : 1;
}

/* Keys are texts, and each stands once. */
static int check_keys(yaml_document_t *document, const struct output *out, const yaml_node_t *mapping,
                      struct mbp_error *err)
{
  size_t n = (size_t) (mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
  mag_autofree const yaml_node_t **keys = calloc(n + 1, sizeof(*keys));
  if (!keys)
    return mag_error_no_memory(err);
  for (size_t i = 0; i < n; i++) {
    keys[i] = yaml_document_get_node(document, mapping->data.mapping.pairs.start[i].key);
    if (keys[i]->type != YAML_SCALAR_NODE)
      return fail(out, &keys[i]->start_mark, "a key must be text", err);
  }
  qsort(keys, n, sizeof(*keys), compare_keys);
  for (size_t i = 1; i < n; i++) {
    const char *name = (const char *) keys[i]->data.scalar.value;
    if (strcmp((const char *) keys[i - 1]->data.scalar.value, name) != 0)
      continue;
    mag_autofree char *what = mag_sprintf("\"%.60s\" stands twice: also on line %zu; keep one of them", name,
                                          keys[i - 1]->start_mark.line + 1);
    return what ? fail(out, &keys[i]->start_mark, what, err) : mag_error_no_memory(err);
  }
  return 0;
}

static int write_node(yaml_document_t *document, struct output *out, int index, int depth, struct mbp_error *err);

static int write_mapping(yaml_document_t *document, struct output *out, const yaml_node_t *node, int depth,
                         struct mbp_error *err)
{
  int r = check_keys(document, out, node, err);
  yaml_node_pair_t *first = node->data.mapping.pairs.start;
  mag_buf_add_char(&out->text, '{');
  for (yaml_node_pair_t *i = first; r == 0 && i < node->data.mapping.pairs.top; i++) {
    const yaml_node_t *name = yaml_document_get_node(document, i->key);
    if (i > first)
      mag_buf_add_char(&out->text, ',');
    go_to_line(out, &name->start_mark);
    add_string(out, scalar_text(name));
    mag_buf_add_char(&out->text, ':');
    r = write_node(document, out, i->value, depth + 1, err);
  }
  mag_buf_add_char(&out->text, '}');
  return r;
}

static int write_sequence(yaml_document_t *document, struct output *out, const yaml_node_t *node, int depth,
                          struct mbp_error *err)
{
  yaml_node_item_t *first = node->data.sequence.items.start;
  int r = 0;
  mag_buf_add_char(&out->text, '[');
  for (yaml_node_item_t *i = first; r == 0 && i < node->data.sequence.items.top; i++) {
    if (i > first)
      mag_buf_add_char(&out->text, ',');
    go_to_line(out, &yaml_document_get_node(document, *i)->start_mark);
    r = write_node(document, out, *i, depth + 1, err);
  }
  mag_buf_add_char(&out->text, ']');
  return r;
}

static int write_node(yaml_document_t *document, struct output *out, int index, int depth, struct mbp_error *err)
{
  yaml_node_t *node = yaml_document_get_node(document, index);
  if (depth == DEPTH)
    return fail(out, &node->start_mark, "nested too deeply", err);
  switch (node->type) {
  case YAML_SCALAR_NODE:
    write_scalar(out, node);
    return 0;
  case YAML_SEQUENCE_NODE:
    return write_sequence(document, out, node, depth, err);
  case YAML_MAPPING_NODE:
    return write_mapping(document, out, node, depth, err);
  default:
    return fail(out, &node->start_mark, "not understood", err);
  }
}

/* What libyaml says of the place where it stopped. Tabs are what people ask about. */
static int syntax_error(const yaml_parser_t *parser, const char *where, struct mbp_error *err)
{
  bool tab = parser->problem && strstr(parser->problem, "cannot start any token");
  mag_autofree char *what =
      mag_sprintf("%s%s", parser->problem ? parser->problem : "not YAML",
                  tab ? "; is it a tab? Indent with spaces, and quote what begins with a special character" : "");
  return what ? fail_at(where, parser->problem_mark.line, what, err) : mag_error_no_memory(err);
}

static bool is_tagged(const yaml_event_t *event)
{
  return event->type == YAML_SCALAR_EVENT
             ? event->data.scalar.tag && !event->data.scalar.plain_implicit && !event->data.scalar.quoted_implicit
         : event->type == YAML_SEQUENCE_START_EVENT
             ? event->data.sequence_start.tag && !event->data.sequence_start.implicit
         : event->type == YAML_MAPPING_START_EVENT
             ? event->data.mapping_start.tag && !event->data.mapping_start.implicit
             : false;
}

/* An alias can make a small file a huge document, a tag asks for another type than it looks like, and what stands in a
 * second document would be passed over: they are refused before the document is built. */
static int refuse(struct mbp_str yaml, const char *where, struct mbp_error *err)
{
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser))
    return mag_error_no_memory(err);
  yaml_parser_set_input_string(&parser, (const unsigned char *) yaml.ptr, yaml.len);
  int r = 0, documents = 0;
  for (bool end = false; !end && r == 0;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      r = syntax_error(&parser, where, err);
      break;
    }
    end = event.type == YAML_STREAM_END_EVENT;
    if (event.type == YAML_ALIAS_EVENT)
      r = fail_at(where, event.start_mark.line, "aliases are not allowed here", err);
    else if (is_tagged(&event))
      r = fail_at(where, event.start_mark.line, "tags are not allowed here; put a text in quotes", err);
    else if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
      r = fail_at(where, event.start_mark.line, "a second document begins here; only one is read", err);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return r;
}

int mag_yaml_to_json(struct mbp_str yaml, const char *where, char **ret_json, struct mbp_error *err)
{
  yaml_parser_t parser;
  yaml_document_t document;
  int r = refuse(yaml, where, err);
  if (r < 0)
    return r;
  if (!yaml_parser_initialize(&parser))
    return mag_error_no_memory(err);
  yaml_parser_set_input_string(&parser, (const unsigned char *) yaml.ptr, yaml.len);
  if (!yaml_parser_load(&parser, &document)) {
    r = syntax_error(&parser, where, err);
    yaml_parser_delete(&parser);
    return r;
  }
  struct output out = {.where = where, .text = MAG_BUF_INIT};
  if (!yaml_document_get_root_node(&document))
    mag_buf_add_text(&out.text, "{}"); /* an empty file says nothing, which is no error */
  else
    r = write_node(&document, &out, 1, 0, err);
  yaml_document_delete(&document);
  yaml_parser_delete(&parser);
  char *json = mag_buf_take(&out.text);
  if (r < 0 || !json) {
    free(json);
    return r < 0 ? r : mag_error_no_memory(err);
  }
  *ret_json = json;
  return 0;
}

#else

int mag_yaml_to_json(struct mbp_str yaml, const char *where, char **ret_json, struct mbp_error *err)
{
  int r = mag_json_check(yaml, err);
  if (r < 0)
    return mag_error_wrap(err, "%s%sbuilt without libyaml, so only JSON is read", where, *where ? ": " : "");
  *ret_json = mag_str_dup(yaml);
  return *ret_json ? 0 : mag_error_no_memory(err);
}

#endif
