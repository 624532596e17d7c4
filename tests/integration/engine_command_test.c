/* Custom tools that are programs: in the sandbox, and on the host where the agent says so. */
#include "engine_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MODEL "anthropic/claude-test"
#define PROGRAM(command, more)                                                                                         \
  "[{\"type\":\"custom\",\"name\":\"prog\",\"description\":\"Runs.\",\"input_schema\":{\"type\":\"object\"},"          \
  "\"command\":" command more "}]"

static const struct answer answers[] = {
    {.content = "[" CALL("t1", "prog", "{\"city\":\"Bern\"}") "]"},
    {.content = TEXT("Done.")},
};

/* One turn with the program in a workspace "work"; the records are the caller's. */
static void run_program(struct rig *rig, const char *tools, const char *compute, int answer, struct records *records)
{
  struct service *service = service_new(answers, 2);
  rig_open(rig, service_url(service), NULL);
  rig_define(rig, MODEL, tools, compute);
  ck_assert_int_eq(mkdir(rig_path(rig, "work"), 0700), 0);
  rig->definition.workspace = mag_str_dup(mbp_str(rig_path(rig, "work")));
  rig_create(rig);
  rig->answer = answer;
  ck_assert_int_eq(rig_run(rig, "go", NULL), MAG_END_TURN);
  rig_read(rig, NULL, records);
  records_check(records);
  service_check_prefixes(service, 0);
  service_free(service);
}

static void answers_with(const char *tools, const char *compute, const char *wanted, bool wanted_error)
{
  struct rig rig;
  struct records records;
  bool is_error;
  run_program(&rig, tools, compute, -1, &records);
  const char *text = records_custom(&records, 0, &is_error);
  ck_assert_str_eq(text, wanted);
  ck_assert_int_eq(is_error, wanted_error);
  records_done(&records);
  rig_close(&rig);
}

/* Custom tools go through the sandbox like all others (weaknesses 1 and 27): stdout and stderr are both kept. */
START_TEST(a_program_gets_json_and_answers_with_text)
{
  for (const char *const *compute = computes(); *compute; compute++) {
    answers_with(PROGRAM("[\"/bin/cat\"]", ""), *compute, "{\"city\":\"Bern\"}", false);
    answers_with(PROGRAM("\"read line; echo got $line $A\"", ",\"env\":{\"A\":\"b\"}"), *compute,
                 "got {\"city\":\"Bern\"} b", false);
    (void) setenv("MAGENT_TEST_TOKEN", "token-of-the-test", 1);
    answers_with(PROGRAM("\"test $A = token-of-the-test && echo it is $A\"", ",\"env\":{\"A\":\"${MAGENT_TEST_TOKEN}\"}"),
                 *compute, "it is [redacted]", false);
    answers_with(PROGRAM("\"true\"", ""), *compute, "(no output)", false);
    answers_with(PROGRAM("\"echo out; echo err >&2; exit 3\"", ""), *compute, "exit 3\nerr\nout", true);
    answers_with(PROGRAM("\"kill -9 $$\"", ""), *compute, "exit 137", true);
    answers_with(PROGRAM("\"echo ${ANTHROPIC_API_KEY-none} ${A-clean}\"", ""), *compute, "none clean", false);
  }
}
END_TEST

START_TEST(a_program_may_answer_with_blocks)
{
  struct rig rig;
  struct records records;
  const char *compute = *computes();
  if (!compute)
    return;
  answers_with(PROGRAM("\"echo '{\\\"content\\\":\\\"no\\\",\\\"is_error\\\":true}'\"", ""), compute, "no", true);
  answers_with(PROGRAM("\"echo '{\\\"content\\\":[{\\\"type\\\":\\\"video\\\"}]}'\"", ""), compute,
               "the program answered what is no result: a block of content must be of type text or image", true);
  answers_with(PROGRAM("\"echo '{\\\"content\\\":1,\\\"city\\\":2}'\"", ""), compute, "{\"content\":1,\"city\":2}", false);
  run_program(&rig,
              PROGRAM("\"echo '{\\\"content\\\":[{\\\"type\\\":\\\"image\\\",\\\"source\\\":{\\\"type\\\":\\\"base64\\\","
                      "\\\"media_type\\\":\\\"image/gif\\\",\\\"data\\\":\\\"R0lGODlh\\\"}}]}'\"",
                      ""),
              compute, -1, &records);
  ck_assert(records_hold(&records, "\"media_type\":\"image/gif\",\"data\":\"R0lGODlh\""));
  records_done(&records);
  rig_close(&rig);
}
END_TEST

