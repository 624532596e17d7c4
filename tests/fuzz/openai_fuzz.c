/* Chat Completions streams: an answer is either an error or legal blocks with ids of their own. */
#include "../../plugins/llm-openai/decoder.h"

#include "base/json.h"
#include "base/text.h"
#include "host/sse.h"

#include <stdint.h>
#include <stdlib.h>

#define BOUND 65536

static int feed_all(struct openai_decoder *decoder, const char *bytes, size_t len, struct mbp_error *err)
{
  struct mag_sse sse;
  size_t at = 0;
  int r = 0;
  mag_sse_init(&sse, BOUND);
  while (at < len && r == 0) {
    struct mbp_sse_event event;
    size_t used = 0;
    r = mag_sse_feed(&sse, bytes + at, len - at, &used, &event);
    at += used;
    if (r == 1)
      r = openai_decoder_feed(decoder, event.data, err);
  }
  mag_sse_done(&sse);
  return r;
}

static void check_call(const struct mbp_json *content, const struct mbp_json *call)
{
  struct mbp_str id = mag_json_str(mag_json_get(call, "id"));
  if (id.len == 0 || mag_json_str(mag_json_get(call, "name")).len == 0 ||
      mag_json_type(mag_json_get(call, "input")) != MBP_JSON_OBJECT)
    abort();
  for (const struct mbp_json *other = mag_json_first(content); other != call; other = mag_json_next(other))
    if (mbp_str_eq(mag_json_str(mag_json_get(other, "type")), "tool_use") &&
        mag_str_eq(mag_json_str(mag_json_get(other, "id")), id))
      abort();
}

static void check(const struct mbp_llm_response *response)
{
  struct mbp_json *content = NULL;
  if (mag_json_parse(response->content, &content, NULL) < 0 || mag_json_type(content) != MBP_JSON_ARRAY)
    abort();
  for (const struct mbp_json *block = mag_json_first(content); block; block = mag_json_next(block))
    if (mbp_str_eq(mag_json_str(mag_json_get(block, "type")), "tool_use"))
      check_call(content, block);
  mag_json_free(content);
  if (response->usage && (response->usage->input < 0 || response->usage->cache_write < 0))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_llm_response response;
  struct openai_decoder *decoder = openai_decoder_new(&mag_json_table, NULL, NULL);
  if (feed_all(decoder, (const char *) data, size, &err) >= 0 && openai_decoder_answer(decoder, &response, &err) == 0)
    check(&response);
  openai_decoder_free(decoder);
  return 0;
}
