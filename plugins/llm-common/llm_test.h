/* llm_test.h - for the tests of llm plugins: files, streams, and a host whose HTTP is played by the test. */
#ifndef LLM_COMMON_LLM_TEST_H
#define LLM_COMMON_LLM_TEST_H

#include "llm.h"

#include <check.h>

/* The file below the source tree; fails the test if there is none. Caller frees. */
char *test_read(const char *path);
/* With MAGENT_WRITE_GOLDEN set the file is written instead. */
void test_golden(const char *path, const char *text);

/* What was shown, one line an event: "text 0 Hello". */
struct test_shown {
  char text[16384];
  int stop_after; /* > 0: emit fails from that event on */
  int events;
};
int test_show(void *ctx, const struct mbp_event *event);

/* Takes a stream apart; `feed` is called for each event until it does not return 0. Its last answer is returned. */
typedef int (*test_feed)(void *ctx, struct mbp_str name, struct mbp_str data, struct mbp_error *err);
int test_stream(struct mbp_str stream, test_feed feed, void *ctx, struct mbp_error *err);

/* ---- A plugin with a played HTTP ---- */

struct test_answer {
  int status;
  const char *content_type;
  const char *body;
  int cut; /* the body ends with a connection error */
};

struct test_http {
  const struct test_answer *answers; /* one a request */
  int n, used;
  char url[512], headers[2048]; /* of the last request; "name: value\n" */
  struct llm_buf body;
};
extern struct test_http test_http;
/* Set: plugins get the real HTTP client instead. */
extern int test_real_http;

/* What generate gave. */
struct test_outcome {
  int r;
  struct mbp_error err;
  uint32_t stop;
  char content[16384], model[64], request_id[64];
  struct mbp_usage usage;
  struct test_shown shown;
};

/* Opens the plugin with `config`, runs generate and closes it. */
void test_generate(const struct mbp_plugin *plugin, const char *config, const struct mbp_llm_request *request,
                   struct test_outcome *ret_result);
/* The same for list_models, count_tokens (into usage.input) and probe. */
enum test_op { TEST_LIST, TEST_COUNT, TEST_PROBE };
void test_other(const struct mbp_plugin *plugin, const char *config, enum test_op op,
                const struct mbp_llm_request *request, struct test_outcome *ret_result);

int test_run(Suite *suite);

/* The plugin under test, which is linked in. */
extern const struct mbp_plugin *mbp_plugin_v0(void);

#endif
