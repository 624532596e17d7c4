/* Schemas from agent files and plugins, inputs from models, answers from programs. The first line is a schema (or the
 * entry of a custom tool), the rest a value. */
#include "agent/custom_entry.h"
#include "agent/custom_parts.h"
#include "agent/json_schema.h"
#include "agent/state.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool right)
{
  if (!right)
    abort();
}

/* Both ways of asking agree, and a "no" says why. */
static void check_value(const struct mag_schema *schema, struct mbp_str value)
{
  mag_autojson json = NULL;
  mag_autobuf problems = MAG_BUF_INIT;
  if (mag_json_parse(value, &json, NULL) < 0)
    return;
  bool held = mag_schema_holds(schema, json, &problems);
  expect(held == (problems.len == 0));
  expect(mag_utf8_valid(problems.len ? problems.ptr : "", problems.len));
  expect(held == mag_schema_holds(schema, json, NULL) || strstr(problems.ptr, "too much") != NULL);
}

static void check_answer(struct mbp_str text)
{
  struct mag_custom_answer answer = {NULL, false};
  bool found = false;
  if (mag_custom_parse_answer(text, &found, &answer, NULL) == 0 && found)
    expect(mag_json_check(mbp_str(answer.content), NULL) == 0 && mag_state_is_result(mbp_str(answer.content)));
  free(answer.content);
}

static void check_base64(struct mbp_str data)
{
  mag_autobuf text = MAG_BUF_INIT;
  size_t len = mag_base64_decoded(data);
  unsigned char back[64];
  expect(len == SIZE_MAX || mag_base64_decode(data, back, sizeof(back)) == MAG_MIN_SIZE(len, sizeof(back)));
  mag_base64_encode(&text, data);
  expect(mag_base64_decoded(mag_buf_str(&text)) == data.len);
  size_t n = mag_base64_decode(mag_buf_str(&text), back, sizeof(back));
  expect(n == 0 || memcmp(back, data.ptr, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
  size_t first = newline ? (size_t) (newline - data) : size;
  struct mbp_str schema_text = mbp_str_n((const char *) data, first);
  struct mbp_str value = newline ? mbp_str_n((const char *) newline + 1, size - first - 1) : mbp_str("null");
  struct mag_schema *schema = NULL;
  struct mag_custom_entry *entry = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  if (mag_schema_new(schema_text, &schema, &err) == 0)
    check_value(schema, value);
  mag_schema_free(schema);
  char key[MAG_CUSTOM_KEY];
  if (mag_custom_entry_new(schema_text, &entry, key, &err) == 0)
    mag_custom_entry_free(entry);
  check_answer(value);
  check_base64(value);
  return 0;
}
