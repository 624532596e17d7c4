#include "base/json.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_scan.h"
#include "base/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* struct mbp_json is never defined: a pointer to it is a cJSON pointer. */
static const cJSON *tree(const struct mbp_json *value)
{
  return (const cJSON *) (const void *) value;
}

static const struct mbp_json *value_of(const cJSON *item)
{
  return (const struct mbp_json *) (const void *) item;
}

int mag_json_check(struct mbp_str text, struct mbp_error *err)
{
  struct mag_json_scan scan = {text.ptr, text.len, 0, NULL};
  size_t valid = text.len ? mag_utf8_valid_prefix(text.ptr, text.len) : 0;
  if (valid < text.len)
    return mag_error(err, MBP_E_PROTOCOL, "invalid JSON at byte %zu: not UTF-8", valid);
  if (mag_json_scan_value(&scan) < 0)
    return mag_error(err, MBP_E_PROTOCOL, "invalid JSON at byte %zu: %s", scan.at, scan.fault);
  mag_json_scan_space(&scan);
  if (scan.at < scan.len)
    return mag_error(err, MBP_E_PROTOCOL, "invalid JSON at byte %zu: something follows the value", scan.at);
  return 0;
}

static int compare_keys(const void *a, const void *b)
{
  return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static const char *duplicate_in(const cJSON *object)
{
  size_t n = 0;
  for (const cJSON *i = object->child; i; i = i->next)
    n++;
  if (n <= 8) {
    for (const cJSON *i = object->child; i; i = i->next)
      for (const cJSON *j = i->next; j; j = j->next)
        if (strcmp(i->string, j->string) == 0)
          return i->string;
    return NULL;
  }
  mag_autofree const char **keys = malloc(n * sizeof(*keys));
  if (!keys)
    return ""; /* refused like a duplicate: never accept what was not checked */
  n = 0;
  for (const cJSON *i = object->child; i; i = i->next)
    keys[n++] = i->string;
  qsort(keys, n, sizeof(*keys), compare_keys);
  for (size_t i = 1; i < n; i++)
    if (strcmp(keys[i - 1], keys[i]) == 0)
      return keys[i];
  return NULL;
}

/* Depth is bounded by MAG_JSON_DEPTH. */
static const char *duplicate_key(const cJSON *item)
{
  const char *found = cJSON_IsObject(item) ? duplicate_in(item) : NULL;
  for (const cJSON *i = item->child; i && !found; i = i->next)
    found = i->child ? duplicate_key(i) : NULL;
  return found;
}

int mag_json_parse(struct mbp_str text, struct mbp_json **ret_document, struct mbp_error *err)
{
  int r = mag_json_check(text, err);
  if (r < 0)
    return r;
  cJSON *root = cJSON_ParseWithLengthOpts(text.ptr, text.len, NULL, 0);
  if (!root)
    return mag_error_no_memory(err);
  const char *twice = duplicate_key(root);
  if (twice) {
    r = mag_error(err, MBP_E_PROTOCOL, "invalid JSON: duplicate key \"%.60s\"", twice);
    cJSON_Delete(root);
    return r;
  }
  *ret_document = (struct mbp_json *) (void *) root;
  return 0;
}

void mag_json_free(struct mbp_json *document)
{
  cJSON_Delete((cJSON *) (void *) document);
}

uint32_t mag_json_type(const struct mbp_json *value)
{
  switch (value ? tree(value)->type & 0xff : cJSON_Invalid) {
  case cJSON_NULL:
    return MBP_JSON_NULL;
  case cJSON_False:
  case cJSON_True:
    return MBP_JSON_BOOL;
  case cJSON_Number:
    return MBP_JSON_NUMBER;
  case cJSON_String:
    return MBP_JSON_STRING;
  case cJSON_Array:
    return MBP_JSON_ARRAY;
  case cJSON_Object:
    return MBP_JSON_OBJECT;
  default:
    return 0;
  }
}

const struct mbp_json *mag_json_get(const struct mbp_json *object, const char *key)
{
  return mag_json_type(object) == MBP_JSON_OBJECT ? value_of(cJSON_GetObjectItemCaseSensitive(tree(object), key))
                                                  : NULL;
}

const struct mbp_json *mag_json_first(const struct mbp_json *container)
{
  return container ? value_of(tree(container)->child) : NULL;
}

const struct mbp_json *mag_json_next(const struct mbp_json *value)
{
  return value ? value_of(tree(value)->next) : NULL;
}

size_t mag_json_count(const struct mbp_json *container)
{
  size_t n = 0;
  for (const struct mbp_json *i = mag_json_first(container); i; i = mag_json_next(i))
    n++;
  return n;
}

struct mbp_str mag_json_key(const struct mbp_json *value)
{
  return mbp_str(value ? tree(value)->string : NULL);
}

struct mbp_str mag_json_str(const struct mbp_json *value)
{
  return mbp_str(mag_json_type(value) == MBP_JSON_STRING ? tree(value)->valuestring : "");
}

double mag_json_double(const struct mbp_json *value, double otherwise)
{
  return mag_json_type(value) == MBP_JSON_NUMBER ? tree(value)->valuedouble : otherwise;
}

int64_t mag_json_num(const struct mbp_json *value, int64_t otherwise)
{
  double number = mag_json_double(value, NAN);
  if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
    return otherwise;
  return (int64_t) number;
}

int mag_json_truth(const struct mbp_json *value, int otherwise)
{
  return mag_json_type(value) == MBP_JSON_BOOL ? cJSON_IsTrue(tree(value)) : otherwise;
}

/* ---- Slices --------------------------------------------------------------------------------------------------- */

int mag_json_step(struct mbp_str text, size_t *at, struct mbp_str *ret_key, struct mbp_str *ret_value)
{
  struct mag_json_scan scan = {text.ptr, text.len, *at, NULL};
  mag_json_scan_space(&scan);
  if (scan.at >= scan.len)
    return 0;
  bool object = false;
  for (size_t i = 0; i < text.len; i++) /* the first byte that is not space tells what it is */
    if (!strchr(" \t\r\n", text.ptr[i])) {
      object = text.ptr[i] == '{';
      break;
    }
  char c = scan.ptr[scan.at];
  if (c == ']' || c == '}')
    return 0;
  scan.at++; /* '[', '{' or ',' */
  mag_json_scan_space(&scan);
  if (scan.at < scan.len && (scan.ptr[scan.at] == ']' || scan.ptr[scan.at] == '}'))
    return 0;
  struct mbp_str key = {"", 0};
  if (object) {
    size_t start = scan.at + 1;
    if (mag_json_scan_string(&scan) < 0)
      return 0;
    key = mbp_str_n(scan.ptr + start, scan.at - start - 1);
    mag_json_scan_space(&scan);
    scan.at++; /* ':' */
    mag_json_scan_space(&scan);
  }
  size_t start = scan.at;
  if (scan.at >= scan.len || mag_json_scan_value(&scan) < 0)
    return 0;
  *ret_value = mbp_str_n(scan.ptr + start, scan.at - start);
  if (ret_key)
    *ret_key = key;
  *at = scan.at;
  return 1;
}

static bool step_matches(struct mbp_str text, const char *part, size_t len, struct mbp_str *ret_value)
{
  int64_t index = -1;
  size_t at = 0;
  struct mbp_str key, value;
  while (text.len && strchr(" \t\r\n", text.ptr[0]))
    text = mbp_str_n(text.ptr + 1, text.len - 1);
  if (text.len == 0 || (text.ptr[0] != '{' && text.ptr[0] != '['))
    return false;
  if (text.ptr[0] == '[' && mag_parse_int(mbp_str_n(part, len), &index) < 0)
    return false;
  for (int64_t i = 0; mag_json_step(text, &at, &key, &value); i++)
    if (index >= 0 ? i == index : mag_str_eq(key, mbp_str_n(part, len))) {
      *ret_value = value;
      return true;
    }
  return false;
}

int mag_json_slice(struct mbp_str text, const char *path, struct mbp_str *ret_slice)
{
  while (*path) {
    size_t len = strcspn(path, "/");
    if (!step_matches(text, path, len, &text))
      return 0;
    path += len;
    path += *path == '/';
  }
  *ret_slice = text;
  return 1;
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

struct mbp_writer {
  struct mag_buf buf;
  char closers[MAG_JSON_DEPTH];
  size_t depth;
  bool comma; /* the next value needs one */
  bool broken;
};

struct mbp_writer *mag_writer_new(void)
{
  return calloc(1, sizeof(struct mbp_writer));
}

void mag_writer_free(struct mbp_writer *writer)
{
  if (writer)
    mag_buf_done(&writer->buf);
  free(writer);
}

void mag_writer_reset(struct mbp_writer *writer)
{
  if (!writer)
    return;
  mag_buf_clear(&writer->buf);
  writer->depth = 0;
  writer->comma = writer->broken = false;
}

static void add_quoted(struct mag_buf *buf, struct mbp_str s)
{
  static const char hex[] = "0123456789abcdef";
  mag_buf_add_char(buf, '"');
  size_t start = 0, at = 0;
  while (at < s.len) {
    unsigned char c = (unsigned char) s.ptr[at];
    size_t run = 1;
    const char *escape = NULL;
    char control[7];
    if (c == '"')
      escape = "\\\"";
    else if (c == '\\')
      escape = "\\\\";
    else if (c == '\n')
      escape = "\\n";
    else if (c == '\r')
      escape = "\\r";
    else if (c == '\t')
      escape = "\\t";
    else if (c < 0x20 && c != 0) {
      memcpy(control, "\\u00", 4);
      control[4] = hex[c >> 4];
      control[5] = hex[c & 15];
      control[6] = 0;
      escape = control;
    } else if (c == 0) {
      escape = "\xef\xbf\xbd"; /* U+FFFD: a NUL would cut the string at readers */
    } else if (c >= 0x80) {
      size_t high = 1;
      while (high < 4 && at + high < s.len && (unsigned char) s.ptr[at + high] >= 0x80)
        high++;
      run = mag_utf8_valid_prefix(s.ptr + at, high);
      if (run == 0) {
        run = 1;
        escape = "\xef\xbf\xbd";
      }
    }
    if (escape) {
      mag_buf_add(buf, s.ptr + start, at - start);
      mag_buf_add_text(buf, escape);
      start = at + 1;
    }
    at += run;
  }
  if (at > start)
    mag_buf_add(buf, s.ptr + start, at - start);
  mag_buf_add_char(buf, '"');
}

/* Comma and key; false if a value has no place here. */
static bool begin_value(struct mbp_writer *writer, const char *key)
{
  if (!writer || writer->broken)
    return false;
  bool in_object = writer->depth && writer->closers[writer->depth - 1] == '}';
  if (in_object != (key != NULL) || (writer->depth == 0 && writer->comma)) {
    writer->broken = true;
    return false;
  }
  if (writer->comma)
    mag_buf_add_char(&writer->buf, ',');
  if (key) {
    add_quoted(&writer->buf, mbp_str(key));
    mag_buf_add_char(&writer->buf, ':');
  }
  writer->comma = true;
  return true;
}

static void open_container(struct mbp_writer *writer, const char *key, char opener, char closer)
{
  if (!begin_value(writer, key))
    return;
  if (writer->depth == MAG_JSON_DEPTH) {
    writer->broken = true;
    return;
  }
  mag_buf_add_char(&writer->buf, opener);
  writer->closers[writer->depth++] = closer;
  writer->comma = false;
}

void mag_writer_object(struct mbp_writer *writer, const char *key)
{
  open_container(writer, key, '{', '}');
}

void mag_writer_array(struct mbp_writer *writer, const char *key)
{
  open_container(writer, key, '[', ']');
}

void mag_writer_end(struct mbp_writer *writer)
{
  if (!writer || writer->broken)
    return;
  if (writer->depth == 0) {
    writer->broken = true;
    return;
  }
  mag_buf_add_char(&writer->buf, writer->closers[--writer->depth]);
  writer->comma = true;
}

void mag_writer_string(struct mbp_writer *writer, const char *key, struct mbp_str value)
{
  if (begin_value(writer, key))
    add_quoted(&writer->buf, value);
}

void mag_writer_number(struct mbp_writer *writer, const char *key, int64_t value)
{
  if (begin_value(writer, key))
    mag_buf_printf(&writer->buf, "%lld", (long long) value);
}

void mag_writer_boolean(struct mbp_writer *writer, const char *key, int value)
{
  if (begin_value(writer, key))
    mag_buf_add_text(&writer->buf, value ? "true" : "false");
}

void mag_writer_null(struct mbp_writer *writer, const char *key)
{
  if (begin_value(writer, key))
    mag_buf_add_text(&writer->buf, "null");
}

void mag_writer_raw(struct mbp_writer *writer, const char *key, struct mbp_str json)
{
  if (json.len == 0) {
    if (writer)
      writer->broken = true;
    return;
  }
  if (begin_value(writer, key))
    mag_buf_add_str(&writer->buf, json);
}

int mag_writer_text(struct mbp_writer *writer, struct mbp_str *ret_text)
{
  if (!writer || writer->buf.failed)
    return -MBP_E_NO_MEMORY;
  if (writer->broken || writer->depth || !writer->comma)
    return -MBP_E_INTERNAL;
  *ret_text = mag_buf_str(&writer->buf);
  return 0;
}

char *mag_writer_take(struct mbp_writer *writer)
{
  struct mbp_str text;
  char *taken = mag_writer_text(writer, &text) == 0 ? mag_buf_take(&writer->buf) : NULL;
  mag_writer_reset(writer);
  return taken;
}

const struct mbp_json_v1 mag_json_table = {
    .size = MBP_SIZE(struct mbp_json_v1, reset),
    .parse = mag_json_parse,
    .free = mag_json_free,
    .type = mag_json_type,
    .get = mag_json_get,
    .first = mag_json_first,
    .next = mag_json_next,
    .count = mag_json_count,
    .key = mag_json_key,
    .str = mag_json_str,
    .num = mag_json_num,
    .truth = mag_json_truth,
    .slice = mag_json_slice,
    .writer_new = mag_writer_new,
    .writer_free = mag_writer_free,
    .object = mag_writer_object,
    .array = mag_writer_array,
    .end = mag_writer_end,
    .string = mag_writer_string,
    .number = mag_writer_number,
    .boolean = mag_writer_boolean,
    .null = mag_writer_null,
    .raw = mag_writer_raw,
    .text = mag_writer_text,
    .reset = mag_writer_reset,
};
