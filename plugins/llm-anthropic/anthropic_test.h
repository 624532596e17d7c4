/* anthropic_test.h - what the tests of this plugin share. */
#ifndef LLM_ANTHROPIC_TEST_H
#define LLM_ANTHROPIC_TEST_H

#include "../llm-common/llm_test.h"

#define CORPUS "tests/fuzz/corpus/anthropic/"
#define DATA "plugins/llm-anthropic/testdata/"

/* Streams, event by event. */
#define START                                                                                                          \
  "event: message_start\ndata: "                                                                                       \
  "{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n"
#define EV(json) "data: " json "\n\n"
#define BLOCK(i, block) EV("{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" block "}")
#define DELTA(i, delta) EV("{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":" delta "}")
#define STOP(i) EV("{\"type\":\"content_block_stop\",\"index\":" #i "}")
#define REASON(reason)                                                                                                 \
  EV("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{\"output_tokens\":2}}")
#define END EV("{\"type\":\"message_stop\"}")
#define TEXT0 BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}") DELTA(0, "{\"type\":\"text_delta\",\"text\":\"x\"}") STOP(0)
#define CALL "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}"

void anthropic_decoder_tests(Suite *suite);

#endif
