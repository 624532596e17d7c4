/* Processes that die at every point of a turn, and what the next one makes of it: an effect at most once, nothing
 * lost. */
#include "engine_test.h"

#include "agent/output.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

#define MODEL "anthropic/claude-test"
#define CRASHED 42

/* ---- The one that dies
 * ---------------------------------------------------------------------------------------------- */

static void die_at_text(struct rig *rig, const struct mag_preview *preview)
{
  (void) rig;
  if (preview->kind == MAG_PREVIEW_TEXT)
    _exit(CRASHED);
}

/* What it was starting then is not there yet, and has what it had. */
static void die_while_spawning(struct rig *rig, const struct mag_preview *preview)
{
  (void) rig;
  (void) preview;
  if (fork() != 0)
    _exit(CRASHED);
  (void) usleep(100000);
  _exit(0);
}

static void die_at_output(struct rig *rig, const struct mag_preview *preview)
{
  (void) rig;
  if (preview->kind == MAG_PREVIEW_TOOL_OUTPUT)
    _exit(CRASHED);
}

/* A custom tool "prog" with an effect, where the parent says so; else the default toolset. */
#define PROG "MAGENT_TEST_PROG"
static bool with_prog(void)
{
  return secure_getenv(PROG) != NULL;
}

static const char prog[] =
    "[{\"type\":\"custom\",\"name\":\"prog\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"},"
    "\"command\":\"echo x >> effects; echo ran\"}]";

static char **child_argv;

/* DIR URL COMPUTE WHERE N: runs a new session until it dies: "before" or "after" the N-th append, or at the first
 * "text" or "output" that is shown, or while it would "spawn". */
START_TEST(child)
{
  struct rig rig;
  int64_t n = 0;
  rig_open(&rig, child_argv[1], child_argv[0]);
  rig_define(&rig, MODEL, with_prog() ? prog : "[" TOOLSET "]", child_argv[2]);
  rig.definition.workspace = mag_str_dup(mbp_str(rig_path(&rig, "work")));
  rig_create(&rig);
  rig_write_file(&rig, "id", rig.session->log.id);
  if (strcmp(child_argv[3], "text") == 0)
    rig.on_preview = die_at_text;
  else if (strcmp(child_argv[3], "output") == 0)
    rig.on_preview = die_at_output;
  else if (strcmp(child_argv[3], "spawn") == 0)
    rig.on_preview = die_while_spawning;
  else if (mag_parse_int(mbp_str(child_argv[4]), &n) == 0)
    rig_crash_at((unsigned) n, strcmp(child_argv[3], "after") == 0);
  (void) rig_run(&rig, "go", NULL);
  rig_leave(&rig);
}
END_TEST

/* A suite of its own, since assertions need one. */
int crash_child(int argc, char **argv)
{
  Suite *suite = suite_create("child");
  TCase *t = tcase_create("child");
  if (argc != 5)
    return 2;
  child_argv = argv;
  (void) unsetenv("CK_RUN_CASE"); /* meant for the parent */
  (void) unsetenv("CK_RUN_SUITE");
  (void) unsetenv("CK_XML_LOG_FILE_NAME");
  tcase_add_test(t, child);
  suite_add_tcase(suite, t);
  SRunner *runner = srunner_create(suite);
  srunner_set_fork_status(runner, CK_NOFORK);
  srunner_run_all(runner, CK_SILENT);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? 1 : 0;
}