START_TEST(a_program_that_never_answers_is_killed_with_its_tree)
{
  for (const char *const *compute = computes(); *compute; compute++) {
    struct rig rig;
    struct records records;
    bool is_error;
    run_program(&rig,
                PROGRAM("\"echo partial; (sleep 600; echo >survived) & setsid sleep 601 & sleep 602\"",
                        ",\"timeout\":\"500ms\""),
                *compute, -1, &records);
    ck_assert_str_eq(records_custom(&records, 0, &is_error),
                     "no answer within 500 ms: the program and all that it had started were killed\npartial");
    ck_assert(is_error);
    records_done(&records);
    rig_close(&rig);
  }
}
END_TEST

START_TEST(much_output_is_shortened_and_a_large_input_arrives)
{
  struct rig rig;
  struct records records;
  mag_autobuf content = MAG_BUF_INIT;
  const char *compute = *computes();
  if (!compute)
    return;
  run_program(&rig, PROGRAM("\"echo begin; head -c 9000000 /dev/zero | tr '\\\\0' x; echo end\"", ""), compute, -1, &records);
  const char *text = records_custom(&records, 0, NULL);
  ck_assert_uint_lt(strlen(text), 110000);
  ck_assert(mag_str_starts(mbp_str(text), "begin\nxxx"));
  ck_assert_ptr_nonnull(strstr(text, " bytes left out here]\n"));
  records_done(&records);
  rig_close(&rig);
  /* The program writes more than fits into a pipe before it reads anything. */
  mag_buf_add_text(&content, "[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"prog\",\"input\":{\"x\":\"");
  for (size_t i = 0; i < 300000; i++)
    mag_buf_add_char(&content, 'y');
  mag_buf_add_text(&content, "\"}}]");
  struct answer large[] = {{.content = content.ptr}, {.content = TEXT("Done.")}};
  struct service *service = service_new(large, 2);
  rig_open(&rig, service_url(service), NULL);
  rig_define(&rig, MODEL, PROGRAM("\"head -c 1000000 /dev/zero | tr '\\\\0' ' '; wc -c\"", ",\"timeout\":\"60s\""), compute);
  rig_create(&rig);
  ck_assert_int_eq(rig_run(&rig, "go", NULL), MAG_END_TURN);
  rig_read(&rig, NULL, &records);
  text = records_custom(&records, 0, NULL);
  ck_assert_ptr_nonnull(strstr(text, "300008"));
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

/* What is on the host is asked about by default, and what is in the sandbox cannot see the host. */
START_TEST(a_program_runs_on_the_host_only_if_the_agent_says_so_and_somebody_allows_it)
{
  struct rig rig;
  struct records records;
  if (!rig_has_plugin("compute-local") || !rig_has_bubblewrap())
    return;
  char secret[] = "/var/tmp/magent-host-XXXXXX";
  int fd = mkstemp(secret);
  ck_assert_int_ge(fd, 0);
  close(fd);
  for (int host = 0; host <= 1; host++) {
    mag_autofree char *tools = mag_sprintf(
        PROGRAM("\"pwd >where; test -e %s && echo seen || echo hidden\"", "%s"), secret, host ? ",\"run_on\":\"host\"" : "");
    run_program(&rig, tools, "bubblewrap", 1, &records);
    ck_assert_str_eq(records_custom(&records, 0, NULL), host ? "seen" : "hidden");
    ck_assert_uint_eq(records_count(&records, MAG_EV_USER_CONFIRMATION), (size_t) host);
    ck_assert_uint_eq(records_count(&records, MAG_REC_SANDBOX), host ? 0 : 2);
    mag_autofree char *where = rig_read_file(&rig, "work/where"), *work = mag_sprintf("%s\n", rig_path(&rig, "work"));
    ck_assert_str_eq(where, host ? work : "/workspace\n");
    records_done(&records);
    rig_close(&rig);
  }
  ck_assert_int_eq(unlink(secret), 0);
}
END_TEST

TCase *command_tests(void)
{
  TCase *t = tcase_create("programs as tools");
  tcase_add_test(t, a_program_gets_json_and_answers_with_text);
  tcase_add_test(t, a_program_may_answer_with_blocks);
  tcase_add_test(t, a_program_that_never_answers_is_killed_with_its_tree);
  tcase_add_test(t, much_output_is_shortened_and_a_large_input_arrives);
  tcase_add_test(t, a_program_runs_on_the_host_only_if_the_agent_says_so_and_somebody_allows_it);
  return t;
}
