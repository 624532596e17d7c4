/* sessions_test.h - the parts of the test of sessions as a whole. */
#ifndef TEST_SESSIONS_TEST_H
#define TEST_SESSIONS_TEST_H

#include "engine_test.h"

#include "agent/ids.h"
#include "agent/outside.h"
#include "agent/sessions.h"

#define MODEL "anthropic/claude-test"
#define BASH(id, command) CALL(id, "bash", "{\"command\":\"" command "\"}")

TCase *budget_tests(void);
TCase *delivery_tests(void);
TCase *fork_tests(void);
TCase *view_tests(void);

/* A rig whose price table knows MODEL: 3 for input, 15 for output, 3.75 and 0.3 for the cache. Every answer of the
 * service uses 11 + 7 + 3 + 5 tokens, which is 151 millionths (150.75). */
void sessions_open(struct rig *rig, struct service *service);
/* Checks the log and closes both. */
void sessions_close(struct rig *rig, struct service *service);
/* A member of the unified view, as JSON text. In a buffer that the eighth next call overwrites. */
const char *view(struct rig *rig, const char *id, const char *path);

#endif