static int run_child(const char *dir, const char *url, const char *compute, const char *where, unsigned n)
{
  char number[16], self[] = "/proc/self/exe";
  (void) snprintf(number, sizeof(number), "%u", n);
  char *const argv[] = {self,
                        (char[]){"--child"},
                        mag_str_dup(mbp_str(dir)),
                        mag_str_dup(mbp_str(url)),
                        mag_str_dup(mbp_str(compute)),
                        mag_str_dup(mbp_str(where)),
                        number,
                        NULL};
  pid_t pid;
  int status = 0;
  ck_assert_int_eq(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  for (size_t i = 2; i < 6; i++)
    free(argv[i]);
  ck_assert_msg(WIFEXITED(status), "the child died of signal %d", WTERMSIG(status));
  return WEXITSTATUS(status);
}

/* ---- The one that goes on
 * ------------------------------------------------------------------------------------------- */

static size_t count_effects(struct rig *rig)
{
  mag_autofree char *effects = rig_read_file(rig, "work/effects");
  return strlen(effects) / 2;
}

static void make_place(struct rig *rig, struct service *service)
{
  rig_open(rig, service_url(service), NULL);
  ck_assert_int_eq(mkdir(rig_path(rig, "work"), 0700), 0);
  rig_leave(rig);
}

/* One death and its aftermath. Returns whether the child died. */
static bool die_and_go_on(const char *compute, const char *where, unsigned n, const struct answer answers[2])
{
  struct rig rig;
  struct records records, after;
  struct service *service = service_new(answers, 2);
  service_by_results(service);
  make_place(&rig, service);
  int status = run_child(rig.dir, service_url(service), compute, where, n);
  ck_assert_msg(status == CRASHED || status == 0, "%s %u: the child failed with %d", where, n, status);
  rig_open(&rig, service_url(service), rig.dir);
  mag_autofree char *id = rig_read_file(&rig, "id");
  rig_read(&rig, id, &records);
  records_check(&records);
  bool said = records_count(&records, MAG_EV_USER_MESSAGE), sandbox = records_count(&records, MAG_REC_SANDBOX);
  const char *result = with_prog() ? MAG_EV_USER_CUSTOM_RESULT : MAG_EV_TOOL_RESULT;
  bool started = records_count(&records, MAG_REC_TOOL_STARTED), ended = records_count(&records, result);
  bool idle = records_count(&records, MAG_EV_IDLE);
  rig_resume(&rig, id);
  ck_assert_msg(rig_run(&rig, NULL, NULL) == MAG_END_TURN, "%s %u: %s", where, n, rig.outcome.error.message);
  rig_read(&rig, id, &after);
  records_check(&after);
  ck_assert_uint_le(count_effects(&rig), 1);
  ck_assert_uint_ge(after.n, records.n);
  for (size_t i = 0; i < records.n; i++)
    ck_assert_str_eq(records.items[i].payload, after.items[i].payload);
  if (said && !started && !idle)
    ck_assert_msg(count_effects(&rig) == 1, "%s %u: what had not been started was not run", where, n);
  if (started && !ended) {
    bool is_error = false;
    const char *text =
        with_prog() ? records_custom(&after, 0, &is_error) : records_result(&after, 0, &is_error);
    ck_assert_msg(is_error && strstr(text, "unknown"), "%s %u: %s", where, n, text);
    ck_assert_uint_eq(records_count(&after, MAG_REC_TOOL_STARTED), 1);
  }
  if (sandbox && !idle)
    ck_assert_msg(records_hold(&after, "\"state\":\"gone\""), "%s %u: the sandbox is not noted as gone", where, n);
  if (said)
    ck_assert_uint_eq(records_count(&after, result), 1);
  ck_assert_uint_eq(records_count(&after, MAG_EV_REQUEST_START), records_count(&after, MAG_EV_REQUEST_END));
  records_done(&records);
  records_done(&after);
  rig_close(&rig);
  service_free(service);
  return status == CRASHED;
}

static const struct answer effect[] = {
    {.content = "[{\"type\":\"text\",\"text\":\"I run it.\"}," CALL(
         "t1", "bash", "{\"command\":\"echo x >> effects; echo ran\"}") "]"},
    {.content = TEXT("Done.")},
};

static const struct answer prog_effect[] = {
    {.content = "[{\"type\":\"text\",\"text\":\"I run it.\"}," CALL("t1", "prog", "{}") "]"},
    {.content = TEXT("Done.")},
};

static void die_at_any_append(const struct answer answers[2])
{
  const char *const *compute = computes();
  if (!*compute)
    return;
  while (compute[1])
    compute++; /* the better isolated one */
  unsigned n = 1;
  while (die_and_go_on(*compute, "before", n, answers)) {
    ck_assert(die_and_go_on(*compute, "after", n, answers));
    n++;
  }
  ck_assert_uint_ge(n, 7);
}

START_TEST(a_death_at_any_append_loses_nothing_and_repeats_nothing)
{
  die_at_any_append(effect);
}
END_TEST

START_TEST(so_it_is_with_custom_tools)
{
  (void) setenv(PROG, "1", 1);
  die_at_any_append(prog_effect);
  (void) unsetenv(PROG);
}
END_TEST

START_TEST(a_death_in_a_stream_or_in_a_tool_is_survived)
{
  for (const char *const *compute = computes(); *compute; compute++) {
    ck_assert(die_and_go_on(*compute, "text", 0, effect));
    ck_assert(die_and_go_on(*compute, "output", 0, effect));
  }
}
END_TEST

/* What ran in the sandbox ends with the process that had it. */
START_TEST(a_death_ends_what_runs_in_the_sandbox)
{
  static const struct answer slow[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":\"echo begun; sleep 1.5; echo x >> effects\"}") "]"},
      {.content = TEXT("Done.")},
  };
  if (!rig_has_bubblewrap())
    return;
  struct rig rig;
  struct service *service = service_new(slow, 2);
  service_by_results(service);
  make_place(&rig, service);
  ck_assert_int_eq(run_child(rig.dir, service_url(service), "bubblewrap", "output", 0), CRASHED);
  (void) usleep(2000000);
  rig_open(&rig, service_url(service), rig.dir);
  ck_assert_uint_eq(count_effects(&rig), 0);
  rig_close(&rig);
  service_free(service);
}
END_TEST

