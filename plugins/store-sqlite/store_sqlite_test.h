/* store_sqlite_test.h - what the tests of this store share: a database of the test's own, and ways around the store. */
#ifndef STORE_SQLITE_TEST_H
#define STORE_SQLITE_TEST_H

#include "store_contract.h"

extern char root[256]; /* removed at the end of the program */
extern char path[400]; /* of the test's database */

const struct mbp_plugin *mbp_plugin_v0(void);

void fresh_path(void);
/* Of `path`; `more` begins with a comma. */
void write_options(char *options, size_t cap, const char *more);
struct store_client open_again(void);
struct store_client open_fresh(void);

/* Bytes of a file. */
void load(const char *name, struct mag_buf *content);
void save(const char *name, const void *content, size_t len, off_t at);
/* SQL on the database. */
void execute(const char *sql);
int64_t ask(const char *sql);

void store_damage_tests(Suite *suite);

#endif
