/* cases.h - the suite's parts. Each test runs once for every provider; what a provider does not state is not asked of
 * it. */
#ifndef MAG_TEST_COMPUTE_CASES_H
#define MAG_TEST_COMPUTE_CASES_H

#include "rig.h"

#include <check.h>

void add_basic_cases(Suite *suite);
void add_process_cases(Suite *suite);
void add_limit_cases(Suite *suite);
void add_wall_cases(Suite *suite);
void add_docker_own_cases(Suite *suite);
void add_docker_way_cases(Suite *suite); /* the way to an engine, and what it fetches */
void add_docker_cases(Suite *suite);     /* faults of an engine; none without one */

/* Opens the provider of loop index `i` and makes sandbox "a"; false, having said so loudly, where it cannot work
 * here. */
bool begin(struct rig *rig, int i, const struct box_options *options);
/* The same, but only where the provider isolates. */
bool begin_isolated(struct rig *rig, int i, const struct box_options *options);
void finish(struct rig *rig);

static inline bool out_is(const struct outcome *outcome, int stream, const char *text)
{
  return outcome->out[stream].len == strlen(text) &&
         (outcome->out[stream].len == 0 || memcmp(outcome->out[stream].ptr, text, strlen(text)) == 0);
}

#endif