/* Runs one command until it dies at its first shown output, goes on, and gives the text of the call's result. */
static void text_after_death(const char *compute, const struct answer *answers, char *text, size_t cap)
{
  struct rig rig;
  struct records records;
  bool is_error = false;
  struct service *service = service_new(answers, 2);
  service_by_results(service);
  make_place(&rig, service);
  ck_assert_int_eq(run_child(rig.dir, service_url(service), compute, "output", 0), CRASHED);
  rig_open(&rig, service_url(service), rig.dir);
  mag_autofree char *id = rig_read_file(&rig, "id");
  mag_autofree char *file = mag_output_path(id);
  ck_assert_int_eq(access(file, R_OK), 0);
  rig_resume(&rig, id);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  rig_read(&rig, id, &records);
  (void) snprintf(text, cap, "%s", records_result(&records, 0, &is_error));
  ck_assert(is_error);
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}

START_TEST(what_a_tool_had_printed_before_a_death_is_quoted)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":\"echo half-way 4$((1+1)); sleep 5; echo x >> effects\"}") "]"},
      {.content = TEXT("Done.")},
  };
  for (const char *const *compute = computes(); *compute; compute++) {
    char text[4096];
    text_after_death(*compute, answers, text, sizeof(text));
    ck_assert_msg(strstr(text, "unknown") && strstr(text, "It had printed 12 bytes by then:\nhalf-way 42\n"), "%s",
                  text);
  }
}
END_TEST

START_TEST(of_a_long_output_beginning_and_end_are_quoted)
{
  struct mag_output output;
  size_t len = 0;
  struct rig rig;
  rig_open(&rig, NULL, NULL);
  mag_autofree char *state = mag_state_dir();
  ck_assert_int_eq(mkdir(state, 0700), 0);
  mag_output_init(&output, "sesn_long");
  mag_output_begin(&output, "sevt_1");
  for (int i = 0; i < 5000; i++) {
    char line[16];
    mag_output_add(&output, "sevt_1", mbp_str_n(line, (size_t) snprintf(line, sizeof(line), "%06d\n", i)));
    mag_output_add(&output, "sevt_2", mbp_str("another's"));
  }
  ck_assert_ptr_null(mag_output_quote("sesn_long", "sevt_2", &len));
  mag_autofree char *quote = mag_output_quote("sesn_long", "sevt_1", &len);
  ck_assert_ptr_nonnull(quote);
  ck_assert_uint_lt(len, MAG_OUTPUT_HEAD + MAG_OUTPUT_TAIL + 200);
  ck_assert_ptr_nonnull(strstr(quote, "It had printed 35000 bytes by then:\n000000\n000001\n"));
  ck_assert_ptr_nonnull(strstr(quote, "[... 22712 bytes left out ...]"));
  ck_assert_str_eq(quote + len - 14, "004998\n004999\n");
  char big[3 * MAG_OUTPUT_TAIL];
  memset(big, 'b', sizeof(big));
  memcpy(big + sizeof(big) - 4, "end\n", 4);
  mag_output_begin(&output, "sevt_3");
  mag_output_add(&output, "sevt_3", mbp_str_n(big, sizeof(big)));
  mag_autofree char *second = mag_output_quote("sesn_long", "sevt_3", &len);
  ck_assert_ptr_nonnull(second);
  ck_assert_str_eq(second + len - 5, "bend\n");
  mag_autofree char *path = mag_output_path("sesn_long");
  ck_assert_int_eq(truncate(path, 100), 0); /* damaged */
  ck_assert_ptr_null(mag_output_quote("sesn_long", "sevt_3", &len));
  mag_output_done(&output, false);
  ck_assert_int_ne(access(path, F_OK), 0);
  rig_close(&rig);
}
END_TEST

