/* embed_rig.h - programs that embed magent, as a stranger writes them: only magent.h, in a place of the test's own,
 * with the plugins of the build tree and a model that plays a script. */
#ifndef TEST_EMBED_RIG_H
#define TEST_EMBED_RIG_H

#include <check.h>
#include <magent/magent.h>
#include <stdbool.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct place {
  char dir[64]; /* everything below it */
  struct magent *magent;
};

/* A new place, where the model plays `script` (scripted's JSON; NULL: what is built in), and a context there. */
void place_begin(struct place *place, const char *script);
/* Another script, for contexts that are opened from now on. */
void place_script(struct place *place, const char *script);
/* A context on the same state. */
struct magent *place_open(struct place *place);
void place_end(struct place *place); /* closes the context and removes all */
/* Absolute path in it; a buffer that the eighth next call overwrites. */
const char *place_path(const struct place *place, const char *name);

/* An agent of that YAML (NULL: none) on top of the place's defaults: scripted model, all tools, `compute`. Asserts. */
struct magent_agent *agent_of(struct place *place, const char *yaml);

/* Asserts that `r` is `expected`, else shows the error. */
#define expect(r, expected, error)                                                                                     \
  do {                                                                                                                 \
    int expect_r_ = (r), expect_e_ = (expected);                                                                       \
    ck_assert_msg(expect_r_ == expect_e_, "%s gave %d, not %d: %s", #r, expect_r_, expect_e_,                          \
                  expect_r_ ? (error).message : "");                                                                   \
  } while (0)

/* "local" and, where this machine has it, "bubblewrap"; NULL-terminated. */
const char *const *computes(void);

/* Another process on the same state: `magent ARGUMENTS... NULL` of the build tree. */
struct other {
  int pid, out; /* out: what it prints on stdout */
};
struct other other_start(const char *argument, ...);
/* Reads on until `text` has come; what has come so far, in a buffer that the next call overwrites. Asserts. */
const char *other_await(struct other *other, const char *text);
/* Its exit status. */
int other_end(struct other *other);

/* Small files. */
void file_write(const char *path, const void *data, size_t len);
/* Caller frees; NULL: there is none. */
char *file_read(const char *path, size_t *ret_len);

TCase *embed_run_tests(void);
TCase *embed_guest_tests(void);
TCase *embed_compute_tests(void);
TCase *embed_session_tests(void);
TCase *embed_reach_tests(void);
TCase *embed_stored_tests(void);
TCase *embed_tool_tests(void);
/* What a child of the session tests does. */
int embed_child(char **argv);

#endif
