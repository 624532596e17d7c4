/* agent_test.h - what the tests of the agent's tools share. */
#ifndef TOOLSET_AGENT_TEST_H
#define TOOLSET_AGENT_TEST_H

#include "base/buf.h"
#include "host/instance.h"

#include <check.h>
#include <stdbool.h>

extern struct mag_instance *toolset; /* of the running test */

struct answer {
  struct mag_buf text, shown;
  bool is_error;
  int r;
  struct mbp_error err;
  struct mbp_call *cancel_on_output; /* cancelled with the first preview */
};

extern struct answer said;

/* Runs a tool to its end; `cancel`: with its first output. */
void invoke(struct answer *answer, const char *tool, struct mbp_str input, bool cancel);

#define HAS(text, part) ck_assert_msg(strstr(text, part) != NULL, "%.600s", text)
#define HAS_NOT(text, part) ck_assert_msg(strstr(text, part) == NULL, "%.600s", text)

void agent_config_tests(TCase *tests);
void agent_output_tests(TCase *tests);

#endif