START_TEST(a_read_only_tool_is_repeated_after_a_death)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "read", "{\"file_path\":\"a\"}") "]"},
      {.content = TEXT("Done.")},
  };
  const char *compute = *computes();
  if (!compute)
    return;
  struct rig rig;
  struct records records;
  struct service *service = service_new(answers, 2);
  service_by_results(service);
  make_place(&rig, service);
  rig_open(&rig, service_url(service), rig.dir);
  rig_write_file(&rig, "work/a", "still here\n");
  rig_leave(&rig);
  /* message, running+processed+ask, sandbox intent, response+..+started */
  ck_assert_int_eq(run_child(rig.dir, service_url(service), compute, "after", 4), CRASHED);
  rig_open(&rig, service_url(service), rig.dir);
  mag_autofree char *id = rig_read_file(&rig, "id");
  rig_resume(&rig, id);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  rig_read(&rig, id, &records);
  ck_assert_ptr_nonnull(strstr(records_result(&records, 0, NULL), "still here"));
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

START_TEST(a_death_while_a_process_is_being_started_does_not_keep_the_session)
{
  static const struct answer answers[] = {{.content = TEXT("Done.")}, {.content = TEXT("Done.")}};
  const char *compute = *computes();
  if (!compute)
    return;
  struct rig rig;
  struct service *service = service_new(answers, 2);
  service_by_results(service);
  make_place(&rig, service);
  ck_assert_int_eq(run_child(rig.dir, service_url(service), compute, "spawn", 0), CRASHED);
  rig_open(&rig, service_url(service), rig.dir);
  mag_autofree char *id = rig_read_file(&rig, "id");
  rig_resume(&rig, id);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  rig_close(&rig);
  service_free(service);
}
END_TEST

/* The model is told what it cannot see: that the shell it left is not the shell it comes back to. */
START_TEST(a_lost_sandbox_is_told_with_the_next_tool_result)
{
  static const struct answer answers[] = {
      {.content = "[" CALL("t1", "bash", "{\"command\":\"echo begun; sleep 5\"}") "]"},
      {.content = "[" CALL("t2", "bash", "{\"command\":\"echo second\"}") "]"},
      {.content = "[" CALL("t3", "bash", "{\"command\":\"echo third\"}") "]"},
      {.content = TEXT("Done.")},
  };
  const char *compute = *computes();
  if (!compute)
    return;
  struct rig rig;
  struct records records;
  struct service *service = service_new(answers, 4);
  service_by_results(service);
  make_place(&rig, service);
  ck_assert_int_eq(run_child(rig.dir, service_url(service), compute, "output", 0), CRASHED);
  rig_open(&rig, service_url(service), rig.dir);
  mag_autofree char *id = rig_read_file(&rig, "id");
  rig_resume(&rig, id);
  ck_assert_int_eq(rig_run(&rig, NULL, NULL), MAG_END_TURN);
  rig_read(&rig, id, &records);
  ck_assert_msg(strstr(records_result(&records, 1, NULL), "made anew"), "%s", records_result(&records, 1, NULL));
  ck_assert_str_eq(records_result(&records, 2, NULL), "third");
  records_done(&records);
  rig_close(&rig);
  service_free(service);
}
END_TEST

TCase *crash_tests(void)
{
  TCase *t = tcase_create("crash");
  tcase_add_test(t, a_death_at_any_append_loses_nothing_and_repeats_nothing);
  tcase_add_test(t, so_it_is_with_custom_tools);
  tcase_add_test(t, a_death_in_a_stream_or_in_a_tool_is_survived);
  tcase_add_test(t, a_death_ends_what_runs_in_the_sandbox);
  tcase_add_test(t, what_a_tool_had_printed_before_a_death_is_quoted);
  tcase_add_test(t, of_a_long_output_beginning_and_end_are_quoted);
  tcase_add_test(t, a_read_only_tool_is_repeated_after_a_death);
  tcase_add_test(t, a_death_while_a_process_is_being_started_does_not_keep_the_session);
  tcase_add_test(t, a_lost_sandbox_is_told_with_the_next_tool_result);
  return t;
}
