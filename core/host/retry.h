/* retry.h - when and after how long a failed request may be sent again. The rule of the common SDKs: 0.5 s doubled for
 * each attempt up to 8 s, less up to a quarter at random; what the service asks for comes first. */
#ifndef MAG_HOST_RETRY_H
#define MAG_HOST_RETRY_H

#include <magent/mbp.h>
#include <stdbool.h>

#define MAG_RETRY_WAIT_MAX_MS 60000 /* a service that asks for longer is not asked again */

/* Milliseconds to wait before the next attempt; `attempt` counts the failed ones from 1. Negative: the service asks
 * for more than MAG_RETRY_WAIT_MAX_MS, so do not retry. */
int64_t mag_retry_delay_ms(unsigned attempt, const struct mbp_error *err);

/* Whether to try again after `attempt` failed ones when `max` retries are allowed. Never once something of the answer
 * was `shown`: the caller's reader would see it twice. Where only the length of the wait forbids it, the error's
 * message says so. */
bool mag_retry_wanted(unsigned attempt, unsigned max, struct mbp_error *err, bool shown);

#endif
