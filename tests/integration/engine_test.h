/* engine_test.h - the parts of the engine's test. */
#ifndef TEST_ENGINE_TEST_H
#define TEST_ENGINE_TEST_H

#include "rig.h"
#include "service.h"

#define TOOLSET "{\"type\":\"agent_toolset_20260401\"}"

TCase *turn_tests(void);
TCase *stream_tests(void);
TCase *tool_tests(void);
TCase *crash_tests(void);
TCase *outside_tests(void);
TCase *custom_tests(void);
TCase *command_tests(void);
/* What a child of the crash tests does; its exit status. */
int crash_child(int argc, char **argv);

/* "local" and "bubblewrap" as far as this machine has them; NULL-terminated. */
const char *const *computes(void);

#endif
