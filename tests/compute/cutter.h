/* cutter.h - a unix socket between a plugin and an engine, which passes everything on and cuts where it is told to. */
#ifndef MAG_TEST_COMPUTE_CUTTER_H
#define MAG_TEST_COMPUTE_CUTTER_H

#include <stdint.h>

struct cutter;

/* Listens at `path` and connects to `target`. Aborts where it cannot. */
struct cutter *cutter_new(const char *path, const char *target);
void cutter_free(struct cutter *cutter); /* ends all connections */

/* From now on the bytes that answer requests with `mark` in method and path are counted, those of earlier requests too
 * that are still being answered. No more than `after` of them are passed on; then that connection is cut, and no other.
 * The engine has had the request by then: with 0 its answer is lost. */
void cutter_arm(struct cutter *cutter, const char *mark, int64_t after);
/* The same for the bytes of those requests themselves, and what is sent on their connections afterwards. */
void cutter_arm_requests(struct cutter *cutter, const char *mark, int64_t after);
void cutter_disarm(struct cutter *cutter);
/* Such bytes since cutter_arm. */
int64_t cutter_counted(struct cutter *cutter);
/* Was it cut since then? */
int cutter_has_cut(struct cutter *cutter);

#endif
