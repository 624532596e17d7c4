/* store_subject.h - the store that the tests of the contract are about. */
#ifndef MAG_TESTS_STORE_SUBJECT_H
#define MAG_TESTS_STORE_SUBJECT_H

#include "store_contract.h"

struct store_client subject_fresh(void); /* a new and empty one */
struct store_client subject_again(void); /* the same once more */

void log_is(struct store_client *client, const char *session, const char *wanted);
void list_is(struct store_client *client, const char *collection, const char *filter, bool descending,
             const char *wanted);

void store_model_add(TCase *tests);

#endif
