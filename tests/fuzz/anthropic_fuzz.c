/* Messages API streams: an answer is either an error or legal blocks. */
#include "../../plugins/llm-anthropic/decoder.h"

#include "base/json.h"
#include "host/sse.h"

#include <stdint.h>
#include <stdlib.h>

#define BOUND 65536

static int feed_all(struct anthropic_decoder *decoder, const char *bytes, size_t len, struct mbp_error *err)
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
      r = anthropic_decoder_feed(decoder, event.event, event.data, err);
  }
  mag_sse_done(&sse);
  return r;
}

static void check(const struct mbp_llm_response *response)
{
  struct mbp_json *content = NULL;
  if (mag_json_parse(response->content, &content, NULL) < 0 || mag_json_type(content) != MBP_JSON_ARRAY)
    abort();
  for (const struct mbp_json *block = mag_json_first(content); block; block = mag_json_next(block)) {
    if (mag_json_str(mag_json_get(block, "type")).len == 0)
      abort();
    if (mbp_str_eq(mag_json_str(mag_json_get(block, "type")), "tool_use") &&
        mag_json_type(mag_json_get(block, "input")) != MBP_JSON_OBJECT)
      abort();
  }
  mag_json_free(content);
  if (response->stop < MBP_STOP_END_TURN || response->stop > MBP_STOP_SEQUENCE)
    abort();
  if (response->usage && (response->usage->input < 0 || response->usage->output < 0))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_llm_response response;
  struct anthropic_decoder *decoder = anthropic_decoder_new(&mag_json_table, NULL);
  int r = feed_all(decoder, (const char *) data, size, &err);
  if (r >= 0) {
    int answered = anthropic_decoder_answer(decoder, &response, &err);
    if ((answered == 0) != (r == 1))
      abort();
    if (answered == 0)
      check(&response);
  }
  anthropic_decoder_free(decoder);
  return 0;
}
